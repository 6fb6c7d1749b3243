//! One connection to one Kafka broker, the table of APIs and versions, and the record batch codec.
