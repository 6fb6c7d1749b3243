//! JSON as a request has to say it: everything in it is understood, or refused with its path.
//!
//! What serde derives for a struct is made for events, whose readers are tolerant: it takes an array of the fields' values
//! for the object and passes over names that it does not know. And its errors speak of Rust's types. Neither is what
//! somebody who writes a request by hand wants, so a body is read by a deserializer of its own. It asks the same types,
//! and so `contracts::Item` is strict in a request and tolerant in an event.

mod wrong;

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Number;
use serde_json::value::RawValue;

use wrong::{Segment, Wrong};

/// How deep arrays and objects may lie in one another. A type that takes any JSON would otherwise be read until the
/// stack is used up.
const MOST_LEVELS: usize = 64;

/// How `RawValue`, which takes a value's text as it stands, makes itself known to serde_json and nobody else.
const RAW: &str = "$serde_json::private::";

/// A value in the body: its text, which is known to be JSON.
#[derive(Clone, Copy)]
pub(super) struct Node<'de> {
    text: &'de str,
    level: usize,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl<'de> Node<'de> {
    /// The whole body.
    pub(super) fn body(value: &'de RawValue) -> Self {
        Self {
            text: value.get(),
            level: 0,
        }
    }

    fn inside(self, value: &'de RawValue) -> Self {
        Self {
            text: value.get(),
            level: self.level + 1,
        }
    }

    fn kind(self) -> Kind {
        match self.text.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    fn is(self, kind: Kind, name: &str) -> Result<(), Wrong> {
        if self.kind() == kind {
            Ok(())
        } else {
            Err(Wrong::here(format!("must be {name}")))
        }
    }

    fn string(self) -> Result<String, Wrong> {
        self.is(Kind::String, "a string")?;
        // Only an escape that stands for half a character can still be wrong with it.
        serde_json::from_str(self.text).map_err(|_| Wrong::here("must be Unicode text"))
    }

    fn number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        // What no number in memory can hold has no value; what was expected still says enough.
        let number = serde_json::from_str::<Number>(self.text)
            .map_err(|_| de::Error::invalid_value(Unexpected::Other("number"), &visitor))?;
        match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => visitor.visit_u64(number),
            (None, Some(number), _) => visitor.visit_i64(number),
            (None, None, Some(number)) => visitor.visit_f64(number),
            (None, None, None) => Err(de::Error::invalid_value(
                Unexpected::Other("number"),
                &visitor,
            )),
        }
    }

    fn not_too_deep(self) -> Result<(), Wrong> {
        if self.level < MOST_LEVELS {
            Ok(())
        } else {
            Err(Wrong::here(format!(
                "must not lie deeper than {MOST_LEVELS} levels"
            )))
        }
    }

    fn array<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.is(Kind::Array, "an array")?;
        self.not_too_deep()?;
        let values: Vec<&RawValue> = serde_json::from_str(self.text).map_err(Wrong::here)?;
        let mut elements = Elements {
            array: self,
            values: values.into_iter(),
            next: 0,
        };
        let value = visitor.visit_seq(&mut elements)?;
        if elements.values.len() == 0 {
            Ok(value)
        } else {
            Err(Wrong::here(format!(
                "must have only {} elements",
                elements.next
            )))
        }
    }

    fn object<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.is(Kind::Object, "an object")?;
        self.not_too_deep()?;
        let Fields(fields) = serde_json::from_str(self.text)
            .map_err(|_| Wrong::here("must have names that are Unicode text"))?;
        visitor.visit_map(Members {
            object: self,
            fields: fields.into_iter(),
            value: None,
        })
    }
}

/// The deserializer's methods that want one kind of JSON and no other.
macro_rules! want {
    ($($method:ident($($argument:ident: $type:ty),*) => $read:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Wrong> {
            self.$read(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.kind() {
            Kind::Null => visitor.visit_unit(),
            Kind::Boolean => visitor.visit_bool(self.text == "true"),
            Kind::Number => self.number(visitor),
            Kind::String => visitor.visit_string(self.string()?),
            Kind::Array => self.array(visitor),
            Kind::Object => self.object(visitor),
        }
    }

    want! {
        deserialize_struct(_name: &'static str, _fields: &'static [&'static str]) => object;
        deserialize_map() => object;
        deserialize_seq() => array;
        deserialize_tuple(_length: usize) => array;
        deserialize_tuple_struct(_name: &'static str, _length: usize) => array;
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_string(self.string()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.is(Kind::Boolean, "true or false")?;
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.kind() {
            Kind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if name.starts_with(RAW) {
            let mut text = serde_json::Deserializer::from_str(self.text);
            return text
                .deserialize_newtype_struct(name, visitor)
                .map_err(Wrong::here);
        }
        visitor.visit_newtype_struct(self)
    }

    /// One of several words; none of them has more to it.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let word = self.string()?;
        let word: StrDeserializer<'_, Wrong> = word.as_str().into_deserializer();
        visitor.visit_enum(word)
    }

    /// What the type does not ask for.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Wrong> {
        Err(Wrong::here("is not known"))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct identifier
    }
}

/// The elements of an array, one after the other.
struct Elements<'de> {
    array: Node<'de>,
    values: std::vec::IntoIter<&'de RawValue>,
    next: usize,
}

impl<'de> SeqAccess<'de> for &mut Elements<'de> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        let Some(value) = self.values.next() else {
            return Ok(None);
        };
        let at = Segment::Index(self.next);
        self.next += 1;
        let element = seed.deserialize(self.array.inside(value));
        element.map(Some).map_err(|wrong| wrong.inside(at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

/// The members of an object, one after the other.
struct Members<'de> {
    object: Node<'de>,
    fields: std::vec::IntoIter<(String, &'de RawValue)>,
    value: Option<(String, &'de RawValue)>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        self.value = self.fields.next();
        let name = self.value.as_ref().map(|(name, _)| name.as_str());
        let name: Option<StrDeserializer<'_, Wrong>> =
            name.map(IntoDeserializer::into_deserializer);
        name.map(|name| seed.deserialize(name)).transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Wrong> {
        let (name, value) = self
            .value
            .take()
            .ok_or_else(|| Wrong::here("has a value without a name"))?;
        seed.deserialize(self.object.inside(value))
            .map_err(|wrong| wrong.inside(Segment::name(&name)))
    }
}

/// The names of an object and the texts of their values, as they stand there.
struct Fields<'de>(Vec<(String, &'de RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

#[cfg(test)]
mod tests;
