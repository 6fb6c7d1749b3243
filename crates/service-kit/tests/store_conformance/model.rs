//! The store against a model of it, step by step.

use super::*;

/// One step of the model test.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Insert(Vec<Ticket>),
    Replace(Vec<Versioned<Ticket>>),
    List(Direction, Option<&'static str>, Option<usize>, usize),
}

fn any_ticket() -> impl Strategy<Value = Ticket> {
    (
        0..12_usize,
        prop::sample::select(vec!["NEW", "PAID"]),
        any::<bool>(),
        prop::option::of(0..4_i64),
    )
        .prop_map(|(number, status, open, key)| Ticket {
            status: status.to_owned(),
            open,
            key,
            ..ticket(format!("{number:02}"))
        })
}

pub(crate) fn any_step() -> impl Strategy<Value = Step> {
    let replace = (1..4_i64, any_ticket()).prop_map(|(version, document)| at(version, document));
    prop_oneof![
        prop::collection::vec(any_ticket(), 0..5).prop_map(Step::Insert),
        prop::collection::vec(replace, 0..6).prop_map(Step::Replace),
        (
            prop::sample::select(vec![Direction::Ascending, Direction::Descending]),
            prop::option::of(prop::sample::select(vec!["NEW", "PAID"])),
            prop::option::of(0..12_usize),
            1..6_usize
        )
            .prop_map(|(way, status, after, limit)| Step::List(way, status, after, limit)),
    ]
}

type Model = BTreeMap<String, Versioned<Ticket>>;

fn key_taken(model: &Model, ticket: &Ticket) -> bool {
    let has = |other: &Ticket| other.number != ticket.number && other.key == ticket.key;
    ticket.key.is_some() && model.values().any(|other| has(&other.document))
}

/// Does the same to the store and to a plain map and compares every answer.
pub(crate) async fn follows_the_model(tickets: Collection<Ticket>, steps: Vec<Step>) {
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Insert(batch) => {
                let expected: Vec<_> = batch
                    .iter()
                    .map(|ticket| insert(&mut model, ticket))
                    .collect();
                assert_eq!(tickets.insert_many(batch).await.unwrap(), expected);
            }
            Step::Replace(mut batch) => {
                if batch.len() > 1 {
                    // Who gets a unique value that changes hands within a batch is not promised.
                    for new in &mut batch {
                        new.document.key = model
                            .get(&new.document.number)
                            .and_then(|old| old.document.key);
                    }
                }
                let expected: Vec<_> = batch.iter().map(|new| replace(&mut model, new)).collect();
                assert_eq!(tickets.replace_many(batch).await.unwrap(), expected);
            }
            Step::List(direction, status, after, limit) => {
                let after = after.map(|after| format!("{after:02}"));
                let after_it = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                let range = match direction {
                    Direction::Ascending => (after_it, Bound::Unbounded),
                    Direction::Descending => (Bound::Unbounded, after_it),
                };
                let mut behind: Vec<_> = model
                    .range::<String, _>(range)
                    .map(|(_, found)| found)
                    .collect();
                if direction == Direction::Descending {
                    behind.reverse();
                }
                let mut expected: Vec<_> = behind
                    .into_iter()
                    .filter(|f| status.is_none_or(|status| f.document.status == status))
                    .cloned()
                    .collect();
                let more = expected.len() > limit;
                expected.truncate(limit);
                let filter =
                    status.map_or(Filter::all(), |status| Filter::all().and("status", status));
                let list = tickets.list_in(direction, &filter, after.as_ref(), limit);
                let found = list.await.unwrap();
                assert_eq!(found.next.is_some(), more);
                assert_eq!(found.items, expected);
            }
        }
    }
    let everything = tickets.list(&Filter::all(), None, 100).await.unwrap().items;
    assert_eq!(everything, model.into_values().collect::<Vec<_>>());
}

fn insert(model: &mut Model, ticket: &Ticket) -> Insert {
    if model.contains_key(&ticket.number) || key_taken(model, ticket) {
        return Insert::AlreadyThere;
    }
    model.insert(ticket.number.clone(), at(1, ticket.clone()));
    Insert::Inserted
}

fn replace(model: &mut Model, new: &Versioned<Ticket>) -> Replace {
    let there = model
        .get(&new.document.number)
        .is_some_and(|old| old.version == new.version);
    if !there || key_taken(model, &new.document) {
        return Replace::Conflict;
    }
    model.insert(
        new.document.number.clone(),
        at(new.version + 1, new.document.clone()),
    );
    Replace::Replaced
}
