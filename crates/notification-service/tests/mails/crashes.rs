//! A crash at any point: before and after each write, once the relay has a mail, and before the commit. Whatever was not committed is
//! handled again, by another process on the same store.

use std::collections::BTreeMap;

use contracts::{PaymentProcessed, PaymentStatus, ShipmentProcessed, ShipmentStatus};
use notification_service::letter::Letter;
use notification_service::mail::State;
use service_kit::reaction::ReactionError;
use service_kit::store::EmbeddedStore;

use crate::desk::{Desk, payment, shipment};
use crate::smtp::{Does, Stub};

/// Where the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    BeforeWrite,
    AfterWrite,
    /// The relay has read the mail, and acknowledges nothing.
    BeforeAcceptance,
    /// The relay has taken the mail over, and the process dies before it hears of it.
    AfterAcceptance,
    BeforeCommit,
}

const KINDS: [Crash; 5] = [
    Crash::BeforeWrite,
    Crash::AfterWrite,
    Crash::BeforeAcceptance,
    Crash::AfterAcceptance,
    Crash::BeforeCommit,
];

/// What is handed in together.
enum Batch {
    Payments(Vec<PaymentProcessed>),
    Shipments(Vec<ShipmentProcessed>),
}

impl Batch {
    async fn handle(&self, desk: &Desk) -> Result<(), ReactionError> {
        match self {
            Self::Payments(events) => desk.payments(events).await,
            Self::Shipments(events) => desk.shipments(events).await,
        }
    }
}

/// Each end of an order, one that is none, and an event that is there twice.
fn batches() -> [Batch; 4] {
    let shipped = |number| shipment(number, ShipmentStatus::Shipped);
    [
        Batch::Payments(vec![
            payment(0, PaymentStatus::Declined),
            payment(1, PaymentStatus::Refunded),
            payment(1, PaymentStatus::Refunded),
        ]),
        Batch::Shipments(vec![shipped(10), shipped(11)]),
        Batch::Payments(vec![
            payment(2, PaymentStatus::Completed),
            payment(3, PaymentStatus::Cancelled),
        ]),
        Batch::Shipments(vec![shipped(12)]),
    ]
}

/// How many mails these call for.
const MAILS: usize = 6;

/// A process that dies once, the `nth` time that it comes to such a point, and is started again.
struct Run {
    store: EmbeddedStore,
    stub: Stub,
    crash: Crash,
    nth: usize,
    handled: usize,
    crashed: bool,
}

impl Run {
    async fn start(crash: Crash, nth: usize) -> Self {
        let (store, stub) = (EmbeddedStore::new(), Stub::start().await);
        match crash {
            Crash::BeforeWrite => store.fail_write(nth as u64, false),
            Crash::AfterWrite => store.fail_write(nth as u64, true),
            Crash::BeforeAcceptance => stub.at_mail(nth, Does::Hangs),
            Crash::AfterAcceptance => stub.at_mail(nth, Does::TakesAndHangs),
            Crash::BeforeCommit => {}
        }
        Self {
            store,
            stub,
            crash,
            nth,
            handled: 0,
            crashed: false,
        }
    }

    /// Handles a batch, by one process after the other, until it is committed.
    async fn commit(&mut self, batch: &Batch) {
        while !self.handle(batch).await {
            assert!(!self.crashed, "a second time, and nobody has asked for it");
            self.crashed = true;
        }
    }

    /// One process; whether it lives to commit the batch.
    async fn handle(&mut self, batch: &Batch) -> bool {
        let desk = Desk::on(self.store.clone(), Some(&self.stub));
        tokio::select! {
            outcome = batch.handle(&desk) => match outcome {
                Ok(()) => {
                    self.handled += 1;
                    self.crash != Crash::BeforeCommit || self.handled != self.nth
                }
                Err(error) => {
                    assert!(error.is_unavailable(), "{error}");
                    false
                }
            },
            // What it was doing is dropped where it stands, its connections with it.
            () = self.stub.until_hanging(), if !self.crashed => false,
        }
    }

    /// Each order has one mail, it was sent, and where it was sent twice a receiver can tell; returns how many mails came twice.
    async fn check(&self) -> usize {
        let desk = Desk::on(self.store.clone(), Some(&self.stub));
        let mails = desk.mails().await;
        assert_eq!(mails.len(), MAILS);
        let received = self.stub.received();
        let mut copies: BTreeMap<String, usize> = BTreeMap::new();
        for one in &received {
            *copies.entry(one.message_id()).or_default() += 1;
        }
        assert_eq!(copies.len(), MAILS, "{copies:?}");
        for mail in &mails {
            assert_eq!((mail.state, &mail.error), (State::Sent, &None), "{mail:?}");
            let id = format!("Message-ID: <{}>", mail.message_id);
            let same: Vec<_> = received
                .iter()
                .filter(|one| one.message_id() == id)
                .collect();
            let letter = Letter::of(mail).unwrap();
            assert!(same.iter().all(|one| one.message == letter.message()));
        }
        received.len() - MAILS
    }
}

#[tokio::test]
async fn a_crash_at_any_point_loses_no_mail_and_doubles_only_one_that_cannot_be_known_to_be_out() {
    for crash in KINDS {
        let (mut nth, mut doubled) = (0, 0);
        loop {
            nth += 1;
            let mut run = Run::start(crash, nth).await;
            for batch in &batches() {
                run.commit(batch).await;
            }
            doubled += run.check().await;
            if !run.crashed {
                break;
            }
        }
        // A crash that never comes would test nothing.
        assert!(nth > batches().len(), "{crash:?}: only {nth}");
        let may_double = match crash {
            // Before a write: the note of what went out, or of a part of it, was one of them.
            Crash::BeforeWrite | Crash::AfterWrite | Crash::AfterAcceptance => true,
            Crash::BeforeAcceptance | Crash::BeforeCommit => false,
        };
        assert_eq!(doubled > 0, may_double, "{crash:?}: {doubled}");
    }
}

#[tokio::test]
async fn what_the_relay_has_taken_over_while_the_store_is_away_is_not_sent_again() {
    for applied in [false, true] {
        let (store, stub) = (EmbeddedStore::new(), Stub::start().await);
        let desk = Desk::on(store.clone(), Some(&stub));
        // Of 40 mails, the note of one of the first: the store fails behind their 40 inserts.
        store.fail_write(42, applied);
        desk.ship(40).await;
        assert!(!store.has_fault());
        assert_eq!(stub.received().len(), 40, "applied: {applied}");
        let mails = desk.mails().await;
        assert!(mails.iter().all(|mail| mail.state == State::Sent));
    }
}

#[tokio::test]
async fn a_crash_under_a_large_batch_doubles_no_more_than_waits_to_be_noted() {
    const ORDERS: u16 = 400;
    let (store, stub) = (EmbeddedStore::new(), Stub::start().await);
    stub.at_mail(200, Does::TakesAndHangs);
    let desk = Desk::on(store.clone(), Some(&stub));
    tokio::select! {
        () = desk.ship(ORDERS) => panic!("one mail has no answer"),
        () = stub.until_hanging() => {}
    }
    Desk::on(store, Some(&stub)).ship(ORDERS).await;
    let doubled = stub.received().len() - usize::from(ORDERS);
    // 32 that wait, as many that are being noted, and one a connection that is just taken over.
    assert!((1..=72).contains(&doubled), "{doubled}");
}
