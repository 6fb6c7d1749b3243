//! The task that fetches from one broker.
//!
//! It has two connections of its own, for a broker serves each of them serially. The *main* one carries the long poll
//! over all partitions that can be fetched. A partition that becomes ready to be fetched while that poll is out (newly
//! assigned, resumed, sought, or polled empty again after its buffer was full) does not wait for its end: it is fetched
//! on the *side* connection, whose polls are short, until the main one comes back and takes it in. While the side
//! connection is busy the main one polls shortly as well, so that after one short wait all are together again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::messages::FetchResponse;
use kafka_wire::{Connection, ResponseError};
use tokio::time::Instant;

use super::error::ConsumerError;
use super::fetcher::{BrokerSlots, Shared, sleep_until};
use super::request::{self, Pick, Received};
use crate::backoff::Backoff;
use crate::error::{ClientError, Remedy};

/// How long the broker may hold a poll that does not cover all partitions.
const SHORT_WAIT: Duration = Duration::from_millis(10);

pub(super) struct BrokerTask {
    node: i32,
    shared: Arc<Shared>,
    list: Arc<BrokerSlots>,
    main: Lane,
    side: Lane,
    /// Counts requests: names them, and rotates which partition comes first.
    requests: u64,
}

/// One connection, with at most one fetch under way.
#[derive(Default)]
struct Lane {
    connection: Option<Arc<Connection>>,
    under_way: Option<UnderWay>,
    /// No request before this: a failure, or the broker's throttle (KIP-219).
    not_before: Option<Instant>,
    backoff: Backoff,
}

struct UnderWay {
    picks: Vec<Pick>,
    long: bool,
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

type Answer = (Option<Arc<Connection>>, Result<FetchResponse, ClientError>);

impl BrokerTask {
    pub(super) fn new(node: i32, shared: Arc<Shared>, list: Arc<BrokerSlots>) -> Self {
        Self {
            node,
            shared,
            list,
            main: Lane::default(),
            side: Lane::default(),
            requests: 0,
        }
    }

    pub(super) async fn run(mut self) {
        let list = Arc::clone(&self.list);
        loop {
            let retry_at = self.start_fetches();
            tokio::select! {
                answer = self.main.answered() => self.finish(true, answer),
                answer = self.side.answered() => self.finish(false, answer),
                () = list.wake.notified() => {}
                () = sleep_until(retry_at) => {}
            }
        }
    }

    /// Puts idle connections to work. Returns when to look again if nothing else happens.
    fn start_fetches(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let long_wait = self.shared.config.fetch_max_wait;
        if self.main.is_ready(now) {
            let long = self.side.under_way.is_none();
            let (picks, retry_at) = self.pick(now);
            if picks.is_empty() {
                return retry_at;
            }
            let wait = if long { long_wait } else { SHORT_WAIT };
            self.main.start(&self.shared, self.node, picks, wait, long);
            return retry_at;
        }
        // Behind a short poll nobody waits for long; behind a long one, or one that cannot be sent, they would.
        let main_is_long = self.main.under_way.as_ref().is_none_or(|u| u.long);
        if main_is_long && self.main.not_before.is_none() && self.side.is_ready(now) {
            let (picks, retry_at) = self.pick(now);
            if !picks.is_empty() {
                let wait = SHORT_WAIT.min(long_wait);
                self.side.start(&self.shared, self.node, picks, wait, false);
            }
            return retry_at;
        }
        [self.main.not_before, self.side.not_before]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// The partitions to fetch now, and when others may be.
    fn pick(&mut self, now: Instant) -> (Vec<Pick>, Option<Instant>) {
        self.requests += 1;
        let slots = self.list.slots.lock();
        let mut picks = Vec::new();
        let mut retry_at: Option<Instant> = None;
        let first = self.requests as usize % slots.len().max(1);
        for slot in slots[first..].iter().chain(&slots[..first]) {
            match request::pick(slot, &self.shared, &self.list.wake, now) {
                Ok(Some(pick)) => picks.push(pick),
                Ok(None) => {}
                Err(later) => retry_at = Some(retry_at.map_or(later, |at| at.min(later))),
            }
        }
        (picks, retry_at)
    }

    pub(super) fn finish(&mut self, is_main: bool, (picks, connection, answer): Finished) {
        let lane = if is_main {
            &mut self.main
        } else {
            &mut self.side
        };
        let response =
            answer.and_then(
                |response| match ResponseError::try_from_code(response.error_code) {
                    Some(code) => Err(ClientError::broker(
                        "Fetch",
                        format!("broker {}", self.node),
                        code,
                    )),
                    None => Ok(response),
                },
            );
        match response {
            Ok(response) => {
                lane.connection = connection;
                lane.backoff.reset();
                let throttle = u64::try_from(response.throttle_time_ms).unwrap_or(0);
                lane.not_before =
                    (throttle > 0).then(|| Instant::now() + Duration::from_millis(throttle));
                if let Some(until) = lane.not_before {
                    self.list.spare(until);
                }
                let received = request::receive(&self.shared, self.node, &picks, response);
                self.follow_up(received);
            }
            Err(error) => {
                lane.connection = connection.filter(|c| !c.is_closed());
                lane.not_before = Some(Instant::now() + lane.backoff.next());
                tracing::debug!(broker = self.node, %error, "fetch failed");
                for pick in &picks {
                    pick.failed(&self.shared);
                    // Nobody else would ever know. The next poll has it tried again.
                    if !error.is_retriable() {
                        pick.slot.fail(ConsumerError::Client(error.clone()));
                    }
                }
                self.follow_up(Received {
                    refresh: error.remedy() != Remedy::Retry,
                    reroute: true,
                });
            }
        }
    }

    fn follow_up(&self, received: Received) {
        if received.refresh {
            self.shared.cluster.request_refresh();
        }
        if received.reroute {
            self.shared.wake();
        }
    }
}

type Finished = (
    Vec<Pick>,
    Option<Arc<Connection>>,
    Result<FetchResponse, ClientError>,
);

impl Lane {
    fn is_ready(&mut self, now: Instant) -> bool {
        if self.not_before.is_some_and(|at| at <= now) {
            self.not_before = None;
        }
        self.under_way.is_none() && self.not_before.is_none()
    }

    fn start(
        &mut self,
        shared: &Arc<Shared>,
        node: i32,
        picks: Vec<Pick>,
        wait: Duration,
        long: bool,
    ) {
        let request = request::build(&shared.config, &picks, wait);
        let deadline = shared.cluster.config().request_timeout + wait;
        let shared = Arc::clone(shared);
        let open = self.connection.take().filter(|c| !c.is_closed());
        let answer = Box::pin(async move {
            let connection = match open {
                Some(connection) => connection,
                None => match shared.cluster.dedicated(node).await {
                    Ok(connection) => Arc::new(connection),
                    Err(error) => return (None, Err(error)),
                },
            };
            let answer = connection.request_within(request, deadline).await;
            (Some(connection), answer.map_err(ClientError::from))
        });
        self.under_way = Some(UnderWay {
            picks,
            long,
            answer,
        });
    }

    /// The answer to the fetch under way; never, if there is none.
    async fn answered(&mut self) -> Finished {
        let Some(under_way) = &mut self.under_way else {
            return std::future::pending().await;
        };
        let (connection, answer) = under_way.answer.as_mut().await;
        let picks = self.under_way.take().map(|u| u.picks).unwrap_or_default();
        (picks, connection, answer)
    }
}
