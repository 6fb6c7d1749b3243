//! Settings from the environment: typed, and a bad value is told with its variable's name.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The variables that settings are read from. A variable that is empty counts as not set, since that
/// is what a compose file makes of one that is left out.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}={value:?} cannot be used: {reason}")]
pub struct SettingsError {
    /// The variable's name.
    pub variable: String,
    /// Its value; for a secret only stars.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A text that is not to be seen in logs: its debug form is stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one who needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Environment {
    /// The variables of this process. Those that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            variables: std::env::vars_os().filter_map(text).collect(),
        }
    }

    /// These variables, for tests.
    pub fn of<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self { variables }
    }

    /// The text of a variable, without spaces around it; none if not set.
    pub fn text(&self, variable: &str) -> Option<&str> {
        self.variables
            .get(variable)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The text of a variable that is not to be seen in logs.
    pub fn secret(&self, variable: &str) -> Option<Secret> {
        self.text(variable).map(|text| Secret(text.to_owned()))
    }

    /// The value of a variable; none if not set.
    pub fn get<T>(&self, variable: &str) -> Result<Option<T>, SettingsError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        self.read(variable, |text| {
            text.parse().map_err(|error: T::Err| error.to_string())
        })
    }

    /// The value of a variable, or `default` if not set.
    pub fn get_or<T>(&self, variable: &str, default: T) -> Result<T, SettingsError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        Ok(self.get(variable)?.unwrap_or(default))
    }

    /// A duration, `250ms`, `2s` or `1m`, or `default` if not set.
    pub fn duration_or(
        &self,
        variable: &str,
        default: Duration,
    ) -> Result<Duration, SettingsError> {
        Ok(self.read(variable, duration)?.unwrap_or(default))
    }

    /// The parts between commas, without the empty ones; none if not set or if there is none.
    pub fn list(&self, variable: &str) -> Option<Vec<String>> {
        let parts = self
            .text(variable)?
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let parts: Vec<_> = parts.map(str::to_owned).collect();
        (!parts.is_empty()).then_some(parts)
    }

    /// The value that `read` makes of a variable's text; none if not set.
    pub fn read<T>(
        &self,
        variable: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(text) = self.text(variable) else {
            return Ok(None);
        };
        read(text).map(Some).map_err(|reason| SettingsError {
            variable: variable.to_owned(),
            value: text.to_owned(),
            reason,
        })
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "must be a duration such as 250ms, 2s or 1m";
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
    let millis = match unit.trim() {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| EXPECTED.to_owned())
}

/// Which servers to work on, the same for every service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    /// `KAFKA_BOOTSTRAP_SERVERS`, `host:port` each, between commas. None: the embedded broker.
    pub kafka: Option<Vec<String>>,
    /// `MONGODB_URI`. None: the embedded store.
    pub mongodb: Option<Secret>,
}

impl Servers {
    /// Reads both variables.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let kafka = environment.list("KAFKA_BOOTSTRAP_SERVERS");
        for address in kafka.iter().flatten() {
            let port = address
                .rsplit_once(':')
                .filter(|(host, _)| !host.is_empty())
                .map(|(_, port)| port);
            if port.and_then(|port| port.parse::<u16>().ok()).is_none() {
                return Err(SettingsError {
                    variable: "KAFKA_BOOTSTRAP_SERVERS".to_owned(),
                    value: address.clone(),
                    reason: "must be host:port, more of them between commas".to_owned(),
                });
            }
        }
        Ok(Self {
            kafka,
            mongodb: environment.secret("MONGODB_URI"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Environment, Servers};

    #[test]
    fn values_are_typed_and_defaults_hold() {
        let environment = Environment::of([
            ("PORT", " 8001 "),
            ("EMPTY", ""),
            ("WAIT", "250ms"),
            ("LONG", "2m"),
        ]);
        assert_eq!(environment.get_or("PORT", 1_u16), Ok(8001));
        assert_eq!(environment.get_or("EMPTY", 7_u16), Ok(7));
        assert_eq!(environment.get::<u16>("NONE"), Ok(None));
        assert_eq!(
            environment.duration_or("WAIT", Duration::ZERO),
            Ok(Duration::from_millis(250))
        );
        assert_eq!(
            environment.duration_or("LONG", Duration::ZERO),
            Ok(Duration::from_secs(120))
        );
        assert_eq!(
            environment.duration_or("NONE", Duration::ZERO),
            Ok(Duration::ZERO)
        );
    }

    #[test]
    fn a_bad_value_is_told_with_its_variable() {
        let environment = Environment::of([("PORT", "80o1"), ("WAIT", "5"), ("MONEY", "1.999")]);
        let refused = environment.get::<u16>("PORT").unwrap_err().to_string();
        assert_eq!(
            refused,
            "PORT=\"80o1\" cannot be used: invalid digit found in string"
        );
        let refused = environment
            .duration_or("WAIT", Duration::ZERO)
            .unwrap_err()
            .to_string();
        assert_eq!(
            refused,
            "WAIT=\"5\" cannot be used: must be a duration such as 250ms, 2s or 1m"
        );
        let refused = environment
            .get::<contracts::Money>("MONEY")
            .unwrap_err()
            .to_string();
        assert_eq!(
            refused,
            "MONEY=\"1.999\" cannot be used: must have at most two decimals"
        );
    }

    #[test]
    fn servers_are_read_and_a_password_is_not_shown() {
        let pairs = [
            ("KAFKA_BOOTSTRAP_SERVERS", "a:9092, b:9093,"),
            ("MONGODB_URI", "mongodb://u:hunter2@h"),
        ];
        let servers = Servers::read(&Environment::of(pairs)).unwrap();
        assert_eq!(
            servers.kafka,
            Some(vec!["a:9092".to_owned(), "b:9093".to_owned()])
        );
        assert!(!format!("{servers:?}").contains("hunter2"));
        assert_eq!(servers.mongodb.unwrap().reveal(), "mongodb://u:hunter2@h");
        let none = Servers::read(&Environment::default()).unwrap();
        assert_eq!(
            none,
            Servers {
                kafka: None,
                mongodb: None
            }
        );
        assert!(Servers::read(&Environment::of([("KAFKA_BOOTSTRAP_SERVERS", "kafka")])).is_err());
    }
}
