//! How far an order, its payment, its stock and its shipment are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The text is none of the statuses there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {known}")]
pub struct UnknownStatus {
    known: &'static str,
}

macro_rules! status {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownStatus;

            fn from_str(text: &str) -> Result<Self, UnknownStatus> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownStatus { known: concat!($($text, " "),+).trim_ascii_end() }),
                }
            }
        }
    };
}

status! {
    /// How far an order is.
    OrderStatus {
        /// Accepted; nothing else has happened.
        Pending = "PENDING",
        /// Its payment was captured.
        Paid = "PAID",
        /// All of its items were taken from the stock.
        Reserved = "RESERVED",
        /// It is on its way.
        Shipped = "SHIPPED",
        /// Its payment was declined.
        Declined = "DECLINED",
        /// Its items could not all be had.
        Rejected = "REJECTED",
        /// What was paid was given back.
        Refunded = "REFUNDED",
        /// The customer took it back.
        Cancelled = "CANCELLED",
    }
}

status! {
    /// What became of a payment.
    PaymentStatus {
        /// Captured.
        Completed = "COMPLETED",
        /// Not captured; the order ends.
        Declined = "DECLINED",
        /// Captured, then given back.
        Refunded = "REFUNDED",
        /// Never captured: the order was cancelled first.
        Cancelled = "CANCELLED",
    }
}

status! {
    /// Whether an order's items could be taken from the stock.
    InventoryStatus {
        /// All of them were taken.
        Updated = "UPDATED",
        /// None was: one of them is unknown or too few are left.
        Rejected = "REJECTED",
        /// The order was cancelled: what had been taken of it is back, and nothing will be taken.
        Released = "RELEASED",
    }
}

status! {
    /// How far a shipment is.
    ShipmentStatus {
        /// Being packed.
        Processing = "PROCESSING",
        /// On its way.
        Shipped = "SHIPPED",
        /// Stopped before it was on its way: the order was cancelled.
        Cancelled = "CANCELLED",
    }
}

#[cfg(test)]
mod tests {
    use super::{OrderStatus, PaymentStatus};

    #[test]
    fn text_and_json_agree() {
        for status in OrderStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
            assert_eq!(
                serde_json::to_string(status).unwrap(),
                format!("\"{status}\"")
            );
        }
        let refused = "completed".parse::<PaymentStatus>().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "must be one of COMPLETED DECLINED REFUNDED CANCELLED"
        );
    }
}
