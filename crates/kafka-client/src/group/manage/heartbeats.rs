//! Heartbeats, and the session that they keep.

use std::sync::Arc;

use kafka_wire::ResponseError;
use tokio::time::Instant;

use super::Manager;
use crate::group::exchange;
use crate::group::membership::Input;

impl Manager {
    pub(super) fn heartbeat_due(&mut self) {
        let now = Instant::now();
        let heartbeat = &mut self.heartbeat;
        let session = self.context.config.session_timeout;
        if heartbeat.heard.is_some_and(|heard| now >= heard + session) {
            heartbeat.heard = None;
            self.step(Input::SessionExpired);
            return;
        }
        heartbeat.next = Some(now + self.context.config.heartbeat_interval);
        if heartbeat.under_way.is_none() {
            let context = Arc::clone(&self.context);
            let member_id = Arc::clone(self.membership.member_id());
            let generation = self.membership.generation();
            heartbeat.under_way = Some(Box::pin(async move {
                (
                    generation,
                    exchange::heartbeat(context, member_id, generation).await,
                )
            }));
        }
    }

    pub(super) fn heartbeat_answered(
        &mut self,
        generation: i32,
        result: Option<Result<(), ResponseError>>,
    ) {
        match result {
            Some(Ok(())) => {
                self.backoff.reset();
                self.heartbeat.heard = Some(Instant::now());
            }
            Some(Err(code)) => {
                if code == ResponseError::RebalanceInProgress {
                    self.heartbeat.heard = Some(Instant::now());
                }
                self.step(Input::Refused { generation, code });
            }
            // No answer: the coordinator is looked for at once, and not only when the next heartbeat is due.
            None => {
                let soon = Instant::now() + self.backoff.next();
                if let Some(next) = &mut self.heartbeat.next {
                    *next = soon.min(*next);
                }
            }
        }
    }
}
