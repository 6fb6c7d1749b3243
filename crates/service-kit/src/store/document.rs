//! What a store keeps and how it is asked for.

use std::borrow::Cow;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What can be a document's id. Its order must be that of its text, since MongoDB sorts by the text.
pub trait DocumentId: Clone + Ord + Hash + Display + Debug + Send + Sync + 'static {}

impl<T: Clone + Ord + Hash + Display + Debug + Send + Sync + 'static> DocumentId for T {}

/// A type of which a collection holds documents.
///
/// The fields `_id` and `version` belong to the store and must not be among the document's own.
pub trait Document: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The type of the id.
    type Id: DocumentId;
    /// The collection's name.
    const COLLECTION: &'static str;
    /// The fields by which documents are listed, and those whose values must differ.
    const INDEXES: &'static [Index] = &[];

    /// The document's id; must not change.
    fn id(&self) -> Self::Id;

    /// The value of an indexed field as serde writes it, or none where serde leaves the field out.
    ///
    /// A flag that is only looked for while it is set is best left out when it is not: the index
    /// then holds just the documents that are looked for.
    fn field(&self, name: &str) -> Option<Value> {
        let _ = name;
        None
    }
}

/// An index on a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// The field's name as serde writes it.
    pub field: &'static str,
    /// Whether no two documents that have the field may have the same value in it.
    pub unique: bool,
}

impl Index {
    /// To list by this field.
    pub const fn on(field: &'static str) -> Self {
        Self {
            field,
            unique: false,
        }
    }

    /// To list by this field, whose values all differ.
    pub const fn unique(field: &'static str) -> Self {
        Self {
            field,
            unique: true,
        }
    }
}

/// A value of an indexed field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Boolean(yes)
    }
}

/// A document and the version at which it was read.
///
/// Handed to [`Collection::replace_many`](super::Collection::replace_many) it means: this document,
/// if the store still has that version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// 1 when inserted, one more with each replacement.
    pub version: i64,
    /// The document.
    pub document: T,
}

/// What became of a document that was to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// It is there now, at version 1.
    Inserted,
    /// Its id, or a value that must be unique, was there before; nothing was changed.
    AlreadyThere,
}

/// What became of a document that was to replace another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It is there now, its version one more than the expected one.
    Replaced,
    /// The store has another version or none, or a value that must be unique is taken; nothing was
    /// changed. Read it again, decide again.
    Conflict,
}

/// Which documents a list is to hold: those for which every condition is true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    conditions: Vec<(&'static str, Value)>,
}

impl Filter {
    /// Every document.
    pub fn all() -> Self {
        Self::default()
    }

    /// And whose `field`, which must be indexed, has this value.
    #[must_use]
    pub fn and(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.conditions.push((field, value.into()));
        self
    }

    pub(super) fn conditions(&self) -> &[(&'static str, Value)] {
        &self.conditions
    }
}

/// Which way a list goes through the ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest id on.
    #[default]
    Ascending,
    /// From the highest id on. Ids of orders begin with their time, so the newest comes first.
    Descending,
}

/// The text names no direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be asc or desc")]
pub struct DirectionError;

impl FromStr for Direction {
    type Err = DirectionError;

    fn from_str(text: &str) -> Result<Self, DirectionError> {
        match text {
            "asc" => Ok(Self::Ascending),
            "desc" => Ok(Self::Descending),
            _ => Err(DirectionError),
        }
    }
}

/// Some documents in the order of their ids, or in the reverse of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T: Document> {
    /// The documents.
    pub items: Vec<Versioned<T>>,
    /// Where the next list begins, if there is more: hand it in as `after`.
    pub next: Option<T::Id>,
}
