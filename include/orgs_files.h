/*
 * Files that are built into the programs. Each array is in the order of the names, and ends with a NULL name.
 */
#ifndef ORGS_FILES_H
#define ORGS_FILES_H

typedef struct {
    const char *name;
    const char *text;
} orgs_file_t;

/* sql/, in orgsctl */
extern const orgs_file_t orgs_files_sql[];

/* conf/openapi.json, in the module */
extern const orgs_file_t orgs_files_api[];

#endif
