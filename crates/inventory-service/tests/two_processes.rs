//! Two processes that take each other for dead do the same work at the same time, while a third tidies up.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly too")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contracts::{
    InventoryStatus, Item, Money, OrderId, Quantity, ShipmentId, ShipmentProcessed, ShipmentStatus,
    Timestamp, TrackingNumber,
};
use inventory_service::stock::Product;
use inventory_service::updates::{InventoryUpdate, Restitution};
use inventory_service::warehouse::{DATABASE, OrderItems, Warehouse};
use service_kit::store::{Collection, EmbeddedStore, Store};

const STOCK: [(&str, u64); 2] = [("PLENTY", 1000), ("SCARCE", 40)];
const ORDERS: u8 = 120;
const BATCH: usize = 7;

fn order_id(number: u8) -> OrderId {
    OrderId::new(Timestamp::from_millis(1), [number; 10])
}

fn order(number: u8) -> OrderItems {
    let item = |product: &str, pieces| Item {
        product_id: product.parse().unwrap(),
        quantity: Quantity::new(pieces).unwrap(),
        price: Money::ZERO,
    };
    let mut items = vec![item("PLENTY", u32::from(number % 4) + 1)];
    if number.is_multiple_of(2) {
        items.push(item("SCARCE", 1));
    }
    OrderItems {
        order_id: order_id(number),
        items,
    }
}

fn is_cancelled(number: u8) -> bool {
    number.is_multiple_of(3)
}

fn stopped(order: &OrderItems) -> ShipmentProcessed {
    let now = Timestamp::from_millis(2);
    ShipmentProcessed {
        order_id: order.order_id,
        customer_id: "C001".parse().unwrap(),
        shipment_id: ShipmentId::of(order.order_id),
        items: order.items.clone(),
        shipping_address: "1 Main Street".parse().unwrap(),
        status: ShipmentStatus::Cancelled,
        tracking_number: TrackingNumber::of(order.order_id),
        estimated_delivery: now,
        timestamp: now,
    }
}

/// All orders in batches, each taken, given back where it is cancelled, and settled. `rotate` makes one process's order of things
/// another's.
async fn work(warehouse: Arc<Warehouse>, rotate: usize) {
    let mut numbers: Vec<u8> = (0..ORDERS).collect();
    numbers.rotate_left(rotate);
    for batch in numbers.chunks(BATCH) {
        let orders: Vec<OrderItems> = batch.iter().map(|number| order(*number)).collect();
        warehouse
            .take(&orders, Timestamp::from_millis(2))
            .await
            .unwrap();
        let cancelled: Vec<ShipmentProcessed> = batch
            .iter()
            .zip(&orders)
            .filter(|(number, _)| is_cancelled(**number))
            .map(|(_, order)| stopped(order))
            .collect();
        let cancelled: Vec<&ShipmentProcessed> = cancelled.iter().collect();
        warehouse
            .release(&cancelled, Timestamp::from_millis(3))
            .await
            .unwrap();
        warehouse.settle(&orders).await.unwrap();
    }
}

async fn everything_adds_up(store: &Store, warehouse: &Warehouse) {
    let updates: Collection<InventoryUpdate> = store.collection(DATABASE).unwrap();
    let mut taken: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..ORDERS {
        let found = updates.get(&order_id(number)).await.unwrap().unwrap();
        let update = found.document;
        assert_ne!(update.restitution, Some(Restitution::Due), "{update:?}");
        if is_cancelled(number) {
            assert_ne!(update.status, InventoryStatus::Updated, "{update:?}");
        }
        if update.status == InventoryStatus::Updated {
            for item in &update.items {
                let pieces = u64::from(item.quantity.get());
                *taken.entry(item.product_id.to_string()).or_default() += pieces;
            }
        }
    }
    for (product, initial) in STOCK {
        let left = warehouse.product(&product.parse().unwrap()).await;
        let left = left.unwrap().unwrap();
        assert!(left.marks.is_empty(), "{left:?}");
        let taken = taken.get(product).copied().unwrap_or_default();
        assert_eq!(left.quantity + taken, initial, "{product}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_work_at_the_same_time_comes_to_the_same() {
    for round in 0..20 {
        let store = Store::Embedded(EmbeddedStore::new());
        let processes = [(); 3].map(|()| Arc::new(Warehouse::new(&store).unwrap()));
        let stock = STOCK
            .map(|(product, pieces)| Product::new(product.parse().unwrap(), pieces, Money::ZERO));
        processes[0].seed(stock.to_vec()).await.unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let sweeper = {
            let (warehouse, done) = (Arc::clone(&processes[2]), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    warehouse.settle_leftovers().await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        };
        let workers = [0, round, 40, 40 + round].into_iter().enumerate();
        let workers: Vec<_> = workers
            .map(|(n, rotate)| tokio::spawn(work(Arc::clone(&processes[n % 2]), rotate)))
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
        sweeper.await.unwrap();
        processes[2].settle_leftovers().await.unwrap();
        everything_adds_up(&store, &processes[0]).await;
    }
}
