-- What more than one procedure needs to say.

DELIMITER $$

-- An id as the API writes it.
CREATE FUNCTION uuid_text_v1(p_id BINARY(16)) RETURNS VARCHAR(36) CHARACTER SET utf8mb4
    DETERMINISTIC NO SQL SQL SECURITY INVOKER
RETURN LOWER(CONCAT(SUBSTR(HEX(p_id), 1, 8), '-', SUBSTR(HEX(p_id), 9, 4), '-', SUBSTR(HEX(p_id), 13, 4), '-',
                    SUBSTR(HEX(p_id), 17, 4), '-', SUBSTR(HEX(p_id), 21)))$$

-- One field of an event's changes: "name":[before,after], both already JSON; null where nothing changed.
CREATE FUNCTION change_v1(
    p_field  VARCHAR(32) CHARACTER SET utf8mb4,
    p_before MEDIUMTEXT CHARACTER SET utf8mb4,
    p_after  MEDIUMTEXT CHARACTER SET utf8mb4) RETURNS MEDIUMTEXT CHARACTER SET utf8mb4
    DETERMINISTIC NO SQL SQL SECURITY INVOKER
RETURN IF(CAST(p_before AS BINARY) <=> CAST(p_after AS BINARY), NULL,
          CONCAT('"', p_field, '":[', IFNULL(p_before, 'null'), ',', IFNULL(p_after, 'null'), ']'))$$

-- The same for a time, an id, a flag: their JSON.
CREATE FUNCTION time_json_v1(p_at DATETIME(3)) RETURNS VARCHAR(32) CHARACTER SET utf8mb4
    DETERMINISTIC NO SQL SQL SECURITY INVOKER
RETURN CONCAT('"', REPLACE(CAST(p_at AS CHAR), ' ', 'T'), 'Z"')$$

CREATE FUNCTION id_json_v1(p_id BINARY(16)) RETURNS VARCHAR(38) CHARACTER SET utf8mb4
    DETERMINISTIC NO SQL SQL SECURITY INVOKER
RETURN IF(p_id IS NULL, NULL, CONCAT('"', uuid_text_v1(p_id), '"'))$$

CREATE FUNCTION flag_json_v1(p_flag BOOLEAN) RETURNS VARCHAR(5) CHARACTER SET utf8mb4
    DETERMINISTIC NO SQL SQL SECURITY INVOKER
RETURN IF(p_flag IS NULL, NULL, IF(p_flag, 'true', 'false'))$$

DELIMITER ;
