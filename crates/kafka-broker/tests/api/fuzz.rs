//! Nothing that comes over the wire ends the broker or holds it up.

use std::cell::Cell;
use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use kafka_broker::{Broker, BrokerConfig};
use proptest::prelude::*;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::raw::{Raw, encode};
use crate::samples::{self as s, TOPIC};
use crate::support::*;

/// No answer takes longer, but for those that wait on purpose.
const PATIENCE: Duration = Duration::from_secs(20);

thread_local! {
    /// Panics on this test's thread, on which its broker runs too. A task that panics takes only its connection with it,
    /// so that nobody else would see it.
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

static WATCH_PANICS: Once = Once::new();

/// Runs a test on this thread and fails if anything in it panicked.
fn without_panics(test: impl Future<Output = ()>) {
    WATCH_PANICS.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            print(info);
        }));
    });
    let before = PANICS.get();
    runtime().block_on(test);
    assert_eq!(PANICS.get(), before, "a task panicked");
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// One valid frame of every API, at its highest version and at its lowest.
fn frames() -> Vec<Bytes> {
    macro_rules! frames {
        ($($key:literal $sample:ident $min:literal $max:literal;)+) => {
            vec![$(
                encode($key, $min, &s::$sample($min)),
                encode($key, $max, &s::$sample($max)),
            )+]
        };
    }
    frames! {
        0 produce 3 12; 1 fetch 4 12; 2 list_offsets 1 7; 3 metadata 4 12; 8 offset_commit 2 9; 9 offset_fetch 1 7;
        10 find_coordinator 0 3; 11 join_group 2 9; 12 heartbeat 0 4; 13 leave_group 0 5; 14 sync_group 0 5;
        15 describe_groups 0 5; 16 list_groups 0 4; 18 api_versions 0 4; 19 create_topics 2 7; 20 delete_topics 1 5;
        21 delete_records 0 2; 22 init_producer_id 0 4; 23 offset_for_leader_epoch 2 4; 32 describe_configs 1 4;
        37 create_partitions 0 3; 42 delete_groups 0 2; 44 incremental_alter_configs 0 1; 47 offset_delete 0 0;
        60 describe_cluster 0 1;
    }
}

/// Sends a frame on a connection of its own, and then sees whether the broker still answers.
async fn poke(broker: &Broker, frame: &[u8]) {
    let mut raw = Raw::connect(broker).await;
    // The broker may close the connection while this is being written.
    let _ = raw.send(frame).await;
    // An answer, or the connection's end, or a wait that the frame asks for (a fetch, a join): all are right.
    let _ = timeout(Duration::from_millis(20), raw.receive()).await;
    drop(raw);
    let mut probe = Raw::connect(broker).await;
    let request = encode(18, 3, &s::api_versions(3));
    let answered = timeout(PATIENCE, probe.ask(&request, 0)).await;
    assert!(answered.expect("the broker is not held up").is_some());
}

async fn broker() -> Broker {
    let config = BrokerConfig {
        max_request_bytes: 1 << 20,
        max_partitions: 100,
        ..BrokerConfig::default()
    };
    let broker = start_with(config).await;
    broker.create_topic(TOPIC, 2).unwrap();
    broker
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_bytes_do_no_harm(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 8..200), 1..8)) {
        without_panics(async {
            let broker = broker().await;
            for frame in &frames {
                poke(&broker, frame).await;
            }
            broker.stop().await;
        });
    }

    #[test]
    fn mutated_requests_do_no_harm(
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..12),
    ) {
        let frames = frames();
        without_panics(async {
            let broker = broker().await;
            for (which, place, byte, how) in &mutations {
                let mut frame = which.get(&frames).to_vec();
                // The key and the version stay, so that the mutation reaches the API's own decoder.
                let place = 8 + place.index(frame.len() - 8);
                match how {
                    0 => frame[place] = *byte,
                    1 => frame.truncate(place),
                    2 => frame.insert(place, *byte),
                    _ => frame[place..].fill(*byte),
                }
                poke(&broker, &frame).await;
            }
            broker.stop().await;
        });
    }
}

#[test]
fn every_byte_of_every_request_may_be_wrong() {
    without_panics(async {
        let broker = broker().await;
        for frame in frames() {
            for place in 8..frame.len() {
                for byte in [0x00, 0x7f, 0xff] {
                    let mut wrong = frame.to_vec();
                    wrong[place] = byte;
                    let mut raw = Raw::connect(&broker).await;
                    let _ = raw.send(&wrong).await;
                }
            }
        }
        let client = connect(&broker).await;
        assert!(client.request(s::metadata(12)).await.is_ok());
        broker.stop().await;
    });
}
