-- The account whose rights the procedures of the API have. Nobody can log in with it.

CREATE USER IF NOT EXISTS 'orgs_definer'@'localhost' ACCOUNT LOCK;
ALTER USER 'orgs_definer'@'localhost' ACCOUNT LOCK;
GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON `orgs`.* TO 'orgs_definer'@'localhost';
