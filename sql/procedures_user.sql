-- Users and their tokens. For orgsctl alone: these run with their caller's rights, so the module's account, which
-- may write no table, is refused (operator_v1). Frame and habits as in procedures_organization.sql; what happened
-- outside any organization leaves an event without organization and seq, for a day, by which a lost CALL is settled.

DELIMITER $$

CREATE PROCEDURE user_add_v1(
    IN p_event       BINARY(16),
    IN p_id          BINARY(16),
    IN p_email       VARBINARY(254),
    IN p_name        VARCHAR(200) CHARACTER SET utf8mb4,
    IN p_external_id VARBINARY(255),
    IN p_superuser   BOOLEAN)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code   VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE v_taken  BOOLEAN DEFAULT FALSE;
    DECLARE v_other  BINARY(16);
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        SET v_now = UTC_TIMESTAMP(3);
        BEGIN
            DECLARE CONTINUE HANDLER FOR 1062 SET v_taken = TRUE;
            INSERT INTO users (id, email, name, external_id, superuser, active, created_at)
            VALUES (p_id, p_email, p_name, p_external_id, p_superuser, TRUE, v_now);
        END;
        IF v_taken THEN
            ROLLBACK;
            SELECT id INTO v_other FROM users WHERE email = p_email;
            SET v_code = IF(v_other IS NULL, 'external_id_taken', 'email_taken');
            LEAVE rules;
        END IF;

        SET v_answer = JSON_OBJECT('id', uuid_text_v1(p_id));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'user.add', p_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- p_new_email null leaves the email alone; p_name and p_external_id count where p_rename and p_reassign are true.
CREATE PROCEDURE user_set_v1(
    IN p_event       BINARY(16),
    IN p_email       VARBINARY(254),
    IN p_new_email   VARBINARY(254),
    IN p_rename      BOOLEAN,
    IN p_name        VARCHAR(200) CHARACTER SET utf8mb4,
    IN p_reassign    BOOLEAN,
    IN p_external_id VARBINARY(255))
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code   VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE v_id     BINARY(16);
    DECLARE v_taken  BOOLEAN DEFAULT FALSE;
    DECLARE v_other  BINARY(16);
    DECLARE v_rows   INT;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        SELECT id INTO v_id FROM users WHERE email = p_email FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_id IS NULL THEN SET v_code = 'user_not_found'; LEAVE rules; END IF;

        BEGIN
            DECLARE CONTINUE HANDLER FOR 1062 SET v_taken = TRUE;
            UPDATE users
               SET email = IFNULL(p_new_email, email),
                   name = IF(p_rename, p_name, name),
                   external_id = IF(p_reassign, p_external_id, external_id),
                   guard = guard + 1
             WHERE id = v_id;
            SET v_rows = ROW_COUNT();
        END;
        IF v_taken THEN
            ROLLBACK;
            SELECT id INTO v_other FROM users WHERE email = p_new_email AND id <> v_id;
            SET v_code = IF(v_other IS NULL, 'external_id_taken', 'email_taken');
            LEAVE rules;
        END IF;
        IF v_rows <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;

        SET v_answer = JSON_OBJECT('id', uuid_text_v1(v_id));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'user.set', v_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- Refused for the only active admin of an organization, unless p_force.
-- Locks every organization the user is admin of, ascending, and writes it, then the user: whoever removes, adds or
-- lowers an admin there waits or is waited for. An organization that came in between makes the caller ask again.
CREATE PROCEDURE user_deactivate_v1(
    IN p_event BINARY(16),
    IN p_email VARBINARY(254),
    IN p_force BOOLEAN)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code   VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE v_id     BINARY(16);
    DECLARE v_awake  BOOLEAN;
    DECLARE v_after  BINARY(16);
    DECLARE v_next   BINARY(16) DEFAULT X'00000000000000000000000000000000';
    DECLARE v_role   VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_locked BIGINT UNSIGNED DEFAULT 0;
    DECLARE v_count  BIGINT UNSIGNED;
    DECLARE v_sole   BINARY(16);
    DECLARE v_rows   INT;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        SELECT id INTO v_id FROM users WHERE email = p_email;
        IF v_id IS NULL THEN SET v_code = 'user_not_found'; LEAVE rules; END IF;

        organizations: LOOP
            SET v_after = v_next, v_next = NULL;
            SELECT organization_id INTO v_next
              FROM memberships WHERE user_id = v_id AND role = 'admin' AND organization_id > v_after
             ORDER BY organization_id LIMIT 1;
            IF v_next IS NULL THEN LEAVE organizations; END IF;
            UPDATE organizations SET guard = guard + 1 WHERE id = v_next;
            SET v_rows = ROW_COUNT(), v_role = NULL;
            SELECT role INTO v_role FROM memberships WHERE user_id = v_id AND organization_id = v_next;
            IF v_role IS NOT NULL AND v_rows <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
            IF v_role = 'admin' THEN SET v_locked = v_locked + 1; END IF;
        END LOOP organizations;

        SELECT active INTO v_awake FROM users WHERE id = v_id FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        SELECT COUNT(*) INTO v_count FROM memberships WHERE user_id = v_id AND role = 'admin';
        IF v_count <> v_locked THEN
            SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'the user became an admin meanwhile';
        END IF;
        SET v_answer = JSON_OBJECT('id', uuid_text_v1(v_id));
        IF NOT v_awake THEN LEAVE rules; END IF;

        IF NOT p_force THEN
            SELECT m.organization_id INTO v_sole
              FROM memberships m
             WHERE m.user_id = v_id AND m.role = 'admin'
               AND NOT EXISTS (SELECT 1 FROM memberships o JOIN users u ON u.id = o.user_id
                                WHERE o.organization_id = m.organization_id AND o.role = 'admin'
                                  AND o.user_id <> v_id AND u.active)
             ORDER BY m.organization_id LIMIT 1;
            IF v_sole IS NOT NULL THEN
                SET v_code = 'last_admin', v_answer = JSON_OBJECT('organization_id', uuid_text_v1(v_sole));
                LEAVE rules;
            END IF;
        END IF;

        UPDATE users SET active = FALSE, guard = guard + 1 WHERE id = v_id;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'user.deactivate', v_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

CREATE PROCEDURE user_activate_v1(
    IN p_event BINARY(16),
    IN p_email VARBINARY(254))
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code   VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE v_id     BINARY(16);
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        SELECT id INTO v_id FROM users WHERE email = p_email FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_id IS NULL THEN SET v_code = 'user_not_found'; LEAVE rules; END IF;

        UPDATE users SET active = TRUE, guard = guard + 1 WHERE id = v_id;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        SET v_answer = JSON_OBJECT('id', uuid_text_v1(v_id));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'user.activate', v_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

CREATE PROCEDURE user_superuser_v1(
    IN p_event     BINARY(16),
    IN p_email     VARBINARY(254),
    IN p_superuser BOOLEAN)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code   VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE v_id     BINARY(16);
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        SELECT id INTO v_id FROM users WHERE email = p_email FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_id IS NULL THEN SET v_code = 'user_not_found'; LEAVE rules; END IF;

        UPDATE users SET superuser = p_superuser, guard = guard + 1 WHERE id = v_id;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        SET v_answer = JSON_OBJECT('id', uuid_text_v1(v_id));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'user.superuser', v_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- p_seconds: how long the token is good; null: until it is revoked.
CREATE PROCEDURE token_issue_v1(
    IN p_event   BINARY(16),
    IN p_id      BINARY(16),
    IN p_email   VARBINARY(254),
    IN p_hash    BINARY(32),
    IN p_label   VARCHAR(200) CHARACTER SET utf8mb4,
    IN p_seconds INT UNSIGNED)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code    VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer  MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now     DATETIME(3);
    DECLARE v_expires DATETIME(3);
    DECLARE v_user    BINARY(16);
    DECLARE v_awake   BOOLEAN;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        SELECT id, active INTO v_user, v_awake FROM users WHERE email = p_email LOCK IN SHARE MODE;
        SET v_now = UTC_TIMESTAMP(3), v_expires = v_now + INTERVAL p_seconds SECOND;
        IF v_user IS NULL THEN SET v_code = 'user_not_found'; LEAVE rules; END IF;
        IF NOT v_awake THEN SET v_code = 'user_deactivated'; LEAVE rules; END IF;

        INSERT INTO tokens (id, user_id, hash, label, created_at, expires_at)
        VALUES (p_id, v_user, p_hash, p_label, v_now, v_expires);
        SET v_answer = JSON_OBJECT('id', uuid_text_v1(p_id), 'expires_at', CAST(v_expires AS CHAR));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'token.issue', p_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- By its id, or by its digest where p_id is null. One that is revoked already stays as it is.
CREATE PROCEDURE token_revoke_v1(
    IN p_event BINARY(16),
    IN p_id    BINARY(16),
    IN p_hash  BINARY(32))
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code   VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE v_id     BINARY(16);
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        IF p_id IS NULL THEN
            SELECT id INTO v_id FROM tokens WHERE hash = p_hash FOR UPDATE;
        ELSE
            SELECT id INTO v_id FROM tokens WHERE id = p_id FOR UPDATE;
        END IF;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_id IS NULL THEN SET v_code = 'token_not_found'; LEAVE rules; END IF;

        UPDATE tokens SET revoked_at = v_now WHERE id = v_id AND revoked_at IS NULL;
        IF EXISTS (SELECT 1 FROM tokens WHERE id = v_id AND revoked_at IS NULL) THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        SET v_answer = JSON_OBJECT('id', uuid_text_v1(v_id));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'token.revoke', v_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- All of a user's tokens. The answer counts those that were not revoked before.
CREATE PROCEDURE token_revoke_all_v1(
    IN p_event BINARY(16),
    IN p_email VARBINARY(254))
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code    VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer  MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now     DATETIME(3);
    DECLARE v_user    BINARY(16);
    DECLARE v_revoked INT UNSIGNED;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        -- an issue in flight shares this lock: it is committed, and so found below, or comes after
        SELECT id INTO v_user FROM users WHERE email = p_email FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_user IS NULL THEN SET v_code = 'user_not_found'; LEAVE rules; END IF;

        UPDATE tokens SET revoked_at = v_now WHERE user_id = v_user AND revoked_at IS NULL;
        SET v_revoked = ROW_COUNT(),
            v_answer = JSON_OBJECT('id', uuid_text_v1(v_user), 'revoked', v_revoked);
        IF EXISTS (SELECT 1 FROM tokens WHERE user_id = v_user AND revoked_at IS NULL) THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'token.revoke', v_user, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

DELIMITER ;
