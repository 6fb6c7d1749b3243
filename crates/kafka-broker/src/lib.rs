//! An embedded, in-memory broker that speaks the Kafka wire protocol over TCP.
