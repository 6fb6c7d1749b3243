//! `orderflow reset-offsets`: what it prints, what it sets, and what it refuses.

use std::process::Output;

use dashboard::controls::{Controls, InstanceAction};
use orderflow::cli::Role;
use orderflow::{Instances, Shop, ShopSettings};

use crate::command_line::orderflow;
use crate::faults;
use crate::running::Running;
use crate::scenarios::{at_rest_nothing_lags, product};

const GROUP: &str = "payment-service";

struct Bed {
    shop: Running,
    controls: Instances,
    servers: String,
}

impl Bed {
    /// Orders that are all at their end.
    async fn with_orders(count: usize) -> Self {
        let settings = ShopSettings::embedded(vec![product("P001", 1000, 100)]);
        let mut shop = Shop::on_free_ports(settings).await.unwrap();
        let (servers, controls) = (shop.bootstrap_servers(), shop.attended());
        let shop = Running::run(shop);
        for _ in 0..count {
            let id = shop.urls.place(&[("P001", 1, "1.00")]).await;
            shop.urls
                .order_when(&id, |status| status == "SHIPPED")
                .await;
        }
        at_rest_nothing_lags(&shop.urls).await;
        Self {
            shop,
            controls,
            servers,
        }
    }

    /// Runs the command. What it says on standard output, or else on standard error.
    async fn reset(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = orderflow(&["reset-offsets", "--bootstrap-servers", &self.servers]);
        command.args(arguments);
        let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
        let Output {
            status,
            stdout,
            stderr,
        } = ran.await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        match status.code() {
            Some(0) => Ok(text(stdout)),
            Some(1) => Err(text(stderr)),
            other => panic!("{other:?}: {}", text(stderr)),
        }
    }

    async fn payment(&self, what: InstanceAction) {
        let instance = format!("{GROUP}-1");
        self.controls.instance(&instance, what).await.unwrap();
    }
}

/// The partition, where it was and where it is now, of each row.
fn rows(told: &str) -> Vec<(String, i64, i64)> {
    let rows = told.lines().filter(|line| line.contains("order_placed"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split_whitespace().collect();
        let [_, partition, was, now] = cells[..] else {
            panic!("{row}");
        };
        (
            partition.to_owned(),
            was.parse().unwrap(),
            now.parse().unwrap(),
        )
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_reads_on_where_it_is_set_to_and_does_nothing_twice() {
    let bed = Bed::with_orders(60).await;
    let earliest = [
        "--group",
        GROUP,
        "--topic",
        "order_placed",
        "--to",
        "earliest",
    ];
    let refused = bed.reset(&earliest).await.unwrap_err();
    assert!(
        refused.contains("payment-service has 1 member(s)") && refused.contains("stop"),
        "{refused}"
    );
    let looked = bed.reset(&[&earliest[..], &["--dry-run"]].concat()).await;
    let looked = looked.unwrap();
    assert!(looked.contains("nothing was set"), "{looked}");

    bed.payment(InstanceAction::Stop).await;
    let set = bed.reset(&earliest).await.unwrap();
    assert!(set.starts_with("TOPIC"), "{set}");
    assert_eq!(rows(&set), rows(&looked));
    let was: i64 = rows(&set).iter().map(|(_, was, _)| was).sum();
    assert_eq!((rows(&set).len(), was), (3, 60), "{set}");
    assert!(rows(&set).iter().all(|(_, _, now)| *now == 0), "{set}");

    bed.payment(InstanceAction::Start).await;
    let urls = Role::PIPELINE.map(|role| (role, bed.shop.urls.url(role, "")));
    at_rest_nothing_lags(&bed.shop.urls).await;
    let again = faults::verify(urls.into(), &bed.servers).await;
    // What reads these tells of them again, too.
    assert!(again >= 60, "{again}: each payment is told again");
    bed.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_outside_of_a_log_is_its_nearest_end() {
    // So many that every partition has some.
    let bed = Bed::with_orders(60).await;
    bed.payment(InstanceAction::Stop).await;
    let to = |to: &'static str| ["--group", GROUP, "--topic", "order_placed", "--to", to];
    let latest = rows(&bed.reset(&to("latest")).await.unwrap());
    assert!(latest.iter().all(|(_, was, now)| was == now), "{latest:?}");
    for beyond in ["99999", "2999-01-01T00:00:00Z"] {
        let set = rows(&bed.reset(&to(beyond)).await.unwrap());
        assert_eq!(set, latest, "{beyond}");
    }
    let first = bed.reset(&to("1970-01-01T00:00:00Z")).await.unwrap();
    assert!(rows(&first).iter().all(|(_, _, now)| *now == 0), "{first}");
    let one = [&to("latest")[..], &["--partition", "1"]].concat();
    let one = rows(&bed.reset(&one).await.unwrap());
    assert_eq!(one, [("1".to_owned(), 0, latest[1].1)]);
    // Without a topic it is every one that the group has committed an offset of.
    let all = bed.reset(&["--group", GROUP, "--to", "latest"]).await;
    let all = all.unwrap();
    assert!(
        all.contains("inventory_updated") && all.contains("order_placed"),
        "{all}"
    );
    bed.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_an_error_that_says_so() {
    let bed = Bed::with_orders(1).await;
    for (arguments, named) in [
        (&["--group", "nope"][..], "no group nope"),
        (&["--group", GROUP, "--topic", "nope"], "no topic nope"),
        (
            &[
                "--group",
                GROUP,
                "--topic",
                "order_placed",
                "--partition",
                "7",
            ],
            "no partition 7",
        ),
    ] {
        let told = bed
            .reset(&[arguments, &["--to", "earliest"]].concat())
            .await;
        let told = told.unwrap_err();
        assert!(told.contains(named), "{told}");
    }
    bed.shop.stop().await;
}
