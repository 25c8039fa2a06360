-- What a retry may hear again, also after a restart. trade_key is the SHA-256 of the idempotency key
-- of the request that used the token up: a refresh, or the logout of its session. answer is that of
-- the refresh, sealed with the token itself, of which this table has only the hash.
ALTER TABLE tokens ADD COLUMN trade_key BYTEA;
ALTER TABLE tokens ADD COLUMN answer BYTEA;
