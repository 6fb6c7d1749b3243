//! One collection on MongoDB.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::TryStreamExt;
use mongodb::bson::{Document as BsonDocument, RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use mongodb::error::ErrorKind;
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};
use tokio::sync::OnceCell;

use super::batch::{MAX_STATEMENTS, chunks, statement};
use super::codec;
use super::{Place, Timeouts, by_id, reply};
use crate::store::{
    Direction, Document, Filter, Index, Insert, Listing, Replace, StoreError, Versioned,
};

/// Why a write that was done counts as not done.
const TOO_FEW: &str = "too few members of the MongoDB replica set have the write";

pub(in crate::store) struct Collection<T> {
    shared: Arc<Shared>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            of: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collection")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

struct Shared {
    database: Database,
    collection: mongodb::Collection<RawDocumentBuf>,
    /// `database.collection`.
    name: String,
    timeouts: Timeouts,
    prepared: OnceCell<()>,
}

impl Shared {
    fn place(&self, operation: &'static str) -> Place<'_> {
        Place {
            collection: &self.name,
            operation,
        }
    }
}

impl<T: Document> Collection<T> {
    pub(super) fn new(database: &Database, timeouts: Timeouts) -> Self {
        let shared = Shared {
            database: database.clone(),
            collection: database.collection(T::COLLECTION),
            name: format!("{}.{}", database.name(), T::COLLECTION),
            timeouts,
            prepared: OnceCell::new(),
        };
        Self {
            shared: Arc::new(shared),
            of: PhantomData,
        }
    }

    /// Makes the indexes, once.
    pub(in crate::store) async fn prepare(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        let make = || async {
            let models = T::INDEXES.iter().map(index_model).chain([version_index()]);
            let command = shared.collection.create_indexes(models);
            shared
                .place("create indexes")
                .within(shared.timeouts.operation, command)
                .await?;
            Ok(())
        };
        shared.prepared.get_or_try_init(make).await.copied()
    }

    pub(in crate::store) async fn insert_many(
        &self,
        documents: Vec<T>,
    ) -> Result<Vec<Insert>, StoreError> {
        self.prepare().await?;
        let encoded = documents
            .iter()
            .map(|document| codec::encode(&self.shared.name, document, 1))
            .collect::<Result<Vec<_>, _>>()?;
        let mut outcomes = Vec::with_capacity(encoded.len());
        for chunk in chunks(documents.iter().map(Document::id), &encoded) {
            outcomes.extend(self.insert_chunk(chunk).await?);
        }
        Ok(outcomes)
    }

    async fn insert_chunk(&self, chunk: &[RawDocumentBuf]) -> Result<Vec<Insert>, StoreError> {
        let shared = &self.shared;
        let place = shared.place("insert");
        let mut outcomes = vec![Insert::Inserted; chunk.len()];
        let command = async {
            match shared.collection.insert_many(chunk).ordered(false).await {
                Ok(_) => Ok(None),
                Err(error) => match error.kind.as_ref() {
                    ErrorKind::InsertMany(failed) => Ok(Some(failed.clone())),
                    _ => Err(error),
                },
            }
        };
        let Some(failed) = place.within(shared.timeouts.operation, command).await? else {
            return Ok(outcomes);
        };
        for error in failed.write_errors.unwrap_or_default() {
            match outcomes.get_mut(error.index) {
                Some(outcome) if error.code == reply::DUPLICATE_KEY => {
                    *outcome = Insert::AlreadyThere;
                }
                _ => return Err(place.not_done(error.code, error.message)),
            }
        }
        match failed.write_concern_error {
            None => Ok(outcomes),
            Some(error) => {
                Err(place.unavailable(TOO_FEW, format!("not safe yet: {}", error.message)))
            }
        }
    }

    pub(in crate::store) async fn get_many(
        &self,
        ids: &[T::Id],
    ) -> Result<Vec<Option<Versioned<T>>>, StoreError> {
        let mut found = HashMap::with_capacity(ids.len());
        let keys: Vec<String> = ids.iter().map(ToString::to_string).collect();
        for chunk in keys.chunks(MAX_STATEMENTS) {
            let query = match chunk {
                [key] => doc! { "_id": key },
                keys => doc! { "_id": { "$in": keys } },
            };
            for stored in self
                .find("get", Direction::Ascending, query, chunk.len())
                .await?
            {
                let document = codec::decode::<T>(&self.shared.name, &stored)?;
                found.insert(document.document.id(), document);
            }
        }
        // An id that was asked for twice is answered twice.
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    pub(in crate::store) async fn list(
        &self,
        direction: Direction,
        filter: &Filter,
        after: Option<&T::Id>,
        limit: usize,
    ) -> Result<Listing<T>, StoreError> {
        self.prepare().await?;
        let most = limit.saturating_add(1);
        let mut items: Vec<Versioned<T>> = Vec::new();
        let mut after = after.map(ToString::to_string);
        let behind = match direction {
            Direction::Ascending => "$gt",
            Direction::Descending => "$lt",
        };
        loop {
            let mut query = codec::query(filter);
            if let Some(after) = &after {
                query.insert("_id", doc! { behind: after });
            }
            let asked = most - items.len();
            let page = self.find("list", direction, query, asked).await?;
            for stored in &page {
                match codec::decode(&self.shared.name, stored) {
                    Ok(item) => items.push(item),
                    // One that cannot be read, of another version perhaps, must not hide the others.
                    Err(error) => tracing::error!(%error, "left out of a list"),
                }
            }
            after = page
                .last()
                .and_then(|last| codec::stored_id(last))
                .map(str::to_owned);
            if items.len() == most || page.len() < asked || after.is_none() {
                break;
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.document.id());
        Ok(Listing { items, next })
    }

    pub(in crate::store) async fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        self.prepare().await?;
        let shared = &self.shared;
        let command = shared.collection.count_documents(codec::query(filter));
        shared
            .place("count")
            .within(shared.timeouts.operation, command)
            .await
    }

    async fn find(
        &self,
        operation: &'static str,
        direction: Direction,
        query: BsonDocument,
        limit: usize,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let shared = &self.shared;
        let place = shared.place(operation);
        let command = async {
            let most = i64::try_from(limit).unwrap_or(i64::MAX);
            let batch = u32::try_from(limit)
                .unwrap_or(u32::MAX)
                .min(MAX_STATEMENTS as u32);
            let found = shared
                .collection
                .find(query)
                .sort(by_id(direction))
                .limit(most)
                .batch_size(batch);
            found.await?.try_collect::<Vec<_>>().await
        };
        place.within(shared.timeouts.operation, command).await
    }

    pub(in crate::store) async fn replace_many(
        &self,
        documents: Vec<Versioned<T>>,
    ) -> Result<Vec<Replace>, StoreError> {
        self.prepare().await?;
        let statements = documents
            .iter()
            .map(|new| statement(&self.shared.name, new))
            .collect::<Result<Vec<_>, _>>()?;
        let mut outcomes = Vec::with_capacity(statements.len());
        let mut rest = documents.as_slice();
        let ids = documents.iter().map(|new| new.document.id());
        for chunk in chunks(ids, &statements) {
            let (these, behind) = rest.split_at(chunk.len());
            outcomes.extend(self.replace_chunk(these, chunk).await?);
            rest = behind;
        }
        Ok(outcomes)
    }

    async fn replace_chunk(
        &self,
        documents: &[Versioned<T>],
        statements: &[RawDocumentBuf],
    ) -> Result<Vec<Replace>, StoreError> {
        let mut outcomes = vec![Replace::Replaced; statements.len()];
        let mut sent: Vec<usize> = (0..statements.len()).collect();
        loop {
            let updated = self.update(sent.iter().map(|at| &statements[*at])).await?;
            let of_all = |at: &usize| sent.get(*at).copied();
            let failed: Vec<usize> = updated.failed.iter().filter_map(of_all).collect();
            let made: Vec<usize> = updated.upserted.iter().filter_map(of_all).collect();
            for at in &made {
                self.remove(&documents[*at]).await?;
            }
            failed
                .iter()
                .chain(&made)
                .for_each(|at| outcomes[*at] = Replace::Conflict);
            if made.is_empty() || failed.is_empty() {
                return Ok(outcomes);
            }
            // These may have failed for a unique value that only a document just taken back had.
            failed
                .iter()
                .for_each(|at| outcomes[*at] = Replace::Replaced);
            sent = failed;
        }
    }

    /// Sends the statements; says which were not done for a key that is taken, and which inserted.
    async fn update(
        &self,
        statements: impl Iterator<Item = &RawDocumentBuf>,
    ) -> Result<Updated, StoreError> {
        let shared = &self.shared;
        let place = shared.place("replace");
        let mut updates = RawArrayBuf::new();
        statements.for_each(|statement| updates.push(statement.as_ref()));
        let command = rawdoc! {
            "update": T::COLLECTION,
            "updates": updates,
            "ordered": false,
            "writeConcern": { "w": "majority" },
        };
        let command = shared.database.run_raw_command(command);
        let answer = place.within(shared.timeouts.operation, command).await?;
        let answer = reply::updated(&answer).ok_or_else(|| {
            place.refused(format!("the answer is not one to an update: {answer}"))
        })?;
        if let Some(reason) = answer.not_safe {
            return Err(place.unavailable(TOO_FEW, format!("not safe yet: {reason}")));
        }
        let other = answer
            .errors
            .iter()
            .find(|error| error.code != reply::DUPLICATE_KEY);
        if let Some(error) = other {
            return Err(place.not_done(error.code, error.message.clone()));
        }
        let failed = answer.errors.iter().map(|error| error.index).collect();
        Ok(Updated {
            failed,
            upserted: answer.upserted,
        })
    }

    /// Takes back a document that an upsert made, unless somebody has written it since.
    async fn remove(&self, made: &Versioned<T>) -> Result<(), StoreError> {
        let shared = &self.shared;
        let query = doc! { "_id": made.document.id().to_string(), "version": made.version + 1 };
        let command = shared.collection.delete_one(query);
        shared
            .place("remove")
            .within(shared.timeouts.operation, command)
            .await?;
        Ok(())
    }
}

/// What an `update` command did not do as it should, by the statements' places in it.
struct Updated {
    failed: Vec<usize>,
    upserted: Vec<usize>,
}

impl Place<'_> {
    fn not_done(self, code: i32, message: String) -> StoreError {
        if reply::passes(code) {
            self.unavailable(super::NOT_NOW, message)
        } else {
            self.refused(message)
        }
    }
}

fn index_model(index: &Index) -> IndexModel {
    if index.unique {
        // Sparse, so that documents without the field do not count as having the same value.
        let options = IndexOptions::builder().unique(true).sparse(true).build();
        IndexModel::builder()
            .keys(doc! { index.field: 1 })
            .options(options)
            .build()
    } else {
        // Lists come in the order of the ids, so the index ends with them.
        IndexModel::builder()
            .keys(doc! { index.field: 1, "_id": 1 })
            .build()
    }
}

/// For the statements of `replace_many`, which match on exactly these two.
///
/// MongoDB itself would find the document by `_id` alone. Smaller servers of its protocol use an
/// index only for a query on just its fields, and read the whole collection otherwise.
fn version_index() -> IndexModel {
    let options = IndexOptions::builder().unique(true).build();
    IndexModel::builder()
        .keys(doc! { "_id": 1, "version": 1 })
        .options(options)
        .build()
}
