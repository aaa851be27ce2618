//! The one file with `unsafe`: librdkafka's commit, flush, send and headers, called without the
//! detour of the crate, and IncrementalAlterConfigs, CreateAcls and a queue of log lines, which the
//! crate lacks. It never panics on what a record holds.
//!
//! rdkafka's `commit_transaction` flushes first, in fixed steps of 100 ms, so a transaction of ten
//! records takes 101 ms instead of 4. librdkafka flushes by itself inside its commit; all that is
//! needed is to call it. The crate's `send` has a topic looked up by its name, which it copies, and
//! each header allocated twice. Its headers panic on a name that is not UTF-8.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, CString},
    ptr,
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    client::{Client, ClientContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedHeaders,
    producer::{BaseProducer, Producer, ProducerContext},
};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_vtype_t as vtype;

use crate::{
    acls::{Operation, Resource, Rule},
    batch::Written,
    log::Headers,
};

/// How a commit failed, as librdkafka classifies it.
#[derive(Debug)]
pub struct CommitError {
    /// Its code.
    pub code: RDKafkaErrorCode,
    /// What it says.
    pub text: String,
    /// The producer can't be used any more.
    pub fatal: bool,
    /// The same call may work.
    pub retriable: bool,
    /// The transaction must be aborted; then the next may begin.
    pub requires_abort: bool,
}

/// Commits the open transaction of `producer`, which must be polled by another thread meanwhile.
/// Blocks for up to `timeout`.
///
/// # Errors
/// As librdkafka says; what is to be done then stands in the error's flags.
pub fn commit_transaction<C: ProducerContext>(
    producer: &impl Producer<C>,
    timeout: Duration,
) -> Result<(), CommitError> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer is of a client that `producer` keeps alive during the call, and
    // librdkafka's client is safe to use from several threads. The error, where there is one, is
    // ours: it is read while it lives and destroyed once; its string is copied before.
    unsafe {
        let error = sys::rd_kafka_commit_transaction(producer.client().native_ptr(), timeout_ms);
        if error.is_null() {
            return Ok(());
        }
        let result = CommitError {
            code: sys::rd_kafka_error_code(error).into(),
            text: CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
            fatal: sys::rd_kafka_error_is_fatal(error) == 1,
            retriable: sys::rd_kafka_error_is_retriable(error) == 1,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) == 1,
        };
        sys::rd_kafka_error_destroy(error);
        Err(result)
    }
}

/// Waits until the broker has answered to all that `producer` was given, for up to `timeout`;
/// whether it has. Another thread must poll meanwhile.
pub(crate) fn flush<C: ProducerContext>(producer: &impl Producer<C>, timeout: Duration) -> bool {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: as above; the answer is a plain number.
    let code = unsafe { sys::rd_kafka_flush(producer.client().native_ptr(), timeout_ms) };
    code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// A queue of its own for what a producer logs. A line that was logged before [`LogQueue::drain`]
/// is called is told before it returns; in the client's main queue another thread may have taken it
/// and not told it yet.
pub(crate) struct LogQueue<C: ProducerContext<DeliveryOpaque = ()> + 'static> {
    producer: Arc<BaseProducer<C>>,
    queue: *mut sys::rd_kafka_queue_t,
}

// SAFETY: librdkafka's queues may be used by any thread, as its clients may; the pointer is this
// value's alone.
unsafe impl<C: ProducerContext<DeliveryOpaque = ()>> Send for LogQueue<C> {}

impl<C: ProducerContext<DeliveryOpaque = ()>> LogQueue<C> {
    /// From now on `producer` logs into this queue.
    pub(crate) fn of(producer: Arc<BaseProducer<C>>) -> Result<Self, KafkaError> {
        // SAFETY: the producer lives as long as the value does, whose queue is made here and
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

    /// Tells level, facility and text of all that was logged, in order. It never waits.
    pub(crate) fn drain(&mut self, mut tell: impl FnMut(i32, &str, &str)) {
        loop {
            // SAFETY: the queue lives as long as this value. The strings belong to the event, which
            // is destroyed once, behind their last use; they are not null where the call says that
            // the event is a line of the log.
            unsafe {
                let event = sys::rd_kafka_queue_poll(self.queue, 0);
                if event.is_null() {
                    return;
                }
                let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
                if sys::rd_kafka_event_log(event, &mut facility, &mut text, &mut level) == 0 {
                    tell(level, &owned(facility), &owned(text));
                }
                sys::rd_kafka_event_destroy(event);
            }
        }
    }
}

impl<C: ProducerContext<DeliveryOpaque = ()>> Drop for LogQueue<C> {
    fn drop(&mut self) {
        // SAFETY: the producer lives, and logs into its main queue again before this one goes.
        unsafe {
            sys::rd_kafka_set_log_queue(self.producer.client().native_ptr(), ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// A topic as a producer knows it.
pub(crate) struct ProducerTopic<C: ProducerContext<DeliveryOpaque = ()> + 'static> {
    producer: Arc<BaseProducer<C>>,
    topic: *mut sys::rd_kafka_topic_t,
}

// SAFETY: librdkafka's topics may be used by any thread, as its clients may; the pointer is this
// value's alone.
unsafe impl<C: ProducerContext<DeliveryOpaque = ()>> Send for ProducerTopic<C> {}

impl<C: ProducerContext<DeliveryOpaque = ()>> ProducerTopic<C> {
    /// The topic `name` of `producer`.
    pub(crate) fn new(producer: Arc<BaseProducer<C>>, name: &str) -> Result<Self, KafkaError> {
        let name = CString::new(name).map_err(KafkaError::Nul)?;
        // SAFETY: the producer lives as long as the value does, and the name as long as the call,
        // which copies it. No configuration is handed over.
        let topic = unsafe {
            sys::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut())
        };
        match topic.is_null() {
            true => Err(KafkaError::MessageProduction(RDKafkaErrorCode::UnknownTopic)),
            false => Ok(Self { producer, topic }),
        }
    }

    /// Queues a copy of `record`, whose topic this must be.
    pub(crate) fn send(&self, record: &Written<'_>) -> Result<(), RDKafkaErrorCode> {
        let part = |bytes: Option<&[u8]>| {
            bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()))
        };
        let ((key, key_length), (value, length)) = (part(record.key), part(record.value));
        // SAFETY: every argument has the type that stands behind its tag in rdkafka.h, and the list
        // ends with the tag for that. Keys, values and headers are copied before the calls return
        // (`RD_KAFKA_MSG_F_COPY`). The headers belong to librdkafka when the call has succeeded,
        // and to us, who destroy them, when it has not. The opaque pointer is null, which is what
        // the crate has for `()`.
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
        // SAFETY: it was made in `new`, is destroyed once, and its producer lives.
        unsafe { sys::rd_kafka_topic_destroy(self.topic) }
    }
}

/// Appends what `found` holds to `headers`, names and values as bytes. librdkafka ends a name at
/// its first zero byte.
pub(crate) fn copy_headers(found: &BorrowedHeaders, headers: &mut Headers) {
    let list = ptr::from_ref(found).cast::<sys::rd_kafka_headers_t>();
    for index in 0.. {
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the crate's reference to headers is librdkafka's pointer to them
        // (`BorrowedHeaders::from_native_ptr`), and they live as long as it does. Name and value
        // belong to them; both are copied here. A name ends with a zero byte; a value without bytes
        // may be null.
        unsafe {
            let code =
                sys::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut length);
            if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            let value: &[u8] = match value.is_null() {
                true => &[],
                false => std::slice::from_raw_parts(value.cast(), length),
            };
            headers.push(CStr::from_ptr(name).to_bytes(), value);
        }
    }
}

/// Sets these settings of a topic and no others (IncrementalAlterConfigs). Blocks for up to
/// `timeout`.
///
/// # Errors
/// The code and the text of the broker's answer, or of what kept the client from getting one.
pub(crate) fn set_topic_configs<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    settings: &[(&str, &str)],
    timeout: Duration,
) -> Result<(), (RDKafkaErrorCode, String)> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let text = |text: &str| {
        CString::new(text).map_err(|error| (RDKafkaErrorCode::InvalidArgument, error.to_string()))
    };
    let name = text(topic)?;
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| Ok((text(name)?, text(value)?)))
        .collect::<Result<_, _>>()?;
    // SAFETY: `client` lives as long as the call and with it the handle that queue and options are
    // made of. Every object is destroyed exactly once, behind its last use: librdkafka copies the
    // resource (and the strings in it) before `rd_kafka_IncrementalAlterConfigs` returns, so that
    // it may go at once; the queue goes last, and an answer that comes later than the timeout is
    // dropped with it. Strings of the event are copied before the event is destroyed. Pointers that
    // may be null are checked.
    unsafe {
        let handle = client.native_ptr();
        let resource = sys::rd_kafka_ConfigResource_new(
            sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
            name.as_ptr(),
        );
        for (name, value) in &settings {
            let error = sys::rd_kafka_ConfigResource_add_incremental_config(
                resource,
                name.as_ptr(),
                sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET,
                value.as_ptr(),
            );
            if !error.is_null() {
                let result = (
                    sys::rd_kafka_error_code(error).into(),
                    owned(sys::rd_kafka_error_string(error)),
                );
                sys::rd_kafka_error_destroy(error);
                sys::rd_kafka_ConfigResource_destroy(resource);
                return Err(result);
            }
        }
        let queue = sys::rd_kafka_queue_new(handle);
        let options = sys::rd_kafka_AdminOptions_new(
            handle,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
        );
        // Where a timeout is out of bounds, librdkafka's own is left.
        sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
        let mut resources = [resource];
        sys::rd_kafka_IncrementalAlterConfigs(handle, resources.as_mut_ptr(), 1, options, queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_ConfigResource_destroy(resource);

        // The client's own timeout comes first and is an event too.
        let event = sys::rd_kafka_queue_poll(queue, timeout_ms.saturating_add(1000));
        let result = if event.is_null() {
            Err((RDKafkaErrorCode::OperationTimedOut, "no answer".to_owned()))
        } else {
            let answer = answer_of(event);
            sys::rd_kafka_event_destroy(event);
            answer
        };
        sys::rd_kafka_queue_destroy(queue);
        result
    }
}

/// What an event that answers IncrementalAlterConfigs says about its first resource.
///
/// # Safety
/// `event` is a live event of librdkafka.
unsafe fn answer_of(event: *mut sys::rd_kafka_event_t) -> Result<(), (RDKafkaErrorCode, String)> {
    let none = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: the event lives as long as the call, and what it gives belongs to it and lives as
    // long as it does.
    unsafe {
        let code = sys::rd_kafka_event_error(event);
        if code != none {
            return Err((code.into(), owned(sys::rd_kafka_event_error_string(event))));
        }
        let answer = sys::rd_kafka_event_IncrementalAlterConfigs_result(event);
        let mut count = 0;
        let resources = match answer.is_null() {
            true => ptr::null_mut(),
            false => sys::rd_kafka_IncrementalAlterConfigs_result_resources(answer, &mut count),
        };
        if resources.is_null() || count == 0 {
            return Err((RDKafkaErrorCode::Fail, "an answer to something else".to_owned()));
        }
        let code = sys::rd_kafka_ConfigResource_error(*resources);
        match code == none {
            true => Ok(()),
            false => {
                Err((code.into(), owned(sys::rd_kafka_ConfigResource_error_string(*resources))))
            }
        }
    }
}

/// Creates `rules`, which the crate can't. Rules that are there already are left as they are.
///
/// # Errors
/// The code and the text of the first refusal, or of what kept the client from getting an answer.
pub(crate) fn create_acls<C: ClientContext>(
    client: &Client<C>,
    rules: &[Rule<'_>],
    timeout: Duration,
) -> Result<(), (RDKafkaErrorCode, String)> {
    use sys::{
        rd_kafka_AclOperation_t as Op, rd_kafka_ResourcePatternType_t as Pattern,
        rd_kafka_ResourceType_t as Kind,
    };
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let text = |text: &str| {
        CString::new(text).map_err(|error| (RDKafkaErrorCode::InvalidArgument, error.to_string()))
    };
    let mut wanted = Vec::new();
    for rule in rules {
        let kind = match rule.resource {
            Resource::Topic => Kind::RD_KAFKA_RESOURCE_TOPIC,
            Resource::Group => Kind::RD_KAFKA_RESOURCE_GROUP,
            Resource::TransactionalId => Kind::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
        };
        let pattern = match rule.prefixed {
            true => Pattern::RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
            false => Pattern::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
        };
        for operation in rule.operations {
            let operation = match operation {
                Operation::Read => Op::RD_KAFKA_ACL_OPERATION_READ,
                Operation::Write => Op::RD_KAFKA_ACL_OPERATION_WRITE,
                Operation::Create => Op::RD_KAFKA_ACL_OPERATION_CREATE,
                Operation::Alter => Op::RD_KAFKA_ACL_OPERATION_ALTER,
                Operation::Describe => Op::RD_KAFKA_ACL_OPERATION_DESCRIBE,
                Operation::DescribeConfigs => Op::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
                Operation::AlterConfigs => Op::RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS,
            };
            let principal = text(&format!("User:{}", rule.program))?;
            wanted.push((kind, text(&rule.name)?, pattern, principal, operation));
        }
    }
    // SAFETY: as in `set_topic_configs`. Strings live until the bindings have copied them, and the
    // array of bindings until `rd_kafka_CreateAcls` has; both are destroyed once, behind their last
    // use.
    unsafe {
        let mut bindings = Vec::with_capacity(wanted.len());
        let (mut cause, any) = ([0_u8; 256], c"*");
        for (kind, name, pattern, principal, operation) in &wanted {
            let binding = sys::rd_kafka_AclBinding_new(
                *kind,
                name.as_ptr(),
                *pattern,
                principal.as_ptr(),
                any.as_ptr(),
                *operation,
                sys::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
                cause.as_mut_ptr().cast(),
                cause.len(),
            );
            if binding.is_null() {
                sys::rd_kafka_AclBinding_destroy_array(bindings.as_mut_ptr(), bindings.len());
                return Err((RDKafkaErrorCode::InvalidArgument, owned(cause.as_ptr().cast())));
            }
            bindings.push(binding);
        }
        let handle = client.native_ptr();
        let queue = sys::rd_kafka_queue_new(handle);
        let options = sys::rd_kafka_AdminOptions_new(
            handle,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEACLS,
        );
        sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
        sys::rd_kafka_CreateAcls(handle, bindings.as_mut_ptr(), bindings.len(), options, queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_AclBinding_destroy_array(bindings.as_mut_ptr(), bindings.len());

        let event = sys::rd_kafka_queue_poll(queue, timeout_ms.saturating_add(1000));
        let result = if event.is_null() {
            Err((RDKafkaErrorCode::OperationTimedOut, "no answer".to_owned()))
        } else {
            let answer = acls_answer_of(event);
            sys::rd_kafka_event_destroy(event);
            answer
        };
        sys::rd_kafka_queue_destroy(queue);
        result
    }
}

/// What an event that answers CreateAcls says: its first error.
///
/// # Safety
/// `event` is a live event of librdkafka.
unsafe fn acls_answer_of(
    event: *mut sys::rd_kafka_event_t,
) -> Result<(), (RDKafkaErrorCode, String)> {
    let none = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: as in `answer_of`; the array has as many results as the count says.
    unsafe {
        let code = sys::rd_kafka_event_error(event);
        if code != none {
            return Err((code.into(), owned(sys::rd_kafka_event_error_string(event))));
        }
        let answer = sys::rd_kafka_event_CreateAcls_result(event);
        if answer.is_null() {
            return Err((RDKafkaErrorCode::Fail, "an answer to something else".to_owned()));
        }
        let mut count = 0;
        let results = sys::rd_kafka_CreateAcls_result_acls(answer, &mut count);
        for index in 0..count {
            let error = sys::rd_kafka_acl_result_error(*results.add(index));
            if !error.is_null() && sys::rd_kafka_error_code(error) != none {
                let code = sys::rd_kafka_error_code(error).into();
                return Err((code, owned(sys::rd_kafka_error_string(error))));
            }
        }
        Ok(())
    }
}

/// A copy of a string of librdkafka; empty when there is none.
///
/// # Safety
/// `text` is null or points to a string that ends with a zero byte and lives as long as the call.
unsafe fn owned(text: *const std::ffi::c_char) -> String {
    match text.is_null() {
        true => String::new(),
        // SAFETY: as above.
        false => unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned(),
    }
}
