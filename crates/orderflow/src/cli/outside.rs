//! The settings of the commands that look at a shop from outside.

use std::time::Duration;

use clap::Args;
use contracts::names;
use dashboard::ServiceUrls;
use service_kit::secret::Secret;

use super::{Http, Kafka};
use crate::http::BaseUrl;

/// Where order-service answers.
#[derive(Debug, Clone, Args)]
pub struct OrderUrl {
    /// Where order-service answers.
    #[arg(long, env = "ORDER_URL", default_value_t = BaseUrl::local(names::ORDER_PORT))]
    pub order_url: BaseUrl,
}

/// Where inventory-service answers.
#[derive(Debug, Clone, Args)]
pub struct InventoryUrl {
    /// Where inventory-service answers.
    #[arg(long, env = "INVENTORY_URL", default_value_t = BaseUrl::local(names::INVENTORY_PORT))]
    pub inventory_url: BaseUrl,
}

/// Where the services answer.
#[derive(Debug, Clone, Args)]
pub struct ShopUrls {
    /// Where order-service answers.
    #[command(flatten)]
    pub order: OrderUrl,
    /// Where payment-service answers.
    #[arg(long, env = "PAYMENT_URL", default_value_t = BaseUrl::local(names::PAYMENT_PORT))]
    pub payment_url: BaseUrl,
    /// Where inventory-service answers.
    #[command(flatten)]
    pub inventory: InventoryUrl,
    /// Where shipment-service answers.
    #[arg(long, env = "SHIPMENT_URL", default_value_t = BaseUrl::local(names::SHIPMENT_PORT))]
    pub shipment_url: BaseUrl,
}

/// Where every service answers: also the one that no order waits for.
#[derive(Debug, Clone, Args)]
pub struct AllUrls {
    /// Where those of the pipeline answer.
    #[command(flatten)]
    pub shop: ShopUrls,
    /// Where notification-service answers.
    #[arg(long, env = "NOTIFICATION_URL", default_value_t = BaseUrl::local(names::NOTIFICATION_PORT))]
    pub notification_url: BaseUrl,
}

impl From<AllUrls> for ServiceUrls {
    fn from(urls: AllUrls) -> Self {
        Self {
            order: urls.shop.order.order_url,
            payment: urls.shop.payment_url,
            inventory: urls.shop.inventory.inventory_url,
            shipment: urls.shop.shipment_url,
            notification: urls.notification_url,
        }
    }
}

/// Who may do something by the dashboard.
#[derive(Debug, Clone, Args)]
pub struct AdminToken {
    /// What the dashboard asks for before it does anything. Without it, the one of everything in one process does what anybody
    /// who reaches it wants, and one by itself only shows.
    #[arg(long, env = "ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<Secret>,
}

impl AdminToken {
    /// The token; none where the variable is empty, too.
    pub fn token(&self) -> Option<Secret> {
        let token = self.admin_token.clone();
        token.filter(|token| !token.reveal().is_empty())
    }
}

/// A dashboard by itself.
#[derive(Debug, Clone, Args)]
pub struct Dashboard {
    /// How it answers HTTP.
    #[command(flatten)]
    pub http: Http,
    /// The port that it listens on.
    #[arg(long, env = "HTTP_PORT", default_value_t = names::DASHBOARD_PORT)]
    pub http_port: u16,
    /// Where the services answer.
    #[command(flatten)]
    pub urls: AllUrls,
    /// Which Kafka.
    #[command(flatten)]
    pub kafka: Kafka,
    /// Who may do something.
    #[command(flatten)]
    pub admin: AdminToken,
}

/// A shop in the terminal.
#[derive(Debug, Clone, Args)]
pub struct Top {
    /// Where the services answer.
    #[command(flatten)]
    pub urls: AllUrls,
    /// Which Kafka.
    #[command(flatten)]
    pub kafka: Kafka,
}

/// How much load.
#[derive(Debug, Clone, Args)]
pub struct Load {
    /// How many orders.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub orders: u64,
    /// How many requests are under way at a time.
    #[arg(long, allow_negative_numbers = true, default_value_t = 50, value_parser = super::at_least_one)]
    pub concurrency: usize,
    /// Orders a second, each due at its time whether or not the ones before were answered; without it, as fast as the answers
    /// come.
    #[arg(long, allow_negative_numbers = true, value_parser = above_zero)]
    pub rate: Option<f64>,
    /// The same seed gives the same orders of the same products; without it, others each time.
    #[arg(long, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// How many of a hundred orders are asked back at once.
    #[arg(long, allow_negative_numbers = true, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub cancel: u8,
    /// First deliver to the inventory what the orders want.
    #[arg(long)]
    pub restock: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// How long orders are followed after the last was posted, and a request that got no answer is sent again.
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub follow_for: Duration,
    /// Where order-service answers.
    #[command(flatten)]
    pub order: OrderUrl,
    /// Where inventory-service answers.
    #[command(flatten)]
    pub inventory: InventoryUrl,
}

/// Where to look, and for how long.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// How long to wait until all orders are final and everything is as it must be.
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub wait: Duration,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Where the services answer.
    #[command(flatten)]
    pub urls: ShopUrls,
    /// Which Kafka.
    #[command(flatten)]
    pub kafka: Kafka,
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        Ok(_) => Err("must be above 0".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    /// A day: beyond it, somebody meant milliseconds.
    const MOST: u64 = 24 * 60 * 60;
    match text.parse() {
        Ok(seconds) if seconds <= MOST => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("must be whole seconds from 0 to {MOST}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    fn load(arguments: &[&str]) -> Result<super::Load, clap::Error> {
        let all = ["orderflow", "load"].iter().chain(arguments);
        match Cli::try_parse_from(all)?.command {
            Some(Command::Load(load)) => Ok(load),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_token_is_not_shown_and_an_empty_one_is_none() {
        for command in [&[][..], &["dashboard"]] {
            for (given, meant) in [("hunter2", Some("hunter2")), ("", None)] {
                let arguments = ["orderflow"].iter().chain(command);
                let cli = Cli::try_parse_from(arguments.chain(&["--admin-token", given])).unwrap();
                let admin = match &cli.command {
                    Some(Command::Dashboard(dashboard)) => &dashboard.admin,
                    _ => &cli.admin,
                };
                let token = admin.token();
                assert_eq!(token.as_ref().map(|token| token.reveal()), meant);
                assert!(!format!("{cli:?}").contains("hunter2"), "{cli:?}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_as_a_load_is_refused() {
        for slip in [
            &[][..],
            &["--orders", "0"],
            &["--orders", "1", "--concurrency", "0"],
            &["--orders", "1", "--rate", "0"],
            &["--orders", "1", "--rate", "NaN"],
            &["--orders", "1", "--cancel", "101"],
            &["--orders", "1", "--follow-for", "1s"],
            &["--orders", "1", "--follow-for", "60000000"],
            &["--orders", "1", "--order-url", "127.0.0.1:8001"],
        ] {
            assert!(load(slip).is_err(), "{slip:?}");
        }
    }

    #[test]
    fn without_more_it_is_the_ports_of_this_machine() {
        let load = load(&["--orders", "10"]).unwrap();
        let defaults = crate::load::LoadSettings::local(10);
        assert_eq!(load.order.order_url, defaults.order_url);
        assert_eq!(load.inventory.inventory_url, defaults.inventory_url);
        assert_eq!(load.concurrency, defaults.concurrency);
        assert_eq!(load.follow_for, defaults.follow_for);
    }
}
