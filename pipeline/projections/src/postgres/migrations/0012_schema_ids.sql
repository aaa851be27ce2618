-- The registry's id of the schema that a value was written with; null if it names none, or if the
-- row is older than this column.
ALTER TABLE operations_dead_letters ADD COLUMN schema_id bigint;
ALTER TABLE operations_parked ADD COLUMN schema_id bigint;
