/*
 * Every statement of the module and of orgsctl, once: X(symbol, columns, parameters, text).
 *
 * columns: a letter each, b bytes, i integer, t time. parameters: how many.
 * Procedures and views carry the schema's version in their names.
 */
#ifndef ORGS_SQL_H
#define ORGS_SQL_H

/* Every procedure answers one row: code, replayed, answer. */
#define ORGS_CALL_COLUMNS "bib"

/* The hot question's columns of an organization, a member and a license; also of lists. */
#define ORGS_SQL_ORGANIZATION "o.id, o.name, o.description, o.active, o.version, o.created_at, o.updated_at"

#define ORGS_STATEMENTS(X) \
    X(LOOKUP, "bbbibbbbiittbtiibbitttbbi", 2, \
      "SELECT u.id, u.email, u.name, u.superuser, t.id, " ORGS_SQL_ORGANIZATION ", m.role, m.joined_at, " \
      "o.members, o.license_version, l.id, l.plan, l.seats, l.starts_at, l.expires_at, l.assigned_at, l.status, " \
      "s.free_plan, s.free_seats " \
      "FROM tokens t JOIN users u ON u.id = t.user_id " \
      "LEFT JOIN organizations o ON o.id = ? " \
      "LEFT JOIN memberships m ON m.user_id = u.id AND m.organization_id = o.id " \
      "LEFT JOIN licenses_v1 l ON l.organization_id = o.id " \
      "LEFT JOIN settings s ON s.id = 1 " \
      "WHERE t.hash = ? AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > UTC_TIMESTAMP(3)) " \
      "AND u.active") \
    X(ORG_LIST, "bbbittbb", 6, \
      "SELECT o.id, o.name, o.description, o.active, o.created_at, o.updated_at, m.role, l.id " \
      "FROM memberships m JOIN organizations o ON o.id = m.organization_id " \
      "LEFT JOIN licenses l ON l.organization_id = o.id " \
      "WHERE m.user_id = ? AND m.organization_id > ? AND (? = 0 OR o.active) AND (? IS NULL OR m.role = ?) " \
      "ORDER BY m.organization_id LIMIT ?") \
    X(ORG_LIST_ALL, "bbbittbbi", 6, \
      "SELECT o.id, o.name, o.description, o.active, o.created_at, o.updated_at, m.role, l.id, o.members " \
      "FROM organizations o LEFT JOIN memberships m ON m.user_id = ? AND m.organization_id = o.id " \
      "LEFT JOIN licenses l ON l.organization_id = o.id " \
      "WHERE o.id > ? AND (? = 0 OR o.active) AND (? IS NULL OR m.role = ?) ORDER BY o.id LIMIT ?") \
    X(ORG_CREATE, ORGS_CALL_COLUMNS, 9, "CALL organization_create_v1(?, ?, ?, ?, ?, ?, ?, ?, ?)") \
    X(ORG_UPDATE, ORGS_CALL_COLUMNS, 9, "CALL organization_update_v1(?, ?, ?, ?, ?, ?, ?, ?, ?)") \
    X(ORG_DELETE, ORGS_CALL_COLUMNS, 5, "CALL organization_delete_v1(?, ?, ?, ?, ?)") \
    X(EVENT_SETTLE, ORGS_CALL_COLUMNS, 1, "CALL event_settle_v1(?)")

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
