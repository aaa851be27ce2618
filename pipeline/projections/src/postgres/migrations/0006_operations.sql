-- What operators see: dead letters, parked records, and who has re-driven parked keys. Rows of one key come from one
-- partition of one processor.
CREATE TABLE operations_dead_letters (
    processor text NOT NULL,
    -- The topic from which the record was read, and its partition; "<topic>.dead" holds the dead letter.
    topic text COLLATE "C" NOT NULL,
    partition int NOT NULL,
    -- The offset of the dead letter.
    dead_offset bigint NOT NULL,
    -- The offset of the record, where it is known.
    "offset" bigint,
    at bigint NOT NULL,
    error text NOT NULL,
    record_type text NOT NULL,
    key text,
    principal text,
    -- The size of the value, where the dead letter has one.
    bytes bigint,
    PRIMARY KEY (topic, partition, dead_offset)
);
CREATE INDEX operations_dead_letters_by_time ON operations_dead_letters (at, topic, partition, dead_offset);

CREATE TABLE operations_parked (
    processor text NOT NULL,
    topic text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    "offset" bigint NOT NULL,
    partition int NOT NULL,
    -- Empty for a record that only waits.
    error text,
    record_type text NOT NULL,
    principal text NOT NULL,
    bytes bigint,
    received_at bigint NOT NULL,
    parked_at bigint NOT NULL,
    PRIMARY KEY (topic, key, "offset")
);

CREATE TABLE operations_actions (
    processor text COLLATE "C" NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    at bigint NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    command_id uuid NOT NULL,
    principal text NOT NULL,
    reason text,
    released int NOT NULL,
    dropped_offset bigint,
    parked_from bigint,
    PRIMARY KEY (processor, partition, "offset")
);
CREATE INDEX operations_actions_by_time ON operations_actions (at, processor, partition, "offset");
