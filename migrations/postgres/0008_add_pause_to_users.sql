-- What people want of the extension's pause: paused for a reason, or the pauses for a reason (without
-- one: all that people made) ended. NULL once nothing is wanted any more.
ALTER TABLE users ADD COLUMN pause TEXT CHECK (pause IN ('paused', 'ended'));
ALTER TABLE users ADD COLUMN pause_reason TEXT;
ALTER TABLE users ADD COLUMN pause_at BIGINT;
