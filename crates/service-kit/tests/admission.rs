//! Whom a server lets in, over a real connection.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly too")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use service_kit::application::Application;
use service_kit::http::{self, Routes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use warp::Filter;

/// A path that needs no body, and counts what comes as far as it.
fn counting(reached: &Arc<AtomicUsize>) -> Routes {
    let reached = Arc::clone(reached);
    let path = warp::path!("pause").and(http::post().or(http::get()).unify());
    http::routes(path.map(move || http::ok(&reached.fetch_add(1, Ordering::SeqCst))))
}

/// The status, the head in small letters and the body of an answer to these lines.
async fn asked(address: SocketAddr, lines: &[&str]) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{}\r\nconnection: close\r\n\r\n", lines.join("\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = serde_json::from_str(body).unwrap();
    (status, head.to_lowercase(), body)
}

#[tokio::test]
async fn what_is_not_let_in_reaches_nothing_and_is_told_why() {
    const POST: &str = "POST /pause HTTP/1.1";
    const GET: &str = "GET /pause HTTP/1.1";
    const HERE: &str = "Host: localhost:8002";
    let reached = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let application = Application::build("test", listener, counting(&reached)).unwrap();
    let application = application.with_allowed_hosts("shop.example".parse().unwrap());
    let (address, stop) = (application.address(), CancellationToken::new());
    let running = tokio::spawn(application.run_until_stopped(stop.clone()));

    for (lines, wanted) in [
        // As curl, and as a page of this server.
        (&[POST, HERE, "Content-Length: 0"][..], 200),
        (&[POST, HERE, "Origin: http://localhost:8002"], 200),
        (&[POST, "Host: shop.example"], 200),
        (&[GET, HERE, "Sec-Fetch-Site: cross-site"], 200),
        (&["GET /pause HTTP/1.0"], 200),
        // As a page of another site, with and without a body.
        (&[POST, HERE, "Sec-Fetch-Site: cross-site"], 403),
        (&[POST, HERE, "Origin: null", "Content-Length: 9999"], 403),
        // As a page whose name was pointed here.
        (&[GET, "Host: evil.example"], 421),
        (&[POST, "Host: evil.example:8002"], 421),
        (&["POST /pause HTTP/1.0"], 400),
    ] {
        let before = reached.load(Ordering::SeqCst);
        let (status, head, body) = asked(address, lines).await;
        assert_eq!(status, wanted, "{lines:?}: {body}");
        let passed = usize::from(wanted == 200);
        assert_eq!(reached.load(Ordering::SeqCst), before + passed, "{lines:?}");
        if wanted != 200 {
            assert!(head.contains("application/problem+json"), "{head}");
            assert!(head.contains("connection: close"), "{head}");
            assert_eq!(body["status"], json!(wanted));
        }
        if wanted == 421 {
            let detail = body["detail"].as_str().unwrap();
            assert!(detail.contains("evil.example") && detail.contains("HTTP_ALLOWED_HOSTS"));
        }
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}
