use std::collections::BTreeMap;

use contracts::{Item, Money};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Node, Wrong};
use crate::http::FieldError;

#[derive(Debug, Deserialize)]
struct Everything {
    items: Vec<Item>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    inner: Option<Inner>,
    #[serde(default)]
    pair: Option<(u32, bool)>,
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    labels: BTreeMap<String, Label>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inner {
    note: String,
    factor: f64,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Small,
    Large,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Label(i8);

fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, FieldError> {
    let value: &RawValue = serde_json::from_str(text).unwrap();
    T::deserialize(Node::body(value)).map_err(|wrong: Wrong| wrong.into())
}

/// The path and what is wrong there, as one text.
fn wrong(text: &str) -> String {
    let FieldError { field, detail } = read::<Everything>(text).unwrap_err();
    format!("{field}: {detail}")
}

#[test]
fn what_is_right_is_read() {
    let text = r#" { "items": [ {"price": 29.99, "quantity": 2, "product_id": "P\u0030\u00301"} ],
        "note": null, "inner": {"note": "n\n", "factor": -1e-1}, "pair": [7, true], "kind": "large", "labels": {"a": -3} } "#;
    let everything: Everything = read(text).unwrap();
    let [item] = everything.items.as_slice() else {
        panic!("{everything:?}");
    };
    assert_eq!(item.product_id.as_str(), "P001");
    assert_eq!(item.price, Money::from_cents(2999).unwrap());
    let inner = Inner {
        note: "n\n".to_owned(),
        factor: -0.1,
    };
    assert_eq!((everything.note, everything.inner), (None, Some(inner)));
    assert_eq!(everything.pair, Some((7, true)));
    assert_eq!(everything.kind, Some(Kind::Large));
    assert_eq!(everything.labels["a"], Label(-3));
    assert!(read::<Everything>(r#"{"items":[]}"#).is_ok());
    let small: Kind = read("\"small\"").unwrap();
    assert_eq!(small, Kind::Small);
    assert_eq!(
        read::<serde_json::Value>(text).unwrap(),
        serde_json::from_str::<serde_json::Value>(text).unwrap()
    );
}

#[test]
fn an_object_is_written_as_one() {
    for text in ["[]", r#"[[],"n",null]"#, "null", "7", "\"{}\"", "true"] {
        assert_eq!(wrong(text), ": must be an object", "{text}");
    }
    for item in [r#"["P001",1,29.99]"#, "null", "7", "[]"] {
        let text = format!(r#"{{"items":[{item}]}}"#);
        assert_eq!(wrong(&text), "items[0]: must be an object", "{text}");
    }
    for items in ["{}", "null", "\"P001\""] {
        let text = format!(r#"{{"items":{items}}}"#);
        assert_eq!(wrong(&text), "items: must be an array", "{text}");
    }
}

#[test]
fn a_name_that_is_not_known_is_refused_however_deep_it_lies() {
    // An event may have it: its readers are tolerant.
    let item = r#"{"product_id":"P001","quantity":2,"price":29.99,"foo":{"bar":1}}"#;
    assert!(serde_json::from_str::<Item>(item).is_ok());
    for (text, path) in [
        (format!(r#"{{"items":[{item}]}}"#), "items[0].foo"),
        (r#"{"items":[],"more":1}"#.to_owned(), "more"),
        (
            r#"{"items":[],"inner":{"more":1}}"#.to_owned(),
            "inner.more",
        ),
    ] {
        assert_eq!(wrong(&text), format!("{path}: is not known"), "{text}");
    }
    let long = wrong(&format!(r#"{{"{}":1}}"#, "é".repeat(1000)));
    assert_eq!(long, format!("{}…: is not known", "é".repeat(64)));
}

#[test]
fn every_error_names_its_place_in_the_words_of_json() {
    for (text, error) in [
        ("{}", "items: is missing"),
        (
            r#"{"items":[],"items":[]}"#,
            "items: must be there only once",
        ),
        (
            r#"{"items":[{"product_id":"P1","product_id":"P1"}]}"#,
            "items[0].product_id: must be there only once",
        ),
        (
            r#"{"items":[{"product_id":"P1","quantity":1}]}"#,
            "items[0].price: is missing",
        ),
        (
            r#"{"items":[{"product_id":"P1","price":1}]}"#,
            "items[0].quantity: is missing",
        ),
        (
            r#"{"items":[{"product_id":7}]}"#,
            "items[0].product_id: must be a string",
        ),
        (
            r#"{"items":[{"product_id":"\ud800"}]}"#,
            "items[0].product_id: must be Unicode text",
        ),
        (
            r#"{"items":[{"price":{}}]}"#,
            "items[0].price: must be a number such as 59.98",
        ),
        (r#"{"note":7}"#, "note: must be a string"),
        (r#"{"\ud800":7}"#, ": must have names that are Unicode text"),
        (r#"{"inner":{"note":"n"}}"#, "inner.factor: is missing"),
        (
            r#"{"inner":{"factor":"1"}}"#,
            "inner.factor: must be a number",
        ),
        (
            r#"{"inner":{"factor":1e999}}"#,
            "inner.factor: must be a number",
        ),
        (r#"{"pair":[1]}"#, "pair: must not have 1 elements"),
        (r#"{"pair":[1,true,2]}"#, "pair: must have only 2 elements"),
        (
            r#"{"pair":[-1,true]}"#,
            "pair[0]: must be a whole number, 0 or more",
        ),
        (r#"{"pair":[1,"x"]}"#, "pair[1]: must be true or false"),
        (r#"{"kind":"medium"}"#, "kind: must be one of small, large"),
        (r#"{"kind":["small"]}"#, "kind: must be a string"),
        (
            r#"{"labels":{"a":1,"b":1.5}}"#,
            "labels.b: must be a whole number",
        ),
    ] {
        assert_eq!(wrong(text), error, "{text}");
    }
    for quantity in ["0", "1.5", "-1", "\"2\"", "null", "[2]", "1e999", "-0"] {
        let text = format!(r#"{{"items":[{{"quantity":{quantity}}}]}}"#);
        let error = "items[0].quantity: must be a whole number from 1 to 1000000";
        assert_eq!(wrong(&text), error, "{text}");
    }
}

#[test]
fn what_lies_too_deep_does_not_use_up_the_stack() {
    let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let error = read::<serde_json::Value>(&text).unwrap_err();
    assert_eq!(error.detail, "must not lie deeper than 64 levels");
}
