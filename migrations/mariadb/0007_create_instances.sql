-- Servers that use this database, a row each: id is that of its data folder, run that of the process.
-- Times are each server's own and are for people to read: nobody compares two machines' clocks.
CREATE TABLE instances (
    id         VARCHAR(255) NOT NULL PRIMARY KEY,
    run        VARCHAR(255) NOT NULL,
    name       VARCHAR(255) NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
-- Who speaks with an Asterisk's manager, and decides by what it hears. beats goes up while that one
-- lives: whoever has watched it stand still for long enough may put itself in the row, if it stands still yet.
CREATE TABLE managers (
    address  VARCHAR(255) NOT NULL PRIMARY KEY,
    instance VARCHAR(255) NOT NULL,
    run      VARCHAR(255) NOT NULL,
    beats    BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
