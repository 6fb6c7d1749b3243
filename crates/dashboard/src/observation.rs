//! What the page shows, for another kind of view.

use std::sync::Arc;

use kafka_client::{Client, ClientError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::build::{ServiceUrls, looking};
use crate::load::Generator;
use crate::observe::{Observer, Sources, Watched, Watcher, Watching};
use crate::services::Services;
use crate::snapshot::{Can, Snapshot};

/// Looks at a cluster and the services twice a second, until it is dropped.
#[derive(Debug)]
pub struct Observation {
    watcher: Option<Watcher>,
    _observer: AbortOnDropHandle<()>,
}

impl Observation {
    /// Begins to look at the cluster that `client` knows, with a client of its own, and at the services there. Must be called within a Tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: that client cannot be made.
    pub fn begin(client: &Client, services: &ServiceUrls) -> Result<Self, ClientError> {
        let services = Arc::new(Services::new(services, None));
        let (_, load) = Generator::new(Arc::clone(&services));
        let (observer, watching): (Observer, Watching) = Observer::new(Sources {
            client: looking(client)?,
            services,
            controls: None,
            embedded: false,
            can: Can {
                act: false,
                token: false,
                instances: false,
                broker: false,
            },
            load,
        });
        let observing = tokio::spawn(observer.run(CancellationToken::new()));
        Ok(Self {
            watcher: watching.watch().ok(),
            _observer: AbortOnDropHandle::new(observing),
        })
    }

    /// What there is: the first look at once, each later one when something has changed. Its time, `at`, is 0. Waits for ever where nobody looks any more.
    pub async fn next(&mut self) -> Arc<Snapshot> {
        if let Some(watcher) = &mut self.watcher {
            while let Some(watched) = watcher.next().await {
                match watched {
                    Watched::First(look, _) | Watched::Changed(look) => return look.timeless,
                    Watched::Same(_) => {}
                }
            }
        }
        std::future::pending().await
    }
}
