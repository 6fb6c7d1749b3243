//! What goes wrong at brokers and on the way to them. More of it is in the tests of the producer and of the group.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use kafka_broker::{ApiKey, Fault, FaultAction};
use kafka_client::{
    Client, ClientConfig, ClientError, ConsumerConfig, ConsumerError, ConsumerGroup, GroupConfig,
    GroupEvent, OffsetReset, PartitionConsumer, ProducerConfig, ProducerRecord, ResponseError,
    StartAt, TopicPartition,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::kit::{Bed, PATIENCE, within};

/// An address that refuses connections, as long as the socket is held.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// An address whose connections are made and never answered, as long as the listener is held.
async fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address at which not even a connection comes about: the queue of those that wait to be accepted is full, and what
/// comes now is dropped.
async fn swallowing() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let (socket, address) = refusing();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
    }
    (listener, waiting, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_servers_that_do_not_answer_are_passed_over() {
    let bed = Bed::embedded(1, 0).await;
    let (_refusing, refusing) = refusing();
    let (_silent, silent) = silent().await;
    let (_swallowing, _waiting, swallowing) = swallowing().await;
    for bad in [
        vec![refusing],
        vec![silent],
        vec![swallowing],
        vec![refusing, silent, swallowing],
    ] {
        let mut servers: Vec<_> = bad.iter().map(SocketAddr::to_string).collect();
        servers.push(bed.bootstrap().to_owned());
        let client = Client::new(ClientConfig {
            // Whoever waits for one address to its end before it takes the next does not come through in time.
            connect_timeout: PATIENCE * 2,
            request_timeout: PATIENCE * 2,
            ..ClientConfig::new(&servers.join(","))
        })
        .unwrap();
        let described = within("the cluster", client.admin().describe_cluster()).await;
        assert_eq!(described.unwrap().brokers.len(), 1, "behind {bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_bootstrap_server_an_operation_ends() {
    let (_refusing, refusing) = refusing();
    let (_silent, silent) = silent().await;
    let (_swallowing, _waiting, swallowing) = swallowing().await;
    for bad in [refusing, silent, swallowing] {
        let client = Client::new(ClientConfig {
            connect_timeout: Duration::from_millis(300),
            request_timeout: Duration::from_secs(1),
            ..ClientConfig::new(&bad.to_string())
        })
        .unwrap();
        let error = within("the cluster", client.admin().describe_cluster())
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                ClientError::Timeout { .. } | ClientError::Unreachable { .. }
            ),
            "{error}"
        );
        let mut config = ProducerConfig::default();
        config.max_block = Duration::from_secs(1);
        let producer = client.producer(config);
        let record = ProducerRecord::new("topic");
        let error = within("sending", producer.send(&record)).await.unwrap_err();
        assert!(!error.may_have_been_written(), "{error}");
    }
}

/// A client that gives up a request soon.
fn impatient(bed: &Bed) -> Client {
    Client::new(ClientConfig {
        request_timeout: Duration::from_millis(500),
        ..ClientConfig::new(bed.bootstrap())
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_never_answered_are_given_up_and_sent_again() {
    let apis = [
        ApiKey::Metadata,
        ApiKey::FindCoordinator,
        ApiKey::JoinGroup,
        ApiKey::SyncGroup,
        ApiKey::OffsetFetch,
        ApiKey::ListOffsets,
        ApiKey::Fetch,
        ApiKey::OffsetCommit,
        ApiKey::LeaveGroup,
    ];
    let actions = [FaultAction::NeverAnswer, FaultAction::LoseAnswer];
    let all = apis.into_iter().flat_map(|api| actions.map(|a| (api, a)));
    join_all(all.map(|(api, action)| survives_silence(api, action))).await;
}

/// A member comes, reads, commits and goes although one request of this API is not answered.
async fn survives_silence(api: ApiKey, action: FaultAction) {
    let bed = Bed::embedded(1, 0).await;
    let topic = bed.topic(1).await;
    produce(&bed, &topic, 0..10).await;
    let silence = Fault::new(action).on(api).times(1);
    let silence = bed.broker().faults().inject(silence);
    let group = bed.name("group");
    let mut config = group_config(&group, &topic, OffsetReset::Earliest);
    // A join may take as long as a rebalance, and a coordinator waits as long for who does not come back.
    config.rebalance_timeout = Duration::from_secs(1);
    config.drain_budget = Duration::from_millis(900);
    config.session_timeout = Duration::from_secs(6);
    let mut member = impatient(&bed).consumer_group(config).unwrap();
    let mut partition = assigned(&mut member).await;
    let all: Vec<_> = (0..10).collect();
    assert_eq!(numbers(&mut partition, 10).await, all);
    within("a commit", partition.commit(10)).await.unwrap();
    drop(partition);
    let left = within("leaving", member.close(PATIENCE)).await;
    left.unwrap();
    assert_eq!(silence.hits(), 1, "{api:?} was not asked");
    let committed = bed.broker().inspect().committed(&group, &topic, 0);
    assert_eq!(committed, Some(10), "{action:?} on {api:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_deleted_under_its_member_starts_anew() {
    let bed = Bed::embedded(1, 0).await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    produce(&bed, &topic, 0..10).await;
    let config = group_config(&group, &topic, OffsetReset::Earliest);
    let mut member = bed.client().consumer_group(config).unwrap();
    let mut partition = assigned(&mut member).await;
    assert_eq!(numbers(&mut partition, 4).await, [0, 1, 2, 3]);
    partition.commit(4).await.unwrap();

    assert!(bed.broker().delete_group(&group));
    let error = within("a commit", partition.commit(4)).await.unwrap_err();
    assert!(error.is_lost(), "{error}");
    within("the loss", partition.revoked()).await;
    drop(partition);
    let mut partition = assigned(&mut member).await;
    // The offsets are gone with the group.
    assert_eq!(
        numbers(&mut partition, 10).await,
        (0..10).collect::<Vec<_>>()
    );
    partition.commit(10).await.unwrap();
    drop(partition);
    member.close(PATIENCE).await.unwrap();
    let committed = bed.broker().inspect().committed(&group, &topic, 0);
    assert_eq!(committed, Some(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_cut_off_under_its_reader_is_read_on_by_the_policy() {
    for (policy, expected) in [
        (OffsetReset::Earliest, Some(50)),
        (OffsetReset::Latest, Some(100)),
        (OffsetReset::Error, None),
    ] {
        let bed = Bed::embedded(1, 0).await;
        let (topic, group) = (bed.topic(1).await, bed.name("group"));
        produce(&bed, &topic, 0..100).await;
        let config = group_config(&group, &topic, policy);
        let mut member = bed.client().consumer_group(config.clone()).unwrap();
        let mut partition = assigned(&mut member).await;
        // Paused before it has read, so that nothing is in memory when the log is cut.
        partition.pause();
        partition.seek(5).unwrap();
        partition.commit(5).await.unwrap();
        let cut = [(TopicPartition::new(topic.as_str(), 0), 50)];
        let client = bed.client();
        for (_, result) in within("cutting", client.admin().delete_records(&cut))
            .await
            .unwrap()
        {
            result.unwrap();
        }
        partition.resume();
        reads_on(&bed, &topic, &mut partition, expected).await;
        drop(partition);
        member.close(PATIENCE).await.unwrap();

        // And so it is for a member that starts from an offset that was committed before the cut.
        let mut member = bed.client().consumer_group(config).unwrap();
        let mut partition = assigned(&mut member).await;
        let expected = expected.map(|e| if e == 100 { 101 } else { e });
        reads_on(&bed, &topic, &mut partition, expected).await;
    }
}

/// Checks that the reader goes on with this number, or says that it cannot.
async fn reads_on(
    bed: &Bed,
    topic: &str,
    partition: &mut PartitionConsumer,
    expected: Option<u32>,
) {
    match expected {
        Some(expected) => {
            if expected >= 100 {
                // What comes after it has found the end is what it reads.
                let mut ticks = tokio::time::interval(Duration::from_millis(5));
                within("the end", async {
                    while partition.position() != Some(i64::from(expected)) {
                        let _ = partition.try_poll(1).unwrap();
                        ticks.tick().await;
                    }
                })
                .await;
                produce(bed, topic, expected..expected + 1).await;
            }
            assert_eq!(numbers(partition, 1).await, [expected]);
        }
        None => {
            let error = within("a poll", partition.poll(1)).await.unwrap_err();
            let offset = Some(5);
            assert!(
                matches!(error, ConsumerError::NoOffset { offset: o, log_start: 50, .. } if o == offset),
                "{error}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_and_made_again_is_read_from_its_start() {
    let bed = Bed::embedded(1, 0).await;
    let topic = bed.topic(1).await;
    produce(&bed, &topic, 0..20).await;
    let start = [(TopicPartition::new(topic.as_str(), 0), StartAt::Offset(0))];
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        ..ConsumerConfig::default()
    };
    let client = bed.client();
    let mut partition = client.consume(config, start).unwrap().remove(0);
    assert_eq!(
        numbers(&mut partition, 20).await,
        (0..20).collect::<Vec<_>>()
    );
    assert!(bed.broker().delete_topic(&topic));
    bed.broker().create_topic(&topic, 1).unwrap();
    produce(&bed, &topic, 100..105).await;
    assert_eq!(
        numbers(&mut partition, 5).await,
        (100..105).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_always_throttled_gets_on() {
    let bed = Bed::embedded(1, 0).await;
    let (topic, group) = (bed.topic(1).await, bed.name("group"));
    produce(&bed, &topic, 0..10).await;
    // Whatever it asks, from the first question of each connection on, it is told that it asks too much.
    let throttle = Fault::new(FaultAction::Throttle(Duration::from_millis(50)));
    let throttled = bed.broker().faults().inject(throttle);
    let config = group_config(&group, &topic, OffsetReset::Earliest);
    let mut member = bed.client().consumer_group(config).unwrap();
    let mut partition = assigned(&mut member).await;
    assert_eq!(
        numbers(&mut partition, 10).await,
        (0..10).collect::<Vec<_>>()
    );
    within("a commit", partition.commit(10)).await.unwrap();
    drop(partition);
    member.close(PATIENCE).await.unwrap();
    assert!(throttled.hits() > 10, "{}", throttled.hits());
    let committed = bed.broker().inspect().committed(&group, &topic, 0);
    assert_eq!(committed, Some(10));
    // An error and a throttle in one answer.
    let busy = FaultAction::Answer(ResponseError::CoordinatorLoadInProgress);
    bed.broker()
        .faults()
        .inject(Fault::new(busy).on(ApiKey::OffsetFetch).times(3));
    let client = bed.client();
    let offsets = within("offsets", client.admin().group_offsets(&group)).await;
    assert_eq!(offsets.unwrap().len(), 1);
}

fn group_config(group: &str, topic: &str, auto_offset_reset: OffsetReset) -> GroupConfig {
    GroupConfig {
        consumer: ConsumerConfig {
            auto_offset_reset,
            ..ConsumerConfig::default()
        },
        heartbeat_interval: Duration::from_millis(200),
        ..GroupConfig::new(group, [topic])
    }
}

/// Sends these numbers, one after the other.
async fn produce(bed: &Bed, topic: &str, numbers: std::ops::Range<u32>) {
    let producer = bed.client().producer(ProducerConfig::default());
    for number in numbers {
        let value = number.to_be_bytes();
        let record = ProducerRecord::new(topic).value(&value).partition(0);
        drop(producer.send(&record).await.unwrap());
    }
    producer.close(PATIENCE).await.unwrap();
}

async fn assigned(group: &mut ConsumerGroup) -> PartitionConsumer {
    match within("an assignment", group.next()).await {
        Some(GroupEvent::Assigned(partition)) => partition,
        other => panic!("expected an assignment, got {other:?}"),
    }
}

/// The next numbers that are read.
async fn numbers(partition: &mut PartitionConsumer, count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let records = within("a poll", partition.poll(count - numbers.len())).await;
        let records = records.unwrap().expect("not revoked");
        let values = records.iter().map(|r| r.value.unwrap().try_into().unwrap());
        numbers.extend(values.map(u32::from_be_bytes));
    }
    numbers
}
