-- Who holds which license. See procedures_organization.sql for how to read these.

DELIMITER $$

-- An organization's license as the API shows it. Called under the organization's lock.
CREATE PROCEDURE license_answer_v1(IN p_organization BINARY(16), OUT p_answer MEDIUMTEXT CHARACTER SET utf8mb4)
    READS SQL DATA SQL SECURITY DEFINER
BEGIN
    SELECT JSON_OBJECT(
               'organization_id', uuid_text_v1(o.id), 'plan', s.plan, 'seats', s.seats, 'seats_used', o.members,
               'license_id', uuid_text_v1(l.id), 'license_plan', l.plan, 'license_seats', l.seats,
               'license_status', l.status, 'starts_at', CAST(l.starts_at AS CHAR),
               'expires_at', CAST(l.expires_at AS CHAR), 'assigned_at', CAST(l.assigned_at AS CHAR),
               'version', o.license_version)
      INTO p_answer
      FROM organizations o
      JOIN seats_v1 s ON s.organization_id = o.id
      LEFT JOIN licenses_v1 l ON l.organization_id = o.id
     WHERE o.id = p_organization;
END$$

-- Assigns a license, in place of the one that is held. A license that left an organization is reserved: for that
-- organization; while it stands, for its admins, who may take it to another one of theirs; once it is deleted, for
-- the user who deleted it; for superusers. p_license null: an id that is none.
CREATE PROCEDURE license_assign_v1(
    IN p_event        BINARY(16),
    IN p_actor        BINARY(16),
    IN p_request      VARBINARY(64),
    IN p_superuser    BOOLEAN,
    IN p_organization BINARY(16),
    IN p_if           VARCHAR(4000) CHARACTER SET ascii,
    IN p_license      BINARY(16))
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_code        VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer      MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now         DATETIME(3);
    DECLARE v_id          BINARY(16);
    DECLARE v_active      BOOLEAN;
    DECLARE v_members     INT UNSIGNED;
    DECLARE v_seq         BIGINT UNSIGNED;
    DECLARE v_version     BIGINT UNSIGNED;
    DECLARE v_role        VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_awake       BOOLEAN;
    DECLARE v_superuser   BOOLEAN;
    DECLARE v_peek        BINARY(16);
    DECLARE v_former      BINARY(16);
    DECLARE v_former_role VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_current     BINARY(16);
    DECLARE v_license     BINARY(16);
    DECLARE v_holder      BINARY(16);
    DECLARE v_reserved    BINARY(16);
    DECLARE v_reserved_by BINARY(16);
    DECLARE v_status      VARCHAR(16) CHARACTER SET utf8mb4;
    DECLARE v_seats       INT UNSIGNED;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    rules: BEGIN
        -- Both organizations that have a say are locked, in the order of their ids.
        SELECT reserved_for INTO v_peek FROM licenses WHERE id = p_license;
        IF v_peek < p_organization THEN
            SELECT id INTO v_former FROM organizations WHERE id = v_peek FOR UPDATE;
        END IF;
        SELECT id, active, members, seq, license_version INTO v_id, v_active, v_members, v_seq, v_version
          FROM organizations WHERE id = p_organization FOR UPDATE;
        IF v_peek > p_organization THEN
            SELECT id INTO v_former FROM organizations WHERE id = v_peek FOR UPDATE;
        END IF;
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
        IF p_if IS NOT NULL AND NOT FIND_IN_SET(v_version, p_if) THEN
            SET v_code = 'precondition_failed';
            LEAVE rules;
        END IF;
        IF NOT v_active THEN SET v_code = 'organization_inactive'; LEAVE rules; END IF;

        SELECT id INTO v_current FROM licenses WHERE organization_id = p_organization;
        IF v_current < p_license THEN
            SELECT id INTO v_current FROM licenses WHERE id = v_current FOR UPDATE;
        END IF;
        SELECT id, organization_id, reserved_for, reserved_by INTO v_license, v_holder, v_reserved, v_reserved_by
          FROM licenses WHERE id = p_license FOR UPDATE;
        IF v_current > p_license THEN
            SELECT id INTO v_current FROM licenses WHERE id = v_current FOR UPDATE;
        END IF;

        IF v_license IS NULL THEN SET v_code = 'license_not_found'; LEAVE rules; END IF;
        IF v_holder = p_organization THEN
            CALL license_answer_v1(p_organization, v_answer);
            IF v_answer IS NULL THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
            LEAVE rules;
        END IF;
        IF v_holder IS NOT NULL THEN SET v_code = 'license_in_use'; LEAVE rules; END IF;

        IF NOT v_reserved <=> v_peek THEN
            SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'the license was freed meanwhile';
        END IF;
        IF v_reserved <> p_organization AND NOT v_superuser THEN
            IF v_former IS NOT NULL THEN
                SELECT role INTO v_former_role
                  FROM memberships WHERE user_id = p_actor AND organization_id = v_former;
            END IF;
            IF NOT (v_former IS NOT NULL AND v_former_role <=> 'admin'
                    OR v_former IS NULL AND v_reserved_by <=> p_actor) THEN
                SET v_code = 'license_reserved';
                LEAVE rules;
            END IF;
        END IF;

        SELECT status, seats INTO v_status, v_seats FROM licenses_v1 WHERE id = p_license;
        IF v_status <> 'active' THEN
            SET v_code = 'license_not_active', v_answer = JSON_OBJECT('license_status', v_status);
            LEAVE rules;
        END IF;
        IF v_seats < v_members THEN
            SET v_code = 'seats_exceeded', v_answer = JSON_OBJECT('seats', v_seats, 'seats_used', v_members);
            LEAVE rules;
        END IF;

        UPDATE licenses
           SET organization_id = NULL, assigned_at = NULL, reserved_for = p_organization, reserved_by = NULL
         WHERE id = v_current;
        IF v_current IS NOT NULL AND ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        UPDATE licenses
           SET organization_id = p_organization, assigned_at = v_now, reserved_for = NULL, reserved_by = NULL
         WHERE id = p_license;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        UPDATE organizations SET guard = guard + 1 WHERE id = v_former;
        IF v_former IS NOT NULL AND ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        UPDATE organizations
           SET version = version + 1, license_version = license_version + 1, seq = v_seq + 1, updated_at = v_now
         WHERE id = p_organization;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        CALL license_answer_v1(p_organization, v_answer);
        IF v_answer IS NULL THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        INSERT INTO events (id, organization_id, seq, at, actor_id, action, target_id, request_id, changes, answer,
                            expires_at)
        VALUES (p_event, p_organization, v_seq + 1, v_now, p_actor, 'license.assign', p_license, p_request,
                CONCAT('{', change_v1('license_id', id_json_v1(v_current), id_json_v1(p_license)), '}'),
                v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- Gives the license up; it stays reserved for the organization. Without one nothing moves.
CREATE PROCEDURE license_unassign_v1(
    IN p_event        BINARY(16),
    IN p_actor        BINARY(16),
    IN p_request      VARBINARY(64),
    IN p_superuser    BOOLEAN,
    IN p_organization BINARY(16),
    IN p_if           VARCHAR(4000) CHARACTER SET ascii)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_code      VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer    MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now       DATETIME(3);
    DECLARE v_id        BINARY(16);
    DECLARE v_seq       BIGINT UNSIGNED;
    DECLARE v_version   BIGINT UNSIGNED;
    DECLARE v_role      VARCHAR(6) CHARACTER SET utf8mb4;
    DECLARE v_awake     BOOLEAN;
    DECLARE v_superuser BOOLEAN;
    DECLARE v_current   BINARY(16);
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    rules: BEGIN
        SELECT id, seq, license_version INTO v_id, v_seq, v_version
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
        IF p_if IS NOT NULL AND NOT FIND_IN_SET(v_version, p_if) THEN
            SET v_code = 'precondition_failed';
            LEAVE rules;
        END IF;

        SELECT id INTO v_current FROM licenses WHERE organization_id = p_organization FOR UPDATE;
        IF v_current IS NOT NULL THEN
            UPDATE licenses
               SET organization_id = NULL, assigned_at = NULL, reserved_for = p_organization, reserved_by = NULL
             WHERE id = v_current;
            IF ROW_COUNT() <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
            UPDATE organizations
               SET version = version + 1, license_version = license_version + 1, seq = v_seq + 1, updated_at = v_now
             WHERE id = p_organization;
            IF ROW_COUNT() <> 1 THEN
                SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
            END IF;
        END IF;
        CALL license_answer_v1(p_organization, v_answer);
        IF v_answer IS NULL THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        IF v_current IS NOT NULL THEN
            INSERT INTO events (id, organization_id, seq, at, actor_id, action, target_id, request_id, changes, answer,
                                expires_at)
            VALUES (p_event, p_organization, v_seq + 1, v_now, p_actor, 'license.unassign', v_current, p_request,
                    CONCAT('{', change_v1('license_id', id_json_v1(v_current), NULL), '}'),
                    v_answer, v_now + INTERVAL 24 HOUR);
        END IF;
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

DELIMITER ;
