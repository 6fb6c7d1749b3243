//! GET /dead-letters, POST /dead-letters/{topic}/redrive and POST /dead-letters/{topic}/drop: those of one group.

use std::time::Duration;

use contracts::Timestamp;
use kafka_client::Producer;
use serde::{Deserialize, Serialize};
use warp::reply::Response;
use warp::{Filter, Reply};

use super::{Desk, DeskError, Letter, LetterId, SUFFIX};
use crate::http::{
    BODY_LIMIT, FieldError, Page, PageRequest, Problem, Routes, Segment, ascending_page, first_of,
    get, json_body, no_query, ok, post,
};

/// How long somebody who asks over HTTP waits for Kafka.
const PATIENCE: Duration = Duration::from_secs(3);
/// Sending back may take longer: what is done stays done, and the answer says so.
const REDRIVE: Duration = Duration::from_secs(30);

/// A letter as HTTP tells it.
#[derive(Debug, Serialize)]
struct LetterView {
    topic: String,
    offset: i64,
    timestamp: Timestamp,
    origin: Option<OriginView>,
    error: String,
    attempts: u32,
    truncated: bool,
    key: Option<String>,
    value: Option<String>,
}

#[derive(Debug, Serialize)]
struct OriginView {
    topic: String,
    partition: i32,
    offset: i64,
}

/// Which letters are meant. It has to be said: an offset that a script has lost must not mean all of them.
#[derive(Debug, Deserialize)]
pub struct Which {
    /// Those before this offset.
    #[serde(default)]
    before: Option<i64>,
    /// All.
    #[serde(default)]
    all: bool,
}

impl Which {
    /// The offset before which letters are meant; none where all are.
    ///
    /// # Errors
    ///
    /// A 422 where neither is said, both are, or the offset is negative.
    pub fn before(&self) -> Result<Option<i64>, Problem> {
        let wrong = |detail: &str| Problem::invalid(vec![FieldError::new("before", detail)]);
        match (self.before, self.all) {
            (None, true) => Ok(None),
            (Some(before), false) if before >= 0 => Ok(Some(before)),
            (Some(_), false) => Err(wrong("must not be negative")),
            (None, false) => Err(wrong("must be an offset, or all must be true")),
            (Some(_), true) => Err(wrong("must not be there where all is true")),
        }
    }
}

#[derive(Debug, Serialize)]
struct Done {
    topic: String,
    letters: u64,
}

impl From<Letter> for LetterView {
    fn from(letter: Letter) -> Self {
        // What is no text is shown as far as it is.
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            topic: letter.place.topic.to_string(),
            offset: letter.offset,
            timestamp: Timestamp::from_millis(letter.timestamp),
            origin: letter.origin.map(|origin| OriginView {
                topic: origin.topic,
                partition: origin.partition,
                offset: origin.offset,
            }),
            error: letter.error,
            attempts: letter.attempts,
            truncated: letter.truncated,
            key: letter.key.map(text),
            value: letter.value.map(text),
        }
    }
}

/// The routes of the letters that `group` has put aside.
pub(crate) fn routes(desk: Desk, group: &'static str, producer: Producer) -> Routes {
    let (listing, dropping) = (desk.clone(), desk.clone());
    let list = warp::path!("dead-letters")
        .and(get())
        .and(ascending_page::<LetterId>())
        .then(move |asked: Result<PageRequest<LetterId>, Problem>| {
            let desk = listing.clone();
            async move {
                let work = async { list(&desk, group, asked?).await };
                reply(Ok(()), PATIENCE, work)
                    .await
                    .unwrap_or_else(Reply::into_response)
            }
        });
    let redrive = warp::path!("dead-letters" / Segment / "redrive")
        .and(post())
        .and(no_query())
        .and(json_body::<Which>(BODY_LIMIT))
        .then(
            move |topic: Segment, query, which: Result<Which, Problem>| {
                let (desk, producer) = (desk.clone(), producer.clone());
                async move {
                    let work = async {
                        let topic = own(topic.into(), group)?;
                        let letters = desk.redrive(&producer, &topic, which?.before()?).await;
                        Ok(ok(&done(topic, letters)?))
                    };
                    reply(query, REDRIVE, work)
                        .await
                        .unwrap_or_else(Reply::into_response)
                }
            },
        );
    let drop_some = warp::path!("dead-letters" / Segment / "drop")
        .and(post())
        .and(no_query())
        .and(json_body::<Which>(BODY_LIMIT))
        .then(
            move |topic: Segment, query, which: Result<Which, Problem>| {
                let desk = dropping.clone();
                async move {
                    let work = async {
                        let topic = own(topic.into(), group)?;
                        let letters = desk.drop_letters(&topic, which?.before()?).await;
                        Ok(ok(&done(topic, letters)?))
                    };
                    reply(query, PATIENCE, work)
                        .await
                        .unwrap_or_else(Reply::into_response)
                }
            },
        );
    first_of([list.boxed(), redrive.boxed(), drop_some.boxed()])
}

async fn list(desk: &Desk, group: &str, asked: PageRequest<LetterId>) -> Result<Response, Problem> {
    let (letters, next) = desk.page(group, asked.after.as_ref(), asked.limit).await?;
    Ok(ok(&Page::new(
        letters.into_iter().map(LetterView::from),
        next,
    )))
}

/// The topic, if its letters are this group's.
fn own(topic: String, group: &str) -> Result<String, Problem> {
    if topic.ends_with(&format!(".{group}{SUFFIX}")) {
        return Ok(topic);
    }
    Err(DeskError::UnknownTopic(topic).into())
}

fn done(topic: String, letters: Result<u64, DeskError>) -> Result<Done, Problem> {
    Ok(Done {
        letters: letters?,
        topic,
    })
}

async fn reply(
    query: Result<(), Problem>,
    patience: Duration,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    query?;
    // In a box, since it is large.
    tokio::time::timeout(patience, Box::pin(work))
        .await
        .unwrap_or_else(|_| Err(Problem::unavailable("Kafka does not answer, try again")))
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::UnknownTopic(_) => Self::not_found(&error),
            DeskError::NotSendable { .. } => Self::conflict(&error),
            other => {
                tracing::warn!(error = %other, "cannot work on the dead letters");
                Self::unavailable("Kafka does not answer, try again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Which;

    #[test]
    fn which_letters_are_meant_has_to_be_said() {
        let before = |body: &str| {
            let which: Which = serde_json::from_str(body).unwrap();
            which.before().map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(before(r#"{"before": 7}"#), Ok(Some(7)));
        assert_eq!(before(r#"{"all": true}"#), Ok(None));
        for unclear in [
            "{}",
            r#"{"before": null}"#,
            r#"{"before": -1}"#,
            r#"{"all": false}"#,
            r#"{"before": 7, "all": true}"#,
        ] {
            assert_eq!(before(unclear), Err(422), "{unclear}");
        }
    }
}
