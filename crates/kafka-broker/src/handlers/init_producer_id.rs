//! InitProducerId: the id of an idempotent producer (KIP-98).

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::{Context, Handle, NoAnswer};
use crate::shape::{Field, INT16, INT32, INT64, STRING};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=4;

impl Handle for InitProducerIdRequest {
    type Response = InitProducerIdResponse;
    const SHAPE: &'static [Field] = &[STRING, INT32, INT64.from(3), INT16.from(3)];

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<InitProducerIdResponse> {
        Some(refused(error))
    }

    async fn handle(self, context: &Context) -> Result<InitProducerIdResponse, NoAnswer> {
        if self.transactional_id.is_some() {
            // This broker has no transactions. Kafka answers the same to a transactional id that cannot be.
            return Ok(refused(ResponseError::InvalidRequest));
        }
        // Without a transactional id, Kafka too gives a new id whatever id and epoch the producer had.
        let id = context.cluster.new_producer_id();
        Ok(InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(0))
    }
}

fn refused(error: ResponseError) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}
