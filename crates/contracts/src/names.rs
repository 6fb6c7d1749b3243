//! Topic names, consumer groups, ports: what has to be the same everywhere.

/// Orders that were accepted, from order-service.
pub const ORDER_PLACED: &str = "order_placed";
/// Orders that the customer wants back, from order-service.
pub const ORDER_CANCELLED: &str = "order_cancelled";
/// What became of the payment, from payment-service.
pub const PAYMENT_PROCESSED: &str = "payment_processed";
/// Whether the stock could be taken, or is back, from inventory-service.
pub const INVENTORY_UPDATED: &str = "inventory_updated";
/// How far the shipment is, from shipment-service.
pub const SHIPMENT_PROCESSED: &str = "shipment_processed";
/// Every topic of the pipeline, in the order in which an order passes them.
pub const TOPICS: [&str; 5] = [
    ORDER_PLACED,
    ORDER_CANCELLED,
    PAYMENT_PROCESSED,
    INVENTORY_UPDATED,
    SHIPMENT_PROCESSED,
];
/// Partitions that a topic is made with.
pub const PARTITIONS: i32 = 3;

/// order-service: its name, its consumer group and the host name in a deployment.
pub const ORDER_SERVICE: &str = "order-service";
/// payment-service: its name and its consumer group.
pub const PAYMENT_SERVICE: &str = "payment-service";
/// inventory-service: its name and its consumer group.
pub const INVENTORY_SERVICE: &str = "inventory-service";
/// shipment-service: its name and its consumer group.
pub const SHIPMENT_SERVICE: &str = "shipment-service";
/// notification-service: its name and its consumer group.
pub const NOTIFICATION_SERVICE: &str = "notification-service";

/// TCP port of order-service's HTTP.
pub const ORDER_PORT: u16 = 8001;
/// TCP port of payment-service's HTTP.
pub const PAYMENT_PORT: u16 = 8002;
/// TCP port of inventory-service's HTTP.
pub const INVENTORY_PORT: u16 = 8003;
/// TCP port of shipment-service's HTTP.
pub const SHIPMENT_PORT: u16 = 8004;
/// TCP port of notification-service's HTTP.
pub const NOTIFICATION_PORT: u16 = 8005;
/// TCP port of the dashboard.
pub const DASHBOARD_PORT: u16 = 3000;
