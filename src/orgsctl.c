/*
 * orgsctl: what has no endpoint. The options and the command it was given, and the way into the one that runs.
 */
#include "orgsctl.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_pool.h"
#include "orgs_watchdog.h"

#define DEFAULTS_FILE "/etc/orgs.cnf"
#define DBNAME "orgs"
/* nobody waits for an answer but the operator: seconds for one statement with its retries */
#define TIMEOUT 30

static const orgsctl_command_t *const tables[] = {
    orgsctl_schema_commands,  orgsctl_user_commands,       orgsctl_token_commands, orgsctl_organization_commands,
    orgsctl_license_commands, orgsctl_deployment_commands, orgsctl_event_commands, NULL};

static const char *name_of(apr_pool_t *pool, const orgsctl_command_t *command)
{
    return apr_pstrcat(pool, command->noun, *command->verb != '\0' ? " " : "", command->verb, NULL);
}

static void print_help(apr_pool_t *pool)
{
    const orgsctl_command_t *const *table;
    const orgsctl_command_t *command;

    fputs("Usage: orgsctl [--defaults-file=FILE] [--json] COMMAND\n\n"
          "Looks after the database of mod_orgs.\n\n"
          "  --defaults-file=FILE  a my.cnf whose groups [client] and [mod_orgs] say where the\n"
          "                        database is (host, port, socket, user, password, database, ssl-ca,\n"
          "                        ssl-cert, ssl-key, ssl-mode). Without it " DEFAULTS_FILE " is read\n"
          "                        if it is there; else it is the local server, the database \"" DBNAME "\"\n"
          "                        and the user who calls. No other option file is read.\n"
          "  --json                prints JSON\n"
          "  --version             and of which client library\n"
          "  --help                after a command too\n\n"
          "Commands:\n",
          stdout);
    for (table = tables; *table != NULL; table++) {
        for (command = *table; command->noun != NULL; command++) {
            printf("  %-20s  %s\n", name_of(pool, command), command->help);
        }
    }
    fputs("\nExit status: 0 done, 1 refused or failed (one line on standard error says why), 2 wrong usage.\n", stdout);
}

static void print_command_help(apr_pool_t *pool, const orgsctl_command_t *command)
{
    const orgsctl_option_t *option;

    printf("Usage: orgsctl %s%s%s%s\n\n%s\n", name_of(pool, command), *command->args != '\0' ? " " : "", command->args,
           command->options != NULL ? " [OPTION...]" : "", command->help);
    for (option = command->options; option != NULL && option->name != NULL; option++) {
        const char *left = apr_pstrcat(pool, option->name, option->value != NULL ? "=" : "", option->value, NULL);

        printf("%s  --%-22s  %s\n", option == command->options ? "\n" : "", left, option->help);
    }
}

/* The command the words begin with; *used says how many of them are its name. */
static const orgsctl_command_t *find(const char *noun, const char *verb, int *used)
{
    const orgsctl_command_t *const *table;
    const orgsctl_command_t *command;

    for (table = tables; *table != NULL; table++) {
        for (command = *table; command->noun != NULL; command++) {
            if (strcmp(command->noun, noun) == 0 && *command->verb == '\0') {
                *used = 1;
                return command;
            }
            if (strcmp(command->noun, noun) == 0 && verb != NULL && strcmp(command->verb, verb) == 0) {
                *used = 2;
                return command;
            }
        }
    }
    return NULL;
}

/* Takes one option of the command; *i moves on where its value is the next word. Zero if it is wrong. */
static int take_option(orgsctl_t *ctl, int argc, const char *const *argv, int *i)
{
    const char *word = argv[*i] + 2;
    const char *equals = strchr(word, '=');
    apr_size_t len = equals != NULL ? (apr_size_t)(equals - word) : strlen(word);
    const orgsctl_option_t *option = ctl->command->options;
    const char **value = ctl->values;

    for (; option != NULL && option->name != NULL; option++, value++) {
        if (strlen(option->name) == len && memcmp(option->name, word, len) == 0) {
            break;
        }
    }
    if (option == NULL || option->name == NULL) {
        orgsctl_usage(ctl, "%s has no option --%s", name_of(ctl->pool, ctl->command),
                      orgsctl_clean(ctl->pool, apr_pstrmemdup(ctl->pool, word, len)));
        return 0;
    }
    if (*value != NULL) {
        orgsctl_usage(ctl, "--%s is given twice", option->name);
        return 0;
    }
    if (option->value == NULL && equals != NULL) {
        orgsctl_usage(ctl, "--%s takes no value", option->name);
        return 0;
    }
    if (option->value == NULL) {
        *value = "";
    }
    else if (equals != NULL) {
        *value = equals + 1;
    }
    else if (*i + 1 < argc) {
        *value = argv[++*i];
    }
    else {
        orgsctl_usage(ctl, "--%s wants a value", option->name);
        return 0;
    }
    return 1;
}

/* What stands after the command's name. Zero if something is wrong. */
static int take_words(orgsctl_t *ctl, int argc, const char *const *argv, int i)
{
    int options = 1;

    for (; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = 0;
        }
        else if (options && strcmp(argv[i], "--json") == 0) {
            ctl->json = 1;
        }
        else if (options && strncmp(argv[i], "--", 2) == 0) {
            if (!take_option(ctl, argc, argv, &i)) {
                return 0;
            }
        }
        else {
            ctl->args[ctl->count++] = argv[i];
        }
    }
    if (ctl->count < ctl->command->args_min || ctl->count > ctl->command->args_max) {
        orgsctl_usage(ctl, "usage: orgsctl %s %s", name_of(ctl->pool, ctl->command),
                      *ctl->command->args != '\0' ? ctl->command->args : "(nothing more)");
        return 0;
    }
    return 1;
}

/* Where the database is; NULL and a line said if the file is bad. */
static const orgs_params_t *read_params(orgsctl_t *ctl, const char *file)
{
    orgs_params_t *params = apr_pcalloc(ctl->pool, sizeof(*params));
    const char *sentence = NULL;

    if (file == NULL) {
        FILE *there = fopen(DEFAULTS_FILE, "re");

        if (there != NULL) {
            fclose(there);
            file = DEFAULTS_FILE;
        }
    }
    if (file != NULL) {
        sentence = orgs_params_file(ctl->pool, params, file);
    }
    if (sentence != NULL) {
        orgsctl_fail(ctl, "%s", orgsctl_clean(ctl->pool, sentence));
        return NULL;
    }
    if (params->dbname == NULL) {
        params->dbname = DBNAME;
    }
    return params;
}

static int run(orgsctl_t *ctl)
{
    orgs_pool_conf_t conf = {ctl->params, 0, 1, 1, 300, TIMEOUT, 0, NULL};
    orgs_pool_t *connections;

    orgs_conn_library_init();
    if (orgs_watchdog_start() != APR_SUCCESS) {
        return orgsctl_fail(ctl, "no thread can be started");
    }
    orgs_log_set(orgsctl_log, NULL);
    if (!ctl->command->bare) {
        if (orgs_pool_create(&connections, ctl->pool, &conf) != APR_SUCCESS) {
            return orgsctl_fail(ctl, "memory is short");
        }
        orgs_db_init(&ctl->db, connections);
    }
    return ctl->command->run(ctl);
}

/* The words before the command. Gives the index of the command, or -1 and the exit status. */
static int take_globals(orgsctl_t *ctl, int argc, const char *const *argv, const char **file, int *status)
{
    static const char defaults[] = "--defaults-file";
    int i;

    for (i = 1; i < argc && strncmp(argv[i], "-", 1) == 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            ctl->json = 1;
        }
        else if (strncmp(argv[i], defaults, sizeof(defaults) - 1) == 0 && argv[i][sizeof(defaults) - 1] == '=') {
            *file = argv[i] + sizeof(defaults);
        }
        else if (strcmp(argv[i], defaults) == 0 && i + 1 < argc) {
            *file = argv[++i];
        }
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(ctl->pool);
            *status = orgsctl_flushed(ctl);
            return -1;
        }
        else if (strcmp(argv[i], "--version") == 0) {
            printf("orgsctl of mod_orgs, schema %d, %s\n", ORGS_SCHEMA_VERSION, orgs_conn_library(ctl->pool));
            *status = orgsctl_flushed(ctl);
            return -1;
        }
        else {
            *status = orgsctl_usage(ctl, "there is no option %s", orgsctl_clean(ctl->pool, argv[i]));
            return -1;
        }
    }
    if (i >= argc) {
        *status = orgsctl_usage(ctl, "a command is missing");
        return -1;
    }
    return i;
}

static int dispatch(orgsctl_t *ctl, int argc, const char *const *argv)
{
    const char *file = NULL;
    int status = ORGSCTL_USAGE;
    int at = take_globals(ctl, argc, argv, &file, &status);
    int used = 0;
    int i;

    if (at < 0) {
        return status;
    }
    ctl->command = find(argv[at], at + 1 < argc ? argv[at + 1] : NULL, &used);
    if (ctl->command == NULL && at + 1 < argc && strcmp(argv[at + 1], "--help") == 0) {
        print_help(ctl->pool);
        return orgsctl_flushed(ctl);
    }
    if (ctl->command == NULL) {
        return orgsctl_usage(ctl, "there is no command %s",
                             orgsctl_clean(ctl->pool, at + 1 < argc ? apr_pstrcat(ctl->pool, argv[at], " ",
                                                                                  argv[at + 1], NULL)
                                                                    : argv[at]));
    }
    for (i = at + used; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_command_help(ctl->pool, ctl->command);
            return orgsctl_flushed(ctl);
        }
    }
    /* no command has as many options as there are words and sixteen */
    ctl->values = apr_pcalloc(ctl->pool, sizeof(*ctl->values) * 16);
    ctl->args = apr_pcalloc(ctl->pool, sizeof(*ctl->args) * ((apr_size_t)argc + 1));
    if (!take_words(ctl, argc, argv, at + used)) {
        return ORGSCTL_USAGE;
    }
    ctl->params = read_params(ctl, file);
    return ctl->params != NULL ? run(ctl) : ORGSCTL_FAILED;
}

int main(int argc, const char *const *argv)
{
    orgsctl_t ctl;
    int status;

    memset(&ctl, 0, sizeof(ctl));
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&ctl.pool, NULL) != APR_SUCCESS) {
        fputs("orgsctl: memory is short\n", stderr);
        return ORGSCTL_FAILED;
    }
    status = dispatch(&ctl, argc, argv);
    apr_pool_destroy(ctl.pool);
    return status;
}
