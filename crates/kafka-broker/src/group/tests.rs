//! The group as a pure machine: every answer and every deadline with the time handed in.

mod lifecycle;
mod simulation;
mod static_members;

use std::time::Duration;

use bytes::Bytes;
use kafka_wire::{ResponseError, StrBytes};

use super::*;

/// A group with the answers it gave.
struct Harness {
    group: Group,
    now: Time,
    next_token: u64,
    effects: Vec<Effect>,
}

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

fn s(string: &str) -> StrBytes {
    StrBytes::from_string(string.to_owned())
}

fn limits() -> Limits {
    Limits {
        min_session_timeout: Duration::from_secs(6),
        max_session_timeout: Duration::from_secs(1800),
        initial_rebalance_delay: Duration::ZERO,
        max_size: 100,
    }
}

/// A join of a client of today: new members have to come back with the id they are given.
fn request(member_id: &str) -> JoinRequest {
    JoinRequest {
        member_id: s(member_id),
        instance_id: None,
        client_id: s("client"),
        client_host: s("/127.0.0.1"),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: s("consumer"),
        protocols: vec![(s("range"), Bytes::from_static(b"subscription"))],
        needs_known_id: true,
        can_skip_assignment: true,
    }
}

fn from(member_id: &str, generation: i32) -> GenerationOf {
    GenerationOf {
        member_id: s(member_id),
        instance_id: None,
        generation,
    }
}

impl Harness {
    fn new() -> Self {
        Self::with(limits())
    }

    fn with(limits: Limits) -> Self {
        Self {
            group: Group::new(limits),
            now: Duration::from_secs(1000),
            next_token: 0,
            effects: Vec::new(),
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn join(&mut self, request: JoinRequest, fresh_id: &str) -> Token {
        let token = self.token();
        self.group
            .join(self.now, request, s(fresh_id), token, &mut self.effects);
        token
    }

    /// Joins as a new member that was given this id, and comes back with it.
    fn join_new(&mut self, id: &str) -> Token {
        let first = self.join(request(""), id);
        let answer = self.joined(first);
        assert_eq!(answer.error, Some(ResponseError::MemberIdRequired));
        assert_eq!(answer.member_id, s(id));
        self.join(request(id), "unused")
    }

    fn sync(&mut self, id: &str, generation: i32, assignments: &[(&str, &'static str)]) -> Token {
        let token = self.token();
        let request = SyncRequest {
            from: from(id, generation),
            protocol_type: Some(s("consumer")),
            protocol: Some(s("range")),
            assignments: assignments
                .iter()
                .map(|(id, assignment)| (s(id), Bytes::from_static(assignment.as_bytes())))
                .collect(),
        };
        self.group.sync(self.now, request, token, &mut self.effects);
        token
    }

    fn heartbeat(&mut self, id: &str, generation: i32) -> Result<(), ResponseError> {
        self.group.heartbeat(self.now, &from(id, generation))
    }

    fn leave(&mut self, id: &str) -> Result<(), ResponseError> {
        let leaver = MemberToLeave {
            member_id: s(id),
            instance_id: None,
        };
        self.group.leave(self.now, &leaver, &mut self.effects)
    }

    /// Lets time pass, with every deadline on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.group.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(deadline);
            self.group.tick(self.now, &mut self.effects);
        }
        self.now = end;
    }

    /// The answer to a join, if it came.
    fn join_answer(&mut self, token: Token) -> Option<JoinAnswer> {
        let place = self
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::Join(other, _) if *other == token))?;
        match self.effects.remove(place) {
            Effect::Join(_, answer) => Some(answer),
            Effect::Sync(..) => None,
        }
    }

    fn joined(&mut self, token: Token) -> JoinAnswer {
        self.join_answer(token).expect("the join is answered")
    }

    fn sync_answer(&mut self, token: Token) -> Option<SyncAnswer> {
        let place = self
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::Sync(other, _) if *other == token))?;
        match self.effects.remove(place) {
            Effect::Sync(_, answer) => Some(answer),
            Effect::Join(..) => None,
        }
    }

    fn synced(&mut self, token: Token) -> SyncAnswer {
        self.sync_answer(token).expect("the sync is answered")
    }

    /// A stable group of one, in generation 1.
    fn stable_with_one() -> Self {
        let mut harness = Self::new();
        let token = harness.join_new("a");
        let joined = harness.joined(token);
        assert_eq!((joined.error, joined.generation), (None, 1));
        let token = harness.sync("a", 1, &[("a", "all")]);
        assert_eq!(&harness.synced(token).assignment[..], b"all");
        harness
    }

    /// A stable group of `a`, which leads, and `b`, in generation 2.
    fn stable_with_two() -> Self {
        let mut harness = Self::stable_with_one();
        let b = harness.join_new("b");
        let a = harness.join(request("a"), "unused");
        assert_eq!(harness.joined(a).generation, 2);
        assert_eq!(harness.joined(b).generation, 2);
        let b = harness.sync("b", 2, &[]);
        let a = harness.sync("a", 2, &[("a", "p0"), ("b", "p1")]);
        assert_eq!(&harness.synced(a).assignment[..], b"p0");
        assert_eq!(&harness.synced(b).assignment[..], b"p1");
        assert_eq!(harness.group.phase(), Phase::Stable);
        harness
    }
}
