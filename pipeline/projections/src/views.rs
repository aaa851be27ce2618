//! What a reader of the projections gets: plain data, with times in milliseconds since 1970. Each
//! type is defined beside the projection that fills it; this module only names them in one place.

pub use crate::{
    mongo::{HistoryEntry, Line, Notification, Order, Recipient},
    paging::{Cursor, NotACursor, Page},
    products::Product,
};
