-- When a user was refused or deactivated, in milliseconds since the epoch: from then on the row's retention counts.
ALTER TABLE users ADD COLUMN ended_at bigint;
UPDATE users SET ended_at = (extract(epoch FROM now()) * 1000)::bigint WHERE status IN ('refused', 'deactivated');
CREATE INDEX users_by_end ON users (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_by_end ON sessions (expires_at);
