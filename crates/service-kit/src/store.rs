//! Where a service keeps its documents: one small interface made for batches, two stores behind it.
//!
//! A write touches one document at a time and says for each what became of it; there are no
//! transactions. A service's logic is written once on [`Collection`] and holds on both stores; one
//! conformance suite runs on both.

mod change;
mod collection;
mod document;
mod embedded;
mod error;
#[cfg(feature = "mongodb")]
mod mongo;

pub use collection::Collection;
pub use document::{
    Direction, DirectionError, Document, DocumentId, Filter, Index, Insert, Listing, Replace,
    Value, Versioned,
};
pub use embedded::EmbeddedStore;
pub use error::StoreError;
#[cfg(feature = "mongodb")]
pub use mongo::{MongoStore, Timeouts};

/// The store that a process works on; clones are the same store.
#[derive(Clone, Debug)]
pub enum Store {
    /// In the memory of this process.
    Embedded(EmbeddedStore),
    /// On a MongoDB server.
    #[cfg(feature = "mongodb")]
    Mongo(MongoStore),
}

impl Store {
    /// The MongoDB that `uri` names, or without one a new embedded store.
    ///
    /// Does not connect: a server that is away shows at the first operation. Errors: the URI cannot
    /// be read, or this build has no MongoDB driver.
    pub async fn open(uri: Option<&str>) -> Result<Self, StoreError> {
        match uri {
            None => Ok(Self::Embedded(EmbeddedStore::new())),
            #[cfg(feature = "mongodb")]
            Some(uri) => Ok(Self::Mongo(
                MongoStore::open(uri, Timeouts::default()).await?,
            )),
            #[cfg(not(feature = "mongodb"))]
            Some(_) => Err(StoreError::Settings {
                reason: "this build has no MongoDB driver".to_owned(),
            }),
        }
    }

    /// The collection of `T`s in a database. Does not connect; see [`Collection::prepare`].
    ///
    /// Errors: an embedded collection of that name holds another type.
    pub fn collection<T: Document>(&self, database: &str) -> Result<Collection<T>, StoreError> {
        match self {
            Self::Embedded(store) => store.collection(database).map(Collection::embedded),
            #[cfg(feature = "mongodb")]
            Self::Mongo(store) => Ok(Collection::mongo(store.collection(database))),
        }
    }

    /// Asks the store whether it is there.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.ping(),
            #[cfg(feature = "mongodb")]
            Self::Mongo(store) => store.ping().await,
        }
    }

    /// A word for log lines: `embedded` or `mongodb`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            #[cfg(feature = "mongodb")]
            Self::Mongo(_) => "mongodb",
        }
    }
}
