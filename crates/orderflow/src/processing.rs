//! The work that the services pretend to do, as a setting.

use std::str::FromStr;
use std::time::Duration;

use crate::cli::Role;

/// Simulated work an order. order-service and notification-service, which only follow what the others do, have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessingTime {
    /// In payment-service.
    pub payment: Duration,
    /// In inventory-service.
    pub inventory: Duration,
    /// In shipment-service.
    pub shipment: Duration,
}

impl ProcessingTime {
    /// The same everywhere.
    pub fn each(time: Duration) -> Self {
        Self {
            payment: time,
            inventory: time,
            shipment: time,
        }
    }

    /// That of one service.
    pub fn of(self, role: Role) -> Duration {
        match role {
            Role::Order | Role::Notification => Duration::ZERO,
            Role::Payment => self.payment,
            Role::Inventory => self.inventory,
            Role::Shipment => self.shipment,
        }
    }
}

/// `200` for 200 ms in each service, or `payment:2000,inventory:1000,shipment:5000`, where one that is left out has none.
impl FromStr for ProcessingTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = milliseconds(text) {
            return Ok(Self::each(time));
        }
        let mut times = Self::default();
        for part in text.split(',') {
            let (service, time) = part.trim().split_once(':').ok_or_else(|| {
                format!("{part:?} is neither milliseconds nor service:milliseconds")
            })?;
            let time = milliseconds(time)?;
            match service {
                "payment" => times.payment = time,
                "inventory" => times.inventory = time,
                "shipment" => times.shipment = time,
                other => {
                    return Err(format!("{other:?} is none of payment, inventory, shipment"));
                }
            }
        }
        Ok(times)
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(time) => Ok(Duration::from_millis(time)),
        Err(error) => Err(format!("{text:?} is no number of milliseconds: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_for_all_or_one_each() {
        let millis = Duration::from_millis;
        assert_eq!("200".parse(), Ok(ProcessingTime::each(millis(200))));
        let times: ProcessingTime = "payment:2000, shipment:5000".parse().unwrap();
        assert_eq!(
            Role::PIPELINE.map(|role| times.of(role)),
            [millis(0), millis(2000), millis(0), millis(5000)]
        );
        for wrong in ["", "1s", "payment", "payment:x", "order:5", "payment=5"] {
            let error = wrong.parse::<ProcessingTime>().unwrap_err();
            assert!(!error.is_empty());
        }
    }
}
