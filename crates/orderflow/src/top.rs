//! A shop in a terminal: groups, partitions, lag and orders, as the dashboard shows them in a browser.
//!
//! What is seen comes from [`dashboard::snapshot`]; here is what is remembered of it, what the keys do, and how it is drawn.

mod draw;
mod heading;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use dashboard::snapshot::{Group, Snapshot};
use ratatui::crossterm::event::KeyCode;

/// Samples of a group's lag that are kept.
const HISTORY: usize = 120;

/// What a terminal shows.
#[derive(Debug, Default)]
pub struct Top {
    snapshot: Option<Snapshot>,
    /// The group whose partitions are shown, by its name: the list may change under it.
    selected: Option<String>,
    /// The lag of each group, the newest behind.
    lag: BTreeMap<String, VecDeque<u64>>,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Nothing, or something that is drawn next time.
    Nothing,
    /// To end.
    End,
}

impl Top {
    /// Takes in what is there now. Groups that have gone are forgotten.
    pub fn see(&mut self, snapshot: Snapshot) {
        self.lag
            .retain(|name, _| snapshot.groups.iter().any(|group| group.group == *name));
        for group in &snapshot.groups {
            let history = self.lag.entry(group.group.clone()).or_default();
            if history.len() == HISTORY {
                history.pop_front();
            }
            history.push_back(u64::try_from(group.lag).unwrap_or_default());
        }
        self.snapshot = Some(snapshot);
    }

    /// What a key does: arrows, or j and k, choose a group; q and Esc end.
    pub fn press(&mut self, key: KeyCode) -> Asked {
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return Asked::End,
            KeyCode::Down | KeyCode::Char('j') => self.choose(1),
            KeyCode::Up | KeyCode::Char('k') => self.choose(-1),
            _ => {}
        }
        Asked::Nothing
    }

    fn groups(&self) -> &[Group] {
        self.snapshot.as_ref().map_or(&[], |seen| &seen.groups)
    }

    /// Which group is chosen: the first until one is, or where the chosen one has gone.
    fn chosen(&self) -> usize {
        let name = self.selected.as_ref();
        let groups = self.groups().iter();
        name.and_then(|name| groups.clone().position(|group| group.group == *name))
            .unwrap_or_default()
    }

    fn choose(&mut self, step: isize) {
        let last = self.groups().len().saturating_sub(1);
        let next = self.chosen().saturating_add_signed(step).min(last);
        self.selected = self.groups().get(next).map(|group| group.group.clone());
    }
}
