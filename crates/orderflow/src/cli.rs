//! The command line: what can be started, and the settings that each reads from it or from the environment.

mod http;
mod outside;
mod reset;

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use contracts::{Money, names};
use notification_service::mail::{CustomerDomain, Sender};
use notification_service::smtp::{SmtpUrl, SmtpUrlError};
use service_kit::secret::Secret;
use service_kit::worker::WorkerConfig;

use crate::processing::ProcessingTime;
use crate::stock::Stock;
pub use http::Http;
pub use outside::{
    AdminToken, AllUrls, Dashboard, InventoryUrl, Load, OrderUrl, ShopUrls, Top, Verify,
};
pub use reset::{ResetOffsets, ResetTo};

/// What the exit code says.
const EXIT_CODES: &str = "\
Exit codes: 0 done, or stopped as told by Ctrl-C or SIGTERM; 1 failed, or did not stop within 5 s; 2 the command line is wrong.";

/// An event-driven shop: order → payment → inventory → shipment, joined by Kafka topics.
///
/// Without a command it runs all of it in this process, on an embedded broker and store unless KAFKA_BOOTSTRAP_SERVERS
/// and MONGODB_URI name real ones.
#[derive(Debug, Parser)]
// The settings of a command stand behind it; before it they would be taken for those of everything, and ignored.
#[command(name = "orderflow", version, about, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without it, everything in one process.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings of everything in one process.
    #[command(flatten)]
    pub settings: Settings,
    /// What its dashboard asks for.
    #[command(flatten)]
    pub admin: AdminToken,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one service on a Kafka and a MongoDB.
    Serve(Serve),
    /// Run an embedded broker alone, for any Kafka client.
    Broker {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:9092")]
        listen: SocketAddr,
    },
    /// Print each partition of the consumer groups: position, end and lag.
    Offsets {
        /// Only this group.
        #[arg(long)]
        group: Option<String>,
        /// Which Kafka.
        #[command(flatten)]
        kafka: Kafka,
    },
    /// Print the topics, or make those of the pipeline.
    Topics {
        /// Make the pipeline's topics that are not there.
        #[arg(long)]
        create: bool,
        /// Partitions of a topic that is made.
        #[arg(long, allow_negative_numbers = true, default_value_t = names::PARTITIONS, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
        /// Which Kafka.
        #[command(flatten)]
        kafka: Kafka,
    },
    /// Look at dead letters, send them back to where they came from, or drop them.
    Dlq {
        /// What to do with them.
        #[command(subcommand)]
        action: Dlq,
    },
    /// Set the offsets that a group has committed to another place, while none of its members runs.
    ResetOffsets(ResetOffsets),
    /// Show the live page of a shop: its topics, groups, services and orders as they are now.
    Dashboard(Dashboard),
    /// Show a shop in the terminal: its groups, partitions, lag and orders as they are now.
    Top(Top),
    /// Put a shop under load: post orders, follow them to their end, and tell how it went.
    ///
    /// Exits with 1 if an order was not accepted or did not come to its end.
    Load(Load),
    /// Check that services and topics agree on every order, and that the stock adds up.
    ///
    /// Exits with 1 and says what is not so, if something is not.
    Verify(Verify),
    /// Ask a URL and exit with 0 if it answers 200, for images that have no curl.
    Healthcheck {
        /// An http:// URL.
        url: String,
    },
}

/// What is done with dead letters.
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// Print the oldest letters of each topic: where they came from and why they were put aside.
    List {
        /// Only those of this group.
        #[arg(long)]
        group: Option<String>,
        /// The most letters of a topic.
        #[arg(long, allow_negative_numbers = true, default_value_t = 20, value_parser = at_least_one)]
        limit: usize,
        /// Which Kafka.
        #[command(flatten)]
        kafka: Kafka,
    },
    /// Print a letter with its headers and its value.
    Show {
        /// The topic of dead letters, as `dlq list` prints it.
        topic: String,
        /// The letter's offset in it.
        #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..))]
        offset: i64,
        /// Which Kafka.
        #[command(flatten)]
        kafka: Kafka,
    },
    /// Publish letters to the topic that they came from, with key and event id as they were, and remove them here.
    Redrive {
        /// The topic of dead letters.
        topic: String,
        /// Only those before this offset.
        #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..))]
        before: Option<i64>,
        /// Which Kafka.
        #[command(flatten)]
        kafka: Kafka,
    },
    /// Delete letters for good.
    Drop {
        /// The topic of dead letters.
        topic: String,
        /// Those before this offset.
        #[arg(long, required_unless_present = "all", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..))]
        before: Option<i64>,
        /// All of them.
        #[arg(long, conflicts_with = "before")]
        all: bool,
        /// Which Kafka.
        #[command(flatten)]
        kafka: Kafka,
    },
}

/// One service.
#[derive(Debug, Args)]
pub struct Serve {
    /// Which one.
    pub role: Role,
    /// The port of its HTTP; without it, the service's own.
    #[arg(long, env = "HTTP_PORT")]
    pub http_port: Option<u16>,
    /// Keep the documents in this process, without MONGODB_URI: no other process sees them, and they are lost at its end.
    #[arg(long)]
    pub embedded_store: bool,
    /// The rest.
    #[command(flatten)]
    pub settings: Settings,
}

/// The services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Takes orders.
    Order,
    /// Captures payments.
    Payment,
    /// Takes items from the stock.
    Inventory,
    /// Sends what was ordered.
    Shipment,
    /// Writes to the customers.
    Notification,
}

impl Role {
    /// The services that an order passes, in that order.
    pub const PIPELINE: [Self; 4] = [Self::Order, Self::Payment, Self::Inventory, Self::Shipment];
    /// Every service: also the one that only tells of it.
    pub const ALL: [Self; 5] = [
        Self::Order,
        Self::Payment,
        Self::Inventory,
        Self::Shipment,
        Self::Notification,
    ];

    /// The service's name, which is also its consumer group.
    pub fn service(self) -> &'static str {
        match self {
            Self::Order => names::ORDER_SERVICE,
            Self::Payment => names::PAYMENT_SERVICE,
            Self::Inventory => names::INVENTORY_SERVICE,
            Self::Shipment => names::SHIPMENT_SERVICE,
            Self::Notification => names::NOTIFICATION_SERVICE,
        }
    }

    /// The port of its HTTP where nothing else is said.
    pub fn port(self) -> u16 {
        match self {
            Self::Order => names::ORDER_PORT,
            Self::Payment => names::PAYMENT_PORT,
            Self::Inventory => names::INVENTORY_PORT,
            Self::Shipment => names::SHIPMENT_PORT,
            Self::Notification => names::NOTIFICATION_PORT,
        }
    }
}

/// Which Kafka.
#[derive(Debug, Clone, Args)]
pub struct Kafka {
    /// Bootstrap servers, `host:port`, separated by commas.
    #[arg(
        long,
        env = "KAFKA_BOOTSTRAP_SERVERS",
        default_value = "127.0.0.1:9092"
    )]
    pub bootstrap_servers: String,
}

/// What the services are told.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Kafka's bootstrap servers; without them, an embedded broker where everything runs in one process, and
    /// 127.0.0.1:9092 where one service does.
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS")]
    pub bootstrap_servers: Option<String>,
    /// MongoDB's connection string; without it, the embedded store where everything runs in one process, while one service
    /// does not start unless --embedded-store is given.
    #[arg(long, env = "MONGODB_URI", hide_env_values = true)]
    pub mongodb_uri: Option<Secret>,
    /// How it answers HTTP.
    #[command(flatten)]
    pub http: Http,
    /// The stock at the very first start: product:quantity:price, separated by commas.
    #[arg(long, env = "STOCK", default_value = crate::stock::DEFAULT)]
    pub stock: Stock,
    /// Orders that cost more than this are declined.
    #[arg(long, env = "DECLINE_ABOVE", default_value = "10000.00")]
    pub decline_above: Money,
    /// Simulated work an order, in milliseconds: of each service, or as payment:2000,inventory:1000,shipment:5000.
    #[arg(long, env = "PROCESSING_TIME_MS", default_value = "0")]
    pub processing_time: ProcessingTime,
    /// The most orders of a partition that a service works on at the same time; one order's events go one after the other.
    #[arg(long, env = "CONCURRENCY", allow_negative_numbers = true, default_value_t = WorkerConfig::default().concurrency, value_parser = at_least_one)]
    pub concurrency: usize,
    /// What this process is to its consumer groups: one that comes back under this name, even after a crash, has its partitions
    /// at once (Kafka's group.instance.id). Without it, on a real Kafka, its service, host and port.
    #[arg(long, env = "GROUP_INSTANCE_ID", value_parser = instance_id)]
    pub group_instance_id: Option<String>,
    /// The SMTP relay that mails to customers go through, smtp://host:port; without it they are kept, at /outbox of the
    /// notification service.
    #[arg(
        long,
        env = "SMTP_URL",
        default_value = "",
        hide_default_value = true,
        value_parser = relay
    )]
    pub smtp_url: std::option::Option<SmtpUrl>,
    /// Who sends the mails.
    #[arg(long, env = "MAIL_FROM", default_value_t = Sender::default())]
    pub mail_from: Sender,
    /// Where the customers have their mailboxes: the events name no addresses.
    #[arg(long, env = "MAIL_DOMAIN", default_value_t = CustomerDomain::default())]
    pub mail_domain: CustomerDomain,
}

impl Settings {
    /// MongoDB's connection string. An empty variable is one that somebody meant to leave out.
    pub fn mongodb_uri(&self) -> Option<&str> {
        let uri = self.mongodb_uri.as_ref()?.reveal();
        Some(uri).filter(|uri| !uri.is_empty())
    }

    /// What this process is to its consumer groups; none where the variable is empty, too.
    pub fn group_instance_id(&self) -> Option<&str> {
        self.group_instance_id
            .as_deref()
            .filter(|id| !id.is_empty())
    }

    /// Kafka's bootstrap servers; none where the variable is empty, too.
    pub fn bootstrap_servers(&self) -> Option<&str> {
        self.bootstrap_servers
            .as_deref()
            .filter(|servers| !servers.is_empty())
    }
}

/// An empty variable is one that somebody meant to leave out.
fn relay(text: &str) -> Result<Option<SmtpUrl>, String> {
    match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|error: SmtpUrlError| error.to_string()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let parsed = text.parse().ok().filter(|number| *number > 0);
    parsed.ok_or_else(|| "must be a whole number from 1".to_owned())
}

/// What Kafka takes (KIP-345); what is empty counts as left out.
fn instance_id(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.len() > 249 || !text.chars().all(legal) || [".", ".."].contains(&text) {
        return Err(
            "must have at most 249 letters, digits, dots, underscores and hyphens".to_owned(),
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_setting_before_the_command_is_refused_and_not_ignored() {
        let misplaced = ["orderflow", "--processing-time", "1s", "serve", "payment"];
        let error = Cli::try_parse_from(misplaced).unwrap_err().to_string();
        assert!(error.contains("serve"), "{error}");
    }

    #[test]
    fn a_number_below_what_can_be_is_told_with_the_setting_that_it_is_for() {
        for (line, setting) in [
            ("topics --partitions -1", "--partitions"),
            ("topics --create --partitions 0", "--partitions"),
            ("dlq list --limit -1", "--limit"),
            ("dlq show t -1", "<OFFSET>"),
            ("dlq redrive t --before -1", "--before"),
            ("dlq drop t --before -1", "--before"),
            ("serve payment --concurrency -1", "--concurrency"),
            ("load --orders -1", "--orders"),
            ("load --orders 1 --concurrency -1", "--concurrency"),
            ("load --orders 1 --rate -1.5", "--rate"),
            ("load --orders 1 --seed -1", "--seed"),
            ("load --orders 1 --cancel -1", "--cancel"),
            ("load --orders 1 --follow-for -1", "--follow-for"),
            ("verify --wait -1", "--wait"),
            ("reset-offsets --group g --to -1", "--to"),
            (
                "reset-offsets --group g --to 0 --topic t --partition -1",
                "--partition",
            ),
        ] {
            let arguments = ["orderflow"].into_iter().chain(line.split(' '));
            let error = Cli::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueValidation, "{line}: {error}");
            assert!(error.to_string().contains(setting), "{line}: {error}");
        }
    }

    #[test]
    fn letters_are_not_meant_by_a_slip() {
        for slip in [
            &["list", "--limit", "0"][..],
            &["drop", "t"],
            &["drop", "t", "--before=-1"],
            &["drop", "t", "--before", "3", "--all"],
            &["redrive", "t", "--before=-1"],
        ] {
            let arguments = ["orderflow", "dlq"].iter().chain(slip);
            assert!(Cli::try_parse_from(arguments).is_err(), "{slip:?}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let uri = "mongodb://user:hunter2@mongo:27017";
        for command in [&[][..], &["serve", "payment"]] {
            let arguments = ["orderflow"].iter().chain(command);
            let cli = Cli::try_parse_from(arguments.chain(&["--mongodb-uri", uri])).unwrap();
            let settings = match &cli.command {
                Some(Command::Serve(serve)) => &serve.settings,
                _ => &cli.settings,
            };
            assert_eq!(settings.mongodb_uri(), Some(uri));
            assert!(!format!("{cli:?}").contains("hunter2"), "{cli:?}");
        }
    }

    #[test]
    fn a_wrong_stock_is_refused_by_name() {
        let error = Cli::try_parse_from(["orderflow", "--stock", "P001:ten:1"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--stock") && error.contains("ten"),
            "{error}"
        );
    }
}
