-- Figures of the shop in windows of event time, one row for each window, figure and label. The primary key is the
-- order in which all writers lock rows.
CREATE TABLE statistics (
    -- 60000 (a minute) or 3600000 (an hour).
    width_ms bigint NOT NULL,
    start_ms bigint NOT NULL,
    figure text NOT NULL,
    -- The currency of a revenue, the bucket of a time, the SKU of units; else empty.
    label text NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (width_ms, start_ms, figure, label)
) WITH (fillfactor = 70);

-- When orders that have not ended yet were placed.
CREATE TABLE statistics_placed (
    order_id uuid PRIMARY KEY,
    placed_at bigint NOT NULL
);
CREATE INDEX statistics_placed_by_time ON statistics_placed (placed_at);
