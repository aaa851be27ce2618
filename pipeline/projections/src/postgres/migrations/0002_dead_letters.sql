-- Records that a projection has passed over because no version can project them; the log still has them.
CREATE TABLE dead_letters (
    projection text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, topic, partition, "offset")
);

-- A B-tree refuses entries above 2,704 bytes, a hash index takes a fingerprint of any length.
DROP INDEX users_by_fingerprint;
CREATE INDEX users_by_fingerprint ON users USING hash (email_fingerprint);
