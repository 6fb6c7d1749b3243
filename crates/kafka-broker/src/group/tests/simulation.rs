//! Random members, at random times: what must hold in every group at every moment.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What one of the members does next.
#[derive(Debug, Clone)]
enum Step {
    Join(usize),
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    Pass(u16),
    Move,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..5usize).prop_map(Step::Join),
        6 => (0..5usize).prop_map(Step::Sync),
        4 => (0..5usize).prop_map(Step::Heartbeat),
        1 => (0..5usize).prop_map(Step::Leave),
        3 => (0..20_000u16).prop_map(Step::Pass),
        1 => Just(Step::Move),
    ];
    prop::collection::vec(step, 1..120)
}

/// A client as it should be: it does what it is told.
#[derive(Debug, Default, Clone)]
struct Client {
    id: String,
    generation: i32,
    leads: bool,
    members: Vec<String>,
    joining: Option<Token>,
    syncing: Option<Token>,
}

#[derive(Default)]
struct World {
    clients: Vec<Client>,
    answered: BTreeSet<Token>,
    asked: BTreeSet<Token>,
    /// Who led a generation; there can be but one.
    leaders: BTreeMap<i32, String>,
    ids: u32,
}

impl World {
    fn act(&mut self, harness: &mut Harness, step: &Step) {
        match step {
            Step::Join(who) => self.join(harness, *who),
            Step::Sync(who) => self.sync(harness, *who),
            Step::Heartbeat(who) => {
                let client = &self.clients[*who];
                let _ = harness.heartbeat(&client.id, client.generation);
            }
            Step::Leave(who) => {
                let id = std::mem::take(&mut self.clients[*who].id);
                let _ = harness.leave(&id);
            }
            Step::Pass(millis) => harness.pass(Duration::from_millis((*millis).into())),
            Step::Move => {
                let now = harness.now;
                harness.group.move_away(now, &mut harness.effects);
            }
        }
        self.take_answers(harness);
    }

    fn join(&mut self, harness: &mut Harness, who: usize) {
        self.ids += 1;
        let mut request = request(&self.clients[who].id);
        // Half of the clients are static, and one is of old.
        if who.is_multiple_of(2) {
            request.instance_id = Some(s(&format!("instance-{who}")));
        }
        request.needs_known_id = who != 1;
        let token = harness.join(request, &format!("member-{}", self.ids));
        self.asked.insert(token);
        self.clients[who].joining = Some(token);
    }

    fn sync(&mut self, harness: &mut Harness, who: usize) {
        let client = &self.clients[who];
        let assignments: Vec<(&str, &'static str)> = if client.leads {
            client.members.iter().map(|id| (id.as_str(), "p")).collect()
        } else {
            Vec::new()
        };
        let token = harness.sync(&client.id, client.generation, &assignments);
        self.asked.insert(token);
        self.clients[who].syncing = Some(token);
    }

    fn take_answers(&mut self, harness: &mut Harness) {
        for effect in std::mem::take(&mut harness.effects) {
            let token = match &effect {
                Effect::Join(token, _) | Effect::Sync(token, _) => *token,
            };
            assert!(self.asked.contains(&token), "nobody asked for {effect:?}");
            assert!(self.answered.insert(token), "answered twice: {effect:?}");
            if let Effect::Join(token, answer) = effect {
                self.take_join(token, &answer);
            }
        }
    }

    fn take_join(&mut self, token: Token, answer: &JoinAnswer) {
        let Some(client) = self
            .clients
            .iter_mut()
            .find(|client| client.joining == Some(token))
        else {
            return;
        };
        match answer.error {
            None => {
                client.id = answer.member_id.to_string();
                client.generation = answer.generation;
                client.leads = answer.leader == answer.member_id && !answer.skip_assignment;
                client.members = answer
                    .members
                    .iter()
                    .map(|member| member.member_id.to_string())
                    .collect();
                if client.leads {
                    assert!(!client.members.is_empty(), "a leader knows the members");
                }
                let _ = self
                    .leaders
                    .insert(answer.generation, answer.leader.to_string());
            }
            Some(ResponseError::MemberIdRequired) => client.id = answer.member_id.to_string(),
            Some(_) => client.id.clear(),
        }
    }
}

fn check(group: &Group) {
    let view = group.view();
    let members: BTreeSet<_> = view.members.iter().map(|member| &member.id).collect();
    match group.phase() {
        Phase::Empty => assert!(members.is_empty(), "an empty group has no members"),
        Phase::Completing | Phase::Stable => {
            let leader = view.leader.as_ref();
            assert!(leader.is_some_and(|leader| members.contains(leader)));
        }
        Phase::Preparing { .. } | Phase::Dead => {}
    }
    if group.phase() == Phase::Stable {
        assert!(!view.protocol.is_empty(), "a stable group has a protocol");
    }
    for member in &view.members {
        if let Some(instance_id) = &member.instance_id {
            assert_eq!(group.static_members.get(instance_id), Some(&member.id));
        }
    }
    for id in group.static_members.values() {
        assert!(members.contains(id), "a static id that is nobody's");
    }
    let waiting = group
        .members
        .values()
        .any(|member| member.awaiting_join.is_some());
    if waiting {
        assert!(matches!(group.phase(), Phase::Preparing { .. }));
        assert!(
            group.next_deadline().is_some(),
            "a join that waits for ever"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_run_keeps_the_rules_and_settles(steps in steps()) {
        let mut harness = Harness::new();
        let mut world = World { clients: vec![Client::default(); 5], ..World::default() };
        let mut generation = 0;
        for step in &steps {
            let before = harness.now;
            world.act(&mut harness, step);
            check(&harness.group);
            let moved = matches!(step, Step::Move);
            let present = harness.group.view().generation;
            prop_assert!(moved || present >= generation, "generations do not go back");
            prop_assert!(harness.now >= before);
            generation = present;
        }
        // Everybody falls silent: the group ends empty, and every request has had its answer.
        harness.pass(Duration::from_secs(3600));
        world.take_answers(&mut harness);
        check(&harness.group);
        prop_assert_eq!(harness.group.phase(), Phase::Empty);
        prop_assert_eq!(harness.group.next_deadline(), None);
        prop_assert_eq!(&world.answered, &world.asked);
    }
}
