//! The bound on the bytes that wait to be sent, and the buffers that are used again.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Buffers under this size are not worth keeping.
const KEEP_FROM: usize = 16 * 1024;
/// How many are kept.
const KEEP: usize = 16;

/// Bytes of buffers, taken by batches under construction and given back when they have ended.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes: Semaphore,
    waiting: AtomicUsize,
    spare: Mutex<Vec<Vec<u8>>>,
    largest_spare: usize,
}

impl Memory {
    pub(crate) fn new(bytes: usize, batch_size: usize) -> Self {
        Self {
            bytes: Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)),
            waiting: AtomicUsize::new(0),
            spare: Mutex::default(),
            // A buffer that grew past a batch served one large record.
            largest_spare: batch_size.saturating_mul(2),
        }
    }

    /// Takes bytes if they are there.
    pub(crate) fn try_take(&self, bytes: u32) -> bool {
        match self.bytes.try_acquire_many(bytes) {
            Ok(permit) => {
                permit.forget();
                true
            }
            Err(_) => false,
        }
    }

    /// Takes bytes once they are there; first come, first served. False when the producer was closed meanwhile.
    pub(crate) async fn take(&self, bytes: u32) -> bool {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        match self.bytes.acquire_many(bytes).await {
            Ok(permit) => {
                permit.forget();
                true
            }
            Err(_) => false,
        }
    }

    /// Whether somebody waits: then nothing lingers.
    pub(crate) fn is_short(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    pub(crate) fn give_back(&self, bytes: u32) {
        self.bytes.add_permits(bytes as usize);
    }

    /// Lets all who wait go away empty-handed.
    pub(crate) fn close(&self) {
        self.bytes.close();
    }

    /// A buffer of about this capacity.
    pub(crate) fn buffer(&self, capacity: usize) -> Vec<u8> {
        if capacity >= KEEP_FROM
            && let Some(spare) = self.spare.lock().pop()
        {
            return spare;
        }
        Vec::with_capacity(capacity)
    }

    /// Keeps a buffer for later, or lets it go.
    pub(crate) fn recycle(&self, buffer: Vec<u8>) {
        if (KEEP_FROM..=self.largest_spare).contains(&buffer.capacity()) {
            let mut spare = self.spare.lock();
            if spare.len() < KEEP {
                spare.push(buffer);
            }
        }
    }
}
