-- Lines older than the ledger is kept are found without reading the others.
CREATE INDEX ledger_by_time ON ledger (at);
