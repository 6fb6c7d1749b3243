//! Partitions that have no leader: records wait for one, and go elsewhere if they may.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kafka_broker::{ApiKey, Fault, FaultAction};
use kafka_client::{Client, ClientConfig, Partitioner, Placement, ProducerConfig, ProducerRecord};

use crate::kit::{Bed, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_wait_for_a_leader_leave_when_there_is_one() {
    let bed = Bed::embedded(2).await;
    let broker = bed.broker();
    let topic = bed.topic(1).await;
    let leader = broker.inspect().partition(&topic, 0).unwrap().leader;
    broker.crash_node(leader.unwrap()).await.unwrap();
    let client = Client::new(ClientConfig::new(&broker.bootstrap_servers())).unwrap();
    let producer = client.producer(ProducerConfig::default());
    let record = ProducerRecord::new(&topic);
    let delivery = within("metadata", producer.send(&record)).await.unwrap();
    let known = client.metadata().topics[topic.as_str()].partitions[0].leader;
    assert_eq!(known, None);
    broker.start_node(leader.unwrap()).await.unwrap();
    assert_eq!(within("the leader", delivery).await.unwrap().offset, 0);
}

/// Notes whether partition 1 has a leader, as the producer knows, and leaves the choice to it.
#[derive(Debug)]
struct Watching(AtomicBool);

impl Partitioner for Watching {
    fn partition(&self, record: &Placement<'_>) -> Option<i32> {
        self.0.store(record.has_leader(1), Ordering::SeqCst);
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_without_a_key_do_not_wait_for_a_leader_where_another_partition_has_one() {
    let bed = Bed::embedded(2).await;
    let broker = bed.broker();
    let topic = bed.topic(2).await;
    let partitions = broker.inspect().partitions(&topic);
    let leaders: Vec<_> = partitions.iter().map(|p| p.leader.unwrap()).collect();
    assert_ne!(leaders[0], leaders[1]);

    // At first only partition 1 has a leader; it keeps one batch, and the next one stays open behind it.
    broker.crash_node(leaders[0]).await.unwrap();
    let client = Client::new(ClientConfig::new(&broker.bootstrap_servers())).unwrap();
    let watching = Arc::new(Watching(AtomicBool::new(false)));
    let mut config = ProducerConfig::default();
    config.partitioner = Some(Arc::clone(&watching) as Arc<dyn Partitioner>);
    let producer = client.producer(config);
    let silent = broker.faults().inject(
        Fault::new(FaultAction::NeverAnswer)
            .on(ApiKey::Produce)
            .node(leaders[1]),
    );
    let record = ProducerRecord::new(&topic).value(b"v");
    let mut waiting = Vec::new();
    waiting.push(within("metadata", producer.send(&record)).await.unwrap());
    within("the request", silent.wait_for_hits(1)).await;
    waiting.push(within("sending", producer.send(&record)).await.unwrap());
    assert!(watching.0.load(Ordering::SeqCst));

    // Now only partition 0 has one.
    broker.start_node(leaders[0]).await.unwrap();
    silent.remove();
    broker.crash_node(leaders[1]).await.unwrap();
    within("news of the leader", async {
        while watching.0.load(Ordering::SeqCst) {
            waiting.push(producer.send(&record).await.unwrap());
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The last one already was sent in this knowledge.
    let delivery = waiting.pop().unwrap();
    let metadata = within("a record without a key", delivery).await.unwrap();
    assert_eq!(metadata.partition, 0);
    for _ in 0..20 {
        let delivery = producer.send(&record).await.unwrap();
        let metadata = within("a record without a key", delivery).await.unwrap();
        assert_eq!(metadata.partition, 0);
    }

    // What was meant for the other one before goes there.
    broker.start_node(leaders[1]).await.unwrap();
    for (place, delivery) in waiting.into_iter().enumerate() {
        let metadata = within("what waited", delivery).await.unwrap();
        assert!(metadata.partition == 1 || place > 1);
    }
}
