//! Whatever comes in whatever order, nothing is lost, and one key is worked on once at a time.

use std::collections::BTreeMap;

use contracts::Timestamp;
use proptest::prelude::*;

use super::*;

fn key(number: u8) -> OrderId {
    OrderId::new(Timestamp::from_millis(1), [number; 10])
}

#[derive(Debug, Clone)]
enum Step {
    /// So many come in: the key and whether it is work.
    Add(Vec<(u8, bool)>),
    /// What is no event comes in.
    AddPoison,
    /// Time passes, in milliseconds.
    Pass(u64),
    /// One of the batches under way ends.
    End(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec((0u8..6, any::<bool>()), 1..8).prop_map(Step::Add),
        1 => Just(Step::AddPoison),
        3 => (0u64..30).prop_map(Step::Pass),
        3 => any::<prop::sample::Index>().prop_map(Step::End),
    ]
}

/// A backlog that is watched from outside.
struct Watched {
    backlog: Backlog<usize>,
    now: Instant,
    /// What was added, by the number that it got.
    keys: Vec<Option<u8>>,
    under_way: Vec<(Keys, Vec<usize>)>,
    ended: Vec<usize>,
}

impl Watched {
    fn add(&mut self, number: Option<u8>, works: bool) {
        let item = self.keys.len();
        self.keys.push(number);
        self.backlog.add(number.map(key), works, item);
    }

    fn go_on(&mut self) {
        self.backlog.begin(self.now);
        while let Some(batch) = self.backlog.next_batch(self.now) {
            let mine: Vec<_> = batch.1.iter().filter_map(|item| self.keys[*item]).collect();
            let others = self.under_way.iter().flat_map(|(_, items)| items);
            for other in others.filter_map(|item| self.keys[*item]) {
                assert!(!mine.contains(&other), "{other} is handled twice at once");
            }
            self.under_way.push(batch);
            self.backlog.begin(self.now);
        }
        assert!(self.backlog.under_way <= self.backlog.concurrency);
    }

    fn end(&mut self, which: usize) {
        let (keys, items) = self.under_way.remove(which);
        self.ended.extend(items);
        self.backlog.end(&keys);
    }
}

proptest! {
    #[test]
    fn one_key_goes_in_order_and_nothing_is_left(
        concurrency in 1usize..20,
        work in prop_oneof![Just(0u64), 1u64..20],
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut watched = Watched {
            backlog: Backlog::new(concurrency, Duration::from_millis(work)),
            now: Instant::now(),
            keys: Vec::new(),
            under_way: Vec::new(),
            ended: Vec::new(),
        };
        for step in steps {
            match step {
                Step::Add(events) => events.iter().for_each(|(key, works)| watched.add(Some(*key), *works)),
                Step::AddPoison => watched.add(None, false),
                Step::Pass(millis) => watched.now += Duration::from_millis(millis),
                Step::End(which) if !watched.under_way.is_empty() => {
                    watched.end(which.index(watched.under_way.len()));
                }
                Step::End(_) => {}
            }
            watched.go_on();
        }
        let all = watched.keys.len();
        while watched.ended.len() < all {
            watched.go_on();
            if watched.under_way.is_empty() {
                let next = watched.backlog.next_look();
                prop_assert!(next > Some(watched.now), "it does not go on");
                watched.now = next.unwrap_or(watched.now);
            } else {
                watched.end(0);
            }
        }
        let mut by_key: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for item in &watched.ended {
            if let Some(key) = watched.keys[*item] {
                by_key.entry(key).or_default().push(*item);
            }
        }
        for (key, items) in by_key {
            prop_assert!(items.is_sorted(), "key {}: {:?}", key, items);
        }
        prop_assert!(watched.backlog.held.is_empty() && watched.backlog.joinable.is_empty());
        prop_assert_eq!(watched.backlog.under_way, 0);
        watched.ended.sort_unstable();
        prop_assert_eq!(watched.ended, (0..all).collect::<Vec<_>>());
    }
}

fn filled(concurrency: usize, work: u64, keys: &[u8]) -> (Backlog<u8>, Instant) {
    let mut backlog = Backlog::new(concurrency, Duration::from_millis(work));
    for number in keys {
        backlog.add(Some(key(*number)), true, *number);
    }
    (backlog, Instant::now())
}

#[test]
fn an_order_that_takes_long_holds_up_none_but_its_own() {
    let (mut backlog, start) = filled(3, 10, &[1, 1, 2, 3]);
    backlog.begin(start);
    assert!(backlog.next_batch(start).is_none(), "they are worked on");
    let now = start + Duration::from_millis(10);
    backlog.begin(now);
    let (keys, items) = backlog.next_batch(now).unwrap();
    assert_eq!(items, [1, 2, 3]);
    backlog.end(&keys);
    backlog.begin(now);
    assert_eq!(
        backlog.next_look(),
        Some(start + Duration::from_millis(20)),
        "the second of key 1 is next"
    );
}

#[test]
fn beside_a_batch_only_a_full_one_is_begun() {
    let (mut backlog, now) = filled(2 * BATCH, 0, &[1]);
    backlog.begin(now);
    assert!(backlog.next_batch(now).is_some());
    for number in 0..BATCH {
        backlog.begin(now);
        assert!(backlog.next_batch(now).is_none(), "{number}");
        let mut random = [0; 10];
        random[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        let other = OrderId::new(Timestamp::from_millis(2), random);
        backlog.add(Some(other), true, 0);
    }
    backlog.begin(now);
    assert_eq!(backlog.next_batch(now).unwrap().1.len(), BATCH);
}

#[test]
fn several_of_one_key_are_handled_together_if_that_takes_no_time() {
    let (mut backlog, now) = filled(BATCH, 0, &[1, 2, 1, 1]);
    backlog.begin(now);
    assert_eq!(backlog.next_batch(now).unwrap().1, [1, 2, 1, 1]);
}

#[test]
fn a_batch_that_takes_long_holds_up_no_other_order() {
    let (mut backlog, now) = filled(BATCH, 0, &[1]);
    backlog.begin(now);
    assert_eq!(backlog.next_batch(now).unwrap().1, [1]);
    backlog.add(Some(key(1)), true, 1);
    backlog.add(Some(key(2)), true, 2);
    backlog.begin(now);
    assert!(backlog.next_batch(now).is_none());
    let later = backlog.next_look().unwrap();
    assert_eq!(backlog.next_batch(later).unwrap().1, [2]);
    assert_eq!(backlog.next_look(), None, "only the batches can end");
}

#[test]
fn batches_that_are_slow_become_few_and_large() {
    let mut backlog: Backlog<u32> = Backlog::new(BATCH, Duration::ZERO);
    let start = Instant::now();
    let mut sizes = Vec::new();
    for millis in 0..400 {
        let mut random = [0; 10];
        random[..4].copy_from_slice(&u32::to_be_bytes(millis));
        let order = OrderId::new(Timestamp::from_millis(1), random);
        backlog.add(Some(order), true, millis);
        let now = start + Duration::from_millis(millis.into());
        backlog.begin(now);
        while let Some((_, items)) = backlog.next_batch(now) {
            sizes.push(items.len());
        }
    }
    assert_eq!(sizes, [1, 50, 100, 200]);
}

#[test]
fn a_batch_that_is_stuck_delays_the_others_by_a_constant() {
    let (mut backlog, start) = filled(BATCH, 0, &[1]);
    backlog.begin(start);
    backlog.next_batch(start).unwrap();
    let mut now = start;
    for round in 0..20 {
        backlog.add(Some(key(2)), true, 2);
        backlog.begin(now);
        let next = backlog.next_look().unwrap();
        assert!(next <= now + PATIENCE, "round {round}");
        now = next;
        let (keys, _) = backlog.next_batch(now).unwrap();
        backlog.end(&keys);
    }
}
