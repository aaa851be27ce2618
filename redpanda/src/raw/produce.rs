//! Sends records to one topic of a producer. It chooses no partition and waits for nothing.

use std::{ffi::CString, ptr, sync::Arc};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, Producer as _, ProducerContext},
};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_vtype_t as vtype;

use crate::log::ProducerRecordRef;

/// The handle of a topic in a producer.
pub(crate) struct ProducerTopic<C: ProducerContext<DeliveryOpaque = ()> + 'static> {
    producer: Arc<BaseProducer<C>>,
    topic: *mut sys::rd_kafka_topic_t,
}

// SAFETY: any thread may use librdkafka's topics, as it may use its clients; this value alone has
// the pointer.
unsafe impl<C: ProducerContext<DeliveryOpaque = ()>> Send for ProducerTopic<C> {}

impl<C: ProducerContext<DeliveryOpaque = ()>> ProducerTopic<C> {
    /// The topic `name` of `producer`.
    pub(crate) fn new(producer: Arc<BaseProducer<C>>, name: &str) -> Result<Self, KafkaError> {
        let name = CString::new(name).map_err(KafkaError::Nul)?;
        // SAFETY: the producer lives as long as the value does, and the name as long as the call,
        // which copies it. No configuration is passed.
        let topic = unsafe {
            sys::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut())
        };
        match topic.is_null() {
            true => Err(KafkaError::MessageProduction(RDKafkaErrorCode::UnknownTopic)),
            false => Ok(Self { producer, topic }),
        }
    }

    /// Queues a copy of `record`, which must be of this topic.
    pub(crate) fn send(&self, record: &ProducerRecordRef<'_>) -> Result<(), RDKafkaErrorCode> {
        let part = |bytes: Option<&[u8]>| {
            bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()))
        };
        let ((key, key_length), (value, length)) = (part(record.key), part(record.value));
        // SAFETY: every argument has the type that rdkafka.h declares for its tag, and the list
        // ends with the end tag. librdkafka copies keys, values and headers before the calls return
        // (`RD_KAFKA_MSG_F_COPY`). The headers belong to librdkafka if the call has succeeded, and
        // to us, who destroy them, if it has not. The opaque pointer is null, which is what rdkafka
        // passes for `()`.
        unsafe {
            let mut headers: *mut sys::rd_kafka_headers_t = ptr::null_mut();
            for (name, value) in record.headers() {
                if headers.is_null() {
                    headers = sys::rd_kafka_headers_new(16);
                }
                let code = sys::rd_kafka_header_add(
                    headers,
                    name.as_ptr().cast(),
                    name.len() as isize,
                    value.as_ptr().cast(),
                    value.len() as isize,
                );
                if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    sys::rd_kafka_headers_destroy(headers);
                    return Err(code.into());
                }
            }
            let code = sys::rd_kafka_producev(
                self.producer.client().native_ptr(),
                vtype::RD_KAFKA_VTYPE_RKT,
                self.topic,
                vtype::RD_KAFKA_VTYPE_PARTITION,
                record.partition,
                vtype::RD_KAFKA_VTYPE_MSGFLAGS,
                sys::RD_KAFKA_MSG_F_COPY,
                vtype::RD_KAFKA_VTYPE_VALUE,
                value,
                length,
                vtype::RD_KAFKA_VTYPE_KEY,
                key,
                key_length,
                vtype::RD_KAFKA_VTYPE_HEADERS,
                headers,
                vtype::RD_KAFKA_VTYPE_END,
            );
            if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Ok(());
            }
            if !headers.is_null() {
                sys::rd_kafka_headers_destroy(headers);
            }
            Err(code.into())
        }
    }
}

impl<C: ProducerContext<DeliveryOpaque = ()>> Drop for ProducerTopic<C> {
    fn drop(&mut self) {
        // SAFETY: `new` created it, it is destroyed once, and its producer lives.
        unsafe { sys::rd_kafka_topic_destroy(self.topic) }
    }
}
