//! The rule of cooperative rebalancing (KIP-429): a partition that another member still has is given to nobody. Its owner
//! sees that it is not assigned any more, gives it up and rejoins, and the rebalance that this starts gives it away.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Member, Plan};
use crate::consumer::TopicPartition;

/// Who says that it has a partition.
struct Claim<'a> {
    generation: i32,
    /// The member; none if two of the same generation say so, of which neither can be believed.
    by: Option<&'a Arc<str>>,
}

/// Takes the partitions out of the plan that somebody other than their new owner claims to have.
///
/// This errs on the safe side: a claim of an older generation counts as well, unless the new owner is the one with the
/// newer claim, for whoever claims a partition may be reading it, and gives it up only when it learns that it is another's.
pub(super) fn hold_back(members: &[&Member], plan: &mut Plan) {
    let mut claims: HashMap<&TopicPartition, Claim<'_>> = HashMap::new();
    for member in members {
        for partition in &member.owned {
            let claim = claims.entry(partition).or_insert(Claim {
                generation: member.generation,
                by: Some(&member.id),
            });
            if member.generation > claim.generation {
                claim.generation = member.generation;
                claim.by = Some(&member.id);
            } else if member.generation == claim.generation && claim.by != Some(&member.id) {
                claim.by = None;
            }
        }
    }
    for (owner, partitions) in plan {
        partitions.retain(|partition| {
            claims
                .get(partition)
                .is_none_or(|claim| claim.by == Some(owner))
        });
    }
}
