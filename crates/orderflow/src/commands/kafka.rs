//! The broker alone, and topics.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use contracts::names;
use kafka_broker::{Broker, BrokerConfig};
use kafka_client::{Admin, Client, ClientConfig, ClientError, Ensured, NewTopic};

use super::output::{say, show};
use super::{init_log, until_signal};
use crate::cli::Kafka;
use crate::shop::ShopError;

pub(super) async fn broker(listen: SocketAddr) -> Result<(), ShopError> {
    init_log("info")?;
    until_signal(|stop| async move {
        let broker = Broker::start(BrokerConfig::listening_on(listen)).await?;
        say!(
            "broker: bootstrap servers {}, topics are kept in memory, Ctrl-C stops",
            broker.bootstrap_servers()
        );
        stop.cancelled().await;
        broker.stop().await;
        Ok(())
    })
    .await
}

fn admin(kafka: &Kafka) -> Result<Admin, ClientError> {
    Ok(client(kafka)?.admin())
}

pub(super) fn client(kafka: &Kafka) -> Result<Client, ClientError> {
    let config = ClientConfig {
        // Somebody waits in front of the terminal.
        request_timeout: std::time::Duration::from_secs(10),
        ..ClientConfig::new(&kafka.bootstrap_servers)
    };
    Client::new(config)
}

pub(super) async fn topics(kafka: &Kafka, create: bool, partitions: i32) -> Result<(), ShopError> {
    init_log("warn")?;
    let admin = admin(kafka)?;
    if create {
        let wanted = names::TOPICS.map(|topic| NewTopic::new(topic, partitions, -1));
        for (topic, outcome) in admin.ensure_topics(&wanted).await? {
            let outcome = match outcome {
                Ensured::Created => "created",
                Ensured::AlreadyThere => "was there",
            };
            say!("{topic}: {outcome}");
        }
        return Ok(());
    }
    let rows: Vec<[String; 2]> = admin
        .list_topics()
        .await?
        .into_iter()
        .filter(|topic| !topic.is_internal)
        .map(|topic| [topic.name.to_string(), topic.partitions.to_string()])
        .collect();
    show!("{}", table(["TOPIC", "PARTITIONS"], &rows));
    Ok(())
}

pub(super) async fn known_groups(admin: &Admin) -> Result<BTreeSet<String>, ClientError> {
    let listed = admin.list_groups().await?;
    Ok(listed.into_iter().map(|listing| listing.group).collect())
}

/// Kafka says of any name that it has nothing committed, also of a misspelt one.
pub(super) async fn must_be_known(admin: &Admin, group: &str) -> Result<(), ShopError> {
    let known = known_groups(admin).await?;
    if known.contains(group) {
        return Ok(());
    }
    Err(ShopError::UnknownGroup {
        group: group.to_owned(),
        known: known.into_iter().collect(),
    })
}

/// Columns as wide as their widest cell.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head = head.map(str::to_owned);
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["a".to_owned(), "1".to_owned()],
            ["order_placed".to_owned(), "22".to_owned()],
        ];
        assert_eq!(
            table(["TOPIC", "N"], &rows),
            "TOPIC         N\na             1\norder_placed  22\n"
        );
    }
}
