//! A queue for the log lines of one producer. It drops no line.

use std::{ptr, sync::Arc};

use rdkafka::{
    error::KafkaError,
    producer::{BaseProducer, Producer as _, ProducerContext},
};
use rdkafka_sys as sys;

use super::strings::owned;

/// A queue that receives what a producer logs.
///
/// [`LogQueue::drain`] returns every line that was logged before it was called. With the client's
/// main queue, another thread may have taken a line and not passed it on yet.
pub(crate) struct LogQueue<C: ProducerContext<DeliveryOpaque = ()> + 'static> {
    producer: Arc<BaseProducer<C>>,
    queue: *mut sys::rd_kafka_queue_t,
}

// SAFETY: any thread may use librdkafka's queues, as it may use its clients; this value alone has
// the pointer.
unsafe impl<C: ProducerContext<DeliveryOpaque = ()>> Send for LogQueue<C> {}

impl<C: ProducerContext<DeliveryOpaque = ()>> LogQueue<C> {
    /// Creates a queue and redirects the log of `producer` into it.
    pub(crate) fn of(producer: Arc<BaseProducer<C>>) -> Result<Self, KafkaError> {
        // SAFETY: the producer lives as long as the value does; the queue is created here and
        // destroyed once.
        let (queue, code) = unsafe {
            let handle = producer.client().native_ptr();
            let queue = sys::rd_kafka_queue_new(handle);
            (queue, sys::rd_kafka_set_log_queue(handle, queue))
        };
        let queue = Self { producer, queue };
        match code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            true => Ok(queue),
            false => Err(KafkaError::Global(code.into())),
        }
    }

    /// Passes level, facility and text of all lines to `visit`, in order, and removes them. It
    /// never waits.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(i32, &str, &str)) {
        loop {
            // SAFETY: the queue lives as long as this value. The strings belong to the event, which
            // is destroyed once, after their last use; they are not null if the call says that the
            // event is a log line.
            unsafe {
                let event = sys::rd_kafka_queue_poll(self.queue, 0);
                if event.is_null() {
                    return;
                }
                let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
                if sys::rd_kafka_event_log(event, &mut facility, &mut text, &mut level) == 0 {
                    visit(level, &owned(facility), &owned(text));
                }
                sys::rd_kafka_event_destroy(event);
            }
        }
    }
}

impl<C: ProducerContext<DeliveryOpaque = ()>> Drop for LogQueue<C> {
    fn drop(&mut self) {
        // SAFETY: the producer lives, and logs into its main queue again before this queue is
        // destroyed.
        unsafe {
            sys::rd_kafka_set_log_queue(self.producer.client().native_ptr(), ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}
