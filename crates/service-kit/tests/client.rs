//! The HTTP client against a service, over real connections.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly too")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use service_kit::application::Application;
use service_kit::http::client::{BaseUrl, Connection, HttpError, Page, Post};
use service_kit::http::{self, Problem, Routes};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use warp::Filter;

/// The bound on every request.
const PATIENCE: Duration = Duration::from_secs(10);

fn routes() -> Routes {
    let list = warp::path!("things")
        .and(http::get())
        .map(|| http::ok(&json!({ "items": ["a", "b"], "next": "b" })));
    let echo = warp::path!("things")
        .and(http::post())
        .and(http::json_body(1024))
        .map(|body: Result<Value, Problem>| body.map(|body| http::created("/things/7", &body)))
        .map(|answer: Result<_, Problem>| answer.unwrap_or_else(warp::Reply::into_response));
    let never = warp::path!("never")
        .and(http::get())
        .then(std::future::pending::<warp::reply::Response>);
    http::routes(list.or(echo).unify().or(never).unify())
}

async fn start(on: SocketAddr) -> (u16, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind(on).await.unwrap();
    let application = Application::build("test", listener, routes())
        .unwrap()
        .with_grace(Duration::ZERO);
    let (port, stop) = (application.port(), CancellationToken::new());
    let stopped = stop.clone();
    let ended = tokio::spawn(async move {
        application.run_until_stopped(stopped).await.unwrap();
    });
    (port, stop, ended)
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[tokio::test]
async fn what_a_service_answers_is_told_with_its_status_headers_and_body() {
    let (port, stop, ended) = start(anywhere()).await;
    let mut connection = Connection::to(&BaseUrl::local(port));
    let page: Page<String> = connection.page("/things", PATIENCE).await.unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (2, Some("b")));
    let post = Post {
        path: "/things",
        idempotency_key: None,
        body: Some(Bytes::from_static(b"{\"a\":1}")),
    };
    let answer = connection.post(&post, PATIENCE).await.unwrap();
    assert_eq!(answer.status.as_u16(), 201);
    assert_eq!(answer.headers["location"], "/things/7");
    let body: Value = connection.read("/things", &answer).unwrap();
    assert_eq!(body, json!({ "a": 1 }));
    let missing = connection.get("/nothing", PATIENCE).await.unwrap();
    assert_eq!(missing.status.as_u16(), 404);
    stop.cancel();
    ended.await.unwrap();
}

#[tokio::test]
async fn a_connection_is_made_anew_when_the_service_was_away() {
    let (port, stop, ended) = start(anywhere()).await;
    let mut connection = Connection::to(&BaseUrl::local(port));
    assert!(connection.get("/things", PATIENCE).await.is_ok());
    stop.cancel();
    ended.await.unwrap();
    let away = connection.get("/things", PATIENCE).await.unwrap_err();
    assert!(away.may_pass(), "{away}");
    let (_, stop, ended) = start(SocketAddr::from(([127, 0, 0, 1], port))).await;
    assert!(connection.get("/things", PATIENCE).await.is_ok());
    stop.cancel();
    ended.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_never_comes_is_an_error() {
    let (port, stop, ended) = start(anywhere()).await;
    let base = BaseUrl::local(port);
    let mut connection = Connection::to(&base).with_largest(5);
    let large = connection.get("/things", PATIENCE).await;
    assert!(matches!(large, Err(HttpError::Lost { .. })));
    let mut connection = Connection::to(&base);
    let never = connection.get("/never", Duration::from_millis(20)).await;
    assert!(matches!(never, Err(HttpError::TooSlow { .. })));
    // Its answer would be taken for that of the next request.
    let next = connection.get("/things", PATIENCE).await.unwrap();
    assert_eq!(next.status.as_u16(), 200);
    stop.cancel();
    ended.await.unwrap();
}
