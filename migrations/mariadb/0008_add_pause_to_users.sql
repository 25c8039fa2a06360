-- What people want of the extension's pause: paused for a reason, or the pauses for a reason (without
-- one: all that people made) ended. NULL once nothing is wanted any more.
ALTER TABLE users ADD COLUMN pause VARCHAR(16) CHECK (pause IN ('paused', 'ended'));
ALTER TABLE users ADD COLUMN pause_reason VARCHAR(32);
ALTER TABLE users ADD COLUMN pause_at BIGINT;
