//! How far something is, drawn on standard error while it runs.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often it is drawn anew.
const DRAWN: Duration = Duration::from_millis(100);

/// Runs to the end, and where somebody can see it has `draw` say meanwhile how far that is: a bar of so many, or a spinner where
/// nobody knows how many there will be.
pub(super) async fn watched<T>(
    running: impl Future<Output = T>,
    length: Option<u64>,
    draw: impl Fn(&ProgressBar),
) -> T {
    if !std::io::stderr().is_terminal() {
        return running.await;
    }
    let template = match length {
        Some(_) => "{bar:30} {msg}",
        None => "{spinner} {msg}",
    };
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let mut running = std::pin::pin!(running);
    let mut redraw = tokio::time::interval(DRAWN);
    let outcome = loop {
        tokio::select! {
            outcome = &mut running => break outcome,
            _ = redraw.tick() => {
                bar.tick();
                draw(&bar);
            }
        }
    };
    bar.finish_and_clear();
    outcome
}
