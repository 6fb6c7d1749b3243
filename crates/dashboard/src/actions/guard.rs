//! Who may do something.

use std::net::IpAddr;
use std::sync::Arc;

use service_kit::http::Problem;
use service_kit::secret::Secret;
use warp::http::HeaderMap;
use warp::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};

use crate::controls::Controls;
use crate::snapshot::Can;

/// Decides whether a request may do something.
///
/// Where a token is set, whoever has it may. Where none is, anybody may in the all-in-one process, which is a demo, and nobody in a
/// dashboard of its own. What comes from another page in the same browser is kept out in any case: it cannot send JSON without
/// asking first, which is not answered; and without a token the request must be for this machine or an address, so that a name
/// which somebody else has pointed here does not do.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    token: Option<Arc<Secret>>,
    /// Whether the shop runs in the same process.
    all_in_one: bool,
}

impl Guard {
    pub(crate) fn new(token: Option<Secret>, all_in_one: bool) -> Self {
        Self {
            token: token.map(Arc::new),
            all_in_one,
        }
    }

    /// What the page is told of it.
    pub(crate) fn can(&self, controls: Option<&dyn Controls>) -> Can {
        Can {
            act: self.token.is_some() || self.all_in_one,
            token: self.token.is_some(),
            instances: controls.is_some(),
            broker: controls.is_some_and(|controls| controls.broker().is_some()),
        }
    }

    /// Whether the request with these headers may go on: 401 without the token where there is one, 403 where nobody may or the
    /// request is for another host, 415 if it is not said to be JSON.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match &self.token {
            Some(token) if has_token(headers, token) => {}
            Some(_) => {
                return Err(Problem::unauthorized(
                    "this takes the admin token, as `authorization: Bearer TOKEN`",
                ));
            }
            None if !self.all_in_one => {
                return Err(Problem::forbidden(
                    "this dashboard only shows; set ADMIN_TOKEN for it to let those who have the token do something",
                ));
            }
            None if !is_for_here(headers) => {
                return Err(Problem::forbidden(
                    "without an admin token only requests to localhost or to an IP address may do something",
                ));
            }
            None => {}
        }
        is_json(headers)
    }
}

fn has_token(headers: &HeaderMap, token: &Secret) -> bool {
    let said = headers
        .get(AUTHORIZATION)
        .and_then(|said| said.to_str().ok())
        .and_then(|said| said.split_once(' '));
    let Some((scheme, found)) = said else {
        return false;
    };
    let (found, wanted) = (found.trim().as_bytes(), token.reveal().as_bytes());
    // Each byte is compared in any case, so that the time does not tell how many were right.
    let differences = found
        .iter()
        .zip(wanted)
        .fold(0, |differences, (a, b)| differences | (a ^ b));
    scheme.eq_ignore_ascii_case("bearer") && found.len() == wanted.len() && differences == 0
}

/// Whether the `Host` is localhost or an address, with any port.
fn is_for_here(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if port.is_empty() || port.starts_with(':') => address,
        Some(_) => return false,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let said = headers.get(CONTENT_TYPE);
    let said = said.and_then(|said| said.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Problem::not_json_type(essence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        lines
            .collect::<Vec<(warp::http::HeaderName, _)>>()
            .into_iter()
            .collect()
    }

    fn status(guard: &Guard, lines: &[(&'static str, &str)]) -> u16 {
        let checked = guard.check(&headers(lines));
        checked.map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn without_a_token_only_the_all_in_one_process_lets_anybody_act() {
        let here = ("host", "localhost:3000");
        assert_eq!(status(&Guard::new(None, true), &[JSON, here]), 200);
        assert_eq!(status(&Guard::new(None, false), &[JSON, here]), 403);
    }

    #[test]
    fn without_a_token_the_host_is_this_machine_or_an_address() {
        let guard = Guard::new(None, true);
        for (host, wanted) in [
            ("localhost", 200),
            ("LOCALHOST:3000", 200),
            ("127.0.0.1:3000", 200),
            ("192.168.0.7", 200),
            ("[::1]:3000", 200),
            ("[::1]", 200),
            ("evil.example:3000", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("[::1].evil.example", 403),
            ("", 403),
        ] {
            assert_eq!(status(&guard, &[JSON, ("host", host)]), wanted, "{host}");
        }
        assert_eq!(status(&guard, &[JSON]), 403);
    }

    #[test]
    fn with_a_token_it_alone_decides() {
        for all_in_one in [true, false] {
            let guard = Guard::new(Some(Secret::from("hunter2".to_owned())), all_in_one);
            let host = ("host", "shop.example");
            for (said, wanted) in [
                ("Bearer hunter2", 200),
                ("bearer hunter2", 200),
                ("Bearer hunter", 401),
                ("Bearer hunter22", 401),
                ("Bearer ", 401),
                ("Basic hunter2", 401),
                ("hunter2", 401),
            ] {
                let found = status(&guard, &[JSON, host, ("authorization", said)]);
                assert_eq!(found, wanted, "{said}");
            }
            assert_eq!(status(&guard, &[JSON, host]), 401);
        }
    }

    #[test]
    fn what_another_page_could_send_unasked_is_no_json() {
        let guard = Guard::new(None, true);
        let here = ("host", "localhost");
        assert_eq!(status(&guard, &[here]), 415);
        for (content_type, wanted) in [
            ("application/json; charset=utf-8", 200),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("multipart/form-data; boundary=application/json", 415),
        ] {
            let found = status(&guard, &[here, ("content-type", content_type)]);
            assert_eq!(found, wanted, "{content_type}");
        }
    }
}
