//! Which requests are let in: this port has no login, and a browser sends whatever any page wants to whatever it can reach.
//!
//! Two things are kept out, for the services and the dashboard alike:
//!
//! - a page of another site that changes something here. It cannot read the answer, but it need not: a POST without a body is sent
//!   without asking first. Browsers say where a request comes from, in `Sec-Fetch-Site` (W3C, Fetch Metadata) and `Origin`
//!   (RFC 6454 section 7.3).
//! - a page of a name that was pointed here after the page was loaded (DNS rebinding). To the browser it is of this site, so it
//!   reads the answers, too; but the request is for that name, as its `Host` says.
//!
//! Programs that are no browsers send neither of the first two headers, and know the server by a name of its own.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use warp::http::header::{HOST, ORIGIN};
use warp::http::{HeaderMap, Method, Request};
use warp::reject::Reject;

use super::Problem;
use super::problem::beginning;

/// The names that a server answers to, beside those that nobody else can point here: localhost, addresses, and names without a dot,
/// as containers have. Default: none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    any: bool,
    names: Arc<[String]>,
}

/// What is no list of host names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host name: names come without scheme and port, separated by commas, or * for all"
)]
pub struct AllowedHostsError(String);

/// Why a request is not let in. It is answered by the routes, so that it is counted as others are.
#[derive(Debug, Clone)]
pub(super) struct Refused(pub(super) Problem);
impl Reject for Refused {}

impl FromStr for AllowedHosts {
    type Err = AllowedHostsError;

    /// Names, separated by commas; `*` for all. An empty text has none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let listed = text.split(',').map(str::trim);
        let (any, names): (Vec<_>, Vec<_>) = listed
            .filter(|name| !name.is_empty())
            .partition(|name| *name == "*");
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if let Some(wrong) = names.iter().find(|name| !name.chars().all(legal)) {
            return Err(AllowedHostsError((*wrong).to_owned()));
        }
        Ok(Self {
            any: !any.is_empty(),
            names: names
                .into_iter()
                .map(|name| without_root(name).to_owned())
                .collect(),
        })
    }
}

impl AllowedHosts {
    /// Whether a request may go on.
    ///
    /// One without a `Host` may if it only reads: probes that speak HTTP/1.0 have none, and no browser leaves it out.
    ///
    /// # Errors
    ///
    /// 403 for a change that a page of another site wants, 421 (RFC 9110 section 15.5.20) for a name that is not this server's, 400
    /// where the `Host` cannot be read or is missing (RFC 9112 section 3.2).
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let headers = request.headers();
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        let host = match host_of(request)? {
            Some(host) => host,
            None if reads => return Ok(()),
            None => return Err(Problem::bad_header("Host", "is missing").unread()),
        };
        if !self.contain(host.name) {
            return Err(Problem::misdirected(format!(
                "this server does not answer to the name {}; HTTP_ALLOWED_HOSTS lists the names that it answers to beside localhost, \
                 addresses and names without a dot",
                beginning(host.name)
            )));
        }
        if reads {
            Ok(())
        } else {
            same_site(headers, &host)
        }
    }

    fn contain(&self, name: &str) -> bool {
        let bare = without_root(name);
        let last = bare.rsplit('.').next().unwrap_or(bare);
        let is_known = |known: &String| bare.eq_ignore_ascii_case(known);
        self.any
            || !name.contains('.')
            || name.parse::<IpAddr>().is_ok()
            || last.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(is_known)
    }
}

/// A name without the dot of the root.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whom a request is for.
#[derive(Debug, Clone, Copy)]
struct Host<'a> {
    /// An IPv6 address is without its brackets.
    name: &'a str,
    port: Option<u16>,
}

impl<'a> Host<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port {
            "" | ":" => None,
            port => Some(port.strip_prefix(':')?.parse().ok()?),
        };
        Some(Self { name, port })
    }
}

/// Whom it is for; none where it does not say.
fn host_of<B>(request: &Request<B>) -> Result<Option<Host<'_>>, Problem> {
    let wrong = |why| Problem::bad_header("Host", why).unread();
    let mut lines = request.headers().get_all(HOST).iter();
    let said = match (request.uri().authority(), lines.next(), lines.next()) {
        (_, _, Some(_)) => return Err(wrong("must come once")),
        // The whole URL outranks the header (RFC 9112 section 3.2.2).
        (Some(authority), _, None) => authority.as_str(),
        (None, Some(line), None) => line.to_str().map_err(|_| wrong("is no host"))?,
        (None, None, None) => "",
    };
    if said.is_empty() {
        return Ok(None);
    }
    let host = Host::parse(said).ok_or_else(|| wrong("is no host"))?;
    Ok(Some(host))
}

/// 403 unless the request comes from a page of this server, from its user, or from no browser.
fn same_site(headers: &HeaderMap, host: &Host<'_>) -> Result<(), Problem> {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let mut origins = headers.get_all(ORIGIN).iter();
    // `none`: the user did it, by the address bar or a bookmark.
    let known = sites.all(|site| [&b"same-origin"[..], b"none"].contains(&site.as_bytes()));
    let own = origins.all(|origin| origin.to_str().is_ok_and(|origin| is_of(origin, host)));
    if known && own {
        return Ok(());
    }
    let detail = "a page of another site asked for this: only this server's own pages, and programs that are no browsers, may";
    Err(Problem::forbidden(detail).unread())
}

/// Whether an origin is that of this host. `null`, that of a page which hides where it is from, is nobody's.
fn is_of(origin: &str, host: &Host<'_>) -> bool {
    let Some((scheme, from)) = origin.split_once("://") else {
        return false;
    };
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    Host::parse(from).is_some_and(|from| {
        from.name.eq_ignore_ascii_case(host.name)
            && from.port.unwrap_or(default) == host.port.unwrap_or(default)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(hosts: &str, method: &str, lines: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri("/orders");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let hosts: AllowedHosts = hosts.parse().unwrap();
        let admitted = hosts.admit(&request.body(()).unwrap());
        admitted.map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_change_is_for_the_servers_own_pages_and_for_what_is_no_browser() {
        let host = ("host", "127.0.0.1:8002");
        let (site, origin) = ("sec-fetch-site", "origin");
        for (wanted, lines) in [
            (200, &[host][..]),
            (200, &[host, (site, "same-origin")]),
            (200, &[host, (site, "none")]),
            (403, &[host, (site, "cross-site")]),
            // Another port of this machine, say.
            (403, &[host, (site, "same-site")]),
            (403, &[host, (site, "same-origin"), (site, "cross-site")]),
            (200, &[host, (origin, "http://127.0.0.1:8002")]),
            (403, &[host, (origin, "http://127.0.0.1:3000")]),
            (403, &[host, (origin, "http://127.0.0.1")]),
            (403, &[host, (origin, "http://evil.example")]),
            (403, &[host, (origin, "http://127.0.0.1:8002.evil.example")]),
            (403, &[host, (origin, "null")]),
            (403, &[host, (origin, "")]),
            (403, &[host, (origin, "file://127.0.0.1:8002")]),
            (
                403,
                &[
                    host,
                    (site, "same-origin"),
                    (origin, "https://evil.example"),
                ],
            ),
        ] {
            assert_eq!(status("", "POST", lines), wanted, "{lines:?}");
            assert_eq!(status("", "DELETE", lines), wanted, "{lines:?}");
            assert_eq!(status("", "GET", lines), 200, "{lines:?}");
            assert_eq!(status("", "HEAD", lines), 200, "{lines:?}");
        }
    }

    #[test]
    fn the_port_that_a_scheme_has_anyway_may_be_left_out() {
        for (host, origin, wanted) in [
            ("shop", "http://shop", 200),
            ("shop:80", "http://shop", 200),
            ("Shop", "https://shop", 200),
            ("shop:443", "https://shop", 200),
            ("shop:443", "http://shop", 403),
            ("[::1]:3000", "http://[::1]:3000", 200),
            ("[::1]:3000", "http://[::2]:3000", 403),
        ] {
            let found = status("", "POST", &[("host", host), ("origin", origin)]);
            assert_eq!(found, wanted, "{origin} at {host}");
        }
    }

    #[test]
    fn a_name_that_anybody_may_point_here_is_none_of_ours_unless_it_is_listed() {
        for (hosts, host, wanted) in [
            ("", "localhost", 200),
            ("", "LOCALHOST:3000", 200),
            ("", "localhost.", 200),
            ("", "shop.localhost:8001", 200),
            ("", "127.0.0.1:3000", 200),
            ("", "192.168.0.7", 200),
            ("", "[::1]:3000", 200),
            ("", "order:8001", 200),
            ("", "evil.example:3000", 421),
            ("", "evil.", 421),
            ("", "localhost.evil.example", 421),
            ("", "127.0.0.1.evil.example", 421),
            ("", "notlocalhost.example", 421),
            ("", "[::1].evil.example", 400),
            ("", "localhost:", 200),
            ("", "localhost:http", 400),
            (
                "order.shop.svc.cluster.local",
                "order.shop.svc.cluster.local:8001",
                200,
            ),
            ("Shop.Example., b.example", "shop.example", 200),
            ("shop.example,b.example", "B.EXAMPLE.:80", 200),
            ("shop.example", "www.shop.example", 421),
            ("shop.example", "localhost", 200),
            ("*", "evil.example", 200),
        ] {
            for method in ["GET", "POST"] {
                let found = status(hosts, method, &[("host", host)]);
                assert_eq!(found, wanted, "{method} {host}, {hosts:?} allowed");
            }
        }
    }

    #[test]
    fn without_a_host_it_may_only_be_read() {
        for lines in [&[][..], &[("host", "")]] {
            assert_eq!(status("", "GET", lines), 200);
            assert_eq!(status("", "POST", lines), 400);
        }
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(status("", "GET", &two), 400);
    }

    #[test]
    fn the_whole_url_outranks_the_host() {
        let request = Request::get("http://evil.example/orders").header(HOST, "localhost");
        let refused = AllowedHosts::default().admit(&request.body(()).unwrap());
        assert_eq!(refused.unwrap_err().status().as_u16(), 421);
    }

    #[test]
    fn what_is_no_list_of_names_is_refused() {
        for wrong in ["http://shop.example", "shop.example:80", "*.example", "a b"] {
            let error = wrong.parse::<AllowedHosts>().unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
        for none in ["", " ", ",", " , "] {
            assert_eq!(none.parse(), Ok(AllowedHosts::default()));
        }
    }
}
