//! Java: Kafka's own tools from the test bed's jars, started with the options of Kafka's own scripts.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use crate::Failure;
use crate::measure::{Job, Operation, Setting};

/// The jars, and the class of ours that runs the tools warm.
#[derive(Debug)]
pub(crate) struct Java {
    jars: PathBuf,
    classes: PathBuf,
}

/// How warm the JVM is before it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WarmUp<'a> {
    pub(crate) records: u64,
    /// A topic that has as many records, to consume.
    pub(crate) topic: &'a str,
}

impl Java {
    /// Compiles java/PeerBench.java against the jars.
    pub(crate) async fn prepare(jars: Option<PathBuf>) -> Result<Self, Failure> {
        // Where deploy/testbed/up puts them.
        let jars = jars.unwrap_or_else(|| {
            std::env::var_os("TESTBED_DIR")
                .map_or_else(
                    || std::env::temp_dir().join("orderflow-testbed"),
                    PathBuf::from,
                )
                .join("kafka-lib")
        });
        let name = format!("peer-bench-{}", std::process::id());
        let java = Self {
            classes: std::env::temp_dir().join(name),
            jars,
        };
        java.version()?;
        let compiled = Command::new("javac")
            .arg("-cp")
            .arg(java.jars.join("*"))
            .arg("-d")
            .arg(&java.classes)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/java/PeerBench.java"))
            .status()
            .await?;
        if !compiled.success() {
            return Err("javac failed".into());
        }
        Ok(java)
    }

    /// The version of kafka-clients, off the name of its jar.
    pub(crate) fn version(&self) -> Result<String, Failure> {
        let missing = || {
            format!(
                "no kafka-clients jar in {}: deploy/testbed/up fetches it, --jars tells where it is, \
                 and --clients leaves Java out",
                self.jars.display()
            )
        };
        let files = std::fs::read_dir(&self.jars).map_err(|_| missing())?;
        for file in files {
            let name = file?.file_name();
            let version = name
                .to_str()
                .and_then(|name| name.strip_prefix("kafka-clients-")?.strip_suffix(".jar"));
            if let Some(version) = version {
                return Ok(version.to_owned());
            }
        }
        Err(missing().into())
    }

    /// The command that measures once.
    pub(crate) fn command(&self, operation: Operation, job: &Job, warm_up: WarmUp<'_>) -> Command {
        let mut class_path = self.classes.clone().into_os_string();
        class_path.push(":");
        class_path.push(self.jars.join("*"));
        let mut command = Command::new("java");
        command
            // As kafka-producer-perf-test.sh and kafka-consumer-perf-test.sh.
            .args([
                "-Xmx512M",
                "-server",
                "-XX:+UseG1GC",
                "-XX:MaxGCPauseMillis=20",
            ])
            .args([
                "-XX:InitiatingHeapOccupancyPercent=35",
                "-XX:+ExplicitGCInvokesConcurrent",
            ])
            // Numbers with a point.
            .args([
                "-Duser.language=en",
                "-Duser.country=US",
                "-Dlog4j2.level=ERROR",
            ])
            .arg("-cp")
            .arg(class_path)
            .args(["PeerBench", operation.name(), &job.servers, &job.topic])
            .arg(job.size.to_string())
            .arg(job.records.to_string())
            .arg(warm_up.records.to_string())
            .arg(warm_up.topic)
            .args(properties(operation, job.setting))
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        // A temporary folder that stays does no harm.
        let _ = std::fs::remove_dir_all(&self.classes);
    }
}

fn properties(operation: Operation, setting: Setting) -> &'static [&'static str] {
    match (operation, setting) {
        (_, Setting::Default) | (Operation::Latency, Setting::Tuned) => &[],
        (Operation::Produce, Setting::Tuned) => &[
            "batch.size=1000000",
            "linger.ms=5",
            "buffer.memory=67108864",
            // The default is one such batch.
            "max.request.size=8388608",
        ],
        (Operation::Consume, _) => &["max.poll.records=10000"],
        (_, Setting::NoLinger) => &["linger.ms=0"],
    }
}
