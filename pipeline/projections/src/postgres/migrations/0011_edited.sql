-- Which parked records were edited.
ALTER TABLE operations_actions
    -- The offset of the record that was applied with another value; null for other actions.
    ADD COLUMN edited_offset bigint,
    -- Its value before and after as JSON, with personal fields masked; null if there is none.
    ADD COLUMN value_before text,
    ADD COLUMN value_after text;
