//! The store in the memory of the process: typed, nothing is serialised. It can fail on purpose, for tests.

mod faults;
mod shards;

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::StoreError;
use super::document::{Direction, Document, Filter, Insert, Listing, Replace, Versioned};
use faults::Faults;
use shards::Shards;

/// Databases in memory. Clones are the same store; it is gone with the last of them.
#[derive(Clone)]
pub struct EmbeddedStore {
    collections: Arc<Mutex<HashMap<String, Arc<dyn Any + Send + Sync>>>>,
    faults: Arc<Faults>,
}

impl EmbeddedStore {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            collections: Arc::default(),
            faults: Arc::default(),
        }
    }

    /// A fault on purpose: while away, every operation answers [`StoreError::Unavailable`].
    pub fn set_away(&self, away: bool) {
        self.faults.set_away(away);
    }

    /// A fault on purpose, once: of the documents that are written from now on, the write of number `nth`, counted from 1,
    /// answers [`StoreError::Unavailable`]: after it was done if `applied`, otherwise before. The rest of its batch is not
    /// written. So a crash at any point of a handler can be had, one after the other.
    pub fn fail_write(&self, nth: u64, applied: bool) {
        self.faults.fail_write(nth, applied);
    }

    /// Whether the fault of [`EmbeddedStore::fail_write`] is still to come: the handler under test writes less than that.
    pub fn has_fault(&self) -> bool {
        self.faults.is_pending()
    }

    pub(super) fn ping(&self) -> Result<(), StoreError> {
        self.faults.there("ping", "embedded")
    }

    pub(super) fn collection<T: Document>(
        &self,
        database: &str,
    ) -> Result<Collection<T>, StoreError> {
        let name = format!("{database}.{}", T::COLLECTION);
        let mut collections = self.collections.lock();
        let inner = match collections.entry(name.clone()) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(free) => {
                let inner: Arc<dyn Any + Send + Sync> = Arc::new(Shards::<T>::new());
                Arc::clone(free.insert(inner))
            }
        };
        let shards = inner.downcast().map_err(|_| StoreError::AnotherType {
            collection: name.clone(),
        })?;
        Ok(Collection {
            name: name.into(),
            shards,
            faults: Arc::clone(&self.faults),
        })
    }
}

impl Default for EmbeddedStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}

pub(super) struct Collection<T: Document> {
    name: Arc<str>,
    shards: Arc<Shards<T>>,
    faults: Arc<Faults>,
}

impl<T: Document> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            shards: Arc::clone(&self.shards),
            faults: Arc::clone(&self.faults),
        }
    }
}

impl<T: Document> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<T: Document> Collection<T> {
    fn there(&self, operation: &'static str) -> Result<(), StoreError> {
        self.faults.there(operation, &self.name)
    }

    fn write_each<D, O>(
        &self,
        operation: &'static str,
        documents: Vec<D>,
        write: impl Fn(D) -> O,
    ) -> Result<Vec<O>, StoreError> {
        documents
            .into_iter()
            .map(|document| {
                self.faults
                    .writing(operation, &self.name, || write(document))
            })
            .collect()
    }

    pub(super) fn ping(&self) -> Result<(), StoreError> {
        self.there("ping")
    }

    pub(super) fn insert_many(&self, documents: Vec<T>) -> Result<Vec<Insert>, StoreError> {
        self.there("insert")?;
        self.write_each("insert", documents, |document| self.shards.insert(document))
    }

    pub(super) fn get_many(&self, ids: &[T::Id]) -> Result<Vec<Option<Versioned<T>>>, StoreError> {
        self.there("get")?;
        Ok(ids.iter().map(|id| self.shards.get(id)).collect())
    }

    pub(super) fn replace_many(
        &self,
        documents: Vec<Versioned<T>>,
    ) -> Result<Vec<Replace>, StoreError> {
        self.there("replace")?;
        self.write_each("replace", documents, |document| {
            self.shards.replace(document)
        })
    }

    pub(super) fn list(
        &self,
        direction: Direction,
        filter: &Filter,
        after: Option<&T::Id>,
        limit: usize,
    ) -> Result<Listing<T>, StoreError> {
        self.there("list")?;
        Ok(self.shards.list(direction, filter, after, limit))
    }

    pub(super) fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        self.there("count")?;
        Ok(self.shards.count(filter))
    }
}
