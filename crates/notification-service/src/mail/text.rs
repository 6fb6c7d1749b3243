//! What a mail says, in lines that are short enough to travel as they are. Everything that comes from an event is put on lines of its own or into one, never into what structures a mail.

use std::fmt::Write as _;

use contracts::{Item, Money, PaymentProcessed, ShipmentProcessed, Timestamp, total_of};

use super::{Kind, MailId};

/// Lines of an order that a mail lists.
const MOST_ITEMS: usize = 100;
/// Characters of a reason that a mail repeats.
const LONGEST_REASON: usize = 500;
/// Characters of a line of an address: all of it may be on one.
const LONGEST_LINE: usize = 500;

const CLOSING: &str = "\nA program has written this mail, and nobody reads answers to it.\n";

/// The subject of a mail.
pub(super) fn subject(mail: MailId) -> String {
    let order = mail.order_id;
    match mail.kind {
        Kind::Cancelled => format!("Your order {order} is cancelled"),
        Kind::Declined => format!("The payment of your order {order} was declined"),
        Kind::Refunded => format!("Your order {order} is refunded"),
        Kind::Shipped => format!("Your order {order} is on its way"),
    }
}

/// The text for an order that ended with its payment.
pub(super) fn of_payment(kind: Kind, payment: &PaymentProcessed) -> String {
    let (order, amount) = (payment.order_id, payment.amount);
    let on = day(payment.timestamp);
    let told = match kind {
        Kind::Declined => format!(
            "the payment of {amount} for your order\n{order}\nwas declined on {on}.\n\
             Nothing was charged, and nothing will be sent.\n"
        ),
        Kind::Refunded => format!(
            "on {on} we gave back the {amount} that you paid for your order\n{order}.\n\
             Nothing will be sent.\n"
        ),
        Kind::Cancelled | Kind::Shipped => format!(
            "your order\n{order}\nwas cancelled on {on}.\n\
             Nothing was charged, and nothing will be sent.\n"
        ),
    };
    let mut text = greeting(payment.customer_id.as_str());
    text.push_str(&told);
    if let Some(reason) = payment
        .reason
        .as_deref()
        .map(|r| one_line(r, LONGEST_REASON))
        && !reason.is_empty()
    {
        let _ = writeln!(text, "\nThe reason: {reason}");
    }
    text.push_str("\nThe order was:\n\n");
    list(&mut text, &payment.items, Some(payment.amount));
    text + CLOSING
}

/// The text for an order that is on its way.
pub(super) fn of_shipment(shipment: &ShipmentProcessed) -> String {
    let mut text = greeting(shipment.customer_id.as_str());
    let _ = writeln!(
        text,
        "your order\n{}\nis on its way since {}:\n",
        shipment.order_id,
        day(shipment.timestamp)
    );
    list(&mut text, &shipment.items, total_of(&shipment.items));
    text.push_str("\nIt goes to:\n\n");
    for line in shipment.shipping_address.as_str().lines() {
        let line = one_line(line, LONGEST_LINE);
        if !line.is_empty() {
            let _ = writeln!(text, "  {line}");
        }
    }
    let _ = writeln!(
        text,
        "\nFollow it as {}. It should arrive on {}.",
        shipment.tracking_number,
        day(shipment.estimated_delivery)
    );
    text + CLOSING
}

/// A text as one line of at most so many characters: what breaks lines or is not printed becomes a space, and what is left out an ellipsis.
pub fn one_line(text: &str, longest: usize) -> String {
    let breaks = |c: char| c.is_control() || ['\u{2028}', '\u{2029}'].contains(&c);
    let text = text.trim();
    let mut line: String = text
        .chars()
        .take(longest)
        .map(|c| if breaks(c) { ' ' } else { c })
        .collect();
    if line.len() < text.len() && text.chars().nth(longest).is_some() {
        line.push('…');
    }
    line
}

fn greeting(customer: &str) -> String {
    format!("Hello {},\n\n", one_line(customer, LONGEST_LINE))
}

fn list(text: &mut String, items: &[Item], total: Option<Money>) {
    for item in items.iter().take(MOST_ITEMS) {
        let Item {
            product_id,
            quantity,
            price,
        } = item;
        let _ = writeln!(text, "  {quantity} x {product_id} at {price}");
    }
    if let Some(more) = items.len().checked_sub(MOST_ITEMS).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more");
    }
    if let Some(total) = total {
        let _ = writeln!(text, "  in all {total}");
    }
}

/// The day, in UTC: `2026-11-26`.
fn day(time: Timestamp) -> String {
    let text = time.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}
