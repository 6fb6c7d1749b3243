//! What somebody in front of the terminal sees.

use dashboard::controls::InstanceState;
use dashboard::snapshot::{
    Can, DeadLetters, Group, GroupOffset, Kafka, KafkaState, Load, Member, OrderLine, Orders,
    Service, ServiceInstance, Snapshot, Topic, TopicKind,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

fn group(name: &str, lag: i64) -> Group {
    Group {
        group: name.to_owned(),
        state: "Stable".to_owned(),
        note: None,
        protocol: "range".to_owned(),
        generation: Some(7),
        lag,
        members: vec![Member {
            member_id: format!("{name}-id"),
            instance_id: None,
            client_id: "orderflow".to_owned(),
            host: "/127.0.0.1".to_owned(),
            instance: Some(format!("{name}-1")),
            phase: Some("stable".to_owned()),
            partitions: Vec::new(),
        }],
        offsets: vec![GroupOffset {
            topic: "order_placed".to_owned(),
            partition: 2,
            committed: Some(40),
            position: Some(41),
            end: 40 + lag,
            lag,
            paused: true,
            member: Some(format!("{name}-id")),
        }],
    }
}

fn snapshot(groups: Vec<Group>) -> Snapshot {
    Snapshot {
        at: 0,
        kafka: Kafka {
            state: KafkaState::Up,
            error: None,
            embedded: true,
            running: Some(true),
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            brokers: Vec::new(),
            controller: None,
        },
        topics: vec![Topic {
            topic: "order_placed".to_owned(),
            kind: TopicKind::Pipeline,
            rate: 12.5,
            partitions: Vec::new(),
        }],
        groups,
        services: vec![Service {
            service: "payment-service".to_owned(),
            instances: vec![ServiceInstance {
                instance: "payment-service-1".to_owned(),
                url: String::new(),
                state: InstanceState::Crashed,
                health: None,
            }],
        }],
        stock: Vec::new(),
        orders: Orders {
            backlog: Some(3),
            newest: vec![OrderLine {
                order_id: "019ab3c4".to_owned(),
                status: "SHIPPED".to_owned(),
                customer_id: String::new(),
                total_amount: 1.0,
                created_at: String::new(),
                updated_at: String::new(),
            }],
        },
        dead_letters: vec![DeadLetters {
            topic: "order_placed.payment-service.dlq".to_owned(),
            group: "payment-service".to_owned(),
            origin: "order_placed".to_owned(),
            count: 4,
        }],
        rebalances: Vec::new(),
        load: Load::default(),
        can: Can {
            act: false,
            token: false,
            instances: false,
            broker: false,
        },
    }
}

/// The lines of a screen of this size.
fn screen(top: &Top, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| top.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(usize::from(width));
    let text = lines.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
    text.collect::<Vec<_>>().join("\n")
}

#[test]
fn groups_partitions_and_orders_are_there() {
    let mut top = Top::default();
    assert!(screen(&top, 120, 30).contains("looking for the shop"));
    top.see(snapshot(vec![group("payment-service", 12)]));
    let screen = screen(&top, 120, 30);
    let screen = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "127.0.0.1:9092 (embedded)",
        "order_placed 12.5",
        "payment-service-1 crashed",
        "payment-service Stable 7 1 12",
        "order_placed 2 40 41 52 12 ⏸ payment-service-1",
        "lag of payment-service",
        "019ab3c4",
        "SHIPPED",
        "outbox 3 dead letters 4",
    ] {
        assert!(screen.contains(expected), "{expected} is not in\n{screen}");
    }
}

#[test]
fn the_chosen_group_stays_chosen_when_others_come_and_go() {
    let mut top = Top::default();
    top.see(snapshot(vec![group("a", 1), group("b", 2)]));
    assert_eq!(top.press(KeyCode::Down), Asked::Nothing);
    assert!(screen(&top, 100, 24).contains("lag of b"));
    top.see(snapshot(vec![group("0", 0), group("a", 1), group("b", 2)]));
    assert!(screen(&top, 100, 24).contains("lag of b"));
    top.see(snapshot(vec![group("0", 0), group("a", 1)]));
    assert!(screen(&top, 100, 24).contains("lag of 0"));
    assert!(!top.lag.contains_key("b"), "what has gone is forgotten");
}

#[test]
fn choosing_stops_at_the_ends_and_q_ends() {
    let mut top = Top::default();
    assert_eq!(top.press(KeyCode::Up), Asked::Nothing);
    top.see(snapshot(vec![group("a", 1), group("b", 2)]));
    for _ in 0..3 {
        top.press(KeyCode::Char('j'));
    }
    assert_eq!(top.chosen(), 1);
    for _ in 0..3 {
        top.press(KeyCode::Char('k'));
    }
    assert_eq!(top.chosen(), 0);
    assert_eq!(top.press(KeyCode::Char('q')), Asked::End);
    assert_eq!(top.press(KeyCode::Esc), Asked::End);
}

#[test]
fn lag_is_kept_for_a_while_and_no_longer() {
    let mut top = Top::default();
    for lag in 0..500 {
        top.see(snapshot(vec![group("a", lag)]));
    }
    assert_eq!(top.lag["a"].len(), HISTORY);
    assert_eq!(top.lag["a"].back(), Some(&499));
}

#[test]
fn a_small_terminal_is_drawn_too() {
    let mut top = Top::default();
    top.see(snapshot(
        (0..40).map(|n| group(&format!("g{n}"), n)).collect(),
    ));
    for (width, height) in [(1, 1), (20, 5), (80, 8), (300, 100)] {
        screen(&top, width, height);
    }
}

#[test]
fn a_kafka_is_called_by_its_address_and_what_it_does_not_tell_is_said() {
    let mut seen = snapshot(vec![group("a", 1)]);
    seen.kafka.embedded = false;
    seen.kafka.error = Some("only 200 of 300 topics are shown".to_owned());
    seen.groups[0].note = Some("members are not told (KIP-848)".to_owned());
    let mut top = Top::default();
    top.see(seen);
    let screen = screen(&top, 120, 24);
    for expected in [
        "Kafka 127.0.0.1:9092, 0 brokers up  only 200 of 300 topics are shown",
        " a members are not told (KIP-848) ",
    ] {
        assert!(screen.contains(expected), "{expected} is not in\n{screen}");
    }
    assert!(!screen.contains("Apache"), "{screen}");
}

#[test]
fn partitions_that_have_no_room_are_counted() {
    let mut large = group("a", 1);
    let one = large.offsets[0].clone();
    let partitions = (0..40).map(|partition| GroupOffset {
        partition,
        ..one.clone()
    });
    large.offsets = partitions.collect();
    let mut top = Top::default();
    top.see(snapshot(vec![large]));
    let small = screen(&top, 120, 24);
    let shown = small
        .lines()
        .filter(|it| it.starts_with("order_placed"))
        .count();
    let expected = format!("… {} more", 40 - shown);
    assert!(
        shown > 0 && small.contains(&expected),
        "{expected}\n{small}"
    );
    assert!(!screen(&top, 120, 60).contains(" more"));
}

#[test]
fn services_that_have_no_room_beside_each_other_are_below_each_other() {
    let mut seen = snapshot(vec![group("a", 1)]);
    let one = seen.services[0].instances[0].clone();
    seen.services[0].instances = (1..=8)
        .map(|number| ServiceInstance {
            instance: format!("payment-service-{number}"),
            ..one.clone()
        })
        .collect();
    let mut top = Top::default();
    top.see(seen);
    let wide = screen(&top, 80, 24);
    for number in 1..=8 {
        let expected = format!("payment-service-{number} crashed");
        assert!(wide.contains(&expected), "{expected} is not in\n{wide}");
    }
    let narrow = screen(&top, 40, 12);
    assert!(narrow.contains("… more than there is room for"), "{narrow}");
}

#[test]
fn groups_that_have_no_room_are_counted() {
    let groups = |count| (0..count).map(|n| group(&format!("g{n:02}"), n)).collect();
    let mut top = Top::default();
    top.see(snapshot(groups(40)));
    top.press(KeyCode::Down);
    let screen_of_forty = screen(&top, 120, 24);
    assert!(
        screen_of_forty.contains(" 2 of 40 groups "),
        "{screen_of_forty}"
    );
    top.see(snapshot(groups(5)));
    assert!(!screen(&top, 120, 24).contains(" groups "));
}
