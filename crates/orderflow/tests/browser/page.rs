//! A page in headless Chromium, driven over WebDriver.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked meanwhile.
const INTERVAL: Duration = Duration::from_millis(50);

/// The page of a shop in a browser of its own. [`Page::close`] ends it well; dropped, its processes are killed.
pub(crate) struct Page {
    client: Client,
    _driver: Driver,
}

/// chromedriver, which starts the browser, and what the browser keeps on the disk.
struct Driver {
    process: Child,
    profile: PathBuf,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The browser is another process of the same group, and would go on by itself.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

impl Driver {
    /// Starts it on a free port, which it prints.
    ///
    /// It takes one that is free for IPv6, and ends if the same is in use for IPv4: then another is tried.
    fn start() -> (Self, u16) {
        let mut attempts = (0..5).filter_map(|_| Self::try_start());
        attempts
            .next()
            .expect("chromedriver does not tell its port")
    }

    fn try_start() -> Option<(Self, u16)> {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver does not start ({error}): apt-get install chromium chromium-driver"));
        let profile = std::env::temp_dir().join(format!("orderflow-browser-{}", process.id()));
        let output = process.stdout.take();
        let driver = Self { process, profile };
        let port = BufReader::new(output?)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.rsplit_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })?;
        Some((driver, port))
    }

    fn capabilities(&self, dark: bool) -> serde_json::Map<String, Value> {
        let profile = format!("--user-data-dir={}", self.profile.display());
        let mut arguments = vec![
            "--headless",
            // It runs as root in a container, and shows nothing but the page of this test.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--window-size=1440,1000",
            &profile,
        ];
        if dark {
            arguments.push("--force-dark-mode");
        }
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        capabilities.as_object().cloned().unwrap_or_default()
    }
}

impl Page {
    /// Opens this address and waits until what it shows is live.
    pub(crate) async fn open(url: &str) -> Self {
        let (driver, port) = Driver::start();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(driver.capabilities(false))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        client.goto(url).await.unwrap();
        let page = Self {
            client,
            _driver: driver,
        };
        page.find("#stream[data-state=live]").await;
        page
    }

    /// The first element of this selector, once there is one.
    pub(crate) async fn find(&self, css: &str) -> Element {
        self.client
            .wait()
            .at_most(PATIENCE)
            .every(INTERVAL)
            .for_element(Locator::Css(css))
            .await
            .unwrap_or_else(|error| panic!("there is no {css}: {error}"))
    }

    /// Clicks it, once it is there and can be clicked.
    pub(crate) async fn click(&self, css: &str) {
        let enabled = format!("{css}:not([aria-disabled=true])");
        let element = self.find(&enabled).await;
        // Where it is on the page does not matter, and a header may lie over it.
        let script = "arguments[0].scrollIntoView({block: 'center'}); arguments[0].click();";
        let element = serde_json::to_value(element).unwrap();
        self.client.execute(script, vec![element]).await.unwrap();
    }

    /// Clicks the button whenever it is not expanded, until there is what it shows.
    pub(crate) async fn keep_open(&self, button: &str, shown: &str) {
        let script = "document.querySelector(`${arguments[0]}[aria-expanded=false]`)?.click(); \
                      return document.querySelector(arguments[1]) !== null;";
        let deadline = Instant::now() + PATIENCE;
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            let arguments = vec![json!(button), json!(shown)];
            if self.client.execute(script, arguments).await.unwrap() == json!(true) {
                return;
            }
            assert!(Instant::now() < deadline, "{button} never showed {shown}");
        }
    }

    /// Brings it to the middle of what is seen.
    pub(crate) async fn show(&self, css: &str) {
        let element = serde_json::to_value(self.find(css).await).unwrap();
        let script = "arguments[0].scrollIntoView({block: 'center'});";
        self.client.execute(script, vec![element]).await.unwrap();
    }

    /// What the first element of this selector says now; empty where there is none.
    pub(crate) async fn text(&self, css: &str) -> String {
        // The text is read by the page itself: an element that was found may have been replaced since.
        let script = "const found = document.querySelector(arguments[0]); return found ? found.textContent.trim() : '';";
        let said = self.client.execute(script, vec![json!(css)]).await.unwrap();
        said.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until what the element says is as wanted, and returns it.
    pub(crate) async fn until(&self, css: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            let said = self.text(css).await;
            if wanted(&said) {
                return said;
            }
            if Instant::now() >= deadline {
                let log = self.text("#log").await;
                panic!("{css} still says {said:?}; the page's log: {log:?}");
            }
        }
    }

    /// Waits until a number is as wanted that the element says; 0 where it says none.
    pub(crate) async fn until_number(&self, css: &str, wanted: impl Fn(i64) -> bool) -> i64 {
        number(&self.until(css, |said| wanted(number(said))).await)
    }

    /// Keeps a picture of what is seen, in `target/screenshots` or where SCREENSHOTS says.
    pub(crate) async fn picture(&self, name: &str) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = std::env::var_os("SCREENSHOTS").map_or_else(
            || root.join("target/screenshots"),
            |folder| root.join(folder),
        );
        std::fs::create_dir_all(&folder).unwrap();
        // What is still sliding in is where it will be; what moves for ever cannot be finished, and goes on.
        let settle = "document.getAnimations().forEach((it) => { try { it.finish(); } catch { /* endless */ } });";
        self.client.execute(settle, Vec::new()).await.unwrap();
        let png = self.client.screenshot().await.unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// Ends the browser.
    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }
}

/// The first number in a text, whose thousands may be divided by commas.
fn number(text: &str) -> i64 {
    let digits: String = text
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or_default()
}
