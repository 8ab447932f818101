/*
 * Every statement of the module and of orgsctl, once: X(symbol, columns, parameters, text).
 *
 * columns: a letter each, b bytes, i integer, t time; w in front: neither 0 nor OFF where the server may not be written
 * to, which is then an error. parameters: how many.
 * Procedures and views carry the schema's version in their names.
 */
#ifndef ORGS_SQL_H
#define ORGS_SQL_H

/* Every procedure answers one row: code, replayed, answer. Those that make what is known from the request alone, and what
 * settles a lost CALL, add what only the database knows of it: id, when, the user's name. */
#define ORGS_CALL_COLUMNS "bib"
#define ORGS_MADE_COLUMNS ORGS_CALL_COLUMNS "btb"

/* A list names its index: with a constant before the range the optimizer may otherwise read, for every batch, all that
 * went before it. What begins at the beginning, of all there is, is asked without conditions: for ten items they cost a
 * sixth, or a third, of it. more: these conditions. */
#define ORGS_SQL_ORGANIZATIONS_OF(more) \
    "SELECT o.id, o.name, o.description, o.active, o.created_at, o.updated_at, m.role, l.id " \
    "FROM memberships m FORCE INDEX (PRIMARY) JOIN organizations o ON o.id = m.organization_id " \
    "LEFT JOIN licenses l ON l.organization_id = o.id WHERE m.user_id = ?" more " ORDER BY m.organization_id LIMIT ?"
#define ORGS_SQL_MEMBERS_OF(more) \
    "SELECT m.user_id, u.email, u.name, m.role, m.joined_at " \
    "FROM memberships m FORCE INDEX (memberships_joined) JOIN users u ON u.id = m.user_id " \
    "WHERE m.organization_id = ?" more " ORDER BY m.joined_at, m.user_id LIMIT ?"

/* The columns of an organization. */
#define ORGS_SQL_ORGANIZATION "o.id, o.name, o.description, o.active, o.version, o.created_at, o.updated_at"

/* The hot question: who is known by this, and what are they in that organization? WHO is the same where nobody asks about
 * an organization, with the first of its columns. There is a row also for who is nobody, because of the first column: a
 * server that was made read-only meanwhile has a successor, which knows better.
 * Alone it looks every row up by a constant, which the optimizer reads beforehand: for half the price of the least crowd.
 * Of a crowd, numbers makes a row for each, told by its second column. Parameters: what the callers are known by, each
 * filled up with zeros to the same length; the organizations, zeros for none; how many they are. The casts have the
 * length of ORGS_CROWD_MAX: a statement keeps the length that it was first executed with. */
#define ORGS_LOOKUP_COLUMNS "wibbbibbbbiittbtiibbitttbbi"
#define ORGS_WHO_COLUMNS "wibbbib"
#define ORGS_SQL_READ_ONLY "CONCAT(@@global.read_only) NOT IN ('0', 'OFF')"
#define ORGS_SQL_WHO(number, token) "SELECT @@global.read_only, " number ", u.id, u.email, u.name, u.superuser, " token
#define ORGS_SQL_LOOKUP(number, token) \
    ORGS_SQL_WHO(number, token) ", " ORGS_SQL_ORGANIZATION ", " \
    "m.role, m.joined_at, o.members, o.license_version, l.id, l.plan, l.seats, l.starts_at, l.expires_at, l.assigned_at, " \
    "l.status, s.free_plan, s.free_seats"
#define ORGS_SQL_THERE(organization) \
    " LEFT JOIN organizations o ON o.id = " organization " " \
    "LEFT JOIN memberships m ON m.user_id = u.id AND m.organization_id = o.id " \
    "LEFT JOIN licenses_v1 l ON l.organization_id = o.id"
/* a caller known by a token, or by a column of users */
#define ORGS_SQL_BY_TOKEN(hash) \
    " LEFT JOIN tokens t ON t.hash = " hash " AND t.revoked_at IS NULL " \
    "AND (t.expires_at IS NULL OR t.expires_at > UTC_TIMESTAMP(3)) LEFT JOIN users u ON u.id = t.user_id AND u.active"
#define ORGS_SQL_BY(column, key) " LEFT JOIN users u ON u." column " = " key " AND u.active"
/* of a crowd */
#define ORGS_SQL_TH(len, all) "SUBSTR(CAST(? AS BINARY(" #all ")), q.number * " #len " + 1, " #len ")"
#define ORGS_SQL_TRIMMED(key) "TRIM(TRAILING x'00' FROM " key ")"

/* by: _EMAIL and the like; alone, crowd: how callers are known */
#define ORGS_QUESTIONS(X, by, token, alone, crowd) \
    X(LOOKUP##by, ORGS_LOOKUP_COLUMNS, 2, \
      ORGS_SQL_LOOKUP("0", token) " FROM settings s" alone ORGS_SQL_THERE("?") " WHERE s.id = 1") \
    X(LOOKUP##by##_CROWD, ORGS_LOOKUP_COLUMNS, 3, \
      ORGS_SQL_LOOKUP("q.number", token) " FROM settings s JOIN numbers q" crowd \
      ORGS_SQL_THERE(ORGS_SQL_TH(16, 256)) " WHERE s.id = 1 AND q.number < ?") \
    X(WHO##by, ORGS_WHO_COLUMNS, 1, ORGS_SQL_WHO("0", token) " FROM settings s" alone " WHERE s.id = 1") \
    X(WHO##by##_CROWD, ORGS_WHO_COLUMNS, 2, \
      ORGS_SQL_WHO("q.number", token) " FROM numbers q" crowd " WHERE q.number < ?")

#define ORGS_STATEMENTS(X) \
    ORGS_QUESTIONS(X, , "t.id", ORGS_SQL_BY_TOKEN("?"), ORGS_SQL_BY_TOKEN(ORGS_SQL_TH(32, 512))) \
    ORGS_QUESTIONS(X, _EMAIL, "NULL", ORGS_SQL_BY("email", "?"), \
                   ORGS_SQL_BY("email", ORGS_SQL_TRIMMED(ORGS_SQL_TH(254, 4064)))) \
    ORGS_QUESTIONS(X, _EXTERNAL_ID, "NULL", ORGS_SQL_BY("external_id", "?"), \
                   ORGS_SQL_BY("external_id", ORGS_SQL_TRIMMED(ORGS_SQL_TH(255, 4080)))) \
    X(ORG_LIST, "bbbittbb", 6, \
      ORGS_SQL_ORGANIZATIONS_OF(" AND m.organization_id > ? AND (? = 0 OR o.active) AND (? IS NULL OR m.role = ?)")) \
    X(ORG_LIST_FIRST, "bbbittbb", 2, ORGS_SQL_ORGANIZATIONS_OF("")) \
    X(ORG_LIST_ALL, "bbbittbbi", 6, \
      "SELECT o.id, o.name, o.description, o.active, o.created_at, o.updated_at, m.role, l.id, o.members " \
      "FROM organizations o LEFT JOIN memberships m ON m.user_id = ? AND m.organization_id = o.id " \
      "LEFT JOIN licenses l ON l.organization_id = o.id " \
      "WHERE o.id > ? AND (? = 0 OR o.active) AND (? IS NULL OR m.role = ?) ORDER BY o.id LIMIT ?") \
    X(ORG_CREATE, ORGS_MADE_COLUMNS, 9, "CALL organization_create_v1(?, ?, ?, ?, ?, ?, ?, ?, ?)") \
    X(ORG_CREATE_TOGETHER, ORGS_MADE_COLUMNS, 3, "CALL organization_create_together_v1(?, ?, ?)") \
    X(ORG_UPDATE, ORGS_CALL_COLUMNS, 10, "CALL organization_update_v1(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)") \
    X(ORG_DELETE, ORGS_CALL_COLUMNS, 6, "CALL organization_delete_v1(?, ?, ?, ?, ?, ?)") \
    X(MEMBER_LIST, "bbbbt", 9, \
      ORGS_SQL_MEMBERS_OF(" AND (m.joined_at > ? OR m.joined_at = ? AND m.user_id > ?) " \
                          "AND (? IS NULL OR m.role = ?) AND (? IS NULL OR u.email = ?)")) \
    X(MEMBER_LIST_FIRST, "bbbbt", 2, ORGS_SQL_MEMBERS_OF("")) \
    X(MEMBER_GET, "bbbbt", 2, \
      "SELECT m.user_id, u.email, u.name, m.role, m.joined_at " \
      "FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.user_id = ? AND m.organization_id = ?") \
    X(MEMBER_ADD, ORGS_MADE_COLUMNS, 9, "CALL member_add_v1(?, ?, ?, ?, ?, ?, ?, ?, ?)") \
    X(MEMBER_ADD_TOGETHER, ORGS_MADE_COLUMNS, 2, "CALL member_add_together_v1(?, ?)") \
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
    X(EVENT_SETTLE, ORGS_MADE_COLUMNS, 1, "CALL event_settle_v1(?)") \
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
    X(DEPLOYMENTS_OF, "bbbbbbbtt", 3, \
      "SELECT id, license_id, name, environment, url, version, status, created_at, updated_at FROM deployments " \
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
