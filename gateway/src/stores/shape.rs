//! Turns rows and documents of the stores into the gateway's read models. It reads no store.

use projections::{
    postgres::{LoginRow, UserRow},
    views,
};

use crate::{
    auth::Role,
    reads::{Credential, HistoryEntry, Line, Notification, Order, Page, Product, User},
    time,
};

fn role(role: schemas::user::Role) -> Role {
    match role {
        schemas::user::Role::User => Role::User,
        schemas::user::Role::Admin => Role::Admin,
    }
}

pub(super) fn user(row: UserRow) -> User {
    User {
        id: row.user_id,
        email: row.email,
        name: row.name,
        role: role(row.role),
        version: row.version,
    }
}

pub(super) fn credential(row: LoginRow) -> Option<Credential> {
    row.active.then(|| Credential {
        user_id: row.user_id,
        role: role(row.role),
        password_hash: row.password_hash,
        credential_version: row.credential_version,
    })
}

pub(super) fn order(order: views::Order) -> Order {
    let line = |line: views::Line| Line {
        sku: line.sku,
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
    };
    Order {
        id: order.id,
        user_id: order.user_id,
        status: order.status,
        lines: order.lines.into_iter().map(line).collect(),
        total_minor: order.total_minor,
        currency: order.currency,
        reason: order.reason,
        placed_at: time::text(order.placed_at),
        version: order.version,
    }
}

pub(super) fn history_entry(event: views::HistoryEntry) -> HistoryEntry {
    HistoryEntry {
        version: event.version,
        kind: event.kind,
        at: time::text(event.at),
        command: event.command,
        data: event.data,
    }
}

pub(super) fn product(product: views::Product) -> Product {
    Product {
        sku: product.sku,
        name: product.name,
        price_minor: product.price_minor,
        currency: product.currency,
        available: product.free,
        version: product.version,
    }
}

pub(super) fn notification(notification: views::Notification) -> Notification {
    Notification {
        id: notification.id,
        user_id: notification.user_id,
        kind: notification.kind,
        title: notification.title,
        body: notification.body,
        order_id: notification.order_id,
        read: notification.read_at.is_some(),
        raised_at: time::text(notification.raised_at),
        mail: notification.mail,
        version: notification.version,
    }
}

pub(super) fn page<T, U, C: ToString>(page: views::Page<T, C>, each: impl Fn(T) -> U) -> Page<U> {
    Page {
        items: page.items.into_iter().map(each).collect(),
        next: page.next.map(|next| next.to_string()),
    }
}
