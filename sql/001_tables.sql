-- Step 1: the tables.
--
-- Ids are the 16 bytes of a UUID; emails, token digests and external ids are bytes, so that no collation folds
-- them; times are UTC with milliseconds. No foreign keys: every write is a procedure that holds its parent's row,
-- and the checks of foreign keys would take locks in an order of their own.

CREATE TABLE IF NOT EXISTS users (
    id          BINARY(16)     NOT NULL,
    email       VARBINARY(254) NOT NULL,             -- lower case (ASCII)
    name        VARCHAR(200)   NULL,
    external_id VARBINARY(255) NULL,
    superuser   BOOLEAN        NOT NULL DEFAULT FALSE,
    active      BOOLEAN        NOT NULL DEFAULT TRUE,
    guard       BIGINT UNSIGNED NOT NULL DEFAULT 0,  -- written where a rule is decided under this row's lock
    created_at  DATETIME(3)    NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY users_email (email),
    UNIQUE KEY users_external_id (external_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS tokens (
    id         BINARY(16)   NOT NULL,
    user_id    BINARY(16)   NOT NULL,
    hash       BINARY(32)   NOT NULL,                -- SHA-256 of the token
    label      VARCHAR(200) NULL,
    created_at DATETIME(3)  NOT NULL,
    expires_at DATETIME(3)  NULL,
    revoked_at DATETIME(3)  NULL,
    PRIMARY KEY (id),
    UNIQUE KEY tokens_hash (hash),
    KEY tokens_user (user_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS organizations (
    id              BINARY(16)      NOT NULL,
    name            VARCHAR(200)    NOT NULL,
    description     VARCHAR(4000)   NULL,
    active          BOOLEAN         NOT NULL DEFAULT TRUE,
    members         INT UNSIGNED    NOT NULL,            -- counts the memberships
    seq             BIGINT UNSIGNED NOT NULL,            -- of its last event
    version         BIGINT UNSIGNED NOT NULL,            -- moves with the organization and its license
    license_version BIGINT UNSIGNED NOT NULL DEFAULT 1,  -- moves with the assignment alone
    guard           BIGINT UNSIGNED NOT NULL DEFAULT 0,
    created_by      BINARY(16)      NOT NULL,
    created_at      DATETIME(3)     NOT NULL,
    updated_at      DATETIME(3)     NOT NULL,
    PRIMARY KEY (id),
    KEY organizations_creator (created_by)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS memberships (
    organization_id BINARY(16)  NOT NULL,
    user_id         BINARY(16)  NOT NULL,
    role            ENUM('member', 'admin') CHARACTER SET ascii NOT NULL,
    joined_at       DATETIME(3) NOT NULL,
    PRIMARY KEY (user_id, organization_id),
    UNIQUE KEY memberships_joined (organization_id, joined_at, user_id),
    KEY memberships_role (organization_id, role, user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS licenses (
    id              BINARY(16)   NOT NULL,
    plan            VARCHAR(64)  NOT NULL,
    seats           INT UNSIGNED NULL,               -- null: unlimited
    starts_at       DATETIME(3)  NULL,
    expires_at      DATETIME(3)  NULL,
    suspended       BOOLEAN      NOT NULL DEFAULT FALSE,
    revoked         BOOLEAN      NOT NULL DEFAULT FALSE,
    organization_id BINARY(16)   NULL,               -- who holds it
    assigned_at     DATETIME(3)  NULL,
    reserved_for    BINARY(16)   NULL,               -- the organization it left
    reserved_by     BINARY(16)   NULL,               -- the user who deleted that organization
    created_at      DATETIME(3)  NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY licenses_organization (organization_id),
    KEY licenses_reserved (reserved_for, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS deployments (
    id          BINARY(16)    NOT NULL,
    license_id  BINARY(16)    NOT NULL,
    name        VARCHAR(200)  NOT NULL,
    environment VARCHAR(64)   NULL,
    url         VARCHAR(2000) NULL,
    version     VARCHAR(64)   NULL,
    status      VARCHAR(64)   NOT NULL,
    created_at  DATETIME(3)   NOT NULL,
    updated_at  DATETIME(3)   NOT NULL,
    PRIMARY KEY (id),
    KEY deployments_license (license_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The trail, the mark by which a lost write is settled, and the memory of Idempotency-Key.
-- action 'abandoned' (no organization, no seq): a write that never was and never can be any more.
CREATE TABLE IF NOT EXISTS events (
    id              BINARY(16)      NOT NULL,
    organization_id BINARY(16)      NULL,
    seq             BIGINT UNSIGNED NULL,
    at              DATETIME(3)     NOT NULL,
    actor_id        BINARY(16)      NULL,
    action          VARCHAR(32)     NOT NULL,
    target_id       BINARY(16)      NULL,
    request_id      VARBINARY(64)   NULL,
    changes         MEDIUMTEXT      NULL,
    ikey            BINARY(32)      NULL,            -- SHA-256 of the Idempotency-Key
    ibody           BINARY(32)      NULL,            -- SHA-256 of path and body
    answer          MEDIUMTEXT      NULL,            -- what the writer was told and nothing else tells
    expires_at      DATETIME(3)     NULL,            -- when ikey, ibody, answer and abandoned rows may go
    PRIMARY KEY (id),
    UNIQUE KEY events_seq (organization_id, seq),
    UNIQUE KEY events_ikey (actor_id, ikey),
    KEY events_expires (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS settings (
    id         TINYINT      NOT NULL,
    free_plan  VARCHAR(64)  NOT NULL,
    free_seats INT UNSIGNED NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

INSERT IGNORE INTO settings (id, free_plan, free_seats) VALUES (1, 'free', NULL);
