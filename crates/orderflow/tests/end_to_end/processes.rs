//! A service in a process of its own, to be killed.

use std::process::{Child, Command, Stdio};

use orderflow::cli::Role;

use crate::running::Urls;

/// A service that runs as `orderflow serve`; killed when it is dropped.
pub(crate) struct Process {
    child: Option<Child>,
    pub(crate) urls: Urls,
}

impl Process {
    /// Starts the payment service on a free port, on the servers that the environment names.
    pub(crate) fn payment() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(env!("CARGO_BIN_EXE_orderflow"))
            .args(["serve", "payment", "--http-port", &port.to_string()])
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let urls = Urls::new(std::iter::once((
            Role::Payment,
            format!("http://127.0.0.1:{port}"),
        )));
        Self {
            child: Some(child),
            urls,
        }
    }

    /// SIGKILL: nothing is finished, nothing is committed, nobody is told.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits until it has stopped in order.
    pub(crate) async fn terminate(mut self) {
        let mut child = self.child.take().unwrap();
        let asked = Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .unwrap();
        assert!(asked.success());
        let status = tokio::task::spawn_blocking(move || child.wait().unwrap())
            .await
            .unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
