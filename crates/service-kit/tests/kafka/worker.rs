//! No partition stays unread, no record stands in the way of the others, and no worker pretends to work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use contracts::{Envelope, Event, Message};
use kafka_broker::{ApiKey, Fault, FaultAction, ResponseError};
use kafka_client::{GroupHandle, Producer, ProducerConfig, ProducerRecord};
use service_kit::reaction::{Reaction, ReactionError};
use service_kit::store::StoreError;
use service_kit::worker::{Lanes, Reactions, Worker, WorkerConfig, WorkerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::kit::{Answered, Asked, Bed, Letter, order, until, within};

pub(crate) const GROUP: &str = "answerers";
pub(crate) const DEAD_LETTERS: &str = "asked.answerers.dlq";

/// Answers, unless the check says why not.
struct Answer<F>(F);

impl<F> Reaction for Answer<F>
where
    F: Fn(&Asked) -> Result<(), ReactionError> + Send + Sync + 'static,
{
    type Event = Asked;

    async fn react(&self, batch: &[Envelope<Asked>]) -> Result<Vec<Message>, ReactionError> {
        let mut answers = Vec::new();
        for asked in batch {
            (self.0)(&asked.data)?;
            let answered = Answered {
                order_id: asked.data.order_id,
                text: "x".repeat(asked.data.bytes),
            };
            answers.push(Envelope::new(answered, None).encode()?);
        }
        Ok(answers)
    }
}

pub(crate) struct Running {
    pub(crate) lanes: Lanes,
    pub(crate) membership: watch::Receiver<Option<GroupHandle>>,
    producer: Producer,
    stop: CancellationToken,
    task: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    pub(crate) fn start(
        bed: &Bed,
        check: impl Fn(&Asked) -> Result<(), ReactionError> + Send + Sync + 'static,
    ) -> Self {
        Self::with(bed, Reactions::new().on(Answer(check)))
    }

    pub(crate) fn with(bed: &Bed, reactions: Reactions) -> Self {
        let producer = bed.client.producer(ProducerConfig::default());
        let worker = Worker::new(
            bed.client.clone(),
            producer.clone(),
            GROUP,
            reactions,
            WorkerConfig::default(),
        );
        let (lanes, membership) = (worker.lanes(), worker.membership());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move { worker.run(stopped).await });
        Self {
            lanes,
            membership,
            producer,
            stop,
            task,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        within("stopping", self.task).await.unwrap().unwrap();
    }
}

pub(crate) async fn until_committed(bed: &Bed, offset: i64) {
    let committed = || async {
        let inspect = bed.broker.inspect();
        inspect.committed(GROUP, Asked::TOPIC, 0) == Some(offset)
    };
    until("committing", committed).await;
}

async fn only_dead_letter(bed: &Bed) -> Letter {
    let letter = bed.read(DEAD_LETTERS, 1).await.remove(0);
    let partition = bed.broker.inspect().partition(DEAD_LETTERS, 0).unwrap();
    assert_eq!(partition.records, 1);
    letter
}

#[tokio::test]
async fn a_partition_whose_task_panics_is_handed_out_again() {
    let bed = Bed::start().await;
    let first = Arc::new(AtomicBool::new(true));
    let worker = Running::start(&bed, move |_| {
        assert!(!first.swap(false, Ordering::SeqCst), "on purpose");
        Ok(())
    });
    bed.ask(&[1, 2]).await;
    until_committed(&bed, 2).await;
    assert_eq!(bed.orders(Answered::TOPIC, 2).await, [order(0), order(1)]);
    worker.stop().await;
}

#[tokio::test]
async fn a_partition_whose_start_was_refused_is_asked_for_again() {
    for (api, refusal) in [
        (ApiKey::OffsetFetch, ResponseError::GroupAuthorizationFailed),
        (ApiKey::ListOffsets, ResponseError::TopicAuthorizationFailed),
    ] {
        let bed = Bed::start().await;
        let fault = Fault::new(FaultAction::Answer(refusal)).on(api).times(1);
        let refused = bed.broker.faults().inject(fault);
        let worker = Running::start(&bed, |_| Ok(()));
        within("the refusal", refused.wait_for_hits(1)).await;
        bed.ask(&[1]).await;
        until_committed(&bed, 1).await;
        // The others of the group are not bothered.
        let group = bed.broker.inspect().group(GROUP).unwrap();
        assert_eq!(group.generation, 1);
        worker.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_put_aside_and_the_others_go_on() {
    // The client's own bound, and the topic's.
    for (most, too_large) in [(1_048_588, 2_000_000), (2_000, 3_000)] {
        let bed = Bed::with_answers_up_to(most).await;
        bed.ask(&[1, too_large, 3]).await;
        let worker = Running::start(&bed, |_| Ok(()));
        until_committed(&bed, 3).await;
        let letter = only_dead_letter(&bed).await;
        assert_eq!(letter.key, Some(order(1).to_string().into_bytes()));
        assert_eq!(letter.headers["dlq_offset"], "1");
        let reason = &letter.headers["dlq_error"];
        assert!(reason.contains("cannot be published"), "{reason}");
        let answered = bed.broker.inspect().partition(Answered::TOPIC, 0).unwrap();
        let answers = bed.orders(Answered::TOPIC, answered.records as usize).await;
        assert!(answers.contains(&order(0)) && answers.contains(&order(2)));
        assert!(!answers.contains(&order(1)));
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for_and_nothing_becomes_a_dead_letter() {
    let bed = Bed::start().await;
    // More often than an event is tried whose failure may pass.
    let left = AtomicU32::new(8);
    let worker = Running::start(&bed, move |_| {
        let away = |left: u32| left.checked_sub(1);
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, away) {
            Ok(_) => Err(ReactionError::Away {
                what: "the relay",
                reason: "on purpose".to_owned(),
            }),
            Err(_) => Ok(()),
        }
    });
    bed.ask(&[1, 2]).await;
    until_committed(&bed, 2).await;
    assert_eq!(bed.orders(Answered::TOPIC, 2).await, [order(0), order(1)]);
    assert!(bed.broker.inspect().partition(DEAD_LETTERS, 0).is_none());
    worker.stop().await;
}

#[tokio::test]
async fn the_reason_in_a_dead_letter_is_cut() {
    let bed = Bed::start().await;
    let worker = Running::start(&bed, |_| {
        Err(ReactionError::Store(StoreError::Refused {
            operation: "insert",
            collection: "test".to_owned(),
            reason: "é".repeat(2_000_000),
        }))
    });
    bed.ask(&[1]).await;
    let letter = only_dead_letter(&bed).await;
    let reason = &letter.headers["dlq_error"];
    assert!(reason.starts_with("store refused insert"), "{reason}");
    assert_eq!(reason.chars().count(), 1_000);
    assert!(letter.value.is_some() && !letter.headers.contains_key("dlq_truncated"));
    until_committed(&bed, 1).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_record_that_is_too_large_for_a_dead_letter_is_told_of_by_headers() {
    let bed = Bed::start().await;
    // As large as can be: there is no room for the headers of a dead letter.
    let value = vec![b'x'; 1_048_576 - 120];
    let record = ProducerRecord::new(Asked::TOPIC).key(b"k").value(&value);
    bed.producer.send(&record).await.unwrap().await.unwrap();
    let worker = Running::start(&bed, |_| Ok(()));
    until_committed(&bed, 1).await;
    let letter = only_dead_letter(&bed).await;
    assert_eq!((letter.key, letter.value), (None, None));
    for (name, value) in [
        ("dlq_topic", "asked"),
        ("dlq_partition", "0"),
        ("dlq_offset", "0"),
        ("dlq_group", GROUP),
        ("dlq_truncated", "true"),
    ] {
        assert_eq!(letter.headers[name], value, "{name}");
    }
    assert!(letter.headers["dlq_error"].contains("missing"));
    worker.stop().await;
}

#[tokio::test]
async fn a_producer_at_its_end_ends_the_worker() {
    for decodable in [true, false] {
        let bed = Bed::start().await;
        let worker = Running::start(&bed, |_| Ok(()));
        worker.producer.close(Duration::ZERO).await.unwrap();
        if decodable {
            bed.ask(&[1]).await;
        } else {
            let record = ProducerRecord::new(Asked::TOPIC).value(b"x");
            bed.producer.send(&record).await.unwrap().await.unwrap();
        }
        let error = within("ending", worker.task).await.unwrap().unwrap_err();
        assert!(error.is_final(), "{error}");
        let committed = bed.broker.inspect().committed(GROUP, Asked::TOPIC, 0);
        assert_eq!(committed, None);
    }
}
