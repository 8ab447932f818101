-- Users that the web server's own authentication brings (OrgsRemoteProvision): the one write of users that is the
-- module's. Frame and habits as in procedures_organization.sql; its event stands outside any organization, as in
-- procedures_user.sql, so that a lost CALL is settled like any other.

DELIMITER $$

-- Makes a user where there is none of this email. One that stands stays as it is, deactivated or not: whoever comes
-- second, of any number at once, finds the first one's.
CREATE PROCEDURE user_provision_v1(
    IN p_event   BINARY(16),
    IN p_request VARBINARY(64),
    IN p_id      BINARY(16),
    IN p_email   VARBINARY(254))
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE v_taken  BOOLEAN DEFAULT FALSE;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    rules: BEGIN
        SET v_now = UTC_TIMESTAMP(3);
        BEGIN
            DECLARE CONTINUE HANDLER FOR 1062 SET v_taken = TRUE;
            INSERT INTO users (id, email, superuser, active, created_at) VALUES (p_id, p_email, FALSE, TRUE, v_now);
        END;
        IF v_taken THEN LEAVE rules; END IF;

        SET v_answer = JSON_OBJECT('id', uuid_text_v1(p_id));
        INSERT INTO events (id, at, action, target_id, request_id, answer, expires_at)
        VALUES (p_event, v_now, 'user.add', p_id, p_request, v_answer, v_now + INTERVAL 24 HOUR);
    END rules;
    IF v_taken THEN ROLLBACK; ELSE COMMIT; END IF;
    SELECT NULL, FALSE, v_answer;
END$$

DELIMITER ;
