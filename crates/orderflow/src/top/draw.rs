//! How it looks.

use dashboard::snapshot::{Group, GroupOffset, Snapshot};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table, TableState};

use super::Top;
use super::heading::heading;

/// The least lines of the partitions and the orders.
const LEAST_BELOW: u16 = 6;

/// What a status is told by beside its name.
pub(super) fn colour(status: &str) -> Color {
    match status {
        "SHIPPED" | "Stable" | "running" => Color::Green,
        "PENDING"
        | "PAID"
        | "RESERVED"
        | "PreparingRebalance"
        | "CompletingRebalance"
        | "stopping" => Color::Yellow,
        "Empty" | "stopped" => Color::DarkGray,
        _ => Color::Red,
    }
}

impl Top {
    /// Draws what was seen last.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let Some(seen) = &self.snapshot else {
            frame.render_widget(Paragraph::new("looking for the shop …"), frame.area());
            return;
        };
        let Rect { width, height, .. } = frame.area();
        let groups = u16::try_from(seen.groups.len()).unwrap_or(u16::MAX);
        let groups = groups.saturating_add(2).min(height / 3);
        let room = height.saturating_sub(groups + LEAST_BELOW + 1);
        let heading = heading(seen, width, room.min(height / 3));
        let rows = Layout::vertical([
            Constraint::Length(u16::try_from(heading.len()).unwrap_or(u16::MAX)),
            Constraint::Length(groups),
            Constraint::Min(LEAST_BELOW),
            Constraint::Length(1),
        ]);
        let [head, group_area, below, keys] = rows.areas(frame.area());
        frame.render_widget(Paragraph::new(heading), head);
        self.draw_groups(frame, group_area);
        let [partitions, orders] =
            Layout::horizontal([Constraint::Percentage(68), Constraint::Percentage(32)])
                .areas(below);
        if let Some(group) = seen.groups.get(self.chosen()) {
            draw_partitions(frame, partitions, group);
        }
        draw_orders(frame, orders, seen);
        frame.render_widget(
            Paragraph::new(" ↑ ↓ choose a group   q ends").fg(Color::DarkGray),
            keys,
        );
    }

    fn draw_groups(&self, frame: &mut Frame<'_>, area: Rect) {
        let [list, history] =
            Layout::horizontal([Constraint::Percentage(68), Constraint::Percentage(32)])
                .areas(area);
        let rows = self.groups().iter().map(|group| {
            let generation = group.generation.map_or("-".to_owned(), |n| n.to_string());
            Row::new([
                Cell::from(group.group.as_str()),
                Cell::from(group.state.as_str()).fg(colour(&group.state)),
                right(generation),
                right(group.members.len().to_string()),
                lag_cell(group.lag),
            ])
        });
        // Without the title and the names of the columns. Where not all have room, those about the chosen one are shown.
        let room = usize::from(area.height).saturating_sub(2);
        let all = self.groups().len();
        let title = if all > room {
            format!(" {} of {all} groups ", self.chosen() + 1)
        } else {
            String::new()
        };
        let widths = [
            Constraint::Min(20),
            Constraint::Length(19),
            Constraint::Length(10),
            Constraint::Length(7),
            Constraint::Length(10),
        ];
        let table = Table::new(rows, widths)
            .header(header(["GROUP", "STATE", "GENERATION", "MEMBERS", "LAG"]))
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
            .block(Block::new().borders(Borders::TOP).title(title));
        let mut state = TableState::new().with_selected(Some(self.chosen()));
        frame.render_stateful_widget(table, list, &mut state);
        let chosen = self.groups().get(self.chosen());
        if let Some((group, lag)) =
            chosen.and_then(|group| Some((group, self.lag.get(&group.group)?)))
        {
            let room = usize::from(history.width.saturating_sub(1));
            let newest = lag.iter().skip(lag.len().saturating_sub(room));
            let line = Sparkline::default()
                .data(newest.copied().collect::<Vec<_>>())
                .style(Style::new().fg(Color::Cyan))
                .block(
                    Block::new()
                        .borders(Borders::TOP | Borders::LEFT)
                        .title(format!(" lag of {} ", group.group)),
                );
            frame.render_widget(line, history);
        }
    }
}

fn draw_partitions(frame: &mut Frame<'_>, area: Rect, group: &Group) {
    let reader = |offset: &GroupOffset| {
        let id = offset.member.as_ref()?;
        let member = group
            .members
            .iter()
            .find(|member| member.member_id == *id)?;
        Some(
            member
                .instance
                .as_ref()
                .unwrap_or(&member.member_id)
                .clone(),
        )
    };
    // Without the title and the names of the columns. Where not all have room, the last line says how many are not shown.
    let room = usize::from(area.height).saturating_sub(2);
    let shown = match group.offsets.len() {
        all if all > room => room.saturating_sub(1),
        all => all,
    };
    let left_out = group.offsets.len() - shown;
    let more = (left_out > 0).then(|| Row::new([format!("… {left_out} more")]));
    let rows = group.offsets.iter().take(shown).map(|offset| {
        let number = |value: Option<i64>| value.map_or("-".to_owned(), |n| n.to_string());
        let paused = if offset.paused { "⏸ " } else { "" };
        Row::new([
            Cell::from(offset.topic.as_str()),
            right(offset.partition.to_string()),
            right(number(offset.committed)),
            right(number(offset.position)),
            right(offset.end.to_string()),
            lag_cell(offset.lag),
            Cell::from(format!(
                "{paused}{}",
                reader(offset).unwrap_or_else(|| "-".to_owned())
            )),
        ])
    });
    let widths = [
        Constraint::Min(18),
        Constraint::Length(2),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Min(12),
    ];
    let note = group.note.as_ref().map(|note| format!("{note} "));
    let title = vec![
        Span::from(format!(" {} ", group.group)),
        note.unwrap_or_default().fg(Color::Yellow),
    ];
    let table = Table::new(rows.chain(more), widths)
        .header(header([
            "TOPIC",
            "P",
            "COMMITTED",
            "POSITION",
            "END",
            "LAG",
            "READ BY",
        ]))
        .block(Block::new().borders(Borders::TOP).title(Line::from(title)));
    frame.render_widget(table, area);
}

fn draw_orders(frame: &mut Frame<'_>, area: Rect, seen: &Snapshot) {
    let letters: i64 = seen.dead_letters.iter().map(|topic| topic.count).sum();
    let rows = seen.orders.newest.iter().map(|order| {
        Row::new([
            Cell::from(tail(&order.order_id)),
            Cell::from(order.status.as_str()).fg(colour(&order.status)),
        ])
    });
    let backlog = seen.orders.backlog;
    let backlog = backlog.map_or("unknown".to_owned(), |orders| orders.to_string());
    let title = format!(" outbox {backlog}  dead letters {letters} ");
    let table = Table::new(rows, [Constraint::Min(12), Constraint::Length(10)])
        .header(header(["NEWEST ORDERS", "STATUS"]))
        .block(
            Block::new()
                .borders(Borders::TOP | Borders::LEFT)
                .title(title),
        );
    frame.render_widget(table, area);
}

/// The end of an order's id, which tells orders apart: its beginning is the time, and much the same for all that are new.
fn tail(id: &str) -> String {
    match id.char_indices().rev().nth(11) {
        Some((at, _)) if at > 0 => format!("…{}", &id[at..]),
        _ => id.to_owned(),
    }
}

fn header<const N: usize>(names: [&'static str; N]) -> Row<'static> {
    Row::new(names).style(Style::new().fg(Color::DarkGray))
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned())
}

fn lag_cell(lag: i64) -> Cell<'static> {
    let cell = right(lag.to_string());
    if lag > 0 {
        cell.fg(Color::Yellow)
    } else {
        cell
    }
}
