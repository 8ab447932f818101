/*
 * The definer, views, functions and procedures: whether they are what was meant, and if not, making them so.
 */
#include "orgsctl_schema.h"

#include <apr_strings.h>
#include <string.h>

/* What is wrong with the account that owns the procedures: NULL for nothing; *failed if that cannot be told. */
static const char *definer_state(orgsctl_schema_t *s, int *failed)
{
    orgs_dberr_t error;
    orgs_rows_t rows;

    *failed = 0;
    if (!orgsctl_ask(s, &rows,
                     "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES "
                     "WHERE GRANTEE = '''orgs_definer''@''localhost'''")) {
        *failed = 1;
        return NULL;
    }
    if (strcmp(orgsctl_cell(&rows, 0, 0), "0") == 0) {
        return "is missing";
    }
    orgs_conn_text(s->conn, s->pool, "SHOW CREATE USER " ORGSCTL_DEFINER_QUOTED, &rows, &error);
    if (error.number == 0 && rows.count > 0 && strstr(orgsctl_cell(&rows, 0, 0), "ACCOUNT LOCK") == NULL) {
        return "is not locked";
    }
    if (!orgsctl_ask(s, &rows,
                     "SELECT COUNT(DISTINCT PRIVILEGE_TYPE) FROM information_schema.SCHEMA_PRIVILEGES "
                     "WHERE GRANTEE = '''orgs_definer''@''localhost''' AND TABLE_SCHEMA = '%s' AND "
                     "PRIVILEGE_TYPE IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'EXECUTE')",
                     s->dbname)) {
        *failed = 1;
        return NULL;
    }
    return strcmp(orgsctl_cell(&rows, 0, 0), "5") != 0 ? "lacks rights" : NULL;
}

/* The text with this database's name in the place of `orgs`. */
static const char *named(orgsctl_schema_t *s, const char *text)
{
    static const char orgs[] = "`orgs`.";
    const char *at = strstr(text, orgs);

    return at == NULL ? text
                      : apr_pstrcat(s->pool, apr_pstrmemdup(s->pool, text, (apr_size_t)(at - text)), "`", s->dbname,
                                    "`.", at + sizeof(orgs) - 1, NULL);
}

int orgsctl_repair_definer(orgsctl_schema_t *s)
{
    int failed;
    const char *state = definer_state(s, &failed);
    int i;

    if (failed || state == NULL) {
        return !failed;
    }
    for (i = 0; !s->check && i < s->sources->nelts; i++) {
        const orgsctl_source_t *source = &APR_ARRAY_IDX(s->sources, i, orgsctl_source_t);

        if (source->kind == ORGSCTL_ACCOUNT && !orgsctl_run(s, NULL, named(s, source->text), source->file)) {
            return 0;
        }
    }
    orgsctl_report(s, "account", ORGSCTL_DEFINER, s->check ? state : apr_pstrcat(s->pool, state, "; was mended", NULL));
    if (!s->check && definer_state(s, &failed) != NULL) {
        orgsctl_fail(s->ctl, "account %s is still not as sql/definer.sql wants it", ORGSCTL_DEFINER);
        return 0;
    }
    return !failed;
}

/* Makes a view or routine that is not as it should be. state: what is wrong. */
static int mend(orgsctl_schema_t *s, const orgsctl_source_t *source, const char *state)
{
    const char *kind = orgsctl_kind_name(source->kind);
    int replace = source->kind == ORGSCTL_VIEW || orgs_conn_is_mariadb(s->conn);

    if (s->check) {
        orgsctl_report(s, kind, source->name, state);
        return 1;
    }
    if (!replace
        && !orgsctl_run(s, NULL, apr_psprintf(s->pool, "DROP %s IF EXISTS %s", kind, source->name), source->name)) {
        return 0;
    }
    if (!orgsctl_run(s, NULL, orgsctl_source_create(s->pool, source, replace), source->name)) {
        return 0;
    }
    orgsctl_report(s, kind, source->name, apr_pstrcat(s->pool, state, "; was made", NULL));
    return 1;
}

static const char *owned_by(orgsctl_schema_t *s, const char *owner)
{
    return apr_psprintf(s->pool, "is owned by %s", orgsctl_clean(s->pool, owner));
}

int orgsctl_repair_view(orgsctl_schema_t *s, const orgsctl_source_t *source)
{
    const char *state = NULL;
    const char *stored;
    orgs_rows_t rows, noted;
    int memory = orgsctl_has_table(s, "schema_views");

    if (memory < 0
        || !orgsctl_ask(s, &rows,
                        "SELECT DEFINER, SECURITY_TYPE, CHARACTER_SET_CLIENT, VIEW_DEFINITION "
                        "FROM information_schema.VIEWS WHERE TABLE_SCHEMA = '%s' AND TABLE_NAME = '%s'",
                        s->dbname, source->name)
        || !orgsctl_ask(s, &noted,
                        memory ? "SELECT source, `stored` FROM schema_views WHERE name = '%s'"
                               : "SELECT 1 WHERE '%s' = ''",
                        source->name)) {
        return 0;
    }
    if (rows.count == 0) {
        state = "is missing";
    }
    else if (*orgsctl_cell(&rows, 0, 3) == '\0') {
        orgsctl_fail(s->ctl, "this account may not read the text of view %s", source->name);
        return 0;
    }
    else if (strcmp(orgsctl_cell(&rows, 0, 0), ORGSCTL_DEFINER) != 0) {
        state = owned_by(s, orgsctl_cell(&rows, 0, 0));
    }
    else if (noted.count == 0 || strcmp(orgsctl_cell(&noted, 0, 0), source->digest) != 0
             || strcmp(orgsctl_cell(&noted, 0, 1), orgsctl_digest(s->pool, orgsctl_cell(&rows, 0, 3))) != 0
             || strcmp(orgsctl_cell(&rows, 0, 1), "INVOKER") != 0
             || strcmp(orgsctl_cell(&rows, 0, 2), "utf8mb4") != 0) {
        state = "is changed";
    }
    if (state == NULL || s->check) {
        return state == NULL || mend(s, source, state);
    }
    if (!mend(s, source, state)
        || !orgsctl_ask(s, &rows,
                        "SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = '%s' "
                        "AND TABLE_NAME = '%s'",
                        s->dbname, source->name)) {
        return 0;
    }
    stored = rows.count > 0 ? orgsctl_cell(&rows, 0, 0) : "";
    return orgsctl_ask(s, NULL, "REPLACE INTO schema_views (name, source, `stored`) VALUES ('%s', '%s', '%s')",
                       source->name, source->digest, orgsctl_digest(s->pool, stored));
}

/* White space at the end is the server's. */
static int same_body(const char *a, const char *b)
{
    apr_size_t length_a = strlen(a);
    apr_size_t length_b = strlen(b);

    while (length_a > 0 && strchr(" \t\r\n;", a[length_a - 1]) != NULL) {
        length_a--;
    }
    while (length_b > 0 && strchr(" \t\r\n;", b[length_b - 1]) != NULL) {
        length_b--;
    }
    return length_a == length_b && memcmp(a, b, length_a) == 0;
}

int orgsctl_repair_routine(orgsctl_schema_t *s, const orgsctl_source_t *source)
{
    const char *state = NULL;
    orgs_rows_t rows;

    if (!orgsctl_ask(s, &rows,
                     "SELECT DEFINER, SECURITY_TYPE, SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, "
                     "ROUTINE_COMMENT, ROUTINE_DEFINITION FROM information_schema.ROUTINES "
                     "WHERE ROUTINE_SCHEMA = '%s' AND ROUTINE_TYPE = '%s' AND ROUTINE_NAME = '%s'",
                     s->dbname, source->kind == ORGSCTL_FUNCTION ? "FUNCTION" : "PROCEDURE", source->name)) {
        return 0;
    }
    if (rows.count == 0) {
        state = "is missing";
    }
    else if (orgs_row_is_null(&rows, 0, 6)) {
        orgsctl_fail(s->ctl, "this account may not read the text of %s %s", orgsctl_kind_name(source->kind),
                     source->name);
        return 0;
    }
    else if (strcmp(orgsctl_cell(&rows, 0, 0), ORGSCTL_DEFINER) != 0) {
        state = owned_by(s, orgsctl_cell(&rows, 0, 0));
    }
    else if (strcmp(orgsctl_cell(&rows, 0, 1), source->security) != 0
             || strcmp(orgsctl_cell(&rows, 0, 2), ORGSCTL_SQL_MODE) != 0
             || strcmp(orgsctl_cell(&rows, 0, 3), "utf8mb4") != 0
             || strcmp(orgsctl_cell(&rows, 0, 4), ORGSCTL_COLLATION) != 0
             || strstr(orgsctl_cell(&rows, 0, 5), source->digest) == NULL
             || !same_body(orgsctl_cell(&rows, 0, 6), source->body)) {
        state = "is changed";
    }
    return state == NULL || mend(s, source, state);
}
