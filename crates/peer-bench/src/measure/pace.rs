//! Sending at a steady rate, and the time until each record is read.
//!
//! A record's time counts from when it was due, and not from when the sender got round to it, so that a client that blocks
//! its caller pays for the records that were late because of it.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{Job, Meter, PATIENCE, Report};
use crate::Failure;

/// Records a second.
pub(crate) const RATE: u64 = 1_000;

/// Sent first, at the same rate, and not counted. The very first of all is awaited before the rest is sent: by then connections,
/// metadata and the producer id are there.
const WARM_UP_RECORDS: u64 = RATE;

/// A record's number and when it was handed out, or why the consumer stopped.
pub(crate) type Seen = Result<(u64, Instant), Failure>;

/// The number of the record, which its value begins with.
pub(crate) fn sequence(value: Option<&[u8]>) -> Result<u64, Failure> {
    let number = value
        .and_then(<[u8]>::first_chunk::<8>)
        .ok_or("a value without a number")?;
    Ok(u64::from_be_bytes(*number))
}

/// Calls `send` with a value at a time, on a thread of its own, and takes the times from `seen`.
pub(crate) async fn paced(
    job: &Job,
    mut send: impl FnMut(&[u8]) -> Result<(), Failure> + Send + 'static,
    mut seen: mpsc::UnboundedReceiver<Seen>,
) -> Result<Report, Failure> {
    let total = 1 + WARM_UP_RECORDS + job.records;
    let mut value = job.value();
    if value.len() < 8 {
        return Err("a record needs 8 B for its number".into());
    }
    let (start, started) = std::sync::mpsc::channel::<Instant>();
    // A thread, since Tokio's timer has a resolution of a millisecond.
    let sending = tokio::task::spawn_blocking(move || -> Result<(), Failure> {
        let mut number_and_send = |number: u64| {
            value[..8].copy_from_slice(&number.to_be_bytes());
            send(&value)
        };
        number_and_send(0)?;
        let origin = started.recv_timeout(PATIENCE)?;
        for number in 1..total {
            std::thread::sleep(due(origin, number).saturating_duration_since(Instant::now()));
            number_and_send(number)?;
        }
        Ok(())
    });
    let mut times: Vec<Option<Duration>> = vec![None; usize::try_from(total)?];
    let mut origin = None;
    let mut meter = None;
    for received in 0..total {
        // PATIENCE is for each: they come a millisecond apart.
        let (number, at) = tokio::time::timeout(PATIENCE, seen.recv())
            .await
            .map_err(|_| format!("only {received} of {total} records came back"))?
            .ok_or("the consumer ended early")??;
        let origin = *origin.get_or_insert_with(Instant::now);
        if meter.is_none() {
            meter = Some(Meter::start()?);
            start.send(origin)?;
        }
        let time = usize::try_from(number)
            .ok()
            .and_then(|index| times.get_mut(index))
            .ok_or_else(|| format!("record {number} was never sent"))?;
        let waited = at.saturating_duration_since(due(origin, number));
        if time.replace(waited).is_some() {
            return Err(format!("record {number} came twice").into());
        }
    }
    let meter = meter.ok_or("nothing was to be sent")?;
    sending.await??;
    let mut counted: Vec<Duration> = times
        .into_iter()
        .skip(usize::try_from(1 + WARM_UP_RECORDS)?)
        .flatten()
        .collect();
    counted.sort_unstable();
    let mut report = meter.stop(job.records, 1 + WARM_UP_RECORDS)?;
    report.latency = [500, 990, 999].map(|permille| per_mille(&counted, permille));
    Ok(report)
}

fn due(origin: Instant, number: u64) -> Instant {
    origin + Duration::from_nanos(number * 1_000_000_000 / RATE)
}

/// In milliseconds, of sorted times.
fn per_mille(sorted: &[Duration], permille: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    // Rounded up, so that a high percentile of few times is their largest.
    let index = (last * permille).div_ceil(1_000);
    sorted.get(index).map_or(0.0, Duration::as_secs_f64) * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_times_there_are() {
        let times: Vec<Duration> = (1..=1_001).map(Duration::from_millis).collect();
        assert_eq!(per_mille(&times, 500), 501.0);
        assert_eq!(per_mille(&times, 999), 1_000.0);
        assert_eq!(per_mille(&times[..2], 999), 2.0);
        assert_eq!(per_mille(&[], 500), 0.0);
    }

    #[test]
    fn a_number_is_read_off_a_value() {
        let mut value = vec![b'x'; 100];
        value[..8].copy_from_slice(&7_u64.to_be_bytes());
        assert_eq!(sequence(Some(&value)).unwrap(), 7);
        assert!(sequence(Some(b"short")).is_err());
        assert!(sequence(None).is_err());
    }
}
