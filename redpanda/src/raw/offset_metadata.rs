//! Reads the metadata that was committed with an offset, as bytes. It checks no encoding.

use std::ffi::CString;

use rdkafka::TopicPartitionList;
use rdkafka_sys as sys;

use crate::log::TopicPartition;

/// The metadata of `partition` in `list`; empty if there is none.
pub(crate) fn offset_metadata<'a>(
    list: &'a TopicPartitionList,
    partition: &TopicPartition,
) -> &'a [u8] {
    let Ok(topic) = CString::new(&*partition.topic) else { return &[] };
    // SAFETY: the list and its elements live as long as the reference to it, which nothing changes
    // meanwhile. The metadata belongs to the element and has the length that the element says.
    unsafe {
        let found = sys::rd_kafka_topic_partition_list_find(
            list.ptr(),
            topic.as_ptr(),
            partition.partition,
        );
        match found.as_ref() {
            Some(element) if !element.metadata.is_null() => {
                std::slice::from_raw_parts(element.metadata.cast(), element.metadata_size)
            }
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_that_is_not_utf8_is_read_as_it_is() {
        let (partition, other) = (TopicPartition::new("input", 3), TopicPartition::new("input", 4));
        let mut list = TopicPartitionList::new();
        list.add_partition(&partition.topic, partition.partition).set_metadata("t7");
        list.add_partition(&other.topic, other.partition);
        assert_eq!(offset_metadata(&list, &partition), b"t7");
        assert_eq!(offset_metadata(&list, &other), b"");
        assert_eq!(offset_metadata(&list, &TopicPartition::new("input", 5)), b"");

        // SAFETY: the list has two elements, and the first has metadata of two bytes.
        unsafe { (*(*list.ptr()).elems).metadata.cast::<u8>().write(0xff) };
        assert_eq!(offset_metadata(&list, &partition), b"\xff7");
    }
}
