//! The sequencer against a model of a broker that loses answers, refuses, forgets and restarts.

use proptest::prelude::*;

use super::*;

const FRESH: Identity = Identity { id: 7, epoch: 0 };

/// One partition as a broker keeps it (KIP-98): the last five batches of the producer, and the log.
#[derive(Debug, Default)]
struct Broker {
    identity: Option<Identity>,
    /// First and last sequence of the last five batches.
    recent: VecDeque<(i32, i32)>,
    /// The batches, by their number.
    log: Vec<u64>,
}

#[derive(Debug, PartialEq)]
enum Said {
    Appended,
    Known,
    Disordered,
}

impl Broker {
    fn append(&mut self, number: u64, stamp: Stamp, records: u32) -> Said {
        let last = advance(stamp.sequence, records - 1);
        match self.identity {
            // A broker that does not know the producer takes any sequence as the first.
            None => {}
            Some(known) if known.id == stamp.identity.id && known.epoch > stamp.identity.epoch => {
                return Said::Disordered;
            }
            Some(known) if known == stamp.identity => {
                if self.recent.contains(&(stamp.sequence, last)) {
                    return Said::Known;
                }
                let expected = self.recent.back().map(|(_, last)| advance(*last, 1));
                if expected != Some(stamp.sequence) {
                    return Said::Disordered;
                }
            }
            Some(_) if stamp.sequence != 0 => return Said::Disordered,
            Some(_) => {}
        }
        if self.identity != Some(stamp.identity) {
            self.recent.clear();
            self.identity = Some(stamp.identity);
        }
        self.recent.push_back((stamp.sequence, last));
        if self.recent.len() > 5 {
            self.recent.pop_front();
        }
        self.log.push(number);
        Said::Appended
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A batch of so many records is handed over.
    Push(u32),
    /// The next batch is sent.
    Send,
    /// The oldest request in flight arrives, and its answer too.
    Arrive,
    /// The broker refuses it before the append, for the moment.
    Busy,
    /// The broker refuses it for good.
    Refuse,
    /// The broker refuses it for its size: it goes again in two, if it has two records.
    TooLarge,
    /// It is appended, the replicas are slow: an error that does not say so.
    LateReplicas,
    /// The connection breaks; of the requests in flight this many arrive nevertheless.
    Break(usize),
    /// The oldest `n` batches are past their time.
    Expire(u64),
    /// The broker forgets the producer (retention), nothing being in flight.
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1u32..9).prop_map(Step::Push),
        8 => Just(Step::Send),
        8 => Just(Step::Arrive),
        2 => Just(Step::Busy),
        1 => Just(Step::Refuse),
        2 => Just(Step::TooLarge),
        2 => Just(Step::LateReplicas),
        2 => (0usize..6).prop_map(Step::Break),
        1 => (1u64..4).prop_map(Step::Expire),
        1 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 1..120)
}

/// A batch. Numbers rise in the order of what is sent; a part of a batch has a number between those of its neighbours.
#[derive(Debug, Clone, Copy)]
struct Item {
    number: u64,
    records: u32,
}

/// Between the numbers of two batches: room for the parts of one.
const APART: u64 = 16;

struct World {
    sequencer: Sequencer<Item>,
    broker: Broker,
    /// What is on its way, in order.
    wire: VecDeque<(u64, Item, Stamp)>,
    pushed: u64,
    /// All that must end.
    expected: Vec<u64>,
    ended: Vec<(u64, End, bool)>,
    told_late: Vec<u64>,
    proven: bool,
}

impl World {
    fn new() -> Self {
        Self {
            sequencer: Sequencer::default(),
            broker: Broker::default(),
            wire: VecDeque::new(),
            pushed: 0,
            expected: Vec::new(),
            ended: Vec::new(),
            told_late: Vec::new(),
            proven: false,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Push(records) => {
                let number = self.pushed * APART;
                self.pushed += 1;
                self.expected.push(number);
                self.sequencer.push(Item { number, records }, records);
            }
            Step::Send => self.send(),
            Step::Arrive => {
                if let Some((key, item, stamp)) = self.wire.pop_front() {
                    self.arrive(key, item, stamp);
                }
            }
            Step::Busy => self.turned_away(Answer::Again {
                maybe_written: false,
            }),
            Step::Refuse => self.turned_away(Answer::Refused {
                maybe_written: false,
            }),
            Step::TooLarge => self.too_large(),
            Step::LateReplicas => {
                if let Some((key, item, stamp)) = self.wire.pop_front() {
                    let answer = match self.broker.append(item.number, stamp, item.records) {
                        Said::Disordered => Answer::Disordered,
                        Said::Appended | Said::Known => Answer::Again {
                            maybe_written: true,
                        },
                    };
                    self.answer(key, answer);
                }
            }
            Step::Break(arriving) => {
                for (n, (key, item, stamp)) in
                    std::mem::take(&mut self.wire).into_iter().enumerate()
                {
                    if n < arriving {
                        self.broker.append(item.number, stamp, item.records);
                    }
                    self.answer(
                        key,
                        Answer::Again {
                            maybe_written: true,
                        },
                    );
                }
            }
            Step::Expire(count) => self.expire(count),
            Step::Forget => {
                if self.sequencer.len() == 0 {
                    self.broker.identity = None;
                    self.broker.recent.clear();
                    // A broker forgets after long idleness, and after less of it the partition takes nothing as proven.
                    self.proven = false;
                }
            }
        }
    }

    fn send(&mut self) {
        let limit = if self.proven { 5 } else { 1 };
        match self.sequencer.next(FRESH, limit) {
            Next::Send { key, stamp, batch } => {
                let item = *batch;
                self.wire.push_back((key, item, stamp));
            }
            Next::NeedsIdentity => panic!("no test uses up the epochs"),
            Next::Nothing => {}
        }
    }

    fn arrive(&mut self, key: u64, item: Item, stamp: Stamp) {
        let answer = match self.broker.append(item.number, stamp, item.records) {
            Said::Appended | Said::Known => Answer::Written,
            Said::Disordered => Answer::Disordered,
        };
        self.answer(key, answer);
    }

    fn turned_away(&mut self, answer: Answer) {
        if let Some((key, _, _)) = self.wire.pop_front() {
            self.answer(key, answer);
        }
    }

    fn too_large(&mut self) {
        let Some((key, item, _)) = self.wire.pop_front() else {
            return;
        };
        let half = item.records / 2;
        let right = Item {
            number: item.number + u64::from(half),
            records: item.records - half,
        };
        let into = |whole: Item| {
            let left = Item {
                records: half,
                ..whole
            };
            vec![(left, left.records), (right, right.records)]
        };
        let mut ended = Vec::new();
        if half > 0 && self.sequencer.split(key, into, &mut ended) {
            self.expected.push(right.number);
            self.proven = false;
            self.note(ended);
        } else {
            self.answer(
                key,
                Answer::Refused {
                    maybe_written: false,
                },
            );
        }
    }

    fn answer(&mut self, key: u64, answer: Answer) {
        self.proven = answer == Answer::Written;
        let ended = self.sequencer.answer(key, answer);
        self.note(ended);
    }

    fn note(&mut self, ended: Vec<Ended<Item>>) {
        let ended = ended.into_iter();
        self.ended
            .extend(ended.map(|e| (e.batch.number, e.end, e.maybe_written)));
    }

    fn expire(&mut self, count: u64) {
        let Some(first) = self.sequencer.batches().next().map(|b| b.number) else {
            return;
        };
        let ended = &mut self.ended;
        let late = &mut self.told_late;
        self.sequencer.expire(
            |item| item.number < first + count * APART,
            |expired| match expired {
                Expired::Gone(gone) => {
                    ended.push((gone.batch.number, gone.end, gone.maybe_written));
                }
                Expired::InFlight(item) => late.push(item.number),
            },
        );
    }

    /// Everything works from here on: all must come to an end.
    fn run_out(&mut self) {
        for _ in 0..1_000 {
            if self.sequencer.len() == 0 {
                return;
            }
            self.send();
            self.step(Step::Arrive);
        }
        panic!(
            "{} batches never ended: {:?}",
            self.sequencer.len(),
            self.sequencer
        );
    }

    fn check(&self) {
        let log = &self.broker.log;
        let mut sorted = log.clone();
        sorted.sort_unstable();
        assert_eq!(&sorted, log, "order is kept");
        sorted.dedup();
        assert_eq!(sorted.len(), log.len(), "nothing is doubled: {log:?}");
        let mut numbers: Vec<_> = self.ended.iter().map(|(n, _, _)| *n).collect();
        numbers.sort_unstable();
        let mut expected = self.expected.clone();
        expected.sort_unstable();
        assert_eq!(numbers, expected, "each ends once");
        for (number, end, maybe_written) in &self.ended {
            let is_in_log = log.contains(number);
            match end {
                End::Written => assert!(is_in_log, "{number} was acknowledged"),
                End::Refused | End::Abandoned if !maybe_written => {
                    assert!(
                        !is_in_log || self.told_late.contains(number),
                        "{number} was said not to be written"
                    );
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_is_doubled_lost_or_out_of_order(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.run_out();
        world.check();
    }

    #[test]
    fn without_refusals_and_deadlines_everything_is_written(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            // A single record that is too large is refused.
            if !matches!(step, Step::Refuse | Step::TooLarge | Step::Expire(_)) {
                world.step(step);
            }
        }
        world.run_out();
        world.check();
        prop_assert_eq!(world.broker.log.len() as u64, world.pushed);
    }
}
