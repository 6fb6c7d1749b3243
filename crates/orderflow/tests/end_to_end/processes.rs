//! A service in a process of its own, to be killed.

use std::process::{Child, Command, Stdio};

use orderflow::cli::Role;

use crate::running::Urls;

/// A service that runs as `orderflow serve`; killed when it is dropped.
pub(crate) struct Process {
    child: Option<Child>,
    role: Role,
    port: u16,
    settings: Vec<(&'static str, String)>,
    pub(crate) urls: Urls,
}

impl Process {
    /// Starts the payment service on a free port, on the servers that the environment names.
    pub(crate) fn payment() -> Self {
        Self::start(Role::Payment, &[])
    }

    /// Starts a service on a free port, on the servers that the environment names, with these variables besides.
    pub(crate) fn start(role: Role, settings: &[(&'static str, String)]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let base = format!("http://127.0.0.1:{port}");
        let mut process = Self {
            child: None,
            role,
            port,
            settings: settings.to_vec(),
            urls: Urls::new(std::iter::once((role, base))),
        };
        process.spawn();
        process
    }

    fn spawn(&mut self) {
        let role = self.role.service().trim_end_matches("-service");
        let child = Command::new(env!("CARGO_BIN_EXE_orderflow"))
            .args(["serve", role, "--http-port", &self.port.to_string()])
            .envs(self.settings.iter().map(|(name, value)| (*name, value)))
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Where it answers.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// SIGKILL: nothing is finished, nothing is committed, nobody is told.
    pub(crate) fn kill(mut self) {
        self.end_at_once();
    }

    fn end_at_once(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGKILL, and started again on the same port at once.
    pub(crate) fn kill_and_restart(&mut self) {
        self.end_at_once();
        self.spawn();
    }

    /// SIGTERM, then started again on the same port.
    pub(crate) async fn stop_and_restart(&mut self) {
        self.end_in_order().await;
        self.spawn();
    }

    /// SIGTERM, and waits until it has stopped in order.
    pub(crate) async fn terminate(mut self) {
        self.end_in_order().await;
    }

    async fn end_in_order(&mut self) {
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
