//! The store on MongoDB, by the official driver. Needs no transactions, sessions or pipelines.

mod batch;
mod codec;
mod collection;
mod reply;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use mongodb::bson::{Document as Bson, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, Database};

use super::{Direction, Document, StoreError};

pub(super) use collection::Collection;

/// How long to wait for a MongoDB server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a server to be found and for a connection to be made, unless the URI says otherwise.
    /// Default 2 s.
    pub connect: Duration,
    /// For one command, its connection included. Default 5 s. The driver itself waits for an
    /// answer without end, so a server that hangs would hang its client.
    pub operation: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            operation: Duration::from_secs(5),
        }
    }
}

/// A MongoDB server or replica set. Clones share its connections.
#[derive(Clone)]
pub struct MongoStore {
    client: Client,
    timeouts: Timeouts,
}

impl MongoStore {
    /// The server that `uri` names, `mongodb://host:port/…`. Does not connect.
    ///
    /// Whatever the URI says, writes are acknowledged by the majority: an offset is committed after
    /// the write, so the write has to outlive the loss of the primary. And reads go to the primary:
    /// what a secondary does not have yet would look as if it had never been written.
    pub async fn open(uri: &str, timeouts: Timeouts) -> Result<Self, StoreError> {
        // The driver's message repeats parts of the URI, where a password may stand.
        let wrong = |_| StoreError::Settings {
            reason:
                "the MongoDB URI cannot be read; it looks like mongodb://user:password@host:27017"
                    .to_owned(),
        };
        let mut options = ClientOptions::parse(uri).await.map_err(wrong)?;
        options
            .app_name
            .get_or_insert_with(|| "orderflow".to_owned());
        options.connect_timeout.get_or_insert(timeouts.connect);
        options
            .server_selection_timeout
            .get_or_insert(timeouts.connect);
        options.write_concern = Some(WriteConcern::majority());
        options.selection_criteria =
            Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let client = Client::with_options(options).map_err(wrong)?;
        Ok(Self { client, timeouts })
    }

    pub(super) fn collection<T: Document>(&self, database: &str) -> Collection<T> {
        Collection::new(&self.client.database(database), self.timeouts)
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let admin: Database = self.client.database("admin");
        let place = Place {
            collection: "admin",
            operation: "ping",
        };
        place
            .within(
                self.timeouts.operation,
                admin.run_command(doc! { "ping": 1 }),
            )
            .await?;
        Ok(())
    }
}

impl fmt::Debug for MongoStore {
    /// Without the client, whose options hold the URI and so may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStore")
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// Where something happened, for errors.
#[derive(Clone, Copy)]
struct Place<'a> {
    collection: &'a str,
    operation: &'static str,
}

impl Place<'_> {
    /// Waits for a command so long and no longer.
    async fn within<T>(
        self,
        limit: Duration,
        command: impl IntoFuture<IntoFuture: Future<Output = Result<T, Error>>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(limit, command).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => {
                let reason = format!("no answer within {} ms", limit.as_millis());
                Err(self.unavailable("MongoDB does not answer in time", reason))
            }
        }
    }

    fn failed(self, error: &Error) -> StoreError {
        match error.kind.as_ref() {
            // These say that the request itself is wrong, whoever answers it.
            ErrorKind::InvalidArgument { .. }
            | ErrorKind::Bson(_)
            | ErrorKind::BsonDeserialization(_)
            | ErrorKind::BsonSerialization(_) => self.refused(error.to_string()),
            ErrorKind::Command(command) if !reply::passes(command.code) => {
                self.refused(error.to_string())
            }
            ErrorKind::Write(_) => self.refused(error.to_string()),
            // All others are about the way to a server that can do it: no server, no connection,
            // a primary that stepped down, a login that does not work (yet).
            _ => self.unavailable(cause(error), error.to_string()),
        }
    }

    fn unavailable(self, cause: &'static str, reason: String) -> StoreError {
        let Self {
            operation,
            collection,
        } = self;
        StoreError::Unavailable {
            operation,
            collection: collection.to_owned(),
            cause,
            reason,
        }
    }

    fn refused(self, reason: String) -> StoreError {
        let Self {
            operation,
            collection,
        } = self;
        StoreError::Refused {
            operation,
            collection: collection.to_owned(),
            reason,
        }
    }
}

/// A server answered that it cannot do it as things are.
const NOT_NOW: &str = "MongoDB cannot do it in its present state";

/// Why no server did it. The driver's own words describe every server that it knows of.
fn cause(error: &Error) -> &'static str {
    match error.kind.as_ref() {
        ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } => {
            "MongoDB cannot be reached"
        }
        ErrorKind::Authentication { .. } => "MongoDB refuses the login",
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => {
            "the connection to MongoDB broke"
        }
        ErrorKind::Command(_) => NOT_NOW,
        _ => "MongoDB is away",
    }
}

/// The order in which a list comes.
fn by_id(direction: Direction) -> Bson {
    match direction {
        Direction::Ascending => doc! { "_id": 1 },
        Direction::Descending => doc! { "_id": -1 },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mongodb::options::{ReadPreference, SelectionCriteria, WriteConcern};

    use super::{MongoStore, Timeouts};

    #[tokio::test]
    async fn the_uri_cannot_weaken_reads_or_writes() {
        let uri =
            "mongodb://127.0.0.1:1/?readPreference=secondaryPreferred&maxStalenessSeconds=90&w=0";
        let store = MongoStore::open(uri, Timeouts::default()).await.unwrap();
        let database = store.client.database("db");
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        assert_eq!(database.selection_criteria(), Some(&primary));
        assert_eq!(database.write_concern(), Some(&WriteConcern::majority()));
    }

    #[tokio::test]
    async fn the_password_is_not_shown() {
        let uri = "mongodb://user:hunter2@127.0.0.1:1/?authSource=admin";
        let soon = Duration::from_millis(50);
        let timeouts = Timeouts {
            connect: soon,
            operation: soon,
        };
        let store = MongoStore::open(uri, timeouts).await.unwrap();
        let error = store.ping().await.unwrap_err();
        let shown = format!("{store:?} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[tokio::test]
    async fn the_brief_reason_is_free_of_the_drivers_words() {
        let soon = Duration::from_millis(50);
        let timeouts = Timeouts {
            connect: soon,
            operation: Duration::from_secs(60),
        };
        let store = MongoStore::open("mongodb://127.0.0.1:1/", timeouts)
            .await
            .unwrap();
        let error = store.ping().await.unwrap_err();
        assert_eq!(error.brief(), "MongoDB cannot be reached");
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }
}
