//! Runs a broker until Ctrl-C, for Kafka's own tools to talk to:
//! `cargo run -p kafka-broker --example broker -- 127.0.0.1:9092 127.0.0.1:9093 127.0.0.1:9094`.

use std::error::Error;
use std::net::SocketAddr;

use kafka_broker::{Broker, BrokerConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args()
        .skip(1)
        .map(|address| address.parse())
        .collect::<Result<Vec<SocketAddr>, _>>()?;
    let mut config = BrokerConfig::default();
    if !listen.is_empty() {
        config.listen = listen;
    }
    let broker = Broker::start(config).await?;
    println!("bootstrap.servers={}", broker.bootstrap_servers());
    tokio::signal::ctrl_c().await?;
    broker.stop().await;
    Ok(())
}
