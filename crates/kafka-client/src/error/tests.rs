use super::*;
use ResponseError as E;

/// All of Kafka's errors, and some that it may yet invent.
fn every_code() -> impl Iterator<Item = ResponseError> {
    (-1..=200).filter_map(ResponseError::try_from_code)
}

fn codes(wanted: impl Fn(ResponseError) -> bool) -> Vec<ResponseError> {
    every_code().filter(|code| wanted(*code)).collect()
}

#[test]
fn what_kafka_calls_retriable_is_tried_again_and_hardly_anything_else() {
    let not_tried = codes(|code| code.is_retriable() && Remedy::of(code) == Remedy::Fatal);
    let of_apis_that_are_not_used = [
        E::EligibleLeadersNotAvailable,
        E::ElectionNotNeeded,
        E::ShareSessionNotFound,
        E::InvalidShareSessionEpoch,
        E::ShareSessionLimitReached,
    ];
    assert_eq!(not_tried, of_apis_that_are_not_used);
    let tried = codes(|code| !code.is_retriable() && Remedy::of(code) != Remedy::Fatal);
    assert_eq!(tried, [E::BrokerNotAvailable, E::ConcurrentTransactions]);
}

#[test]
fn where_to_look_before_another_attempt() {
    let coordinators = codes(|code| Remedy::of(code) == Remedy::FindCoordinator);
    assert_eq!(
        coordinators,
        [E::CoordinatorNotAvailable, E::NotCoordinator]
    );
    for elsewhere in [
        E::NotLeaderOrFollower,
        E::LeaderNotAvailable,
        E::FencedLeaderEpoch,
        E::NotController,
        E::UnknownTopicOrPartition,
    ] {
        assert_eq!(Remedy::of(elsewhere), Remedy::RefreshMetadata);
    }
    // It is the right one, and reads the group's offsets.
    let loading = Remedy::of(E::CoordinatorLoadInProgress);
    assert_eq!(loading, Remedy::Retry);
}

#[test]
fn a_batch_is_refused_repeated_or_out_of_sequence_and_only_some_may_be_written() {
    use ProduceVerdict as V;
    let verdicts = |wanted: V| codes(|code| V::of(code) == wanted);
    assert_eq!(verdicts(V::Written), [E::DuplicateSequenceNumber]);
    // KIP-360: an idempotent producer goes on from each of these under its next epoch.
    assert_eq!(
        verdicts(V::SequenceLost),
        [
            E::OutOfOrderSequenceNumber,
            E::InvalidProducerEpoch,
            E::InvalidProducerIdMapping,
            E::UnknownProducerId,
        ]
    );
    let maybe_written = true;
    assert_eq!(
        verdicts(V::Retry { maybe_written }),
        [
            E::LeaderNotAvailable,
            E::NotLeaderOrFollower,
            E::RequestTimedOut,
            E::BrokerNotAvailable,
            E::ReplicaNotAvailable,
            E::NetworkException,
            E::NotEnoughReplicasAfterAppend,
            E::KafkaStorageError,
            E::FencedLeaderEpoch,
        ]
    );
    assert_eq!(
        verdicts(V::Refused { maybe_written }),
        [E::UnknownServerError]
    );
    let maybe_written = false;
    let repeated = verdicts(V::Retry { maybe_written });
    for code in [
        E::NotEnoughReplicas,
        E::UnknownTopicOrPartition,
        E::CorruptMessage,
        E::ThrottlingQuotaExceeded,
    ] {
        assert!(repeated.contains(&code), "{code}");
    }
    let refused = verdicts(V::Refused { maybe_written });
    assert_eq!(
        verdicts(V::TooLarge),
        [E::MessageTooLarge, E::RecordListTooLarge]
    );
    for code in [
        E::InvalidRecord,
        E::InvalidTimestamp,
        E::TopicAuthorizationFailed,
        // Another producer took over a transactional id; a new epoch of ours would be taken from it in turn.
        E::ProducerFenced,
        E::Unknown(200),
    ] {
        assert!(refused.contains(&code), "{code}");
    }
    // Nothing else has a meaning of its own.
    for code in every_code() {
        match V::of(code) {
            V::Retry { .. } => assert_ne!(Remedy::of(code), Remedy::Fatal, "{code}"),
            V::Refused { .. } | V::TooLarge => {
                assert_eq!(Remedy::of(code), Remedy::Fatal, "{code}")
            }
            V::Written | V::SequenceLost => {}
        }
    }
}

#[test]
fn a_lost_answer_may_be_one_to_a_batch_that_was_written() {
    let address: Arc<str> = Arc::from("broker:9092");
    let lost = WireError::Disconnected {
        address: Arc::clone(&address),
        reason: "reset".to_owned(),
    };
    let maybe_written = true;
    assert_eq!(
        ProduceVerdict::of_wire(&lost),
        ProduceVerdict::Retry { maybe_written }
    );
    let api = "Produce";
    let throttled = WireError::Throttled {
        address: Arc::clone(&address),
        api,
        after: Duration::from_secs(1),
    };
    // A broker that is to be spared is neither gone nor the wrong one.
    assert_eq!(Remedy::of_wire(&throttled), Remedy::Retry);
    for unsent in [WireError::UnsupportedVersion { address, api }, throttled] {
        let maybe_written = false;
        assert_eq!(
            ProduceVerdict::of_wire(&unsent),
            ProduceVerdict::Retry { maybe_written }
        );
    }
}

#[test]
fn an_offset_out_of_range_is_no_failure_of_the_fetch() {
    let out = codes(|code| FetchVerdict::of(code) == FetchVerdict::OutOfRange);
    assert_eq!(out, [E::OffsetOutOfRange]);
    for code in [E::NotLeaderOrFollower, E::OffsetNotAvailable] {
        assert_eq!(FetchVerdict::of(code), FetchVerdict::Retry, "{code}");
    }
    for code in [E::TopicAuthorizationFailed, E::UnsupportedVersion] {
        assert_eq!(FetchVerdict::of(code), FetchVerdict::Fatal, "{code}");
    }
}

#[test]
fn each_error_about_a_member_has_a_verdict_of_its_own() {
    use GroupVerdict as V;
    for (verdict, code) in [
        (V::MemberIdRequired, E::MemberIdRequired),
        (V::Rebalance, E::RebalanceInProgress),
        (V::UnknownMember, E::UnknownMemberId),
        (V::IllegalGeneration, E::IllegalGeneration),
        (V::Fenced, E::FencedInstanceId),
    ] {
        assert_eq!(codes(|code| V::of(code) == verdict), [code]);
    }
    for code in [
        E::CoordinatorLoadInProgress,
        E::CoordinatorNotAvailable,
        E::NotCoordinator,
        E::UnstableOffsetCommit,
        // A commit for a topic that the coordinator has not heard of yet.
        E::UnknownTopicOrPartition,
    ] {
        assert_eq!(V::of(code), V::Retry, "{code}");
    }
    for code in [
        E::GroupAuthorizationFailed,
        E::InconsistentGroupProtocol,
        E::InvalidSessionTimeout,
        E::GroupMaxSizeReached,
        E::OffsetMetadataTooLarge,
        E::InvalidCommitOffsetSize,
        E::Unknown(200),
    ] {
        assert_eq!(V::of(code), V::Fatal, "{code}");
    }
}

fn refused(code: ResponseError) -> ProduceError {
    ProduceError::Refused {
        topic: Arc::from("orders"),
        partition: 0,
        code,
        message: None,
        maybe_written: false,
    }
}

#[test]
fn what_is_wrong_with_a_record_is_not_wrong_with_its_topic() {
    let of_record = codes(|code| refused(code).is_of_record());
    let expected = [
        E::MessageTooLarge,
        E::RecordListTooLarge,
        E::InvalidTimestamp,
        E::InvalidRecord,
    ];
    assert_eq!(of_record, expected);
    assert_eq!(codes(|code| refused(code).is_of_producer()), []);
}

#[test]
fn a_producer_is_at_its_end_when_it_is_closed_or_gets_no_id() {
    let no_id = |source| ProduceError::ProducerId(Box::new(source)).is_of_producer();
    let answered = |code| ClientError::broker("InitProducerId", "the producer", code);
    let maybe_written = false;
    assert!(ProduceError::Closed { maybe_written }.is_of_producer());
    assert!(no_id(ClientError::Closed));
    assert!(no_id(answered(E::ClusterAuthorizationFailed)));
    assert!(!no_id(answered(E::CoordinatorLoadInProgress)));
}
