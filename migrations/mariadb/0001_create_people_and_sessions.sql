-- People. A query may read username, extension, online, sipRegistered; the last two are derived.
-- Names are one whatever their case; everything else is compared as it is written.
CREATE TABLE users (
    id            BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    username      VARCHAR(255) NOT NULL COLLATE utf8mb4_general_ci,
    extension     VARCHAR(255),
    role          VARCHAR(20)  NOT NULL CHECK (role IN ('agent', 'supervisor', 'admin')),
    online        BOOLEAN      NOT NULL DEFAULT FALSE,
    sipRegistered BOOLEAN      NOT NULL DEFAULT FALSE,
    password_hash VARCHAR(511) NOT NULL,
    sip_secret    BLOB,
    created_at    BIGINT       NOT NULL,
    UNIQUE KEY users_username_key (username),
    UNIQUE KEY users_extension_key (extension)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One sign-in on one device, from login to logout.
CREATE TABLE sessions (
    id         VARCHAR(64)  NOT NULL PRIMARY KEY,
    user_id    BIGINT       NOT NULL,
    device_id  VARCHAR(255) NOT NULL,
    state      VARCHAR(20)  NOT NULL CHECK (state IN ('signed_in', 'online', 'logging_out', 'ended')),
    claim      TEXT,
    lease      VARCHAR(20)  NOT NULL DEFAULT 'none' CHECK (lease IN ('none', 'connection', 'heartbeat')),
    started_at BIGINT       NOT NULL,
    online_at  BIGINT,
    ended_at   BIGINT,
    end_reason VARCHAR(255),
    KEY sessions_live (ended_at, user_id),
    CONSTRAINT sessions_of_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Opaque tokens, as SHA-256 only. A used refresh token stays until it ends, so that its reuse shows.
CREATE TABLE tokens (
    hash       VARBINARY(32) NOT NULL PRIMARY KEY,
    session_id VARCHAR(64)   NOT NULL,
    kind       VARCHAR(20)   NOT NULL CHECK (kind IN ('access', 'refresh')),
    expires_at BIGINT        NOT NULL,
    used_at    BIGINT,
    KEY tokens_of_session (session_id),
    KEY tokens_by_end (expires_at),
    CONSTRAINT tokens_of_sessions FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
