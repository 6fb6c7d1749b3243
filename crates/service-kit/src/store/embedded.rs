//! The store in the memory of the process: typed, nothing is serialised.

mod shards;

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::StoreError;
use super::document::{Document, Filter, Insert, Listing, Replace, Versioned};
use shards::Shards;

/// Databases in memory. Clones are the same store; it is gone with the last of them.
#[derive(Clone)]
pub struct EmbeddedStore {
    collections: Arc<Mutex<HashMap<String, Arc<dyn Any + Send + Sync>>>>,
    away: Arc<AtomicBool>,
}

impl EmbeddedStore {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            collections: Arc::default(),
            away: Arc::default(),
        }
    }

    /// A fault on purpose: while away, every operation answers [`StoreError::Unavailable`].
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    pub(super) fn ping(&self) -> Result<(), StoreError> {
        there(&self.away, "ping", "embedded")
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
            away: Arc::clone(&self.away),
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

fn there(away: &AtomicBool, operation: &'static str, collection: &str) -> Result<(), StoreError> {
    if !away.load(Ordering::SeqCst) {
        return Ok(());
    }
    Err(StoreError::Unavailable {
        operation,
        collection: collection.to_owned(),
        cause: "the store is away",
        reason: "it was set away".to_owned(),
    })
}

pub(super) struct Collection<T: Document> {
    name: Arc<str>,
    shards: Arc<Shards<T>>,
    away: Arc<AtomicBool>,
}

impl<T: Document> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            shards: Arc::clone(&self.shards),
            away: Arc::clone(&self.away),
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
        there(&self.away, operation, &self.name)
    }

    pub(super) fn ping(&self) -> Result<(), StoreError> {
        self.there("ping")
    }

    pub(super) fn insert_many(&self, documents: Vec<T>) -> Result<Vec<Insert>, StoreError> {
        self.there("insert")?;
        Ok(documents
            .into_iter()
            .map(|document| self.shards.insert(document))
            .collect())
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
        Ok(documents
            .into_iter()
            .map(|document| self.shards.replace(document))
            .collect())
    }

    pub(super) fn list(
        &self,
        filter: &Filter,
        after: Option<&T::Id>,
        limit: usize,
    ) -> Result<Listing<T>, StoreError> {
        self.there("list")?;
        Ok(self.shards.list(filter, after, limit))
    }

    pub(super) fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        self.there("count")?;
        Ok(self.shards.count(filter))
    }
}
