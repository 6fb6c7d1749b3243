//! The cluster as a whole.

use kafka_wire::messages::DescribeClusterRequest;

use super::{Admin, check};
use crate::cluster::BrokerAddress;
use crate::error::ClientError;

/// The brokers of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's id.
    pub cluster_id: String,
    /// The broker that takes controllers' requests, if one is known.
    pub controller: Option<i32>,
    /// The brokers, by id.
    pub brokers: Vec<BrokerAddress>,
}

impl Admin {
    /// Describes the cluster (KIP-700).
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        self.attempts("describing the cluster", self.patience(), || async {
            let request = DescribeClusterRequest::default();
            let response = self.ask_any(request).await?;
            check(
                "DescribeCluster",
                "the cluster",
                response.error_code,
                response.error_message.as_ref(),
            )?;
            let mut brokers: Vec<_> = response
                .brokers
                .iter()
                .map(|b| BrokerAddress {
                    id: b.broker_id.0,
                    host: b.host.to_string(),
                    port: u16::try_from(b.port).unwrap_or_default(),
                    rack: b.rack.as_ref().map(ToString::to_string),
                })
                .collect();
            brokers.sort_by_key(|b| b.id);
            Ok(ClusterDescription {
                cluster_id: response.cluster_id.to_string(),
                controller: (response.controller_id.0 >= 0).then_some(response.controller_id.0),
                brokers,
            })
        })
        .await
    }
}
