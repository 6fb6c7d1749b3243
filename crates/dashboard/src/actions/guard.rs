//! Who may do something.

use std::sync::Arc;

use service_kit::http::Problem;
use service_kit::secret::Secret;
use warp::http::HeaderMap;
use warp::http::header::{AUTHORIZATION, CONTENT_TYPE};

use crate::controls::Controls;
use crate::snapshot::Can;

/// Decides whether a request may do something.
///
/// Where a token is set, whoever has it may. Where none is, anybody may in the all-in-one process, which is a demo, and nobody in a
/// dashboard of its own. What a page of another site sends, or one of a name that somebody else has pointed here, does not come as
/// far as this: the kit's HTTP does not let it in. A browser that says nothing of where a request comes from is kept out here: its
/// pages cannot send JSON to another site without asking first, which is not answered.
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

    /// Whether the request with these headers may go on: 401 without the token where there is one, 403 where nobody may, 415
    /// if it is not said to be JSON.
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
        assert_eq!(status(&Guard::new(None, true), &[JSON]), 200);
        assert_eq!(status(&Guard::new(None, false), &[JSON]), 403);
    }

    #[test]
    fn with_a_token_it_alone_decides() {
        for all_in_one in [true, false] {
            let guard = Guard::new(Some(Secret::from("hunter2".to_owned())), all_in_one);
            for (said, wanted) in [
                ("Bearer hunter2", 200),
                ("bearer hunter2", 200),
                ("Bearer hunter", 401),
                ("Bearer hunter22", 401),
                ("Bearer ", 401),
                ("Basic hunter2", 401),
                ("hunter2", 401),
            ] {
                let found = status(&guard, &[JSON, ("authorization", said)]);
                assert_eq!(found, wanted, "{said}");
            }
            assert_eq!(status(&guard, &[JSON]), 401);
        }
    }

    #[test]
    fn what_another_page_could_send_unasked_is_no_json() {
        let guard = Guard::new(None, true);
        assert_eq!(status(&guard, &[]), 415);
        for (content_type, wanted) in [
            ("application/json; charset=utf-8", 200),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("multipart/form-data; boundary=application/json", 415),
        ] {
            let found = status(&guard, &[("content-type", content_type)]);
            assert_eq!(found, wanted, "{content_type}");
        }
    }
}
