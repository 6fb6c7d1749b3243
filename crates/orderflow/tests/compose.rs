//! compose.yml, held against the program, the Dockerfile and itself.
//!
//! There is no Docker engine where this is developed, so nothing else would notice a wrong port or an order of starting that cannot be.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot read the repository must fail"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::{CommandFactory, Parser};
use orderflow::cli::Cli;
use serde::Deserialize;

/// The image of the program itself; the other services' images are somebody else's.
const OUR_IMAGE: &str = "orderflow:local";

/// What is logged: read by the logging library, and so by every command.
const LOG_VARIABLE: &str = "RUST_LOG";

/// The commands that answer HTTP.
const HTTP: [&str; 2] = ["serve", "dashboard"];

/// Where the program lies in the image.
const PROGRAM: &str = "/usr/local/bin/orderflow";

#[derive(Debug, Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Debug, Deserialize)]
struct Service {
    image: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, Scalar>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Need>,
    healthcheck: Option<Healthcheck>,
    build: Option<Build>,
}

/// A value that YAML may take for a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(i64),
    Text(String),
}

#[derive(Debug, Deserialize)]
struct Need {
    condition: String,
}

#[derive(Debug, Deserialize)]
struct Healthcheck {
    test: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Build {
    dockerfile: String,
}

impl Compose {
    fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    fn ours(&self) -> impl Iterator<Item = (&str, &Service)> {
        let named = self
            .services
            .iter()
            .map(|(name, service)| (name.as_str(), service));
        named.filter(|(_, service)| service.image == OUR_IMAGE)
    }
}

impl Service {
    fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name).map(|value| match value {
            Scalar::Number(number) => number.to_string(),
            Scalar::Text(text) => text.clone(),
        })
    }

    fn first_word(&self) -> Option<&str> {
        self.command.first().map(String::as_str)
    }

    /// The word after an option in the command.
    fn option(&self, name: &str) -> Option<&str> {
        let position = self.command.iter().position(|word| word == name)?;
        self.command.get(position + 1).map(String::as_str)
    }
}

/// Images without a version, or with one that moves.
fn unpinned_images(compose: &Compose) -> Vec<String> {
    let pinned = |image: &str| {
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        let version = tag.map(|tag| tag.strip_prefix('v').unwrap_or(tag));
        version.is_some_and(|version| {
            version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.')
        })
    };
    let foreign = compose
        .services
        .iter()
        .filter(|(_, service)| service.image != OUR_IMAGE);
    foreign
        .filter(|(_, service)| !pinned(&service.image))
        .map(|(name, service)| {
            format!(
                "{name}: pin the image `{}` to a full version",
                service.image
            )
        })
        .collect()
}

/// Ports that strangers could reach, and ports that two services want.
fn wrong_ports(compose: &Compose) -> Vec<String> {
    let mut problems = Vec::new();
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, service) in &compose.services {
        for port in &service.ports {
            let Some((host, _)) = port
                .strip_prefix("127.0.0.1:")
                .and_then(|rest| rest.split_once(':'))
            else {
                problems.push(format!(
                    "{name}: publish `{port}` on loopback only, as 127.0.0.1:HOST:CONTAINER"
                ));
                continue;
            };
            if let Some(other) = taken.insert(host, name) {
                problems.push(format!("{name} and {other} both publish port {host}"));
            }
        }
    }
    problems
}

/// Waiting for what will never be: a service that is not there, or a state that it does not reach.
fn wrong_waits(compose: &Compose) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, service) in &compose.services {
        for (needed, need) in &service.depends_on {
            let Some(other) = compose.services.get(needed) else {
                problems.push(format!("{name} waits for {needed}, which is not there"));
                continue;
            };
            match (need.condition.as_str(), other.healthcheck.is_some()) {
                ("service_healthy", true) | ("service_completed_successfully", false) => {}
                ("service_healthy", false) => {
                    problems.push(format!(
                        "{name} waits for {needed} to be healthy, which has no healthcheck"
                    ));
                }
                ("service_completed_successfully", true) => {
                    problems.push(format!(
                        "{name} waits for {needed} to end, which has a healthcheck and so runs on"
                    ));
                }
                (condition, _) => problems.push(format!(
                    "{name} waits for {needed} with `{condition}`: wait for its health or its end"
                )),
            }
        }
    }
    problems
}

/// Roles whose command, published port and healthcheck do not speak of the same port, or that could not be reached in their container.
fn wrong_roles(compose: &Compose) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, service) in compose.ours().filter(|(_, service)| {
        service
            .first_word()
            .is_some_and(|word| HTTP.contains(&word))
    }) {
        let port = service.option("--http-port").unwrap_or_default();
        if service.ports != [format!("127.0.0.1:{port}:{port}")] {
            problems.push(format!(
                "{name} serves on `{port}` and publishes {:?}",
                service.ports
            ));
        }
        let wanted = [
            "CMD",
            PROGRAM,
            "healthcheck",
            &format!("http://127.0.0.1:{port}/health"),
        ];
        if service
            .healthcheck
            .as_ref()
            .is_none_or(|check| check.test != wanted)
        {
            problems.push(format!("{name}: its healthcheck should be {wanted:?}"));
        }
        if service.variable("HTTP_HOST").as_deref() != Some("0.0.0.0") {
            problems.push(format!(
                "{name}: without HTTP_HOST 0.0.0.0 it listens inside its container only"
            ));
        }
        let stores = service.first_word() == Some("serve");
        let needed = ["kafka", "topics", "mongo"];
        for needed in &needed[..if stores { 3 } else { 2 }] {
            if !service.depends_on.contains_key(*needed) {
                problems.push(format!("{name} does not wait for {needed}"));
            }
        }
    }
    problems
}

/// Commands and healthchecks that the program does not understand, variables that the command does not read, and values that it refuses.
fn unknown_to_the_program(compose: &Compose) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, service) in compose.ours() {
        let mut words = vec!["orderflow".to_owned()];
        words.extend(service.command.iter().cloned());
        let options = options_by_variable(service.command.first().map(String::as_str));
        for variable in service
            .environment
            .keys()
            .filter(|variable| *variable != LOG_VARIABLE)
        {
            match options.get(variable) {
                // A variable is given as the option that it stands for, so that its value is checked, too.
                Some(option) => words.push(format!(
                    "--{option}={}",
                    default_of(&service.variable(variable).unwrap_or_default())
                )),
                None => problems.push(format!(
                    "{name}: {:?} does not read {variable}, but {:?}",
                    service.command,
                    options.keys()
                )),
            }
        }
        if let Err(error) = Cli::try_parse_from(&words) {
            problems.push(format!("{name}: {words:?}: {error}"));
        }
        let check = service
            .healthcheck
            .iter()
            .map(|check| check.test.as_slice());
        for words in check.filter_map(|test| test.strip_prefix(&["CMD".to_owned()])) {
            if let Err(error) = Cli::try_parse_from(words) {
                problems.push(format!("{name}: its healthcheck {words:?}: {error}"));
            }
        }
    }
    problems
}

/// What a command reads from the environment: the variable's name, and the option that it stands for.
fn options_by_variable(subcommand: Option<&str>) -> BTreeMap<String, String> {
    let program = Cli::command();
    let command = subcommand.map_or(Some(&program), |name| program.find_subcommand(name));
    let arguments = command.into_iter().flat_map(clap::Command::get_arguments);
    arguments
        .filter_map(|argument| {
            let variable = argument.get_env()?.to_str()?;
            Some((variable.to_owned(), argument.get_long()?.to_owned()))
        })
        .collect()
}

/// The value that Compose takes if the variable is not set where it runs: `${NAME:-VALUE}`.
fn default_of(value: &str) -> &str {
    let inner = value
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    inner
        .and_then(|inner| inner.split_once(":-"))
        .map_or(value, |(_, default)| default)
}

fn repository_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name);
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

fn compose() -> Compose {
    Compose::parse(&repository_file("compose.yml"))
        .unwrap_or_else(|error| panic!("compose.yml: {error}"))
}

fn assert_none(problems: Vec<String>) {
    assert!(
        problems.is_empty(),
        "compose.yml has {} problem(s):\n- {}",
        problems.len(),
        problems.join("\n- ")
    );
}

#[test]
fn commands_and_variables_are_the_programs() {
    assert_none(unknown_to_the_program(&compose()));
}

#[test]
fn every_image_is_pinned() {
    assert_none(unpinned_images(&compose()));
}

#[test]
fn ports_are_published_once_and_on_loopback() {
    assert_none(wrong_ports(&compose()));
}

#[test]
fn services_wait_for_what_will_be() {
    assert_none(wrong_waits(&compose()));
}

#[test]
fn roles_agree_with_themselves() {
    assert_none(wrong_roles(&compose()));
}

#[test]
fn every_role_and_every_window_is_there() {
    let compose = compose();
    let expected = [
        ("order", "8001"),
        ("payment", "8002"),
        ("inventory", "8003"),
        ("shipment", "8004"),
        ("notification", "8005"),
        ("dashboard", "3000"),
        ("mailpit", "8025"),
        ("mongo-express", "8081"),
        ("kafdrop", "9000"),
    ];
    for (name, port) in expected {
        let service = compose
            .services
            .get(name)
            .unwrap_or_else(|| panic!("compose.yml has no service {name}"));
        assert_eq!(
            service.ports,
            [format!("127.0.0.1:{port}:{port}")],
            "{name}"
        );
    }
    let roles: Vec<&str> = compose
        .ours()
        .filter_map(|(_, service)| service.option("serve"))
        .collect();
    assert_eq!(
        roles,
        ["inventory", "notification", "order", "payment", "shipment"]
    );
}

#[test]
fn topics_are_made_on_purpose_with_three_partitions() {
    let compose = compose();
    assert_eq!(
        compose.services["topics"].command,
        ["topics", "--create", "--partitions", "3"]
    );
    assert_eq!(
        compose.services["kafka"]
            .variable("KAFKA_AUTO_CREATE_TOPICS_ENABLE")
            .as_deref(),
        Some("false")
    );
}

#[test]
fn the_addresses_of_kafka_and_mongo_are_theirs() {
    let compose = compose();
    let listeners = compose.services["kafka"]
        .variable("KAFKA_ADVERTISED_LISTENERS")
        .expect("Kafka advertises listeners");
    for (name, service) in compose.ours() {
        let kafka = service
            .variable("KAFKA_BOOTSTRAP_SERVERS")
            .unwrap_or_else(|| panic!("{name} is not told where Kafka is"));
        assert!(
            listeners
                .split(',')
                .any(|listener| listener == format!("INTERNAL://{kafka}")),
            "{name}: {kafka} is none of {listeners}"
        );
        let mongo = service.variable("MONGODB_URI");
        let wanted = service.option("serve").map(|_| "mongodb://mongo:27017");
        assert_eq!(mongo.as_deref(), wanted, "{name}");
    }
}

#[test]
fn the_dashboard_asks_the_services_where_they_answer() {
    let compose = compose();
    let dashboard = &compose.services["dashboard"];
    for role in ["order", "payment", "inventory", "shipment"] {
        let port = compose.services[role].option("--http-port");
        let wanted = format!("http://{role}:{}", port.unwrap_or_default());
        let variable = format!("{}_URL", role.to_uppercase());
        assert_eq!(dashboard.variable(&variable), Some(wanted), "{role}");
    }
}

#[test]
fn the_image_is_what_the_services_start() {
    let compose = compose();
    let dockerfile = repository_file("deploy/Dockerfile");
    assert!(dockerfile.contains(&format!("ENTRYPOINT [\"{PROGRAM}\"]")));
    let exposed = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("EXPOSE "))
        .unwrap_or_default();
    for (name, service) in compose.ours() {
        assert_eq!(
            service
                .build
                .as_ref()
                .map(|build| build.dockerfile.as_str()),
            Some("deploy/Dockerfile"),
            "{name}"
        );
        if let Some(port) = service.option("--http-port") {
            assert!(
                exposed.split(' ').any(|one| one == port),
                "deploy/Dockerfile does not expose {port}"
            );
        }
    }
}

#[test]
fn the_login_of_mongo_express_is_the_one_that_is_printed() {
    let compose = compose();
    let justfile = repository_file("justfile");
    for (variable, name) in [
        ("ME_CONFIG_BASICAUTH_USERNAME", "MONGO_EXPRESS_USER"),
        ("ME_CONFIG_BASICAUTH_PASSWORD", "MONGO_EXPRESS_PASSWORD"),
    ] {
        let value = compose.services["mongo-express"]
            .variable(variable)
            .expect("a login is set");
        let default = value
            .strip_prefix(&format!("${{{name}:-"))
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or_else(|| panic!("{variable} should be ${{{name}:-DEFAULT}}"));
        assert!(
            justfile.contains(&format!("env(\"{name}\", \"{default}\")")),
            "the justfile has another default for {name}"
        );
        assert!(
            repository_file("README.md").contains(&format!("`{default}`")),
            "the README does not name the default of {name}"
        );
    }
}

/// A Compose file of one service of ours and a Kafka, with the given lines in the service.
fn sample(lines: &str) -> Compose {
    let text = format!(
        "services:\n  kafka: {{ image: \"apache/kafka:4.3.1\" }}\n  x:\n    image: {OUR_IMAGE}\n{lines}"
    );
    Compose::parse(&text).expect("the sample parses")
}

#[test]
fn moving_images_are_found() {
    for image in [
        "mongo",
        "mongo:latest",
        "mongo:8",
        "mongo:v8",
        "mongo:vivid.1",
        "registry.example:5000/mongo",
    ] {
        let compose =
            Compose::parse(&format!("services: {{ a: {{ image: \"{image}\" }} }}")).unwrap();
        assert_eq!(unpinned_images(&compose).len(), 1, "{image}");
    }
}

#[test]
fn open_and_doubled_ports_are_found() {
    assert_eq!(wrong_ports(&sample("    ports: [\"8001:8001\"]")).len(), 1);
    assert_eq!(
        wrong_ports(&sample("    ports: [\"127.0.0.1:1:1\", \"127.0.0.1:1:2\"]")).len(),
        1
    );
    assert!(wrong_ports(&sample("    ports: [\"127.0.0.1:1:1\"]")).is_empty());
}

#[test]
fn waits_without_end_are_found() {
    for need in [
        "gone: { condition: service_healthy }",
        "kafka: { condition: service_healthy }",
        "kafka: { condition: service_started }",
    ] {
        assert_eq!(
            wrong_waits(&sample(&format!("    depends_on:\n      {need}"))).len(),
            1,
            "{need}"
        );
    }
}

#[test]
fn roles_that_contradict_themselves_are_found() {
    let good = "    command: [serve, order, --http-port, \"8001\"]\n    ports: [\"127.0.0.1:8001:8001\"]\n    environment: { HTTP_HOST: 0.0.0.0 }\n    \
                healthcheck: { test: [CMD, /usr/local/bin/orderflow, healthcheck, \"http://127.0.0.1:8001/health\"] }\n    \
                depends_on:\n      kafka: { condition: service_healthy }\n      mongo: { condition: service_healthy }\n      topics: { condition: service_healthy }";
    assert_eq!(wrong_roles(&sample(good)), Vec::<String>::new());
    let bad = [
        good.replace("127.0.0.1:8001:8001", "127.0.0.1:8001:8002"),
        good.replace("8001/health", "8002/health"),
        good.replace("0.0.0.0", "127.0.0.1"),
        good.replace("      mongo: { condition: service_healthy }\n", ""),
    ];
    for lines in bad {
        assert_eq!(wrong_roles(&sample(&lines)).len(), 1, "{lines}");
    }
}

#[test]
fn what_the_program_does_not_know_is_found() {
    let good = sample(
        "    command: [topics, --create]\n    environment: { KAFKA_BOOTSTRAP_SERVERS: \"kafka:1\", RUST_LOG: info }",
    );
    assert_eq!(unknown_to_the_program(&good), Vec::<String>::new());
    for bad in [
        "    command: [topics, --make]",
        "    command: [serve, billing]",
        "    command: [serve, order, --http-port, many]",
        "    command: [topics]\n    environment: { MONGODB_URL: x }",
        "    command: [serve, inventory]\n    environment: { STOCK: \"P001:ten:1\" }",
        "    command: [serve, inventory]\n    environment: { STOCK: \"${STOCK:-P001:ten:1}\" }",
        "    command: [serve, order]\n    healthcheck: { test: [CMD, /usr/local/bin/orderflow, health, \"http://127.0.0.1/\"] }",
    ] {
        assert_eq!(unknown_to_the_program(&sample(bad)).len(), 1, "{bad}");
    }
}
