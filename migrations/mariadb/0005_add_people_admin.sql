-- Who is disabled keeps their row and their history, and signs in no more.
ALTER TABLE users ADD COLUMN disabled_at BIGINT;
-- A session whose tokens are good together with its device's id only.
ALTER TABLE sessions ADD COLUMN bound BOOLEAN NOT NULL DEFAULT FALSE;
-- Shared mode: the session's own row in Asterisk's ps_auths, and its SIP password, sealed.
ALTER TABLE sessions ADD COLUMN sip_auth VARCHAR(255);
ALTER TABLE sessions ADD COLUMN sip_secret BLOB;
-- Every privileged act: who did what to whom, from where. Never changed, never holds a secret.
CREATE TABLE audit (
    id      BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at      BIGINT       NOT NULL,
    actor   VARCHAR(255) NOT NULL,
    address VARCHAR(255),
    action  VARCHAR(255) NOT NULL,
    target  VARCHAR(255),
    detail  MEDIUMTEXT   NOT NULL,
    KEY audit_by_time (at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
