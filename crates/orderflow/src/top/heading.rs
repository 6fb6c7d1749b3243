//! The first lines: Kafka, the topics' rates, the services.

use dashboard::snapshot::{KafkaState, Snapshot, TopicKind};
use ratatui::style::{Color, Stylize};
use ratatui::text::{Line, Span};

use super::draw::colour;

/// The columns before what a list of rates or services says.
const INDENT: usize = 11;

/// As many lines as they take at this width, but no more than `most`.
pub(super) fn heading(seen: &Snapshot, width: u16, most: u16) -> Vec<Line<'_>> {
    let width = usize::from(width);
    let mut lines = vec![kafka(seen)];
    lines.extend(wrapped("records/s", rates(seen), width));
    lines.extend(wrapped("services", services(seen), width));
    let most = usize::from(most).max(1);
    if lines.len() > most {
        lines.truncate(most);
        // Where there is one line, it is Kafka's.
        if let [_, .., last] = &mut *lines {
            *last = Line::from("… more than there is room for").fg(Color::DarkGray);
        }
    }
    lines
}

fn kafka(seen: &Snapshot) -> Line<'_> {
    let kafka = &seen.kafka;
    let error = |sign| kafka.error.as_ref().map(|error| format!("{sign}{error}"));
    let (state, error) = match kafka.state {
        // What could not be learned all the same, or was left out.
        KafkaState::Up => (
            "up".fg(Color::Green),
            error("  ").map(|it| it.fg(Color::Yellow)),
        ),
        KafkaState::Away => (
            "away".fg(Color::Red),
            error(": ").map(|it| it.fg(Color::Red)),
        ),
    };
    let brokers = kafka.brokers.len();
    let mut line = vec![
        "orderflow top".bold(),
        format!(
            "   Kafka {}{}, {brokers} broker{} ",
            kafka.bootstrap_servers,
            if kafka.embedded { " (embedded)" } else { "" },
            if brokers == 1 { "" } else { "s" },
        )
        .into(),
        state,
    ];
    line.extend(error);
    Line::from(line)
}

fn rates(seen: &Snapshot) -> Vec<[Span<'_>; 2]> {
    seen.topics
        .iter()
        .filter(|topic| topic.kind == TopicKind::Pipeline)
        .map(|topic| {
            let rate = Span::from(format!("{:.1}  ", topic.rate)).bold();
            [format!("{} ", topic.topic).fg(Color::DarkGray), rate]
        })
        .collect()
}

fn services(seen: &Snapshot) -> Vec<[Span<'_>; 2]> {
    let instances = seen.services.iter().flat_map(|it| &it.instances);
    instances
        .map(|instance| {
            let state = serde_json::to_value(instance.state).unwrap_or_default();
            let state = state.as_str().unwrap_or_default().to_owned();
            let colour = colour(&state);
            [
                format!("{} ", instance.instance).into(),
                format!("{state}  ").fg(colour),
            ]
        })
        .collect()
}

/// The items in as many lines as they take; one that is wider than a line has one to itself.
fn wrapped<'a>(name: &'static str, items: Vec<[Span<'a>; 2]>, width: usize) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut line = Line::from(format!("{name:<INDENT$}"));
    for item in items {
        // The gap behind the last one may be cut.
        let wide = item.iter().map(Span::width).sum::<usize>();
        if line.spans.len() > 1 && line.width() + wide > width + 2 {
            lines.push(line);
            line = Line::from(" ".repeat(INDENT));
        }
        line.spans.extend(item);
    }
    lines.push(line);
    lines
}
