//! The documents of one collection in memory.

use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::iter;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::store::document::{
    Direction, Document, Filter, Insert, Listing, Replace, Value, Versioned,
};

/// More shards than a machine runs threads, so that two writers seldom want the same lock.
const SHARDS: usize = 32;

/// Values that must be unique and who has them, a map for each unique index.
type Taken<T> = Vec<HashMap<Value, <T as Document>::Id>>;

/// Documents of a shard with their ids.
type Found<T> = Vec<(<T as Document>::Id, Stored<T>)>;

pub(super) struct Shards<T: Document> {
    shards: Vec<RwLock<Shard<T>>>,
    /// Locked before any shard, and only where the type has unique indexes.
    taken: Mutex<Taken<T>>,
}

/// A document and its version.
struct Stored<T> {
    version: i64,
    /// Behind an `Arc`, so that a reader copies the document after the lock is given back.
    document: Arc<T>,
}

impl<T> Clone for Stored<T> {
    fn clone(&self) -> Self {
        Self {
            version: self.version,
            document: Arc::clone(&self.document),
        }
    }
}

impl<T: Clone> From<Stored<T>> for Versioned<T> {
    fn from(stored: Stored<T>) -> Self {
        Self {
            version: stored.version,
            document: Arc::unwrap_or_clone(stored.document),
        }
    }
}

struct Shard<T: Document> {
    documents: BTreeMap<T::Id, Stored<T>>,
    /// For each of `T::INDEXES`, which ids have which value.
    indexes: Vec<BTreeMap<Value, BTreeSet<T::Id>>>,
}

impl<T: Document> Shards<T> {
    pub(super) fn new() -> Self {
        let shard = || Shard {
            documents: BTreeMap::new(),
            indexes: T::INDEXES.iter().map(|_| BTreeMap::new()).collect(),
        };
        let taken = unique_fields::<T>().map(|_| HashMap::new()).collect();
        Self {
            shards: (0..SHARDS).map(|_| RwLock::new(shard())).collect(),
            taken: Mutex::new(taken),
        }
    }

    fn shard(&self, id: &T::Id) -> &RwLock<Shard<T>> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        &self.shards[hasher.finish() as usize % SHARDS]
    }

    fn lock_taken(&self) -> Option<MutexGuard<'_, Taken<T>>> {
        unique_fields::<T>().next().map(|_| self.taken.lock())
    }

    pub(super) fn insert(&self, document: T) -> Insert {
        let id = document.id();
        let mut taken = self.lock_taken();
        let mut shard = self.shard(&id).write();
        let clashes = taken
            .as_ref()
            .is_some_and(|taken| clashes(taken, &id, &document));
        if clashes || shard.documents.contains_key(&id) {
            return Insert::AlreadyThere;
        }
        if let Some(taken) = &mut taken {
            take(taken, &id, None, &document);
        }
        shard.reindex(&id, None, &document);
        shard.documents.insert(
            id,
            Stored {
                version: 1,
                document: Arc::new(document),
            },
        );
        Insert::Inserted
    }

    pub(super) fn replace(&self, new: Versioned<T>) -> Replace {
        let id = new.document.id();
        let mut taken = self.lock_taken();
        let mut shard = self.shard(&id).write();
        let old = match shard.documents.get(&id) {
            Some(old) if old.version == new.version => Arc::clone(&old.document),
            _ => return Replace::Conflict,
        };
        if let Some(taken) = &mut taken {
            if clashes(taken, &id, &new.document) {
                return Replace::Conflict;
            }
            take(taken, &id, Some(old.as_ref()), &new.document);
        }
        shard.reindex(&id, Some(old.as_ref()), &new.document);
        shard.documents.insert(
            id,
            Stored {
                version: new.version + 1,
                document: Arc::new(new.document),
            },
        );
        Replace::Replaced
    }

    pub(super) fn get(&self, id: &T::Id) -> Option<Versioned<T>> {
        let stored = self.shard(id).read().documents.get(id).cloned()?;
        Some(stored.into())
    }

    pub(super) fn list(
        &self,
        direction: Direction,
        filter: &Filter,
        after: Option<&T::Id>,
        limit: usize,
    ) -> Listing<T> {
        // One more than asked for tells whether there is more.
        let wanted = limit.saturating_add(1);
        // Ids are spread evenly, so twice a shard's share is nearly always enough, and far less than all of it from each.
        let mut share = (wanted / SHARDS)
            .saturating_mul(2)
            .saturating_add(8)
            .min(wanted);
        let mut found = loop {
            let (found, all) = self.first_of_each(direction, filter, after, share);
            if all || found.len() >= wanted {
                break found;
            }
            share = share.saturating_mul(4);
        };
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(id, _)| id.clone());
        let items = found.into_iter().map(|(_, stored)| stored.into()).collect();
        Listing { items, next }
    }

    /// The first documents, in order, from the first `share` of each shard; and whether these are all there are. Where a shard
    /// has more, nothing behind its last one is handed back: one of those that were not looked at may come before it.
    fn first_of_each(
        &self,
        direction: Direction,
        filter: &Filter,
        after: Option<&T::Id>,
        share: usize,
    ) -> (Found<T>, bool) {
        let mut found: Found<T> = Vec::new();
        let mut bound: Option<T::Id> = None;
        for shard in &self.shards {
            let part = shard.read().matching(direction, filter, after, share);
            if part.len() >= share
                && let Some((last, _)) = part.last()
                && bound
                    .as_ref()
                    .is_none_or(|bound| direction.of(last, bound).is_lt())
            {
                bound = Some(last.clone());
            }
            found.extend(part);
        }
        if let Some(bound) = &bound {
            found.retain(|(id, _)| direction.of(id, bound).is_le());
        }
        found.sort_unstable_by(|(left, _), (right, _)| direction.of(left, right));
        (found, bound.is_none())
    }

    pub(super) fn count(&self, filter: &Filter) -> u64 {
        self.shards
            .iter()
            .map(|shard| shard.read().count(filter))
            .sum::<usize>() as u64
    }
}

impl<T: Document> Shard<T> {
    fn reindex(&mut self, id: &T::Id, old: Option<&T>, new: &T) {
        for (index, ids) in T::INDEXES.iter().zip(&mut self.indexes) {
            let before = old.and_then(|old| old.field(index.field));
            let after = new.field(index.field);
            if before == after {
                continue;
            }
            if let Some(before) = before
                && let Some(with_value) = ids.get_mut(&before)
            {
                with_value.remove(id);
                if with_value.is_empty() {
                    ids.remove(&before);
                }
            }
            if let Some(after) = after {
                ids.entry(after).or_default().insert(id.clone());
            }
        }
    }

    /// The ids with the value of the filter's first condition, and the conditions left to check;
    /// none where no document has that value.
    fn candidates<'a>(&self, filter: &'a Filter) -> Candidates<'_, 'a, T> {
        let Some(((field, value), rest)) = filter.conditions().split_first() else {
            return Candidates::All;
        };
        let at = T::INDEXES.iter().position(|index| index.field == *field);
        match at.and_then(|at| self.indexes[at].get(value)) {
            Some(ids) => Candidates::Some(ids, rest),
            None => Candidates::None,
        }
    }

    fn matching(
        &self,
        direction: Direction,
        filter: &Filter,
        after: Option<&T::Id>,
        limit: usize,
    ) -> Found<T> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = match direction {
            Direction::Ascending => (after, Bound::Unbounded),
            Direction::Descending => (Bound::Unbounded, after),
        };
        let copy = |(id, stored): (&T::Id, &Stored<T>)| (id.clone(), stored.clone());
        match self.candidates(filter) {
            Candidates::None => Vec::new(),
            Candidates::All => direction
                .through(self.documents.range::<T::Id, _>(range))
                .take(limit)
                .map(copy)
                .collect(),
            Candidates::Some(ids, rest) => direction
                .through(ids.range::<T::Id, _>(range))
                .filter_map(|id| self.documents.get_key_value(id))
                .filter(|(_, stored)| holds(stored.document.as_ref(), rest))
                .take(limit)
                .map(copy)
                .collect(),
        }
    }

    fn count(&self, filter: &Filter) -> usize {
        match self.candidates(filter) {
            Candidates::None => 0,
            Candidates::All => self.documents.len(),
            Candidates::Some(ids, []) => ids.len(),
            Candidates::Some(ids, rest) => ids
                .iter()
                .filter_map(|id| self.documents.get(id))
                .filter(|stored| holds(stored.document.as_ref(), rest))
                .count(),
        }
    }
}

impl Direction {
    /// How two ids follow each other.
    fn of<Id: Ord>(self, left: &Id, right: &Id) -> Ordering {
        match self {
            Self::Ascending => left.cmp(right),
            Self::Descending => right.cmp(left),
        }
    }

    fn through<I: DoubleEndedIterator>(self, mut ids: I) -> impl Iterator<Item = I::Item> {
        iter::from_fn(move || match self {
            Self::Ascending => ids.next(),
            Self::Descending => ids.next_back(),
        })
    }
}

enum Candidates<'s, 'f, T: Document> {
    All,
    Some(&'s BTreeSet<T::Id>, &'f [(&'static str, Value)]),
    None,
}

fn holds<T: Document>(document: &T, conditions: &[(&'static str, Value)]) -> bool {
    conditions
        .iter()
        .all(|(field, value)| document.field(field).as_ref() == Some(value))
}

fn unique_fields<T: Document>() -> impl Iterator<Item = &'static str> {
    T::INDEXES
        .iter()
        .filter(|index| index.unique)
        .map(|index| index.field)
}

fn clashes<T: Document>(taken: &Taken<T>, id: &T::Id, document: &T) -> bool {
    unique_fields::<T>().zip(taken).any(|(field, owners)| {
        document
            .field(field)
            .and_then(|value| owners.get(&value))
            .is_some_and(|owner| owner != id)
    })
}

fn take<T: Document>(taken: &mut Taken<T>, id: &T::Id, old: Option<&T>, new: &T) {
    for (field, owners) in unique_fields::<T>().zip(taken) {
        if let Some(value) = old.and_then(|old| old.field(field)) {
            owners.remove(&value);
        }
        if let Some(value) = new.field(field) {
            owners.insert(value, id.clone());
        }
    }
}
