//! Where the examples find Kafka.

use kafka_broker::{Broker, BrokerConfig, BrokerError};

/// The servers that `KAFKA_BOOTSTRAP_SERVERS` names or, without it, an embedded broker that lives as long as this.
pub(crate) struct Kafka {
    pub(crate) bootstrap_servers: String,
    _embedded: Option<Broker>,
}

impl Kafka {
    pub(crate) async fn find() -> Result<Self, BrokerError> {
        if let Ok(bootstrap_servers) = std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
            return Ok(Self {
                bootstrap_servers,
                _embedded: None,
            });
        }
        let broker = Broker::start(BrokerConfig::default()).await?;
        Ok(Self {
            bootstrap_servers: broker.bootstrap_servers(),
            _embedded: Some(broker),
        })
    }
}
