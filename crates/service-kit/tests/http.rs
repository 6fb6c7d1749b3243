//! HTTP as a client sees it, over a real connection.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly too")]

use std::convert::Infallible;
use std::time::Duration;

use contracts::{Item, Money, OrderId, ProductId};
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::application::{Application, ApplicationError};
use service_kit::http::{self, Health, Page, PageRequest, Problem, Routes};
use service_kit::store::{Direction, EmbeddedStore, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use warp::{Filter, Reply};

#[derive(Debug, Deserialize)]
struct Body {
    items: Vec<Item>,
    total: Money,
}

fn post(body: Result<Body, Problem>) -> Result<warp::reply::Response, Problem> {
    let body = body?;
    Ok(http::created(
        "/things/7",
        &json!({ "items": body.items.len(), "total": body.total }),
    ))
}

fn list(page: Result<PageRequest<ProductId>, Problem>) -> Result<warp::reply::Response, Problem> {
    let page = page?;
    let way = match page.direction {
        Direction::Ascending => "up",
        Direction::Descending => "down",
    };
    let after = page.after.iter().map(ProductId::as_str);
    let items = after.chain([way]).map(str::to_owned);
    Ok(http::ok(&Page::new(items, Some(page.limit))))
}

fn things() -> Routes {
    let post = warp::path!("things")
        .and(http::post())
        .and(http::json_body(1024))
        .map(post);
    let list = warp::path!("things")
        .and(http::get())
        .and(http::page())
        .map(list);
    let get = warp::path!("things" / String)
        .and(http::get())
        .and(http::no_query())
        .map(|id: String, query: Result<(), Problem>| {
            if let Err(problem) = query {
                return problem.into_response();
            }
            let known: Result<OrderId, _> = id.parse();
            known.map_or_else(
                |_| Problem::not_found("there is no such thing").into_response(),
                |id| http::ok(&id),
            )
        });
    http::routes(post.or(list).or(get))
}

struct Running {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<Result<(), ApplicationError>>,
}

async fn start(routes: Routes, with: impl FnOnce(Application) -> Application) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let application = with(Application::build("test", listener, routes).unwrap());
    let address = application.address();
    assert_eq!(application.port(), address.port());
    let stop = CancellationToken::new();
    let ended = tokio::spawn(application.run_until_stopped(stop.clone()));
    Running {
        address,
        stop,
        ended,
    }
}

impl Running {
    /// Sends the text and reads the answer until the server closes.
    async fn raw(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, String, Value) {
        let (status, head, body) = self.raw(&request(method, path, "", body)).await;
        (status, head, serde_json::from_str(&body).unwrap())
    }

    async fn stopped(self) -> Result<(), ApplicationError> {
        self.stop.cancel();
        self.ended.await.unwrap()
    }
}

/// A request with these further lines in its head, each with its line break.
fn request(method: &str, path: &str, lines: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}content-length: {length}\r\n\r\n{body}"
    )
}

const GOOD: &str = r#"{"items":[{"product_id":"P001","quantity":2,"price":29.99}],"total":59.98}"#;

#[tokio::test]
async fn every_answer_is_json_and_every_error_a_problem() {
    let server = start(things(), |application| application).await;
    let (status, head, body) = server.send("POST", "/things", GOOD).await;
    assert_eq!((status, body), (201, json!({ "items": 1, "total": 59.98 })));
    assert!(
        head.contains("location: /things/7") && head.contains("content-type: application/json"),
        "{head}"
    );

    let wrong = GOOD.replace("29.99", "29.999");
    let long = format!("/things/{}", "x".repeat(8 * 1024));
    let cases = [
        ("POST", "/things", "{", 400, "Bad Request"),
        (
            "POST",
            "/things",
            wrong.as_str(),
            422,
            "Unprocessable Entity",
        ),
        (
            "POST",
            "/things",
            &" ".repeat(1025),
            413,
            "Payload Too Large",
        ),
        ("GET", long.as_str(), "", 414, "URI Too Long"),
        ("POST", long.as_str(), GOOD, 414, "URI Too Long"),
        ("GET", "/nothing", "", 404, "Not Found"),
        ("GET", "/things/x", "", 404, "Not Found"),
        ("DELETE", "/things", "", 405, "Method Not Allowed"),
        ("GET", "/things?limit=0", "", 400, "Bad Request"),
        ("GET", "/things?after=%2F", "", 400, "Bad Request"),
        ("GET", "/things?order=down", "", 400, "Bad Request"),
    ];
    for (method, path, sent, status, title) in cases {
        let (got, head, body) = server.send(method, path, sent).await;
        assert_eq!(got, status, "{method} {path}: {body}");
        assert!(
            head.contains("content-type: application/problem+json"),
            "{head}"
        );
        assert_eq!(body["type"], "about:blank");
        assert_eq!(body["title"], title);
        assert_eq!(body["status"], status);
        assert!(!body["detail"].as_str().unwrap().is_empty());
    }
    let (_, _, body) = server.send("POST", "/things", &wrong).await;
    assert_eq!(
        body["errors"],
        json!([{ "field": "items[0].price", "detail": "must have at most two decimals" }])
    );
    assert_eq!(
        body["detail"],
        "items[0].price must have at most two decimals"
    );
    let (_, _, body) = server.send("GET", "/things?limit=501", "").await;
    assert_eq!(body["errors"][0]["field"], "limit");
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_at_the_limit_too() {
    let server = start(things(), |application| application).await;
    let head = "POST /things HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let (status, _, _) = server
        .raw(&format!("{head}{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len()))
        .await;
    assert_eq!(status, 201);
    let chunk = format!("200\r\n{}\r\n", " ".repeat(512));
    let (status, _, body) = server
        .raw(&format!("{head}{}0\r\n\r\n", chunk.repeat(3)))
        .await;
    assert_eq!(status, 413, "{body}");
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn a_page_has_a_limit_and_a_start() {
    let server = start(things(), |application| application).await;
    let (_, _, body) = server.send("GET", "/things", "").await;
    assert_eq!(body, json!({ "items": ["up"], "next": "50" }));
    let (_, _, body) = server
        .send("GET", "/things?after=P%30%301&limit=7&order=desc", "")
        .await;
    assert_eq!(body, json!({ "items": ["P001", "down"], "next": "7" }));
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn a_query_parameter_that_is_not_known_is_refused_by_name() {
    let server = start(things(), |application| application).await;
    for (path, named, known) in [
        ("/things?limit=7&next=P001", "next", "after, limit, order"),
        ("/things/x?limit=7", "limit", "none"),
    ] {
        let (status, _, body) = server.send("GET", path, "").await;
        assert_eq!((status, &body["errors"][0]["field"]), (400, &json!(named)));
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains(named) && detail.contains(known), "{detail}");
    }
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn a_method_that_a_path_does_not_answer_is_told_those_that_it_does() {
    let server = start(things(), |application| application).await;
    for (method, path, allowed) in [
        ("DELETE", "/things", "allow: get, head, post"),
        ("OPTIONS", "/things", "allow: get, head, post"),
        ("POST", "/things/x", "allow: get, head"),
        ("BREW", "/things/x", "allow: get, head"),
    ] {
        let (status, head, body) = server.send(method, path, "").await;
        assert_eq!((status, &body["status"]), (405, &json!(405)));
        assert!(head.lines().any(|line| line == allowed), "{head}");
    }
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() {
    let server = start(things(), |application| application).await;
    for path in ["/things?limit=7", "/things?next=7", "/things/x", "/nothing"] {
        let (status, head, body) = server.raw(&request("HEAD", path, "", "")).await;
        let (of_get, head_of_get, body_of_get) = server.raw(&request("GET", path, "", "")).await;
        assert_eq!((status, body.as_str()), (of_get, ""), "{path}");
        let length = format!("content-length: {}", body_of_get.len());
        for head in [head, head_of_get] {
            assert!(head.contains(&length), "{path}: {head}");
        }
    }
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn a_slash_at_the_end_of_a_path_changes_nothing() {
    let server = start(things(), |application| application).await;
    for (method, path, body) in [
        ("GET", "/things", ""),
        ("GET", "/things/018bcfe5-6800-7bab-abab-abababababab", ""),
        ("GET", "/things/x", ""),
        ("POST", "/things", GOOD),
        ("DELETE", "/things", ""),
    ] {
        let (status, _, told) = server.send(method, path, body).await;
        let (with_slash, _, told_with_slash) = server.send(method, &format!("{path}/"), body).await;
        assert_eq!(
            (with_slash, told_with_slash),
            (status, told),
            "{method} {path}"
        );
    }
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn a_body_that_comes_as_something_else_than_json_is_415() {
    let server = start(things(), |application| application).await;
    let sent_as = |content_type: &str| {
        let line = format!("content-type: {content_type}\r\n");
        request("POST", "/things", &line, GOOD)
    };
    let form = sent_as("application/x-www-form-urlencoded");
    let (status, head, body) = server.raw(&form).await;
    assert_eq!(status, 415, "{body}");
    assert!(head.contains("accept: application/json"), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let detail = body["detail"].as_str().unwrap();
    assert!(
        detail.contains("application/json") && detail.contains("x-www-form-urlencoded"),
        "{detail}"
    );
    let (status, _, body) = server
        .raw(&sent_as("application/json; charset=utf-8"))
        .await;
    assert_eq!(status, 201, "{body}");
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn health_is_down_while_what_is_needed_is_away() {
    let embedded = EmbeddedStore::new();
    let store = Store::Embedded(embedded.clone());
    let health = Health::new("test")
        .needs("store", move || {
            let store = store.clone();
            async move { store.ping().await }
        })
        .tells("backlog", || async { Ok::<_, Infallible>(3) })
        .tells("kafka", || async { Err::<(), _>("no broker") });
    let server = start(http::routes(health.route()), |application| application).await;
    let (status, _, body) = server.send("GET", "/health", "").await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({ "service": "test", "status": "up", "checks": {
            "store": { "status": "up" },
            "backlog": { "status": "up", "detail": 3 },
            "kafka": { "status": "down", "detail": "no broker" },
        }})
    );
    embedded.set_away(true);
    let (status, _, body) = server.send("GET", "/health?fresh=1", "").await;
    assert_eq!((status, &body["status"]), (503, &json!("down")));
    assert_eq!(body["checks"]["store"]["detail"], "the store is away");
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_away_is_503_with_retry_after() {
    let embedded = EmbeddedStore::new();
    embedded.set_away(true);
    let store = Store::Embedded(embedded);
    let route = warp::path!("ping").then(move || {
        let store = store.clone();
        async move {
            store
                .ping()
                .await
                .map(|()| http::ok(&"there"))
                .map_err(Problem::from)
        }
    });
    let server = start(http::routes(route), |application| application).await;
    let (status, head, _) = server.send("GET", "/ping", "").await;
    assert_eq!(status, 503);
    assert!(head.contains("retry-after: 1"), "{head}");
    server.stopped().await.unwrap();
}

/// A route that says when it was asked and answers when it may.
fn slow() -> (Routes, &'static Notify, &'static Notify) {
    let asked: &'static Notify = Box::leak(Box::default());
    let may: &'static Notify = Box::leak(Box::default());
    let route = warp::path!("slow").then(move || async move {
        asked.notify_one();
        may.notified().await;
        http::ok(&"done")
    });
    (http::routes(route), asked, may)
}

#[tokio::test]
async fn a_request_that_is_being_answered_is_finished() {
    let (routes, asked, may) = slow();
    let server = start(routes, |application| {
        application.with_grace(Duration::from_secs(30))
    })
    .await;
    // These never send anything, or nothing more; they do not hold the stop up.
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /none HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();

    let address = server.address;
    let client = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let stop = async {
        asked.notified().await;
        server.stop.cancel();
        may.notify_one();
        tokio::time::timeout(Duration::from_secs(10), server.ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    };
    let (answer, ()) = tokio::join!(client, stop);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\"done\"\n"),
        "{answer}"
    );
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the port is free again"
    );
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_after_the_grace() {
    let (routes, asked, _never) = slow();
    let server = start(routes, |application| {
        application.with_grace(Duration::from_millis(50))
    })
    .await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    asked.notified().await;
    server.stopped().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_task_is_told_to_stop_and_its_failure_ends_the_service() {
    let (ended, has_ended) = tokio::sync::oneshot::channel();
    let server = start(things(), |application| {
        application
            .with_task("short", |_| async { Ok(()) })
            .with_task("long", |stop| async move {
                stop.cancelled().await;
                let _ = ended.send(());
                Ok(())
            })
    })
    .await;
    server.send("GET", "/things", "").await;
    server.stopped().await.unwrap();
    has_ended.await.unwrap();

    let server = start(things(), |application| {
        application.with_task("relay", |_| async { Err("no way to go on".into()) })
    })
    .await;
    let error = server.ended.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "test: relay failed: no way to go on");

    // What the tasks share is closed after them.
    let (publishing, published) = tokio::sync::oneshot::channel();
    let (closing, closed) = tokio::sync::oneshot::channel();
    let server = start(things(), |application| {
        application
            .with_end(move || async move {
                let published: Result<(), _> = { published }.try_recv();
                let _ = closing.send(published);
            })
            .with_task("relay", |stop| async move {
                stop.cancelled().await;
                tokio::task::yield_now().await;
                let _ = publishing.send(());
                Ok(())
            })
    })
    .await;
    server.stopped().await.unwrap();
    assert_eq!(closed.await.unwrap(), Ok(()));

    // A task that does not listen is cut.
    let server = start(things(), |application| {
        application
            .with_grace(Duration::from_millis(10))
            .with_task("deaf", |_| std::future::pending())
    })
    .await;
    server.stopped().await.unwrap();
}
