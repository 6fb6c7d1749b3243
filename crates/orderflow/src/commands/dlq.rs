//! Dead letters: looking at them, sending them back, dropping them.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::Timestamp;
use kafka_client::ProducerConfig;
use service_kit::dead_letters::{Desk, Letter};

use super::init_log;
use super::kafka::{client, must_be_known, table};
use super::output::{say, show};
use crate::cli::{Dlq, Kafka};
use crate::shop::ShopError;

/// How long what was sent back may take to be acknowledged when the command ends.
const CLOSE: Duration = Duration::from_secs(5);
/// Characters of an error that fit into a line.
const ERROR: usize = 80;

pub(super) async fn run(action: Dlq) -> Result<(), ShopError> {
    init_log("warn")?;
    match action {
        Dlq::List {
            group,
            limit,
            kafka,
        } => list(&kafka, group.as_deref(), limit).await,
        Dlq::Show {
            topic,
            offset,
            kafka,
        } => show(&desk(&kafka)?, &topic, offset).await,
        Dlq::Redrive {
            topic,
            before,
            kafka,
        } => redrive(&kafka, &topic, before).await,
        Dlq::Drop {
            topic,
            before,
            all: _,
            kafka,
        } => {
            let dropped = desk(&kafka)?.drop_letters(&topic, before).await?;
            say!("{dropped} dropped from {topic}");
            Ok(())
        }
    }
}

fn desk(kafka: &Kafka) -> Result<Desk, ShopError> {
    Ok(Desk::new(client(kafka)?))
}

async fn list(kafka: &Kafka, group: Option<&str>, limit: usize) -> Result<(), ShopError> {
    let client = client(kafka)?;
    let desk = Desk::new(client.clone());
    let topics = desk.topics(group).await?;
    // Kafka forgets a group that nobody is in any more, and what it put aside is still there.
    if let (Some(group), true) = (group, topics.is_empty()) {
        must_be_known(&client.admin(), group).await?;
    }
    let (mut rows, mut cut) = (Vec::new(), Vec::new());
    for topic in topics {
        // One more than is shown says whether there are others.
        let letters = desk.letters(&topic, limit.saturating_add(1)).await?;
        let found = letters.len();
        let shown = oldest(letters, limit);
        if shown.len() < found {
            cut.push(topic.clone());
        }
        for letter in shown {
            rows.push([
                topic.clone(),
                letter.offset.to_string(),
                Timestamp::from_millis(letter.timestamp).to_string(),
                origin(&letter),
                letter.attempts.to_string(),
                text(letter.key.as_deref()),
                beginning(&letter.error),
            ]);
        }
    }
    if rows.is_empty() && cut.is_empty() {
        say!("there are no dead letters");
        return Ok(());
    }
    let head = [
        "TOPIC", "OFFSET", "TIME", "ORIGIN", "ATTEMPTS", "KEY", "ERROR",
    ];
    show!("{}", table(head, &rows));
    for topic in cut {
        say!("{topic} has more than the oldest {limit}: a larger --limit shows them");
    }
    Ok(())
}

/// The first letters of each partition.
fn oldest(letters: Vec<Letter>, limit: usize) -> Vec<Letter> {
    let mut seen: BTreeMap<i32, usize> = BTreeMap::new();
    let mut is_shown = |letter: &Letter| {
        let number = seen.entry(letter.place.partition).or_default();
        *number += 1;
        *number <= limit
    };
    let shown = letters.into_iter().filter(|letter| is_shown(letter));
    shown.collect()
}

/// The beginning of an error, with an ellipsis where more of it is left out.
fn beginning(error: &str) -> String {
    match error.char_indices().nth(ERROR) {
        Some(_) => error.chars().take(ERROR - 1).chain(['…']).collect(),
        None => error.to_owned(),
    }
}

async fn show(desk: &Desk, topic: &str, offset: i64) -> Result<(), ShopError> {
    let letter = desk.letter(topic, offset).await?;
    let letter = letter.ok_or_else(|| ShopError::UnknownLetter {
        topic: topic.to_owned(),
        offset,
    })?;
    say!("topic: {topic}");
    say!("offset: {offset}");
    say!("time: {}", Timestamp::from_millis(letter.timestamp));
    say!("origin: {}", origin(&letter));
    say!("group: {}", letter.group);
    say!("attempts: {}", letter.attempts);
    say!("error: {}", letter.error);
    say!("key: {}", text(letter.key.as_deref()));
    for (name, value) in &letter.headers {
        say!("header {name}: {}", text(value.as_deref()));
    }
    if letter.truncated {
        say!("value: too large to be kept here; it is still where it came from");
    } else {
        say!("value: {}", text(letter.value.as_deref()));
    }
    Ok(())
}

async fn redrive(kafka: &Kafka, topic: &str, before: Option<i64>) -> Result<(), ShopError> {
    let client = client(kafka)?;
    let producer = client.producer(ProducerConfig::default());
    let sent = Desk::new(client).redrive(&producer, topic, before).await;
    // All of it is acknowledged or failed by now, so there is nothing to wait for.
    if let Err(error) = producer.close(CLOSE).await {
        tracing::warn!(%error, "the producer did not close in order");
    }
    say!("{} sent back from {topic}", sent?);
    Ok(())
}

fn origin(letter: &Letter) -> String {
    letter.origin.as_ref().map_or_else(
        || "-".to_owned(),
        |origin| format!("{}-{}@{}", origin.topic, origin.partition, origin.offset),
    )
}

/// Bytes as they read; what is no text, or would move the cursor, is shown as escapes.
fn text(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text
                .chars()
                .flat_map(|c| match c {
                    c if c.is_control() => c.escape_default().collect::<Vec<_>>(),
                    c => vec![c],
                })
                .collect(),
            Err(_) => bytes.escape_ascii().to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use kafka_client::TopicPartition;
    use service_kit::dead_letters::Letter;

    use super::{ERROR, beginning, oldest, text};

    fn letter(partition: i32, offset: i64) -> Letter {
        Letter {
            place: TopicPartition::new("a.b.dlq", partition),
            offset,
            timestamp: 0,
            origin: None,
            group: String::new(),
            error: String::new(),
            attempts: 0,
            truncated: false,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_of_each_partition_are_shown() {
        let letters = [(0, 1), (0, 2), (0, 3), (1, 1)].map(|(p, o)| letter(p, o));
        let shown = |limit| {
            let shown = oldest(letters.to_vec(), limit).into_iter();
            shown
                .map(|l| (l.place.partition, l.offset))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(2), [(0, 1), (0, 2), (1, 1)]);
        assert_eq!(shown(3).len(), 4);
        assert_eq!(shown(0), []);
    }

    #[test]
    fn an_error_that_is_cut_says_so() {
        assert_eq!(beginning("short"), "short");
        let whole = "ß".repeat(ERROR);
        assert_eq!(beginning(&whole), whole);
        let cut = beginning(&format!("{whole}!"));
        assert_eq!(
            (cut.chars().count(), cut.chars().last()),
            (ERROR, Some('…'))
        );
    }

    #[test]
    fn what_is_no_text_is_escaped() {
        assert_eq!(text(None), "null");
        assert_eq!(text(Some("größe".as_bytes())), "größe");
        assert_eq!(text(Some(b"a\x1b[2J")), "a\\u{1b}[2J");
        assert_eq!(text(Some(b"\xff\x00")), "\\xff\\x00");
    }
}
