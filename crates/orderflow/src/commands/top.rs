//! A shop in the terminal, until somebody presses q.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashboard::Observation;
use dashboard::snapshot::Snapshot;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{init_log, kafka, until_signal};
use crate::cli;
use crate::shop::ShopError;
use crate::top::{Asked, Top};

/// How often the lag is noted; also how often it is looked.
const TICK: Duration = Duration::from_millis(500);
/// How long the thread that reads keys waits for one before it looks whether it is still wanted.
const KEY: Duration = Duration::from_millis(100);
/// Keys that wait to be taken in; more than that at a time are dropped.
const KEYS: usize = 16;

pub(super) async fn run(command: cli::Top) -> Result<(), ShopError> {
    if !std::io::stdout().is_terminal() {
        return Err(ShopError::NoTerminal);
    }
    // What is logged would be written across the picture.
    init_log("off")?;
    until_signal(|stop| run_until(command, stop)).await
}

async fn run_until(command: cli::Top, stop: CancellationToken) -> Result<(), ShopError> {
    let client = kafka::client(&command.kafka)?;
    let mut looks = Observation::begin(&client, &command.urls.into())?;
    let mut terminal = Restored(ratatui::try_init()?);
    let mut keys = Keys::start();
    let mut top = Top::default();
    let mut latest: Option<Arc<Snapshot>> = None;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        terminal.0.draw(|frame| top.draw(frame))?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            seen = looks.next() => latest = Some(seen),
            _ = ticks.tick() => if let Some(seen) = &latest {
                top.see(Snapshot::clone(seen));
            },
            key = keys.pressed.recv() => match key {
                Some(Key::Pressed(key)) if top.press(key) == Asked::End => return Ok(()),
                Some(Key::Pressed(_) | Key::Resized) => {}
                Some(Key::Interrupt) | None => return Ok(()),
            },
        }
    }
}

/// A terminal that is as it was once this is dropped.
struct Restored(ratatui::DefaultTerminal);

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What comes from the keyboard.
enum Key {
    Pressed(KeyCode),
    /// Ctrl-C, which is no signal while keys are read one by one.
    Interrupt,
    /// The terminal has another size, and is to be drawn anew.
    Resized,
}

/// The thread that reads keys, which only blocking calls can; it ends soon after this is dropped.
struct Keys {
    pressed: mpsc::Receiver<Key>,
    done: Arc<AtomicBool>,
}

impl Keys {
    fn start() -> Self {
        let (sender, pressed) = mpsc::channel(KEYS);
        let done = Arc::new(AtomicBool::new(false));
        let wanted = Arc::clone(&done);
        std::thread::spawn(move || {
            while !wanted.load(Ordering::Relaxed) {
                match event::poll(KEY).and_then(|there| there.then(event::read).transpose()) {
                    Ok(Some(event)) => {
                        if let Some(key) = meant(&event) {
                            let _ = sender.try_send(key);
                        }
                    }
                    Ok(None) => {}
                    // The terminal has gone.
                    Err(_) => return,
                }
            }
        });
        Self { pressed, done }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

fn meant(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Resized),
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            let interrupt =
                key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            Some(if interrupt {
                Key::Interrupt
            } else {
                Key::Pressed(key.code)
            })
        }
        _ => None,
    }
}
