//! A look at a message before it is decoded.
//!
//! The generated decoders reserve room for as many elements as an array says it has. A message of 20 bytes that claims two
//! billion would so end the process. The walk here follows a message's fields by their sizes alone and refuses an array
//! whose elements are not all there, so that decoding takes at most a small multiple of the message's own size.

mod members;
mod responses;
#[cfg(test)]
mod tests;

/// The size of a field on the wire, and in which versions it is there.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    kind: Kind,
    from: i16,
    to: i16,
    /// The number of a tagged field; none of one that has its place.
    tag: Option<u32>,
}

/// What a field is made of.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Fixed(usize),
    String,
    Bytes,
    Structure(&'static [Field]),
    Array(&'static [Field]),
    ArrayOf(usize),
    ArrayOfStrings,
}

const fn field(kind: Kind) -> Field {
    Field {
        kind,
        from: 0,
        to: i16::MAX,
        tag: None,
    }
}

/// A boolean or int8.
pub const INT8: Field = field(Kind::Fixed(1));
/// An int16.
pub const INT16: Field = field(Kind::Fixed(2));
/// An int32.
pub const INT32: Field = field(Kind::Fixed(4));
/// An int64.
pub const INT64: Field = field(Kind::Fixed(8));
/// A UUID.
pub const UUID: Field = field(Kind::Fixed(16));
/// A string, nullable or not.
pub const STRING: Field = field(Kind::String);
/// Bytes or records, nullable or not.
pub const BYTES: Field = field(Kind::Bytes);
/// An array of int32, nullable or not.
pub const INT32S: Field = field(Kind::ArrayOf(4));
/// An array of strings, nullable or not.
pub const STRINGS: Field = field(Kind::ArrayOfStrings);

/// An array of structs, nullable or not.
pub const fn array(fields: &'static [Field]) -> Field {
    field(Kind::Array(fields))
}

/// A struct.
pub const fn structure(fields: &'static [Field]) -> Field {
    field(Kind::Structure(fields))
}

impl Field {
    /// A tagged field (KIP-482). The decoders read one by its type and do not look at the size that it says it has, so those that
    /// they know have to be told here; the walk makes sure that the two agree.
    #[must_use]
    pub const fn tagged(mut self, tag: u32) -> Self {
        self.tag = Some(tag);
        self
    }

    /// There only from this version on.
    #[must_use]
    pub const fn from(mut self, version: i16) -> Self {
        self.from = version;
        self
    }

    const fn is_in(&self, version: i16) -> bool {
        self.from <= version && version <= self.to
    }

    /// There only up to this version.
    #[must_use]
    pub const fn to(mut self, version: i16) -> Self {
        self.to = version;
        self
    }
}

/// A message whose fields are known.
pub trait Shaped {
    /// Its fields, in the versions that this project speaks.
    const SHAPE: &'static [Field];
}

/// Checks that every array of a message's body has the elements that it says it has. `flexible` versions have compact lengths and
/// tagged fields (KIP-482).
///
/// # Errors
///
/// What is wrong with the message.
pub fn check(
    shape: &[Field],
    version: i16,
    flexible: bool,
    body: &[u8],
) -> Result<(), &'static str> {
    if walk(shape, version, flexible, body)?.is_empty() {
        Ok(())
    } else {
        Err("bytes are left after the message")
    }
}

/// As [`check`], for a message that may go on after what is known of it, as that of a later version does.
///
/// # Errors
///
/// What is wrong with the message.
pub fn check_beginning(
    shape: &[Field],
    version: i16,
    flexible: bool,
    body: &[u8],
) -> Result<(), &'static str> {
    walk(shape, version, flexible, body).map(drop)
}

/// Returns what is left after the message.
fn walk<'a>(
    shape: &[Field],
    version: i16,
    flexible: bool,
    body: &'a [u8],
) -> Result<&'a [u8], &'static str> {
    let mut walk = Walk {
        rest: body,
        version,
        flexible,
    };
    walk.structure(shape)?;
    Ok(walk.rest)
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

const CUT_SHORT: &str = "the message ends inside a field";

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field]) -> Result<(), &'static str> {
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                self.field(field.kind)?;
            }
        }
        if self.flexible {
            self.tagged_fields(fields)?;
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
            Kind::Structure(fields) => self.structure(fields),
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
                .ok_or("an array is longer than the message"),
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

    fn tagged_fields(&mut self, fields: &[Field]) -> Result<(), &'static str> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()?;
            let size = usize::try_from(size).map_err(|_| CUT_SHORT)?;
            let known = fields
                .iter()
                .find(|field| field.tag == Some(tag) && field.is_in(self.version));
            let Some(field) = known else {
                self.skip(size)?;
                continue;
            };
            let before = self.rest.len();
            self.field(field.kind)?;
            if before - self.rest.len() != size {
                return Err("a tagged field has another size than it says");
            }
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
