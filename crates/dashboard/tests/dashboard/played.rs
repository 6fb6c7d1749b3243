//! A service that is only played: it answers what it was told to, and remembers what it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use service_kit::application::Application;
use service_kit::http::client::BaseUrl;
use service_kit::http::{json, routes};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use warp::Filter;
use warp::http::{Method, StatusCode};
use warp::path::FullPath;

type Answers = HashMap<String, (u16, Value)>;

/// A request that was posted: its path and its body.
pub(crate) type Posted = (String, String);

#[derive(Clone)]
pub(crate) struct Played {
    address: SocketAddr,
    /// By method and path, without a query.
    answers: Arc<Mutex<Answers>>,
    posted: Arc<Mutex<Vec<Posted>>>,
    _running: Arc<DropGuard>,
}

impl Played {
    /// One that answers everything with 404.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let (known, asked) = (Arc::clone(&answers), Arc::clone(&posted));
        let filter = warp::method()
            .and(warp::path::full())
            .and(warp::body::bytes())
            .map(move |method: Method, path: FullPath, body: Bytes| {
                if method == Method::POST {
                    let body = String::from_utf8(body.to_vec()).unwrap();
                    asked.lock().push((path.as_str().to_owned(), body));
                }
                let wanted = format!("{method} {}", path.as_str());
                let answer = known.lock().get(&wanted).cloned();
                let (status, body) = answer.unwrap_or((404, Value::Null));
                json(StatusCode::from_u16(status).unwrap(), &body)
            });
        let application = Application::build("played", listener, routes(filter)).unwrap();
        let address = application.address();
        let stop = CancellationToken::new();
        tokio::spawn(application.run_until_stopped(stop.clone()));
        Self {
            address,
            answers,
            posted,
            _running: Arc::new(stop.drop_guard()),
        }
    }

    pub(crate) fn url(&self) -> BaseUrl {
        BaseUrl::local(self.address.port())
    }

    /// Answers so from now on: `GET /health`.
    pub(crate) fn answer(&self, request: &str, status: u16, body: Value) {
        self.answers
            .lock()
            .insert(request.to_owned(), (status, body));
    }

    /// What was posted so far.
    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().clone()
    }
}
