//! `orderflow healthcheck URL`: for an image without a shell or curl.

use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(url: &str) -> ExitCode {
    let answer = tokio::time::timeout(PATIENCE, get(url)).await;
    match answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("orderflow: {url}: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn get(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://").ok_or("not an http:// URL")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let mut stream = TcpStream::connect(&address)
        .await
        .map_err(|e| e.to_string())?;
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|e| e.to_string())?;
    // The status line is all that counts: `HTTP/1.0 200 OK`.
    let mut head = Vec::new();
    stream
        .take(64)
        .read_to_end(&mut head)
        .await
        .map_err(|e| e.to_string())?;
    let head = String::from_utf8_lossy(&head);
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(status) => Err(format!("answered {status}")),
        None => Err("did not answer in HTTP".to_owned()),
    }
}
