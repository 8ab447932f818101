-- Writes that wait for each other in a process, made in one transaction. See procedures_organization.sql for how to
-- read them.
--
-- Here nothing is refused: what is plainly allowed is made, the rest left to the procedure of one write, which knows
-- the rules in their order, and so is all of it where a statement fails. So each condition may be narrower than the
-- rule, never wider.
--
-- p_items is an array of objects: event, the writer (actor), the request, and what is written; bytes in hexadecimal.
-- A locking read has JSON_TABLE in a subquery with a LIMIT: MySQL would lock its rows, too, and says that it cannot.
-- JSON_TABLE cuts what is too long, without a word (MariaDB): so a text's column there is longer than the table's.
-- The answer is an array as well: of each that was made its number (from 1), and of the user it is about id and name.

DELIMITER $$

-- p_ids, p_actors: of each item 16 bytes. What the tables of keys need is taken from there: that is cheaper than JSON.
CREATE PROCEDURE organization_create_together_v1(
    IN p_ids    BLOB,
    IN p_actors BLOB,
    IN p_items  MEDIUMTEXT CHARACTER SET utf8mb4)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_count INT UNSIGNED DEFAULT LENGTH(p_ids) DIV 16;
    DECLARE v_now   DATETIME(3);
    DECLARE v_made  BIGINT UNSIGNED;
    DECLARE v_told  MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    SELECT BIT_OR(1 << q.number), JSON_ARRAYAGG(JSON_OBJECT('number', q.number + 1)) INTO v_made, v_told
      FROM numbers q JOIN users u ON u.id = SUBSTR(p_actors, 16 * q.number + 1, 16)
     WHERE q.number < v_count AND u.active LOCK IN SHARE MODE;
    SET v_now = UTC_TIMESTAMP(3);

    INSERT INTO organizations
           (id, name, description, active, members, seq, version, created_by, created_at, updated_at)
    SELECT SUBSTR(p_ids, 16 * item.number - 15, 16), item.name, item.description, TRUE, 1, 1, 1,
           SUBSTR(p_actors, 16 * item.number - 15, 16), v_now, v_now
      FROM JSON_TABLE(p_items, '$[*]' COLUMNS (number      FOR ORDINALITY,
                                               name        VARCHAR(201) CHARACTER SET utf8mb4 PATH '$.name'
                                                           ERROR ON ERROR,
                                               description VARCHAR(4001) CHARACTER SET utf8mb4 PATH '$.description'
                                                           ERROR ON ERROR)) AS item
     WHERE v_made >> (item.number - 1) & 1;
    IF ROW_COUNT() <> BIT_COUNT(v_made) THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
    END IF;
    INSERT INTO memberships (organization_id, user_id, role, joined_at)
    SELECT SUBSTR(p_ids, 16 * q.number + 1, 16), SUBSTR(p_actors, 16 * q.number + 1, 16), 'admin', v_now
      FROM numbers q WHERE q.number < v_count AND v_made >> q.number & 1;
    IF ROW_COUNT() <> BIT_COUNT(v_made) THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
    END IF;
    INSERT INTO events (id, organization_id, seq, at, actor_id, action, request_id, changes)
    SELECT UNHEX(item.event), SUBSTR(p_ids, 16 * item.number - 15, 16), 1, v_now,
           SUBSTR(p_actors, 16 * item.number - 15, 16), 'organization.create', UNHEX(item.request),
           CONCAT('{"name":[null,', JSON_QUOTE(item.name),
                  IFNULL(CONCAT('],"description":[null,', JSON_QUOTE(item.description)), ''),
                  '],"active":[null,true]}')
      FROM JSON_TABLE(p_items, '$[*]' COLUMNS (number      FOR ORDINALITY,
                                               event       CHAR(32) CHARACTER SET ascii PATH '$.event',
                                               request     VARCHAR(130) CHARACTER SET ascii PATH '$.request',
                                               name        VARCHAR(201) CHARACTER SET utf8mb4 PATH '$.name'
                                                           ERROR ON ERROR,
                                               description VARCHAR(4001) CHARACTER SET utf8mb4 PATH '$.description'
                                                           ERROR ON ERROR)) AS item
     WHERE v_made >> (item.number - 1) & 1;
    IF ROW_COUNT() <> BIT_COUNT(v_made) THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
    END IF;
    COMMIT;
    SELECT NULL, FALSE, v_told, NULL, v_now, NULL;
END$$

-- New members of one organization, none of them an admin. If not all find a seat, none is given one here; who is in two
-- items meets himself at the key, and all are left to be made one by one.
CREATE PROCEDURE member_add_together_v1(
    IN p_organization BINARY(16),
    IN p_items        MEDIUMTEXT CHARACTER SET utf8mb4)
    MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE v_now     DATETIME(3);
    DECLARE v_active  BOOLEAN;
    DECLARE v_members INT UNSIGNED;
    DECLARE v_seq     BIGINT UNSIGNED;
    DECLARE v_seen    BINARY(16);
    DECLARE v_seats   INT UNSIGNED;
    DECLARE v_made    INT UNSIGNED;
    DECLARE v_told    MEDIUMTEXT CHARACTER SET utf8mb4;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

    ROLLBACK;
    START TRANSACTION;
    SELECT active, members, seq INTO v_active, v_members, v_seq
      FROM organizations WHERE id = p_organization FOR UPDATE;
    SET v_now = UTC_TIMESTAMP(3);
    SELECT organization_id, seats INTO v_seen, v_seats FROM seats_v1 WHERE organization_id = p_organization;
    SELECT COUNT(*), JSON_ARRAYAGG(JSON_OBJECT('number', item.number, 'event', item.event, 'actor', item.actor,
                                               'request', item.request, 'id', HEX(u.id), 'name', u.name))
      INTO v_made, v_told
      FROM (SELECT *
              FROM JSON_TABLE(p_items, '$[*]' COLUMNS (number    FOR ORDINALITY,
                                                       event     CHAR(32) CHARACTER SET ascii PATH '$.event',
                                                       actor     CHAR(32) CHARACTER SET ascii PATH '$.actor',
                                                       superuser BOOLEAN PATH '$.superuser',
                                                       request   VARCHAR(130) CHARACTER SET ascii PATH '$.request',
                                                       email     VARCHAR(510) CHARACTER SET ascii PATH '$.email'))
                   AS items
             LIMIT 64) AS item
      JOIN users a ON a.id = UNHEX(item.actor)
      LEFT JOIN memberships m FORCE INDEX (PRIMARY) ON m.user_id = a.id AND m.organization_id = p_organization
      JOIN users u ON u.email = UNHEX(item.email)
      LEFT JOIN memberships met FORCE INDEX (PRIMARY) ON met.user_id = u.id AND met.organization_id = p_organization
     WHERE a.active AND (m.role = 'admin' OR a.superuser AND item.superuser) AND u.active AND met.role IS NULL
      LOCK IN SHARE MODE;

    IF v_active AND v_seen IS NOT NULL AND v_made > 0 AND (v_seats IS NULL OR v_members + v_made <= v_seats) THEN
        INSERT INTO memberships (organization_id, user_id, role, joined_at)
        SELECT p_organization, UNHEX(item.id), 'member', v_now
          FROM JSON_TABLE(v_told, '$[*]' COLUMNS (id CHAR(32) CHARACTER SET ascii PATH '$.id')) AS item;
        IF ROW_COUNT() <> v_made THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        UPDATE organizations SET members = members + v_made, seq = v_seq + v_made WHERE id = p_organization;
        IF ROW_COUNT() <> 1 THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        INSERT INTO events (id, organization_id, seq, at, actor_id, action, target_id, request_id, changes)
        SELECT UNHEX(item.event), p_organization, v_seq + item.place, v_now, UNHEX(item.actor), 'member.add',
               UNHEX(item.id), UNHEX(item.request), '{"role":[null,"member"]}'
          FROM JSON_TABLE(v_told, '$[*]' COLUMNS (place   FOR ORDINALITY,
                                                  event   CHAR(32) CHARACTER SET ascii PATH '$.event',
                                                  actor   CHAR(32) CHARACTER SET ascii PATH '$.actor',
                                                  request VARCHAR(130) CHARACTER SET ascii PATH '$.request',
                                                  id      CHAR(32) CHARACTER SET ascii PATH '$.id')) AS item;
        IF ROW_COUNT() <> v_made THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'a statement was interrupted';
        END IF;
        COMMIT;
    ELSE
        ROLLBACK;
        SET v_told = NULL;
    END IF;
    SELECT NULL, FALSE, v_told, NULL, v_now, NULL;
END$$

DELIMITER ;
