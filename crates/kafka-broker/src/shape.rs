//! A look at a request before it is decoded.
//!
//! The generated decoders reserve room for as many elements as an array says it has. A request of 20 bytes that claims two
//! billion would so end the process. The walk here follows a request's fields by their sizes alone and refuses an array
//! whose elements are not all there, so that decoding takes at most a small multiple of the request's own size.

use crate::handlers::Handle;

/// The size of a field on the wire, and in which versions it is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    kind: Kind,
    from: i16,
    to: i16,
}

/// What a field is made of.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Fixed(usize),
    String,
    Bytes,
    Array(&'static [Field]),
    ArrayOf(usize),
    ArrayOfStrings,
}

const fn field(kind: Kind) -> Field {
    Field {
        kind,
        from: 0,
        to: i16::MAX,
    }
}

/// A boolean or int8.
pub(crate) const INT8: Field = field(Kind::Fixed(1));
pub(crate) const INT16: Field = field(Kind::Fixed(2));
pub(crate) const INT32: Field = field(Kind::Fixed(4));
pub(crate) const INT64: Field = field(Kind::Fixed(8));
pub(crate) const UUID: Field = field(Kind::Fixed(16));
/// A string, nullable or not.
pub(crate) const STRING: Field = field(Kind::String);
/// Bytes or records, nullable or not.
pub(crate) const BYTES: Field = field(Kind::Bytes);
pub(crate) const INT32S: Field = field(Kind::ArrayOf(4));
pub(crate) const STRINGS: Field = field(Kind::ArrayOfStrings);

/// An array of structs, nullable or not.
pub(crate) const fn array(fields: &'static [Field]) -> Field {
    field(Kind::Array(fields))
}

impl Field {
    /// There only from this version on.
    pub(crate) const fn from(mut self, version: i16) -> Self {
        self.from = version;
        self
    }

    /// There only up to this version.
    pub(crate) const fn to(mut self, version: i16) -> Self {
        self.to = version;
        self
    }
}

/// Checks that every array of the request has the elements that it says it has.
pub(crate) fn check<R: Handle>(body: &[u8], version: i16) -> Result<(), &'static str> {
    let mut walk = Walk {
        rest: body,
        version,
        // Tagged fields came with compact lengths, in the same version as the second request header (KIP-482).
        flexible: R::header_version(version) >= 2,
    };
    walk.structure(R::SHAPE)?;
    if walk.rest.is_empty() {
        Ok(())
    } else {
        Err("bytes are left after the request")
    }
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

const CUT_SHORT: &str = "the request ends inside a field";

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field]) -> Result<(), &'static str> {
        for field in fields {
            if (field.from..=field.to).contains(&self.version) {
                self.field(field.kind)?;
            }
        }
        if self.flexible {
            self.tagged_fields()?;
        }
        Ok(())
    }

    fn field(&mut self, kind: Kind) -> Result<(), &'static str> {
        match kind {
            Kind::Fixed(size) => self.skip(size),
            Kind::String => {
                let length = if self.flexible {
                    self.compact_length()?
                } else {
                    i64::from(i16::from_be_bytes(self.take()?))
                };
                self.skip_nullable(length)
            }
            Kind::Bytes => {
                let length = self.length()?;
                self.skip_nullable(length)
            }
            Kind::ArrayOf(size) => {
                let count = self.count()?;
                self.skip(count.checked_mul(size).ok_or(CUT_SHORT)?)
            }
            Kind::ArrayOfStrings => self.elements(|walk| walk.field(Kind::String)),
            Kind::Array(fields) => self.elements(|walk| walk.structure(fields)),
        }
    }

    fn elements(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        for _ in 0..self.count()? {
            element(self)?;
        }
        Ok(())
    }

    /// The number of an array's elements. Each takes a byte at least.
    fn count(&mut self) -> Result<usize, &'static str> {
        match self.length()? {
            -1 => Ok(0),
            count => usize::try_from(count)
                .ok()
                .filter(|count| *count <= self.rest.len())
                .ok_or("an array is longer than the request"),
        }
    }

    /// The length of bytes or an array; −1 is null.
    fn length(&mut self) -> Result<i64, &'static str> {
        if self.flexible {
            self.compact_length()
        } else {
            Ok(i64::from(i32::from_be_bytes(self.take()?)))
        }
    }

    fn compact_length(&mut self) -> Result<i64, &'static str> {
        Ok(i64::from(self.unsigned_varint()?) - 1)
    }

    fn skip_nullable(&mut self, length: i64) -> Result<(), &'static str> {
        if length == -1 {
            return Ok(());
        }
        self.skip(usize::try_from(length).map_err(|_| "a length is negative")?)
    }

    fn tagged_fields(&mut self) -> Result<(), &'static str> {
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?; // the tag
            let size = self.unsigned_varint()?;
            self.skip(usize::try_from(size).map_err(|_| CUT_SHORT)?)?;
        }
        Ok(())
    }

    fn unsigned_varint(&mut self) -> Result<u32, &'static str> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a varint has more than five bytes")
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn skip(&mut self, size: usize) -> Result<(), &'static str> {
        self.rest = self.rest.get(size..).ok_or(CUT_SHORT)?;
        Ok(())
    }
}
