//! The group APIs.

use bytes::Bytes;
use kafka_broker::{ApiKey, Broker, ResponseError};
use kafka_wire::Connection;
use kafka_wire::messages as m;

use crate::support::*;

pub(crate) fn join_request(name: &str, member_id: &str) -> m::JoinGroupRequest {
    use m::join_group_request::JoinGroupRequestProtocol;
    let range = JoinGroupRequestProtocol::default()
        .with_name(s("range"))
        .with_metadata(Bytes::from_static(b"metadata"));
    m::JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_member_id(s(member_id))
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![range])
}

/// Gets an id and joins with it.
pub(crate) async fn join(client: &Connection, name: &str) -> m::JoinGroupResponse {
    let first = client.request(join_request(name, "")).await.unwrap();
    assert_eq!(first.error_code, ResponseError::MemberIdRequired.code());
    client
        .request(join_request(name, &first.member_id))
        .await
        .unwrap()
}

pub(crate) fn sync_request(
    name: &str,
    joined: &m::JoinGroupResponse,
    assignments: &[(&str, &'static str)],
) -> m::SyncGroupRequest {
    use m::sync_group_request::SyncGroupRequestAssignment;
    let assignments = assignments.iter().map(|(id, assignment)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(s(id))
            .with_assignment(Bytes::from_static(assignment.as_bytes()))
    });
    m::SyncGroupRequest::default()
        .with_group_id(group(name))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_protocol_type(Some(s("consumer")))
        .with_protocol_name(Some(s("range")))
        .with_assignments(assignments.collect())
}

fn heartbeat_request(name: &str, joined: &m::JoinGroupResponse) -> m::HeartbeatRequest {
    m::HeartbeatRequest::default()
        .with_group_id(group(name))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
}

/// A member that owns everything.
async fn sole_member(client: &Connection, name: &str) -> m::JoinGroupResponse {
    let joined = join(client, name).await;
    assert_eq!(joined.error_code, 0);
    assert_eq!(joined.leader, joined.member_id);
    let synced = client
        .request(sync_request(name, &joined, &[(&joined.member_id, "all")]))
        .await
        .unwrap();
    assert_eq!(
        (synced.error_code, &synced.assignment[..]),
        (0, &b"all"[..])
    );
    joined
}

async fn wait_for_requests(broker: &Broker, api: ApiKey, requests: u64) {
    while broker.inspect().requests(api) < requests {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn two_members_share_a_group_and_one_leaves() {
    let broker = start().await;
    let (first, second) = (connect(&broker).await, connect(&broker).await);
    let coordinator = first
        .request(m::FindCoordinatorRequest::default().with_key(s("g")))
        .await
        .unwrap();
    assert_eq!(
        (coordinator.error_code, coordinator.node_id),
        (0, m::BrokerId(1))
    );

    let one = sole_member(&first, "g").await;
    assert_eq!(one.generation_id, 1);

    // The second's join waits for the first's, which learns of it by its heartbeat.
    let joins = broker.inspect().requests(ApiKey::JoinGroup);
    let joining = tokio::spawn(async move {
        let joined = join(&second, "g").await;
        (second, joined)
    });
    wait_for_requests(&broker, ApiKey::JoinGroup, joins + 2).await;
    loop {
        let beat = first.request(heartbeat_request("g", &one)).await.unwrap();
        if beat.error_code == ResponseError::RebalanceInProgress.code() {
            break;
        }
        assert_eq!(beat.error_code, 0);
    }
    let one = first
        .request(join_request("g", &one.member_id))
        .await
        .unwrap();
    let (second, two) = joining.await.unwrap();
    assert_eq!((one.generation_id, two.generation_id), (2, 2));
    assert_eq!((one.members.len(), two.members.len()), (2, 0));

    // The follower's sync waits for the leader's.
    let follower = tokio::spawn({
        let request = sync_request("g", &two, &[]);
        async move { (second.request(request).await, second) }
    });
    let assignments = [(&*one.member_id, "p0"), (&*two.member_id, "p1")];
    let leader = first
        .request(sync_request("g", &one, &assignments))
        .await
        .unwrap();
    let (followed, second) = follower.await.unwrap();
    assert_eq!(&leader.assignment[..], b"p0");
    assert_eq!(&followed.unwrap().assignment[..], b"p1");

    let leave = m::LeaveGroupRequest::default()
        .with_group_id(group("g"))
        .with_members(vec![
            m::leave_group_request::MemberIdentity::default().with_member_id(two.member_id),
        ]);
    let left = second.request(leave).await.unwrap();
    assert_eq!((left.error_code, left.members[0].error_code), (0, 0));
    let beat = first.request(heartbeat_request("g", &one)).await.unwrap();
    assert_eq!(beat.error_code, ResponseError::RebalanceInProgress.code());
    broker.stop().await;
}
