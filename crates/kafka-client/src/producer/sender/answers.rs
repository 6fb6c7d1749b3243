//! What a broker's answers mean for the batches that were in the request.

use std::sync::Arc;

use kafka_wire::ResponseError;
use kafka_wire::messages::ProduceResponse;
use kafka_wire::messages::produce_response::PartitionProduceResponse;

use super::{Passenger, Sender};
use crate::error::ProduceVerdict;
use crate::metric;
use crate::producer::delivery::Ack;
use crate::producer::error::ProduceError;
use crate::producer::partition::Partition;
use crate::producer::sequencer::{Answer, End, Ended};
use crate::producer::split::halves;

impl Sender {
    pub(super) fn disembark(&self, passengers: Vec<Passenger>, response: ProduceResponse) {
        let mut passengers: Vec<_> = passengers.into_iter().map(Some).collect();
        // The broker answers in the order of the request, as a rule.
        let mut next = 0;
        for topic in &response.responses {
            for answered in &topic.partition_responses {
                let is_it = |p: &Option<Passenger>| {
                    p.as_ref().is_some_and(|p| {
                        p.partition.index == answered.index && *p.partition.topic == *topic.name.0
                    })
                };
                let index = match passengers.get(next) {
                    Some(p) if is_it(p) => Some(next),
                    _ => passengers.iter().position(is_it),
                };
                let Some(index) = index else {
                    tracing::warn!(topic = %topic.name.0, partition = answered.index, "an answer for a batch that was not sent");
                    continue;
                };
                next = index + 1;
                if let Some(passenger) = passengers.get_mut(index).and_then(Option::take) {
                    self.answered(passenger, answered);
                }
            }
        }
        for forgotten in passengers.into_iter().flatten() {
            let maybe_written = true;
            self.settle(forgotten, Answer::Again { maybe_written }, None);
        }
    }

    fn answered(&self, passenger: Passenger, response: &PartitionProduceResponse) {
        let Some(code) = ResponseError::try_from_code(response.error_code) else {
            self.settle(passenger, Answer::Written, Some(response));
            return;
        };
        let verdict = ProduceVerdict::of(code);
        let answer = Answer::from(verdict);
        let partition = &passenger.partition;
        if verdict == ProduceVerdict::TooLarge
            && let Some(halves) = halves(&passenger.bytes)
        {
            tracing::debug!(topic = %partition.topic, partition = partition.index, size = passenger.bytes.len(), "a batch is too large for the broker; sending it in two");
            let outcome = |ended: &Ended<()>| outcome(partition, ended, Some(response), 0);
            let memory = &self.shared.memory;
            if partition.land_halves(passenger.key, halves, outcome, memory) {
                metric::produce_again(&partition.topic);
                return;
            }
        }
        match answer {
            Answer::Written => {
                tracing::debug!(topic = %partition.topic, partition = partition.index, "the broker had the batch already");
            }
            Answer::Again { .. } => {
                tracing::debug!(topic = %partition.topic, partition = partition.index, error = %code, "a batch will be sent again");
                self.shared.cluster.request_refresh();
            }
            Answer::Disordered => {
                tracing::warn!(topic = %partition.topic, partition = partition.index, error = %code, "the broker lost track of the sequence");
            }
            Answer::Refused { .. } => {
                tracing::warn!(topic = %partition.topic, partition = partition.index, error = %code, "a batch was refused");
            }
        }
        self.settle(passenger, answer, Some(response));
    }

    pub(super) fn settle(
        &self,
        passenger: Passenger,
        answer: Answer,
        response: Option<&PartitionProduceResponse>,
    ) {
        let Passenger {
            partition,
            key,
            bytes,
        } = passenger;
        match answer {
            Answer::Written => metric::produced(&partition.topic, &bytes),
            Answer::Again { .. } => metric::produce_again(&partition.topic),
            Answer::Disordered | Answer::Refused { .. } => {}
        }
        let size = bytes.len();
        let outcome = |ended: &Ended<()>| outcome(&partition, ended, response, size);
        partition.land(key, bytes, answer, outcome, &self.shared.memory);
    }
}

/// What those who wait for a batch of this size are told.
fn outcome(
    partition: &Partition,
    ended: &Ended<()>,
    response: Option<&PartitionProduceResponse>,
    size: usize,
) -> Result<Ack, ProduceError> {
    let topic = Arc::clone(&partition.topic);
    let code = response.and_then(|r| ResponseError::try_from_code(r.error_code));
    let too_large = code.is_some_and(|c| ProduceVerdict::of(c) == ProduceVerdict::TooLarge);
    match (ended.end, response) {
        (End::Written, Some(response)) => Ok(Ack {
            base_offset: response.base_offset,
            append_time: (response.log_append_time_ms >= 0).then_some(response.log_append_time_ms),
        }),
        // More than one record would have been sent in parts.
        (End::Refused, _) if too_large && !ended.maybe_written => {
            Err(ProduceError::RecordTooLarge {
                topic,
                size,
                max: None,
            })
        }
        (End::Refused, Some(response)) => Err(ProduceError::Refused {
            topic,
            partition: partition.index,
            code: code.unwrap_or(ResponseError::UnknownServerError),
            message: response.error_message.as_ref().map(ToString::to_string),
            maybe_written: ended.maybe_written,
        }),
        // Who waited for an abandoned batch was told before; this is not heard.
        _ => Err(ProduceError::UnknownFate {
            topic,
            partition: partition.index,
        }),
    }
}
