//! The producer's manager: follows the metadata, keeps the senders, gets the producer id, gives up what takes too long.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire::ResponseError;
use kafka_wire::messages::{InitProducerIdRequest, ProducerId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::mailbox::Mailbox;
use super::sender::Sender;
use super::sequencer::Identity;
use super::shared::Shared;
use crate::backoff::Backoff;
use crate::error::{ClientError, Remedy};

/// Runs until the producer is stopped; then everything undelivered has its error.
pub(crate) async fn manage(
    shared: Arc<Shared>,
    mut new_senders: mpsc::UnboundedReceiver<Arc<Mailbox>>,
) {
    // However this task ends, even with its runtime: nobody waits for a delivery in vain.
    let _last = FailTheRest(Arc::clone(&shared));
    let mut senders = JoinSet::new();
    let mut metadata = shared.cluster.watch();
    let every = (shared.limits.delivery_timeout / 20)
        .clamp(Duration::from_millis(5), Duration::from_secs(1));
    let mut sweep = tokio::time::interval(every);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let identify = identify(&shared);
    tokio::pin!(identify);
    // A partition without a leader has no sender whose failures would have the metadata refreshed.
    let mut leaders = Backoff::default();
    let mut ask_at = None::<Instant>;
    loop {
        let asking = tokio::time::sleep_until(ask_at.unwrap_or_else(Instant::now));
        tokio::select! {
            () = shared.stop.cancelled() => break,
            Some(mailbox) = new_senders.recv() => {
                senders.spawn(Sender::new(Arc::clone(&shared), mailbox).run());
            }
            Ok(()) = metadata.changed() => {
                metadata.borrow_and_update();
                shared.assign();
                if ask_at.is_none() && shared.want_leaders() {
                    ask_at = Some(Instant::now() + leaders.next());
                }
            }
            _ = sweep.tick() => {
                let now = Instant::now();
                for partition in shared.partitions() {
                    partition.expire(now, &shared.limits, &shared.memory);
                }
                if ask_at.is_none() && shared.want_leaders() {
                    ask_at = Some(now);
                }
            }
            () = asking, if ask_at.is_some() => {
                ask_at = None;
                if shared.want_leaders() {
                    shared.cluster.request_refresh();
                    ask_at = Some(Instant::now() + leaders.next());
                } else {
                    leaders.reset();
                }
            }
            () = &mut identify => {}
            Some(ended) = senders.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a sender of the producer died; the producer is closed");
                    break;
                }
            }
        }
    }
    // Wait until they are gone, so that no request outlives the producer.
    senders.shutdown().await;
}

struct FailTheRest(Arc<Shared>);

impl Drop for FailTheRest {
    fn drop(&mut self) {
        self.0.fail_everything();
        self.0.stopped.cancel();
    }
}

/// Gets a producer id whenever one is wanted. Never returns.
async fn identify(shared: &Shared) {
    let mut backoff = Backoff::default();
    loop {
        shared.identity_wanted.notified().await;
        while shared.identity().is_none() {
            match init_producer_id(shared).await {
                Ok(identity) => {
                    tracing::debug!(
                        producer_id = identity.id,
                        epoch = identity.epoch,
                        "got a producer id"
                    );
                    backoff.reset();
                    shared.set_identity(identity);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot get a producer id");
                    if error.remedy() == Remedy::Fatal {
                        shared.fail_unsent(&error);
                        tokio::time::sleep(backoff.next()).await;
                        // Whoever sends again wants it again.
                        break;
                    }
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }
}

async fn init_producer_id(shared: &Shared) -> Result<Identity, ClientError> {
    // Without a transactional id any broker answers, with a new id each time (KIP-98).
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let answer = shared.cluster.request_any(request).await?;
    match ResponseError::try_from_code(answer.error_code) {
        Some(code) => Err(ClientError::broker("InitProducerId", "the producer", code)),
        None => Ok(Identity {
            id: answer.producer_id.0,
            epoch: answer.producer_epoch,
        }),
    }
}
