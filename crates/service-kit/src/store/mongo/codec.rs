//! Documents as BSON: `_id` as text, `version`, then the document's own fields.

use mongodb::bson::{
    self, Bson, Document as BsonDocument, RawBsonRef, RawDocument, RawDocumentBuf, doc,
};

use crate::store::{Document, Filter, StoreError, Value, Versioned};

/// The largest document that is sent. MongoDB takes 16 MiB for a document and a little more for the
/// command around it; this leaves room for both.
pub(super) const MAX_BYTES: usize = 15 * 1024 * 1024;

/// Two fields belong to the store.
const RESERVED: [&str; 2] = ["_id", "version"];

/// The document as it is stored, at this version.
pub(super) fn encode<T: Document>(
    collection: &str,
    document: &T,
    version: i64,
) -> Result<RawDocumentBuf, StoreError> {
    let id = document.id().to_string();
    let wrong = |reason: String| StoreError::Document {
        collection: collection.to_owned(),
        id: id.clone(),
        reason: format!("cannot be written: {reason}"),
    };
    let own = bson::serialize_to_raw_document_buf(document).map_err(|e| wrong(e.to_string()))?;
    let mut stored = RawDocumentBuf::new();
    stored.append(bson::cstr!("_id"), id.as_str());
    stored.append(bson::cstr!("version"), version);
    for element in own.iter_elements() {
        let element = element.map_err(|e| wrong(e.to_string()))?;
        if RESERVED.contains(&element.key().as_str()) {
            return Err(wrong(format!(
                "its field {} belongs to the store",
                element.key()
            )));
        }
        let key = element.key();
        let value = element.value().map_err(|e| wrong(e.to_string()))?;
        stored.append(key, value);
    }
    if stored.as_bytes().len() > MAX_BYTES {
        return Err(wrong(format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(stored)
}

/// The document and its version, from what was stored.
pub(super) fn decode<T: Document>(
    collection: &str,
    stored: &RawDocument,
) -> Result<Versioned<T>, StoreError> {
    let wrong = |reason: String| StoreError::Document {
        collection: collection.to_owned(),
        id: stored_id(stored)
            .unwrap_or("without a text as _id")
            .to_owned(),
        reason: format!("cannot be read: {reason}"),
    };
    // A version that was edited by hand in a shell may have become a 32-bit integer.
    let version = match stored.get("version").map_err(|e| wrong(e.to_string()))? {
        Some(RawBsonRef::Int64(version)) => version,
        Some(RawBsonRef::Int32(version)) => version.into(),
        _ => return Err(wrong("its version is not a whole number".to_owned())),
    };
    let document =
        bson::deserialize_from_slice(stored.as_bytes()).map_err(|e| wrong(e.to_string()))?;
    Ok(Versioned { version, document })
}

/// The text that is the document's `_id`.
pub(super) fn stored_id(stored: &RawDocument) -> Option<&str> {
    stored.get_str("_id").ok()
}

/// The filter as a query.
pub(super) fn query(filter: &Filter) -> BsonDocument {
    let mut query = doc! {};
    for (field, value) in filter.conditions() {
        let value = match value {
            Value::Text(text) => Bson::String(text.clone().into_owned()),
            Value::Integer(number) => Bson::Int64(*number),
            Value::Boolean(yes) => Bson::Boolean(*yes),
        };
        query.insert(*field, value);
    }
    query
}

#[cfg(test)]
mod tests {
    use contracts::{Money, Timestamp};
    use serde::{Deserialize, Serialize};

    use super::{decode, encode};
    use crate::store::Document;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Bill {
        number: String,
        amount: Money,
        due: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<i64>,
    }

    impl Document for Bill {
        type Id = String;
        const COLLECTION: &'static str = "bills";

        fn id(&self) -> String {
            self.number.clone()
        }
    }

    fn bill() -> Bill {
        Bill {
            number: "B1".to_owned(),
            amount: "59.98".parse().unwrap(),
            due: Timestamp::from_millis(1),
            version: None,
        }
    }

    #[test]
    fn money_is_stored_as_whole_cents_and_times_as_text() {
        let stored = encode("db.bills", &bill(), 7).unwrap();
        assert_eq!(stored.get_str("_id").unwrap(), "B1");
        assert_eq!(stored.get_i64("version").unwrap(), 7);
        assert_eq!(stored.get_i64("amount").unwrap(), 5998);
        assert_eq!(stored.get_str("due").unwrap(), "1970-01-01T00:00:00.001Z");
        assert_eq!(decode::<Bill>("db.bills", &stored).unwrap().version, 7);
    }

    #[test]
    fn a_document_may_not_have_the_fields_of_the_store() {
        let refused = encode(
            "db.bills",
            &Bill {
                version: Some(1),
                ..bill()
            },
            1,
        )
        .unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("its field version belongs to the store")
        );
    }
}
