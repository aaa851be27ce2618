//! Reads the headers of a message as bytes. It checks no encoding.

use std::{ffi::CStr, ptr};

use rdkafka::message::BorrowedHeaders;
use rdkafka_sys as sys;

use crate::log::Headers;

/// Appends all headers of `found` to `headers`. librdkafka ends a name at its first zero byte.
pub(crate) fn copy_headers(found: &BorrowedHeaders, headers: &mut Headers) {
    let list = ptr::from_ref(found).cast::<sys::rd_kafka_headers_t>();
    for index in 0.. {
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: rdkafka's reference to headers is librdkafka's pointer to them
        // (`BorrowedHeaders::from_native_ptr`), and they live as long as it does. Name and value
        // belong to them; both are copied here. A name ends with a zero byte; an empty value may be
        // null.
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
