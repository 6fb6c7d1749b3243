//! A load, what strikes while it is under way, and the look at everything afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use orderflow::cli::Role;
use orderflow::load::{self, LoadReport, LoadSettings, Progress};
use orderflow::verify::{self, VerifySettings};

use super::bed::until;
use crate::running::PATIENCE;

/// Orders as the settings say; when a fifth of them is accepted, the fault strikes. All of them come to an end. Returns whether
/// it struck while some were on their way.
pub(crate) async fn under_load(
    settings: LoadSettings,
    fault: impl AsyncFnOnce(Arc<Progress>),
) -> bool {
    let progress = Arc::new(Progress::default());
    let orders = settings.orders;
    let load = {
        let progress = Arc::clone(&progress);
        tokio::spawn(async move { load::run(&settings, &progress).await })
    };
    until("a part is accepted", || progress.accepted() >= orders / 5).await;
    let in_time = progress.settled() < orders;
    fault(progress).await;
    let report: LoadReport = tokio::time::timeout(PATIENCE, load)
        .await
        .expect("the load ends")
        .unwrap()
        .unwrap();
    assert_eq!(report.complaints(), Vec::<String>::new(), "{report}");
    in_time
}

/// Every invariant holds. Returns how many events were published again, with the same id.
pub(crate) async fn verify(urls: BTreeMap<Role, String>, bootstrap_servers: &str) -> u64 {
    let url = |role| urls[&role].parse().unwrap();
    let settings = VerifySettings {
        order_url: url(Role::Order),
        payment_url: url(Role::Payment),
        inventory_url: url(Role::Inventory),
        shipment_url: url(Role::Shipment),
        wait: PATIENCE,
        ..VerifySettings::local(bootstrap_servers).unwrap()
    };
    let progress = orderflow::verify::Progress::default();
    let looked = tokio::time::timeout(PATIENCE * 2, verify::run(&settings, &progress)).await;
    let verified = looked.expect("comes to an end").unwrap();
    assert!(verified.violations.is_empty(), "{verified}");
    verified.doubles
}
