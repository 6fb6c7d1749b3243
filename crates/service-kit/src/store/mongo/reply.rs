//! What a server's answer to a write says, statement by statement.

use mongodb::bson::{Bson, Document as BsonDocument};

/// The code of an error that says that a unique key is taken.
pub(super) const DUPLICATE_KEY: i32 = 11000;

/// Codes of errors that pass by themselves: from the list of retryable errors in MongoDB's
/// "Retryable Writes" specification, and write conflicts, time-outs and a set without majority; also a role that was taken
/// away (13) and a full disk (14031), which somebody will mend: no document is at fault.
const PASSING: [i32; 20] = [
    6, 7, 13, 50, 64, 89, 91, 100, 112, 134, 189, 262, 9001, 10107, 11600, 11602, 13388, 13435,
    13436, 14031,
];

/// Whether an error with this code is about the server's state and not about the request.
pub(super) fn passes(code: i32) -> bool {
    PASSING.contains(&code)
}

/// A statement that was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WriteError {
    pub(super) index: usize,
    pub(super) code: i32,
    pub(super) message: String,
}

/// The answer to an `update` command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Updated {
    pub(super) errors: Vec<WriteError>,
    /// Statements that inserted their document, for want of one to match.
    pub(super) upserted: Vec<usize>,
    /// Why the write may be lost again, though it was done: too few members have it.
    pub(super) not_safe: Option<String>,
}

/// Reads the answer to an `update` command; none if it is not one.
pub(super) fn updated(answer: &BsonDocument) -> Option<Updated> {
    let errors = list(answer, "writeErrors")
        .map(|error| {
            Some(WriteError {
                index: whole(error, "index")?.try_into().ok()?,
                code: whole(error, "code")?.try_into().ok()?,
                message: error.get_str("errmsg").unwrap_or_default().to_owned(),
            })
        })
        .collect::<Option<_>>()?;
    let upserted = list(answer, "upserted")
        .map(|upserted| whole(upserted, "index")?.try_into().ok())
        .collect::<Option<_>>()?;
    let not_safe = answer
        .get_document("writeConcernError")
        .ok()
        .map(ToString::to_string);
    Some(Updated {
        errors,
        upserted,
        not_safe,
    })
}

fn list<'a>(answer: &'a BsonDocument, field: &str) -> impl Iterator<Item = &'a BsonDocument> {
    answer
        .get_array(field)
        .ok()
        .into_iter()
        .flatten()
        .filter_map(Bson::as_document)
}

/// Servers send whole numbers as any of BSON's number types.
fn whole(document: &BsonDocument, field: &str) -> Option<i64> {
    match document.get(field)? {
        Bson::Int32(number) => Some((*number).into()),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::{DUPLICATE_KEY, passes, updated};

    #[test]
    fn what_is_wrong_with_the_server_passes_and_what_is_wrong_with_a_document_does_not() {
        for (name, code) in [
            ("Unauthorized", 13),
            ("NotWritablePrimary", 10107),
            ("OutOfDiskSpace", 14031),
        ] {
            assert!(passes(code), "{name}");
        }
        for (name, code) in [
            ("BadValue", 2),
            ("DocumentValidationFailure", 121),
            ("DuplicateKey", DUPLICATE_KEY),
        ] {
            assert!(!passes(code), "{name}");
        }
    }

    #[test]
    fn the_answer_says_which_statements_failed() {
        let answer = doc! {
            "ok": 1.0, "n": 3_i64,
            "writeErrors": [{ "index": 1, "code": DUPLICATE_KEY, "errmsg": "E11000" }],
            "upserted": [{ "index": 2_i64, "_id": "x" }],
        };
        let updated = updated(&answer).unwrap();
        assert_eq!(
            (updated.errors[0].index, updated.errors[0].code),
            (1, DUPLICATE_KEY)
        );
        assert_eq!(updated.upserted, [2]);
        assert_eq!(updated.not_safe, None);
    }

    #[test]
    fn an_answer_that_is_none_is_not_guessed_at() {
        assert_eq!(updated(&doc! { "writeErrors": [{ "code": 1 }] }), None);
    }
}
