//! Kafka's `StickyAssignor` (KIP-54): as even as can be, and close to what the members had.
//!
//! Three steps. *Keep*: each partition stays with the member that had it in the newest generation, if it still subscribes to
//! the topic. *Place*: the other partitions go to the subscriber that has the fewest. *Even out*: as long as some member has
//! at least two partitions more than another and could pass one to it, directly or along a chain of members each of which
//! passes one on, it does. An assignment in which no such chain exists cannot be made more even (it is an optimal
//! semi-matching, as Harvey et al. call it), and the shortest chains are used, so that little moves.
//!
//! Java's assignor treats groups whose members all subscribe to the same topics apart, for speed. Here topics with the same
//! subscribers are one *class*, within which any partition is as good as any other; such a group has a single one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Give, Member, Topics};

/// A partition: its number, and its topic's place in the list of topics. In this order a member's partitions of several
/// topics alternate, so that one that gives up the last ones gives up some of each topic.
type Part = (i32, usize);

/// A member's place in the list of members.
type Who = usize;

pub(super) fn assign(members: &[&Member], topics: &Topics, give: &mut Give<'_>) {
    let mut board = Board::new(members, topics);
    let unplaced = board.keep(members);
    board.place(unplaced, members, topics);
    board.even_out();
    for (who, member) in members.iter().enumerate() {
        let mut parts: Vec<Part> = board.held[who].values().flatten().copied().collect();
        parts.sort_unstable_by_key(|(partition, topic)| (*topic, *partition));
        for (partition, topic) in parts {
            give(member, board.topics[topic].0, partition);
        }
    }
}

/// Who has what, while it is being worked out.
struct Board<'a> {
    /// The topics that exist and that somebody subscribes to, with their number of partitions.
    topics: Vec<(&'a Arc<str>, i32)>,
    /// The class of each topic.
    class_of: Vec<usize>,
    /// The subscribers of each class, in the order of the members.
    subscribers: Vec<Vec<Who>>,
    /// What each member has, by class; no list is empty. What it had before comes first, in order.
    held: Vec<BTreeMap<usize, Vec<Part>>>,
    /// How many partitions each member has.
    loads: Vec<usize>,
}

impl<'a> Board<'a> {
    fn new(members: &[&Member], topics: &'a Topics) -> Self {
        let mut subscribers_of: BTreeMap<&str, BTreeSet<Who>> = BTreeMap::new();
        for (who, member) in members.iter().enumerate() {
            for topic in &member.topics {
                subscribers_of.entry(topic).or_default().insert(who);
            }
        }
        let mut board = Self {
            topics: Vec::new(),
            class_of: Vec::new(),
            subscribers: Vec::new(),
            held: vec![BTreeMap::new(); members.len()],
            loads: vec![0; members.len()],
        };
        let mut classes: HashMap<Vec<Who>, usize> = HashMap::new();
        for (topic, count) in &topics.counts {
            let Some(subscribers) = subscribers_of.get(&**topic) else {
                continue;
            };
            let subscribers: Vec<Who> = subscribers.iter().copied().collect();
            let class = *classes
                .entry(subscribers)
                .or_insert_with_key(|subscribers| {
                    board.subscribers.push(subscribers.clone());
                    board.subscribers.len() - 1
                });
            board.topics.push((topic, *count));
            board.class_of.push(class);
        }
        board
    }

    fn hand(&mut self, part: Part, to: Who) {
        let class = self.class_of[part.1];
        self.held[to].entry(class).or_default().push(part);
        self.loads[to] += 1;
    }

    /// Leaves each partition with whoever had it in the newest generation, and returns those that nobody had. Of two
    /// members that claim to have had a partition in the same generation neither is believed, as in Java.
    fn keep(&mut self, members: &[&Member]) -> Vec<Part> {
        #[derive(Clone, Copy)]
        struct Claim {
            generation: i32,
            by: Option<Who>,
        }
        let places: HashMap<&str, usize> = self
            .topics
            .iter()
            .enumerate()
            .map(|(place, (topic, _))| (&***topic, place))
            .collect();
        let mut claims: Vec<Vec<Option<Claim>>> = self
            .topics
            .iter()
            .map(|(_, count)| vec![None; usize::try_from(*count).unwrap_or(0)])
            .collect();
        for (who, member) in members.iter().enumerate() {
            for partition in &member.owned {
                // Topics and partitions that are gone, and topics that the member has turned away from.
                let Some(&topic) = places.get(&*partition.topic) else {
                    continue;
                };
                let number = usize::try_from(partition.partition);
                let Some(claim) = number.ok().and_then(|n| claims[topic].get_mut(n)) else {
                    continue;
                };
                let subscribers = &self.subscribers[self.class_of[topic]];
                if subscribers.binary_search(&who).is_err() {
                    continue;
                }
                let generation = member.generation;
                match claim {
                    Some(other) if other.generation > generation => {}
                    Some(other) if other.generation == generation => {
                        if other.by != Some(who) {
                            other.by = None;
                        }
                    }
                    _ => {
                        *claim = Some(Claim {
                            generation,
                            by: Some(who),
                        });
                    }
                }
            }
        }
        let mut unplaced = Vec::new();
        let mut kept = Vec::new();
        for (topic, claims) in claims.into_iter().enumerate() {
            for (number, claim) in (0..).zip(claims) {
                match claim.and_then(|claim| claim.by) {
                    Some(who) => kept.push(((number, topic), who)),
                    None => unplaced.push((number, topic)),
                }
            }
        }
        kept.sort_unstable();
        for (part, who) in kept {
            self.hand(part, who);
        }
        unplaced
    }

    /// Gives each of these partitions to the subscriber that has the fewest.
    fn place(&mut self, mut parts: Vec<Part>, members: &[&Member], topics: &Topics) {
        let total: usize = self
            .topics
            .iter()
            .filter_map(|(_, count)| usize::try_from(*count).ok())
            .sum();
        // Where there is the least choice first.
        parts.sort_by_key(|(number, topic)| {
            let choice = self.subscribers[self.class_of[*topic]].len();
            (choice, *topic, *number)
        });
        // To members near a replica (KIP-881), as long as that makes nobody's share larger than the others'.
        let share = total / members.len().max(1);
        let is_near = |part: Part, who: Who, topics_of: &Self| {
            let racks = topics.racks.get(topics_of.topics[part.1].0);
            let racks = racks.and_then(|racks| racks.get(usize::try_from(part.0).ok()?));
            let rack = members[who].rack.as_ref();
            rack.zip(racks)
                .is_some_and(|(rack, racks)| racks.contains(rack))
        };
        if !topics.racks.is_empty() && members.iter().any(|m| m.rack.is_some()) {
            parts.retain(|part| {
                let subscribers = &self.subscribers[self.class_of[part.1]];
                let near = subscribers.iter().copied();
                let near =
                    near.filter(|who| self.loads[*who] < share && is_near(*part, *who, self));
                let Some(who) = near.min_by_key(|who| (self.loads[*who], *who)) else {
                    return true;
                };
                self.hand(*part, who);
                false
            });
        }
        for part in parts {
            let subscribers = self.subscribers[self.class_of[part.1]].iter().copied();
            if let Some(who) = subscribers.min_by_key(|who| (self.loads[*who], *who)) {
                self.hand(part, who);
            }
        }
    }

    /// Passes partitions on until no chain of members makes the loads more even.
    fn even_out(&mut self) {
        let mut by_load: BTreeSet<(usize, Who)> = self.loads.iter().copied().zip(0..).collect();
        let mut done = vec![false; self.loads.len()];
        while let Some(&(load, from)) = by_load.last() {
            match self.chain(from, &done) {
                Ok(chain) => {
                    let to = chain.last().map_or(from, |link| link.to);
                    by_load.remove(&(load, from));
                    by_load.remove(&(self.loads[to], to));
                    self.pass_on(&chain);
                    by_load.insert((self.loads[from], from));
                    by_load.insert((self.loads[to], to));
                }
                // Whoever can be reached from here has at most one partition less than this member, which has the most.
                // So nobody's chain through any of them ends at a member that has two less: none needs to be looked at
                // again.
                Err(reached) => {
                    for who in reached {
                        done[who] = true;
                        by_load.remove(&(self.loads[who], who));
                    }
                }
            }
        }
    }

    /// The shortest chain from this member to one that has at least two partitions less; if there is none, all members
    /// that chains from it reach.
    fn chain(&self, from: Who, done: &[bool]) -> Result<Vec<Link>, Vec<Who>> {
        let mut reached_by: Vec<Option<Link>> = vec![None; self.loads.len()];
        let mut class_seen = vec![false; self.subscribers.len()];
        let mut reached = vec![from];
        let mut level = 0;
        while level < reached.len() {
            let next = reached.len();
            for at in level..next {
                let giver = reached[at];
                for &class in self.held[giver].keys() {
                    if std::mem::replace(&mut class_seen[class], true) {
                        continue;
                    }
                    for &to in &self.subscribers[class] {
                        if to != from && !done[to] && reached_by[to].is_none() {
                            reached_by[to] = Some(Link { giver, class, to });
                            reached.push(to);
                        }
                    }
                }
            }
            let least = reached[next..].iter().copied();
            let least = least.min_by_key(|who| (self.loads[*who], *who));
            if let Some(least) = least.filter(|who| self.loads[*who] + 2 <= self.loads[from]) {
                let mut chain = Vec::new();
                let mut link = reached_by[least];
                while let Some(found) = link {
                    chain.push(found);
                    link = reached_by[found.giver];
                }
                chain.reverse();
                return Ok(chain);
            }
            level = next;
        }
        Err(reached)
    }

    fn pass_on(&mut self, chain: &[Link]) {
        // From the far end, so that nobody passes on what it has just got.
        for link in chain.iter().rev() {
            let Some(parts) = self.held[link.giver].get_mut(&link.class) else {
                continue;
            };
            // The last one: what the member did not have before goes first.
            let part = parts.pop();
            if parts.is_empty() {
                self.held[link.giver].remove(&link.class);
            }
            if let Some(part) = part {
                self.loads[link.giver] -= 1;
                self.hand(part, link.to);
            }
        }
    }
}

/// A member passes a partition of a class to another.
#[derive(Clone, Copy)]
struct Link {
    giver: Who,
    class: usize,
    to: Who,
}
