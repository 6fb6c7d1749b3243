//! A payment: one document an order, captured at most once and given back at most once.
//!
//! ```text
//! (none) ──▶ COMPLETED ──▶ REFUNDED      the order was rejected, or cancelled in time
//!        ├─▶ DECLINED                    the total is above the limit
//!        └─▶ CANCELLED                   the order was cancelled before its payment was captured
//! ```

use contracts::{
    CustomerId, InventoryUpdated, Item, Money, OrderId, OrderPlaced, PaymentProcessed,
    PaymentStatus, ShippingAddress, Timestamp, total_of,
};
use serde::{Deserialize, Serialize};
use service_kit::store::Document;

/// The database of this service.
pub const DATABASE: &str = "payment_db";

/// Which payments are declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclineRule {
    /// Orders that cost more than this.
    pub above: Money,
}

/// What was paid for an order. Its id is the order's, so that an order cannot be charged twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Which order.
    pub order_id: OrderId,
    /// Who pays.
    pub customer_id: CustomerId,
    /// How much.
    pub amount: Money,
    /// What became of it.
    pub status: PaymentStatus,
    /// Why it was declined, given back or not captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was captured, declined or called off.
    pub timestamp: Timestamp,
    /// When it was given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded_at: Option<Timestamp>,
}

impl Payment {
    /// The payment of an order, captured or declined now.
    pub fn decide(order: &OrderPlaced, rule: DeclineRule, now: Timestamp) -> Self {
        let declined = order.total_amount > rule.above;
        Self {
            order_id: order.order_id,
            customer_id: order.customer_id.clone(),
            amount: order.total_amount,
            status: if declined {
                PaymentStatus::Declined
            } else {
                PaymentStatus::Completed
            },
            reason: declined.then(|| {
                format!(
                    "the total, {}, is above the limit of {}",
                    order.total_amount, rule.above
                )
            }),
            timestamp: now,
            refunded_at: None,
        }
    }

    /// In the place of a payment, for an order that was cancelled before it was paid: nothing can be captured any more.
    pub fn call_off(cancelled: &InventoryUpdated, now: Timestamp) -> Self {
        Self {
            order_id: cancelled.order_id,
            customer_id: cancelled.customer_id.clone(),
            amount: total_of(&cancelled.items).unwrap_or(Money::ZERO),
            status: PaymentStatus::Cancelled,
            reason: cancelled.reason.clone(),
            timestamp: now,
            refunded_at: None,
        }
    }

    /// Gives back what was captured; false if there is nothing to give back, or it was given back before.
    pub fn refund(&mut self, reason: Option<&str>, now: Timestamp) -> bool {
        if self.status != PaymentStatus::Completed {
            return false;
        }
        self.status = PaymentStatus::Refunded;
        self.reason = reason.map(str::to_owned);
        self.refunded_at = Some(now);
        true
    }

    /// The event that tells of the decision, the same however far the payment has come since; none where the order was cancelled
    /// before it, of which whoever called the payment off tells.
    pub fn decision(&self, items: Vec<Item>, address: ShippingAddress) -> Option<PaymentProcessed> {
        let (status, reason) = match self.status {
            PaymentStatus::Refunded => (PaymentStatus::Completed, None),
            PaymentStatus::Cancelled => return None,
            status => (status, self.reason.clone()),
        };
        Some(self.event(status, reason, self.timestamp, items, address))
    }

    /// The event that tells of what the payment has come to.
    pub fn outcome(&self, items: Vec<Item>, address: ShippingAddress) -> PaymentProcessed {
        let at = self.refunded_at.unwrap_or(self.timestamp);
        self.event(self.status, self.reason.clone(), at, items, address)
    }

    fn event(
        &self,
        status: PaymentStatus,
        reason: Option<String>,
        timestamp: Timestamp,
        items: Vec<Item>,
        shipping_address: ShippingAddress,
    ) -> PaymentProcessed {
        PaymentProcessed {
            order_id: self.order_id,
            customer_id: self.customer_id.clone(),
            amount: self.amount,
            status,
            reason,
            items,
            shipping_address,
            timestamp,
        }
    }
}

impl Document for Payment {
    type Id = OrderId;
    const COLLECTION: &'static str = "payments";

    fn id(&self) -> OrderId {
        self.order_id
    }
}

#[cfg(test)]
mod tests {
    use contracts::OrderStatus;

    use super::*;

    fn placed(total: &str) -> OrderPlaced {
        OrderPlaced {
            order_id: OrderId::new(Timestamp::from_millis(1), [7; 10]),
            customer_id: "C001".parse().unwrap(),
            items: Vec::new(),
            shipping_address: "1 Main Street".parse().unwrap(),
            total_amount: total.parse().unwrap(),
            status: OrderStatus::Pending,
            timestamp: Timestamp::from_millis(1),
        }
    }

    fn decide(total: &str) -> Payment {
        let rule = DeclineRule {
            above: "100".parse().unwrap(),
        };
        Payment::decide(&placed(total), rule, Timestamp::from_millis(2))
    }

    fn decision(payment: &Payment) -> PaymentProcessed {
        let address = "1 Main Street".parse().unwrap();
        payment.decision(Vec::new(), address).unwrap()
    }

    #[test]
    fn totals_above_the_limit_are_declined_and_say_why() {
        assert_eq!(decide("100.00").status, PaymentStatus::Completed);
        let declined = decide("100.01");
        assert_eq!(declined.status, PaymentStatus::Declined);
        let reason = declined.reason.unwrap();
        assert!(
            reason.contains("100.01") && reason.contains("100.00"),
            "{reason}"
        );
    }

    #[test]
    fn a_payment_is_given_back_once_and_only_if_it_was_captured() {
        let mut payment = decide("10");
        assert!(payment.refund(Some("none left"), Timestamp::from_millis(3)));
        let refunded = payment.clone();
        assert!(!payment.refund(Some("again"), Timestamp::from_millis(4)));
        assert_eq!(payment, refunded);
        let mut declined = decide("1000");
        assert!(!declined.refund(None, Timestamp::from_millis(3)));
        assert_eq!(declined.status, PaymentStatus::Declined);
    }

    #[test]
    fn the_event_of_the_decision_is_the_same_after_a_refund() {
        let mut payment = decide("10");
        let before = decision(&payment);
        payment.refund(Some("none left"), Timestamp::from_millis(3));
        assert_eq!(decision(&payment), before);
        let outcome = payment.outcome(Vec::new(), "1 Main Street".parse().unwrap());
        assert_eq!(
            (outcome.status, outcome.timestamp),
            (PaymentStatus::Refunded, Timestamp::from_millis(3))
        );
    }
}
