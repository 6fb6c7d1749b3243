//! Topics in memory, and the services' reactions as their consumers.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use contracts::{
    Envelope, Event, Item, Message, Money, OrderId, OrderStatus, Quantity, Timestamp, total_of,
};
use inventory_service::stock::Product;
use inventory_service::warehouse::Warehouse;
use order_service::order::{Facts, Order};
use order_service::orders::Orders;
use payment_service::payment::{DeclineRule, Payment};
use service_kit::clock::{Clock, ManualClock, SharedClock};
use service_kit::outbox::OutboxDocument;
use service_kit::reaction::{Reaction, ReactionError};
use service_kit::store::{Collection, EmbeddedStore, Store};
use shipment_service::shipment::Shipment;

/// The stock at the beginning.
pub(crate) const STOCK: [(&str, u64); 2] = [("PLENTY", 1000), ("SCARCE", 4)];
/// Orders that cost more are declined.
const LIMIT: i64 = 30_000;

/// Where a consumer dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    BeforeWrite,
    AfterWrite,
    AfterPublish,
    AfterSettle,
}

pub(crate) struct Pipeline {
    faults: EmbeddedStore,
    pub(crate) orders: Orders,
    pub(crate) payments: Collection<Payment>,
    pub(crate) warehouse: Arc<Warehouse>,
    pub(crate) shipments: Collection<Shipment>,
    pub(crate) topics: BTreeMap<&'static str, Vec<Message>>,
    pub(crate) placed: Vec<OrderId>,
    clock: ManualClock,
    consumers: Vec<Consumer>,
    crashes: VecDeque<(Crash, u64)>,
    crashed: bool,
    /// At which steps which consumer goes back to its beginning.
    redelivered: Vec<(usize, usize)>,
    steps: usize,
}

struct Consumer {
    reaction: Box<dyn Handler>,
    committed: usize,
}

impl Pipeline {
    pub(crate) async fn new() -> Self {
        let faults = EmbeddedStore::new();
        let store = Store::Embedded(faults.clone());
        let clock = ManualClock::at(Timestamp::from_millis(1));
        let shared: SharedClock = Arc::new(clock.clone());
        let orders = Orders::new(&store).unwrap();
        let payments: Collection<Payment> = store.collection("payment_db").unwrap();
        let shipments: Collection<Shipment> = store.collection("shipment_db").unwrap();
        let warehouse = Arc::new(Warehouse::new(&store).unwrap());
        let price = Money::from_cents(100).unwrap();
        let stock =
            STOCK.map(|(product, pieces)| Product::new(product.parse().unwrap(), pieces, price));
        warehouse.seed(stock.to_vec()).await.unwrap();
        let rule = DeclineRule {
            above: Money::from_cents(LIMIT).unwrap(),
        };
        let consumers: Vec<Box<dyn Handler>> = vec![
            Box::new(payment_service::reactions::order_placed::OnOrderPlaced {
                payments: payments.clone(),
                rule,
                clock: Arc::clone(&shared),
            }),
            Box::new(
                payment_service::reactions::inventory_updated::OnInventoryUpdated {
                    payments: payments.clone(),
                    clock: Arc::clone(&shared),
                },
            ),
            Box::new(
                inventory_service::reactions::payment_processed::OnPaymentProcessed {
                    warehouse: Arc::clone(&warehouse),
                    clock: Arc::clone(&shared),
                },
            ),
            Box::new(
                inventory_service::reactions::shipment_processed::OnShipmentProcessed {
                    warehouse: Arc::clone(&warehouse),
                    clock: Arc::clone(&shared),
                },
            ),
            Box::new(
                shipment_service::reactions::inventory_updated::OnInventoryUpdated {
                    shipments: shipments.clone(),
                    clock: Arc::clone(&shared),
                },
            ),
            Box::new(
                shipment_service::reactions::order_cancelled::OnOrderCancelled {
                    shipments: shipments.clone(),
                    clock: Arc::clone(&shared),
                },
            ),
            Box::new(
                order_service::reactions::payment_processed::OnPaymentProcessed {
                    orders: orders.clone(),
                },
            ),
            Box::new(
                order_service::reactions::inventory_updated::OnInventoryUpdated {
                    orders: orders.clone(),
                },
            ),
            Box::new(
                order_service::reactions::shipment_processed::OnShipmentProcessed {
                    orders: orders.clone(),
                },
            ),
        ];
        Self {
            faults,
            orders,
            payments,
            warehouse,
            shipments,
            topics: BTreeMap::new(),
            placed: Vec::new(),
            clock,
            consumers: consumers
                .into_iter()
                .map(|reaction| Consumer {
                    reaction,
                    committed: 0,
                })
                .collect(),
            crashes: VecDeque::new(),
            crashed: false,
            redelivered: Vec::new(),
            steps: 0,
        }
    }

    /// Stores an order and publishes it, as the API and the relay do.
    pub(crate) async fn place(&mut self, items: &[(&str, u32)]) {
        let now = self.clock.now();
        let number = u8::try_from(self.placed.len()).unwrap();
        let items: Vec<Item> = items
            .iter()
            .map(|(product, pieces)| Item {
                product_id: product.parse().unwrap(),
                quantity: Quantity::new(*pieces).unwrap(),
                price: Money::from_cents(100).unwrap(),
            })
            .collect();
        let order = Order {
            order_id: OrderId::new(now, [number; 10]),
            customer_id: "C001".parse().unwrap(),
            total_amount: total_of(&items).unwrap(),
            items,
            shipping_address: "1 Main Street".parse().unwrap(),
            status: OrderStatus::Pending,
            reason: None,
            created_at: now,
            cancel_requested_at: None,
            idempotency_key: None,
            facts: Facts::default(),
            history: Order::beginning(now),
            unpublished: true,
            placed_published: false,
        };
        self.orders.place(order.clone()).await.unwrap();
        self.placed.push(order.order_id);
        publish(&mut self.topics, order.messages().unwrap());
    }

    /// Asks for an order back, as the API and the relay do; again, where that died.
    pub(crate) async fn cancel(&mut self, number: usize) {
        let id = self.placed[number];
        let order = loop {
            match self.orders.cancel(id, self.clock.now()).await {
                Ok(asked) => break asked.unwrap().0,
                Err(error) => self.died_of(&error.into()),
            }
        };
        if order.cancelled().is_some() {
            publish(&mut self.topics, order.messages().unwrap());
        }
    }

    /// The `nth` time that a consumer comes to such a point it dies there, once.
    pub(crate) fn crash_at(&mut self, crash: Crash, nth: u64) {
        self.crash_at_each([(crash, nth)]);
    }

    /// And then the next one, counted from there.
    pub(crate) fn crash_at_each(&mut self, crashes: impl IntoIterator<Item = (Crash, u64)>) {
        self.crashes = crashes.into_iter().collect();
        let first = self.crashes.pop_front();
        self.crash_next(first);
    }

    fn crash_next(&mut self, next: Option<(Crash, u64)>) {
        if let Some((crash, nth)) = next {
            self.crashes.push_front((crash, nth));
            if matches!(crash, Crash::BeforeWrite | Crash::AfterWrite) {
                self.faults.fail_write(nth, crash == Crash::AfterWrite);
            }
        }
    }

    /// At these steps these consumers begin anew at offset 0.
    pub(crate) fn redeliver_at(&mut self, redelivered: Vec<(usize, usize)>) {
        self.redelivered = redelivered;
    }

    pub(crate) fn has_crashed(&self) -> bool {
        self.crashed
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.consumers
            .iter()
            .all(|consumer| consumer.committed == self.end(consumer))
    }

    fn end(&self, consumer: &Consumer) -> usize {
        self.topics
            .get(consumer.reaction.topic())
            .map_or(0, Vec::len)
    }

    /// One consumer handles one batch, and perhaps dies over it.
    pub(crate) async fn step(&mut self, consumer: usize, batch: usize) {
        self.steps += 1;
        self.clock.advance(1);
        let at = consumer % self.consumers.len();
        for (step, again) in &self.redelivered {
            if *step == self.steps {
                let again = again % self.consumers.len();
                self.consumers[again].committed = 0;
            }
        }
        let (from, end) = (self.consumers[at].committed, self.end(&self.consumers[at]));
        let to = end.min(from + batch);
        if from == to {
            return;
        }
        let reaction = &self.consumers[at].reaction;
        let messages = self.topics[reaction.topic()][from..to].to_vec();
        match reaction.react(&messages).await {
            Ok(told) => publish(&mut self.topics, told),
            Err(error) => return self.died_of(&error),
        }
        if self.dies(Crash::AfterPublish) {
            return;
        }
        if let Err(error) = self.consumers[at].reaction.settle(&messages).await {
            return self.died_of(&error);
        }
        if self.dies(Crash::AfterSettle) {
            return;
        }
        self.consumers[at].committed = to;
    }

    fn died_of(&mut self, error: &ReactionError) {
        assert!(error.is_retriable(), "{error}");
        assert!(
            !self.faults.has_fault(),
            "{error}, and nobody has asked for it"
        );
        self.died();
    }

    fn dies(&mut self, here: Crash) -> bool {
        let Some((crash, nth)) = self.crashes.front_mut().filter(|(crash, _)| *crash == here)
        else {
            return false;
        };
        *nth -= 1;
        let dies = *nth == 0;
        debug_assert_eq!(*crash, here);
        if dies {
            self.died();
        }
        dies
    }

    fn died(&mut self) {
        self.crashed = true;
        self.crashes.pop_front();
        let next = self.crashes.pop_front();
        self.crash_next(next);
    }
}

fn publish(topics: &mut BTreeMap<&'static str, Vec<Message>>, messages: Vec<Message>) {
    for message in messages {
        topics.entry(message.topic).or_default().push(message);
    }
}

type Outcome<'a, T> = Pin<Box<dyn Future<Output = Result<T, ReactionError>> + Send + 'a>>;

/// A reaction without its type.
trait Handler: Send + Sync {
    fn topic(&self) -> &'static str;
    fn react<'a>(&'a self, messages: &'a [Message]) -> Outcome<'a, Vec<Message>>;
    fn settle<'a>(&'a self, messages: &'a [Message]) -> Outcome<'a, ()>;
}

impl<R: Reaction> Handler for R {
    fn topic(&self) -> &'static str {
        R::Event::TOPIC
    }

    fn react<'a>(&'a self, messages: &'a [Message]) -> Outcome<'a, Vec<Message>> {
        Box::pin(async { Reaction::react(self, &decode(messages)).await })
    }

    fn settle<'a>(&'a self, messages: &'a [Message]) -> Outcome<'a, ()> {
        Box::pin(async { Reaction::settle(self, &decode(messages)).await })
    }
}

fn decode<E: Event>(messages: &[Message]) -> Vec<Envelope<E>> {
    messages
        .iter()
        .map(|message| {
            let headers = message
                .headers
                .iter()
                .map(|(name, value)| (*name, &**value));
            Envelope::decode(headers, &message.value).unwrap()
        })
        .collect()
}
