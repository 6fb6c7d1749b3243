//! DescribeCluster (KIP-700).

use std::ops::RangeInclusive;

use kafka_wire::ResponseError;
use kafka_wire::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_wire::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::{Context, Handle, NoAnswer, text};
use crate::shape::{Field, INT8};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=1;

/// The endpoints that are brokers; the other kind, controllers, have none here.
const BROKERS: i8 = 1;

impl Handle for DescribeClusterRequest {
    type Response = DescribeClusterResponse;
    const SHAPE: &'static [Field] = &[INT8, INT8.from(1)];

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<DescribeClusterResponse> {
        Some(refused(error))
    }

    async fn handle(self, context: &Context) -> Result<DescribeClusterResponse, NoAnswer> {
        if self.endpoint_type != BROKERS {
            return Ok(refused(ResponseError::MismatchedEndpointType));
        }
        let cluster = &context.cluster;
        let brokers = cluster.nodes.up().map(|node| {
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(node.id))
                .with_host(text(node.host.clone()))
                .with_port(i32::from(node.address.port()))
                .with_rack(node.rack.clone().map(text))
        });
        Ok(DescribeClusterResponse::default()
            .with_cluster_id(text(cluster.config.cluster_id.clone()))
            .with_controller_id(BrokerId(cluster.nodes.controller()))
            .with_brokers(brokers.collect()))
    }
}

fn refused(error: ResponseError) -> DescribeClusterResponse {
    DescribeClusterResponse::default()
        .with_error_code(error.code())
        .with_error_message(Some(text(error.to_string())))
}
