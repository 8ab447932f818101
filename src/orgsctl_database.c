/*
 * What the loader of the schema asks and tells.
 */
#include "orgsctl_schema.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int orgsctl_run(orgsctl_schema_t *s, orgs_rows_t *rows, const char *text, const char *what)
{
    orgs_dberr_t error;
    orgs_rows_t none;

    orgs_conn_text(s->conn, s->pool, text, rows != NULL ? rows : &none, &error);
    if (error.number != 0) {
        orgsctl_fail(s->ctl, "%s: %s (%u)", what, orgsctl_clean(s->pool, error.text), error.number);
        return 0;
    }
    return 1;
}

int orgsctl_ask(orgsctl_schema_t *s, orgs_rows_t *rows, const char *format, ...)
{
    const char *text;
    va_list args;

    va_start(args, format);
    text = apr_pvsprintf(s->pool, format, args);
    va_end(args);
    return orgsctl_run(s, rows, text, "the schema cannot be read");
}

const char *orgsctl_cell(const orgs_rows_t *rows, int row, int column)
{
    const char *text = orgs_row_string(rows, row, column);

    return text != NULL ? text : "";
}

void orgsctl_report(orgsctl_schema_t *s, const char *kind, const char *name, const char *state)
{
    s->reports++;
    if (s->ctl->json) {
        orgsctl_list_add(s->list, json_pack("{s:s, s:s, s:s}", "kind", kind, "name", name, "state", state));
    }
    else {
        printf("%s %s %s\n", kind, name, state);
        fflush(stdout);
    }
}

int orgsctl_has_table(orgsctl_schema_t *s, const char *name)
{
    orgs_rows_t rows;

    if (!orgsctl_ask(s, &rows,
                     "SELECT 1 FROM information_schema.TABLES "
                     "WHERE TABLE_SCHEMA = '%s' AND TABLE_NAME = '%s'",
                     s->dbname, name)) {
        return -1;
    }
    return rows.count;
}
