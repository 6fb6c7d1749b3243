//! What the membership has the loop do. Nothing here is waited for: what takes time becomes a future that the loop polls.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_wire::ResponseError;
use tokio::time::Instant;

use super::{Drain, Manager};
use crate::consumer::{ConsumerError, LostReason, PartitionConsumer, Slot, Start, TopicPartition};
use crate::group::assignor::Member;
use crate::group::committed::Question;
use crate::group::membership::Action;
use crate::group::protocol::Past;
use crate::group::state::GroupPhase;
use crate::group::{GroupEvent, committed, exchange};

impl Manager {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Join { retry } => self.join(retry),
            Action::Sync { lead } => self.sync(lead),
            Action::Heartbeat(on) => self
                .heartbeat
                .set(on, self.context.config.heartbeat_interval),
            Action::Revoke(partitions) => {
                let slots = self.slots_of(&partitions);
                for slot in &slots {
                    slot.revoke();
                }
                self.begin_drain(slots);
            }
            Action::Lose(partitions, reason) => {
                tracing::warn!(group = %self.context.config.group_id, %reason, partitions = partitions.len(), "partitions were lost");
                let slots = self.slots_of(&partitions);
                for slot in &slots {
                    slot.lose(reason);
                }
                self.shared.commits.wake();
                self.begin_drain(slots);
                if reason == LostReason::MaxPollIntervalExceeded {
                    // It joins again when the holders are there again, and that may take them long.
                    self.drain
                        .iter_mut()
                        .for_each(|drain| drain.deadline = None);
                }
            }
            Action::Forget(partitions) => {
                self.drain = None;
                let slots = self.slots_of(&partitions);
                self.shared
                    .slots
                    .lock()
                    .retain(|slot| !partitions.contains(&slot.id));
                for slot in slots {
                    // Whoever still wants to commit for it comes too late.
                    slot.lose(LostReason::IllegalGeneration);
                }
                self.shared.commits.wake();
            }
            Action::Assign(partitions) => self.assign(partitions),
            Action::Leave => {
                let context = Arc::clone(&self.context);
                let member_id = Arc::clone(self.membership.member_id());
                self.exchange = Some(Box::pin(exchange::leave(context, member_id)));
            }
            Action::End(code) => self.end(code),
        }
    }

    fn join(&mut self, retry: bool) {
        let given_up = self.exchange.take().is_some();
        self.shared_out = None;
        let wait = retry.then(|| self.backoff.next());
        let me = exchange::Me {
            member_id: Arc::clone(self.membership.member_id()),
            generation: self.membership.generation(),
            past: self.past(),
        };
        let context = Arc::clone(&self.context);
        self.exchange = Some(Box::pin(async move {
            if given_up {
                context.coordinator.drop_join().await;
            }
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
            exchange::join(context, me).await
        }));
    }

    /// What the leader is to know of this member.
    fn past(&self) -> Past {
        Past {
            owned: self.membership.owned().iter().cloned().collect(),
            last: self.last.clone(),
        }
    }

    fn sync(&mut self, lead: Option<Vec<Member>>) {
        let Some(terms) = self.terms else {
            return; // Never: it came with the generation.
        };
        let me = exchange::Me {
            member_id: Arc::clone(self.membership.member_id()),
            generation: self.membership.generation(),
            past: Past::default(),
        };
        let context = Arc::clone(&self.context);
        self.exchange = Some(Box::pin(exchange::sync(context, me, terms, lead)));
    }

    fn assign(&mut self, partitions: BTreeSet<TopicPartition>) {
        if partitions.is_empty() {
            return;
        }
        let client_id = &self.context.cluster.config().client_id;
        let group = Some(&self.context.config.group_id);
        let slots: Vec<_> = partitions
            .into_iter()
            .map(|id| {
                let slot = Slot::of_client(id, Start::AwaitsCommitted, client_id, group);
                let mut state = slot.lock();
                state.polled_at = Some(Instant::now());
                state.committed_wanted = Some(Arc::clone(&self.committed_wanted));
                drop(state);
                Arc::new(slot)
            })
            .collect();
        self.shared.slots.lock().extend(slots.iter().cloned());
        self.fetcher.add(&slots);
        for slot in &slots {
            let commits = Some(Arc::clone(&self.shared.commits));
            let handle = PartitionConsumer::new(Arc::clone(slot), self.fetcher.clone(), commits);
            self.shared.events.push(GroupEvent::Assigned(handle));
        }
        self.ask_committed(slots);
    }

    /// Asks for the committed offsets of the partitions that need one and are not being asked for.
    pub(super) fn ask_committed_again(&mut self) {
        let mut slots = self.shared.slots.lock().clone();
        slots.retain(|slot| {
            let state = slot.lock();
            let is_waiting = state.start == Start::AwaitsCommitted && state.failure.is_none();
            state.is_held() && is_waiting && state.committed_asked.is_none()
        });
        if !slots.is_empty() {
            self.ask_committed(slots);
        }
    }

    fn ask_committed(&mut self, slots: Vec<Arc<Slot>>) {
        self.questions += 1;
        let number = self.questions;
        let questions = slots.into_iter().map(|slot| Question::new(slot, number));
        let questions = questions.collect();
        let context = Arc::clone(&self.context);
        let fetcher = self.fetcher.clone();
        let fetch = committed::fetch(context, questions, move || fetcher.wake());
        self.starts.push(Box::pin(fetch));
    }

    fn slots_of(&self, partitions: &BTreeSet<TopicPartition>) -> Vec<Arc<Slot>> {
        let slots = self.shared.slots.lock();
        slots
            .iter()
            .filter(|slot| partitions.contains(&slot.id))
            .cloned()
            .collect()
    }

    fn begin_drain(&mut self, slots: Vec<Arc<Slot>>) {
        self.shared.events.drop_ended();
        let config = &self.context.config;
        let closing = *self.closing.borrow();
        let budget = closing.map_or(config.drain_budget, |closing| closing.drain);
        self.drain = Some(Drain {
            slots,
            deadline: Some(Instant::now() + budget),
        });
    }

    fn end(&mut self, code: Option<ResponseError>) {
        self.exchange = None;
        match code {
            Some(code) => {
                tracing::error!(group = %self.context.config.group_id, %code, "the group cannot go on");
                let error = match self.context.cause.lock().take() {
                    Some(cause) => ConsumerError::Client(cause),
                    None => ConsumerError::Group {
                        group: Arc::clone(&self.context.config.group_id),
                        code,
                    },
                };
                self.shared.events.push(GroupEvent::Error(error));
                self.shared.end(GroupPhase::Failed, LostReason::GroupFailed);
            }
            None => self.shared.end(GroupPhase::Closed, LostReason::Closed),
        }
    }
}
