//! GET /member, and POST /partitions/{topic}/{partition}/pause and /resume: this process as a member of its group.

use std::sync::Arc;
use std::time::Duration;

use kafka_client::{GroupHandle, GroupPhase, GroupStatus, PartitionState, TopicPartition};
use serde::Serialize;
use tokio::sync::watch;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::http::{Problem, Routes, Segment, first_of, get, no_query, ok, post};
use crate::worker::Lanes;

/// How long somebody who asks over HTTP waits for a partition's loop, which answers between two steps.
const PATIENCE: Duration = Duration::from_secs(3);

/// This process as a member of its group, as HTTP tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberView {
    /// The group.
    pub group: String,
    /// The id that the coordinator gave; empty before.
    pub member_id: String,
    /// The name that stays the same over restarts (KIP-345); null without one.
    pub instance_id: Option<String>,
    /// Where the member is in the life of its group: `joining`, `syncing`, `stable`, `draining`, `expelled`, `leaving`, `closed`, `failed`.
    pub phase: &'static str,
    /// The generation of the group; null before it was joined.
    pub generation: Option<i32>,
    /// The name of the assignor in use; null before the group was joined.
    pub protocol: Option<String>,
    /// Whether this member made the assignment.
    pub leader: bool,
    /// The partitions that it has, by topic and number; those that it is giving back too.
    pub partitions: Vec<MemberPartition>,
}

/// A partition of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Whether its reading is paused.
    pub paused: bool,
}

#[derive(Debug, Serialize)]
struct Told {
    topic: String,
    partition: i32,
    paused: bool,
}

impl MemberView {
    /// The member as it is now; one that has not begun to join is `joining`.
    pub fn new(group: &str, instance_id: Option<&str>, member: Option<&GroupHandle>) -> Self {
        let (status, partitions) = match member.map(GroupHandle::state) {
            Some(state) => (state.status, state.partitions),
            None => (GroupStatus::default(), Vec::new()),
        };
        Self {
            group: group.to_owned(),
            member_id: status.member_id.to_string(),
            instance_id: instance_id.map(str::to_owned),
            phase: GroupPhase::as_str(status.phase),
            generation: status.generation,
            protocol: status.protocol.as_deref().map(str::to_owned),
            leader: status.is_leader,
            partitions: partitions.into_iter().map(MemberPartition::from).collect(),
        }
    }
}

impl From<PartitionState> for MemberPartition {
    fn from(state: PartitionState) -> Self {
        Self {
            topic: state.partition.topic.to_string(),
            partition: state.partition.partition,
            paused: state.paused,
        }
    }
}

/// The routes of the member of `group` whose partitions these lanes read.
pub(crate) fn routes(
    group: &'static str,
    instance_id: Option<Arc<str>>,
    membership: watch::Receiver<Option<GroupHandle>>,
    lanes: Lanes,
) -> Routes {
    let member =
        warp::path!("member")
            .and(get())
            .and(no_query())
            .map(move |query: Result<(), Problem>| match query {
                Ok(()) => {
                    let member = membership.borrow().clone();
                    ok(&MemberView::new(
                        group,
                        instance_id.as_deref(),
                        member.as_ref(),
                    ))
                }
                Err(problem) => problem.into_response(),
            });
    let pausing = lanes.clone();
    let pause = warp::path!("partitions" / Segment / i32 / "pause")
        .and(post())
        .and(no_query())
        .then(move |topic, partition, query| {
            set_paused(pausing.clone(), topic, partition, query, true)
        });
    let resume = warp::path!("partitions" / Segment / i32 / "resume")
        .and(post())
        .and(no_query())
        .then(move |topic, partition, query| {
            set_paused(lanes.clone(), topic, partition, query, false)
        });
    first_of([member.boxed(), pause.boxed(), resume.boxed()])
}

async fn set_paused(
    lanes: Lanes,
    topic: Segment,
    partition: i32,
    query: Result<(), Problem>,
    paused: bool,
) -> Response {
    if let Err(problem) = query {
        return problem.into_response();
    }
    let which = TopicPartition::new(&*topic, partition);
    match tokio::time::timeout(PATIENCE, lanes.set_paused(&which, paused)).await {
        Ok(true) => ok(&Told {
            topic: topic.into(),
            partition,
            paused,
        }),
        Ok(false) => {
            Problem::not_found(format!("this process does not read {which} now")).into_response()
        }
        Err(_) => {
            Problem::unavailable("the partition's loop does not answer, try again").into_response()
        }
    }
}
