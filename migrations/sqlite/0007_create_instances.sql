-- Servers that use this database, a row each: id is that of its data folder, run that of the process.
-- Times are each server's own and are for people to read: nobody compares two machines' clocks.
CREATE TABLE instances (
    id         TEXT NOT NULL PRIMARY KEY,
    run        TEXT NOT NULL,
    name       TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
);
-- Who speaks with an Asterisk's manager, and decides by what it hears. beats goes up while that one
-- lives: whoever has watched it stand still for long enough may put itself in the row, if it stands still yet.
CREATE TABLE managers (
    address  TEXT NOT NULL PRIMARY KEY,
    instance TEXT NOT NULL,
    run      TEXT NOT NULL,
    beats    INTEGER NOT NULL
);
