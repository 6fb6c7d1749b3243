//! What the names and labels come to in Prometheus' text. Each test has a recorder of its own.

use std::time::Duration;

use super::exposition::{recorder, reply};
use super::{Outcome, batch, events, retry};

/// What a scrape tells of what is done with the recorder.
fn told(work: impl FnOnce()) -> Vec<String> {
    let recorder = recorder().unwrap();
    metrics::with_local_recorder(&recorder, || {
        super::describe();
        work();
    });
    let text = recorder.handle().render();
    text.lines().map(str::to_owned).collect()
}

fn has(lines: &[String], line: &str) -> bool {
    lines.iter().any(|told| told == line)
}

#[test]
fn what_the_worker_notes_is_told_by_service() {
    let lines = told(|| {
        events("payment-service", "order_placed", Outcome::Handled, 41);
        events("payment-service", "order_placed", Outcome::Handled, 1);
        events("payment-service", "order_placed", Outcome::DeadLetter, 2);
        batch("payment-service", "order_placed", Duration::from_millis(30));
        retry("payment-service", "handle");
    });
    for line in [
        "# TYPE orderflow_events_total counter",
        r#"orderflow_events_total{service="payment-service",topic="order_placed",outcome="handled"} 42"#,
        r#"orderflow_events_total{service="payment-service",topic="order_placed",outcome="dead_letter"} 2"#,
        "# TYPE orderflow_batch_duration_seconds histogram",
        r#"orderflow_batch_duration_seconds_bucket{service="payment-service",topic="order_placed",le="0.025"} 0"#,
        r#"orderflow_batch_duration_seconds_bucket{service="payment-service",topic="order_placed",le="0.05"} 1"#,
        r#"orderflow_batch_duration_seconds_sum{service="payment-service",topic="order_placed"} 0.03"#,
        r#"orderflow_retries_total{service="payment-service",step="handle"} 1"#,
    ] {
        assert!(has(&lines, line), "{line} is not in {lines:#?}");
    }
}

#[test]
fn no_histogram_is_left_without_buckets() {
    use kafka_client::metric::{
        COMMIT_DURATION, PRODUCED_BATCH_BYTES, PRODUCED_BATCH_RECORDS, REQUEST_DURATION, THROTTLE,
    };
    let all = [
        super::HTTP_DURATION,
        super::BATCH_DURATION,
        COMMIT_DURATION,
        PRODUCED_BATCH_BYTES,
        PRODUCED_BATCH_RECORDS,
        REQUEST_DURATION,
        THROTTLE,
    ];
    let lines = told(|| {
        all.iter()
            .for_each(|name| metrics::histogram!(*name).record(1.0))
    });
    for name in all {
        assert!(has(&lines, &format!("# TYPE {name} histogram")), "{name}");
    }
}

#[test]
fn where_another_recorder_is_there_is_nothing_to_be_found() {
    assert_eq!(reply(None).status().as_u16(), 404);
}
