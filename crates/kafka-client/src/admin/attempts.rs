//! Attempts: how often and how long a call is made again.

use std::collections::BTreeMap;
use std::future::Future;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::{Admin, PerItem, unanswered};
use crate::backoff::Backoff;
use crate::error::{ClientError, Remedy};

/// How often a broker has to say that there is no such topic before it is believed: with the waits in between, for about
/// 0.7 s. A topic that was just made reaches the brokers one after the other, within a fraction of that.
const UNKNOWN_TOPIC_ANSWERS: u32 = 5;

/// How long a call goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// When the call has to be over.
    pub(super) deadline: Instant,
    /// How many more times "no such topic" is not yet believed.
    doubts: u32,
}

impl Patience {
    /// A topic or partition that is unknown is an answer at once: what is asked for is just that.
    pub(super) fn takes_unknown(self) -> Self {
        Self { doubts: 0, ..self }
    }

    /// The topics are known to exist, and are waited for.
    pub(super) fn awaits_unknown(self) -> Self {
        Self {
            doubts: u32::MAX,
            ..self
        }
    }

    /// Whether this error is worth another attempt.
    fn allows(&self, error: &ClientError) -> bool {
        error.is_retriable() && (self.doubts > 0 || !error.is_unknown_topic())
    }
}

impl Admin {
    /// The bounds of a call that begins now.
    pub(super) fn patience(&self) -> Patience {
        Patience {
            deadline: Instant::now() + self.cluster.config().request_timeout,
            doubts: UNKNOWN_TOPIC_ANSWERS - 1,
        }
    }

    /// Makes attempts until one succeeds, fails for good, or the time is up.
    pub(super) async fn attempts<T, F>(
        &self,
        what: &str,
        patience: Patience,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        self.attempts_with(what, patience, |_| attempt()).await
    }

    /// Makes attempts at several things: at all of them, then at those whose error is worth another attempt, until each has
    /// its result or the time is up. An attempt is told which things it is for.
    ///
    /// It is an error of the call only if nothing has a result.
    pub(super) async fn attempts_at_each<K, T, F>(
        &self,
        what: &str,
        patience: Patience,
        items: &[K],
        mut attempt: impl FnMut(Vec<K>) -> F,
    ) -> Result<PerItem<K, T>, ClientError>
    where
        K: Ord + Clone,
        F: Future<Output = Result<PerItem<K, T>, ClientError>>,
    {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let settled = Mutex::new(BTreeMap::new());
        let ended = self.attempts_with(what, patience, |patience| {
            let open = {
                let settled = settled.lock();
                let open = items.iter().filter(|item| !settled.contains_key(*item));
                open.cloned().collect()
            };
            let (attempted, settled) = (attempt(open), &settled);
            async move { settle(attempted.await?, patience, &mut settled.lock()) }
        });
        let failure = ended.await.err();
        let mut settled = settled.into_inner();
        match failure {
            Some(failure) if settled.is_empty() => Err(failure),
            failure => Ok(items
                .iter()
                .map(|item| {
                    let missing = || failure.clone().unwrap_or_else(|| unanswered("Admin", what));
                    let result = settled.remove(item).unwrap_or_else(|| Err(missing()));
                    (item.clone(), result)
                })
                .collect()),
        }
    }

    /// As [`attempts`](Self::attempts); each attempt is told what is still worth another one.
    async fn attempts_with<T, F>(
        &self,
        what: &str,
        mut patience: Patience,
        mut attempt: impl FnMut(Patience) -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut backoff = Backoff::default();
        let mut last = None;
        loop {
            // In a box, so that the callers' futures are not as large as a request's.
            let attempted = Box::pin(attempt(patience));
            let error = match timeout_at(patience.deadline, attempted).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => return Err(self.too_late(what, last)),
            };
            if !patience.allows(&error) {
                return Err(error);
            }
            if error.is_unknown_topic() {
                patience.doubts -= 1;
            }
            last = Some(error.to_string());
            if !self.pause(what, patience, &mut backoff, &error).await {
                return Err(self.too_late(what, last));
            }
        }
    }

    /// Waits before another attempt, and meanwhile brings the metadata up to date if the error calls for that. `false` if
    /// there is no time for another.
    async fn pause(
        &self,
        what: &str,
        patience: Patience,
        backoff: &mut Backoff,
        error: &ClientError,
    ) -> bool {
        tracing::debug!(what, %error, "trying again");
        let next = Instant::now() + backoff.next();
        if next >= patience.deadline {
            return false;
        }
        if error.remedy() == Remedy::RefreshMetadata {
            // Brokers that cannot be reached now may be so at the next attempt, which then has the error.
            let _ = tokio::join!(self.cluster.refresh(next), tokio::time::sleep_until(next));
        } else {
            tokio::time::sleep_until(next).await;
        }
        true
    }

    fn too_late(&self, what: &str, last: Option<String>) -> ClientError {
        ClientError::Timeout {
            what: what.to_owned(),
            after: self.cluster.config().request_timeout,
            last,
        }
    }
}

/// Keeps the results that are final.
///
/// # Errors
///
/// That of one that is not: of an unknown topic if there is one, since it is counted how often that was said.
fn settle<K: Ord, T>(
    results: PerItem<K, T>,
    patience: Patience,
    settled: &mut BTreeMap<K, Result<T, ClientError>>,
) -> Result<(), ClientError> {
    let mut open: Option<ClientError> = None;
    for (item, result) in results {
        match result {
            Err(error) if patience.allows(&error) => {
                if !open.as_ref().is_some_and(ClientError::is_unknown_topic) {
                    open = Some(error);
                }
            }
            result => {
                settled.insert(item, result);
            }
        }
    }
    open.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use kafka_wire::ResponseError as E;

    use super::*;

    fn failed(code: E) -> Result<(), ClientError> {
        Err(ClientError::broker("Test", "it", code))
    }

    /// What is settled after an answer with these results, and whether another attempt is to follow for an unknown topic.
    fn after(doubts: u32, codes: &[Option<E>]) -> (Vec<usize>, Option<bool>) {
        let patience = Patience {
            deadline: Instant::now(),
            doubts,
        };
        let results = codes.iter().map(|code| code.map_or(Ok(()), failed));
        let mut settled = BTreeMap::new();
        let open = settle(results.enumerate().collect(), patience, &mut settled).err();
        let unknown = open.as_ref().map(ClientError::is_unknown_topic);
        (settled.into_keys().collect(), unknown)
    }

    #[test]
    fn an_unknown_topic_is_doubted_whatever_else_is_open() {
        let (unknown, busy) = (E::UnknownTopicOrPartition, E::NotLeaderOrFollower);
        let refused = E::TopicAuthorizationFailed;
        assert_eq!(after(1, &[None, Some(refused)]), (vec![0, 1], None));
        assert_eq!(
            after(1, &[Some(unknown), None, Some(busy)]),
            (vec![1], Some(true))
        );
        assert_eq!(
            after(1, &[Some(busy), None, Some(unknown)]),
            (vec![1], Some(true))
        );
        // Believed by now.
        assert_eq!(
            after(0, &[Some(unknown), Some(busy)]),
            (vec![0], Some(false))
        );
    }
}
