//! Copies C strings. It keeps no pointer.

use std::ffi::CStr;

/// A copy of a string of librdkafka; empty if there is none.
///
/// # Safety
/// `text` is null or points to a string that ends with a zero byte and lives as long as the call.
pub(super) unsafe fn owned(text: *const std::ffi::c_char) -> String {
    match text.is_null() {
        true => String::new(),
        // SAFETY: the caller guarantees it.
        false => unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned(),
    }
}
