//! What the services tell over HTTP: how their instances are, who they are in their groups, the stock and the newest orders.

use std::collections::BTreeMap;

use contracts::names;
use futures_util::future::join_all;
use kafka_client::TopicPartition;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use service_kit::http::client::{BaseUrl, Page};
use warp::http::StatusCode;

use super::PATIENCE;
use crate::controls::{Instance, InstanceState};
use crate::services::Services;
use crate::snapshot::{OrderLine, Orders, Product, Service, ServiceInstance};

/// The most instances that are asked.
const MOST_INSTANCES: usize = 64;
/// The most products that are told.
const MOST_PRODUCTS: usize = 50;
/// The newest orders that are told.
const NEWEST: usize = 30;

/// What is known of the shop.
#[derive(Debug, Default)]
pub(super) struct Shop {
    instances: Vec<InstanceSeen>,
    pub(super) stock: Vec<Product>,
    pub(super) orders: Orders,
}

/// An instance and what it answered.
#[derive(Debug)]
struct InstanceSeen {
    instance: Instance,
    health: Option<Value>,
    offsets: Vec<OffsetView>,
    member: Option<MemberView>,
}

/// A row of GET /offsets, as far as it is used here.
#[derive(Debug, Deserialize)]
struct OffsetView {
    topic: String,
    partition: i32,
    owner: bool,
    position: Option<i64>,
    #[serde(default)]
    paused: bool,
}

/// The answer to GET /member, as far as it is used here.
#[derive(Debug, Deserialize)]
struct MemberView {
    group: String,
    member_id: Option<String>,
    phase: String,
    generation: Option<i32>,
    #[serde(default)]
    partitions: Vec<HeldView>,
}

#[derive(Debug, Deserialize)]
struct HeldView {
    topic: String,
    partition: i32,
    #[serde(default)]
    paused: bool,
}

/// What an instance says of its membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberSeen {
    pub(super) instance: String,
    pub(super) group: String,
    pub(super) member_id: String,
    pub(super) phase: String,
    pub(super) generation: Option<i32>,
    pub(super) held: BTreeMap<TopicPartition, Held>,
}

/// A partition that a member reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) position: Option<i64>,
    pub(super) paused: bool,
}

/// An order of GET /orders, as far as it is used here.
#[derive(Debug, Deserialize)]
struct OrderView {
    order_id: String,
    status: String,
    customer_id: String,
    total_amount: f64,
    created_at: String,
    #[serde(default)]
    history: Vec<TransitionView>,
}

#[derive(Debug, Deserialize)]
struct TransitionView {
    timestamp: String,
}

impl Shop {
    /// Asks all of them at the same time, each for [`PATIENCE`] at most. What nobody tells now of the stock and the orders is
    /// what was told before.
    pub(super) async fn look(&mut self, services: &Services) {
        let mut instances = services.instances();
        instances.truncate(MOST_INSTANCES);
        services.forget_others(&instances);
        let controlled = services.are_controlled();
        let all = join_all(
            instances
                .into_iter()
                .map(|instance| look_at(services, instance, controlled)),
        );
        let (instances, stock, newest) = tokio::join!(all, stock(services), newest(services));
        self.instances = instances;
        if let Some(stock) = stock {
            self.stock = stock;
        }
        if let Some(newest) = newest {
            self.orders.newest = newest;
        }
        self.orders.backlog = self.backlog();
    }

    /// What the instances say of their memberships.
    pub(super) fn members(&self) -> Vec<MemberSeen> {
        self.instances
            .iter()
            .filter_map(InstanceSeen::member)
            .collect()
    }

    /// The services in their order, with their instances.
    pub(super) fn services(&self) -> Vec<Service> {
        let mut services: Vec<Service> = Vec::new();
        for seen in &self.instances {
            let told = ServiceInstance {
                instance: seen.instance.instance.clone(),
                url: seen.instance.url.clone(),
                state: seen.instance.state,
                health: seen.health.clone(),
            };
            match services.last_mut() {
                Some(last) if last.service == seen.instance.service => last.instances.push(told),
                _ => services.push(Service {
                    service: seen.instance.service.clone(),
                    instances: vec![told],
                }),
            }
        }
        services
    }

    fn backlog(&self) -> Option<u64> {
        let mut of_orders = self
            .instances
            .iter()
            .filter(|seen| seen.instance.service == names::ORDER_SERVICE);
        of_orders.find_map(|seen| {
            let outbox = seen
                .health
                .as_ref()?
                .pointer("/checks/outbox/detail/backlog")?;
            outbox.as_u64()
        })
    }
}

impl InstanceSeen {
    fn member(&self) -> Option<MemberSeen> {
        let member = self.member.as_ref()?;
        let place = |topic: &str, partition| TopicPartition::new(topic, partition);
        let mut held: BTreeMap<TopicPartition, Held> = BTreeMap::new();
        for row in self.offsets.iter().filter(|row| row.owner) {
            let of_row = held.entry(place(&row.topic, row.partition)).or_default();
            of_row.position = row.position;
            of_row.paused |= row.paused;
        }
        for found in &member.partitions {
            let of_member = held
                .entry(place(&found.topic, found.partition))
                .or_default();
            of_member.paused |= found.paused;
        }
        Some(MemberSeen {
            instance: self.instance.instance.clone(),
            group: member.group.clone(),
            member_id: member.member_id.clone()?,
            phase: member.phase.clone(),
            generation: member.generation,
            held,
        })
    }
}

async fn look_at(services: &Services, mut instance: Instance, controlled: bool) -> InstanceSeen {
    let down = matches!(
        instance.state,
        InstanceState::Stopped | InstanceState::Crashed
    );
    let (mut health, mut offsets, mut member) = (None, None, None);
    if let (Ok(base), false) = (instance.url.parse::<BaseUrl>(), down) {
        (health, offsets, member) = tokio::join!(
            // A service that is down says so with a 503.
            ask::<Value>(services, &base, "/health", |status| {
                [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&status)
            }),
            ask::<Page<OffsetView>>(services, &base, "/offsets", |status| status
                == StatusCode::OK),
            ask::<MemberView>(services, &base, "/member", |status| status
                == StatusCode::OK),
        );
    }
    if !controlled {
        instance.state = match health {
            Some(_) => InstanceState::Running,
            None => InstanceState::Away,
        };
    }
    InstanceSeen {
        instance,
        health: health.map(brief),
        offsets: offsets.map(|page| page.items).unwrap_or_default(),
        member,
    }
}

/// What an answer says; none where there is none, or not the one that is wanted.
async fn ask<T: DeserializeOwned>(
    services: &Services,
    base: &BaseUrl,
    path: &str,
    is_wanted: impl Fn(StatusCode) -> bool,
) -> Option<T> {
    let bounded = tokio::time::timeout(PATIENCE, services.get(base, path, PATIENCE));
    let answer = bounded.await.ok()?.ok()?;
    if !is_wanted(answer.status) {
        return None;
    }
    let read = serde_json::from_slice(&answer.body);
    read.inspect_err(|error| tracing::debug!(%error, path, "an answer is not understood"))
        .ok()
}

/// Without the name, which is told beside it.
fn brief(mut health: Value) -> Value {
    if let Some(object) = health.as_object_mut() {
        object.remove("service");
    }
    health
}

async fn stock(services: &Services) -> Option<Vec<Product>> {
    let base = services.url_of(names::INVENTORY_SERVICE).ok()?;
    let path = format!("/inventory?limit={MOST_PRODUCTS}");
    let page: Page<Product> = ask(services, &base, &path, |s| s == StatusCode::OK).await?;
    Some(page.items)
}

async fn newest(services: &Services) -> Option<Vec<OrderLine>> {
    let base = services.url_of(names::ORDER_SERVICE).ok()?;
    let path = format!("/orders?order=desc&limit={NEWEST}");
    let page: Page<OrderView> = ask(services, &base, &path, |s| s == StatusCode::OK).await?;
    let lines = page.items.into_iter().map(|order| OrderLine {
        updated_at: order
            .history
            .last()
            .map_or_else(|| order.created_at.clone(), |last| last.timestamp.clone()),
        order_id: order.order_id,
        status: order.status,
        customer_id: order.customer_id,
        total_amount: order.total_amount,
        created_at: order.created_at,
    });
    Some(lines.collect())
}
