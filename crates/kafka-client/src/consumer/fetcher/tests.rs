use kafka_wire::{ResponseError, WireError};

use super::*;
use crate::client::Client;
use crate::config::ClientConfig;
use crate::consumer::request;
use crate::topic_partition::TopicPartition;

#[tokio::test(start_paused = true)]
async fn a_partition_that_waits_too_long_for_its_committed_offset_has_it_asked_for_anew() {
    let client = Client::new(ClientConfig::new("127.0.0.1:9")).unwrap();
    let config = ConsumerConfig::default();
    let patience = config.stall_timeout;
    let fetcher = Fetcher::start(client.cluster().clone(), config);
    let wanted = Arc::new(Notify::new());
    let slot = Slot::new(TopicPartition::new("orders", 0), Start::AwaitsCommitted);
    slot.lock().committed_asked = Some(1);
    slot.lock().committed_wanted = Some(Arc::clone(&wanted));
    let slot = Arc::new(slot);
    fetcher.add(std::slice::from_ref(&slot));
    let asked_for = tokio::time::timeout(patience * 3, wanted.notified());
    asked_for.await.expect("the watchdog has it asked for");
    assert_eq!(slot.lock().committed_asked, None);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_another_attempt_would_not_better_is_told_to_the_holder() {
    let client = Client::new(ClientConfig::new("127.0.0.1:9")).unwrap();
    let fetcher = Fetcher::start(client.cluster().clone(), ConsumerConfig::default());
    let address: Arc<str> = Arc::from("127.0.0.1:9");
    let api = "Fetch";
    let wire = |error| ClientError::Wire(error);
    let fatal = [
        wire(WireError::UnsupportedVersion {
            address: Arc::clone(&address),
            api,
        }),
        wire(WireError::Malformed {
            address: Arc::clone(&address),
            api,
            reason: "cut off".to_owned(),
        }),
        ClientError::broker(api, "broker 1", ResponseError::ClusterAuthorizationFailed),
    ];
    let passing = [
        wire(WireError::Disconnected {
            address,
            reason: "reset".to_owned(),
        }),
        ClientError::UnknownBroker(1),
    ];
    let errors = fatal.map(|e| (e, true)).into_iter();
    for (error, is_told) in errors.chain(passing.map(|e| (e, false))) {
        let list = Arc::new(BrokerSlots::default());
        let slot = Slot::new(TopicPartition::new("orders", 0), Start::Ready);
        slot.lock().fetcher = Some(Arc::clone(&list.wake));
        let slot = Arc::new(slot);
        let picked = request::pick(&slot, &fetcher.shared, &list.wake, Instant::now());
        let picks = vec![picked.unwrap().unwrap()];
        let mut task = BrokerTask::new(1, Arc::clone(&fetcher.shared), list);
        let what = error.to_string();
        task.finish(true, (picks, None, Err(error)));
        assert_eq!(slot.lock().failure.is_some(), is_told, "{what}");
        assert_eq!(slot.lock().in_flight, None);
    }
}
