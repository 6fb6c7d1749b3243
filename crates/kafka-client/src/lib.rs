//! Producer, consumer group, offsets and admin for Apache Kafka in pure Rust.
