-- Shared mode: the last contact of an extension that has none in Asterisk's ps_contacts any more.
CREATE TABLE last_contacts (
    id                TEXT   COLLATE "C" PRIMARY KEY,
    endpoint          TEXT   NOT NULL,
    uri               TEXT   NOT NULL,
    user_agent        TEXT   NOT NULL,
    expiration_time   BIGINT NOT NULL,
    qualify_frequency BIGINT NOT NULL,
    reg_server        TEXT   NOT NULL,
    status            TEXT   NOT NULL CHECK (status = 'Expired')
);
