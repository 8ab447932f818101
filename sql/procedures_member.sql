-- Writes of members. See procedures_organization.sql for how to read them.

DELIMITER $$

CREATE PROCEDURE member_add_v1(
    IN p_event        BINARY(16),
    IN p_actor        BINARY(16),
    IN p_request      VARBINARY(64),
    IN p_superuser    BOOLEAN,
    IN p_organization BINARY(16),
    IN p_email        VARBINARY(254),
    IN p_role         VARCHAR(6) CHARACTER SET ascii,
    IN p_key          BINARY(32),
    IN p_body         BINARY(32))
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_code      VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_replayed  BOOLEAN DEFAULT FALSE;
    DECLARE v_answer    MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now       DATETIME(3);
    DECLARE v_id        BINARY(16);
    DECLARE v_active    BOOLEAN;
    DECLARE v_members   INT UNSIGNED;
    DECLARE v_license   BINARY(16);
    DECLARE v_seats     INT UNSIGNED;
    DECLARE v_seq       BIGINT UNSIGNED;
    DECLARE v_role      VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_awake     BOOLEAN;
    DECLARE v_superuser BOOLEAN;
    DECLARE v_guarded   INT DEFAULT 1;
    DECLARE v_user      BINARY(16);
    DECLARE v_name      VARCHAR(200) CHARACTER SET utf8mb4;
    DECLARE v_user_role VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_joined_at DATETIME(3);
    DECLARE v_met       BOOLEAN DEFAULT FALSE;
    DECLARE v_duplicate BOOLEAN DEFAULT FALSE;
    DECLARE v_seen      BINARY(16);
    DECLARE v_seen_at   DATETIME(3);
    DECLARE v_seen_body BINARY(32);
    DECLARE v_seen_user BINARY(16);
    DECLARE v_seen_told MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    rules: BEGIN
        SELECT id, active, members, seq INTO v_id, v_active, v_members, v_seq
          FROM organizations WHERE id = p_organization FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        SELECT active, superuser AND p_superuser INTO v_awake, v_superuser
          FROM users WHERE id = p_actor LOCK IN SHARE MODE;
        SELECT role INTO v_role FROM memberships WHERE user_id = p_actor AND organization_id = p_organization;

        IF v_awake IS NULL OR NOT v_awake THEN SET v_code = 'unauthorized'; LEAVE rules; END IF;
        IF v_id IS NULL OR (v_role IS NULL AND NOT v_superuser) THEN
            SET v_code = 'organization_not_found';
            LEAVE rules;
        END IF;
        IF NOT v_superuser AND v_role <> 'admin' THEN SET v_code = 'admin_required'; LEAVE rules; END IF;

        IF p_key IS NOT NULL THEN
            SELECT id, at, ibody, target_id, answer INTO v_seen, v_seen_at, v_seen_body, v_seen_user, v_seen_told
              FROM events WHERE actor_id = p_actor AND ikey = p_key;
            IF v_seen IS NOT NULL AND v_seen_at > v_now - INTERVAL 24 HOUR THEN
                IF v_seen_body = p_body THEN
                    SET v_replayed = TRUE, v_user = v_seen_user, v_now = v_seen_at, v_answer = v_seen_told;
                ELSE
                    SET v_code = 'idempotency_key_reused';
                END IF;
                LEAVE rules;
            ELSEIF v_seen IS NOT NULL THEN
                UPDATE events SET ikey = NULL WHERE id = v_seen;
                IF ROW_COUNT() <> 1 THEN
                    SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
                END IF;
            END IF;
        END IF;

        IF NOT v_active THEN SET v_code = 'organization_inactive'; LEAVE rules; END IF;

        -- A new admin's user is written: a deactivation of it, which counts admins, must come before or after.
        IF p_role = 'admin' THEN
            UPDATE users SET guard = guard + 1 WHERE email = p_email;
            SET v_guarded = ROW_COUNT();
        END IF;
        SELECT id, name INTO v_user, v_name FROM users WHERE email = p_email AND active LOCK IN SHARE MODE;
        IF v_user IS NULL THEN SET v_code = 'user_not_found'; LEAVE rules; END IF;
        IF v_guarded <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;

        -- What seats_v1 says; but a view costs here as much as five reads by key, under the organization's lock.
        SELECT id, seats INTO v_license, v_seats FROM licenses
         WHERE organization_id = p_organization AND NOT revoked AND NOT suspended
           AND (expires_at IS NULL OR expires_at > v_now) AND (starts_at IS NULL OR starts_at <= v_now);
        IF v_license IS NULL THEN
            SELECT free_seats INTO v_seats FROM settings WHERE id = 1;
        END IF;
        -- Who is a member already is met at the key; where no seat is left, that comes first all the same.
        IF v_members >= v_seats THEN
            SET v_met = TRUE;
        ELSE
            BEGIN
                DECLARE CONTINUE HANDLER FOR 1062 SET v_met = TRUE;
                INSERT INTO memberships (organization_id, user_id, role, joined_at)
                VALUES (p_organization, v_user, p_role, v_now);
            END;
        END IF;
        IF v_met THEN
            SELECT role, joined_at INTO v_user_role, v_joined_at
              FROM memberships WHERE user_id = v_user AND organization_id = p_organization;
            IF v_user_role IS NOT NULL THEN
                SET v_code = 'already_member', v_now = v_joined_at,
                    v_answer = JSON_OBJECT('name', v_name, 'role', v_user_role);
            ELSEIF v_members >= v_seats THEN
                SET v_code = 'seat_limit_reached', v_answer = JSON_OBJECT('seats', v_seats, 'seats_used', v_members);
            ELSE
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
            LEAVE rules;
        END IF;

        UPDATE organizations SET members = members + 1, seq = v_seq + 1 WHERE id = p_organization;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;

        BEGIN
            DECLARE CONTINUE HANDLER FOR 1062 SET v_duplicate = TRUE;
            INSERT INTO events (id, organization_id, seq, at, actor_id, action, target_id, request_id, changes,
                                ikey, ibody, answer, expires_at)
            VALUES (p_event, p_organization, v_seq + 1, v_now, p_actor, 'member.add', v_user, p_request,
                    CONCAT('{"role":[null,"', p_role, '"]}'), p_key, p_body,
                    IF(p_key IS NULL, NULL, JSON_OBJECT('name', v_name)),
                    IF(p_key IS NULL, NULL, v_now + INTERVAL 24 HOUR));
        END;
        IF v_duplicate THEN
            -- The same key was first by a moment, in another organization. Rolled back before it is read.
            ROLLBACK;
            SET v_seen = NULL;
            SELECT id, at, ibody, target_id, answer INTO v_seen, v_seen_at, v_seen_body, v_seen_user, v_seen_told
              FROM events WHERE actor_id = p_actor AND ikey = p_key;
            IF v_seen IS NULL THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31000, MESSAGE_TEXT = 'this write was abandoned';
            ELSEIF v_seen_body = p_body THEN
                SET v_replayed = TRUE, v_user = v_seen_user, v_now = v_seen_at, v_answer = v_seen_told;
            ELSE
                SET v_code = 'idempotency_key_reused';
            END IF;
        END IF;
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, v_replayed, v_answer, v_user, v_now, v_name;
END$$

-- Raises or lowers a member. Who is no admin may step down himself, and ask to be what he is.
CREATE PROCEDURE member_update_v1(
    IN p_event        BINARY(16),
    IN p_actor        BINARY(16),
    IN p_request      VARBINARY(64),
    IN p_superuser    BOOLEAN,
    IN p_organization BINARY(16),
    IN p_user         BINARY(16),
    IN p_role         VARCHAR(6) CHARACTER SET ascii)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_code      VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer    MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now       DATETIME(3);
    DECLARE v_id        BINARY(16);
    DECLARE v_active    BOOLEAN;
    DECLARE v_seq       BIGINT UNSIGNED;
    DECLARE v_role      VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_awake     BOOLEAN;
    DECLARE v_superuser BOOLEAN;
    DECLARE v_user_role VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_joined_at DATETIME(3);
    DECLARE v_email     VARBINARY(254);
    DECLARE v_name      VARCHAR(200) CHARACTER SET utf8mb4;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    rules: BEGIN
        SELECT id, active, seq INTO v_id, v_active, v_seq
          FROM organizations WHERE id = p_organization FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        SELECT active, superuser AND p_superuser INTO v_awake, v_superuser
          FROM users WHERE id = p_actor LOCK IN SHARE MODE;
        SELECT role INTO v_role FROM memberships WHERE user_id = p_actor AND organization_id = p_organization;

        IF v_awake IS NULL OR NOT v_awake THEN SET v_code = 'unauthorized'; LEAVE rules; END IF;
        IF v_id IS NULL OR (v_role IS NULL AND NOT v_superuser) THEN
            SET v_code = 'organization_not_found';
            LEAVE rules;
        END IF;
        IF NOT v_superuser AND v_role <> 'admin' AND NOT (p_user <=> p_actor AND p_role = 'member') THEN
            SET v_code = 'admin_required';
            LEAVE rules;
        END IF;

        SELECT m.role, m.joined_at, u.email, u.name INTO v_user_role, v_joined_at, v_email, v_name
          FROM memberships m JOIN users u ON u.id = m.user_id
         WHERE m.user_id = p_user AND m.organization_id = p_organization;
        IF NOT v_active AND p_role = 'admin' AND NOT v_user_role <=> 'admin' THEN
            SET v_code = 'organization_inactive';
            LEAVE rules;
        END IF;
        IF v_user_role IS NULL THEN SET v_code = 'member_not_found'; LEAVE rules; END IF;

        IF v_user_role <> p_role THEN
            IF p_role = 'member' AND NOT EXISTS (
                SELECT 1 FROM memberships m JOIN users u ON u.id = m.user_id
                 WHERE m.organization_id = p_organization AND m.role = 'admin' AND m.user_id <> p_user AND u.active)
            THEN
                SET v_code = 'last_admin';
                LEAVE rules;
            END IF;
            IF p_role = 'admin' THEN
                UPDATE users SET guard = guard + 1 WHERE id = p_user;
                IF ROW_COUNT() <> 1 THEN
                    SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
                END IF;
            END IF;
            UPDATE memberships SET role = p_role WHERE user_id = p_user AND organization_id = p_organization;
            IF ROW_COUNT() <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
            UPDATE organizations SET seq = v_seq + 1 WHERE id = p_organization;
            IF ROW_COUNT() <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
        END IF;

        SET v_answer = JSON_OBJECT(
            'organization_id', uuid_text_v1(p_organization), 'user_id', uuid_text_v1(p_user),
            'email', CONVERT(v_email USING utf8mb4), 'name', v_name, 'role', p_role,
            'joined_at', CAST(v_joined_at AS CHAR));
        IF v_user_role <> p_role THEN
            INSERT INTO events (id, organization_id, seq, at, actor_id, action, target_id, request_id, changes, answer,
                                expires_at)
            VALUES (p_event, p_organization, v_seq + 1, v_now, p_actor, 'member.update', p_user, p_request,
                    CONCAT('{', change_v1('role', JSON_QUOTE(v_user_role), JSON_QUOTE(p_role)), '}'),
                    v_answer, v_now + INTERVAL 24 HOUR);
        END IF;
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- Removes a member; a member may leave.
CREATE PROCEDURE member_remove_v1(
    IN p_event        BINARY(16),
    IN p_actor        BINARY(16),
    IN p_request      VARBINARY(64),
    IN p_superuser    BOOLEAN,
    IN p_organization BINARY(16),
    IN p_user         BINARY(16))
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_code      VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer    MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now       DATETIME(3);
    DECLARE v_id        BINARY(16);
    DECLARE v_seq       BIGINT UNSIGNED;
    DECLARE v_role      VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_awake     BOOLEAN;
    DECLARE v_superuser BOOLEAN;
    DECLARE v_user_role VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    rules: BEGIN
        SELECT id, seq INTO v_id, v_seq FROM organizations WHERE id = p_organization FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        SELECT active, superuser AND p_superuser INTO v_awake, v_superuser
          FROM users WHERE id = p_actor LOCK IN SHARE MODE;
        SELECT role INTO v_role FROM memberships WHERE user_id = p_actor AND organization_id = p_organization;

        IF v_awake IS NULL OR NOT v_awake THEN SET v_code = 'unauthorized'; LEAVE rules; END IF;
        IF v_id IS NULL OR (v_role IS NULL AND NOT v_superuser) THEN
            SET v_code = 'organization_not_found';
            LEAVE rules;
        END IF;
        IF NOT v_superuser AND v_role <> 'admin' AND NOT p_user <=> p_actor THEN
            SET v_code = 'admin_required';
            LEAVE rules;
        END IF;

        SELECT role INTO v_user_role FROM memberships WHERE user_id = p_user AND organization_id = p_organization;
        IF v_user_role IS NULL THEN SET v_code = 'member_not_found'; LEAVE rules; END IF;
        IF v_user_role = 'admin' AND NOT EXISTS (
            SELECT 1 FROM memberships m JOIN users u ON u.id = m.user_id
             WHERE m.organization_id = p_organization AND m.role = 'admin' AND m.user_id <> p_user AND u.active)
        THEN
            SET v_code = 'last_admin';
            LEAVE rules;
        END IF;

        DELETE FROM memberships WHERE user_id = p_user AND organization_id = p_organization;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        UPDATE organizations SET members = members - 1, seq = v_seq + 1 WHERE id = p_organization;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        INSERT INTO events (id, organization_id, seq, at, actor_id, action, target_id, request_id, changes)
        VALUES (p_event, p_organization, v_seq + 1, v_now, p_actor, 'member.remove', p_user, p_request,
                CONCAT('{"role":["', v_user_role, '",null]}'));
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

DELIMITER ;
