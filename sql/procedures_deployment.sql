-- Deployments, which are the operator's to write. For orgsctl alone, as procedures_operator.sql says.

DELIMITER $$

CREATE PROCEDURE deployment_add_v1(
    IN p_event       BINARY(16),
    IN p_id          BINARY(16),
    IN p_license     BINARY(16),
    IN p_name        VARCHAR(200) CHARACTER SET utf8mb4,
    IN p_environment VARCHAR(64) CHARACTER SET utf8mb4,
    IN p_url         VARCHAR(2000) CHARACTER SET utf8mb4,
    IN p_version     VARCHAR(64) CHARACTER SET utf8mb4,
    IN p_status      VARCHAR(64) CHARACTER SET utf8mb4)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_code    VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer  MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now     DATETIME(3);
    DECLARE v_license BINARY(16);
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    CALL operator_v1();
    START TRANSACTION;
    rules: BEGIN
        -- a release, which counts deployments, comes before or after
        SELECT id INTO v_license FROM licenses WHERE id = p_license FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_license IS NULL THEN SET v_code = 'license_not_found'; LEAVE rules; END IF;

        INSERT INTO deployments (id, license_id, name, environment, url, version, status, created_at, updated_at)
        VALUES (p_id, p_license, p_name, p_environment, p_url, p_version, p_status, v_now, v_now);
        SET v_answer = JSON_OBJECT('id', uuid_text_v1(p_id));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'deployment.add', p_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

-- Null leaves a field alone; '' makes environment, url or version null.
CREATE PROCEDURE deployment_set_v1(
    IN p_event       BINARY(16),
    IN p_id          BINARY(16),
    IN p_name        VARCHAR(200) CHARACTER SET utf8mb4,
    IN p_environment VARCHAR(64) CHARACTER SET utf8mb4,
    IN p_url         VARCHAR(2000) CHARACTER SET utf8mb4,
    IN p_version     VARCHAR(64) CHARACTER SET utf8mb4,
    IN p_status      VARCHAR(64) CHARACTER SET utf8mb4)
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
        SELECT id INTO v_id FROM deployments WHERE id = p_id FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_id IS NULL THEN SET v_code = 'deployment_not_found'; LEAVE rules; END IF;

        UPDATE deployments
           SET name = IFNULL(p_name, name),
               environment = NULLIF(IFNULL(p_environment, environment), ''),
               url = NULLIF(IFNULL(p_url, url), ''),
               version = NULLIF(IFNULL(p_version, version), ''),
               status = IFNULL(p_status, status),
               updated_at = v_now
         WHERE id = p_id;
        IF NOT EXISTS (SELECT 1 FROM deployments
                        WHERE id = p_id AND updated_at = v_now AND name = IFNULL(p_name, name)
                          AND status = IFNULL(p_status, status)) THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        SET v_answer = JSON_OBJECT('id', uuid_text_v1(p_id));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'deployment.set', p_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

CREATE PROCEDURE deployment_remove_v1(
    IN p_event BINARY(16),
    IN p_id    BINARY(16))
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
        SELECT id INTO v_id FROM deployments WHERE id = p_id FOR UPDATE;
        SET v_now = UTC_TIMESTAMP(3);
        IF v_id IS NULL THEN SET v_code = 'deployment_not_found'; LEAVE rules; END IF;

        DELETE FROM deployments WHERE id = p_id;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        SET v_answer = JSON_OBJECT('id', uuid_text_v1(p_id));
        INSERT INTO events (id, at, action, target_id, answer, expires_at)
        VALUES (p_event, v_now, 'deployment.remove', p_id, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_code IS NULL THEN COMMIT; ELSE ROLLBACK; END IF;
    SELECT v_code, FALSE, v_answer;
END$$

DELIMITER ;
