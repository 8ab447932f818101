-- Settling: what became of a CALL whose answer was lost.

DELIMITER $$

-- Puts the mark 'abandoned' where the lost write would put its event. If that succeeds, the write never was and
-- never can be any more: code 'abandoned'. If the id is taken the standing row says what it is: an abandoned one
-- (an earlier try to settle), or the event of a committed write, whose answer is then given, beside what it was about,
-- when, and the name of the user it was about.
-- While the write is undecided the insert waits; 1205 and 1213 mean "ask again".
CREATE PROCEDURE event_settle_v1(IN p_event BINARY(16))
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_code   VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_taken  BOOLEAN DEFAULT FALSE;
    DECLARE v_action VARCHAR(32) CHARACTER SET utf8mb4;
    DECLARE v_answer MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE v_id     BINARY(16);
    DECLARE v_name   VARCHAR(200) CHARACTER SET utf8mb4;
    DECLARE v_now    DATETIME(3);
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    SET v_now = UTC_TIMESTAMP(3);
    BEGIN
        DECLARE CONTINUE HANDLER FOR 1062 SET v_taken = TRUE;
        INSERT INTO events (id, at, action, expires_at) VALUES (p_event, v_now, 'abandoned', v_now + INTERVAL 24 HOUR);
    END;
    IF v_taken THEN
        ROLLBACK;
        SELECT e.action, e.answer, IFNULL(e.target_id, e.organization_id), e.at, u.name
          INTO v_action, v_answer, v_id, v_now, v_name
          FROM events e LEFT JOIN users u ON u.id = e.target_id WHERE e.id = p_event;
        IF v_action = 'abandoned' THEN SET v_code = 'abandoned'; END IF;
    ELSE
        COMMIT;
        SET v_code = 'abandoned';
    END IF;
    SELECT v_code, FALSE, v_answer, v_id, v_now, v_name;
END$$

-- Clears what is kept for a day only: keys and answers of old events, and events outside any organization, abandoned
-- marks among them. A few rows a call.
-- The answer is the number of rows it met.
CREATE PROCEDURE event_expire_v1(
    IN p_event BINARY(16),
    IN p_rows  INT UNSIGNED)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_now  DATETIME(3);
    DECLARE v_gone INT UNSIGNED DEFAULT 0;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    SET v_now = UTC_TIMESTAMP(3);
    DELETE FROM events WHERE expires_at < v_now AND organization_id IS NULL ORDER BY expires_at LIMIT p_rows;
    SET v_gone = ROW_COUNT();
    UPDATE events SET ikey = NULL, ibody = NULL, answer = NULL, expires_at = NULL
     WHERE expires_at < v_now AND organization_id IS NOT NULL ORDER BY expires_at LIMIT p_rows;
    SET v_gone = v_gone + ROW_COUNT();
    COMMIT;
    SELECT NULL, FALSE, JSON_OBJECT('rows', v_gone);
END$$

DELIMITER ;
