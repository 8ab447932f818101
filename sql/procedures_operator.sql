-- What the operator does to organizations and licenses, and to the trail. For orgsctl alone: these run
-- with their caller's rights, so the module's account, which may write no table, is refused. Frame and habits as in
-- procedures_organization.sql, locks in the same order: organization, user, licenses. Events of an organization have
-- no actor; what happened outside any organization leaves an event without organization and seq, for a day, by which
-- a lost CALL is settled.

DELIMITER $$

-- Ends in "denied" for whoever may not write the tables: called before anything is looked for or locked, so that the
-- module's account learns and holds nothing here, whatever the arguments.
CREATE PROCEDURE operator_v1()
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    UPDATE settings SET free_seats = free_seats WHERE FALSE;
END$$

-- Makes a user an admin: adds or raises.
CREATE PROCEDURE organization_add_admin_v1(
    IN p_event BINARY(16),
    IN p_id    BINARY(16),
    IN p_email VARBINARY(254))
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code    VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer  MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now     DATETIME(3);
    DECLARE v_id      BINARY(16);
    DECLARE v_active  BOOLEAN;
    DECLARE v_members INT UNSIGNED;
    DECLARE v_seq     BIGINT UNSIGNED;
    DECLARE v_user    BINARY(16);
    DECLARE v_awake   BOOLEAN;
    DECLARE v_name    VARCHAR(200) CHARACTER SET utf8mb4;
    DECLARE v_role    VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_joined  DATETIME(3);
    DECLARE v_seats   INT UNSIGNED;
    DECLARE v_changed BOOLEAN DEFAULT FALSE;
    DECLARE v_rows    INT;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        SELECT id, active, members, seq INTO v_id, v_active, v_members, v_seq
          FROM organizations WHERE id = p_id FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_id IS NULL THEN SET v_code = 'organization_not_found'; LEAVE rules; END IF;
        IF NOT v_active THEN SET v_code = 'organization_inactive'; LEAVE rules; END IF;

        -- written too: a deactivation of this user must come before or after, on every node
        UPDATE users SET guard = guard + 1 WHERE email = p_email;
        SET v_rows = ROW_COUNT();
        SELECT id, active, name INTO v_user, v_awake, v_name FROM users WHERE email = p_email;
        IF v_user IS NOT NULL AND v_rows <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        IF v_user IS NULL OR NOT v_awake THEN SET v_code = 'user_not_found'; LEAVE rules; END IF;

        SELECT role, joined_at INTO v_role, v_joined
          FROM memberships WHERE user_id = v_user AND organization_id = p_id;
        IF v_role IS NULL THEN
            SELECT seats INTO v_seats FROM seats_v1 WHERE organization_id = p_id;
            IF v_members >= v_seats THEN
                SET v_code = 'seat_limit_reached',
                    v_answer = JSON_OBJECT('seats', v_seats, 'seats_used', v_members);
                LEAVE rules;
            END IF;
            SET v_changed = TRUE, v_joined = v_now, v_members = v_members + 1;
            INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES (p_id, v_user, 'admin', v_now);
        ELSEIF v_role <> 'admin' THEN
            SET v_changed = TRUE;
            UPDATE memberships SET role = 'admin' WHERE user_id = v_user AND organization_id = p_id;
            IF ROW_COUNT() <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
        END IF;

        SET v_answer = JSON_OBJECT(
            'organization_id', uuid_text_v1(p_id), 'user_id', uuid_text_v1(v_user),
            'email', CONVERT(p_email USING utf8mb4), 'name', v_name, 'role', 'admin',
            'joined_at', CAST(v_joined AS CHAR), 'changed', v_changed);
        IF v_changed THEN
            UPDATE organizations SET members = v_members, seq = v_seq + 1, guard = guard + 1 WHERE id = p_id;
            IF ROW_COUNT() <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
            INSERT INTO events (id, organization_id, seq, at, action, target_id, changes, answer, expires_at)
            VALUES (p_event, p_id, v_seq + 1, v_now, IF(v_role IS NULL, 'member.add', 'member.update'), v_user,
                    CONCAT('{', change_v1('role', JSON_QUOTE(v_role), JSON_QUOTE('admin')), '}'),
                    v_answer, v_now + INTERVAL 24 HOUR);
        END IF;
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- What an organization has without an active license. p_plan null leaves the name alone; p_seats counts where
-- p_limit is true.
CREATE PROCEDURE plan_free_v1(
    IN p_event BINARY(16),
    IN p_plan  VARCHAR(64) CHARACTER SET utf8mb4,
    IN p_limit BOOLEAN,
    IN p_seats INT UNSIGNED)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE v_plan   VARCHAR(64) CHARACTER SET utf8mb4;
    DECLARE v_seats  INT UNSIGNED;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    UPDATE settings
       SET free_plan = IFNULL(p_plan, free_plan), free_seats = IF(p_limit, p_seats, free_seats)
     WHERE id = 1;
    SET v_now = UTC_TIMESTAMP(3);
    SELECT free_plan, free_seats INTO v_plan, v_seats FROM settings WHERE id = 1;
    IF EXISTS (SELECT 1 FROM settings
                WHERE id = 1 AND (free_plan <> p_plan OR p_limit AND NOT free_seats <=> p_seats)) THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
    END IF;
    SET v_answer = JSON_OBJECT('plan', v_plan, 'seats', v_seats);
    INSERT INTO events (id, at, action, answer, expires_at)
    VALUES (p_event, v_now, 'plan.free', v_answer, v_now + INTERVAL 24 HOUR);
    COMMIT;
    SELECT NULL, FALSE, v_answer;
END$$

CREATE PROCEDURE license_add_v1(
    IN p_event      BINARY(16),
    IN p_id         BINARY(16),
    IN p_plan       VARCHAR(64) CHARACTER SET utf8mb4,
    IN p_seats      INT UNSIGNED,
    IN p_starts_at  DATETIME(3),
    IN p_expires_at DATETIME(3))
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code   VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        SET v_now = UTC_TIMESTAMP(3);
        IF p_expires_at <= p_starts_at THEN SET v_code = 'license_period'; LEAVE rules; END IF;

        INSERT INTO licenses (id, plan, seats, starts_at, expires_at, created_at)
        VALUES (p_id, p_plan, p_seats, p_starts_at, p_expires_at, v_now);
        SET v_answer = JSON_OBJECT('id', uuid_text_v1(p_id));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'license.add', p_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- Changes a license: p_plan null leaves the plan alone, seats and times count where p_limit, p_start, p_expire are
-- true; p_suspended and p_revoked null leave those alone. A revoked license is neither suspended nor resumed.
-- Its organization is locked first and gets the event; its version stays, for the tag tells by its digest.
CREATE PROCEDURE license_set_v1(
    IN p_event      BINARY(16),
    IN p_id         BINARY(16),
    IN p_plan       VARCHAR(64) CHARACTER SET utf8mb4,
    IN p_limit      BOOLEAN,
    IN p_seats      INT UNSIGNED,
    IN p_start      BOOLEAN,
    IN p_starts_at  DATETIME(3),
    IN p_expire     BOOLEAN,
    IN p_expires_at DATETIME(3),
    IN p_suspended  BOOLEAN,
    IN p_revoked    BOOLEAN)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code       VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer     MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_changes    MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now        DATETIME(3);
    DECLARE v_holder     BINARY(16);
    DECLARE v_seq        BIGINT UNSIGNED;
    DECLARE v_id         BINARY(16);
    DECLARE v_held_by    BINARY(16);
    DECLARE v_plan       VARCHAR(64) CHARACTER SET utf8mb4;
    DECLARE v_seats      INT UNSIGNED;
    DECLARE v_starts_at  DATETIME(3);
    DECLARE v_expires_at DATETIME(3);
    DECLARE v_suspended  BOOLEAN;
    DECLARE v_revoked    BOOLEAN;
    DECLARE v_before     VARCHAR(10) CHARACTER SET utf8mb4;
    DECLARE v_after      VARCHAR(10) CHARACTER SET utf8mb4;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        SELECT organization_id INTO v_holder FROM licenses WHERE id = p_id;
        IF v_holder IS NOT NULL THEN
            SELECT seq + 1 INTO v_seq FROM organizations WHERE id = v_holder FOR UPDATE;
        END IF;
        SELECT id, organization_id, plan, seats, starts_at, expires_at, suspended, revoked
          INTO v_id, v_held_by, v_plan, v_seats, v_starts_at, v_expires_at, v_suspended, v_revoked
          FROM licenses WHERE id = p_id FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        IF NOT (v_held_by <=> v_holder) THEN
            SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'the license moved meanwhile';
        END IF;
        IF v_id IS NULL THEN SET v_code = 'license_not_found'; LEAVE rules; END IF;
        IF v_revoked AND p_suspended IS NOT NULL THEN SET v_code = 'license_revoked'; LEAVE rules; END IF;

        SET p_plan = IFNULL(p_plan, v_plan),
            p_seats = IF(p_limit, p_seats, v_seats),
            p_starts_at = IF(p_start, p_starts_at, v_starts_at),
            p_expires_at = IF(p_expire, p_expires_at, v_expires_at),
            p_suspended = IFNULL(p_suspended, v_suspended),
            p_revoked = IFNULL(p_revoked, v_revoked);
        IF (p_start OR p_expire) AND p_expires_at <= p_starts_at THEN
            SET v_code = 'license_period';
            LEAVE rules;
        END IF;

        SELECT status INTO v_before FROM licenses_v1 WHERE id = p_id;
        UPDATE licenses
           SET plan = p_plan, seats = p_seats, starts_at = p_starts_at, expires_at = p_expires_at,
               suspended = p_suspended, revoked = p_revoked
         WHERE id = p_id;
        IF NOT EXISTS (SELECT 1 FROM licenses
                        WHERE id = p_id AND plan = p_plan AND seats <=> p_seats AND starts_at <=> p_starts_at
                          AND expires_at <=> p_expires_at AND suspended = p_suspended AND revoked = p_revoked) THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        SELECT status INTO v_after FROM licenses_v1 WHERE id = p_id;
        SET v_changes = CONCAT_WS(',',
            change_v1('plan', JSON_QUOTE(v_plan), JSON_QUOTE(p_plan)),
            change_v1('status', JSON_QUOTE(v_before), JSON_QUOTE(v_after)),
            change_v1('seats', v_seats, p_seats),
            change_v1('starts_at', time_json_v1(v_starts_at), time_json_v1(p_starts_at)),
            change_v1('expires_at', time_json_v1(v_expires_at), time_json_v1(p_expires_at)));

        SET v_answer = JSON_OBJECT('id', uuid_text_v1(p_id), 'status', v_after);
        IF v_holder IS NOT NULL AND v_changes <> '' THEN
            UPDATE organizations SET seq = v_seq, guard = guard + 1 WHERE id = v_holder;
            IF ROW_COUNT() <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
            INSERT INTO events (id, organization_id, seq, at, action, target_id, changes, answer, expires_at)
            VALUES (p_event, v_holder, v_seq, v_now, 'license.update', p_id, CONCAT('{', v_changes, '}'), v_answer,
                    v_now + INTERVAL 24 HOUR);
        ELSE
            INSERT INTO events (id, at, action, target_id, answer, expires_at)
            VALUES (p_event, v_now, 'license.set', p_id, v_answer, v_now + INTERVAL 24 HOUR);
        END IF;
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- Reserves a license that nobody holds for an organization; p_organization null: for whoever knows its id.
-- Deployments, which would come to see another tenant, are in the way unless p_deployments.
CREATE PROCEDURE license_release_v1(
    IN p_event        BINARY(16),
    IN p_id           BINARY(16),
    IN p_organization BINARY(16),
    IN p_deployments  BOOLEAN)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code   VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE v_found  BIGINT UNSIGNED;
    DECLARE v_id     BINARY(16);
    DECLARE v_holder BINARY(16);
    DECLARE v_before BINARY(16);
    DECLARE v_count  BIGINT UNSIGNED;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        IF p_organization IS NOT NULL THEN
            -- written too: its deletion must come before or after, on every node
            SELECT guard INTO v_found FROM organizations WHERE id = p_organization FOR UPDATE;
            UPDATE organizations SET guard = guard + 1 WHERE id = p_organization;
            IF v_found IS NOT NULL AND ROW_COUNT() <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
        END IF;
        SELECT id, organization_id, reserved_for INTO v_id, v_holder, v_before FROM licenses WHERE id = p_id FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_id IS NULL THEN SET v_code = 'license_not_found'; LEAVE rules; END IF;
        IF p_organization IS NOT NULL AND v_found IS NULL THEN
            SET v_code = 'organization_not_found';
            LEAVE rules;
        END IF;
        IF v_holder IS NOT NULL THEN
            SET v_code = 'license_assigned', v_answer = JSON_OBJECT('organization_id', uuid_text_v1(v_holder));
            LEAVE rules;
        END IF;
        SELECT COUNT(*) INTO v_count FROM deployments WHERE license_id = p_id;
        IF v_count > 0 AND NOT p_deployments AND NOT (v_before <=> p_organization) THEN
            SET v_code = 'deployments_exist', v_answer = JSON_OBJECT('deployments', v_count);
            LEAVE rules;
        END IF;

        UPDATE licenses SET reserved_for = p_organization, reserved_by = NULL WHERE id = p_id;
        IF NOT EXISTS (SELECT 1 FROM licenses
                        WHERE id = p_id AND reserved_for <=> p_organization AND reserved_by IS NULL) THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        SET v_answer = JSON_OBJECT('id', uuid_text_v1(p_id));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'license.release', p_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- Looks at p_rows events whose id lies after p_after and at or before p_until, and deletes those from before
-- p_before; those that are kept for a day stay. Ids begin with the time they were made at, so that p_until, a day
-- beyond p_before, leaves out what is too young without an index. It needs no event of its own: what is gone is gone,
-- however often it is asked for.
CREATE PROCEDURE event_prune_v1(
    IN p_event  BINARY(16),
    IN p_after  BINARY(16),
    IN p_until  BINARY(16),
    IN p_before DATETIME(3),
    IN p_rows   INT UNSIGNED)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_now     DATETIME(3);
    DECLARE v_last    BINARY(16);
    DECLARE v_seen    INT UNSIGNED;
    DECLARE v_deleted INT UNSIGNED DEFAULT 0;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    SET v_now = UTC_TIMESTAMP(3);
    SELECT MAX(id), COUNT(*) INTO v_last, v_seen
      FROM (SELECT id FROM events WHERE id > p_after AND id <= p_until ORDER BY id LIMIT p_rows) AS looked;
    DELETE FROM events
     WHERE id > p_after AND id <= v_last AND at < p_before AND at < v_now - INTERVAL 24 HOUR;
    SET v_deleted = ROW_COUNT();
    IF EXISTS (SELECT 1 FROM events
                WHERE id > p_after AND id <= v_last AND at < p_before AND at < v_now - INTERVAL 24 HOUR) THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
    END IF;
    COMMIT;
    SELECT NULL, FALSE, JSON_OBJECT('deleted', v_deleted, 'seen', v_seen, 'last', uuid_text_v1(v_last));
END$$

DELIMITER ;
