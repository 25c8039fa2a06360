-- Every intent, observation, decision and repair, with what it stands on. The id is its sequence.
CREATE TABLE ledger (
    id        BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at        BIGINT       NOT NULL,
    extension VARCHAR(255),
    device_id VARCHAR(255),
    kind      VARCHAR(20)  NOT NULL CHECK (kind IN ('intent', 'observation', 'decision', 'repair')),
    source    VARCHAR(255) NOT NULL,
    rule      VARCHAR(255),
    what      VARCHAR(255) NOT NULL,
    detail    MEDIUMTEXT   NOT NULL,
    KEY ledger_of_extension (extension, at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
