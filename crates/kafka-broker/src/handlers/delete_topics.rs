//! DeleteTopics.

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::delete_topics_response::DeletableTopicResult;
use kafka_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use super::{Context, Handle, NoAnswer, code, text};
use crate::faults::Target;
use crate::shape::{Field, INT32, STRINGS};

pub(super) const VERSIONS: RangeInclusive<i16> = 1..=5;

impl Handle for DeleteTopicsRequest {
    type Response = DeleteTopicsResponse;
    const SHAPE: &'static [Field] = &[STRINGS, INT32];

    fn targets(&self, visit: &mut dyn FnMut(Target<'_>)) {
        for name in &self.topic_names {
            visit(Target::topic(name));
        }
    }

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<DeleteTopicsResponse> {
        Some(respond(&self.topic_names, |_| Some(error)))
    }

    async fn handle(self, context: &Context) -> Result<DeleteTopicsResponse, NoAnswer> {
        Ok(respond(&self.topic_names, |name| {
            let deleted = context.cluster.delete_topic(name);
            (!deleted).then_some(ResponseError::UnknownTopicOrPartition)
        }))
    }
}

fn respond(
    names: &[TopicName],
    mut result: impl FnMut(&TopicName) -> Option<ResponseError>,
) -> DeleteTopicsResponse {
    let responses = names
        .iter()
        .map(|name| {
            let error = result(name);
            DeletableTopicResult::default()
                .with_name(Some(name.clone()))
                .with_error_code(code(error))
                .with_error_message(error.map(|e| text(e.to_string())))
        })
        .collect();
    DeleteTopicsResponse::default().with_responses(responses)
}
