/*
 * The files of sql/, built into orgsctl.
 */
#ifndef ORGS_SQL_FILES_H
#define ORGS_SQL_FILES_H

typedef struct {
    const char *name;
    const char *text;
} orgs_sql_file_t;

/* In the order of their names; ends with a NULL name. */
extern const orgs_sql_file_t orgs_sql_files[];

#endif
