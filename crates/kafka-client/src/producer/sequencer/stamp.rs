//! What a batch carries so that the broker recognises it, and how it goes on (KIP-98, KIP-360).

/// Producer id and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// What a batch carries so that the broker recognises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) identity: Identity,
    pub(crate) sequence: i32,
}

/// The epochs of a producer id are used up.
pub(super) struct UsedUp;

impl Identity {
    /// The identity after this one: the next epoch, or the fresh one where the epochs are used up.
    pub(super) fn after(self, fresh: Self) -> Result<Self, UsedUp> {
        match self.epoch.checked_add(1) {
            // The broker reserves the last epoch for fencing.
            Some(epoch) if epoch < i16::MAX => Ok(Self { epoch, ..self }),
            _ if fresh.id != self.id => Ok(fresh),
            _ => Err(UsedUp),
        }
    }
}

/// The sequence `records` after this one: behind the largest int comes 0.
pub(super) fn advance(sequence: i32, records: u32) -> i32 {
    ((i64::from(sequence) + i64::from(records)) % (i64::from(i32::MAX) + 1)) as i32
}
