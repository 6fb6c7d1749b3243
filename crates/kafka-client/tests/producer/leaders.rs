//! Partitions that have no leader.

use kafka_client::{Client, ClientConfig, ProducerConfig, ProducerRecord};

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
