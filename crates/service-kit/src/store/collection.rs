//! One collection, whichever store it is in.

use super::document::{Direction, Document, Filter, Insert, Listing, Replace, Versioned};
use super::{StoreError, embedded};

#[cfg(feature = "mongodb")]
use super::mongo;

/// The documents of one type in one database. Clones are the same collection.
///
/// Every method answers [`StoreError::Unavailable`] soon when the store is away. A batch is not one
/// unit: after an error some of its documents may have been written, and others not.
#[derive(Debug)]
pub struct Collection<T: Document> {
    backend: Backend<T>,
}

#[derive(Debug)]
enum Backend<T: Document> {
    Embedded(embedded::Collection<T>),
    #[cfg(feature = "mongodb")]
    Mongo(mongo::Collection<T>),
}

impl<T: Document> Clone for Collection<T> {
    fn clone(&self) -> Self {
        let backend = match &self.backend {
            Backend::Embedded(collection) => Backend::Embedded(collection.clone()),
            #[cfg(feature = "mongodb")]
            Backend::Mongo(collection) => Backend::Mongo(collection.clone()),
        };
        Self { backend }
    }
}

macro_rules! on {
    ($self:ident, $collection:ident => $embedded:expr, $mongo:expr) => {
        match &$self.backend {
            Backend::Embedded($collection) => $embedded,
            #[cfg(feature = "mongodb")]
            Backend::Mongo($collection) => $mongo.await,
        }
    };
}

impl<T: Document> Collection<T> {
    pub(super) fn embedded(collection: embedded::Collection<T>) -> Self {
        Self {
            backend: Backend::Embedded(collection),
        }
    }

    #[cfg(feature = "mongodb")]
    pub(super) fn mongo(collection: mongo::Collection<T>) -> Self {
        Self {
            backend: Backend::Mongo(collection),
        }
    }

    /// Makes the indexes. For the start of a service; an operation that comes first does it too, so
    /// that a service can start while its store is away.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        on!(self, collection => collection.ping(), collection.prepare())
    }

    /// Inserts each document unless its id is there; says for each, in order, what became of it.
    ///
    /// A batch asked for again after [`StoreError::Unavailable`] may find its own documents there.
    pub async fn insert_many(&self, documents: Vec<T>) -> Result<Vec<Insert>, StoreError> {
        on!(self, collection => collection.insert_many(documents), collection.insert_many(documents))
    }

    /// Inserts each document unless its id is there; returns, in order, the document that is there now.
    ///
    /// What a step makes is made once: done again, it finds what it made the first time. What is
    /// returned is in the store: if a document was refused for a value that another one has,
    /// the answer is [`StoreError::NotUnique`], which names the field and the other one.
    pub async fn insert_or_get(&self, documents: Vec<T>) -> Result<Vec<T>, StoreError> {
        let outcomes = self.insert_many(documents.clone()).await?;
        let there: Vec<T::Id> = documents
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| **outcome == Insert::AlreadyThere)
            .map(|(document, _)| document.id())
            .collect();
        if there.is_empty() {
            return Ok(documents);
        }
        let mut found = self.get_many(&there).await?.into_iter();
        let mut stored = Vec::with_capacity(documents.len());
        for (document, outcome) in documents.into_iter().zip(outcomes) {
            stored.push(match outcome {
                Insert::Inserted => document,
                Insert::AlreadyThere => match found.next().flatten() {
                    Some(found) => found.document,
                    None => return Err(self.why_not_inserted(&document).await?),
                },
            });
        }
        Ok(stored)
    }

    /// Why a document was not inserted whose id is not there.
    async fn why_not_inserted(&self, document: &T) -> Result<StoreError, StoreError> {
        for index in T::INDEXES.iter().filter(|index| index.unique) {
            let Some(value) = document.field(index.field) else {
                continue;
            };
            let same = Filter::all().and(index.field, value);
            if let Some(owner) = self.list(&same, None, 1).await?.items.first() {
                return Ok(StoreError::NotUnique {
                    collection: T::COLLECTION,
                    id: document.id().to_string(),
                    field: index.field,
                    owner: owner.document.id().to_string(),
                });
            }
        }
        // Whoever was in the way has gone since, so another attempt may find the way free.
        Ok(StoreError::Unavailable {
            operation: "insert",
            collection: T::COLLECTION.to_owned(),
            cause: "another write was in the way",
            reason: format!("what was in the way of {} is gone", document.id()),
        })
    }

    /// Inserts one document.
    pub async fn insert(&self, document: T) -> Result<Insert, StoreError> {
        let outcomes = self.insert_many(vec![document]).await?;
        Ok(outcomes.first().copied().unwrap_or(Insert::AlreadyThere))
    }

    /// The document with this id.
    pub async fn get(&self, id: &T::Id) -> Result<Option<Versioned<T>>, StoreError> {
        let mut found = self.get_many(std::slice::from_ref(id)).await?;
        Ok(found.pop().flatten())
    }

    /// The documents with these ids, in that order; none where there is none.
    pub async fn get_many(&self, ids: &[T::Id]) -> Result<Vec<Option<Versioned<T>>>, StoreError> {
        on!(self, collection => collection.get_many(ids), collection.get_many(ids))
    }

    /// Puts each document in the place of the one with its id, if that still has the version; says
    /// for each, in order, what became of it. The version is then one more.
    ///
    /// Documents with the same id are done in the order of the batch. Others are independent of each
    /// other; a unique value that changes hands within a batch may or may not be free yet.
    pub async fn replace_many(
        &self,
        documents: Vec<Versioned<T>>,
    ) -> Result<Vec<Replace>, StoreError> {
        on!(self, collection => collection.replace_many(documents), collection.replace_many(documents))
    }

    /// Replaces one document.
    pub async fn replace(&self, document: Versioned<T>) -> Result<Replace, StoreError> {
        let outcomes = self.replace_many(vec![document]).await?;
        Ok(outcomes.first().copied().unwrap_or(Replace::Conflict))
    }

    /// The first `limit` documents for which the filter is true and whose id is behind `after`.
    ///
    /// They come in the order of their ids, so a walk by `next` meets each document once. One that cannot be read, since
    /// another version wrote it or somebody changed it by hand, is left out and logged as an error.
    pub async fn list(
        &self,
        filter: &Filter,
        after: Option<&T::Id>,
        limit: usize,
    ) -> Result<Listing<T>, StoreError> {
        self.list_in(Direction::Ascending, filter, after, limit)
            .await
    }

    /// As [`list`](Self::list), in this direction. Behind an id comes what is higher, or on the way down what is lower.
    pub async fn list_in(
        &self,
        direction: Direction,
        filter: &Filter,
        after: Option<&T::Id>,
        limit: usize,
    ) -> Result<Listing<T>, StoreError> {
        check::<T>(filter)?;
        on!(self, collection => collection.list(direction, filter, after, limit), collection.list(direction, filter, after, limit))
    }

    /// How many documents there are for which the filter is true.
    pub async fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        check::<T>(filter)?;
        on!(self, collection => collection.count(filter), collection.count(filter))
    }
}

/// A filter on a field without an index would read the whole collection, so it is refused.
fn check<T: Document>(filter: &Filter) -> Result<(), StoreError> {
    let indexed = |field: &str| T::INDEXES.iter().any(|index| index.field == field);
    match filter
        .conditions()
        .iter()
        .find(|(field, _)| !indexed(field))
    {
        None => Ok(()),
        Some((field, _)) => Err(StoreError::NotIndexed {
            collection: T::COLLECTION,
            field,
        }),
    }
}
