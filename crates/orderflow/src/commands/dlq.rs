//! Dead letters: looking at them, sending them back, dropping them.

use std::time::Duration;

use contracts::Timestamp;
use kafka_client::ProducerConfig;
use service_kit::dead_letters::{Desk, Letter};

use super::init_log;
use super::kafka::{client, table};
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
        } => list(&desk(&kafka)?, group.as_deref(), limit).await,
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
            println!("{dropped} dropped from {topic}");
            Ok(())
        }
    }
}

fn desk(kafka: &Kafka) -> Result<Desk, ShopError> {
    Ok(Desk::new(client(kafka)?))
}

async fn list(desk: &Desk, group: Option<&str>, limit: usize) -> Result<(), ShopError> {
    let mut rows = Vec::new();
    for topic in desk.topics(group).await? {
        for letter in desk.letters(&topic, limit).await? {
            rows.push([
                topic.clone(),
                letter.offset.to_string(),
                Timestamp::from_millis(letter.timestamp).to_string(),
                origin(&letter),
                letter.attempts.to_string(),
                text(letter.key.as_deref()),
                letter.error.chars().take(ERROR).collect(),
            ]);
        }
    }
    if rows.is_empty() {
        println!("there are no dead letters");
        return Ok(());
    }
    let head = [
        "TOPIC", "OFFSET", "TIME", "ORIGIN", "ATTEMPTS", "KEY", "ERROR",
    ];
    print!("{}", table(head, &rows));
    Ok(())
}

async fn show(desk: &Desk, topic: &str, offset: i64) -> Result<(), ShopError> {
    let letter = desk.letter(topic, offset).await?;
    let letter = letter.ok_or_else(|| ShopError::UnknownLetter {
        topic: topic.to_owned(),
        offset,
    })?;
    println!("topic: {topic}");
    println!("offset: {offset}");
    println!("time: {}", Timestamp::from_millis(letter.timestamp));
    println!("origin: {}", origin(&letter));
    println!("group: {}", letter.group);
    println!("attempts: {}", letter.attempts);
    println!("error: {}", letter.error);
    println!("key: {}", text(letter.key.as_deref()));
    for (name, value) in &letter.headers {
        println!("header {name}: {}", text(value.as_deref()));
    }
    if letter.truncated {
        println!("value: too large to be kept here; it is still where it came from");
    } else {
        println!("value: {}", text(letter.value.as_deref()));
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
    println!("{} sent back from {topic}", sent?);
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
    use super::text;

    #[test]
    fn what_is_no_text_is_escaped() {
        assert_eq!(text(None), "null");
        assert_eq!(text(Some("größe".as_bytes())), "größe");
        assert_eq!(text(Some(b"a\x1b[2J")), "a\\u{1b}[2J");
        assert_eq!(text(Some(b"\xff\x00")), "\\xff\\x00");
    }
}
