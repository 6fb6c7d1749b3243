//! `orderflow reset-offsets`: sets what a group has committed to another place.

use kafka_client::{Admin, ClientError, OffsetAt, TopicPartition};

use super::init_log;
use super::kafka::{client, must_be_known, table};
use crate::cli::{ResetOffsets, ResetTo};
use crate::shop::ShopError;

/// What is to be set for a partition.
struct Target {
    partition: TopicPartition,
    was: Option<i64>,
    now: i64,
}

pub(super) async fn run(command: ResetOffsets) -> Result<(), ShopError> {
    init_log("warn")?;
    let admin = client(&command.kafka)?.admin();
    must_be_known(&admin, &command.group).await?;
    let partitions = partitions(&admin, &command).await?;
    let targets = targets(&admin, &command.group, &partitions, command.to).await?;
    if command.dry_run {
        print!("{}", told(&targets));
        println!("nothing was set: this is a dry run");
        return Ok(());
    }
    let members = members(&admin, &command.group).await?;
    if members > 0 {
        let group = command.group;
        return Err(ShopError::GroupHasMembers { group, members });
    }
    let offsets: Vec<_> = targets
        .iter()
        .map(|target| (target.partition.clone(), target.now))
        .collect();
    // A member that came in between has Kafka refuse each of them.
    for (_, set) in admin.alter_group_offsets(&command.group, &offsets).await? {
        set?;
    }
    print!("{}", told(&targets));
    Ok(())
}

/// The partitions that are meant.
async fn partitions(
    admin: &Admin,
    command: &ResetOffsets,
) -> Result<Vec<TopicPartition>, ShopError> {
    let topics: Vec<String> = match &command.topic {
        Some(topic) => vec![topic.clone()],
        None => {
            let committed = admin.group_offsets(&command.group).await?;
            let mut topics: Vec<_> = committed.keys().map(|p| p.topic.to_string()).collect();
            topics.dedup();
            topics
        }
    };
    if topics.is_empty() {
        return Err(ShopError::NothingCommitted(command.group.clone()));
    }
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let listed = admin.list_topics().await?;
    let mut all = Vec::new();
    for topic in names {
        let known = listed.iter().find(|known| *known.name == *topic);
        let known = known.ok_or_else(|| ShopError::UnknownTopic(topic.to_owned()))?;
        let count = i32::try_from(known.partitions).unwrap_or(i32::MAX);
        match command.partition {
            Some(partition) if partition >= count => {
                return Err(ShopError::UnknownPartition {
                    topic: topic.to_owned(),
                    partition,
                    partitions: count as usize,
                });
            }
            Some(partition) => all.push(TopicPartition::new(topic, partition)),
            None => all.extend((0..count).map(|partition| TopicPartition::new(topic, partition))),
        }
    }
    Ok(all)
}

/// Where the group stands in each partition, and where it is to stand.
async fn targets(
    admin: &Admin,
    group: &str,
    partitions: &[TopicPartition],
    to: ResetTo,
) -> Result<Vec<Target>, ClientError> {
    let at = match to {
        ResetTo::Earliest => OffsetAt::Earliest,
        // An offset is brought between the log's ends.
        ResetTo::Latest | ResetTo::Offset(_) => OffsetAt::Latest,
        ResetTo::Time(time) => OffsetAt::Timestamp(time.millis()),
    };
    let (committed, starts, ends, places) = tokio::try_join!(
        admin.group_offsets_of(group, partitions),
        admin.list_offsets(partitions, OffsetAt::Earliest),
        admin.list_offsets(partitions, OffsetAt::Latest),
        admin.list_offsets(partitions, at),
    )?;
    let mut targets = Vec::with_capacity(partitions.len());
    for (((partition, start), (_, end)), (_, place)) in starts.into_iter().zip(ends).zip(places) {
        let start = start?.offset.unwrap_or_default();
        let end = end?.offset.unwrap_or_default();
        let now = match to {
            ResetTo::Offset(offset) => offset.clamp(start, end.max(start)),
            // No record is as new as that.
            _ => place?.offset.unwrap_or(end),
        };
        let was = committed.get(&partition).map(|committed| committed.offset);
        targets.push(Target {
            partition,
            was,
            now,
        });
    }
    Ok(targets)
}

async fn members(admin: &Admin, group: &str) -> Result<usize, ClientError> {
    let mut members = 0;
    for (_, described) in admin.describe_groups(&[group]).await {
        members += described?.members.len();
    }
    Ok(members)
}

fn told(targets: &[Target]) -> String {
    let rows: Vec<[String; 4]> = targets
        .iter()
        .map(|target| {
            let was = target.was.map(|offset| offset.to_string());
            [
                target.partition.topic.to_string(),
                target.partition.partition.to_string(),
                was.unwrap_or_else(|| "-".to_owned()),
                target.now.to_string(),
            ]
        })
        .collect();
    table(["TOPIC", "PARTITION", "WAS", "NOW"], &rows)
}
