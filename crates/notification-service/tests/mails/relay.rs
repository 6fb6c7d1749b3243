//! What becomes of a mail when the relay takes it, puts it off, refuses it, or is not there.

use std::time::Duration;

use contracts::{PaymentStatus, ShipmentStatus};
use futures_util::future::{Either, select};
use notification_service::letter::Letter;
use notification_service::mail::{Attempt, Kind, Mail, State};
use notification_service::smtp::{Patience, Relay};
use service_kit::reaction::ReactionError;
use service_kit::store::EmbeddedStore;
use tokio::net::TcpListener;

use crate::desk::{Desk, about, noon, order, payment, shipment, within};
use crate::smtp::{At, Does, Stub};

/// The reason of an error that says that the relay is away.
fn away(outcome: Result<(), ReactionError>) -> String {
    match outcome {
        Err(error @ ReactionError::Away { .. }) => {
            assert!(error.is_unavailable());
            error.to_string()
        }
        other => panic!("not away: {other:?}"),
    }
}

async fn ship_one(desk: &Desk) -> Result<(), ReactionError> {
    desk.shipments(&[shipment(0, ShipmentStatus::Shipped)])
        .await
}

/// The same, which comes to a fault. Where the relay then says nothing, time is made to pass.
async fn ship_one_into_a_fault(desk: &Desk, stub: &Stub) -> Result<(), ReactionError> {
    let attempt = std::pin::pin!(ship_one(desk));
    let outcome = match select(attempt, std::pin::pin!(stub.until_hanging())).await {
        Either::Left((outcome, _)) => return outcome,
        Either::Right(((), attempt)) => {
            // What everybody waits for now is a time: it comes at once.
            tokio::time::pause();
            attempt.await
        }
    };
    tokio::time::resume();
    outcome
}

#[tokio::test]
async fn a_mail_that_is_taken_over_is_sent_once_however_often_its_event_comes() {
    let stub = Stub::start().await;
    let desk = Desk::new(Some(&stub));
    let twice = [
        payment(0, PaymentStatus::Refunded),
        payment(0, PaymentStatus::Refunded),
    ];
    desk.payments(&twice).await.unwrap();
    desk.clock.advance(5);
    desk.payments(&twice).await.unwrap();
    Desk::on(desk.faults.clone(), Some(&stub))
        .payments(&twice)
        .await
        .unwrap();

    let mail = desk.mail().await;
    assert_eq!((mail.state, mail.attempts), (State::Sent, 1));
    assert_eq!(mail.sent_at, Some(noon()));
    let received = stub.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].from, "<orders@orderflow.example>");
    assert_eq!(received[0].to, ["CUST-42@customers.example"]);
    assert_eq!(received[0].message, Letter::of(&mail).unwrap().message());
    let id = format!("Message-ID: <{}.refunded@orderflow.example>", order(0));
    assert_eq!(received[0].message_id(), id);
}

#[tokio::test]
async fn lines_that_mean_something_to_smtp_are_text() {
    let stub = Stub::start().await;
    let desk = Desk::new(Some(&stub));
    let mut shipped = shipment(0, ShipmentStatus::Shipped);
    shipped.shipping_address = "..\r\n.\r\nQUIT\r\nMAIL FROM:<x@evil.example>"
        .parse()
        .unwrap();
    shipped.customer_id = "größe".parse().unwrap();
    desk.shipments(&[shipped]).await.unwrap();
    let received = stub.received();
    assert_eq!((received.len(), stub.conversations()), (1, 1));
    let mail = desk.mail().await;
    assert_eq!(received[0].message, Letter::of(&mail).unwrap().message());
}

#[tokio::test]
async fn an_order_has_a_mail_of_each_kind_and_what_is_no_end_has_none() {
    let stub = Stub::start().await;
    let desk = Desk::new(Some(&stub));
    let payments = PaymentStatus::ALL.iter().zip(0..);
    let payments: Vec<_> = payments.map(|(status, n)| payment(n, *status)).collect();
    desk.payments(&payments).await.unwrap();
    let shipments = ShipmentStatus::ALL.iter().zip(10..);
    let shipments: Vec<_> = shipments.map(|(status, n)| shipment(n, *status)).collect();
    desk.shipments(&shipments).await.unwrap();
    let mails: Vec<_> = desk.mails().await.iter().map(about).collect();
    let expected = [
        (order(1), Kind::Declined),
        (order(2), Kind::Refunded),
        (order(3), Kind::Cancelled),
        (order(11), Kind::Shipped),
    ];
    assert_eq!(mails, expected);
    assert_eq!(stub.received().len(), 4);
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_waited_for_and_nothing_is_noted_of_its_mails() {
    let stub = Stub::start().await;
    let desk = Desk::new(Some(&stub));
    let address = stub.address();
    drop(stub);
    let reason = within("refusing", async {
        loop {
            // Until the listener has gone, which its task sees to.
            let reason = away(ship_one(&desk).await);
            if reason.contains("refused") {
                return reason;
            }
        }
    })
    .await;
    assert!(
        reason.contains("the SMTP relay is away: smtp://127.0.0.1:"),
        "{reason}"
    );
    let waiting = desk.mail().await;
    assert_eq!((waiting.state, waiting.sent_at), (State::Queued, None));
    let stub = Stub::on(address).await;
    ship_one(&desk).await.unwrap();
    assert_eq!(desk.mail().await.state, State::Sent);
    assert_eq!(stub.received().len(), 1);
}

#[tokio::test]
async fn whatever_passes_is_tried_again_with_the_same_message() {
    let greeting = [At::Greeting, At::Ehlo];
    let commands = [At::Mail, At::Rcpt, At::Data, At::End];
    let all = || greeting.into_iter().chain(commands);
    let mut faults: Vec<(At, Does)> = Vec::new();
    faults.extend(all().map(|at| (at, Does::Says("451 4.3.0 later"))));
    faults.extend(all().map(|at| (at, Does::Says("421 4.3.2 going down"))));
    faults.extend(all().map(|at| (at, Does::Hangs)));
    faults.extend(all().map(|at| (at, Does::Closes)));
    faults.extend(all().map(|at| (at, Does::Says("what is this?"))));
    faults.extend(greeting.map(|at| (at, Does::Says("554 5.3.2 not now"))));
    faults.push((At::Mail, Does::Says("530 5.7.0 who are you?")));
    for (at, does) in faults {
        let stub = Stub::start().await;
        let desk = Desk::new(Some(&stub));
        stub.once(at, does);
        let reason = away(ship_one_into_a_fault(&desk, &stub).await);
        let waiting = desk.mail().await;
        let before = Letter::of(&waiting).unwrap();
        assert_eq!(waiting.state, State::Queued, "{at:?} {does:?}");
        // What did not get as far as the mail is not of the mail.
        let tried = u32::from(!greeting.contains(&at));
        assert_eq!(waiting.attempts, tried, "{at:?} {does:?}");
        assert_eq!(waiting.error.is_some(), tried == 1, "{at:?} {does:?}");
        if let Does::Says(words) = does {
            let said = reason.contains(words) || words.starts_with("what");
            assert!(said, "{at:?}: {reason}");
        }
        ship_one(&desk).await.unwrap();
        let sent = desk.mail().await;
        assert_eq!(
            (sent.state, sent.attempts, &sent.error),
            (State::Sent, tried + 1, &None)
        );
        let received = stub.received();
        assert_eq!(received.len(), 1, "{at:?} {does:?}");
        assert_eq!(received[0].message, before.message());
    }
}

#[tokio::test]
async fn a_mail_whose_acknowledgement_is_lost_goes_out_twice_and_is_recognised() {
    for does in [Does::TakesAndCloses, Does::TakesAndHangs] {
        let stub = Stub::start().await;
        let desk = Desk::new(Some(&stub));
        stub.once(At::End, does);
        away(ship_one_into_a_fault(&desk, &stub).await);
        ship_one(&desk).await.unwrap();
        ship_one(&desk).await.unwrap();
        let received = stub.received();
        assert_eq!(received.len(), 2, "{does:?}");
        assert_eq!(received[0], received[1]);
        assert_eq!(desk.mail().await.state, State::Sent);
    }
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_has_failed_and_the_others_go_on() {
    for at in [At::Mail, At::Rcpt, At::Data, At::End] {
        let stub = Stub::start().await;
        let desk = Desk::new(Some(&stub));
        stub.once(
            at,
            Does::Says("550-5.1.1 there is\r\n550 5.1.1 nobody here"),
        );
        desk.ship(3).await;
        desk.ship(3).await;
        let mails = desk.mails().await;
        let states: Vec<State> = mails.iter().map(|mail| mail.state).collect();
        assert_eq!(states, [State::Failed, State::Sent, State::Sent], "{at:?}");
        let failed = &mails[0];
        assert_eq!((failed.attempts, failed.sent_at), (1, None));
        let words = failed.error.as_deref().unwrap();
        assert!(words.starts_with("550 5.1.1 there is"), "{words}");
        assert!(
            words.contains("nobody here") && !words.contains('\n'),
            "{words}"
        );
        assert_eq!(
            (stub.received().len(), stub.conversations()),
            (2, 1),
            "{at:?}"
        );
    }
}

#[tokio::test]
async fn mails_that_are_put_off_hold_up_no_other() {
    let stub = Stub::start().await;
    let desk = Desk::new(Some(&stub));
    // More than after which a relay is taken to be busy.
    let mut events = Vec::new();
    for number in 0..8 {
        let mut event = shipment(number, ShipmentStatus::Shipped);
        event.customer_id = format!("C{}", number.min(4)).parse().unwrap();
        events.push(event);
    }
    for number in 0..4 {
        let to = format!("C{number}@customers.example");
        stub.always_for(&to, At::Rcpt, Does::Says("450 4.2.1 mailbox busy"));
    }
    away(desk.shipments(&events).await);
    assert!(stub.received().is_empty());
    let reason = away(desk.shipments(&events).await);
    assert!(reason.contains("450 4.2.1 mailbox busy"), "{reason}");
    assert_eq!(stub.received().len(), 4);
    stub.mend();
    desk.shipments(&events).await.unwrap();
    assert_eq!(stub.received().len(), 8);
    assert!(
        desk.mails()
            .await
            .iter()
            .all(|mail| mail.state == State::Sent)
    );
}

#[tokio::test]
async fn a_relay_that_does_not_say_farewell_has_its_mails_noted_all_the_same() {
    for does in [Does::Hangs, Does::Closes, Does::Says("500 what?")] {
        let stub = Stub::start().await;
        let desk = Desk::new(Some(&stub));
        stub.once(At::Quit, does);
        ship_one(&desk).await.unwrap();
        assert_eq!(desk.mail().await.state, State::Sent);
    }
}

#[tokio::test]
async fn a_large_batch_goes_out_on_a_few_connections() {
    let stub = Stub::start().await;
    let desk = Desk::new(Some(&stub));
    desk.ship(500).await;
    assert_eq!((stub.received().len(), stub.conversations()), (500, 10));
    assert!(
        desk.mails()
            .await
            .iter()
            .all(|mail| mail.state == State::Sent)
    );
}

#[tokio::test]
async fn a_relay_that_takes_too_long_over_its_mails_gets_one_a_connection() {
    let stub = Stub::start().await;
    let hasty = Patience {
        conversation: Duration::ZERO,
        ..Patience::default()
    };
    let desk = Desk::with(EmbeddedStore::new(), Some(Relay::new(stub.url(), hasty)));
    desk.ship(3).await;
    assert_eq!((stub.received().len(), stub.conversations()), (3, 3));
}

#[tokio::test]
async fn a_mail_that_was_changed_by_hand_so_that_it_is_none_has_failed() {
    let stub = Stub::start().await;
    let desk = Desk::new(None);
    ship_one(&desk).await.unwrap();
    let broken = Mail {
        state: State::Queued,
        to: "nobody".to_owned(),
        ..desk.mail().await
    };
    let desk = Desk::new(Some(&stub));
    desk.insert(broken).await;
    ship_one(&desk).await.unwrap();
    let failed = desk.mail().await;
    assert_eq!(failed.state, State::Failed);
    assert!(failed.error.unwrap().contains("address"));
    assert!(stub.received().is_empty());
}

#[tokio::test]
async fn without_a_relay_mails_are_kept_and_are_not_sent_later() {
    let desk = Desk::new(None);
    ship_one(&desk).await.unwrap();
    ship_one(&desk).await.unwrap();
    let kept = desk.mail().await;
    assert_eq!((kept.state, kept.attempts), (State::Kept, 0));
    let stub = Stub::start().await;
    let later = Desk::on(desk.faults.clone(), Some(&stub));
    ship_one(&later).await.unwrap();
    assert_eq!(later.mail().await, kept);
    assert!(stub.received().is_empty());
}

#[tokio::test]
async fn what_waited_for_a_relay_that_nobody_names_any_more_is_kept() {
    let stub = Stub::start().await;
    let desk = Desk::new(Some(&stub));
    stub.once(At::Greeting, Does::Says("421 4.3.2 going down"));
    away(ship_one(&desk).await);
    let without = Desk::on(desk.faults.clone(), None);
    ship_one(&without).await.unwrap();
    assert_eq!(without.mail().await.state, State::Kept);
}

/// As long as that passes without anybody waiting for it.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn whether_the_relay_answers_is_asked_every_ten_seconds_at_most() {
    let stub = Stub::start().await;
    let relay = Relay::new(stub.url(), Patience::default());
    for _ in 0..5 {
        relay.answers().await.unwrap();
    }
    assert_eq!(stub.conversations(), 1);
    later(10).await;
    stub.once(At::Greeting, Does::Says("554 5.3.2 not now"));
    for _ in 0..5 {
        let error = relay.answers().await.unwrap_err().to_string();
        assert!(error.contains("554 5.3.2 not now"), "{error}");
    }
    assert_eq!(stub.conversations(), 2);
    later(10).await;
    relay.answers().await.unwrap();
}

#[tokio::test]
async fn a_mail_that_is_taken_over_shows_that_the_relay_answers() {
    let stub = Stub::start().await;
    let relay = Relay::new(stub.url(), Patience::default());
    stub.once(At::Greeting, Does::Says("554 5.3.2 not now"));
    assert!(relay.answers().await.is_err());
    let desk = Desk::new(Some(&stub));
    ship_one(&desk).await.unwrap();
    let mail = desk.mail().await;
    let (told, mut heard) = tokio::sync::mpsc::channel(1);
    let letters = vec![(mail.mail_id, Letter::of(&mail).unwrap())];
    relay.hand_over(letters, told).await.unwrap();
    assert_eq!(heard.recv().await.unwrap().1, Attempt::Accepted);
    let conversations = stub.conversations();
    relay.answers().await.unwrap();
    assert_eq!(stub.conversations(), conversations);
}

#[tokio::test]
async fn a_relay_that_says_nothing_is_not_greeted_again_for_those_who_gave_up() {
    // It takes connections.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", silent.local_addr().unwrap());
    let relay = Relay::new(url.parse().unwrap(), Patience::default());
    // A check of the health has half a second.
    let _connection = {
        let impatient = std::pin::pin!(relay.answers());
        match select(impatient, std::pin::pin!(silent.accept())).await {
            Either::Right((accepted, _)) => accepted.unwrap(),
            Either::Left(_) => panic!("it said nothing"),
        }
    };
    tokio::time::pause();
    let error = relay.answers().await.unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
    assert_eq!(relay.answers().await, Err(error));
    tokio::time::resume();
    let another = select(Box::pin(silent.accept()), std::future::ready(())).await;
    assert!(matches!(another, Either::Right(_)), "greeted once more");
}
