/*
 * The operator's tool: what its files share.
 */
#ifndef ORGSCTL_H
#define ORGSCTL_H

#include <apr_pools.h>
#include <jansson.h>

#include "orgs_log.h"
#include "orgs_operator.h"

/* Exit statuses. */
#define ORGSCTL_DONE 0
#define ORGSCTL_FAILED 1
#define ORGSCTL_USAGE 2

/* Items that are read at once. */
#define ORGSCTL_BATCH 500

typedef struct orgsctl_t orgsctl_t;

/* An option of a command; value: what its value is called, NULL for a flag. */
typedef struct orgsctl_option_t {
    const char *name;
    const char *value;
    const char *help;
} orgsctl_option_t;

typedef struct orgsctl_command_t {
    const char *noun;
    const char *verb; /* "" where the noun is all */
    const char *args; /* what stands after them, for people */
    int args_min, args_max;
    const orgsctl_option_t *options; /* ends with a NULL name, or NULL */
    int bare;                        /* connects itself */
    int (*run)(orgsctl_t *ctl);
    const char *help;
} orgsctl_command_t;

struct orgsctl_t {
    apr_pool_t *pool;
    const orgs_params_t *params;
    orgs_db_t db;
    int json;
    const orgsctl_command_t *command;
    const char **values; /* of the command's options, by their place; NULL: not given */
    const char **args;
    int count; /* of args */
};

/* Each file's commands; end with a NULL noun. */
extern const orgsctl_command_t orgsctl_schema_commands[];
extern const orgsctl_command_t orgsctl_user_commands[];
extern const orgsctl_command_t orgsctl_token_commands[];
extern const orgsctl_command_t orgsctl_organization_commands[];
extern const orgsctl_command_t orgsctl_license_commands[];
extern const orgsctl_command_t orgsctl_deployment_commands[];
extern const orgsctl_command_t orgsctl_event_commands[];

/* orgsctl_input.c: what was given. Functions that read say what is wrong themselves and then give zero or NULL. */

/** The value of an option of this command; NULL if it was not given. A flag's is "". */
const char *orgsctl_option(const orgsctl_t *ctl, const char *name);

/** An email as it is stored. */
const char *orgsctl_email(orgsctl_t *ctl, const char *text);

/** An id; other words than ids name nothing, so the refusal is that of an id nobody has. */
int orgsctl_id(orgsctl_t *ctl, const char *text, orgs_error_e unknown, orgs_id_t *id);

/**
 * An option that is a text of at most max code points; *text is NULL where it was not given.
 * @param empty whether "" is good
 */
int orgsctl_text(orgsctl_t *ctl, const char *name, apr_size_t max, int empty, const char **text);

/** The same for any text; what: its name in messages. */
int orgsctl_text_of(orgsctl_t *ctl, const char *what, apr_size_t max, int empty, const char **text);

/** An option that is a number from min to max; *number stays where it was not given. */
int orgsctl_number(orgsctl_t *ctl, const char *name, apr_int64_t min, apr_int64_t max, apr_int64_t *number);

/** --seats: a number, or "unlimited". */
int orgsctl_seats(orgsctl_t *ctl, orgs_change_e *change, apr_int64_t *seats);

/** An option that is a time, or "none". */
int orgsctl_time(orgsctl_t *ctl, const char *name, orgs_change_e *change, apr_time_t *at);

/* orgsctl_output.c */

/* A column of a list, a line of one thing: a member of its JSON. */
typedef struct orgsctl_column_t {
    const char *title;
    const char *member;
} orgsctl_column_t;

typedef struct orgsctl_list_t orgsctl_list_t;

/** Begins a list. columns end with a NULL title. */
orgsctl_list_t *orgsctl_list_begin(orgsctl_t *ctl, const orgsctl_column_t *columns);

/** Takes one item's reference; printed with its batch. */
void orgsctl_list_add(orgsctl_list_t *list, json_t *item);

/** Prints what was added since. */
void orgsctl_list_flush(orgsctl_list_t *list);

/** Prints the rest and the end. Returns the exit status. */
int orgsctl_list_end(orgsctl_list_t *list);

/** Prints one thing, as lines or an object; takes its reference. Returns the exit status. */
int orgsctl_show(orgsctl_t *ctl, const orgsctl_column_t *columns, json_t *item);

/** Prints a new id alone, or the object that has it as "id"; takes its reference. Returns the exit status. */
int orgsctl_added(orgsctl_t *ctl, const char *alone, json_t *item);

/** Flushes standard output; the exit status. */
int orgsctl_flushed(orgsctl_t *ctl);

/** Text that is safe on a terminal: control characters and what is no UTF-8 are escaped. Allocated in pool. */
const char *orgsctl_clean(apr_pool_t *pool, const char *text);

/* JSON values of what may be absent. */
json_t *orgsctl_json_time(apr_pool_t *pool, apr_time_t at);
json_t *orgsctl_json_id(apr_pool_t *pool, int has, const orgs_id_t *id);
json_t *orgsctl_json_seats(apr_int64_t seats);

/** One line on standard error (printf-like; what it quotes must be clean). Returns ORGSCTL_FAILED. */
int orgsctl_fail(orgsctl_t *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The same for a mistake in the command line. Returns ORGSCTL_USAGE. */
int orgsctl_usage(orgsctl_t *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Nonzero if neither error nor outcome (or NULL) says no; else says why, after a prefix ("" for none). */
int orgsctl_done(orgsctl_t *ctl, const orgs_error_t *error, const orgs_outcome_t *outcome, const char *prefix);

/** Keeps the last message of the layers below, which tells why the database is away. An orgs_log_fn. */
void orgsctl_log(void *baton, orgs_log_e level, const char *message);

#endif
