//! Encodes messages and reactions, and reads the message of a panic.

use std::{any::Any, cell::RefCell};

use bytes::Bytes;
use domain::decider::Reaction;
use redpanda::arena::Arena;
use schemas::{Codec, CodecError, Message};

use super::Effect;

/// `message` in the wire format.
pub(crate) fn encoded(message: &impl Message, codec: &Codec) -> Result<Bytes, CodecError> {
    thread_local!(static BUFFER: RefCell<(Vec<u8>, Arena)> = RefCell::default());
    BUFFER.with_borrow_mut(|(buffer, arena)| {
        buffer.clear();
        message.encode(codec, buffer)?;
        Ok(arena.copy(buffer))
    })
}

/// `reaction` with its message encoded.
pub(crate) fn effect_of<M: Message>(
    reaction: Reaction<M>,
    codec: &Codec,
) -> Result<Effect, CodecError> {
    Ok(match reaction {
        Reaction::Send { topic, key, message } => Effect::Send {
            topic,
            key,
            name: message.as_ref().map_or("", Message::name),
            value: message.map(|message| encoded(&message, codec)).transpose()?,
        },
        Reaction::SetTimer { name, due_ms } => Effect::SetTimer { name, due_ms },
        Reaction::CancelTimer { name } => Effect::CancelTimer { name },
        Reaction::Conclude(end) => Effect::Conclude(end),
    })
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}
