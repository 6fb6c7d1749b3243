//! The shapes of what members of a group tell each other. Brokers carry these bytes and do not look at them, so that what is in
//! them is whatever some other client wrote.

use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};

use super::{BYTES, Field, INT32, INT32S, STRING, STRINGS, Shaped, array};

/// Some partitions of a topic.
const PARTITIONS: &[Field] = &[STRING, INT32S];

/// Topics, user data, owned partitions (KIP-429), generation (KIP-792) and rack (KIP-881).
impl Shaped for ConsumerProtocolSubscription {
    const SHAPE: &'static [Field] = &[
        STRINGS,
        BYTES,
        array(PARTITIONS).from(1),
        INT32.from(2),
        STRING.from(3),
    ];
}

/// Assigned partitions and user data.
impl Shaped for ConsumerProtocolAssignment {
    const SHAPE: &'static [Field] = &[array(PARTITIONS), BYTES];
}
