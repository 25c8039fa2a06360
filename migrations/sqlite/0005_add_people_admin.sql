-- Who is disabled keeps their row and their history, and signs in no more.
ALTER TABLE users ADD COLUMN disabled_at INTEGER;
-- A session whose tokens are good together with its device's id only.
ALTER TABLE sessions ADD COLUMN bound INTEGER NOT NULL DEFAULT 0 CHECK (bound IN (0, 1));
-- Shared mode: the session's own row in Asterisk's ps_auths, and its SIP password, sealed.
ALTER TABLE sessions ADD COLUMN sip_auth TEXT;
ALTER TABLE sessions ADD COLUMN sip_secret BLOB;
-- Every privileged act: who did what to whom, from where. Never changed, never holds a secret.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    address TEXT,
    action  TEXT    NOT NULL,
    target  TEXT,
    detail  TEXT    NOT NULL
);
CREATE INDEX audit_by_time ON audit (at);
