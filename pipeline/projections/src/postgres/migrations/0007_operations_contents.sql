-- What records say, and who has read the personal fields of dead letters.
ALTER TABLE operations_dead_letters
    -- A JSON object; null if the content is not kept.
    ADD COLUMN headers text,
    -- JSON with personal fields masked; null if there is none.
    ADD COLUMN value text,
    -- The same with its personal fields, if it has any.
    ADD COLUMN personal text,
    -- Why there is no value.
    ADD COLUMN omitted text;
ALTER TABLE operations_parked
    ADD COLUMN headers text,
    ADD COLUMN value text,
    ADD COLUMN omitted text;
ALTER TABLE operations_actions
    -- The offset of the dead letter whose personal fields were read; null for a re-drive.
    ADD COLUMN revealed_offset bigint;
