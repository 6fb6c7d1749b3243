//! A sender whose requests are not sent.

use kafka_broker::{Broker, BrokerConfig};
use kafka_wire::ConnectOptions;
use tokio::sync::mpsc;

use super::*;
use crate::cluster::Cluster;
use crate::config::ClientConfig;
use crate::producer::ProducerConfig;
use crate::producer::delivery::Ack;
use crate::producer::record::TopicRecord;

const IDENTITY: Identity = Identity { id: 1, epoch: 0 };

/// The sender to node 1, which leads these many partitions of one topic.
fn sender(partitions: usize) -> (Sender, Vec<Arc<Partition>>) {
    let cluster = Cluster::start(ClientConfig::new("127.0.0.1:9")).unwrap();
    let config = ProducerConfig::default().clamped();
    let shared = Arc::new(Shared::new(cluster, config, mpsc::unbounded_channel().0));
    let mailbox = Arc::new(Mailbox::new(1));
    let topic = shared.topics.get("orders");
    topic.resize(partitions);
    for partition in topic.all() {
        partition.set_leader(Some(Arc::clone(&mailbox)));
    }
    (Sender::new(shared, mailbox), topic.all())
}

impl Sender {
    /// Hands over a batch of one record.
    fn append(&self, partition: &Arc<Partition>) {
        let Shared { limits, memory, .. } = &*self.shared;
        partition
            .append(&TopicRecord::default(), 0, false, &mut 0, limits, memory)
            .unwrap();
        partition.flush(&mut Vec::new());
    }

    /// Sends and acknowledges a batch: from now on several may be in flight.
    fn prove(&mut self, partition: &Arc<Partition>) {
        self.append(partition);
        let passengers = self.look_and_board();
        assert_eq!(passengers.len(), 1);
        for Passenger {
            partition,
            key,
            bytes,
        } in passengers
        {
            let ack = Ack {
                base_offset: 0,
                append_time: None,
            };
            let memory = &self.shared.memory;
            partition.land(key, bytes, Answer::Written, |_| Ok(ack), memory);
        }
    }

    fn look_and_board(&mut self) -> Vec<Passenger> {
        self.mailbox.collect(&mut self.list);
        self.survey(Instant::now());
        self.board(IDENTITY)
    }
}

fn places(passengers: &[Passenger]) -> Vec<i32> {
    let mut places: Vec<_> = passengers.iter().map(|p| p.partition.index).collect();
    places.sort_unstable();
    places
}

#[tokio::test]
async fn a_leader_that_comes_back_gets_one_batch_of_a_partition_at_a_time() {
    for away in [None, Some(Arc::new(Mailbox::new(2)))] {
        let (mut sender, partitions) = sender(2);
        for partition in &partitions {
            sender.prove(partition);
        }
        for partition in &partitions {
            sender.append(partition);
            sender.append(partition);
        }
        // All of it before the sender looks again.
        sender.mailbox.collect(&mut sender.list);
        for _ in 0..3 {
            partitions[0].set_leader(away.clone());
            partitions[0].set_leader(Some(Arc::clone(&sender.mailbox)));
        }
        let mut sent = Vec::new();
        for _ in 0..2 {
            let passengers = sender.look_and_board();
            assert_eq!(places(&passengers), [0, 1]);
            sent.extend(passengers);
        }
        assert!(sender.look_and_board().is_empty());
        assert_eq!(sender.list.len(), 2, "what is outdated leaves the list");
    }
}

#[tokio::test]
async fn what_changed_since_the_look_is_not_sent_twice() {
    let (mut sender, partitions) = sender(1);
    let partition = &partitions[0];
    sender.prove(partition);
    sender.append(partition);
    sender.append(partition);
    sender.mailbox.collect(&mut sender.list);
    partition.set_leader(None);
    partition.set_leader(Some(Arc::clone(&sender.mailbox)));
    sender.mailbox.collect(&mut sender.list);
    assert_eq!(sender.list.len(), 2);
    sender.chosen = vec![0, 1];
    assert_eq!(places(&sender.board(IDENTITY)), [0]);
}

#[tokio::test]
async fn a_new_connection_ends_the_wait_for_it_and_no_throttle() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let address = broker.addr(1).unwrap().to_string();
    let options = ConnectOptions::default();
    let connect = || Connection::open(&address, &options);
    let (mut sender, _) = sender(1);
    sender.connected(Err(ClientError::UnknownBroker(1)));
    assert!(sender.fill().await.is_some());
    sender.connected(Ok(Arc::new(connect().await.unwrap())));
    assert_eq!(sender.fill().await, None);

    sender.land(Landing {
        passengers: Vec::new(),
        result: Ok(ProduceResponse::default().with_throttle_time_ms(60_000)),
    });
    let until = sender.fill().await;
    assert!(until.is_some());
    sender.connected(Err(ClientError::UnknownBroker(1)));
    assert_eq!(sender.fill().await, until);
    sender.connected(Ok(Arc::new(connect().await.unwrap())));
    assert_eq!(sender.fill().await, until);
    broker.stop().await;
}
