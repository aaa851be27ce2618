-- Which dead letters were sent again.
ALTER TABLE operations_actions
    -- Partition and offset of the dead letter that was sent again; null for other actions.
    ADD COLUMN resent_partition int,
    ADD COLUMN resent_offset bigint;
CREATE INDEX operations_actions_by_dead_letter
    ON operations_actions (topic, resent_partition, resent_offset) WHERE resent_offset IS NOT NULL;
