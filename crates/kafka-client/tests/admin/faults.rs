//! What the administrator tries again, and what it does not.

use std::future::Future;
use std::time::Duration;

use ResponseError as E;
use kafka_broker::{ApiKey, Fault, FaultAction, FaultHandle};
use kafka_client::{
    Client, ClientConfig, ClientError, ConfigOp, ConfigResource, NewTopic, OffsetAt, ResponseError,
    TopicPartition,
};

use crate::{Bed, code, name, only};

/// Longer than anything here may take, and shorter than the request timeout where that must not be waited for.
const BOUND: Duration = Duration::from_secs(60);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.unwrap()
}

impl Bed {
    /// The next two requests of this API, as far as they are about what the fault is for, are answered this error.
    fn refuses_twice(&self, api: ApiKey, code: ResponseError) -> FaultHandle {
        self.inject(Fault::new(FaultAction::Answer(code)).on(api).times(2))
    }

    fn inject(&self, fault: Fault) -> FaultHandle {
        self.broker.as_ref().unwrap().faults().inject(fault)
    }

    /// A client of the cluster of its own.
    fn client(&self, request_timeout: Duration) -> Client {
        let mut config = ClientConfig::new(&self.broker.as_ref().unwrap().bootstrap_servers());
        config.request_timeout = request_timeout;
        Client::new(config).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_groups_coordinators_refuse_for_the_moment_is_tried_again() {
    let bed = Bed::embedded().await;
    let topic = bed.topic(2).await;
    let group = name("group");
    let partitions = [0, 1].map(|p| TopicPartition::new(&*topic, p));
    let offsets = partitions.clone().map(|p| (p, 1));
    for code in [
        E::CoordinatorLoadInProgress,
        E::CoordinatorNotAvailable,
        E::NotCoordinator,
    ] {
        let fault = bed.refuses_twice(ApiKey::FindCoordinator, code);
        bed.admin.group_offsets(&group).await.unwrap();
        assert_eq!(fault.hits(), 2, "FindCoordinator {code}");

        // Of the group as a whole, then of one partition alone.
        let whole = Fault::new(FaultAction::Answer(code)).on(ApiKey::OffsetCommit);
        for fault in [whole.clone(), whole.topic(&topic).partition(1)] {
            let fault = bed.inject(fault.times(2));
            let set = bed.admin.alter_group_offsets(&group, &offsets).await;
            for (partition, result) in set.unwrap() {
                result.unwrap_or_else(|e| panic!("{partition}: {e}"));
            }
            assert_eq!(fault.hits(), 2, "OffsetCommit {code}");
        }

        let fault = bed.refuses_twice(ApiKey::OffsetFetch, code);
        assert_eq!(bed.admin.group_offsets(&group).await.unwrap().len(), 2);
        assert_eq!(fault.hits(), 2, "OffsetFetch {code}");

        let fault = bed.refuses_twice(ApiKey::OffsetFetch, code);
        let reset = bed
            .admin
            .reset_group_offsets(&group, &partitions, OffsetAt::Latest)
            .await;
        assert!(reset.unwrap().iter().all(|(_, offset)| offset.is_ok()));
        assert_eq!(bed.admin.lag(&group).await.unwrap().len(), 2);
        assert_eq!(fault.hits(), 2, "OffsetFetch for the lag {code}");

        let fault = bed.refuses_twice(ApiKey::ListGroups, code);
        let listed = bed.admin.list_groups().await.unwrap();
        assert!(listed.iter().any(|g| g.group == group));
        assert_eq!(fault.hits(), 2, "ListGroups {code}");

        let fault = bed.refuses_twice(ApiKey::DescribeGroups, code);
        let described = only(bed.admin.describe_groups(&[&group]).await).unwrap();
        assert_eq!(described.state, "Empty");
        assert_eq!(fault.hits(), 2, "DescribeGroups {code}");

        let fault = bed.refuses_twice(ApiKey::OffsetDelete, code);
        let deleted = bed
            .admin
            .delete_group_offsets(&group, &partitions[..1])
            .await;
        only(deleted.unwrap()).unwrap();
        assert_eq!(fault.hits(), 2, "OffsetDelete {code}");
        assert_eq!(bed.admin.group_offsets(&group).await.unwrap().len(), 1);

        let fault = bed.refuses_twice(ApiKey::DeleteGroups, code);
        only(bed.admin.delete_groups(&[&group]).await).unwrap();
        assert_eq!(fault.hits(), 2, "DeleteGroups {code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaders_refuse_for_the_moment_is_tried_again() {
    let bed = Bed::embedded().await;
    let topic = bed.topic(2).await;
    bed.fill(&topic, 3).await;
    let partitions = [0, 1].map(|p| TopicPartition::new(&*topic, p));
    for code in [
        E::NotLeaderOrFollower,
        E::LeaderNotAvailable,
        E::ReplicaNotAvailable,
        E::FencedLeaderEpoch,
        E::UnknownLeaderEpoch,
        E::OffsetNotAvailable,
        E::KafkaStorageError,
        // A topic that was just made.
        E::UnknownTopicOrPartition,
    ] {
        let one = |api| {
            let fault = Fault::new(FaultAction::Answer(code)).on(api).times(2);
            bed.inject(fault.topic(&topic).partition(1))
        };
        let fault = one(ApiKey::ListOffsets);
        let listed = bed.admin.list_offsets(&partitions, OffsetAt::Latest).await;
        let listed: Vec<_> = listed.unwrap();
        let ends = listed.into_iter().map(|(_, found)| found.unwrap().offset);
        assert_eq!(ends.collect::<Vec<_>>(), [Some(3), Some(0)], "{code}");
        assert_eq!(fault.hits(), 2, "ListOffsets {code}");

        let fault = one(ApiKey::DeleteRecords);
        let before = partitions.clone().map(|p| (p, 0));
        let deleted = bed.admin.delete_records(&before).await.unwrap();
        assert!(deleted.iter().all(|(_, start)| start.is_ok()), "{code}");
        assert_eq!(fault.hits(), 2, "DeleteRecords {code}");
    }
    for code in [E::LeaderNotAvailable, E::UnknownTopicOrPartition] {
        let fault = Fault::new(FaultAction::Answer(code)).on(ApiKey::Metadata);
        let fault = bed.inject(fault.topic(&topic).times(4));
        let listed = bed
            .admin
            .list_offsets(&partitions[..1], OffsetAt::Earliest)
            .await;
        only(listed.unwrap()).unwrap();
        assert_eq!(fault.hits(), 4, "Metadata {code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_controller_refuses_for_the_moment_is_tried_again() {
    let bed = Bed::embedded().await;
    for code in [
        E::NotController,
        E::RequestTimedOut,
        E::ThrottlingQuotaExceeded,
    ] {
        let (one, two) = (name("admin"), name("admin"));
        // One of two is refused: the other is not made again.
        let fault = Fault::new(FaultAction::Answer(code)).on(ApiKey::CreateTopics);
        let fault = bed.inject(fault.topic(&one).times(2));
        let new = [NewTopic::new(&one, 1, 1), NewTopic::new(&two, 1, 1)];
        for (topic, result) in bed.admin.create_topics(&new).await.unwrap() {
            result.unwrap_or_else(|e| panic!("{topic}: {e}"));
        }
        assert_eq!(fault.hits(), 2, "CreateTopics {code}");

        let fault = bed.refuses_twice(ApiKey::CreatePartitions, code);
        only(bed.admin.create_partitions(&[(&one, 2)]).await.unwrap()).unwrap();
        assert_eq!(fault.hits(), 2, "CreatePartitions {code}");

        let resource = ConfigResource::Topic(one.clone());
        let fault = bed.refuses_twice(ApiKey::IncrementalAlterConfigs, code);
        let set = [("retention.ms", ConfigOp::Set("60000".to_owned()))];
        bed.admin.alter_configs(&resource, &set).await.unwrap();
        assert_eq!(fault.hits(), 2, "IncrementalAlterConfigs {code}");

        let fault = bed.refuses_twice(ApiKey::DescribeConfigs, code);
        bed.admin.describe_configs(&resource).await.unwrap();
        assert_eq!(fault.hits(), 2, "DescribeConfigs {code}");

        let fault = bed.refuses_twice(ApiKey::DeleteTopics, code);
        only(bed.admin.delete_topics(&[&one]).await.unwrap()).unwrap();
        assert_eq!(fault.hits(), 2, "DeleteTopics {code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_does_not_exist_is_an_answer_long_before_the_request_timeout() {
    let bed = Bed::embedded().await;
    let there = TopicPartition::new(bed.topic(1).await, 0);
    let nowhere = TopicPartition::new(name("nowhere"), 0);
    let unknown = Some(E::UnknownTopicOrPartition);
    let client = bed.client(BOUND * 60);
    let admin = client.admin();

    let both = [there.clone(), nowhere.clone()];
    let listed = within(admin.list_offsets(&both, OffsetAt::Latest)).await;
    let mut listed = listed.unwrap();
    let (missing, found) = (listed.pop().unwrap(), listed.pop().unwrap());
    assert_eq!((missing.0, code(&missing.1)), (nowhere.clone(), unknown));
    assert_eq!(found.0, there);
    assert_eq!(found.1.unwrap().offset, Some(0));

    let only_missing = [nowhere.clone()];
    let listed = within(admin.list_offsets(&only_missing, OffsetAt::Latest)).await;
    assert_eq!(code(&only(listed.unwrap())), unknown);
    let deleted = within(admin.delete_records(&[(nowhere.clone(), -1)])).await;
    assert_eq!(code(&only(deleted.unwrap())), unknown);
    let offsets = [(nowhere.clone(), 1)];
    let set = within(admin.alter_group_offsets(&name("group"), &offsets)).await;
    assert_eq!(code(&only(set.unwrap())), unknown);
    let reset = admin.reset_group_offsets("g", &only_missing, OffsetAt::Earliest);
    assert_eq!(code(&only(within(reset).await.unwrap())), unknown);
    let resource = ConfigResource::Topic(nowhere.topic.to_string());
    let described = within(admin.describe_configs(&resource)).await;
    assert_eq!(code(&described), unknown);
    let described = within(admin.describe_topics(&[&nowhere.topic])).await;
    assert_eq!(code(&only(described.unwrap())), unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_good_is_not_tried_again() {
    let bed = Bed::embedded().await;
    let topic = bed.topic(1).await;
    let offsets = [(TopicPartition::new(&*topic, 0), 1)];
    let refused = E::GroupAuthorizationFailed;
    let fault = Fault::new(FaultAction::Answer(refused)).on(ApiKey::OffsetCommit);
    let fault = bed.inject(fault);
    let set = bed.admin.alter_group_offsets("g", &offsets).await.unwrap();
    assert_eq!(code(&only(set)), Some(refused));
    assert_eq!(fault.hits(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_outlive_lost_connections_and_end_in_time() {
    let bed = Bed::embedded().await;
    let topic = bed.topic(1).await;
    let partition = [TopicPartition::new(&*topic, 0)];
    for action in [FaultAction::DropBefore, FaultAction::DropAfter] {
        bed.inject(Fault::new(action).on(ApiKey::ListOffsets).times(2));
        let found = bed.admin.list_offsets(&partition, OffsetAt::Latest).await;
        only(found.unwrap()).unwrap();
    }
    // A connection that falls silent costs one attempt, and not the call.
    let silent = Fault::new(FaultAction::NeverAnswer).on(ApiKey::ListGroups);
    let silent = bed.inject(silent.times(1));
    bed.client(Duration::from_secs(6))
        .admin()
        .list_groups()
        .await
        .unwrap();
    assert_eq!(silent.hits(), 1);

    bed.inject(Fault::new(FaultAction::NeverAnswer).on(ApiKey::ListGroups));
    let hasty = bed.client(Duration::from_millis(500)).admin();
    let error = within(hasty.list_groups()).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");

    // What is refused to the end is told with the reason.
    let loading = FaultAction::Answer(E::CoordinatorLoadInProgress);
    bed.inject(Fault::new(loading).on(ApiKey::OffsetCommit));
    let offsets = [(partition[0].clone(), 1)];
    let admin = bed.client(Duration::from_secs(2)).admin();
    let error = within(admin.alter_group_offsets("g", &offsets)).await;
    let error = error.unwrap_err();
    let last = match &error {
        ClientError::Timeout { last, .. } => last.as_deref().unwrap_or_default(),
        _ => panic!("{error}"),
    };
    assert!(last.contains("OffsetCommit"), "{last}");
}
