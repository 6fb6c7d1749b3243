//! What can go wrong with a store.

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is away or did not answer in time. A write may or may not have been done, so it
    /// is to be asked again by somebody who can tell the two apart: that is why handlers repeat.
    #[error("store is unavailable: {operation} on {collection}: {reason}")]
    Unavailable {
        /// What was asked.
        operation: &'static str,
        /// Of which collection, as `database.collection`.
        collection: String,
        /// What is the matter, for somebody who does not know the driver.
        cause: &'static str,
        /// What the driver said.
        reason: String,
    },
    /// The store answered no; asking again will not help.
    #[error("store refused {operation} on {collection}: {reason}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// Of which collection, as `database.collection`.
        collection: String,
        /// What the store said.
        reason: String,
    },
    /// A document cannot be written as what the store keeps, or be read from it.
    #[error("document {id} of {collection} {reason}")]
    Document {
        /// Of which collection, as `database.collection`.
        collection: String,
        /// Its id.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A list was asked for by a field that has no index.
    #[error("{collection} has no index on {field}")]
    NotIndexed {
        /// The collection.
        collection: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A document is not there, and was not inserted since another has its value in a field whose
    /// values must differ; asking again will not help.
    #[error("{collection} has no {id}, and its {field} belongs to {owner}")]
    NotUnique {
        /// The collection.
        collection: &'static str,
        /// The id of the document that was to be inserted.
        id: String,
        /// The field.
        field: &'static str,
        /// The id of the document that has the value.
        owner: String,
    },
    /// Others changed the same documents again and again; asking again may help.
    #[error("{collection} changed under {attempts} attempts")]
    Contention {
        /// The collection.
        collection: &'static str,
        /// How often it was tried.
        attempts: u32,
    },
    /// The embedded collection of that name holds documents of another type.
    #[error("{collection} holds documents of another type")]
    AnotherType {
        /// Which collection, as `database.collection`.
        collection: String,
    },
    /// The connection string is wrong. It is not repeated, since it may hold a password.
    #[error("the store's settings are wrong: {reason}")]
    Settings {
        /// What is wrong.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same may succeed later: the store is away or busy, and nothing is wrong with the request.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Contention { .. })
    }

    /// What is the matter, without what only the driver's authors understand: that is for the log.
    pub fn brief(&self) -> String {
        match self {
            Self::Unavailable { cause, .. } => (*cause).to_owned(),
            Self::Refused { .. } => "the store refused".to_owned(),
            other => other.to_string(),
        }
    }
}
