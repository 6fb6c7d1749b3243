//! notification-service writes the customer a mail at the end of each order: it is on its way, it is refunded, its payment was declined,
//! or it was cancelled. It hands the mails to an SMTP relay nearby, or keeps them where there is none.
//!
//! It is also the worked example of a service that is added to the shop: it consumes events that were there already, and no
//! other service had to change for it.

mod api;
pub mod letter;
pub mod mail;
pub mod post;
pub mod reactions;
pub mod smtp;

use std::sync::Arc;

use contracts::names;
use service_kit::application::Application;
use service_kit::context::{BuildError, Context, ServiceParts};
use service_kit::http::Health;
use service_kit::worker::Reactions;
use tokio::net::TcpListener;

use mail::{CustomerDomain, DATABASE, Letterhead, Mail, Sender};
use post::PostOffice;
use reactions::payment_processed::OnPaymentProcessed;
use reactions::shipment_processed::OnShipmentProcessed;
use smtp::{Patience, Relay, SmtpUrl};

/// What the service is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotificationSettings {
    /// The relay. Default: none, so that mails are kept and shown at `/outbox`, and are not sent later either.
    pub smtp_url: Option<SmtpUrl>,
    /// Who sends the mails. Default: `Orderflow <orders@orderflow.example>`.
    pub from: Sender,
    /// Where customers have their mailboxes, since the events name no addresses. Default: `customers.example`.
    pub domain: CustomerDomain,
    /// How long the relay is waited for.
    pub patience: Patience,
}

/// The service on this listener.
///
/// # Errors
///
/// [`BuildError`].
pub fn build(
    context: &Context,
    listener: TcpListener,
    settings: NotificationSettings,
) -> Result<Application, BuildError> {
    let mails = context.store.collection::<Mail>(DATABASE)?;
    let patience = settings.patience;
    let relay = settings.smtp_url.map(|url| Relay::new(url, patience));
    let health = health(relay.clone());
    let letterhead = Letterhead {
        from: settings.from,
        domain: settings.domain,
    };
    let clock = Arc::clone(&context.clock);
    let post = Arc::new(PostOffice::new(mails.clone(), relay, letterhead, clock));
    let reactions = Reactions::new()
        .on(OnPaymentProcessed {
            post: Arc::clone(&post),
        })
        .on(OnShipmentProcessed { post });
    let parts = ServiceParts {
        name: names::NOTIFICATION_SERVICE,
        api: api::routes(mails.clone()),
        templates: &api::TEMPLATES,
        reactions,
        producer: context.producer(),
        health,
    };
    let application = context.application(listener, parts, move || {
        let mails = mails.clone();
        async move { mails.prepare().await }
    })?;
    // Behind the kit's own, which installs the recorder.
    post::describe();
    Ok(application)
}

/// A relay that is away does not take the service down: events wait in Kafka, and the outbox is there to be read.
fn health(relay: Option<Relay>) -> Health {
    Health::new(names::NOTIFICATION_SERVICE).tells("smtp", move || {
        let relay = relay.clone();
        async move {
            match relay {
                None => Ok("no relay: mails are kept here".to_owned()),
                Some(relay) => relay.answers().await.map(|()| relay.url().to_string()),
            }
        }
    })
}
