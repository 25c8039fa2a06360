-- Shared mode: the last contact of an extension that has none in Asterisk's ps_contacts any more.
CREATE TABLE last_contacts (
    id                VARCHAR(255) NOT NULL PRIMARY KEY,
    endpoint          VARCHAR(255) NOT NULL,
    uri               VARCHAR(511) NOT NULL,
    user_agent        VARCHAR(255) NOT NULL,
    expiration_time   BIGINT       NOT NULL,
    qualify_frequency BIGINT       NOT NULL,
    reg_server        VARCHAR(255) NOT NULL,
    status            VARCHAR(20)  NOT NULL CHECK (status = 'Expired')
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
