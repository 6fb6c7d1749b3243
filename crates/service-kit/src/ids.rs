//! New order ids.

use contracts::{OrderId, Timestamp};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Makes order ids that grow from one to the next, whatever the clock does.
#[derive(Debug)]
pub struct IdGenerator {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: StdRng,
    millis: i64,
    counter: u16,
}

/// The twelve bits behind the time count within a millisecond (RFC 9562 section 6.2, method 1).
const COUNTER_BITS: u16 = 0x0fff;
/// A count begins in the lower half, so that 2,048 ids fit even into the unluckiest millisecond.
const COUNTER_START: u16 = 0x07ff;

impl IdGenerator {
    /// Ids that nobody can foresee.
    pub fn random() -> Self {
        Self::with(rand::make_rng())
    }

    /// The same ids for the same seed and the same times.
    pub fn seeded(seed: u64) -> Self {
        Self::with(StdRng::seed_from_u64(seed))
    }

    fn with(random: StdRng) -> Self {
        Self {
            state: Mutex::new(State {
                random,
                millis: -1,
                counter: 0,
            }),
        }
    }

    /// A new id, greater than all before; made at `now` unless an earlier one is from later.
    pub fn order_id(&self, now: Timestamp) -> OrderId {
        let mut state = self.state.lock();
        let mut bytes = [0; 10];
        state.random.fill_bytes(&mut bytes);
        if now.millis() > state.millis {
            state.millis = now.millis();
            state.counter = u16::from_be_bytes([bytes[0], bytes[1]]) & COUNTER_START;
        } else if state.counter == COUNTER_BITS {
            // The millisecond is full: the id is from the next one, as the RFC allows.
            state.millis += 1;
            state.counter = 0;
        } else {
            state.counter += 1;
        }
        [bytes[0], bytes[1]] = state.counter.to_be_bytes();
        OrderId::new(Timestamp::from_millis(state.millis), bytes)
    }
}

#[cfg(test)]
mod tests {
    use contracts::Timestamp;

    use super::IdGenerator;

    #[test]
    fn ids_grow_within_a_millisecond_and_when_the_clock_goes_back() {
        let ids = IdGenerator::seeded(1);
        let mut last = ids.order_id(Timestamp::from_millis(1_000_000));
        for n in 0..20_000 {
            let next = ids.order_id(Timestamp::from_millis(1_000_000 - n % 3));
            assert!(next > last, "{next} after {last}");
            last = next;
        }
    }

    #[test]
    fn a_seed_repeats_its_ids() {
        let now = Timestamp::from_millis(5);
        assert_eq!(
            IdGenerator::seeded(7).order_id(now),
            IdGenerator::seeded(7).order_id(now)
        );
        assert_ne!(
            IdGenerator::seeded(7).order_id(now),
            IdGenerator::seeded(8).order_id(now)
        );
        assert_ne!(
            IdGenerator::random().order_id(now),
            IdGenerator::random().order_id(now)
        );
    }
}
