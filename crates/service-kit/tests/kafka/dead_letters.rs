//! What was put aside can be looked at, sent back and dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use contracts::{Envelope, Event};
use kafka_client::{ProducerConfig, ProducerRecord};
use service_kit::dead_letters::{Desk, DeskError, Letter, LetterId, Origin};
use service_kit::reaction::ReactionError;

use crate::kit::{Answered, Asked, Bed, order, within};
use crate::worker::{DEAD_LETTERS, GROUP, Running, until_committed};

async fn letters(desk: &Desk) -> Vec<Letter> {
    within("reading letters", desk.letters(DEAD_LETTERS, 100))
        .await
        .unwrap()
}

#[tokio::test]
async fn an_event_that_fails_is_tried_some_times_put_aside_and_handled_when_it_is_sent_back() {
    let bed = Bed::start().await;
    let mended = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&mended);
    let worker = Running::start(&bed, move |asked| {
        if asked.order_id != order(1) || seen.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(ReactionError::Missing {
            what: "the part",
            id: asked.order_id.to_string(),
        })
    });
    bed.ask(&[1, 1, 1]).await;
    until_committed(&bed, 3).await;
    assert_eq!(bed.orders(Answered::TOPIC, 2).await, [order(0), order(2)]);

    let desk = Desk::new(bed.client.clone());
    assert_eq!(desk.topics(Some(GROUP)).await.unwrap(), [DEAD_LETTERS]);
    assert!(desk.topics(Some("nobody")).await.unwrap().is_empty());
    let put_aside = letters(&desk).await;
    assert_eq!(put_aside.len(), 1);
    let letter = &put_aside[0];
    let origin = Origin {
        topic: Asked::TOPIC.to_owned(),
        partition: 0,
        offset: 1,
    };
    assert_eq!(
        (letter.origin.as_ref(), letter.attempts, &*letter.group),
        (Some(&origin), 6, GROUP)
    );
    assert!(letter.error.contains("the part"), "{}", letter.error);
    assert!(letter.headers.iter().any(|(name, _)| name == "traceparent"));

    mended.store(true, Ordering::SeqCst);
    let producer = bed.client.producer(ProducerConfig::default());
    let sent = within("redriving", desk.redrive(&producer, DEAD_LETTERS, None)).await;
    assert_eq!(sent.unwrap(), 1);
    until_committed(&bed, 4).await;
    assert_eq!(
        bed.orders(Answered::TOPIC, 3).await,
        [order(0), order(2), order(1)]
    );
    assert!(letters(&desk).await.is_empty());
    // As it was at first, but for the group that it is for.
    let mut asked = bed.read(Asked::TOPIC, 4).await;
    let sent_for = asked[3].headers.remove("dlq_redriven_for");
    assert_eq!(sent_for.as_deref(), Some(GROUP));
    assert_eq!(
        (&asked[3].key, &asked[3].value, &asked[3].headers),
        (&asked[1].key, &asked[1].value, &asked[1].headers)
    );
    worker.stop().await;
}

#[tokio::test]
async fn an_event_that_comes_alone_is_not_tried_as_often_again() {
    let bed = Bed::start().await;
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let worker = Running::start(&bed, move |asked| {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(ReactionError::Missing {
            what: "the part",
            id: asked.order_id.to_string(),
        })
    });
    bed.ask(&[1]).await;
    until_committed(&bed, 1).await;
    let put_aside = letters(&Desk::new(bed.client.clone())).await;
    let attempts: Vec<_> = put_aside.iter().map(|letter| letter.attempts).collect();
    assert_eq!((attempts, tries.load(Ordering::SeqCst)), (vec![6], 6));
    worker.stop().await;
}

#[tokio::test]
async fn letters_are_dropped_from_the_front() {
    let bed = Bed::start().await;
    let worker = Running::start(&bed, |_| Ok(()));
    for value in [b"one", b"two", b"six"] {
        let record = ProducerRecord::new(Asked::TOPIC).value(value);
        bed.producer.send(&record).await.unwrap().await.unwrap();
    }
    until_committed(&bed, 3).await;
    let desk = Desk::new(bed.client.clone());
    let all = letters(&desk).await;
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].attempts, 0, "there was nothing to try");
    let first = within("reading", desk.letters(DEAD_LETTERS, 1)).await;
    assert_eq!(first.unwrap(), all[..1]);
    let dropped = within("dropping", desk.drop_letters(DEAD_LETTERS, Some(2))).await;
    assert_eq!(dropped.unwrap(), 2);
    assert_eq!(letters(&desk).await, all[2..]);
    let dropped = within("dropping", desk.drop_letters(DEAD_LETTERS, None)).await;
    assert_eq!(dropped.unwrap(), 1);
    assert!(letters(&desk).await.is_empty());
    worker.stop().await;
}

#[tokio::test]
async fn a_letter_without_its_record_is_not_sent_back_and_stays() {
    let bed = Bed::start().await;
    let worker = Running::start(&bed, |_| Ok(()));
    let value = vec![b'x'; 1_048_576 - 120];
    for value in [&b"small"[..], &value] {
        let record = ProducerRecord::new(Asked::TOPIC).value(value);
        bed.producer.send(&record).await.unwrap().await.unwrap();
    }
    until_committed(&bed, 2).await;
    worker.stop().await;
    let desk = Desk::new(bed.client.clone());
    let producer = bed.client.producer(ProducerConfig::default());
    let redriven = within("redriving", desk.redrive(&producer, DEAD_LETTERS, None)).await;
    let error = redriven.unwrap_err();
    assert!(
        matches!(error, DeskError::NotSendable { offset: 1, .. }),
        "{error}"
    );
    let left = letters(&desk).await;
    assert_eq!((left.len(), left[0].truncated), (1, true));
    let asked = bed.broker.inspect().partition(Asked::TOPIC, 0).unwrap();
    assert_eq!(asked.records, 3, "the small one is there again");
}

#[tokio::test]
async fn other_topics_are_not_touched() {
    let bed = Bed::start().await;
    bed.ask(&[1]).await;
    let desk = Desk::new(bed.client.clone());
    for topic in [Asked::TOPIC, "nowhere.nobody.dlq"] {
        let dropped = within("dropping", desk.drop_letters(topic, None)).await;
        assert!(
            matches!(dropped, Err(DeskError::UnknownTopic(_))),
            "{topic}"
        );
    }
    let asked = bed.broker.inspect().partition(Asked::TOPIC, 0).unwrap();
    assert_eq!(asked.records, 1);
}

#[tokio::test]
async fn letters_come_in_pages_which_large_ones_make_shorter() {
    let bed = Bed::start().await;
    let worker = Running::start(&bed, |_| Ok(()));
    let large = vec![b'x'; 900_000];
    let values: Vec<&[u8]> = vec![
        b"one", b"two", &large, &large, &large, &large, &large, &large,
    ];
    for (before, value) in values.iter().enumerate() {
        let record = ProducerRecord::new(Asked::TOPIC).value(value);
        bed.producer.send(&record).await.unwrap().await.unwrap();
        // What has no key is put aside side by side, and here the small ones are to come first.
        until_committed(&bed, before as i64 + 1).await;
    }
    worker.stop().await;
    let desk = Desk::new(bed.client.clone());
    let page = async |after: Option<&LetterId>, limit| {
        let page = within("reading a page", desk.page(GROUP, after, limit)).await;
        let (letters, next) = page.unwrap();
        let offsets: Vec<i64> = letters.iter().map(|letter| letter.offset).collect();
        (offsets, next)
    };
    let (first, next) = page(None, 2).await;
    assert_eq!(first, [0, 1]);
    let next = next.unwrap();
    assert_eq!(next.to_string(), format!("{DEAD_LETTERS}-0@1"));
    // Five of them come to the 4 MiB.
    let (large, next) = page(Some(&next), 500).await;
    assert_eq!(large, [2, 3, 4, 5, 6]);
    assert_eq!(page(next.as_ref(), 500).await, (vec![7], None));
    let other = within("reading", desk.page("nobody", None, 2)).await;
    assert_eq!(other.unwrap(), (Vec::new(), None));
}

/// A topic has several groups: what is sent back for one of them, the others pass over.
#[tokio::test]
async fn what_is_sent_back_for_another_group_is_passed_over() {
    let bed = Bed::start().await;
    let worker = Running::start(&bed, |_| Ok(()));
    for (number, group) in [(1, "another"), (2, GROUP)] {
        let asked = Asked {
            order_id: order(number),
            bytes: 1,
        };
        let message = Envelope::new(asked, None).encode().unwrap();
        let own = message.headers.iter();
        let own = own.map(|(name, value)| (*name, Some(value.as_ref())));
        let headers: Vec<_> = own
            .chain([("dlq_redriven_for", Some(group.as_bytes()))])
            .collect();
        let record = ProducerRecord::new(Asked::TOPIC)
            .value(&message.value)
            .headers(&headers);
        let sent = within("sending", bed.producer.send(&record)).await;
        within("being acknowledged", sent.unwrap()).await.unwrap();
    }
    until_committed(&bed, 2).await;
    assert_eq!(bed.orders(Answered::TOPIC, 1).await, [order(2)]);
    let answered = bed.broker.inspect().partition(Answered::TOPIC, 0);
    assert_eq!(answered.unwrap().records, 1);
    worker.stop().await;
}
