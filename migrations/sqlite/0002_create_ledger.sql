-- Every intent, observation, decision and repair, with what it stands on. The id is its sequence.
CREATE TABLE ledger (
    id        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    extension TEXT,
    device_id TEXT,
    kind      TEXT    NOT NULL CHECK (kind IN ('intent', 'observation', 'decision', 'repair')),
    source    TEXT    NOT NULL,
    rule      TEXT,
    what      TEXT    NOT NULL,
    detail    TEXT    NOT NULL
);
CREATE INDEX ledger_of_extension ON ledger (extension, at);
