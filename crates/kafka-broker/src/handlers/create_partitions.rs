//! CreatePartitions (KIP-195).

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::{Context, Handle, NoAnswer, text};
use crate::faults::Target;
use crate::shape::{Field, INT8, INT32, INT32S, STRING, array};
use crate::topics::Refusal;

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=3;

impl Handle for CreatePartitionsRequest {
    type Response = CreatePartitionsResponse;
    const SHAPE: &'static [Field] = &[array(&[STRING, INT32, array(&[INT32S])]), INT32, INT8];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for topic in &self.topics {
            visit(Target::topic(&topic.name));
        }
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<CreatePartitionsResponse> {
        let refusal = Refusal::new(error, error.to_string());
        let results = self
            .topics
            .iter()
            .map(|topic| respond(topic, Err(refusal.clone())));
        Some(CreatePartitionsResponse::default().with_results(results.collect()))
    }

    async fn handle(self, context: &Context) -> Result<CreatePartitionsResponse, NoAnswer> {
        let results = self
            .topics
            .iter()
            .map(|topic| {
                let assignments = topic.assignments.as_ref().map(|assignments| {
                    assignments
                        .iter()
                        .map(|assignment| assignment.broker_ids.iter().map(|id| id.0).collect())
                        .collect()
                });
                let result = context.cluster.grow_topic(
                    &topic.name,
                    topic.count,
                    assignments,
                    self.validate_only,
                );
                respond(topic, result)
            })
            .collect();
        Ok(CreatePartitionsResponse::default().with_results(results))
    }
}

fn respond(
    topic: &CreatePartitionsTopic,
    result: Result<(), Refusal>,
) -> CreatePartitionsTopicResult {
    let response = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
    match result {
        Ok(()) => response,
        Err(refusal) => response
            .with_error_code(refusal.error.code())
            .with_error_message(Some(text(refusal.message))),
    }
}
