//! Log lines: one line an event, lowercase, `time level target message field=value …`.
//!
//! While a server is away everything that needs it tries again several times a second, and each attempt has reason to warn.
//! A warning that says the same as one just before is therefore counted and not written: the next one that is written
//! says how many there were.

mod repeats;

use std::fmt;
use std::time::Instant;

use parking_lot::Mutex;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock, SystemClock};
use repeats::Repeats;

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("the log filter {filter:?} cannot be read: {reason}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It was set up before in this process.
    #[error("logging was set up before")]
    AlreadySet,
}

/// Logs to standard error what `filter` lets through: `info`, or `info,service_kit=debug`, in the
/// syntax of `RUST_LOG`.
pub fn init(filter: &str) -> Result<(), TelemetryError> {
    let parsed = EnvFilter::builder()
        .parse(filter)
        .map_err(|error| TelemetryError::Filter {
            filter: filter.to_owned(),
            reason: error.to_string(),
        })?;
    tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .event_format(Lines::default())
        .try_init()
        .map_err(|_| TelemetryError::AlreadySet)
}

/// The format of a line.
#[derive(Default)]
struct Lines {
    repeats: Mutex<Repeats>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let of = event.metadata();
        let mut line = format!("{:5} {} ", level(*of.level()), of.target());
        context
            .field_format()
            .format_fields(Writer::new(&mut line), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                line.extend([" ", fields.as_str()]);
            }
        }
        let left_out = if *of.level() <= tracing::Level::WARN {
            self.repeats.lock().left_out_before(&line, Instant::now())
        } else {
            Some(0)
        };
        let now = SystemClock.now();
        match left_out {
            None => Ok(()),
            Some(0) => writeln!(writer, "{now} {line}"),
            Some(more) => writeln!(writer, "{now} {line} repeated={more}"),
        }
    }
}

fn level(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warn",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}

/// What is logged on this thread while a test looks at it.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Captured(std::sync::Arc<parking_lot::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Captured {
    /// Captures until the guard is dropped.
    pub(crate) fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let captured = Self::default();
        let written = captured.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || written.clone())
            .with_ansi(false)
            .event_format(Lines::default())
            .finish();
        (captured, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Captured;

    #[test]
    fn a_line_has_time_level_target_message_and_fields() {
        let (log, capturing) = Captured::start();
        {
            let _span = tracing::info_span!("batch", partition = 2).entered();
            tracing::info!(target: "here", orders = 3, "batch was handled");
        }
        drop(capturing);
        let lines = log.lines();
        let (time, rest) = lines[0].split_once(' ').unwrap();
        assert!(time.parse::<contracts::Timestamp>().is_ok(), "{lines:?}");
        assert_eq!(rest, "info  here batch was handled orders=3 partition=2");
    }

    #[test]
    fn the_same_warning_is_written_once_and_news_each_time() {
        let (log, _capturing) = Captured::start();
        for attempt in [1, 1, 2, 1] {
            tracing::warn!(attempt, "cannot do it, trying again");
            tracing::info!("this is no warning");
        }
        let of = |text: &str| {
            log.lines()
                .iter()
                .filter(|line| line.contains(text))
                .count()
        };
        let counts = [of("attempt=1"), of("attempt=2"), of("no warning")];
        assert_eq!(counts, [1, 1, 4], "{:?}", log.lines());
    }
}
