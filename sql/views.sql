-- The one place that says what a license's status is, at one instant of the database's clock:
-- starts_at inclusive, expires_at exclusive.

CREATE OR REPLACE SQL SECURITY INVOKER VIEW licenses_v1 AS
SELECT id, plan, seats, starts_at, expires_at, organization_id, assigned_at, reserved_for, reserved_by, created_at,
       CASE
           WHEN revoked THEN 'revoked'
           WHEN suspended THEN 'suspended'
           WHEN expires_at <= UTC_TIMESTAMP(3) THEN 'expired'
           WHEN starts_at > UTC_TIMESTAMP(3) THEN 'scheduled'
           ELSE 'active'
       END AS status
  FROM licenses;
