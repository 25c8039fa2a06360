-- People. A query may read username, extension, online, sipRegistered; the last two are derived.
CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    username      TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    extension     TEXT    UNIQUE,
    role          TEXT    NOT NULL CHECK (role IN ('agent', 'supervisor', 'admin')),
    online        INTEGER NOT NULL DEFAULT 0 CHECK (online IN (0, 1)),
    sipRegistered INTEGER NOT NULL DEFAULT 0 CHECK (sipRegistered IN (0, 1)),
    password_hash TEXT    NOT NULL,
    sip_secret    BLOB,
    created_at    INTEGER NOT NULL
);

-- One sign-in on one device, from login to logout.
CREATE TABLE sessions (
    id         TEXT    PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_id  TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('signed_in', 'online', 'logging_out', 'ended')),
    claim      TEXT,
    lease      TEXT    NOT NULL DEFAULT 'none' CHECK (lease IN ('none', 'connection', 'heartbeat')),
    started_at INTEGER NOT NULL,
    online_at  INTEGER,
    ended_at   INTEGER,
    end_reason TEXT
) WITHOUT ROWID;
CREATE INDEX sessions_live ON sessions (ended_at, user_id);

-- Opaque tokens, as SHA-256 only. A used refresh token stays until it ends, so that its reuse shows.
CREATE TABLE tokens (
    hash       BLOB    PRIMARY KEY,
    session_id TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL CHECK (kind IN ('access', 'refresh')),
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) WITHOUT ROWID;
CREATE INDEX tokens_of_session ON tokens (session_id);
CREATE INDEX tokens_by_end ON tokens (expires_at);
