//! A process that measures in its own way keeps its recorder. It is a test binary of its own, since a recorder is the process's.

use std::time::Duration;

use service_kit::metric;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_process_that_has_a_recorder_keeps_it() -> Result<(), Box<dyn std::error::Error>> {
    metrics::set_global_recorder(metrics::NoopRecorder)?;
    metric::install();
    metric::install();
    metric::retry("test", "handle");
    // There is nothing to drain, so it does not wait for the stop.
    let upkeep = metric::upkeep(CancellationToken::new());
    tokio::time::timeout(Duration::from_secs(10), upkeep).await?;
    let another = metrics::set_global_recorder(metrics::NoopRecorder);
    assert!(another.is_err(), "the first one is still there");
    Ok(())
}
