//! Changing documents that others change as well.

use std::collections::BTreeMap;

use super::{Collection, Document, Insert, Replace, StoreError, Versioned};

/// How often documents are read and written anew, if others keep writing them. Each time somebody else has come further.
const ATTEMPTS: u32 = 50;

impl<T: Document> Collection<T> {
    /// Changes these documents: `change` says whether it did. One that somebody else writes in between is read and changed
    /// anew.
    ///
    /// Returns the documents as they are in the store now, those that are not there left out. After an error some may have
    /// been written, so a change done again must come to the same.
    ///
    /// # Errors
    ///
    /// [`StoreError::Contention`] when others keep changing the same documents; what the store says.
    pub async fn change_many(
        &self,
        ids: impl IntoIterator<Item = T::Id>,
        change: impl Fn(&mut T) -> bool + Send,
    ) -> Result<BTreeMap<T::Id, T>, StoreError> {
        self.change_many_and(ids, change, T::clone).await
    }

    /// As [`Collection::change_many`], for those who want less of the documents than all of it: what `tell` says of each.
    ///
    /// # Errors
    ///
    /// As [`Collection::change_many`].
    pub async fn change_many_and<R: Send>(
        &self,
        ids: impl IntoIterator<Item = T::Id>,
        change: impl Fn(&mut T) -> bool + Send,
        tell: impl Fn(&T) -> R + Send,
    ) -> Result<BTreeMap<T::Id, R>, StoreError> {
        let ids: Vec<T::Id> = ids.into_iter().collect();
        let found = self.get_many(&ids).await?.into_iter().flatten().collect();
        self.change_found(found, change, tell).await
    }

    /// Inserts the documents that are not there, then changes each of them, as [`Collection::change_many`] does. It saves
    /// reading those that were inserted.
    ///
    /// # Errors
    ///
    /// As [`Collection::change_many`].
    pub async fn insert_and_change_many(
        &self,
        documents: Vec<T>,
        change: impl Fn(&mut T) -> bool + Send,
    ) -> Result<BTreeMap<T::Id, T>, StoreError> {
        let outcomes = self.insert_many(documents.clone()).await?;
        let (mut found, mut there) = (Vec::with_capacity(documents.len()), Vec::new());
        for (document, outcome) in documents.into_iter().zip(outcomes) {
            match outcome {
                Insert::Inserted => found.push(Versioned {
                    version: 1,
                    document,
                }),
                Insert::AlreadyThere => there.push(document.id()),
            }
        }
        if !there.is_empty() {
            found.extend(self.get_many(&there).await?.into_iter().flatten());
        }
        self.change_found(found, change, T::clone).await
    }

    async fn change_found<R: Send>(
        &self,
        mut found: Vec<Versioned<T>>,
        change: impl Fn(&mut T) -> bool + Send,
        tell: impl Fn(&T) -> R + Send,
    ) -> Result<BTreeMap<T::Id, R>, StoreError> {
        let mut settled = BTreeMap::new();
        for _ in 0..ATTEMPTS {
            let mut writes = Vec::with_capacity(found.len());
            let mut told = Vec::with_capacity(found.len());
            for mut read in found {
                let changed = change(&mut read.document);
                let about = (read.document.id(), tell(&read.document));
                if changed {
                    writes.push(read);
                    told.push(about);
                } else {
                    settled.extend([about]);
                }
            }
            if writes.is_empty() {
                return Ok(settled);
            }
            let outcomes = self.replace_many(writes).await?;
            let mut conflicts = Vec::new();
            for ((id, about), outcome) in told.into_iter().zip(outcomes) {
                match outcome {
                    Replace::Replaced => {
                        settled.insert(id, about);
                    }
                    Replace::Conflict => conflicts.push(id),
                }
            }
            if conflicts.is_empty() {
                return Ok(settled);
            }
            let again = self.get_many(&conflicts).await?;
            found = again.into_iter().flatten().collect();
        }
        Err(StoreError::Contention {
            collection: T::COLLECTION,
            attempts: ATTEMPTS,
        })
    }
}
