//! What an operator sees through the `tracing` facade: a span for each request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kafka_broker::{ApiKey, Broker, BrokerConfig, Fault, FaultAction};
use kafka_client::{Client, ClientConfig, NewTopic, ProducerConfig, ProducerRecord};
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// The bound on everything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Debug, Clone)]
struct Span {
    level: Level,
    target: &'static str,
    /// Its name and fields, as `name{field=value,…}`.
    what: String,
    handles: usize,
    /// What was logged within it.
    events: Vec<String>,
}

/// Collects the spans of the client, and the events within them.
#[derive(Debug, Clone)]
struct Collector {
    most: Level,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    spans: Vec<Span>,
    /// Those that are entered, the innermost last.
    entered: Vec<usize>,
}

impl Collector {
    fn new(most: Level) -> Self {
        Self {
            most,
            seen: Arc::default(),
        }
    }

    fn spans(&self) -> Vec<Span> {
        self.seen.lock().spans.clone()
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Fields {
    fn text(&self) -> String {
        let fields = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        fields.collect::<Vec<_>>().join(",")
    }
}

fn place(id: &span::Id) -> usize {
    usize::try_from(id.into_u64()).unwrap() - 1
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("kafka_") && *metadata.level() <= self.most
    }

    fn new_span(&self, new: &span::Attributes<'_>) -> span::Id {
        let mut fields = Fields::default();
        new.record(&mut fields);
        let metadata = new.metadata();
        let mut seen = self.seen.lock();
        seen.spans.push(Span {
            level: *metadata.level(),
            target: metadata.target(),
            what: format!("{}{{{}}}", metadata.name(), fields.text()),
            handles: 1,
            events: Vec::new(),
        });
        span::Id::from_u64(seen.spans.len() as u64)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut seen = self.seen.lock();
        if let Some(&within) = seen.entered.last() {
            seen.spans[within].events.push(fields.text());
        }
    }

    fn enter(&self, id: &span::Id) {
        self.seen.lock().entered.push(place(id));
    }

    fn exit(&self, id: &span::Id) {
        assert_eq!(self.seen.lock().entered.pop(), Some(place(id)));
    }

    fn clone_span(&self, id: &span::Id) -> span::Id {
        self.seen.lock().spans[place(id)].handles += 1;
        id.clone()
    }

    fn try_close(&self, id: span::Id) -> bool {
        let span = &mut self.seen.lock().spans[place(&id)];
        span.handles -= 1;
        span.handles == 0
    }
}

/// Writes a record in two attempts, since the answer to the first is lost. Returns the broker's address.
async fn write_a_record() -> String {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let address = broker.bootstrap_servers();
    let client = Client::new(ClientConfig::new(&address)).unwrap();
    let topics = [NewTopic::new("seen", 1, 1)];
    client.admin().ensure_topics(&topics).await.unwrap();
    let lost = Fault::new(FaultAction::DropAfter).on(ApiKey::Produce);
    broker.faults().inject(lost.times(1));
    let producer = client.producer(ProducerConfig::default());
    let record = ProducerRecord::new("seen").value(b"value");
    producer.send(&record).await.unwrap().await.unwrap();
    address
}

// One thread, so that the client's tasks have the subscriber, too.
#[tokio::test]
async fn each_request_is_a_span_with_its_api_and_broker_and_a_failure_is_logged_within() {
    let collector = Collector::new(Level::DEBUG);
    let _collecting = tracing::subscriber::set_default(collector.clone());
    let writing = tokio::time::timeout(PATIENCE, write_a_record());
    let address = writing.await.expect("writing a record");
    let requests: Vec<Span> = collector.spans();
    for api in ["Metadata", "CreateTopics", "InitProducerId", "Produce"] {
        let expected = format!("kafka_request{{api={api},broker={address}}}");
        assert!(
            requests.iter().any(|span| span.what == expected),
            "no {expected} in {requests:#?}"
        );
    }
    for span in &requests {
        assert_eq!(span.level, Level::DEBUG, "{span:?}");
        assert_eq!(span.target, "kafka_wire::connection", "{span:?}");
    }
    let produces = requests
        .iter()
        .filter(|span| span.what.contains("Produce,"));
    let produces: Vec<_> = produces.collect();
    let [lost, answered] = &produces[..] else {
        panic!("{produces:#?}");
    };
    let failed =
        |event: &String| event.contains("message=a request failed") && event.contains("error=");
    assert!(lost.events.iter().any(failed), "{lost:?}");
    assert_eq!(answered.events, Vec::<String>::new());
    // They end with the request.
    assert_eq!((lost.handles, answered.handles), (0, 0));
}

#[tokio::test]
async fn no_span_is_made_where_none_is_wanted() {
    let collector = Collector::new(Level::INFO);
    let _collecting = tracing::subscriber::set_default(collector.clone());
    let writing = tokio::time::timeout(PATIENCE, write_a_record());
    writing.await.expect("writing a record");
    let spans = collector.spans();
    assert!(spans.is_empty(), "{spans:#?}");
}
