//! What a broker's answer says of each of the things that it was asked about.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use kafka_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_wire::{ApiRequest, StrBytes};

use super::{Admin, PerItem, check, unanswered};
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// A topic's part of an answer about partitions.
pub(super) trait TopicAnswer {
    type Partition;

    fn topic(&self) -> &str;
    fn partitions(&self) -> &[Self::Partition];
    fn index(partition: &Self::Partition) -> i32;
    fn error_code(partition: &Self::Partition) -> i16;
}

macro_rules! topic_answers {
    ($($topic:ty: $partition:ty;)+) => {
        $(impl TopicAnswer for $topic {
            type Partition = $partition;

            fn topic(&self) -> &str {
                &self.name.0
            }

            fn partitions(&self) -> &[$partition] {
                &self.partitions
            }

            fn index(partition: &$partition) -> i32 {
                partition.partition_index
            }

            fn error_code(partition: &$partition) -> i16 {
                partition.error_code
            }
        })+
    };
}

topic_answers! {
    DeleteRecordsTopicResult: DeleteRecordsPartitionResult;
    ListOffsetsTopicResponse: ListOffsetsPartitionResponse;
    OffsetCommitResponseTopic: OffsetCommitResponsePartition;
    OffsetDeleteResponseTopic: OffsetDeleteResponsePartition;
}

/// The result of each partition; `read` takes it from an answer without an error.
pub(super) fn of_partitions<A: TopicAnswer, T>(
    api: &'static str,
    asked: impl IntoIterator<Item = TopicPartition>,
    answers: &[A],
    read: impl Fn(&A::Partition) -> T,
) -> PerItem<TopicPartition, T> {
    let result = |asked: &TopicPartition| {
        let answer = answers
            .iter()
            .filter(|answer| answer.topic() == &*asked.topic)
            .flat_map(TopicAnswer::partitions)
            .find(|partition| A::index(partition) == asked.partition)
            .ok_or_else(|| unanswered(api, asked.to_string()))?;
        check(api, asked.to_string(), A::error_code(answer), None)?;
        Ok(read(answer))
    };
    let asked = asked.into_iter();
    asked.map(|p| (p.clone(), result(&p))).collect()
}

/// The result of each topic; `said` finds its error code and message in the answer.
pub(super) fn of_topics<'a>(
    api: &'static str,
    asked: Vec<String>,
    said: impl Fn(&str) -> Option<(i16, Option<&'a StrBytes>)>,
) -> PerItem<String, ()> {
    let result = |topic: &str| match said(topic) {
        Some((code, message)) => check(api, topic, code, message),
        None => Err(unanswered(api, topic)),
    };
    let asked = asked.into_iter();
    asked
        .map(|topic| {
            let result = result(&topic);
            (topic, result)
        })
        .collect()
}

impl Admin {
    /// Asks the partitions' leaders, each once for all that it leads. `request` is told the leader's epoch of each partition.
    pub(super) async fn ask_leaders<R: ApiRequest, A: TopicAnswer, T>(
        &self,
        partitions: Vec<TopicPartition>,
        request: impl Fn(&[(TopicPartition, i32)]) -> R,
        answers: impl Fn(&R::Response) -> &[A],
        read: impl Fn(&A::Partition) -> T,
    ) -> Result<PerItem<TopicPartition, T>, ClientError> {
        let mut results = Vec::with_capacity(partitions.len());
        let mut by_leader: BTreeMap<i32, Vec<(TopicPartition, i32)>> = BTreeMap::new();
        for (partition, leader) in self.leaders(partitions).await? {
            match leader {
                Ok(leader) => by_leader
                    .entry(leader.node)
                    .or_default()
                    .push((partition, leader.epoch)),
                Err(error) => results.push((partition, Err(error))),
            }
        }
        let asked = by_leader.into_iter().map(|(node, partitions)| {
            let request = request(&partitions);
            async move { (partitions, self.ask_broker(node, request).await) }
        });
        for (asked, response) in join_all(asked).await {
            let asked = asked.into_iter().map(|(partition, _)| partition);
            match response {
                Ok(response) => {
                    results.extend(of_partitions(R::NAME, asked, answers(&response), &read));
                }
                Err(error) => results.extend(asked.map(|p| (p, Err(error.clone())))),
            }
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use kafka_wire::ResponseError;
    use kafka_wire::messages::TopicName;

    use super::*;
    use crate::admin::text;

    /// The low watermark tells which one was read.
    fn partition(index: i32, error_code: i16, low_watermark: i64) -> DeleteRecordsPartitionResult {
        DeleteRecordsPartitionResult::default()
            .with_partition_index(index)
            .with_error_code(error_code)
            .with_low_watermark(low_watermark)
    }

    fn topic(
        name: &str,
        partitions: Vec<DeleteRecordsPartitionResult>,
    ) -> DeleteRecordsTopicResult {
        DeleteRecordsTopicResult::default()
            .with_name(TopicName(text(name)))
            .with_partitions(partitions)
    }

    fn code(error: &ClientError) -> ResponseError {
        match error {
            ClientError::Broker { code, .. } => *code,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn each_partition_has_the_result_that_names_it() {
        let denied = ResponseError::TopicAuthorizationFailed;
        let answers = [
            topic("a", vec![partition(0, 0, 10), partition(1, 0, 11)]),
            topic(
                "b",
                vec![partition(1, 0, 21), partition(0, denied.code(), 20)],
            ),
        ];
        let asked = [("b", 1), ("a", 1), ("b", 0), ("a", 2), ("c", 0)];
        let asked = asked.map(|(topic, index)| TopicPartition::new(topic, index));
        let results = of_partitions("Test", asked.clone(), &answers, |p| p.low_watermark);
        let of: Vec<_> = results.iter().map(|(asked, _)| asked.clone()).collect();
        assert_eq!(of, asked);
        let told = results.iter().map(|(_, r)| r.as_ref().map_err(code));
        let unanswered = ResponseError::UnknownServerError;
        let expected = [
            Ok(&21),
            Ok(&11),
            Err(denied),
            Err(unanswered),
            Err(unanswered),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn each_topic_has_what_is_said_of_it() {
        let exists = ResponseError::TopicAlreadyExists;
        let asked = ["a", "b", "c"].map(str::to_owned).to_vec();
        let results = of_topics("Test", asked, |topic| match topic {
            "a" => Some((0, None)),
            "b" => Some((exists.code(), None)),
            _ => None,
        });
        let told = results
            .iter()
            .map(|(t, r)| (&**t, r.as_ref().map_err(code)));
        let expected = [
            ("a", Ok(&())),
            ("b", Err(exists)),
            ("c", Err(ResponseError::UnknownServerError)),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
