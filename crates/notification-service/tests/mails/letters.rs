//! What a mail says, and what it cannot be made to say.

use std::fs;
use std::path::Path;

use contracts::{CustomerId, PaymentStatus, ShipmentStatus, ShippingAddress, Timestamp};
use notification_service::letter::Letter;
use notification_service::mail::{Kind, Letterhead, Mail};
use proptest::prelude::*;

use crate::desk::{noon, payment, shipment};

/// Compares a mail with the file in `golden/`, in which a line ends with a line feed alone. A text that is to change is written there with UPDATE_GOLDEN=1.
fn is_as_written_down(kind: Kind, mail: &Mail) {
    let letter = Letter::of(mail).unwrap();
    let message = String::from_utf8(letter.message().to_vec()).unwrap();
    assert_eq!(
        message.matches('\n').count(),
        message.matches("\r\n").count()
    );
    let message = message.replace("\r\n", "\n");
    let file = format!("golden/{}.eml", kind.as_str());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &message).unwrap();
    }
    assert_eq!(message, fs::read_to_string(&path).unwrap(), "{kind:?}");
}

fn of_payment(status: PaymentStatus) -> Option<Mail> {
    Mail::of_payment(&payment(1, status), &Letterhead::default(), noon())
}

fn of_shipment(status: ShipmentStatus) -> Option<Mail> {
    Mail::of_shipment(&shipment(1, status), &Letterhead::default(), noon())
}

#[test]
fn each_end_of_an_order_has_its_mail() {
    for (status, kind) in [
        (PaymentStatus::Declined, Kind::Declined),
        (PaymentStatus::Refunded, Kind::Refunded),
        (PaymentStatus::Cancelled, Kind::Cancelled),
    ] {
        is_as_written_down(kind, &of_payment(status).unwrap());
    }
    is_as_written_down(
        Kind::Shipped,
        &of_shipment(ShipmentStatus::Shipped).unwrap(),
    );
}

#[test]
fn what_is_no_end_of_an_order_has_none() {
    assert_eq!(of_payment(PaymentStatus::Completed), None);
    assert_eq!(of_shipment(ShipmentStatus::Processing), None);
    assert_eq!(of_shipment(ShipmentStatus::Cancelled), None);
}

#[test]
fn a_long_order_and_a_long_reason_are_cut() {
    let mut long = payment(1, PaymentStatus::Refunded);
    long.items = vec![long.items[0].clone(); 103];
    long.reason = Some("é".repeat(2_000_000));
    let mail = Mail::of_payment(&long, &Letterhead::default(), noon()).unwrap();
    assert!(mail.text.contains("  and 3 more\n"), "{}", mail.text);
    assert_eq!(mail.text.matches('é').count(), 500);
    assert!(Letter::of(&mail).unwrap().message().len() < 20_000);
}

/// The headers that a mail may have, and how often: once.
const HEADERS: [&str; 9] = [
    "Auto-Submitted",
    "Content-Transfer-Encoding",
    "Content-Type",
    "Date",
    "From",
    "MIME-Version",
    "Message-ID",
    "Subject",
    "To",
];

/// The names of the headers, sorted; panics where a line is neither a header nor a header's continuation.
fn header_names(message: &str) -> Vec<&str> {
    let (headers, _) = message.split_once("\r\n\r\n").unwrap();
    let lines = headers.split("\r\n").filter(|line| !line.starts_with(' '));
    let mut names: Vec<&str> = lines.map(|line| line.split_once(": ").unwrap().0).collect();
    names.sort_unstable();
    names
}

/// What a message must be, whatever its parts came from.
fn is_sound(mail: &Mail) -> Result<(), TestCaseError> {
    let letter = Letter::of(mail).unwrap();
    let message = std::str::from_utf8(letter.message()).unwrap();
    prop_assert!(message.is_ascii());
    let mut names = header_names(message);
    // An encoding is named where one is needed.
    if !names.contains(&"Content-Transfer-Encoding") {
        names.insert(1, "Content-Transfer-Encoding");
    }
    prop_assert_eq!(names, &HEADERS[..], "{}", message);
    for line in message.split("\r\n") {
        prop_assert!(!line.contains(['\r', '\n']), "{line:?}");
        prop_assert!(line.len() <= 998, "RFC 5322 section 2.1.1: {}", line.len());
    }
    let (local, domain) = mail.to.rsplit_once('@').unwrap();
    prop_assert_eq!(domain, "customers.example");
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_=.".contains(c);
    prop_assert!(
        (1..=64).contains(&local.len()) && local.chars().all(legal),
        "{}",
        local
    );
    let to = format!("\r\nTo: {}\r\n", mail.to);
    prop_assert!(message.contains(&to), "{}", message);
    Ok(())
}

/// Texts that somebody might try, and any others.
fn nasty(rule: &'static str) -> impl Strategy<Value = String> {
    let known = [
        "x\r\nBcc: thief@evil.example",
        "x\nSubject: another\n\nanother body",
        "x\r\n.\r\nMAIL FROM:<thief@evil.example>",
        "C1> <thief@evil.example",
        "C1\",thief@evil.example,\"",
        "a@evil.example",
        "=?utf-8?q?=0D=0ABcc:_thief=40evil.example?=",
        "\u{2028}Bcc: thief@evil.example\u{85}",
        "%0d%0aBcc: thief@evil.example",
        ".",
    ];
    prop_oneof![
        proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        rule
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_customer_reason_or_address_adds_a_header_or_a_receiver(
        customer in nasty("\\PC{1,128}"),
        reason in nasty("(?s).{0,300}"),
        address in nasty("(?s).{1,300}"),
        millis in 0..=Timestamp::MAX.millis(),
    ) {
        // What an event cannot hold never comes here: it is no event then.
        let customer: CustomerId = match customer.parse() {
            Ok(customer) => customer,
            Err(_) => "C1".parse().unwrap(),
        };
        let address: ShippingAddress = match address.parse() {
            Ok(address) => address,
            Err(_) => "1 Main Street".parse().unwrap(),
        };
        let (letterhead, now) = (Letterhead::default(), Timestamp::from_millis(millis));
        let mut refunded = payment(1, PaymentStatus::Refunded);
        refunded.customer_id = customer.clone();
        refunded.reason = Some(reason);
        is_sound(&Mail::of_payment(&refunded, &letterhead, now).unwrap())?;
        let mut shipped = shipment(1, ShipmentStatus::Shipped);
        shipped.customer_id = customer;
        shipped.shipping_address = address;
        is_sound(&Mail::of_shipment(&shipped, &letterhead, now).unwrap())?;
    }

    #[test]
    fn two_customers_never_share_an_address(one in "[a-c.=@ é]{1,4}", other in "[a-c.=@ é]{1,4}") {
        let (Ok(one), Ok(other)) = (one.parse::<CustomerId>(), other.parse::<CustomerId>()) else {
            return Ok(());
        };
        let domain = Letterhead::default().domain;
        prop_assert_eq!(one == other, domain.address_of(&one) == domain.address_of(&other));
    }
}
