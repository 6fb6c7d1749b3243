//! A relay on loopback that takes mails, and does on purpose what relays do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use notification_service::smtp::SmtpUrl;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Where in a conversation something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Greeting,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    /// The end of the text: the mail is read, and not yet acknowledged.
    End,
    Rset,
    Quit,
}

/// What happens there instead of a good answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Does {
    /// This answer.
    Says(&'static str),
    /// None, for ever.
    Hangs,
    /// It closes the connection.
    Closes,
    /// It takes the mail over, and closes the connection before it says so.
    TakesAndCloses,
    /// It takes the mail over, and never says so.
    TakesAndHangs,
}

/// A mail that the relay has taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// As it was before it was made transparent (RFC 5321 section 4.5.2).
    pub(crate) message: Vec<u8>,
}

impl Received {
    pub(crate) fn message_id(&self) -> String {
        let text = String::from_utf8(self.message.clone()).unwrap();
        let line = text.lines().find(|line| line.starts_with("Message-ID: "));
        line.unwrap().to_owned()
    }
}

#[derive(Default)]
struct State {
    /// What happens the next times that a conversation comes there.
    faults: VecDeque<(At, Does)>,
    /// What happens each time to mails for this address.
    never: Vec<(String, At, Does)>,
    /// What happens to the mail of this number, counted from 1.
    at_mail: Option<(usize, Does)>,
    mails: usize,
    received: Vec<Received>,
    conversations: usize,
    hanging: usize,
}

/// The relay. It stops when it is dropped.
pub(crate) struct Stub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: AbortHandle,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Stub {
    pub(crate) async fn start() -> Self {
        Self::on("127.0.0.1:0".parse().unwrap()).await
    }

    /// At this address, where it may have been before.
    pub(crate) async fn on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            let mut conversations = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().conversations += 1;
                let state = Arc::clone(&shared);
                conversations.spawn(async move {
                    // What ends a conversation early is the test's business.
                    let _ = converse(stream, &state).await;
                });
            }
        });
        Self {
            address,
            state,
            accepting: accepting.abort_handle(),
        }
    }

    pub(crate) fn url(&self) -> SmtpUrl {
        format!("smtp://{}", self.address).parse().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next time that a conversation comes there, and after the faults that were asked for before.
    pub(crate) fn once(&self, at: At, does: Does) {
        self.state.lock().faults.push_back((at, does));
    }

    /// Each time for mails to this address, from now on.
    pub(crate) fn always_for(&self, to: &str, at: At, does: Does) {
        self.state.lock().never.push((to.to_owned(), at, does));
    }

    /// Once, when the mail of this number has come, counted from 1.
    pub(crate) fn at_mail(&self, nth: usize, does: Does) {
        self.state.lock().at_mail = Some((nth, does));
    }

    /// No faults any more.
    pub(crate) fn mend(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.never.clear();
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.lock().received.clone()
    }

    pub(crate) fn conversations(&self) -> usize {
        self.state.lock().conversations
    }

    /// Waits until a conversation has no answer and will have none.
    pub(crate) async fn until_hanging(&self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        while self.state.lock().hanging == 0 {
            ticks.tick().await;
        }
    }
}

impl State {
    fn fault(&mut self, at: At, to: &[String]) -> Option<Does> {
        let next = self.faults.front().filter(|(wanted, _)| *wanted == at);
        if let Some((_, does)) = next.copied() {
            self.faults.pop_front();
            return Some(does);
        }
        let never = self.never.iter();
        let mut never = never.filter(|(who, wanted, _)| *wanted == at && to.contains(who));
        never.next().map(|(_, _, does)| *does)
    }
}

/// The client has gone, or is sent away.
struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

struct Line {
    stream: BufReader<TcpStream>,
    mail: Received,
}

async fn converse(stream: TcpStream, state: &Mutex<State>) -> Result<(), Gone> {
    let nothing = Received {
        from: String::new(),
        to: Vec::new(),
        message: Vec::new(),
    };
    let mut line = Line {
        stream: BufReader::new(stream),
        mail: nothing.clone(),
    };
    line.answer(state, At::Greeting, "220 stub.example").await?;
    loop {
        let command = line.read().await?;
        let upper = command.to_ascii_uppercase();
        if upper.starts_with("EHLO ") {
            line.answer(state, At::Ehlo, "250-stub.example\r\n250 8BITMIME")
                .await?;
        } else if let Some(from) = upper.strip_prefix("MAIL FROM:") {
            line.mail = nothing.clone();
            line.mail.from = command[command.len() - from.len()..].to_owned();
            line.answer(state, At::Mail, "250 2.1.0 OK").await?;
        } else if upper.starts_with("RCPT TO:") {
            let to = command[8..].trim_matches(['<', '>']).to_owned();
            line.mail.to.push(to);
            line.answer(state, At::Rcpt, "250 2.1.5 OK").await?;
        } else if upper == "DATA" {
            if line.answer(state, At::Data, "354 go on").await? {
                line.read_message().await?;
                line.end(state).await?;
            }
        } else if upper == "RSET" {
            line.mail = nothing.clone();
            line.answer(state, At::Rset, "250 2.0.0 OK").await?;
        } else if upper == "QUIT" {
            line.answer(state, At::Quit, "221 2.0.0 bye").await?;
            return Ok(());
        } else {
            line.write("500 5.5.1 what?").await?;
        }
    }
}

impl Line {
    async fn read(&mut self) -> Result<String, Gone> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(Gone);
        }
        line.strip_suffix("\r\n").map(str::to_owned).ok_or(Gone)
    }

    async fn read_message(&mut self) -> Result<(), Gone> {
        loop {
            let line = self.read().await?;
            if line == "." {
                return Ok(());
            }
            let line = line.strip_prefix('.').unwrap_or(&line);
            self.mail.message.extend_from_slice(line.as_bytes());
            self.mail.message.extend_from_slice(b"\r\n");
        }
    }

    async fn write(&mut self, answer: &str) -> Result<(), Gone> {
        let answer = format!("{answer}\r\n");
        Ok(self.stream.get_mut().write_all(answer.as_bytes()).await?)
    }

    /// Answers well, unless something else is to happen; whether it was well.
    async fn answer(&mut self, state: &Mutex<State>, at: At, well: &str) -> Result<bool, Gone> {
        let fault = state.lock().fault(at, &self.mail.to);
        match fault {
            None => self.write(well).await.map(|()| true),
            Some(Does::Says(answer)) => self.write(answer).await.map(|()| false),
            Some(Does::Hangs) => hang(state).await,
            Some(Does::Closes) => Err(Gone),
            Some(Does::TakesAndCloses | Does::TakesAndHangs) => panic!("nothing to take at {at:?}"),
        }
    }

    /// The mail is there as a whole.
    async fn end(&mut self, state: &Mutex<State>) -> Result<(), Gone> {
        let fault = {
            let mut state = state.lock();
            state.mails += 1;
            let mails = state.mails;
            let numbered = state.at_mail.take_if(|(nth, _)| *nth == mails);
            let fault = numbered.map(|(_, does)| does);
            fault.or_else(|| state.fault(At::End, &self.mail.to))
        };
        let taken = matches!(
            fault,
            None | Some(Does::TakesAndCloses | Does::TakesAndHangs)
        );
        if taken {
            state.lock().received.push(self.mail.clone());
        }
        match fault {
            None => self.write("250 2.0.0 taken").await,
            Some(Does::Says(answer)) => self.write(answer).await,
            Some(Does::Hangs | Does::TakesAndHangs) => hang(state).await,
            Some(Does::Closes | Does::TakesAndCloses) => Err(Gone),
        }
    }
}

async fn hang<T>(state: &Mutex<State>) -> T {
    state.lock().hanging += 1;
    std::future::pending().await
}
