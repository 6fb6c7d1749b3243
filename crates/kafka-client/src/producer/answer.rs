//! What a broker's answer to a batch means for its sequence.

use kafka_wire::ResponseError;

use super::sequencer::Answer;
use crate::error::Remedy;

/// What this error code says about the batch that it answers. Whether it can be retried is [`Remedy`]'s to say; here are only
/// the codes that are about sequences.
pub(crate) fn classify(code: ResponseError) -> Answer {
    use ResponseError as E;
    match code {
        // The batch is in the log already: the answer to an earlier attempt was lost.
        E::DuplicateSequenceNumber => Answer::Written,
        E::OutOfOrderSequenceNumber
        | E::UnknownProducerId
        | E::InvalidProducerEpoch
        | E::InvalidProducerIdMapping => Answer::Disordered,
        code if Remedy::of(code) == Remedy::Fatal => Answer::Refused {
            maybe_written: may_have_been_written(code),
        },
        code => Answer::Again {
            maybe_written: may_have_been_written(code),
        },
    }
}

/// Whether a broker that answers so may have appended the batch: some find out only while they wait for the replicas.
fn may_have_been_written(code: ResponseError) -> bool {
    use ResponseError as E;
    matches!(
        code,
        E::RequestTimedOut
            | E::NotEnoughReplicasAfterAppend
            | E::NotLeaderOrFollower
            | E::FencedLeaderEpoch
            | E::KafkaStorageError
            | E::UnknownServerError
            | E::LeaderNotAvailable
            | E::ReplicaNotAvailable
            | E::BrokerNotAvailable
            | E::NetworkException
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_they_say() {
        use ResponseError as E;
        assert_eq!(classify(E::DuplicateSequenceNumber), Answer::Written);
        assert_eq!(classify(E::OutOfOrderSequenceNumber), Answer::Disordered);
        for (code, maybe_written) in [
            (E::NotLeaderOrFollower, true),
            (E::NotEnoughReplicasAfterAppend, true),
            (E::NotEnoughReplicas, false),
            (E::UnknownTopicOrPartition, false),
            (E::CorruptMessage, false),
        ] {
            assert_eq!(classify(code), Answer::Again { maybe_written }, "{code}");
        }
        for code in [
            E::MessageTooLarge,
            E::TopicAuthorizationFailed,
            E::InvalidRecord,
        ] {
            assert_eq!(
                classify(code),
                Answer::Refused {
                    maybe_written: false
                },
                "{code}"
            );
        }
    }
}
