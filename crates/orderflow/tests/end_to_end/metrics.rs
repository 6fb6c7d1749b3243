//! GET /metrics: what it tells can be read by whoever reads Prometheus' text.

use std::collections::BTreeMap;

use orderflow::cli::Role;
use orderflow::{Shop, ShopSettings};

use crate::running::{Running, Urls};
use crate::scenarios::{an_order_is_shipped, product};

/// A line of the text: a name, its labels and the value.
type Sample = (String, BTreeMap<String, String>, f64);

/// A sample, or none where the line is no `name{label="value",…} value`.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
        None => (series, ""),
    };
    let named = |name: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
        name.chars().all(legal)
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
    };
    let mut pairs = BTreeMap::new();
    // No value of ours has a comma or a quote in it, so this needs no unescaping.
    for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
        let (label, value) = pair.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        if !named(label)
            || value.contains('"')
            || pairs.insert(label.into(), value.into()).is_some()
        {
            return None;
        }
    }
    named(name).then_some((name.to_owned(), pairs, value.parse().ok()?))
}

/// What a port tells, each line of which must be a comment or a sample.
async fn scraped(urls: &Urls, role: Role) -> Vec<Sample> {
    let response = urls
        .http
        .get(urls.url(role, "/metrics"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let content_type = response.headers()["content-type"].to_str().unwrap();
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| sample(line).unwrap_or_else(|| panic!("{line:?} is no sample")))
        .collect()
}

/// The sum of the samples of this name whose labels have these values.
fn total(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    samples
        .iter()
        .filter(|(known, _, _)| known == name)
        .filter(|(_, of, _)| {
            labels
                .iter()
                .all(|(label, value)| of.get(*label).is_some_and(|v| v == value))
        })
        .map(|(_, _, value)| value)
        .sum()
}

#[test]
fn a_line_that_is_no_sample_is_told_apart() {
    assert!(sample(r#"a_total{b="c",d="e"} 7"#).is_some() && sample("a +Inf").is_some());
    for wrong in [
        "",
        "a",
        "a b",
        "a{b} 1",
        r#"a{b="c" 1"#,
        "1a 1",
        r#"a{b="c",b="d"} 1"#,
    ] {
        assert!(sample(wrong).is_none(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_port_tells_what_the_process_has_measured() {
    let stock = vec![product("P001", 100, 2999)];
    let shop = Shop::on_free_ports(ShopSettings::embedded(stock))
        .await
        .unwrap();
    let shop = Running::run(shop);
    an_order_is_shipped(&shop.urls, "P001").await;
    let made_up = shop.urls.url(Role::Order, "/orders/a/b/c/made-up");
    for method in ["GET", "BREW"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        shop.urls
            .http
            .request(method, &made_up)
            .send()
            .await
            .unwrap();
    }
    for role in Role::PIPELINE {
        let samples = scraped(&shop.urls, role).await;
        let placed = [
            ("service", "order-service"),
            ("method", "POST"),
            ("route", "/orders"),
        ];
        assert!(total(&samples, "http_request_duration_seconds_count", &placed) >= 1.0);
        let placed = [placed.as_slice(), &[("status", "201")]].concat();
        assert!(total(&samples, "http_requests_total", &placed) >= 1.0);
        let followed = [("route", "/orders/{id}"), ("status", "200")];
        assert!(total(&samples, "http_requests_total", &followed) >= 1.0);
        let other = [("route", "other"), ("method", "other"), ("status", "404")];
        assert!(total(&samples, "http_requests_total", &other) >= 1.0);
        for topic in ["order_placed", "payment_processed", "inventory_updated"] {
            for name in [
                "kafka_producer_records_total",
                "kafka_consumer_records_total",
            ] {
                assert!(
                    total(&samples, name, &[("topic", topic)]) >= 1.0,
                    "{name} {topic}"
                );
            }
        }
        assert!(
            total(
                &samples,
                "kafka_consumer_commit_duration_seconds_count",
                &[]
            ) >= 1.0
        );
        assert!(
            samples
                .iter()
                .all(|(_, labels, _)| labels.values().all(|v| !v.contains("made-up")))
        );
    }
    let head = shop.urls.http.head(shop.urls.url(Role::Order, "/metrics"));
    assert_eq!(head.send().await.unwrap().status(), 200);
    let post = shop.urls.http.post(shop.urls.url(Role::Order, "/metrics"));
    assert_eq!(post.send().await.unwrap().status(), 405);
    shop.stop().await;
}
