-- The records that each command caused, as the projection of each service has read them: a row for
-- a command and a poll, with the records packed. One table for each service, so that one can be
-- emptied without the others; one partition for each day, so that old days are dropped.
CREATE TABLE trace_user (
    -- Days since 1970, by the time of the records.
    day int NOT NULL,
    correlation_id uuid NOT NULL,
    entries bytea NOT NULL
) PARTITION BY RANGE (day);
CREATE INDEX trace_user_by_correlation ON trace_user (correlation_id);
CREATE TABLE trace_order (LIKE trace_user) PARTITION BY RANGE (day);
CREATE INDEX trace_order_by_correlation ON trace_order (correlation_id);
CREATE TABLE trace_notification (LIKE trace_user) PARTITION BY RANGE (day);
CREATE INDEX trace_notification_by_correlation ON trace_notification (correlation_id);

-- Rows of days without a partition: the first day, and those of a projector that was stopped for
-- days.
CREATE TABLE trace_user_rest PARTITION OF trace_user DEFAULT;
CREATE INDEX trace_user_rest_by_day ON trace_user_rest USING brin (day);
CREATE TABLE trace_order_rest PARTITION OF trace_order DEFAULT;
CREATE INDEX trace_order_rest_by_day ON trace_order_rest USING brin (day);
CREATE TABLE trace_notification_rest PARTITION OF trace_notification DEFAULT;
CREATE INDEX trace_notification_rest_by_day ON trace_notification_rest USING brin (day);

-- Drops the partitions before `first_day`, deletes up to `most` rows of such days from the rest,
-- and creates the partitions of today and the two days after it. Returns a row for each partition
-- that it has dropped and each row that it has deleted.
CREATE FUNCTION keep_trace(name text, first_day int, today int, most bigint)
RETURNS SETOF int LANGUAGE plpgsql AS $$
DECLARE
    old text;
    old_day int;
    is_in_rest boolean;
BEGIN
    -- One at a time; another one does the same.
    IF NOT pg_try_advisory_xact_lock(hashtext('keep_trace ' || name)) THEN
        RETURN;
    END IF;
    -- Locks of partitions wait for writers, and readers wait behind them.
    PERFORM set_config('lock_timeout', '1s', true);
    FOR old, old_day IN
        SELECT relname, substring(relname FROM '_([0-9]+)$')::int FROM pg_inherits
        JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = name::regclass
    LOOP
        IF old_day < first_day THEN
            EXECUTE format('DROP TABLE %I', old);
            RETURN NEXT old_day;
        END IF;
    END LOOP;
    RETURN QUERY EXECUTE format(
        'DELETE FROM %1$I WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM %1$I WHERE day < $1 LIMIT $2)) RETURNING day',
        name || '_rest') USING first_day, most;
    FOR day IN today .. today + 2 LOOP
        CONTINUE WHEN to_regclass(format('%I', name || '_' || day)) IS NOT NULL;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE day = $1)', name || '_rest')
            INTO is_in_rest USING day;
        IF NOT is_in_rest THEN
            -- A row of a common size stays in one piece.
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)
                     WITH (toast_tuple_target = 8160)',
                name || '_' || day, name, day, day + 1);
        END IF;
    END LOOP;
END
$$;
