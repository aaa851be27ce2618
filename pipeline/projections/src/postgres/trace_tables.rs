//! The tables of traces. They follow from `topics.yaml`, as the services do, so that a new service
//! needs no migration.

use std::sync::LazyLock;

use redpanda::topics;

/// Creates the tables of every service that has none. Migrations 0005 and 0010 created those of the
/// first services.
pub(super) static CREATION: LazyLock<String> = LazyLock::new(|| {
    let changelogs = topics::all().of_kind("state");
    changelogs.map(|changelog| creation(&changelog.owner)).collect()
});

/// Creates the tables of one service, like those of the user service. They are looked up first,
/// because `IF NOT EXISTS` would wait for the writers of an index that exists.
fn creation(service: &str) -> String {
    format!(
        "DO $$ BEGIN
             IF to_regclass('trace_{service}') IS NULL THEN
                 CREATE TABLE trace_{service} (LIKE trace_user) PARTITION BY RANGE (day);
                 CREATE INDEX trace_{service}_by_correlation ON trace_{service} (correlation_id);
                 CREATE TABLE trace_{service}_rest PARTITION OF trace_{service} DEFAULT;
                 CREATE INDEX trace_{service}_rest_by_day
                     ON trace_{service}_rest USING brin (day);
                 CREATE TABLE trace_records_{service} (LIKE trace_records_user)
                     PARTITION BY RANGE (day);
                 CREATE INDEX trace_records_{service}_by_offset
                     ON trace_records_{service} (topic, partition, last_offset);
                 CREATE TABLE trace_records_{service}_rest
                     PARTITION OF trace_records_{service} DEFAULT;
                 CREATE INDEX trace_records_{service}_rest_by_day
                     ON trace_records_{service}_rest USING brin (day);
             END IF;
         END $$;"
    )
}
