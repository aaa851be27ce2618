//! Dead letters copy the record that could not be processed, and no secret.

use redpanda::{log::Headers, topics};

use crate::millrace::Millrace;

#[test]
fn dead_letter_has_the_value_of_its_record_unless_the_topic_is_secret() {
    const VALUE: &[u8] = b"not Avro";
    for topic in topics::all().of_kind("commands") {
        let mut millrace = Millrace::new();
        let name = topic.name.as_str();
        millrace.log.append(name, "key", Some(VALUE.to_vec().into()), Headers::default());

        millrace.run_until_idle();

        let dead = millrace.log.read_committed(&format!("{name}.dead"));
        let copied: Vec<_> = dead.iter().map(|letter| letter.value.as_deref()).collect();
        let expected = (name != "user.commands").then_some(VALUE);
        assert_eq!(copied, [expected], "{name}");
    }
}
