//! The names of what is measured on connections, through the `metrics` facade.

/// Seconds from the call to the answer or the failure, a histogram by `api` and `broker`. A fetch or a join that the broker holds
/// back on purpose counts with that time, and so does what waits for a throttle (KIP-219) before it is sent.
pub const REQUEST_DURATION: &str = "kafka_request_duration_seconds";

/// Requests that got no answer, by `api` and `broker`: those, too, that were never sent, since a throttle lasted for longer than they
/// could wait or the broker speaks no version of them. An answer with an error code in it is an answer.
pub const REQUEST_ERRORS: &str = "kafka_request_errors_total";

/// Connections opened, by `broker`.
pub const CONNECTIONS: &str = "kafka_connections_opened_total";

/// Seconds for which brokers asked to be spared (KIP-219), a histogram by `api`: the one whose answer said so.
pub const THROTTLE: &str = "kafka_throttle_seconds";
