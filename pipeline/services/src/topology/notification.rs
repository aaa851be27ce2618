//! The notification service: notifications, raised by events of users and orders, and their mail.

use std::time::Duration;

use domain::{
    Out,
    notification::{Notification, policy},
};
use engine::Topology;
use redpanda::writer::CommandWriter;
use secrecy::ExposeSecret as _;

use crate::{
    config::Config,
    mail::{MailWorker, Mailer},
    service::Service,
};

pub(super) const NAME: &str = "notification";
/// The default commit interval; `MILLRACE_COMMIT_INTERVAL_MS` overrides it. Nobody waits for a
/// notification as one waits for the answer to a command, so few transactions count more than a
/// tenth of a second.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// Notifications, and the policies that raise them. With `mail` they request mails too.
pub fn topology(mail: bool) -> Topology {
    Topology::new(NAME, super::partitions)
        .aggregate::<Notification>()
        .policy("user.events", move |event, id| policy::from_user_event(event, id, mail))
        .policy("order.events", move |event, id| policy::from_order_event(event, id, mail))
        .uses::<Out>()
}

/// The service; with a mail server's URL in the settings it sends mail.
///
/// # Errors
/// When a setting of mail or of the connections is wrong.
pub fn service(config: &Config) -> anyhow::Result<Service> {
    let service = |mail| Service::new(topology(mail)).with_commit_interval(COMMIT_INTERVAL);
    let Some(url) = &config.smtp_url else { return Ok(service(false)) };
    let connections = &config.connections;
    let tls = connections.tls.load()?;
    let mailer = Mailer::new(url.expose_secret(), &config.mail_from, &tls)?;
    let writer = CommandWriter::new(&connections.brokers.open(&tls)?);
    Ok(service(true).with_projection(move |stores| {
        Box::new(MailWorker::new(mailer, stores.mongo.clone(), writer))
    }))
}
