//! Following the orders to their end, by the pages of GET /orders and not one by one.
//!
//! Order ids sort by the time at which they were made, so those that are open lie close together at the list's end. A round
//! reads the page that begins with the smallest of them, and goes on at the smallest open one behind the page's end: an order
//! that is stuck costs a page a round, and those between it and the others are not read again.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contracts::{OrderId, OrderStatus, Timestamp};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Progress, is_final};
use crate::http::{Backoff, BaseUrl, Connection, HttpError, PATIENCE, Page};

/// The most orders of a page.
const LARGEST_PAGE: usize = 500;
/// The fewest that are asked for: a page of few costs as much as one of this many.
const SMALLEST_PAGE: usize = 16;
/// The time between two rounds while the service answers at once.
const PAUSE: Duration = Duration::from_millis(2);
/// The longest that it gets.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The orders that were accepted and are not final, each with the moment from which its time counts.
#[derive(Debug, Default)]
pub(crate) struct OpenOrders {
    orders: Mutex<BTreeMap<OrderId, Instant>>,
    /// When following ends; not set as long as orders are posted.
    deadline: OnceLock<Instant>,
}

impl OpenOrders {
    pub(crate) fn insert(&self, id: OrderId, begun: Instant) {
        self.orders.lock().insert(id, begun);
    }

    pub(crate) fn len(&self) -> usize {
        self.orders.lock().len()
    }

    /// No more orders come; those that are there are followed until then.
    pub(crate) fn close(&self, deadline: Instant) {
        // Whoever was first has said it.
        let _ = self.deadline.set(deadline);
    }

    /// The smallest one, or the smallest that is greater than `after`.
    fn first(&self, after: Option<OrderId>) -> Option<OrderId> {
        let orders = self.orders.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        orders
            .range((from, Bound::Unbounded))
            .next()
            .map(|(id, _)| *id)
    }
}

/// What became of the orders that were followed.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) by_status: BTreeMap<OrderStatus, u64>,
    pub(crate) latencies: Vec<Duration>,
    pub(crate) last: Option<Instant>,
    /// Why the orders could not be read last, if so.
    pub(crate) error: Option<HttpError>,
}

/// What is read of an order.
#[derive(Debug, Deserialize)]
struct Seen {
    order_id: OrderId,
    status: OrderStatus,
}

/// Follows until no more orders come and all are final, or the deadline is over.
pub(crate) async fn follow(
    url: BaseUrl,
    open: Arc<OpenOrders>,
    progress: Arc<Progress>,
) -> Followed {
    let mut connection = Connection::to(&url);
    let mut followed = Followed::default();
    let mut backoff = Backoff::new();
    loop {
        let deadline = open.deadline.get().copied();
        let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if late || (deadline.is_some() && open.len() == 0) {
            return followed;
        }
        let begun = Instant::now();
        match round(&mut connection, &open, &mut followed, &progress).await {
            Ok(()) => {
                followed.error = None;
                backoff = Backoff::new();
                // To look costs the services work, too, and where answers are slow, looking more often would make them slower
                // still: a quarter of the time is spent on it at most, until that would be too seldom.
                let pause = (begun.elapsed() * 3).clamp(PAUSE, LONGEST_PAUSE);
                tokio::time::sleep(pause).await;
            }
            Err(error) => {
                // At the deadline it is not the service that was slow.
                let cut = open.deadline.get().is_some_and(|at| Instant::now() >= *at);
                if !cut {
                    followed.error = Some(error);
                }
                backoff.wait(deadline.unwrap_or(begun + PATIENCE)).await;
            }
        }
    }
}

/// Reads every page on which there is an open order.
async fn round(
    connection: &mut Connection,
    open: &OpenOrders,
    followed: &mut Followed,
    progress: &Progress,
) -> Result<(), HttpError> {
    let mut next = open.first(None);
    while let Some(first) = next {
        let limit = open.len().clamp(SMALLEST_PAGE, LARGEST_PAGE);
        let path = format!("/orders?after={}&limit={limit}", just_before(first));
        let left = open.deadline.get().map_or(PATIENCE, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        let page: Page<Seen> = connection.page(&path, PATIENCE.min(left)).await?;
        settle(&page.items, open, followed, progress);
        let end = page.items.last().map(|seen| seen.order_id);
        // An order may be answered before it is in the list that a replica gives: the next round finds it.
        next = end
            .filter(|_| page.next.is_some())
            .and_then(|end| open.first(Some(end)));
    }
    Ok(())
}

/// Takes those that are final out of the open ones.
fn settle(seen: &[Seen], open: &OpenOrders, followed: &mut Followed, progress: &Progress) {
    let now = Instant::now();
    let mut orders = open.orders.lock();
    for order in seen.iter().filter(|order| is_final(order.status)) {
        if let Some(begun) = orders.remove(&order.order_id) {
            *followed.by_status.entry(order.status).or_default() += 1;
            followed.latencies.push(now.duration_since(begun));
            followed.last = Some(now);
            progress.count_final();
        }
    }
}

/// An order id before this one and, but for one in 2^62 ids, after all others that are.
fn just_before(id: OrderId) -> String {
    /// The bits that count within a millisecond's twelve: behind the variant, so that it stays as it is.
    const LOW: u128 = (1 << 62) - 1;
    let number = u128::from_be_bytes(*id.as_bytes());
    if number & LOW != 0 {
        return Uuid::from_u128(number - 1).to_string();
    }
    let millis = i64::try_from(number >> 80).unwrap_or_default();
    OrderId::new(Timestamp::from_millis(millis - 1), [0xff; 10]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> OrderId {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_just_before_an_id_is_an_id() {
        for (text, before) in [
            (
                "018bcfe5-6800-7bab-abab-abababababab",
                "018bcfe5-6800-7bab-abab-abababababaa",
            ),
            (
                "018bcfe5-6800-7bab-8000-000000000001",
                "018bcfe5-6800-7bab-8000-000000000000",
            ),
            // One less would be no variant of a UUID: the millisecond before.
            (
                "018bcfe5-6800-7bab-8000-000000000000",
                "018bcfe5-67ff-7fff-bfff-ffffffffffff",
            ),
        ] {
            assert_eq!(just_before(id(text)), before);
            assert!(id(before) < id(text));
        }
    }

    #[test]
    fn only_what_is_open_and_final_is_settled_and_only_once() {
        let open = OpenOrders::default();
        let (one, two) = (
            id("018bcfe5-6800-7bab-abab-abababababab"),
            id("018bcfe5-6801-7bab-abab-abababababab"),
        );
        open.insert(one, Instant::now());
        open.insert(two, Instant::now());
        let seen = |order_id, status| Seen { order_id, status };
        let page = [
            seen(one, OrderStatus::Shipped),
            seen(two, OrderStatus::Rejected),
            seen(
                id("018bcfe5-6802-7bab-abab-abababababab"),
                OrderStatus::Shipped,
            ),
        ];
        let (mut followed, progress) = (Followed::default(), Progress::default());
        settle(&page, &open, &mut followed, &progress);
        settle(&page, &open, &mut followed, &progress);
        assert_eq!(open.first(None), Some(two), "a refund is still to come");
        assert_eq!(
            followed.by_status,
            BTreeMap::from([(OrderStatus::Shipped, 1)])
        );
        assert_eq!((followed.latencies.len(), progress.settled()), (1, 1));
    }

    #[test]
    fn the_next_page_begins_at_an_open_order() {
        let open = OpenOrders::default();
        let ids = [
            id("018bcfe5-6800-7bab-abab-abababababab"),
            id("018bcfe5-6809-7bab-abab-abababababab"),
        ];
        for id in ids {
            open.insert(id, Instant::now());
        }
        assert_eq!(open.first(None), Some(ids[0]));
        assert_eq!(
            open.first(Some(id("018bcfe5-6801-7bab-abab-abababababab"))),
            Some(ids[1])
        );
        assert_eq!(open.first(Some(ids[1])), None);
    }
}
