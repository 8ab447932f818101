-- Step 2: numbers from 0 on, for questions that are asked together: as many as may be.
CREATE TABLE IF NOT EXISTS numbers (
    number TINYINT UNSIGNED NOT NULL,
    PRIMARY KEY (number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

INSERT IGNORE INTO numbers (number)
VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15);
