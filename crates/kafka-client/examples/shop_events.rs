//! Reads the shop's events in a group of its own: prints each, and commits what it has printed.
//!
//! With the shop running: `cargo run --release -p kafka-client --example shop_events`. A word is the group's name (`watchers`
//! without one), and `--cooperative` has its members keep their partitions while they are shared out anew. Kafka is where
//! `KAFKA_BOOTSTRAP_SERVERS` says, or at 127.0.0.1:9092. Ctrl-C stops. docs/learn/12-your-own-client.md walks through it.

use std::time::Duration;

use kafka_client::{
    Assignor, Client, ClientConfig, GroupConfig, GroupEvent, OffsetReset, PartitionConsumer,
};
use tokio::task::JoinSet;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) const TOPICS: [&str; 4] = [
    "order_placed",
    "payment_processed",
    "inventory_updated",
    "shipment_processed",
];

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS");
    let servers = servers.unwrap_or_else(|_| "127.0.0.1:9092".to_owned());
    let (flags, words): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let name = words.first().map_or("watchers", String::as_str);
    let cooperative = flags.iter().any(|flag| flag == "--cooperative");
    let stop = tokio::signal::ctrl_c();
    run(&servers, settings(name, cooperative), async {
        let _ = stop.await;
    })
    .await
}

pub(crate) fn settings(name: &str, cooperative: bool) -> GroupConfig {
    let mut config = GroupConfig::new(name, TOPICS);
    // A group that has committed nothing yet begins with the oldest record there is, and not with the next one.
    config.consumer.auto_offset_reset = OffsetReset::Earliest;
    // How long a member that died is missed before the others take over.
    config.session_timeout = Duration::from_secs(6);
    config.heartbeat_interval = Duration::from_secs(2);
    if cooperative {
        config.assignors = vec![Assignor::CooperativeSticky];
    }
    config
}

/// Reads until `stop`, then leaves the group.
pub(crate) async fn run(
    servers: &str,
    config: GroupConfig,
    stop: impl Future<Output = ()>,
) -> Result<(), AnyError> {
    let client = Client::new(ClientConfig::new(servers))?;
    let mut group = client.consumer_group(config)?;
    let mut readers = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            event = group.next() => match event {
                Some(GroupEvent::Assigned(partition)) => {
                    readers.spawn(read(partition));
                }
                Some(GroupEvent::Error(error)) => return Err(error.into()),
                None => return Err("the group has ended".into()),
            },
            Some(ended) = readers.join_next() => ended??,
            () = &mut stop => break,
        }
    }
    // Every reader's poll returns none now. They have this long to commit, then the member leaves.
    group.close(Duration::from_secs(5)).await?;
    while let Some(ended) = readers.join_next().await {
        ended??;
    }
    Ok(())
}

/// Reads one partition for as long as it is ours.
async fn read(mut partition: PartitionConsumer) -> Result<(), AnyError> {
    let name = partition.topic_partition().to_string();
    println!("+ {name}");
    loop {
        let records = match partition.poll(100).await {
            Ok(Some(records)) => records,
            // Taken back in order: what was committed stands, and whoever is next goes on from there.
            Ok(None) => break,
            // Taken without asking: somebody else may have it already, so nothing may be committed any more.
            Err(error) if error.is_lost() => break,
            Err(error) => return Err(error.into()),
        };
        for record in &records {
            let key = String::from_utf8_lossy(record.key.unwrap_or_default());
            println!("{name} offset {} order {key}", record.offset);
        }
        // Only now are they done. A crash before this line, and they come again.
        match partition.commit(records.next_offset()).await {
            Err(error) if error.is_lost() => break,
            outcome => outcome?,
        }
    }
    println!("- {name}");
    Ok(())
}
