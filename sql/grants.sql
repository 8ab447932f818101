-- The accounts: run once as the database's administrator, after `orgsctl schema`, with passwords of your own
-- in place of ORGS_PASSWORD and ORGS_ADMIN_PASSWORD, and the web servers' hosts beside localhost.

-- mod_orgs: reads, and calls the procedures that are the API's writes. What only orgsctl may do are procedures
-- that run with their caller's rights (SQL SECURITY INVOKER), so for this account they end in "denied".
CREATE USER IF NOT EXISTS 'orgs'@'localhost' IDENTIFIED BY 'ORGS_PASSWORD';
CREATE USER IF NOT EXISTS 'orgs'@'127.0.0.1' IDENTIFIED BY 'ORGS_PASSWORD';
GRANT SELECT, EXECUTE ON `orgs`.* TO 'orgs'@'localhost';
GRANT SELECT, EXECUTE ON `orgs`.* TO 'orgs'@'127.0.0.1';

-- orgsctl, for all its commands but `schema`, which creates tables, procedures and their definer, and so wants
-- the database's administrator.
CREATE USER IF NOT EXISTS 'orgs_admin'@'localhost' IDENTIFIED BY 'ORGS_ADMIN_PASSWORD';
CREATE USER IF NOT EXISTS 'orgs_admin'@'127.0.0.1' IDENTIFIED BY 'ORGS_ADMIN_PASSWORD';
GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON `orgs`.* TO 'orgs_admin'@'localhost';
GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON `orgs`.* TO 'orgs_admin'@'127.0.0.1';
