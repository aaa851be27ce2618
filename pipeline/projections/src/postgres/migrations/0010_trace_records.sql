-- The command that caused each record, by the record's place in the log: a row for a poll and a
-- partition, with the offsets packed. One table for each service and one partition for each day,
-- which `keep_trace` (0005) creates and drops.
CREATE TABLE trace_records_user (
    -- Days since 1970, by the newest record of the row.
    day int NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    last_offset bigint NOT NULL,
    commands bytea NOT NULL
) PARTITION BY RANGE (day);
CREATE INDEX trace_records_user_by_offset ON trace_records_user (topic, partition, last_offset);
CREATE TABLE trace_records_order (LIKE trace_records_user) PARTITION BY RANGE (day);
CREATE INDEX trace_records_order_by_offset ON trace_records_order (topic, partition, last_offset);
CREATE TABLE trace_records_notification (LIKE trace_records_user) PARTITION BY RANGE (day);
CREATE INDEX trace_records_notification_by_offset
    ON trace_records_notification (topic, partition, last_offset);

-- Rows of days without a partition.
CREATE TABLE trace_records_user_rest PARTITION OF trace_records_user DEFAULT;
CREATE INDEX trace_records_user_rest_by_day ON trace_records_user_rest USING brin (day);
CREATE TABLE trace_records_order_rest PARTITION OF trace_records_order DEFAULT;
CREATE INDEX trace_records_order_rest_by_day ON trace_records_order_rest USING brin (day);
CREATE TABLE trace_records_notification_rest PARTITION OF trace_records_notification DEFAULT;
CREATE INDEX trace_records_notification_rest_by_day
    ON trace_records_notification_rest USING brin (day);
