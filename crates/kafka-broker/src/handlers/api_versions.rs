//! ApiVersions: what this broker speaks (KIP-35, KIP-511).

use std::ops::RangeInclusive;

use bytes::BytesMut;
use kafka_wire::ResponseError;
use kafka_wire::messages::api_versions_response::ApiVersion;
use kafka_wire::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::{APIS, Context, Handle, NoAnswer};
use crate::shape::{Field, STRING};

pub(super) const VERSIONS: RangeInclusive<i16> = 0..=4;

impl Handle for ApiVersionsRequest {
    type Response = ApiVersionsResponse;
    const SHAPE: &'static [Field] = &[STRING.from(3), STRING.from(3)];

    fn refuse(&self, error: ResponseError, _version: i16) -> Option<ApiVersionsResponse> {
        Some(ApiVersionsResponse::default().with_error_code(error.code()))
    }

    async fn handle(self, context: &Context) -> Result<ApiVersionsResponse, NoAnswer> {
        let named =
            |name: &str| name.starts_with(|c: char| c.is_ascii_alphanumeric()) && legal(name);
        if context.version >= 3
            && !(named(&self.client_software_name) && named(&self.client_software_version))
        {
            return Ok(ApiVersionsResponse::default()
                .with_error_code(ResponseError::InvalidRequest.code()));
        }
        Ok(table())
    }
}

/// Kafka's rule for the name and version of a client (KIP-511).
fn legal(name: &str) -> bool {
    name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
}

fn table() -> ApiVersionsResponse {
    let keys = APIS
        .iter()
        .map(|api| {
            ApiVersion::default()
                .with_api_key(api.key)
                .with_min_version(*api.versions.start())
                .with_max_version(*api.versions.end())
        })
        .collect();
    ApiVersionsResponse::default().with_api_keys(keys)
}

/// The answer to a version of ApiVersions that this broker does not know: in the form of v0, which every client reads, so
/// that the client can ask again in one that both know (KIP-511).
pub(crate) fn unsupported(correlation_id: i32) -> Result<BytesMut, String> {
    let response = table().with_error_code(ResponseError::UnsupportedVersion.code());
    super::answer::try_encode(correlation_id, 0, &response)
}
