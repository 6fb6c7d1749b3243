//! Counts the requests of a service and how long they take.

use std::time::Instant;

use metrics::{counter, histogram};
use warp::Filter;
use warp::http::Method;
use warp::path::FullPath;
use warp::reply::Response;

use super::Routes;
use crate::metric::{HTTP_DURATION, HTTP_REQUESTS};

/// The label of what is none of those known: a client must not be able to make up values, each of which would be kept for ever.
const OTHER: &str = "other";

/// These routes, measured: each request under the template among `templates` that its path is made from. In a template a
/// segment in braces is any one: `/orders/{id}`.
pub fn measured(service: &'static str, templates: Vec<&'static str>, routes: Routes) -> Routes {
    warp::any()
        .map(Instant::now)
        .and(warp::method())
        .and(warp::path::full())
        .and(routes)
        .map(
            move |started: Instant, method: Method, path: FullPath, response: Response| {
                let method = known_method(&method);
                let route = template_of(path.as_str(), &templates);
                let status = response.status().as_str().to_owned();
                histogram!(HTTP_DURATION, "service" => service, "method" => method, "route" => route)
                    .record(started.elapsed());
                counter!(HTTP_REQUESTS, "service" => service, "method" => method, "route" => route, "status" => status)
                    .increment(1);
                response
            },
        )
        .boxed()
}

fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    ];
    let known = KNOWN.iter().find(|known| **known == method.as_str());
    known.copied().unwrap_or(OTHER)
}

fn template_of(path: &str, templates: &[&'static str]) -> &'static str {
    let path = path.strip_suffix('/').unwrap_or(path);
    let found = templates.iter().find(|template| fits(path, template));
    found.copied().unwrap_or(OTHER)
}

fn fits(path: &str, template: &str) -> bool {
    let mut segments = path.split('/');
    let of_template = template.split('/').all(|wanted| {
        let segment = segments.next();
        if wanted.starts_with('{') {
            segment.is_some_and(|segment| !segment.is_empty())
        } else {
            segment == Some(wanted)
        }
    });
    of_template && segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use warp::http::Method;

    use super::{known_method, template_of};

    #[test]
    fn a_path_counts_under_its_template_and_what_has_none_under_other() {
        let templates = ["/health", "/orders", "/orders/{id}", "/orders/{id}/cancel"];
        for (path, template) in [
            ("/health", "/health"),
            ("/orders", "/orders"),
            ("/orders/", "/orders"),
            ("/orders/7", "/orders/{id}"),
            ("/orders/7/", "/orders/{id}"),
            ("/orders/7/cancel", "/orders/{id}/cancel"),
            ("/orders/7/cancel/now", "other"),
            ("/orders//cancel", "other"),
            ("/", "other"),
            ("/favicon.ico", "other"),
        ] {
            assert_eq!(template_of(path, &templates), template, "{path}");
        }
    }

    #[test]
    fn a_method_that_somebody_made_up_makes_no_label() {
        assert_eq!(known_method(&Method::DELETE), "DELETE");
        let made_up = Method::from_bytes(b"BREW").unwrap();
        assert_eq!(known_method(&made_up), "other");
    }
}
