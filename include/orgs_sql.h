/*
 * Every statement of the module and of orgsctl, once: X(symbol, columns, parameters, text).
 *
 * columns: a letter each, b bytes, i integer, t time; w in front: nonzero where the server may not be written to, which
 * is then an error. parameters: how many.
 * Procedures and views carry the schema's version in their names.
 */
#ifndef ORGS_SQL_H
#define ORGS_SQL_H

/* Every procedure answers one row: code, replayed, answer. */
#define ORGS_CALL_COLUMNS "bib"

/* A list names its index: with a constant before the range the optimizer may otherwise read, for every batch, all that
 * went before it. */

/* The columns of an organization. */
#define ORGS_SQL_ORGANIZATION "o.id, o.name, o.description, o.active, o.version, o.created_at, o.updated_at"

/* The hot question, which is one whatever the caller is known by: the token's column, where a user comes from, and the
 * condition. It always has a row, for its first column: a server that was made read-only meanwhile has a successor, which
 * knows better. Its second column is the number of the question. */
#define ORGS_LOOKUP_COLUMNS "wibbbibbbbiittbtiibbitttbbi"
#define ORGS_SQL_READ_ONLY "CONCAT(@@global.read_only) NOT IN ('0', 'OFF')"
#define ORGS_SQL_LOOKUP(number, token, questions, users, known, organization) \
    "SELECT " ORGS_SQL_READ_ONLY ", " number ", u.id, u.email, u.name, u.superuser, " token ", " ORGS_SQL_ORGANIZATION ", " \
    "m.role, m.joined_at, o.members, o.license_version, l.id, l.plan, l.seats, l.starts_at, l.expires_at, l.assigned_at, " \
    "l.status, IF(l.status = 'active', l.plan, s.free_plan), IF(l.status = 'active', l.seats, s.free_seats) " \
    "FROM schema_version v " questions "LEFT JOIN (" users ") ON " known " AND u.active " \
    "LEFT JOIN organizations o ON o.id = " organization " " \
    "LEFT JOIN memberships m ON m.user_id = u.id AND m.organization_id = o.id " \
    "LEFT JOIN licenses_v1 l ON l.organization_id = o.id " \
    "LEFT JOIN settings s ON s.id = 1 WHERE v.id = 1"

/* By what a caller may be known. Zeros fill a key up where several travel together. */
#define ORGS_SQL_BY_TOKEN(number, questions, key, organization) \
    ORGS_SQL_LOOKUP(number, "t.id", questions, "tokens t JOIN users u ON u.id = t.user_id", \
                    "t.hash = " key " AND t.revoked_at IS NULL " \
                    "AND (t.expires_at IS NULL OR t.expires_at > UTC_TIMESTAMP(3))", organization)
#define ORGS_SQL_BY(column) ORGS_SQL_LOOKUP("0", "NULL", "", "users u", "u." column " = ?", "?")
#define ORGS_SQL_MANY_BY(column, questions) \
    ORGS_SQL_LOOKUP("q.number", "NULL", questions, "users u", "u." column " = TRIM(TRAILING x'00' FROM q.known)", "q.organization")

/* Several questions, a row each: how long a key is at most, and what follows the first. */
#define ORGS_SQL_QUESTIONS(bytes, more) \
    "JOIN (SELECT 0 AS number, CAST(? AS BINARY(" bytes ")) AS known, CAST(? AS BINARY(16)) AS organization" more ") q "
#define ORGS_SQL_ONE_MORE(number, bytes) " UNION ALL SELECT " #number ", CAST(? AS BINARY(" bytes ")), CAST(? AS BINARY(16))"
#define ORGS_SQL_2(bytes) ORGS_SQL_ONE_MORE(1, bytes)
#define ORGS_SQL_4(bytes) ORGS_SQL_2(bytes) ORGS_SQL_ONE_MORE(2, bytes) ORGS_SQL_ONE_MORE(3, bytes)
#define ORGS_SQL_8(bytes) \
    ORGS_SQL_4(bytes) ORGS_SQL_ONE_MORE(4, bytes) ORGS_SQL_ONE_MORE(5, bytes) ORGS_SQL_ONE_MORE(6, bytes) \
    ORGS_SQL_ONE_MORE(7, bytes)
#define ORGS_SQL_16(bytes) \
    ORGS_SQL_8(bytes) ORGS_SQL_ONE_MORE(8, bytes) ORGS_SQL_ONE_MORE(9, bytes) ORGS_SQL_ONE_MORE(10, bytes) \
    ORGS_SQL_ONE_MORE(11, bytes) ORGS_SQL_ONE_MORE(12, bytes) ORGS_SQL_ONE_MORE(13, bytes) ORGS_SQL_ONE_MORE(14, bytes) \
    ORGS_SQL_ONE_MORE(15, bytes)

/* The hot question as it is asked: alone, and by so many together. Parameters: for each what the caller is known by, and
 * the organization. */
#define ORGS_HOT(X, many) \
    X(LOOKUP_##many, ORGS_LOOKUP_COLUMNS, 2 * many, \
      ORGS_SQL_BY_TOKEN("q.number", ORGS_SQL_QUESTIONS("32", ORGS_SQL_##many("32")), "q.known", "q.organization")) \
    X(LOOKUP_EMAIL_##many, ORGS_LOOKUP_COLUMNS, 2 * many, \
      ORGS_SQL_MANY_BY("email", ORGS_SQL_QUESTIONS("254", ORGS_SQL_##many("254")))) \
    X(LOOKUP_EXTERNAL_ID_##many, ORGS_LOOKUP_COLUMNS, 2 * many, \
      ORGS_SQL_MANY_BY("external_id", ORGS_SQL_QUESTIONS("255", ORGS_SQL_##many("255"))))

#define ORGS_STATEMENTS(X) \
    X(LOOKUP, ORGS_LOOKUP_COLUMNS, 2, ORGS_SQL_BY_TOKEN("0", "", "?", "?")) \
    X(LOOKUP_EMAIL, ORGS_LOOKUP_COLUMNS, 2, ORGS_SQL_BY("email")) \
    X(LOOKUP_EXTERNAL_ID, ORGS_LOOKUP_COLUMNS, 2, ORGS_SQL_BY("external_id")) \
    ORGS_HOT(X, 2) ORGS_HOT(X, 4) ORGS_HOT(X, 8) ORGS_HOT(X, 16) \
    X(ORG_LIST, "bbbittbb", 6, \
      "SELECT o.id, o.name, o.description, o.active, o.created_at, o.updated_at, m.role, l.id " \
      "FROM memberships m FORCE INDEX (PRIMARY) JOIN organizations o ON o.id = m.organization_id " \
      "LEFT JOIN licenses l ON l.organization_id = o.id " \
      "WHERE m.user_id = ? AND m.organization_id > ? AND (? = 0 OR o.active) AND (? IS NULL OR m.role = ?) " \
      "ORDER BY m.organization_id LIMIT ?") \
    X(ORG_LIST_ALL, "bbbittbbi", 6, \
      "SELECT o.id, o.name, o.description, o.active, o.created_at, o.updated_at, m.role, l.id, o.members " \
      "FROM organizations o LEFT JOIN memberships m ON m.user_id = ? AND m.organization_id = o.id " \
      "LEFT JOIN licenses l ON l.organization_id = o.id " \
      "WHERE o.id > ? AND (? = 0 OR o.active) AND (? IS NULL OR m.role = ?) ORDER BY o.id LIMIT ?") \
    X(ORG_CREATE, ORGS_CALL_COLUMNS, 9, "CALL organization_create_v1(?, ?, ?, ?, ?, ?, ?, ?, ?)") \
    X(ORG_UPDATE, ORGS_CALL_COLUMNS, 10, "CALL organization_update_v1(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)") \
    X(ORG_DELETE, ORGS_CALL_COLUMNS, 6, "CALL organization_delete_v1(?, ?, ?, ?, ?, ?)") \
    X(MEMBER_LIST, "bbbbt", 9, \
      "SELECT m.user_id, u.email, u.name, m.role, m.joined_at " \
      "FROM memberships m FORCE INDEX (memberships_joined) JOIN users u ON u.id = m.user_id " \
      "WHERE m.organization_id = ? AND m.joined_at >= ? AND (m.joined_at > ? OR m.user_id > ?) " \
      "AND (? IS NULL OR m.role = ?) AND (? IS NULL OR u.email = ?) ORDER BY m.joined_at, m.user_id LIMIT ?") \
    X(MEMBER_GET, "bbbbt", 2, \
      "SELECT m.user_id, u.email, u.name, m.role, m.joined_at " \
      "FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.user_id = ? AND m.organization_id = ?") \
    X(MEMBER_ADD, ORGS_CALL_COLUMNS, 9, "CALL member_add_v1(?, ?, ?, ?, ?, ?, ?, ?, ?)") \
    X(MEMBER_UPDATE, ORGS_CALL_COLUMNS, 7, "CALL member_update_v1(?, ?, ?, ?, ?, ?, ?)") \
    X(MEMBER_REMOVE, ORGS_CALL_COLUMNS, 6, "CALL member_remove_v1(?, ?, ?, ?, ?, ?)") \
    X(LICENSE_ASSIGN, ORGS_CALL_COLUMNS, 7, "CALL license_assign_v1(?, ?, ?, ?, ?, ?, ?)") \
    X(LICENSE_UNASSIGN, ORGS_CALL_COLUMNS, 6, "CALL license_unassign_v1(?, ?, ?, ?, ?, ?)") \
    X(ASSIGNMENT_DEPLOYMENTS, "bbbbbbbtt", 3, \
      "SELECT d.id, d.license_id, d.name, d.environment, d.url, d.version, d.status, d.created_at, d.updated_at " \
      "FROM licenses l JOIN deployments d FORCE INDEX (deployments_license) ON d.license_id = l.id " \
      "WHERE l.organization_id = ? AND d.id > ? ORDER BY d.id LIMIT ?") \
    X(USER_PROVISION, ORGS_CALL_COLUMNS, 4, "CALL user_provision_v1(?, ?, ?, ?)") \
    X(EVENT_EXPIRE, ORGS_CALL_COLUMNS, 2, "CALL event_expire_v1(?, ?)") \
    X(EVENT_SETTLE, ORGS_CALL_COLUMNS, 1, "CALL event_settle_v1(?)") \
    /* the operator's */ \
    X(USER_LIST, "bbbbiit", 2, \
      "SELECT id, email, name, external_id, superuser, active, created_at FROM users WHERE id > ? " \
      "ORDER BY id LIMIT ?") \
    X(USER_FIND, "bbbbiit", 1, \
      "SELECT id, email, name, external_id, superuser, active, created_at FROM users WHERE email = ?") \
    X(USER_ADD, ORGS_CALL_COLUMNS, 6, "CALL user_add_v1(?, ?, ?, ?, ?, ?)") \
    X(USER_SET, ORGS_CALL_COLUMNS, 7, "CALL user_set_v1(?, ?, ?, ?, ?, ?, ?)") \
    X(USER_DEACTIVATE, ORGS_CALL_COLUMNS, 3, "CALL user_deactivate_v1(?, ?, ?)") \
    X(USER_ACTIVATE, ORGS_CALL_COLUMNS, 2, "CALL user_activate_v1(?, ?)") \
    X(USER_SUPERUSER, ORGS_CALL_COLUMNS, 3, "CALL user_superuser_v1(?, ?, ?)") \
    X(TOKEN_LIST, "bbttt", 3, \
      "SELECT id, label, created_at, expires_at, revoked_at FROM tokens WHERE user_id = ? AND id > ? " \
      "ORDER BY id LIMIT ?") \
    X(TOKEN_ISSUE, ORGS_CALL_COLUMNS, 6, "CALL token_issue_v1(?, ?, ?, ?, ?, ?)") \
    X(TOKEN_REVOKE, ORGS_CALL_COLUMNS, 3, "CALL token_revoke_v1(?, ?, ?)") \
    X(TOKEN_REVOKE_ALL, ORGS_CALL_COLUMNS, 2, "CALL token_revoke_all_v1(?, ?)") \
    X(ORG_SHOW, "bbbiittiibbi", 1, \
      "SELECT " ORGS_SQL_ORGANIZATION ", o.members, (SELECT COUNT(*) FROM memberships m JOIN users u " \
      "ON u.id = m.user_id WHERE m.organization_id = o.id AND m.role = 'admin' AND u.active), " \
      "l.id, s.plan, s.seats " \
      "FROM organizations o JOIN seats_v1 s ON s.organization_id = o.id " \
      "LEFT JOIN licenses l ON l.organization_id = o.id WHERE o.id = ?") \
    X(ORG_ADD_ADMIN, ORGS_CALL_COLUMNS, 3, "CALL organization_add_admin_v1(?, ?, ?)") \
    X(PLAN_SHOW, "bi", 0, "SELECT free_plan, free_seats FROM settings WHERE id = 1") \
    X(PLAN_FREE, ORGS_CALL_COLUMNS, 4, "CALL plan_free_v1(?, ?, ?, ?)") \
    X(EVENT_LIST, "bitbbbbb", 3, \
      "SELECT id, seq, at, actor_id, action, target_id, request_id, changes FROM events FORCE INDEX (events_seq) " \
      "WHERE organization_id = ? AND seq > ? ORDER BY seq LIMIT ?") \
    X(EVENT_LIST_DESC, "bitbbbbb", 3, \
      "SELECT id, seq, at, actor_id, action, target_id, request_id, changes FROM events FORCE INDEX (events_seq) " \
      "WHERE organization_id = ? AND seq < ? ORDER BY seq DESC LIMIT ?") \
    X(EVENT_PRUNE, ORGS_CALL_COLUMNS, 5, "CALL event_prune_v1(?, ?, ?, ?, ?)") \
    X(LICENSE_LIST, "bbbittbtbbt", 2, \
      "SELECT id, plan, status, seats, starts_at, expires_at, organization_id, assigned_at, reserved_for, " \
      "reserved_by, created_at FROM licenses_v1 WHERE id > ? ORDER BY id LIMIT ?") \
    X(LICENSE_SHOW, "bbbittbtbbt", 1, \
      "SELECT id, plan, status, seats, starts_at, expires_at, organization_id, assigned_at, reserved_for, " \
      "reserved_by, created_at FROM licenses_v1 WHERE id = ?") \
    X(LICENSE_ADD, ORGS_CALL_COLUMNS, 6, "CALL license_add_v1(?, ?, ?, ?, ?, ?)") \
    X(LICENSE_SET, ORGS_CALL_COLUMNS, 11, "CALL license_set_v1(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)") \
    X(LICENSE_RELEASE, ORGS_CALL_COLUMNS, 4, "CALL license_release_v1(?, ?, ?, ?)") \
    X(DEPLOYMENTS_OF, "bbbbbbtt", 3, \
      "SELECT id, name, environment, url, version, status, created_at, updated_at FROM deployments " \
      "WHERE license_id = ? AND id > ? ORDER BY id LIMIT ?") \
    X(DEPLOYMENT_ADD, ORGS_CALL_COLUMNS, 8, "CALL deployment_add_v1(?, ?, ?, ?, ?, ?, ?, ?)") \
    X(DEPLOYMENT_SET, ORGS_CALL_COLUMNS, 7, "CALL deployment_set_v1(?, ?, ?, ?, ?, ?, ?)") \
    X(DEPLOYMENT_REMOVE, ORGS_CALL_COLUMNS, 2, "CALL deployment_remove_v1(?, ?)")

typedef enum {
#define ORGS_SQL_ENUM(symbol, columns, params, text) ORGS_SQL_##symbol,
    ORGS_STATEMENTS(ORGS_SQL_ENUM)
#undef ORGS_SQL_ENUM
    ORGS_SQL_COUNT
} orgs_sql_e;

typedef struct orgs_sql_t {
    const char *name;
    const char *columns;
    int params;
    const char *text;
} orgs_sql_t;

/** The statement of a symbol. */
const orgs_sql_t *orgs_sql(orgs_sql_e sql);

#endif
