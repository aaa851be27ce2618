//! The notification processor: what people are told, raised by what happens to users and orders.

use domain::{
    Out,
    notification::{Notification, policy},
};
use engine::Topology;
use redpanda::writer::CommandWriter;
use schemas::{Message, notification, user};
use secrecy::ExposeSecret as _;

use crate::{
    Service, Stores,
    config::Config,
    mail::{MailWorker, Mailer},
};

/// Notifications, and the policies that raise them; with `mail`, they are sent by mail too.
pub fn topology(mail: bool) -> Topology {
    Topology::new("notification", super::partitions)
        .aggregate::<Notification>()
        .policy("user.events", move |event, id| policy::from_user_event(event, id, mail))
        .policy("order.events", move |event, id| policy::from_order_event(event, id, mail))
        .uses::<Out>()
}

/// The service around it.
///
/// # Errors
/// When a setting is wrong.
pub fn service(config: &Config) -> anyhow::Result<Service> {
    let tls = config.tls.load()?;
    let mailer = match &config.smtp_url {
        Some(url) => Some(Mailer::new(url.expose_secret(), &config.mail_from, &tls)?),
        None => None,
    };
    let topology = topology(mailer.is_some());
    let reads =
        [notification::Event::schemas(), notification::Command::schemas(), user::Event::schemas()]
            .concat();
    let writer = CommandWriter::new(&config.brokers.open(&tls)?);
    let open = move |stores: Stores| {
        let mut all = projections::notification(&stores.postgres, &stores.mongo, &stores.redis);
        if let Some(mailer) = mailer {
            all.push(Box::new(MailWorker::new(mailer, stores.mongo, writer)));
        }
        Ok(all)
    };
    Ok(Service { topology, projections: Some(Box::new(open)), reads })
}
