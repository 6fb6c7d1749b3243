//! `Idempotency-Key`: what a client gives to a request that it may have to send again.
//!
//! Source: draft-ietf-httpapi-idempotency-key-header. The key is taken as it stands, quotes and all.

use std::convert::Infallible;

use warp::Filter;
use warp::http::HeaderMap;

use super::Problem;

/// The header's name.
const NAME: &str = "Idempotency-Key";
/// The most characters of a key.
const LONGEST: usize = 255;

/// A key that is 1 to 255 visible ASCII characters long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut keys = headers.get_all(NAME).iter();
        let Some(key) = keys.next() else {
            return Ok(None);
        };
        if keys.next().is_some() {
            return Err(Problem::bad_header(NAME, "must be there once"));
        }
        let readable = key
            .to_str()
            .ok()
            .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()))
            .filter(|key| (1..=LONGEST).contains(&key.len()));
        match readable {
            Some(key) => Ok(Some(Self(key.to_owned()))),
            None => Err(Problem::bad_header(
                NAME,
                format!("must be 1 to {LONGEST} visible ASCII characters"),
            )),
        }
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

/// The request's key, if it has one; or a problem that says what is wrong with it.
pub fn idempotency_key()
-> impl Filter<Extract = (Result<Option<IdempotencyKey>, Problem>,), Error = Infallible> + Clone {
    warp::header::headers_cloned().map(|headers: HeaderMap| IdempotencyKey::of(&headers))
}

#[cfg(test)]
mod tests {
    use warp::http::{HeaderMap, HeaderValue};

    use super::IdempotencyKey;

    fn read(keys: &[&[u8]]) -> Result<Option<String>, u16> {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append("idempotency-key", HeaderValue::from_bytes(key).unwrap());
        }
        IdempotencyKey::of(&headers)
            .map(|key| key.map(String::from))
            .map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_key_is_visible_ascii_of_some_length_and_there_once() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"8e03978e"]), Ok(Some("8e03978e".to_owned())));
        assert_eq!(read(&[b"\"8e03\""]), Ok(Some("\"8e03\"".to_owned())));
        assert!(read(&[&[b'x'; 255]]).is_ok());
        let wrong: [&[&[u8]]; 4] = [&[b""], &[b"a b"], &[b"\xc3\xa9"], &[b"a", b"b"]];
        for wrong in wrong {
            assert_eq!(read(wrong), Err(400), "{wrong:?}");
        }
        assert_eq!(read(&[&[b'x'; 256]]), Err(400));
    }
}
