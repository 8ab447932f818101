/*
 * Directives, the mount, and the pools that follow from them.
 */
#include "mod_orgs_config.h"

#include <ap_mpm.h>
#include <apr_fnmatch.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>

#include "orgs_limits.h"
#include "orgs_watchdog.h"

void *mod_orgs_config_create_server(apr_pool_t *p, server_rec *s)
{
    mod_orgs_server_t *conf = apr_pcalloc(p, sizeof(*conf));

    (void)s;
    conf->min = MOD_ORGS_UNSET;
    conf->keep = MOD_ORGS_UNSET;
    conf->max = MOD_ORGS_UNSET;
    conf->exptime = MOD_ORGS_UNSET;
    conf->timeout = MOD_ORGS_UNSET;
    conf->may_create = MOD_ORGS_UNSET;
    conf->max_organizations = MOD_ORGS_UNSET;
    return conf;
}

#define SAID(field) (add->field != MOD_ORGS_UNSET ? add->field : base->field)

void *mod_orgs_config_merge_server(apr_pool_t *p, void *basev, void *addv)
{
    const mod_orgs_server_t *base = basev;
    const mod_orgs_server_t *add = addv;
    mod_orgs_server_t *conf = apr_pmemdup(p, add, sizeof(*add));

    conf->params = add->params != NULL ? add->params : base->params;
    conf->file = add->file != NULL ? add->file : base->file;
    conf->min = SAID(min);
    conf->keep = SAID(keep);
    conf->max = SAID(max);
    conf->exptime = SAID(exptime);
    conf->timeout = SAID(timeout);
    conf->may_create = SAID(may_create);
    conf->max_organizations = SAID(max_organizations);
    return conf;
}

void *mod_orgs_config_create_dir(apr_pool_t *p, char *path)
{
    mod_orgs_dir_t *conf = apr_pcalloc(p, sizeof(*conf));

    (void)path;
    conf->max_body = MOD_ORGS_UNSET;
    return conf;
}

void *mod_orgs_config_merge_dir(apr_pool_t *p, void *basev, void *addv)
{
    const mod_orgs_dir_t *base = basev;
    const mod_orgs_dir_t *add = addv;
    mod_orgs_dir_t *conf = apr_palloc(p, sizeof(*conf));

    conf->mount = add->mount != NULL ? add->mount : base->mount;
    conf->max_body = SAID(max_body);
    return conf;
}

const mod_orgs_server_t *mod_orgs_config_server(const request_rec *r)
{
    return ap_get_module_config(r->server->module_config, &orgs_module);
}

const mod_orgs_dir_t *mod_orgs_config_dir(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &orgs_module);
}

apr_off_t mod_orgs_config_max_body(const mod_orgs_dir_t *dir)
{
    return dir != NULL && dir->max_body != MOD_ORGS_UNSET ? dir->max_body : ORGS_BODY_MAX_DEFAULT;
}

static mod_orgs_server_t *server_of(cmd_parms *cmd)
{
    return ap_get_module_config(cmd->server->module_config, &orgs_module);
}

static const char *server_only(cmd_parms *cmd)
{
    const char *sentence = ap_check_cmd_context(cmd, NOT_IN_DIR_LOC_FILE);

    return sentence != NULL ? sentence : ap_check_cmd_context(cmd, NOT_IN_HTACCESS);
}

/* Reads a whole number between two limits; NULL or a sentence. */
static const char *number(cmd_parms *cmd, const char *text, apr_int64_t low, apr_int64_t high, apr_int64_t *value)
{
    char *end;

    errno = 0;
    *value = apr_strtoi64(text, &end, 10);
    if (errno != 0 || !apr_isdigit(*text) || *end != '\0' || *value < low || *value > high) {
        return apr_psprintf(cmd->pool, "%s %s: this must be a whole number from %" APR_INT64_T_FMT
                            " to %" APR_INT64_T_FMT, cmd->cmd->name, text, low, high);
    }
    return NULL;
}

/*
 * httpd calls every module's command of a name, so this one stands beside core's SetHandler, which cannot be read
 * back. It notes the path where the API is mounted, refuses other contexts for "orgs" alone, and says nothing of
 * other handlers.
 */
static const char *set_handler(cmd_parms *cmd, void *dirv, const char *handler)
{
    mod_orgs_dir_t *dir = dirv;
    const ap_directive_t *section = cmd->directive->parent;

    if (strcasecmp(handler, "orgs") != 0) {
        dir->mount = "";
        return NULL;
    }
    /* the arguments of a section begin with ~ where they are a regular expression */
    if (section == NULL || strcasecmp(section->directive, "<Location") != 0 || section->args[strspn(section->args, " \t")] == '~'
        || cmd->path == NULL || *cmd->path != '/' || apr_fnmatch_test(cmd->path)) {
        return apr_psprintf(cmd->pool, "SetHandler orgs stands only in a plain <Location \"/path\">, without regular "
                            "expression or wildcard; here it stands in %s",
                            section == NULL ? "no section" : apr_pstrcat(cmd->pool, section->directive, " ",
                                                                         section->args, NULL));
    }
    dir->mount = apr_pstrdup(cmd->pool, cmd->path);
    server_of(cmd)->mounted = 1;
    return NULL;
}

static const char *set_params(cmd_parms *cmd, void *dir, const char *text)
{
    orgs_params_t *params = apr_pcalloc(cmd->pool, sizeof(*params));
    const char *sentence = server_only(cmd);

    (void)dir;
    if (sentence == NULL && (sentence = orgs_params_parse(cmd->pool, params, text)) != NULL) {
        sentence = apr_pstrcat(cmd->pool, "OrgsDBParams: ", sentence, NULL);
    }
    server_of(cmd)->params = params;
    return sentence;
}

static const char *set_defaults_file(cmd_parms *cmd, void *dir, const char *name)
{
    orgs_params_t *params = apr_pcalloc(cmd->pool, sizeof(*params));
    const char *path = ap_server_root_relative(cmd->pool, name);
    const char *sentence = server_only(cmd);

    (void)dir;
    if (sentence == NULL && path == NULL) {
        sentence = apr_psprintf(cmd->pool, "%s is not a path", name);
    }
    if (sentence == NULL && (sentence = orgs_params_file(cmd->pool, params, path)) != NULL) {
        sentence = apr_pstrcat(cmd->pool, "OrgsDBDefaultsFile: ", sentence, NULL);
    }
    server_of(cmd)->file = params;
    return sentence;
}

/* The directives that are one number of a server: where it lands, and its limits. */
typedef struct {
    apr_size_t offset;
    int low;
    int high;
} number_t;

static const number_t number_min = {APR_OFFSETOF(mod_orgs_server_t, min), 0, 10000};
static const number_t number_keep = {APR_OFFSETOF(mod_orgs_server_t, keep), 0, 10000};
static const number_t number_max = {APR_OFFSETOF(mod_orgs_server_t, max), 1, 10000};
static const number_t number_exptime = {APR_OFFSETOF(mod_orgs_server_t, exptime), 1, 86400};
static const number_t number_timeout = {APR_OFFSETOF(mod_orgs_server_t, timeout), ORGS_DB_TIMEOUT_MIN,
                                        ORGS_DB_TIMEOUT_MAX};

static const char *set_number(cmd_parms *cmd, void *dir, const char *text)
{
    const number_t *wanted = cmd->info;
    const char *sentence = server_only(cmd);
    apr_int64_t value;

    (void)dir;
    if (sentence == NULL && (sentence = number(cmd, text, wanted->low, wanted->high, &value)) == NULL) {
        *(int *)(void *)((char *)server_of(cmd) + wanted->offset) = (int)value;
    }
    return sentence;
}

static const char *set_may_create(cmd_parms *cmd, void *dir, const char *who)
{
    const char *sentence = server_only(cmd);

    (void)dir;
    if (sentence != NULL) {
        return sentence;
    }
    if (strcasecmp(who, "any") == 0) {
        server_of(cmd)->may_create = MOD_ORGS_CREATE_ANY;
    }
    else if (strcasecmp(who, "superuser") == 0) {
        server_of(cmd)->may_create = MOD_ORGS_CREATE_SUPERUSER;
    }
    else {
        return apr_psprintf(cmd->pool, "OrgsMayCreate %s: this must be any or superuser", who);
    }
    return NULL;
}

static const char *set_max_organizations(cmd_parms *cmd, void *dir, const char *text)
{
    const char *sentence = server_only(cmd);
    apr_int64_t value = MOD_ORGS_UNLIMITED;

    (void)dir;
    if (sentence == NULL && strcasecmp(text, "unlimited") != 0
        && number(cmd, text, 0, APR_INT32_MAX, &value) != NULL) {
        sentence = apr_psprintf(cmd->pool, "OrgsMaxOrganizations %s: this must be a whole number from 0 to %d, or "
                                "unlimited", text, APR_INT32_MAX);
    }
    if (sentence == NULL) {
        server_of(cmd)->max_organizations = value;
    }
    return sentence;
}

static const char *set_max_body(cmd_parms *cmd, void *dirv, const char *text)
{
    mod_orgs_dir_t *dir = dirv;
    apr_int64_t value;
    const char *sentence = number(cmd, text, 1, 16 * 1024 * 1024, &value);

    if (sentence == NULL) {
        dir->max_body = (apr_off_t)value;
    }
    return sentence;
}

const command_rec mod_orgs_config_commands[] = {
    AP_INIT_TAKE1("SetHandler", set_handler, NULL, OR_FILEINFO,
                  "\"orgs\" mounts the API at the path of the <Location>"),
    AP_INIT_TAKE1("OrgsDBParams", set_params, NULL, RSRC_CONF,
                  "where the database is: \"host=db1,db2 port=3306 dbname=orgs user=orgs\", or socket=, ssl_ca=, "
                  "ssl_cert=, ssl_key=, ssl_mode="),
    AP_INIT_TAKE1("OrgsDBDefaultsFile", set_defaults_file, NULL, RSRC_CONF,
                  "a my.cnf, groups [client] and [mod_orgs]: the place for the password"),
    AP_INIT_TAKE1("OrgsDBMin", set_number, (void *)&number_min, RSRC_CONF,
                  "connections that each process opens when it starts"),
    AP_INIT_TAKE1("OrgsDBKeep", set_number, (void *)&number_keep, RSRC_CONF,
                  "idle connections of each process that outlive OrgsDBExptime"),
    AP_INIT_TAKE1("OrgsDBMax", set_number, (void *)&number_max, RSRC_CONF, "connections of each process in all"),
    AP_INIT_TAKE1("OrgsDBExptime", set_number, (void *)&number_exptime, RSRC_CONF,
                  "seconds after which idle connections are closed"),
    AP_INIT_TAKE1("OrgsDBTimeout", set_number, (void *)&number_timeout, RSRC_CONF,
                  "seconds of database time that one request has"),
    AP_INIT_TAKE1("OrgsMayCreate", set_may_create, NULL, RSRC_CONF, "who may create organizations: any, superuser"),
    AP_INIT_TAKE1("OrgsMaxOrganizations", set_max_organizations, NULL, RSRC_CONF,
                  "how many organizations that one user created may stand, or unlimited"),
    AP_INIT_TAKE1("OrgsMaxBody", set_max_body, NULL, RSRC_CONF | ACCESS_CONF, "bytes of a request's body at most"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}};

static int is_threaded(void)
{
    int threaded = AP_MPMQ_NOT_SUPPORTED;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    return threaded != AP_MPMQ_NOT_SUPPORTED;
}

static int at_most(int value, int most)
{
    return value < most ? value : most;
}

/* What a server's directives amount to. */
static void resolve(const mod_orgs_server_t *conf, orgs_pool_conf_t *pool, orgs_params_t *params, apr_pool_t *p)
{
    static const orgs_params_t none;
    int threads = 1;

    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    *params = *orgs_params_merge(p, conf->file != NULL ? conf->file : &none,
                                 conf->params != NULL ? conf->params : &none);
    pool->params = params;
    pool->threaded = is_threaded();
    pool->min = conf->min != MOD_ORGS_UNSET ? conf->min : ORGS_DB_MIN_DEFAULT;
    pool->max = conf->max != MOD_ORGS_UNSET ? conf->max : at_most(threads > 0 ? threads : 1, ORGS_DB_MAX_DEFAULT);
    pool->keep = conf->keep != MOD_ORGS_UNSET ? conf->keep : at_most(ORGS_DB_KEEP_DEFAULT, pool->max);
    if (conf->keep == MOD_ORGS_UNSET && pool->keep < pool->min) {
        pool->keep = pool->min;
    }
    pool->exptime = conf->exptime != MOD_ORGS_UNSET ? conf->exptime : ORGS_DB_EXPTIME_DEFAULT;
    pool->timeout = conf->timeout != MOD_ORGS_UNSET ? conf->timeout : ORGS_DB_TIMEOUT_DEFAULT;
}

static const char *wrong_together(apr_pool_t *p, const mod_orgs_server_t *conf)
{
    orgs_pool_conf_t pool;
    orgs_params_t params;

    resolve(conf, &pool, &params, p);
    if (conf->mounted && params.hosts == NULL && params.socket == NULL) {
        return "SetHandler orgs needs a database: OrgsDBParams or OrgsDBDefaultsFile must name a host or a socket";
    }
    if (conf->mounted && params.dbname == NULL) {
        return "SetHandler orgs needs the database's name: dbname= in OrgsDBParams, or database= in the file of "
               "OrgsDBDefaultsFile";
    }
    if (pool.min > pool.max) {
        return apr_psprintf(p, "OrgsDBMin %d is more than OrgsDBMax %d", pool.min, pool.max);
    }
    if (pool.min > pool.keep) {
        return apr_psprintf(p, "OrgsDBMin %d is more than OrgsDBKeep %d", pool.min, pool.keep);
    }
    if (pool.keep > pool.max) {
        return apr_psprintf(p, "OrgsDBKeep %d is more than OrgsDBMax %d", pool.keep, pool.max);
    }
    return NULL;
}

int mod_orgs_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)pconf;
    (void)plog;
    for (; s != NULL; s = s->next) {
        const char *sentence = wrong_together(ptemp, ap_get_module_config(s->module_config, &orgs_module));

        if (sentence != NULL) {
            ap_log_error(APLOG_MARK, APLOG_EMERG | APLOG_STARTUP, 0, s, ORGS_LOGNO(0001) "%s (server %s)", sentence,
                         s->server_hostname != NULL ? s->server_hostname : "main");
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

/* Once, however many virtual hosts share it; not when the configuration is read for the first of two times. */
static void tell_exposed(apr_pool_t *p, server_rec *s, const orgs_params_t *params, apr_array_header_t *told)
{
    const char *host = ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG ? orgs_params_exposed(p, params)
                                                                                      : NULL;

    if (host != NULL && !ap_array_str_contains(told, host)) {
        APR_ARRAY_PUSH(told, const char *) = host;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, ORGS_LOGNO(0003) "ssl_mode=disabled: what is said to the database "
                     "at %s can be read and changed by whoever is on the way", host);
    }
}

int mod_orgs_config_post(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    apr_array_header_t *told = apr_array_make(ptemp, 4, sizeof(const char *));

    (void)plog;
    for (; s != NULL; s = s->next) {
        mod_orgs_server_t *conf = ap_get_module_config(s->module_config, &orgs_module);

        if (conf->params != NULL || conf->file != NULL) {
            conf->pool_conf = apr_pcalloc(pconf, sizeof(*conf->pool_conf));
            resolve(conf, conf->pool_conf, apr_pcalloc(pconf, sizeof(orgs_params_t)), pconf);
            tell_exposed(ptemp, s, conf->pool_conf->params, told);
        }
    }
    return OK;
}

static int same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int same_pool(const orgs_pool_conf_t *a, const orgs_pool_conf_t *b)
{
    const orgs_params_t *x = a->params;
    const orgs_params_t *y = b->params;

    return a->min == b->min && a->keep == b->keep && a->max == b->max && a->exptime == b->exptime
           && a->timeout == b->timeout && x->port == y->port && x->ssl_mode == y->ssl_mode
           && same_text(x->hosts, y->hosts) && same_text(x->socket, y->socket) && same_text(x->dbname, y->dbname)
           && same_text(x->user, y->user) && same_text(x->password, y->password) && same_text(x->ssl_ca, y->ssl_ca)
           && same_text(x->ssl_cert, y->ssl_cert) && same_text(x->ssl_key, y->ssl_key);
}

static orgs_pool_t *pool_of_equal(server_rec *first, const mod_orgs_server_t *conf)
{
    server_rec *s;

    for (s = first; s != NULL; s = s->next) {
        const mod_orgs_server_t *other = ap_get_module_config(s->module_config, &orgs_module);

        if (other->pool != NULL && same_pool(other->pool_conf, conf->pool_conf)) {
            return other->pool;
        }
    }
    return NULL;
}

void mod_orgs_config_child_init(apr_pool_t *pchild, server_rec *first)
{
    server_rec *s;

    for (s = first; s != NULL; s = s->next) {
        mod_orgs_server_t *conf = ap_get_module_config(s->module_config, &orgs_module);
        apr_status_t rv;

        if (conf->pool_conf == NULL) {
            continue;
        }
        conf->pool = pool_of_equal(first, conf);
        if (conf->pool != NULL) {
            continue;
        }
        rv = orgs_pool_create(&conf->pool, pchild, conf->pool_conf);
        if (rv != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, ORGS_LOGNO(0002) "the pool of connections cannot be made");
        }
        else if (conf->pool_conf->min > 0) {
            apr_pool_t *scratch;

            apr_pool_create(&scratch, pchild);
            orgs_pool_warm(conf->pool, scratch);
            apr_pool_destroy(scratch);
        }
    }
}
