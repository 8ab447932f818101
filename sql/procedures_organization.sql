-- Writes of organizations. How to read any of these procedures:
--
--   ROLLBACK first       a killed predecessor on this connection skips its handler, and START TRANSACTION would
--                        commit its remains
--   rules                from top to bottom in the contract's precedence; a refusal sets v_code and leaves
--   one row, or signal   a DELETE of a procedure that is interrupted (KILL QUERY, max_statement_time) may end as if
--                        there had been nothing to delete, and the procedure go on (seen on MariaDB 10.11, one in
--                        forty); an UPDATE likewise (MariaDB 11.8, one in two hundred), and a CALL within it: so the
--                        rows are counted here, each time, or looked at, where an UPDATE may find what it would write
--   event last           its id was made by the caller before the CALL; by it a lost CALL is settled
--   one SELECT           of variables filled under the lock: code (null: done), replayed, answer; where what is made
--                        follows from the request, instead of an answer: its id, when, the user's name
--   nothing kept         for a day but keys, and of answers what follows from nothing else: expires_at of an event is
--                        null without either
--
-- p_actor is who asks, p_request the request's id, p_superuser whether a superuser's flag counts in this request, p_if
-- the versions If-Match names (null: no condition).

DELIMITER $$

CREATE PROCEDURE organization_create_v1(
    IN p_event       BINARY(16),
    IN p_actor       BINARY(16),
    IN p_request     VARBINARY(64),
    IN p_id          BINARY(16),
    IN p_name        VARCHAR(200) CHARACTER SET utf8mb4,
    IN p_description VARCHAR(4000) CHARACTER SET utf8mb4,
    IN p_max         INT UNSIGNED,
    IN p_key         BINARY(32),
    IN p_body        BINARY(32))
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_code      VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_replayed  BOOLEAN DEFAULT FALSE;
    DECLARE v_now       DATETIME(3);
    DECLARE v_active    BOOLEAN;
    DECLARE v_created   INT UNSIGNED;
    DECLARE v_duplicate BOOLEAN DEFAULT FALSE;
    DECLARE v_seen      BINARY(16);
    DECLARE v_seen_at   DATETIME(3);
    DECLARE v_seen_body BINARY(32);
    DECLARE v_seen_id   BINARY(16);
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    rules: BEGIN
        IF p_max IS NULL THEN
            SELECT active INTO v_active FROM users WHERE id = p_actor LOCK IN SHARE MODE;
        ELSE
            SELECT active INTO v_active FROM users WHERE id = p_actor FOR UPDATE;
        END IF;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_active IS NULL OR NOT v_active THEN
            SET v_code = 'unauthorized';
            LEAVE rules;
        END IF;

        IF p_key IS NOT NULL THEN
            SELECT id, at, ibody, organization_id INTO v_seen, v_seen_at, v_seen_body, v_seen_id
              FROM events WHERE actor_id = p_actor AND ikey = p_key;
            IF v_seen IS NOT NULL AND v_seen_at > v_now - INTERVAL 24 HOUR THEN
                IF v_seen_body = p_body THEN
                    SET v_replayed = TRUE, p_id = v_seen_id, v_now = v_seen_at;
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

        IF p_max IS NOT NULL THEN
            SELECT COUNT(*) INTO v_created
              FROM (SELECT 1 FROM organizations WHERE created_by = p_actor LIMIT p_max) AS standing;
            IF v_created >= p_max THEN
                SET v_code = 'organization_limit_reached';
                LEAVE rules;
            END IF;
            UPDATE users SET guard = guard + 1 WHERE id = p_actor;
            IF ROW_COUNT() <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
        END IF;

        INSERT INTO organizations
               (id, name, description, active, members, seq, version, created_by, created_at, updated_at)
        VALUES (p_id, p_name, p_description, TRUE, 1, 1, 1, p_actor, v_now, v_now);
        INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES (p_id, p_actor, 'admin', v_now);

        BEGIN
            DECLARE CONTINUE HANDLER FOR 1062 SET v_duplicate = TRUE;
            INSERT INTO events (id, organization_id, seq, at, actor_id, action, request_id, changes,
                                ikey, ibody, expires_at)
            VALUES (p_event, p_id, 1, v_now, p_actor, 'organization.create', p_request,
                    CONCAT('{"name":[null,', JSON_QUOTE(p_name),
                           IFNULL(CONCAT('],"description":[null,', JSON_QUOTE(p_description)), ''),
                           '],"active":[null,true]}'),
                    p_key, p_body, IF(p_key IS NULL, NULL, v_now + INTERVAL 24 HOUR));
        END;
        IF v_duplicate THEN
            -- The same key was first by a moment. Rolled back before it is read: drops the lock and the view.
            ROLLBACK;
            SET v_seen = NULL;
            SELECT id, at, ibody, organization_id INTO v_seen, v_seen_at, v_seen_body, v_seen_id
              FROM events WHERE actor_id = p_actor AND ikey = p_key;
            IF v_seen IS NULL THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31000, MESSAGE_TEXT = 'this write was abandoned';
            ELSEIF v_seen_body = p_body THEN
                SET v_replayed = TRUE, p_id = v_seen_id, v_now = v_seen_at;
            ELSE
                SET v_code = 'idempotency_key_reused';
            END IF;
        END IF;
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, v_replayed, NULL, p_id, v_now, NULL;
END$$

-- p_name, p_active: null leaves the field alone; p_description counts where p_describe is true.
CREATE PROCEDURE organization_update_v1(
    IN p_event       BINARY(16),
    IN p_actor       BINARY(16),
    IN p_request     VARBINARY(64),
    IN p_superuser   BOOLEAN,
    IN p_id          BINARY(16),
    IN p_if          VARCHAR(4000) CHARACTER SET ascii,
    IN p_name        VARCHAR(200) CHARACTER SET utf8mb4,
    IN p_describe    BOOLEAN,
    IN p_description VARCHAR(4000) CHARACTER SET utf8mb4,
    IN p_active      BOOLEAN)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_code        VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer      MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_changes     MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now         DATETIME(3);
    DECLARE v_id          BINARY(16);
    DECLARE v_name        VARCHAR(200) CHARACTER SET utf8mb4;
    DECLARE v_description VARCHAR(4000) CHARACTER SET utf8mb4;
    DECLARE v_active      BOOLEAN;
    DECLARE v_seq         BIGINT UNSIGNED;
    DECLARE v_version     BIGINT UNSIGNED;
    DECLARE v_created_at  DATETIME(3);
    DECLARE v_updated_at  DATETIME(3);
    DECLARE v_role        VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_license     BINARY(16);
    DECLARE v_awake       BOOLEAN;
    DECLARE v_superuser   BOOLEAN;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    rules: BEGIN
        SELECT id, name, description, active, seq, version, created_at, updated_at
          INTO v_id, v_name, v_description, v_active, v_seq, v_version, v_created_at, v_updated_at
          FROM organizations WHERE id = p_id FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        SELECT active, superuser AND p_superuser INTO v_awake, v_superuser
          FROM users WHERE id = p_actor LOCK IN SHARE MODE;
        SELECT role INTO v_role FROM memberships WHERE user_id = p_actor AND organization_id = p_id;

        IF v_awake IS NULL OR NOT v_awake THEN SET v_code = 'unauthorized'; LEAVE rules; END IF;
        IF v_id IS NULL OR (v_role IS NULL AND NOT v_superuser) THEN
            SET v_code = 'organization_not_found';
            LEAVE rules;
        END IF;
        IF NOT v_superuser AND v_role <> 'admin' THEN SET v_code = 'admin_required'; LEAVE rules; END IF;
        IF p_if IS NOT NULL AND NOT FIND_IN_SET(v_version, p_if) THEN
            SET v_code = 'precondition_failed';
            LEAVE rules;
        END IF;

        SET p_name = IFNULL(p_name, v_name),
            p_description = IF(p_describe, p_description, v_description),
            p_active = IFNULL(p_active, v_active);
        SET v_changes = CONCAT_WS(',',
            change_v1('name', JSON_QUOTE(v_name), JSON_QUOTE(p_name)),
            change_v1('description', JSON_QUOTE(v_description), JSON_QUOTE(p_description)),
            change_v1('active', flag_json_v1(v_active), flag_json_v1(p_active)));

        IF v_changes <> '' THEN
            SET v_name = p_name, v_description = p_description, v_active = p_active,
                v_version = v_version + 1, v_seq = v_seq + 1, v_updated_at = v_now;
            UPDATE organizations
               SET name = v_name, description = v_description, active = v_active,
                   version = v_version, seq = v_seq, updated_at = v_updated_at
             WHERE id = p_id;
            IF ROW_COUNT() <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
        END IF;

        SELECT id INTO v_license FROM licenses WHERE organization_id = p_id;
        SET v_answer = JSON_OBJECT(
            'id', uuid_text_v1(p_id), 'name', v_name, 'description', v_description, 'active', v_active, 'role', v_role,
            'license_id', uuid_text_v1(v_license), 'created_at', CAST(v_created_at AS CHAR),
            'updated_at', CAST(v_updated_at AS CHAR), 'version', v_version);

        IF v_changes <> '' THEN
            INSERT INTO events (id, organization_id, seq, at, actor_id, action, request_id, changes, answer, expires_at)
            VALUES (p_event, p_id, v_seq, v_now, p_actor, 'organization.update', p_request,
                    CONCAT('{', v_changes, '}'), v_answer, v_now + INTERVAL 24 HOUR);
        END IF;
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- Takes the memberships along; its license, and those that were reserved for it, are from now on reserved for the
-- user who deleted it. Users, licenses, deployments and events stay.
CREATE PROCEDURE organization_delete_v1(
    IN p_event     BINARY(16),
    IN p_actor     BINARY(16),
    IN p_request   VARBINARY(64),
    IN p_superuser BOOLEAN,
    IN p_id        BINARY(16),
    IN p_if        VARCHAR(4000) CHARACTER SET ascii)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_code        VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer      MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now         DATETIME(3);
    DECLARE v_id          BINARY(16);
    DECLARE v_name        VARCHAR(200) CHARACTER SET utf8mb4;
    DECLARE v_description VARCHAR(4000) CHARACTER SET utf8mb4;
    DECLARE v_active      BOOLEAN;
    DECLARE v_seq         BIGINT UNSIGNED;
    DECLARE v_version     BIGINT UNSIGNED;
    DECLARE v_role        VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_license     BINARY(16);
    DECLARE v_awake       BOOLEAN;
    DECLARE v_superuser   BOOLEAN;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    rules: BEGIN
        SELECT id, name, description, active, seq, version
          INTO v_id, v_name, v_description, v_active, v_seq, v_version
          FROM organizations WHERE id = p_id FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        SELECT active, superuser AND p_superuser INTO v_awake, v_superuser
          FROM users WHERE id = p_actor LOCK IN SHARE MODE;
        SELECT role INTO v_role FROM memberships WHERE user_id = p_actor AND organization_id = p_id;

        IF v_awake IS NULL OR NOT v_awake THEN SET v_code = 'unauthorized'; LEAVE rules; END IF;
        IF v_id IS NULL OR (v_role IS NULL AND NOT v_superuser) THEN
            SET v_code = 'organization_not_found';
            LEAVE rules;
        END IF;
        IF NOT v_superuser AND v_role <> 'admin' THEN SET v_code = 'admin_required'; LEAVE rules; END IF;
        IF p_if IS NOT NULL AND NOT FIND_IN_SET(v_version, p_if) THEN
            SET v_code = 'precondition_failed';
            LEAVE rules;
        END IF;

        SELECT id INTO v_license FROM licenses WHERE organization_id = p_id;
        UPDATE licenses SET reserved_by = p_actor WHERE reserved_for = p_id ORDER BY id;
        UPDATE licenses
           SET organization_id = NULL, assigned_at = NULL, reserved_for = p_id, reserved_by = p_actor
         WHERE id = v_license;
        IF v_license IS NOT NULL AND ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        DELETE FROM memberships WHERE organization_id = p_id;
        IF EXISTS (SELECT 1 FROM memberships WHERE organization_id = p_id)
           OR EXISTS (SELECT 1 FROM licenses WHERE reserved_for = p_id AND NOT reserved_by <=> p_actor) THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        DELETE FROM organizations WHERE id = p_id;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;

        INSERT INTO events (id, organization_id, seq, at, actor_id, action, request_id, changes)
        VALUES (p_event, p_id, v_seq + 1, v_now, p_actor, 'organization.delete', p_request,
                CONCAT('{', CONCAT_WS(',',
                    change_v1('name', JSON_QUOTE(v_name), NULL),
                    change_v1('description', JSON_QUOTE(v_description), NULL),
                    change_v1('active', flag_json_v1(v_active), NULL),
                    change_v1('license_id', id_json_v1(v_license), NULL)), '}'));
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

DELIMITER ;
