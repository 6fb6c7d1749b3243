//! What is wrong with a body, in words that its sender knows.

use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

use crate::http::problem::{FieldError, beginning};

/// What is wrong with the body, and where.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http::body) struct Wrong {
    /// From the inside out.
    path: Vec<Segment>,
    detail: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Name(String),
    Index(usize),
}

impl Segment {
    pub(super) fn name(name: &str) -> Self {
        Self::Name(beginning(name))
    }
}

impl Wrong {
    pub(super) fn here(detail: impl Display) -> Self {
        Self {
            path: Vec::new(),
            detail: detail.to_string(),
        }
    }

    fn at(name: &str, detail: impl Display) -> Self {
        Self::here(detail).inside(Segment::name(name))
    }

    pub(super) fn inside(mut self, segment: Segment) -> Self {
        self.path.push(segment);
        self
    }
}

impl From<Wrong> for FieldError {
    fn from(wrong: Wrong) -> Self {
        let mut path = String::new();
        for segment in wrong.path.iter().rev() {
            match segment {
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
                Segment::Name(name) if path.is_empty() => path.push_str(name),
                Segment::Name(name) => path.extend([".", name]),
            }
        }
        Self::new(path, wrong.detail)
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Wrong {}

/// Each in words that follow the name of the field.
impl de::Error for Wrong {
    fn custom<T: Display>(detail: T) -> Self {
        Self::here(detail)
    }

    fn invalid_type(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let said = match expected.as_str() {
            "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number, 0 or more",
            "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
            "f32" | "f64" => "a number",
            "unit" => "null",
            other => other,
        };
        Self::here(format!("must be {said}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, _expected: &dyn Expected) -> Self {
        Self::here(format!("must not have {length} elements"))
    }

    fn unknown_variant(_variant: &str, expected: &'static [&'static str]) -> Self {
        Self::here(format!("must be one of {}", expected.join(", ")))
    }

    fn unknown_field(name: &str, _expected: &'static [&'static str]) -> Self {
        Self::at(name, "is not known")
    }

    fn missing_field(name: &'static str) -> Self {
        Self::at(name, "is missing")
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::at(name, "must be there only once")
    }
}
