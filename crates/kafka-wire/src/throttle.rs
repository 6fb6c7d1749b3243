//! Sparing a broker for as long as it asks (KIP-219).
//!
//! Since Kafka 2.0 a broker answers a client over its quota at once, says in the answer how long nothing more is to come, and reads
//! nothing from the connection for that time. Every version in the [table](crate::api) that such a broker has in common with this crate is
//! one of these; older brokers wait before they answer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kafka_protocol::messages as m;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, sleep_until};

use crate::metric;

/// By how much the throttles of a connection put off the deadline of one request, at most. Kafka's quotas ask for seconds; a broker
/// that keeps a client waiting for longer is taken for one that does not answer.
const MOST_PUT_OFF: Duration = Duration::from_secs(300);

/// A response as far as it says how long the broker wants to be spared.
pub trait Throttled {
    /// For how many milliseconds nothing more is to be sent; 0 where the client is within its quota.
    fn throttle_time_ms(&self) -> i32;
}

macro_rules! throttled {
    ($($response:ident)+) => {
        $(impl Throttled for m::$response {
            fn throttle_time_ms(&self) -> i32 {
                self.throttle_time_ms
            }
        })+

        /// Each of them with a throttle of so many milliseconds, for tests.
        #[cfg(test)]
        fn all_throttled(ms: i32) -> Vec<Box<dyn Throttled>> {
            vec![$(Box::new(m::$response::default().with_throttle_time_ms(ms))),+]
        }
    };
}

throttled! {
    ProduceResponse FetchResponse ListOffsetsResponse MetadataResponse OffsetCommitResponse OffsetFetchResponse
    FindCoordinatorResponse JoinGroupResponse HeartbeatResponse LeaveGroupResponse SyncGroupResponse
    DescribeGroupsResponse ListGroupsResponse CreateTopicsResponse DeleteTopicsResponse DeleteRecordsResponse
    InitProducerIdResponse OffsetForLeaderEpochResponse DescribeConfigsResponse CreatePartitionsResponse
    DeleteGroupsResponse IncrementalAlterConfigsResponse OffsetDeleteResponse DescribeClusterResponse
}

macro_rules! never_throttled {
    ($($response:ident)+) => {
        $(impl Throttled for m::$response {
            fn throttle_time_ms(&self) -> i32 {
                0
            }
        })+
    };
}

// Before a client has authenticated nobody knows whose quota it is.
never_throttled! { SaslHandshakeResponse SaslAuthenticateResponse }

/// What one connection's broker asked for, and those who wait until it is over.
#[derive(Debug)]
pub(crate) struct Throttle {
    opened: Instant,
    /// When it is over, in milliseconds after `opened`; 0 as long as nothing was asked for.
    over_at: AtomicU64,
    /// How many milliseconds were asked for by all answers together.
    asked_in_all: AtomicU64,
    /// How many wait or have waited and are not sent yet.
    waiting: AtomicUsize,
    /// Hands them out one by one, in the order in which they came.
    turns: Mutex<()>,
}

/// The right to send next. Whoever asks for a turn meanwhile is sent behind this one.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _turn: MutexGuard<'a, ()>,
    _waiting: Waiting<'a>,
}

#[derive(Debug)]
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            over_at: AtomicU64::new(0),
            asked_in_all: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            turns: Mutex::default(),
        }
    }

    /// An answer of this API asks for so much time.
    pub(crate) fn note(&self, api: &'static str, throttle_time_ms: i32) {
        let Ok(asked_ms @ 1..) = u64::try_from(throttle_time_ms) else {
            return;
        };
        let asked = Duration::from_millis(asked_ms);
        metrics::histogram!(metric::THROTTLE, "api" => api).record(asked);
        self.asked_in_all.fetch_add(asked_ms, Ordering::AcqRel);
        let over_at = (self.opened.elapsed() + asked).as_micros().div_ceil(1_000);
        let over_at = u64::try_from(over_at).unwrap_or(u64::MAX);
        self.over_at.fetch_max(over_at, Ordering::AcqRel);
    }

    /// Waits until the broker may be sent something, behind those who wait already. It is ready at its first poll, and there is no turn, where
    /// nobody has to wait: the order of requests stays that of their first polls.
    pub(crate) async fn wait(&self) -> Option<Turn<'_>> {
        if self.waiting.load(Ordering::Acquire) == 0 && self.over_at().is_none() {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Waiting(&self.waiting);
        let turn = self.turns.lock().await;
        // An answer that comes meanwhile may ask for more.
        while let Some(over_at) = self.over_at() {
            sleep_until(over_at).await;
        }
        Some(Turn {
            _turn: turn,
            _waiting: waiting,
        })
    }

    /// Returns once a request that is sent now has had so much time for its answer. While a throttle lasts the broker does not read the
    /// request: what answers ask for that come meanwhile is added.
    pub(crate) async fn overdue(&self, after: Duration) {
        let sent = Instant::now();
        let asked_before = self.asked_in_all.load(Ordering::Acquire);
        loop {
            let asked = self.asked_in_all.load(Ordering::Acquire) - asked_before;
            let put_off = Duration::from_millis(asked).min(MOST_PUT_OFF);
            let left = after.saturating_add(put_off).saturating_sub(sent.elapsed());
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }

    fn over_at(&self) -> Option<Instant> {
        match self.over_at.load(Ordering::Acquire) {
            0 => None,
            ms => {
                let over_at = self.opened + Duration::from_millis(ms);
                (over_at > Instant::now()).then_some(over_at)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::api;

    #[test]
    fn every_api_of_the_table_can_ask_for_it_but_those_before_the_authentication() {
        let all = all_throttled(7);
        assert!(all.iter().all(|response| response.throttle_time_ms() == 7));
        assert_eq!(all.len() + 2, api::TABLE.len());
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_time_counts_and_nonsense_does_not() {
        let throttle = Throttle::new();
        throttle.note("Heartbeat", 0);
        throttle.note("Heartbeat", -5);
        assert!(throttle.wait().now_or_never().unwrap().is_none());
        let began = Instant::now();
        throttle.note("Heartbeat", 300);
        throttle.note("Metadata", 100);
        assert!(throttle.wait().await.is_some());
        assert_eq!(began.elapsed(), Duration::from_millis(300));
        assert!(throttle.wait().now_or_never().unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_sent_in_the_order_of_asking_and_before_whoever_comes_later() {
        let throttle = Throttle::new();
        throttle.note("Produce", 100);
        let sent = RefCell::new(Vec::new());
        let send = |n: i32| {
            let (throttle, sent) = (&throttle, &sent);
            async move {
                let turn = throttle.wait().await;
                sent.borrow_mut().push(n);
                turn.is_some()
            }
        };
        let mut early = [1, 2, 3].map(|n| Box::pin(send(n)));
        assert!(early.iter_mut().all(|e| e.now_or_never().is_none()));
        tokio::time::advance(Duration::from_millis(150)).await;
        // The time is over, and none of those who waited for it has seen so yet.
        let [one, two, three] = early;
        let waited = tokio::join!(biased; send(4), three, two, one);
        assert_eq!(waited, (true, true, true, true));
        assert_eq!(*sent.borrow(), [1, 2, 3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_put_off_by_what_is_asked_for_meanwhile() {
        const AFTER: Duration = Duration::from_millis(100);
        let throttle = Throttle::new();
        // Waited out before the request is sent.
        throttle.note("Produce", 5_000);
        let began = Instant::now();
        throttle.overdue(AFTER).await;
        assert_eq!(began.elapsed(), AFTER);

        let mut overdue = Box::pin(throttle.overdue(AFTER));
        assert!(overdue.as_mut().now_or_never().is_none());
        let began = Instant::now();
        throttle.note("Produce", 300);
        tokio::time::advance(Duration::from_millis(350)).await;
        throttle.note("Produce", 200);
        overdue.await;
        assert_eq!(began.elapsed(), Duration::from_millis(600));

        let mut overdue = Box::pin(throttle.overdue(AFTER));
        assert!(overdue.as_mut().now_or_never().is_none());
        let began = Instant::now();
        throttle.note("Produce", i32::MAX);
        overdue.await;
        assert_eq!(began.elapsed(), MOST_PUT_OFF + AFTER);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_holds_up_nobody() {
        let throttle = Throttle::new();
        throttle.note("Produce", 100);
        let mut first = Box::pin(throttle.wait());
        assert!(first.as_mut().now_or_never().is_none());
        drop(first);
        assert!(throttle.wait().await.is_some());
        assert!(throttle.wait().now_or_never().unwrap().is_none());
    }
}
