-- What a license's status is, at one instant of the database's clock:
-- starts_at inclusive, expires_at exclusive.

CREATE OR REPLACE SQL SECURITY INVOKER VIEW licenses_v1 AS
SELECT id, plan, seats, starts_at, expires_at, organization_id, assigned_at, reserved_for, reserved_by, created_at,
       CASE
           WHEN revoked THEN 'revoked'
           WHEN suspended THEN 'suspended'
           WHEN expires_at <= UTC_TIMESTAMP(3) THEN 'expired'
           WHEN starts_at > UTC_TIMESTAMP(3) THEN 'scheduled'
           WHEN NOT revoked THEN 'active'  -- not ELSE: where a LEFT JOIN finds no license all of it must be null
       END AS status
  FROM licenses;

-- What counts for an organization now: its license's plan and seats while that is active, otherwise the free plan's.
-- Null seats are unlimited.

CREATE OR REPLACE SQL SECURITY INVOKER VIEW seats_v1 AS
SELECT o.id AS organization_id,
       IF(l.status = 'active', l.plan, s.free_plan) AS plan,
       IF(l.status = 'active', l.seats, s.free_seats) AS seats
  FROM organizations o
  JOIN settings s ON s.id = 1
  LEFT JOIN licenses_v1 l ON l.organization_id = o.id;
