//! How a batch becomes commands.

use std::collections::HashSet;
use std::hash::Hash;

use mongodb::bson::{RawDocumentBuf, cstr, rawdoc};

use super::codec::{self, MAX_BYTES};
use crate::store::{Document, StoreError, Versioned};

/// Statements in one command. MongoDB takes 100,000, but a command is to be done well within the
/// time that an operation may take.
pub(super) const MAX_STATEMENTS: usize = 2_000;

/// One statement of an `update` command: matched on `_id` and `version`.
///
/// It is an upsert, though nothing is ever to be inserted: where another version is there, the
/// insert fails for its `_id`, and so the answer names the statement. Without it the answer only
/// counts the matches, and reading the documents again cannot tell one's own write from a rival's
/// that started from the same version. A document that is not there at all does get inserted; the
/// answer names that too, and it is taken back. Documents are never deleted, so that takes somebody
/// who wipes the database under a running service.
pub(super) fn statement<T: Document>(
    collection: &str,
    new: &Versioned<T>,
) -> Result<RawDocumentBuf, StoreError> {
    let document = codec::encode(collection, &new.document, new.version.saturating_add(1))?;
    let mut statement = RawDocumentBuf::new();
    let query = rawdoc! { "_id": new.document.id().to_string(), "version": new.version };
    statement.append(cstr!("q"), query);
    statement.append(cstr!("u"), document);
    statement.append(cstr!("upsert"), true);
    Ok(statement)
}

/// Slices that each fit into one command, the ids in each all different. No document alone is too
/// large for a command.
pub(super) fn chunks<I: Eq + Hash>(
    ids: impl Iterator<Item = I>,
    documents: &[RawDocumentBuf],
) -> Vec<&[RawDocumentBuf]> {
    let mut chunks = Vec::new();
    let mut here = HashSet::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, (id, document)) in ids.zip(documents).enumerate() {
        let size = document.as_bytes().len();
        let full = at > start && (bytes + size > MAX_BYTES || at - start == MAX_STATEMENTS);
        if full || here.contains(&id) {
            chunks.push(&documents[start..at]);
            (start, bytes) = (at, 0);
            here.clear();
        }
        bytes += size;
        here.insert(id);
    }
    if start < documents.len() {
        chunks.push(&documents[start..]);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use mongodb::bson::rawdoc;

    use super::{MAX_BYTES, MAX_STATEMENTS, chunks};

    #[test]
    fn a_batch_is_cut_by_count_by_size_and_where_an_id_comes_again() {
        let small = vec![rawdoc! { "a": 1 }; 2 * MAX_STATEMENTS + 1];
        let sizes: Vec<usize> = chunks(0.., &small)
            .iter()
            .map(|chunk| chunk.len())
            .collect();
        assert_eq!(sizes, [MAX_STATEMENTS, MAX_STATEMENTS, 1]);
        let large = vec![rawdoc! { "a": "x".repeat(MAX_BYTES / 2) }; 3];
        assert_eq!(chunks(0.., &large).len(), 3);
        let sizes: Vec<usize> = chunks([1, 2, 1, 1, 3].into_iter(), &small[..5])
            .iter()
            .map(|chunk| chunk.len())
            .collect();
        assert_eq!(sizes, [2, 1, 2]);
        assert!(chunks(0.., &[]).is_empty());
    }
}
