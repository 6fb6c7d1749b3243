//! The shapes against the generated decoders: what is written by a shape is read by the decoder of its message.

use kafka_protocol::messages as m;
use kafka_protocol::protocol::Decodable;

use super::*;
use crate::api::ApiRequest;

/// Writes a message of this shape: two elements an array, every tagged field that is known, and one that is not.
struct Writer {
    version: i16,
    flexible: bool,
    bytes: Vec<u8>,
    /// Where the numbers of elements are.
    counts: Vec<usize>,
}

impl Writer {
    fn write(shape: &[Field], version: i16, flexible: bool) -> Self {
        let mut writer = Self {
            version,
            flexible,
            bytes: Vec::new(),
            counts: Vec::new(),
        };
        writer.structure(shape);
        writer
    }

    fn structure(&mut self, fields: &[Field]) {
        let present = || fields.iter().filter(|field| field.is_in(self.version));
        let placed: Vec<_> = present().filter(|field| field.tag.is_none()).collect();
        let tagged: Vec<_> = present()
            .filter_map(|field| Some((field.tag?, field)))
            .collect();
        for field in placed {
            self.field(field.kind);
        }
        if !self.flexible {
            return;
        }
        self.bytes.push(tagged.len() as u8 + 1);
        for (tag, field) in tagged {
            self.bytes.extend([tag as u8, 0]);
            let start = self.bytes.len();
            self.field(field.kind);
            let size = self.bytes.len() - start;
            assert!(size < 0x80, "one byte is kept for the size");
            self.bytes[start - 1] = size as u8;
        }
        self.bytes.extend([99, 3, 7, 7, 7]);
    }

    fn field(&mut self, kind: Kind) {
        match kind {
            Kind::Fixed(size) => self.bytes.extend(vec![1; size]),
            Kind::String if self.flexible => self.bytes.extend(*b"\x03ab"),
            Kind::String => self.bytes.extend(*b"\0\x02ab"),
            Kind::Bytes if self.flexible => self.bytes.extend(*b"\x03ab"),
            Kind::Bytes => self.bytes.extend(*b"\0\0\0\x02ab"),
            Kind::Structure(fields) => self.structure(fields),
            Kind::Array(fields) => self.elements(|writer| writer.structure(fields)),
            Kind::ArrayOf(size) => self.elements(|writer| writer.field(Kind::Fixed(size))),
            Kind::ArrayOfStrings => self.elements(|writer| writer.field(Kind::String)),
        }
    }

    fn elements(&mut self, mut element: impl FnMut(&mut Self)) {
        self.counts.push(self.bytes.len());
        match self.flexible {
            true => self.bytes.push(3),
            false => self.bytes.extend([0, 0, 0, 2]),
        }
        element(self);
        element(self);
    }

    /// The same message with another number of elements at one place.
    fn claiming(&self, at: usize, claim: &[u8]) -> Vec<u8> {
        let width = if self.flexible { 1 } else { 4 };
        let (before, after) = self.bytes.split_at(at);
        [before, claim, &after[width..]].concat()
    }
}

fn holds<R: ApiRequest>() {
    let versions = R::MIN_VERSION..=R::MAX_VERSION;
    holds_in::<R::Response>(R::NAME, versions, R::FIRST_FLEXIBLE_VERSION);
}

fn holds_in<M: Shaped + Decodable>(
    name: &str,
    versions: std::ops::RangeInclusive<i16>,
    first_flexible: i16,
) {
    for version in versions {
        let name = format!("{name} v{version}");
        let written = Writer::write(M::SHAPE, version, version >= first_flexible);
        let checked = |bytes: &[u8]| check(M::SHAPE, version, written.flexible, bytes);
        let mut rest = written.bytes.as_slice();
        let read = M::decode(&mut rest, version);
        assert!(read.is_ok() && rest.is_empty(), "{name}: {:?}", read.err());
        assert_eq!(checked(&written.bytes), Ok(()), "{name}");

        for length in 0..written.bytes.len() {
            assert!(checked(&written.bytes[..length]).is_err(), "{name}");
        }
        let claims: &[&[u8]] = match written.flexible {
            true => &[
                &[0x7f],
                &[0xff, 0xff, 0x7f],
                &[0xff, 0xff, 0xff, 0xff, 0x0f],
            ],
            false => &[
                &[0, 0, 0, 127],
                &[0, 0x1f, 0xff, 0xff],
                &[0x7f, 0xff, 0xff, 0xff],
            ],
        };
        for at in &written.counts {
            for claim in claims {
                assert!(checked(&written.claiming(*at, claim)).is_err(), "{name}");
            }
        }
    }
}

#[test]
fn the_shapes_are_what_the_decoders_read_and_refuse_elements_that_are_not_there() {
    macro_rules! each {
        ($($request:ident)+) => {{ $(holds::<m::$request>();)+ [$(<m::$request as ApiRequest>::KEY),+] }};
    }
    let keys = each! {
        ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
        FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest
        DescribeGroupsRequest ListGroupsRequest SaslHandshakeRequest CreateTopicsRequest DeleteTopicsRequest
        DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest DescribeConfigsRequest
        SaslAuthenticateRequest CreatePartitionsRequest DeleteGroupsRequest IncrementalAlterConfigsRequest
        OffsetDeleteRequest DescribeClusterRequest
    };
    let table: Vec<_> = crate::api::TABLE.iter().map(|row| row.key).collect();
    assert_eq!(keys.as_slice(), table);
}

#[test]
fn the_shapes_of_what_members_tell_each_other_are_what_the_decoders_read() {
    let never = i16::MAX;
    holds_in::<m::ConsumerProtocolSubscription>("ConsumerProtocolSubscription", 0..=3, never);
    holds_in::<m::ConsumerProtocolAssignment>("ConsumerProtocolAssignment", 0..=3, never);
}

#[test]
fn a_message_of_a_later_version_goes_on_after_its_known_beginning() {
    const SHAPE: &[Field] = &[INT32S];
    let body = [0, 0, 0, 1, 0, 0, 0, 7, 99];
    assert!(check(SHAPE, 0, false, &body).is_err());
    assert_eq!(check_beginning(SHAPE, 0, false, &body), Ok(()));
    assert!(check_beginning(SHAPE, 0, false, &body[..7]).is_err());
}

#[test]
fn a_tagged_field_that_is_known_has_the_size_that_it_says() {
    const SHAPE: &[Field] = &[INT8, INT32.tagged(0)];
    let body = |size: u8| [&[1, 1, 0, size][..], &[7; 4]].concat();
    assert_eq!(check(SHAPE, 0, true, &body(4)), Ok(()));
    // The decoder reads four bytes whatever the size says: what it would read next is not what was looked at.
    assert!(check(SHAPE, 0, true, &body(2)).is_err());
    assert!(check(SHAPE, 0, true, &[body(5), vec![7]].concat()).is_err());
}
