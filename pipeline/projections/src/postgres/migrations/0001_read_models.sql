-- Where each projection stands in each partition, and whose it is: every claim raises the epoch, and only who holds
-- the newest one may write.
CREATE TABLE positions (
    projection text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    epoch bigint NOT NULL,
    -- The next offset to read; null before the first.
    next bigint,
    PRIMARY KEY (projection, topic, partition)
);

CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    email text NOT NULL,
    -- Set while the user owns the address. Not unique: the release of an address may arrive after its next claim.
    email_fingerprint text,
    email_since bigint NOT NULL,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('USER', 'ADMIN')),
    status text NOT NULL CHECK (status IN ('registering', 'active', 'refused', 'deactivated')),
    version bigint NOT NULL,
    registered_at bigint NOT NULL
);
CREATE INDEX users_by_fingerprint ON users (email_fingerprint) WHERE email_fingerprint IS NOT NULL;

CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    generation int NOT NULL,
    refresh_hash text NOT NULL,
    started_at bigint NOT NULL,
    refreshed_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE credentials (
    user_id uuid PRIMARY KEY,
    password_hash text NOT NULL,
    credential_version int NOT NULL,
    changed_at bigint NOT NULL
);

CREATE TABLE outcomes (
    command_id uuid PRIMARY KEY,
    command_type text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('ACCEPTED', 'REFUSED', 'FAILED')),
    code text,
    detail text,
    aggregate text NOT NULL,
    aggregate_id text NOT NULL,
    version bigint NOT NULL,
    principal text NOT NULL,
    fingerprint text,
    decided_at bigint NOT NULL
);
CREATE INDEX outcomes_by_time ON outcomes (decided_at);
