//! The sender to one broker: one task that puts what is ready into requests and keeps several of them in flight.
//!
//! Requests leave a connection in the order of their futures' first poll, and sequences must arrive in order, so this
//! task polls each once before it makes the next.

mod answers;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::Either;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kafka_wire::batch::restamp;
use kafka_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_wire::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_wire::{Connection, StrBytes, WireError};
use tokio::time::Instant;

use super::batch::Payload;
use super::error::ProduceError;
use super::mailbox::{Listing, Mailbox};
use super::partition::{Flight, Partition, Taken, Visit};
use super::sequencer::{Answer, Identity};
use super::shared::Shared;
use super::turn;
use crate::backoff::Backoff;
use crate::cluster::Purpose;
use crate::error::{ClientError, ProduceVerdict};

type Connecting = Pin<Box<dyn Future<Output = Result<Arc<Connection>, ClientError>> + Send>>;
type InFlight = Pin<Box<dyn Future<Output = Landing> + Send>>;

/// A request that came back, and the batches that were in it.
struct Landing {
    passengers: Vec<Passenger>,
    result: Result<ProduceResponse, WireError>,
}

struct Passenger {
    partition: Arc<Partition>,
    key: u64,
    bytes: Bytes,
}

pub(crate) struct Sender {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    /// The partitions that have something for this broker, or had at the last look.
    list: Vec<Listing>,
    /// Those of them whose batches go into the next request.
    chosen: Vec<usize>,
    connection: Option<Arc<Connection>>,
    connecting: Option<Connecting>,
    reconnect: Backoff,
    /// No request before this: the broker asked for it, of the client and not of the connection (KIP-219).
    throttled_until: Option<Instant>,
    /// No attempt to connect before this: the last one failed.
    reconnect_at: Option<Instant>,
    in_flight: FuturesUnordered<InFlight>,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>, mailbox: Arc<Mailbox>) -> Self {
        Self {
            shared,
            mailbox,
            list: Vec::new(),
            chosen: Vec::new(),
            connection: None,
            connecting: None,
            reconnect: Backoff::default(),
            throttled_until: None,
            reconnect_at: None,
            in_flight: FuturesUnordered::new(),
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let look_again = self.fill().await;
            let alarm = match look_again {
                Some(at) => Either::Left(tokio::time::sleep_until(at)),
                None => Either::Right(std::future::pending()),
            };
            let connected = match &mut self.connecting {
                Some(connecting) => Either::Left(connecting),
                None => Either::Right(std::future::pending()),
            };
            tokio::select! {
                Some(landing) = self.in_flight.next() => self.land(landing),
                result = connected => self.connected(result),
                () = self.mailbox.woken() => {}
                () = alarm => {}
            }
        }
    }

    fn connected(&mut self, result: Result<Arc<Connection>, ClientError>) {
        self.connecting = None;
        match result {
            Ok(connection) => {
                self.reconnect.reset();
                self.reconnect_at = None;
                self.connection = Some(connection);
            }
            Err(error) => {
                tracing::debug!(broker = self.mailbox.node, %error, "cannot connect to produce");
                if error.is_authentication() {
                    self.give_up(&error);
                }
                self.reconnect_at = Some(Instant::now() + self.reconnect.next());
                self.shared.cluster.request_refresh();
            }
        }
    }

    /// Fails what waits for a broker that will not have this client.
    fn give_up(&mut self, error: &ClientError) {
        self.mailbox.collect(&mut self.list);
        for listing in &self.list {
            let failed = |_| ProduceError::Leader {
                topic: Arc::clone(&listing.partition.topic),
                partition: listing.partition.index,
                source: Box::new(error.clone()),
            };
            listing.fail_unsent(failed, &self.shared.memory);
        }
    }

    /// Sends what may be sent. Returns when to look again if nothing happens before.
    async fn fill(&mut self) -> Option<Instant> {
        turn::is_taken();
        loop {
            self.mailbox.collect(&mut self.list);
            let now = Instant::now();
            if self.in_flight.len() >= self.shared.limits.max_in_flight {
                return None;
            }
            let waits = self.throttled_until.max(self.reconnect_at);
            if let Some(until) = waits.filter(|until| *until > now) {
                return Some(until);
            }
            let (go, look_again) = self.survey(now);
            if !go {
                return look_again;
            }
            let Some(connection) = self.usable_connection() else {
                return look_again;
            };
            let Some(identity) = self.shared.identity() else {
                self.shared.want_identity();
                return look_again;
            };
            let passengers = self.board(identity);
            if passengers.is_empty() {
                return look_again;
            }
            self.send(connection, passengers).await;
        }
    }

    /// Looks through the partitions: whether a request is to go now, with which of them (in `chosen`), and when to look again.
    fn survey(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let Self {
            list,
            chosen,
            mailbox,
            shared,
            in_flight,
            ..
        } = self;
        chosen.clear();
        let (mut ready, mut open, mut look_again) = (false, false, None::<Instant>);
        let mut kept = 0;
        list.retain(|listing| {
            match listing.visit(mailbox.node, now, &shared.limits, &shared.memory) {
                Visit::Moved | Visit::Idle => false,
                visit => {
                    match visit {
                        Visit::Blocked(Some(at)) => {
                            look_again = Some(look_again.map_or(at, |l| l.min(at)));
                        }
                        Visit::Ready => {
                            ready = true;
                            chosen.push(kept);
                        }
                        Visit::Open => {
                            open = true;
                            chosen.push(kept);
                        }
                        Visit::Blocked(None) | Visit::Moved | Visit::Idle => {}
                    }
                    kept += 1;
                    true
                }
            }
        });
        // An open batch goes at once while the broker has nothing of ours to do, and fills while it has: the broker takes one
        // request a connection at a time, so waiting in here costs no time and saves it requests.
        (ready || (open && in_flight.is_empty()), look_again)
    }

    /// The connection, if it is open; otherwise begins to open it.
    fn usable_connection(&mut self) -> Option<Arc<Connection>> {
        if let Some(open) = self.connection.as_ref().filter(|c| !c.is_closed()) {
            return Some(Arc::clone(open));
        }
        self.connection = None;
        if self.connecting.is_none() {
            let shared = Arc::clone(&self.shared);
            let node = self.mailbox.node;
            self.connecting = Some(Box::pin(async move {
                shared.cluster.connection(node, Purpose::Produce).await
            }));
        }
        None
    }

    /// Takes a batch of each chosen partition, as many as fit into a request.
    fn board(&mut self, identity: Identity) -> Vec<Passenger> {
        let mut passengers = Vec::with_capacity(self.chosen.len());
        let mut room = self.shared.config.max_request_size;
        // Whoever did not fit this time is first the next time.
        let mut last = 0;
        for &index in &self.chosen {
            let Some(listing) = self.list.get(index) else {
                continue;
            };
            match listing.take(self.mailbox.node, identity, &self.shared.limits) {
                Taken::Flight(flight) => {
                    let Some(passenger) = self.seal(flight) else {
                        continue;
                    };
                    room = room.saturating_sub(passenger.bytes.len());
                    passengers.push(passenger);
                    last = index;
                    if room < self.shared.limits.batch_size {
                        break;
                    }
                }
                Taken::NeedsIdentity => self.shared.renew_identity(identity),
                Taken::Nothing => {}
            }
        }
        if !self.list.is_empty() {
            let length = self.list.len();
            self.list.rotate_left((last + 1) % length);
        }
        passengers
    }

    /// The batch's bytes under its stamp.
    fn seal(&self, flight: Flight) -> Option<Passenger> {
        let Flight {
            partition,
            key,
            stamp,
            payload,
        } = flight;
        let (id, epoch) = (stamp.identity.id, stamp.identity.epoch);
        let sealed = match payload {
            Payload::Built(builder) => builder.seal(self.shared.config.compression).map(|mut b| {
                b.stamp(id, epoch, stamp.sequence);
                b.into_bytes()
            }),
            Payload::Sealed(bytes) => {
                let mut bytes = Vec::from(bytes);
                restamp(&mut bytes, id, epoch, stamp.sequence).map(|()| Bytes::from(bytes))
            }
            // A batch is with one request at a time.
            Payload::Out => Ok(Bytes::new()),
        };
        match sealed {
            Ok(bytes) => Some(Passenger {
                partition,
                key,
                bytes,
            }),
            Err(error) => {
                let reason = error.to_string();
                let answer = Answer::Refused {
                    maybe_written: false,
                };
                partition.land(
                    key,
                    Bytes::new(),
                    answer,
                    |_| {
                        Err(ProduceError::Compression {
                            topic: Arc::clone(&partition.topic),
                            partition: partition.index,
                            reason: reason.clone(),
                        })
                    },
                    &self.shared.memory,
                );
                None
            }
        }
    }

    async fn send(&mut self, connection: Arc<Connection>, passengers: Vec<Passenger>) {
        let timeout = self.shared.config.request_timeout;
        let request = ProduceRequest::default()
            .with_acks(-1)
            // The broker gives up on its replicas before we give up on the broker.
            .with_timeout_ms(i32::try_from((timeout * 9 / 10).as_millis()).unwrap_or(i32::MAX))
            .with_topic_data(topic_data(&passengers));
        let mut future: InFlight = Box::pin(async move {
            let result = connection.request_within(request, timeout).await;
            Landing { passengers, result }
        });
        match futures_util::poll!(&mut future) {
            std::task::Poll::Ready(landing) => self.land(landing),
            std::task::Poll::Pending => self.in_flight.push(future),
        }
    }

    fn land(&mut self, landing: Landing) {
        match landing.result {
            Ok(response) => {
                if let Ok(throttle @ 1..) = u64::try_from(response.throttle_time_ms) {
                    let throttle = std::time::Duration::from_millis(throttle);
                    let until = Instant::now() + throttle;
                    self.throttled_until = self.throttled_until.max(Some(until));
                }
                self.disembark(landing.passengers, response);
            }
            Err(error) => {
                tracing::debug!(broker = self.mailbox.node, %error, "a produce request failed");
                let answer = Answer::from(ProduceVerdict::of_wire(&error));
                for passenger in landing.passengers {
                    self.settle(passenger, answer, None);
                }
                self.shared.cluster.request_refresh();
            }
        }
    }
}

fn topic_data(passengers: &[Passenger]) -> Vec<TopicProduceData> {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for passenger in passengers {
        let data = PartitionProduceData::default()
            .with_index(passenger.partition.index)
            .with_records(Some(passenger.bytes.clone()));
        let name = &*passenger.partition.topic;
        match topics.iter_mut().find(|t| *t.name.0 == *name) {
            Some(topic) => topic.partition_data.push(data),
            None => topics.push(
                TopicProduceData::default()
                    .with_name(TopicName(StrBytes::from_string(name.to_owned())))
                    .with_partition_data(vec![data]),
            ),
        }
    }
    topics
}

#[cfg(test)]
mod tests;
