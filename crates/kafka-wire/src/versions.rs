//! Agreeing with a broker on the versions of its APIs (KIP-35).
//!
//! This is rskafka's `sync_versions` but for one thing: an answer that says that the client is throttled is an answer
//! (KIP-219). rskafka drops it and asks again, which never ends where a quota is exceeded all the time.

use std::collections::HashMap;

use rskafka::messenger::{Messenger, RequestError, SyncVersionsError};
use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, RequestBody};
use rskafka::protocol::primitives::{CompactString, Int16, TaggedFields};

use crate::stream::WireStream;

/// What a broker says beside the versions.
#[derive(Debug)]
pub(crate) struct Agreed {
    /// For how many milliseconds it wants to be spared (KIP-219); 0 for not at all.
    pub(crate) throttle_time_ms: i32,
}

/// Asks for the versions, in lower and lower versions of the question until the broker understands it, and has the
/// messenger use them.
pub(crate) async fn agree(
    messenger: &mut Messenger<WireStream>,
) -> Result<Agreed, SyncVersionsError> {
    let asked = ApiVersionsRequest::API_VERSION_RANGE;
    for highest in (asked.min().0.0..=asked.max().0.0).rev() {
        let range = ApiVersionRange::new(asked.min(), ApiVersion(Int16(highest)));
        messenger.override_version_ranges(HashMap::from([(ApiKey::ApiVersions, range)]));
        let question = ApiVersionsRequest {
            client_software_name: Some(CompactString(env!("CARGO_PKG_NAME").to_owned())),
            client_software_version: Some(CompactString(env!("CARGO_PKG_VERSION").to_owned())),
            tagged_fields: Some(TaggedFields::default()),
        };
        match messenger.request(question).await {
            Ok(answer) if answer.error_code.is_none() => {
                let throttle_time_ms = answer.throttle_time_ms.map_or(0, |ms| ms.0);
                messenger.override_version_ranges(ranges(answer)?);
                return Ok(Agreed { throttle_time_ms });
            }
            Ok(answer) => {
                tracing::debug!(code = ?answer.error_code, highest, "the broker refuses this version of ApiVersions");
            }
            Err(
                error @ (RequestError::ReadVersionedError(_)
                | RequestError::ReadError(_)
                | RequestError::TooMuchData { .. }),
            ) => {
                tracing::debug!(%error, highest, "cannot read this version of ApiVersions");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(SyncVersionsError::NoWorkingVersion)
}

fn ranges(
    answer: ApiVersionsResponse,
) -> Result<HashMap<ApiKey, ApiVersionRange>, SyncVersionsError> {
    let range = |api: rskafka::protocol::messages::ApiVersionsResponseApiKey| {
        // ApiVersionRange::new panics on these.
        if api.min_version.0 > api.max_version.0 {
            return Err(SyncVersionsError::FlippedVersionRange {
                api_key: api.api_key,
                min: api.min_version,
                max: api.max_version,
            });
        }
        let range = ApiVersionRange::new(api.min_version, api.max_version);
        Ok((api.api_key, range))
    };
    answer.api_keys.into_iter().map(range).collect()
}
