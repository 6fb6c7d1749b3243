//! Looks at a shop from outside and checks what must be so: that services and topics agree on every order, and the stock adds up.
//!
//! [`collect`] reads, [`check`] judges, and [`run`] does both, again and again while somebody wants to wait.
//!
//! An event of an order that order-service does not know is counted and no violation: topics may be older than the database, and
//! the services pass over such orders as well. A payment or a shipment of one is a violation, since no service deletes anything.

mod check;
mod collect;
mod facts;
#[cfg(test)]
mod tests;
mod way;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contracts::{OrderStatus, names};
use kafka_client::{Client, ClientConfig, ClientError, ConsumerError, TopicPartition};
use serde::Serialize;
use tokio::time::Instant;

pub use check::{Violation, check};
pub use facts::{
    Content, EventFact, Facts, OrderFact, PaymentFact, ProductFact, ShipmentFact, Told,
};

use crate::http::{BaseUrl, HttpError};
use crate::load::is_final;

/// How long it is until somebody who waits looks again.
const AGAIN: Duration = Duration::from_millis(200);

/// Where to look.
#[derive(Debug, Clone)]
pub struct VerifySettings {
    /// Where order-service answers.
    pub order_url: BaseUrl,
    /// Where payment-service answers.
    pub payment_url: BaseUrl,
    /// Where inventory-service answers.
    pub inventory_url: BaseUrl,
    /// Where shipment-service answers.
    pub shipment_url: BaseUrl,
    /// The Kafka that has the topics.
    pub client: Client,
    /// How long to wait until all is as it must be; zero looks once.
    pub wait: Duration,
}

impl VerifySettings {
    /// The ports of this machine, and this Kafka; looks once.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where the bootstrap servers are none.
    pub fn local(bootstrap_servers: &str) -> Result<Self, ClientError> {
        Ok(Self {
            order_url: BaseUrl::local(names::ORDER_PORT),
            payment_url: BaseUrl::local(names::PAYMENT_PORT),
            inventory_url: BaseUrl::local(names::INVENTORY_PORT),
            shipment_url: BaseUrl::local(names::SHIPMENT_PORT),
            client: Client::new(ClientConfig::new(bootstrap_servers))?,
            wait: Duration::ZERO,
        })
    }
}

/// How much was read so far; for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    orders: AtomicU64,
    records: AtomicU64,
}

impl Progress {
    /// Orders, in this look.
    pub fn orders(&self) -> u64 {
        self.orders.load(Ordering::Relaxed)
    }

    /// Records of the topics, in this look.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// How many orders there are.
    pub orders: u64,
    /// How many of them are in which status.
    pub by_status: BTreeMap<OrderStatus, u64>,
    /// Payments that are captured and not given back.
    pub paid: u64,
    /// How many products there are.
    pub products: u64,
    /// Events of these orders, each counted once.
    pub events: u64,
    /// Events that are there again, with the same id: what a redone step publishes.
    pub doubles: u64,
    /// Events of orders that order-service does not know: an older database's, or orders placed while this was read.
    pub events_of_unknown_orders: u64,
    /// Records that are no event of the pipeline.
    pub unreadable: u64,
    /// What is not as it must be.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: u64| writeln!(f, "{name:<25} {value}");
        row("orders", self.orders)?;
        for (status, orders) in &self.by_status {
            row(&format!("  {status}"), *orders)?;
        }
        row("payments kept", self.paid)?;
        row("products", self.products)?;
        row("events", self.events)?;
        row("doubles with the same id", self.doubles)?;
        if self.events_of_unknown_orders > 0 {
            row("events of unknown orders", self.events_of_unknown_orders)?;
        }
        if self.unreadable > 0 {
            row("records that are no event", self.unreadable)?;
        }
        row("violations", self.violations.len() as u64)
    }
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A service cannot be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Kafka cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A topic cannot be read.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    /// Nothing came, though the partition has records.
    #[error("{0} was not read: nothing came for 30 s")]
    TooSlow(TopicPartition),
}

/// Reads everything, and says what is not as it must be. With a time to wait it looks until nothing is, or that is over: what it
/// hands back is the last look.
///
/// # Errors
///
/// [`VerifyError`] where something cannot be read in the last look.
pub async fn run(settings: &VerifySettings, progress: &Progress) -> Result<Verified, VerifyError> {
    let until = Instant::now() + settings.wait;
    loop {
        let late = Instant::now() >= until;
        match look(settings, progress, late).await {
            Ok(Some(verified)) if verified.violations.is_empty() || late => return Ok(verified),
            // A service may be on its way back.
            Err(error) if late => return Err(error),
            Ok(_) | Err(_) => {}
        }
        tokio::time::sleep_until(until.min(Instant::now() + AGAIN)).await;
    }
}

/// One look. The rest is much to read, and says nothing more as long as there is something to wait for: none then, unless it is
/// the last look.
async fn look(
    settings: &VerifySettings,
    progress: &Progress,
    last: bool,
) -> Result<Option<Verified>, VerifyError> {
    let mut facts = collect::orders(settings, progress).await?;
    let all_final = facts.orders.values().all(|order| is_final(order.status));
    if !all_final && !last {
        return Ok(None);
    }
    collect::the_rest(settings, &mut facts, progress).await?;
    Ok(Some(Verified::of(&facts)))
}

/// Reads everything once.
///
/// # Errors
///
/// [`VerifyError`].
pub async fn collect(settings: &VerifySettings, progress: &Progress) -> Result<Facts, VerifyError> {
    let mut facts = collect::orders(settings, progress).await?;
    collect::the_rest(settings, &mut facts, progress).await?;
    Ok(facts)
}

impl Verified {
    /// What these facts come to.
    pub fn of(facts: &Facts) -> Self {
        let mut by_status = BTreeMap::new();
        for order in facts.orders.values() {
            *by_status.entry(order.status).or_default() += 1;
        }
        let (mut events, mut doubles, mut events_of_unknown_orders) = (0, 0, 0);
        for (id, of_order) in &facts.events {
            let times: u64 = of_order.iter().map(|event| u64::from(event.times)).sum();
            if facts.orders.contains_key(id) {
                events += of_order.len() as u64;
                doubles += times - of_order.len() as u64;
            } else {
                events_of_unknown_orders += times;
            }
        }
        Self {
            orders: facts.orders.len() as u64,
            by_status,
            paid: check::paid(facts),
            products: facts.products.len() as u64,
            events,
            doubles,
            events_of_unknown_orders,
            unreadable: facts.unreadable,
            violations: check(facts),
        }
    }
}
