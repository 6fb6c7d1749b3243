//! What the crates' manifests may say.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// The services: each sees the kit and the contracts, and never another one.
const SERVICES: [&str; 5] = [
    "inventory-service",
    "notification-service",
    "order-service",
    "payment-service",
    "shipment-service",
];

/// The one crate that sees all others.
const BINARY: &str = "orderflow";

/// Where a crate's dependency is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What users of the crate build, too: ordinary and build dependencies.
    Built,
    /// For the crate's own tests, examples and benchmarks.
    Dev,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    kind: Kind,
    optional: bool,
}

/// What the checks need to know of a crate's Cargo.toml.
#[derive(Debug)]
pub(crate) struct Manifest {
    name: String,
    dependencies: Vec<Dependency>,
    features: BTreeMap<String, Vec<String>>,
    workspace_lints: bool,
    unpublished: bool,
}

impl Manifest {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|error| format!("not TOML: {error}"))?;
        let name = lookup(&table, &["package", "name"])
            .and_then(Value::as_str)
            .ok_or("has no package.name")?;
        let mut dependencies = dependencies_in(&table);
        for target in lookup(&table, &["target"])
            .and_then(Value::as_table)
            .into_iter()
            .flat_map(Table::values)
        {
            dependencies.extend(target.as_table().map(dependencies_in).unwrap_or_default());
        }
        Ok(Self {
            name: name.to_owned(),
            dependencies,
            features: features_in(&table),
            workspace_lints: lookup(&table, &["lints", "workspace"]).and_then(Value::as_bool)
                == Some(true),
            unpublished: lookup(&table, &["package", "publish"]).and_then(Value::as_bool)
                == Some(false),
        })
    }

    fn all_names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.dependencies
            .iter()
            .filter(move |dependency| dependency.kind == kind)
            .map(|dependency| dependency.name.as_str())
    }
}

fn lookup<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (last, folders) = path.split_last()?;
    folders
        .iter()
        .try_fold(table, |table, key| table.get(*key)?.as_table())?
        .get(*last)
}

fn dependencies_in(table: &Table) -> Vec<Dependency> {
    let sections = [
        ("dependencies", Kind::Built),
        ("build-dependencies", Kind::Built),
        ("dev-dependencies", Kind::Dev),
    ];
    let mut found = Vec::new();
    for (section, kind) in sections {
        for (key, value) in lookup(table, &[section])
            .and_then(Value::as_table)
            .into_iter()
            .flatten()
        {
            let detail = |name: &str| value.as_table().and_then(|table| table.get(name));
            found.push(Dependency {
                // A renamed dependency is known by its package.
                name: detail("package")
                    .and_then(Value::as_str)
                    .unwrap_or(key)
                    .to_owned(),
                kind,
                optional: detail("optional").and_then(Value::as_bool).unwrap_or(false),
            });
        }
    }
    found
}

fn features_in(table: &Table) -> BTreeMap<String, Vec<String>> {
    let features = lookup(table, &["features"]).and_then(Value::as_table);
    features
        .into_iter()
        .flatten()
        .map(|(name, parts)| {
            let parts = parts.as_array().into_iter().flatten();
            (
                name.clone(),
                parts.filter_map(Value::as_str).map(str::to_owned).collect(),
            )
        })
        .collect()
}

/// What a crate may see of ours: in what is built, and in its tests besides.
fn allowed(name: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    match name {
        "kafka-wire" | "trace-context" => Some((&[], &[])),
        "contracts" => Some((&["trace-context"], &[])),
        "kafka-client" => Some((&["kafka-wire", "trace-context"], &["kafka-broker"])),
        "kafka-broker" => Some((&["kafka-wire"], &["kafka-client"])),
        "service-kit" => Some((&["contracts", "kafka-client"], &["kafka-broker"])),
        // It shows Kafka itself, not events alone (ADR 4).
        "dashboard" => Some((
            &["contracts", "kafka-client", "service-kit"],
            &["kafka-broker"],
        )),
        service if SERVICES.contains(&service) => Some((
            &["contracts", "service-kit"],
            &["kafka-broker", "kafka-client"],
        )),
        _ => None,
    }
}

/// Dependencies between our crates that the design does not allow, and crates that it does not know.
pub(crate) fn wrong_arrows(manifests: &[Manifest]) -> Vec<String> {
    let ours: Vec<&str> = manifests
        .iter()
        .map(|manifest| manifest.name.as_str())
        .collect();
    let mut problems = Vec::new();
    for manifest in manifests.iter().filter(|manifest| manifest.name != BINARY) {
        let Some((built, besides)) = allowed(&manifest.name) else {
            problems.push(format!(
                "crate `{}` has no place in the dependency arrows: give it one in `allowed` of crates/orderflow/tests/architecture/manifest.rs \
                 and in docs/architecture.md",
                manifest.name
            ));
            continue;
        };
        let wrong_built = manifest
            .all_names(Kind::Built)
            .filter(|name| ours.contains(name) && !built.contains(name));
        let wrong_dev = manifest
            .all_names(Kind::Dev)
            .filter(|name| ours.contains(name) && !built.contains(name) && !besides.contains(name));
        for name in wrong_built {
            problems.push(format!(
                "`{}` must not depend on `{name}`: it may see {built:?} only; move what it needs down, or hand it in from `{BINARY}`",
                manifest.name
            ));
        }
        for name in wrong_dev {
            problems.push(format!(
                "the tests of `{}` must not depend on `{name}`: they may see {built:?} and {besides:?} only; \
                 a test of both together belongs in crates/{BINARY}/tests",
                manifest.name
            ));
        }
    }
    problems
}

/// The folders that the workspace's manifest leaves out of it.
pub(crate) fn excluded(workspace: &str) -> Result<Vec<String>, String> {
    let table: Table = workspace
        .parse()
        .map_err(|error| format!("not TOML: {error}"))?;
    let folders = lookup(&table, &["workspace", "exclude"]).and_then(Value::as_array);
    let folders = folders.into_iter().flatten();
    Ok(folders
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect())
}

/// Packages outside of the workspace, which may pull in what nothing else here may, that someone could come to depend on or that see more than the client.
pub(crate) fn outsiders_let_in(outsiders: &[Manifest], members: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    for outsider in outsiders {
        let name = outsider.name.as_str();
        if !outsider.unpublished {
            problems.push(format!(
                "`{name}` lies outside of the workspace and lacks `publish = false`"
            ));
        }
        for member in members {
            let of = member.name.as_str();
            let seen = |kind| member.all_names(kind).any(|dependency| dependency == name);
            if seen(Kind::Built) || seen(Kind::Dev) {
                problems.push(format!(
                    "`{of}` must not depend on `{name}`, which lies outside of the workspace for what it pulls in"
                ));
            }
            if of != "kafka-client"
                && outsider
                    .dependencies
                    .iter()
                    .any(|dependency| dependency.name == of)
            {
                problems.push(format!(
                    "`{name}` must not depend on `{of}`: of ours it measures `kafka-client` only"
                ));
            }
        }
    }
    problems
}

/// Third-party crates that only one layer may name.
pub(crate) fn drivers_out_of_place(manifests: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    for manifest in manifests {
        for dependency in &manifest.dependencies {
            let (name, of) = (dependency.name.as_str(), manifest.name.as_str());
            match name {
                "rskafka" | "kafka-protocol" if !of.starts_with("kafka-") => problems.push(format!(
                    "`{of}` must not depend on `{name}`: only the kafka-* crates may; use what kafka-client offers, or add it there"
                )),
                "mongodb" if of != "service-kit" => problems.push(format!(
                    "`{of}` must not depend on `mongodb`: only service-kit may; use its store, or add what is missing to it"
                )),
                "mongodb" if dependency.kind == Kind::Built && !behind_default_feature(manifest, dependency) => {
                    problems.push(
                        "`service-kit` must take `mongodb` as an optional dependency, switched by its feature `mongodb`, \
                         which is on by default: without it nothing compiles C"
                            .to_owned(),
                    );
                }
                _ => {}
            }
        }
    }
    problems
}

fn behind_default_feature(manifest: &Manifest, dependency: &Dependency) -> bool {
    let has = |feature: &str, part: &str| {
        manifest
            .features
            .get(feature)
            .is_some_and(|parts| parts.iter().any(|one| one == part))
    };
    dependency.optional && has("default", "mongodb") && has("mongodb", "dep:mongodb")
}

/// Crates that do not take the workspace's lints.
pub(crate) fn without_workspace_lints(manifests: &[Manifest]) -> Vec<String> {
    manifests
        .iter()
        .filter(|manifest| !manifest.workspace_lints)
        .map(|manifest| {
            format!(
                "crates/{}/Cargo.toml lacks `[lints]` with `workspace = true`",
                manifest.name
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, rest: &str) -> Manifest {
        Manifest::parse(&format!("[package]\nname = \"{name}\"\n{rest}")).unwrap()
    }

    #[test]
    fn the_design_itself_passes() {
        let manifests = [
            parse("trace-context", ""),
            parse("contracts", "[dependencies]\ntrace-context = {}"),
            parse("kafka-wire", "[dependencies]\nrskafka.workspace = true"),
            parse(
                "kafka-client",
                "[dependencies]\nkafka-wire.workspace = true\ntrace-context = {}\n[dev-dependencies]\nkafka-broker = {}",
            ),
            parse(
                "kafka-broker",
                "[dependencies]\nkafka-wire.workspace = true",
            ),
            parse(
                "order-service",
                "[dependencies]\ncontracts = {}\nservice-kit = {}",
            ),
            parse(
                "orderflow",
                "[dependencies]\ncontracts = {}\nkafka-broker = {}\norder-service = {}",
            ),
        ];
        assert_eq!(wrong_arrows(&manifests), Vec::<String>::new());
        assert_eq!(drivers_out_of_place(&manifests), Vec::<String>::new());
    }

    #[test]
    fn a_wrong_arrow_is_found_wherever_it_is_written() {
        let sections = [
            "[dependencies]\nkafka-broker.workspace = true",
            "[build-dependencies]\nkafka-broker = { path = \"../kafka-broker\" }",
            "[dependencies]\nbroker = { package = \"kafka-broker\", path = \"../kafka-broker\" }",
            "[target.'cfg(unix)'.dependencies]\nkafka-broker = {}",
        ];
        for section in sections {
            let problems =
                wrong_arrows(&[parse("kafka-broker", ""), parse("kafka-client", section)]);
            assert_eq!(problems.len(), 1, "{section}");
            assert!(
                problems[0].contains("`kafka-client` must not depend on `kafka-broker`"),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn services_do_not_see_each_other_even_in_tests() {
        let manifests = [
            parse("order-service", ""),
            parse("payment-service", "[dev-dependencies]\norder-service = {}"),
        ];
        let problems = wrong_arrows(&manifests);
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].contains("the tests of `payment-service`"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        let problems = wrong_arrows(&[parse("utils", "")]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("`utils` has no place"), "{problems:?}");
    }

    #[test]
    fn drivers_are_found_outside_their_layer() {
        let problems = drivers_out_of_place(&[
            parse("service-kit", "[dev-dependencies]\nrskafka = \"1\""),
            parse(
                "orderflow",
                "[dependencies]\nmongodb = { version = \"3\", optional = true }",
            ),
            parse(
                "contracts",
                "[dependencies]\nkp = { package = \"kafka-protocol\", version = \"1\" }",
            ),
        ]);
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn mongodb_must_be_optional_and_on_by_default() {
        let optional = "[dependencies]\nmongodb = { version = \"3\", optional = true }\n";
        let good = "[features]\ndefault = [\"mongodb\"]\nmongodb = [\"dep:mongodb\"]";
        assert!(
            drivers_out_of_place(&[parse("service-kit", &format!("{optional}{good}"))]).is_empty()
        );

        for bad in [
            "[dependencies]\nmongodb = \"3\"\n[features]\ndefault = [\"mongodb\"]".to_owned(),
            optional.to_owned(),
            format!("{optional}[features]\nmongodb = [\"dep:mongodb\"]"),
        ] {
            assert_eq!(
                drivers_out_of_place(&[parse("service-kit", &bad)]).len(),
                1,
                "{bad}"
            );
        }
    }

    #[test]
    fn what_the_workspace_leaves_out_is_read_off_its_manifest() {
        let text = "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/out\"]";
        assert_eq!(excluded(text).unwrap(), ["crates/out"]);
        assert!(excluded("[workspace]").unwrap().is_empty());
        assert!(excluded("[workspace").is_err());
    }

    #[test]
    fn an_outsider_stays_outside() {
        let members = [parse("kafka-client", ""), parse("kafka-wire", "")];
        let good = "publish = false\n[dependencies]\nkafka-client = {}\nrdkafka = \"0\"";
        assert_eq!(
            outsiders_let_in(&[parse("out", good)], &members),
            Vec::<String>::new()
        );

        let published = parse("out", "");
        assert_eq!(outsiders_let_in(&[published], &members).len(), 1);
        let nosy = parse("out", "publish = false\n[dependencies]\nkafka-wire = {}");
        assert_eq!(outsiders_let_in(&[nosy], &members).len(), 1);
        let let_in = [parse("kafka-wire", "[dev-dependencies]\nout = {}")];
        let problems = outsiders_let_in(&[parse("out", good)], &let_in);
        assert!(
            problems[0].contains("`kafka-wire` must not depend on `out`"),
            "{problems:?}"
        );
    }

    #[test]
    fn missing_lints_are_found() {
        let manifests = [
            parse("good", "[lints]\nworkspace = true"),
            parse("none", ""),
            parse("own", "[lints.rust]\nunsafe_code = \"allow\""),
        ];
        let problems = without_workspace_lints(&manifests);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn what_is_no_manifest_is_an_error() {
        assert!(
            Manifest::parse("[package")
                .unwrap_err()
                .contains("not TOML")
        );
        assert!(
            Manifest::parse("[workspace]")
                .unwrap_err()
                .contains("package.name")
        );
    }
}
