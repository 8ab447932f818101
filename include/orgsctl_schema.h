/*
 * One run of `orgsctl schema`: what its files share.
 */
#ifndef ORGSCTL_SCHEMA_H
#define ORGSCTL_SCHEMA_H

#include "orgsctl.h"
#include "orgsctl_source.h"

typedef struct orgsctl_schema_t {
    orgsctl_t *ctl;
    apr_pool_t *pool;
    orgs_conn_t *conn;
    const char *dbname;
    apr_array_header_t *sources;
    int check; /* nothing is changed */
    int steps; /* applied already */
    int version;
    int oldest;
    int reports;
    orgsctl_list_t *list; /* of reports, with --json */
} orgsctl_schema_t;

/* orgsctl_database.c. Functions give zero where something failed, after a line said. */

/** Runs a text; what: of what the line says that it failed. rows, or NULL. */
int orgsctl_run(orgsctl_schema_t *s, orgs_rows_t *rows, const char *text, const char *what);

/** The same for a question about the schema (printf-like). */
int orgsctl_ask(orgsctl_schema_t *s, orgs_rows_t *rows, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** A column of such an answer; "" for null. */
const char *orgsctl_cell(const orgs_rows_t *rows, int row, int column);

/** Says what was found or done. */
void orgsctl_report(orgsctl_schema_t *s, const char *kind, const char *name, const char *state);

/** 1 if there is such a table, 0 if not, -1 on failure. */
int orgsctl_has_table(orgsctl_schema_t *s, const char *name);

/* orgsctl_repair.c: compares one thing with what was meant; reports it, or makes it anew, where they differ. */

int orgsctl_repair_definer(orgsctl_schema_t *s);
int orgsctl_repair_view(orgsctl_schema_t *s, const orgsctl_source_t *source);
int orgsctl_repair_routine(orgsctl_schema_t *s, const orgsctl_source_t *source);

#endif
