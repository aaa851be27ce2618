-- What the projectors of each process have applied, and when: a row for a process and a second,
-- with the steps packed. One partition for each day, as the tables of traces have.
CREATE TABLE progress (
    -- Days since 1970, by the time of the last step.
    day int NOT NULL,
    -- The times of the first and the last step, in milliseconds since 1970.
    first_ms bigint NOT NULL,
    last_ms bigint NOT NULL,
    steps bytea NOT NULL
) PARTITION BY RANGE (day);
CREATE INDEX progress_by_time ON progress (last_ms);
CREATE TABLE progress_rest PARTITION OF progress DEFAULT;
CREATE INDEX progress_rest_by_day ON progress_rest USING brin (day);
