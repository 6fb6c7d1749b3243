//! Instances and the broker of one shop are stopped, killed, started, added and removed while the rest goes on.

use std::sync::Arc;

use dashboard::controls::{
    BrokerAction, ControlError, Controls, Instance, InstanceAction, InstanceState,
};
use kafka_broker::{ApiKey, Broker};
use kafka_client::{Client, ClientConfig, GroupConfig, GroupEvent};
use orderflow::cli::Role;
use orderflow::{Instances, MOST_INSTANCES, Shop, ShopSettings};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::faults;
use crate::running::{Running, Urls, until};
use crate::scenarios::{at_rest_nothing_lags, product};

const GROUP: &str = "payment-service";
const FIRST: &str = "payment-service-1";
const SECOND: &str = "payment-service-2";

struct Bed {
    shop: Running,
    broker: Arc<Broker>,
    controls: Instances,
    client: Client,
}

impl Bed {
    async fn start() -> Self {
        let settings = ShopSettings::embedded(vec![product("P001", 100_000, 100)]);
        let mut shop = Shop::on_free_ports(settings).await.unwrap();
        let broker = shop.broker().map(Arc::clone).unwrap();
        let controls = shop.attended();
        let client = Client::new(ClientConfig::new(&shop.bootstrap_servers())).unwrap();
        let shop = Running::run(shop);
        at_rest_nothing_lags(&shop.urls).await;
        Self {
            shop,
            broker,
            controls,
            client,
        }
    }

    fn urls(&self) -> &Urls {
        &self.shop.urls
    }

    async fn place(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.urls().place(&[("P001", 1, "1.00")]).await);
        }
        ids
    }

    async fn until_shipped(&self, ids: &[String]) {
        for id in ids {
            self.urls()
                .order_when(id, |status| status == "SHIPPED")
                .await;
        }
    }

    async fn act(&self, instance: &str, what: InstanceAction) {
        self.controls.instance(instance, what).await.unwrap();
    }

    /// The sentence with which it is refused in the state that it is in.
    async fn refused(&self, instance: &str, what: InstanceAction) -> String {
        match self.controls.instance(instance, what).await {
            Err(ControlError::Conflict(why)) => why,
            other => panic!("{instance} {what:?}: {other:?}"),
        }
    }

    fn instance(&self, name: &str) -> Option<Instance> {
        let mut instances = self.controls.instances().into_iter();
        instances.find(|instance| instance.instance == name)
    }

    fn state(&self, name: &str) -> InstanceState {
        self.instance(name).unwrap().state
    }

    /// What an instance says at a path, once it is as `done` wants it.
    async fn when(&self, instance: &Instance, path: &str, done: impl Fn(&Value) -> bool) -> Value {
        let at = Urls::new([(Role::Payment, instance.url.clone())].into_iter());
        at.when(Role::Payment, path, done).await
    }

    async fn lag(&self) -> i64 {
        let rows = self.client.admin().lag(GROUP).await.unwrap();
        rows.into_iter().map(|row| row.lag).sum()
    }

    /// What the members of the group call themselves.
    async fn client_ids(&self) -> Vec<String> {
        let described = self.client.admin().describe_groups(&[GROUP]).await;
        let members = described[0].1.as_ref().unwrap().members.iter();
        let mut ids: Vec<_> = members.map(|member| member.client_id.clone()).collect();
        ids.sort();
        ids
    }

    fn generation(&self) -> i32 {
        self.broker.inspect().group(GROUP).unwrap().generation
    }

    /// Nobody did anything twice, forgot anything, or says something else than the others.
    async fn verify_and_stop(self) {
        let urls = Role::PIPELINE.map(|role| (role, self.urls().url(role, "")));
        faults::verify(urls.into(), &self.broker.bootstrap_servers()).await;
        self.shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_instance_leaves_its_lag_and_drains_it_when_it_is_started() {
    let bed = Bed::start().await;
    let was = bed.instance(FIRST).unwrap();
    let mut ids = bed.place(30).await;
    bed.act(FIRST, InstanceAction::Crash).await;
    assert_eq!(bed.state(FIRST), InstanceState::Crashed);
    ids.extend(bed.place(30).await);
    // An order is taken before it is published.
    until("the lag", async || bed.lag().await >= 30).await;
    assert!(reqwest::get(format!("{}/health", was.url)).await.is_err());
    // Nobody was told, so its place in the group waits for it.
    assert_eq!(bed.broker.inspect().requests(ApiKey::LeaveGroup), 0);

    bed.act(FIRST, InstanceAction::Start).await;
    assert_eq!(bed.instance(FIRST).unwrap(), was);
    bed.until_shipped(&ids).await;
    bed.verify_and_stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_crashed_at_rest_has_its_partitions_again_without_a_rebalance() {
    let bed = Bed::start().await;
    bed.until_shipped(&bed.place(5).await).await;
    let before = bed.generation();
    bed.act(FIRST, InstanceAction::Crash).await;
    bed.act(FIRST, InstanceAction::Start).await;
    let has_all = |member: &Value| member["partitions"].as_array().unwrap().len() == 6;
    let first = bed.instance(FIRST).unwrap();
    let member = bed.when(&first, "/member", has_all).await;
    assert_eq!(member["instance_id"], FIRST, "{member}");
    assert_eq!(bed.generation(), before);
    bed.until_shipped(&bed.place(5).await).await;
    bed.verify_and_stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_instance_leaves_its_group_and_comes_back() {
    let bed = Bed::start().await;
    let mut ids = bed.place(30).await;
    bed.act(FIRST, InstanceAction::Stop).await;
    assert_eq!(bed.state(FIRST), InstanceState::Stopped);
    assert!(
        bed.broker
            .inspect()
            .group(GROUP)
            .unwrap()
            .members
            .is_empty()
    );
    ids.extend(bed.place(10).await);
    bed.act(FIRST, InstanceAction::Start).await;
    assert_eq!(bed.state(FIRST), InstanceState::Running);
    bed.until_shipped(&ids).await;
    bed.verify_and_stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_added_instance_takes_partitions_over_and_gives_them_back_when_it_is_removed() {
    let bed = Bed::start().await;
    let second = bed.controls.add(GROUP).await.unwrap();
    assert_eq!(second.instance, SECOND);
    assert_eq!(bed.instance(SECOND), Some(second.clone()));
    let has = |counts: &'static [usize]| {
        move |member: &Value| {
            let partitions = member["partitions"].as_array().unwrap().len();
            member["phase"] == "stable" && counts.contains(&partitions)
        }
    };
    let first = bed.instance(FIRST).unwrap();
    // Of each of two topics with three partitions one gets two, and the other one.
    let member = bed.when(&second, "/member", has(&[2, 4])).await;
    assert_eq!(member["instance_id"], SECOND);
    bed.when(&first, "/member", has(&[2, 4])).await;
    // By which metrics and brokers tell them apart.
    assert_eq!(bed.client_ids().await, [FIRST, SECOND]);
    let ids = bed.place(30).await;
    bed.until_shipped(&ids).await;

    bed.act(SECOND, InstanceAction::Remove).await;
    assert_eq!(bed.instance(SECOND), None);
    bed.when(&first, "/member", has(&[6])).await;
    bed.until_shipped(&bed.place(10).await).await;
    bed.verify_and_stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_taken_while_the_broker_is_away_and_go_on_when_it_is_back() {
    let bed = Bed::start().await;
    let mut ids = bed.place(20).await;
    for (down, up) in [
        (BrokerAction::Crash, BrokerAction::Start),
        (BrokerAction::Stop, BrokerAction::Start),
    ] {
        bed.controls.act_on_broker(down).await.unwrap();
        assert_eq!(bed.controls.broker(), Some(false));
        for refused in [BrokerAction::Stop, BrokerAction::Crash, BrokerAction::Cut] {
            let refused = bed.controls.act_on_broker(refused).await.unwrap_err();
            let why = "the embedded broker is not running: start it first";
            assert_eq!(refused.to_string(), why);
        }
        ids.extend(bed.place(10).await);
        bed.controls.act_on_broker(up).await.unwrap();
        assert_eq!(bed.controls.broker(), Some(true));
    }
    let again = bed.controls.act_on_broker(BrokerAction::Start).await;
    let why = "the embedded broker is running already".to_owned();
    assert_eq!(again, Err(ControlError::Conflict(why)));
    bed.controls.act_on_broker(BrokerAction::Cut).await.unwrap();
    bed.until_shipped(&ids).await;
    bed.verify_and_stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_refused_with_the_reason() {
    let bed = Bed::start().await;
    let unknown = bed
        .controls
        .instance("payment-service-7", InstanceAction::Stop)
        .await
        .unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "there is no instance payment-service-7"
    );
    let unknown = bed.controls.add("billing-service").await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no service billing-service");

    let already = bed.refused(FIRST, InstanceAction::Start).await;
    assert_eq!(already, "payment-service-1 is running already");
    let only = bed.refused(FIRST, InstanceAction::Remove).await;
    assert!(only.contains("the only instance"), "{only}");
    bed.act(FIRST, InstanceAction::Stop).await;
    for what in [InstanceAction::Stop, InstanceAction::Crash] {
        let down = bed.refused(FIRST, what).await;
        assert_eq!(down, "payment-service-1 is not running: it was stopped");
    }

    let url = bed.instance(FIRST).unwrap().url;
    let address = url.strip_prefix("http://").unwrap();
    let other = TcpListener::bind(address).await.unwrap();
    let taken = bed.controls.instance(FIRST, InstanceAction::Start).await;
    let taken = taken.unwrap_err().to_string();
    assert!(
        taken.contains(address) && taken.contains("taken meanwhile"),
        "{taken}"
    );
    assert_eq!(bed.state(FIRST), InstanceState::Stopped);
    drop(other);
    bed.act(FIRST, InstanceAction::Start).await;

    for number in 2..=MOST_INSTANCES {
        let added = bed.controls.add(GROUP).await.unwrap();
        assert_eq!(added.instance, format!("{GROUP}-{number}"));
    }
    let too_many = bed.controls.add(GROUP).await.unwrap_err().to_string();
    assert!(too_many.contains("that is the most"), "{too_many}");
    bed.until_shipped(&bed.place(5).await).await;
    let controls = bed.controls.clone();
    bed.verify_and_stop().await;
    let late = controls.instance(FIRST, InstanceAction::Stop).await;
    let why = "the shop is stopping".to_owned();
    assert_eq!(late, Err(ControlError::Conflict(why)));
}

/// Somebody else comes under the instance's name and shuts it out, which ends its worker.
async fn shut_out(client: &Client) -> kafka_client::ConsumerGroup {
    let config = GroupConfig {
        group_instance_id: Some(Arc::from(FIRST)),
        ..GroupConfig::new(GROUP, ["order_placed", "inventory_updated"])
    };
    let mut group = client.consumer_group(config).unwrap();
    let joined = tokio::time::timeout(crate::running::PATIENCE, group.next()).await;
    assert!(matches!(joined, Ok(Some(GroupEvent::Assigned(_)))));
    group
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_fails_is_shown_to_have_crashed_and_the_others_go_on() {
    let bed = Bed::start().await;
    let other = shut_out(&bed.client).await;
    faults::until("failing", || bed.state(FIRST) == InstanceState::Crashed).await;
    bed.urls().found(Role::Order, "/health").await;
    drop(other);
    bed.act(FIRST, InstanceAction::Start).await;
    bed.until_shipped(&bed.place(5).await).await;
    bed.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_anybody_who_looks_after_it_a_service_that_fails_ends_the_shop() {
    let settings = ShopSettings::embedded(vec![product("P001", 100, 100)]);
    let shop = Shop::on_free_ports(settings).await.unwrap();
    let client = Client::new(ClientConfig::new(&shop.bootstrap_servers())).unwrap();
    let shop = Running::run(shop);
    at_rest_nothing_lags(&shop.urls).await;
    let _other = shut_out(&client).await;
    let failed = shop.ended().await.unwrap_err().to_string();
    assert!(failed.contains("payment-service"), "{failed}");
}
