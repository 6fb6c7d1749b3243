//! The group APIs.

use bytes::Bytes;
use kafka_broker::{ApiKey, BrokerConfig, ResponseError};
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
pub(crate) async fn sole_member(client: &Connection, name: &str) -> m::JoinGroupResponse {
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

#[tokio::test]
async fn a_member_whose_session_ends_is_out() {
    let config = BrokerConfig {
        min_session_timeout: std::time::Duration::from_millis(1),
        ..BrokerConfig::default()
    };
    let broker = start_with(config).await;
    let client = connect(&broker).await;
    let first = client
        .request(join_request("g", "").with_session_timeout_ms(30))
        .await
        .unwrap();
    let request = join_request("g", &first.member_id).with_session_timeout_ms(30);
    let joined = client.request(request).await.unwrap();
    assert_eq!(joined.error_code, 0);
    // Nobody asks the group anything: it is the broker's own timer that empties it.
    while broker.inspect().group("g").unwrap().state != "Empty" {
        tokio::task::yield_now().await;
    }
    let beat = client.request(heartbeat_request("g", &joined)).await;
    let unknown = ResponseError::UnknownMemberId.code();
    assert_eq!(beat.unwrap().error_code, unknown);
    broker.stop().await;
}

#[tokio::test]
async fn groups_are_listed_described_and_deleted() {
    let broker = start().await;
    let client = connect(&broker).await;
    let joined = sole_member(&client, "g").await;

    let list = m::ListGroupsRequest::default().with_states_filter(vec![s("Stable")]);
    let listed = client.request(list).await.unwrap();
    assert_eq!(listed.groups.len(), 1);
    assert_eq!(listed.groups[0].group_id, group("g"));
    assert_eq!(listed.groups[0].protocol_type, s("consumer"));
    let list = m::ListGroupsRequest::default().with_states_filter(vec![s("Empty")]);
    assert_eq!(client.request(list).await.unwrap().groups.len(), 0);

    let request = m::DescribeGroupsRequest::default().with_groups(vec![group("g"), group("x")]);
    let described = client.request(request).await.unwrap().groups;
    assert_eq!(
        (&*described[0].group_state, &*described[0].protocol_data),
        ("Stable", "range")
    );
    let member = &described[0].members[0];
    assert_eq!(member.member_id, joined.member_id);
    assert_eq!(&*member.client_host, "/127.0.0.1");
    assert_eq!(&member.member_assignment[..], b"all");
    assert_eq!(
        (described[1].error_code, &*described[1].group_state),
        (0, "Dead")
    );

    let names = vec![group("g"), group("x")];
    let delete = m::DeleteGroupsRequest::default().with_groups_names(names);
    let deleted = client.request(delete.clone()).await.unwrap().results;
    let errors = deleted.iter().map(|r| r.error_code).collect::<Vec<_>>();
    let not_found = ResponseError::GroupIdNotFound.code();
    assert_eq!(errors, [ResponseError::NonEmptyGroup.code(), not_found]);

    let leaver = m::leave_group_request::MemberIdentity::default().with_member_id(joined.member_id);
    let leave = m::LeaveGroupRequest::default()
        .with_group_id(group("g"))
        .with_members(vec![leaver]);
    client.request(leave).await.unwrap();
    let deleted = client.request(delete).await.unwrap().results;
    assert_eq!(deleted[0].error_code, 0);
    assert_eq!(broker.inspect().groups(), Vec::<String>::new());
    broker.stop().await;
}

#[tokio::test]
async fn a_group_that_is_deleted_under_way_does_not_know_its_members() {
    let broker = start().await;
    let client = connect(&broker).await;
    let joined = sole_member(&client, "g").await;
    assert!(broker.delete_group("g"));
    assert!(!broker.delete_group("g"));
    let beat = client.request(heartbeat_request("g", &joined)).await;
    let unknown = ResponseError::UnknownMemberId.code();
    assert_eq!(beat.unwrap().error_code, unknown);
    assert_eq!(sole_member(&client, "g").await.generation_id, 1);
    broker.stop().await;
}

#[tokio::test]
async fn a_group_needs_a_name() {
    let broker = start().await;
    let client = connect(&broker).await;
    let invalid = ResponseError::InvalidGroupId.code();
    let joined = client.request(join_request("", "")).await.unwrap();
    assert_eq!(joined.error_code, invalid);
    let found = client.request(m::FindCoordinatorRequest::default()).await;
    assert_eq!(found.unwrap().error_code, invalid);
    broker.stop().await;
}

#[tokio::test]
async fn a_member_that_hangs_up_while_it_waits_is_not_waited_for_for_ever() {
    let config = BrokerConfig {
        min_session_timeout: std::time::Duration::from_millis(1),
        ..BrokerConfig::default()
    };
    let broker = start_with(config).await;
    let (first, second) = (connect(&broker).await, connect(&broker).await);
    sole_member(&first, "g").await;
    let short = |id: &str| {
        join_request("g", id)
            .with_session_timeout_ms(20)
            .with_rebalance_timeout_ms(20)
    };
    let handed_out = second.request(short("")).await.unwrap().member_id;
    let joins = broker.inspect().requests(ApiKey::JoinGroup);
    let waiting = tokio::spawn(async move { second.request(short(&handed_out)).await });
    wait_for_requests(&broker, ApiKey::JoinGroup, joins + 1).await;
    waiting.abort();
    let _ = waiting.await;
    // The first joins again and gets a generation; the one that hung up goes with its session.
    let one = broker.inspect().group("g").unwrap().leader.unwrap();
    let joined = first.request(join_request("g", &one)).await.unwrap();
    assert_eq!(joined.error_code, 0);
    let all = [(&*one, "all")];
    first
        .request(sync_request("g", &joined, &all))
        .await
        .unwrap();
    while broker.inspect().group("g").unwrap().members.len() > 1 {
        tokio::task::yield_now().await;
    }
    broker.stop().await;
}
