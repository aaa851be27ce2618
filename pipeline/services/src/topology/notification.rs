//! The notification service: notifications, raised by events of users and orders, and their mail.

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
    let Some(url) = &config.smtp_url else { return Ok(Service::new(topology(false))) };
    let connections = &config.connections;
    let tls = connections.tls.load()?;
    let mailer = Mailer::new(url.expose_secret(), &config.mail_from, &tls)?;
    let writer = CommandWriter::new(&connections.brokers.open(&tls)?);
    Ok(Service::new(topology(true)).with_projection(move |stores| {
        Box::new(MailWorker::new(mailer, stores.mongo.clone(), writer))
    }))
}
