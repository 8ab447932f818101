/*
 * Directives, and the mount.
 */
#include "mod_orgs_config.h"

#include <apr_fnmatch.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>

#include "orgs_limits.h"
#include "orgs_origin.h"
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
    conf->remote_user = MOD_ORGS_UNSET;
    conf->remote_superuser = MOD_ORGS_UNSET;
    conf->remote_provision = MOD_ORGS_UNSET;
    conf->requires = 0;
    conf->merging = MOD_ORGS_UNSET;
    conf->gated = 0;
    return conf;
}

void *mod_orgs_config_merge_dir(apr_pool_t *p, void *basev, void *addv)
{
    const mod_orgs_dir_t *base = basev;
    const mod_orgs_dir_t *add = addv;
    mod_orgs_dir_t *conf = apr_palloc(p, sizeof(*conf));

    conf->mount = add->mount != NULL ? add->mount : base->mount;
    conf->max_body = SAID(max_body);
    conf->remote_user = SAID(remote_user);
    conf->remote_superuser = SAID(remote_superuser);
    conf->remote_provision = SAID(remote_provision);
    conf->trusted_origins = add->trusted_origins != NULL ? add->trusted_origins : base->trusted_origins;
    conf->rate_limit = add->rate_limit != NULL ? add->rate_limit : base->rate_limit;
    /* as mod_authz_core merges */
    if (add->merging == MOD_ORGS_UNSET && !add->requires && base->requires) {
        conf->requires = base->requires;
        conf->merging = base->merging;
        conf->gated = base->gated;
    }
    else {
        conf->requires = add->requires | (add->merging == 1 ? base->requires : 0);
        conf->merging = add->merging;
        conf->gated = add->gated | (add->merging == 1 ? base->gated : 0);
    }
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

int mod_orgs_config_is_remote(const mod_orgs_dir_t *dir)
{
    return dir->remote_user != MOD_ORGS_UNSET && dir->remote_user != MOD_ORGS_REMOTE_OFF;
}

int mod_orgs_config_is_gated(request_rec *r)
{
    const mod_orgs_dir_t *dir = mod_orgs_config_dir(r);
    const apr_int64_t method = AP_METHOD_BIT << r->method_number;
    const char *type;

    if (dir == NULL || (dir->requires & method) == 0) {
        return 0;
    }
    if ((dir->gated & method) != 0 || mod_orgs_config_is_remote(dir)) {
        return 1;
    }
    type = ap_auth_type(r);
    return type != NULL && ap_cstr_casecmp(type, "Orgs") == 0;
}

/* The names of our Require lines, and of their aliases. Made before threads are there, only read after. */
static apr_hash_t *require_names;

void mod_orgs_config_register(apr_pool_t *p)
{
    require_names = apr_hash_make(p);
}

void mod_orgs_config_add_require(const char *name)
{
    apr_hash_set(require_names, name, APR_HASH_KEY_STRING, name);
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
    server_of(cmd)->needs = "SetHandler orgs";
    return NULL;
}

/* Beside mod_authz_core's: notes where our lines stand, since not each of them is asked in each request whose answer
 * they decide about. */
static const char *note_require(cmd_parms *cmd, void *dirv, const char *line)
{
    mod_orgs_dir_t *dir = dirv;
    const char *name = ap_getword_conf(cmd->temp_pool, &line);

    if (strcasecmp(name, "not") == 0) {
        name = ap_getword_conf(cmd->temp_pool, &line);
    }
    dir->requires |= cmd->limited;
    if (apr_hash_get(require_names, name, APR_HASH_KEY_STRING) != NULL) {
        dir->gated |= cmd->limited;
        if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS) == NULL) {
            server_of(cmd)->needs = apr_pstrcat(cmd->pool, "Require ", name, NULL);
        }
    }
    return NULL;
}

static const char *note_merging(cmd_parms *cmd, void *dirv, const char *how)
{
    (void)cmd;
    ((mod_orgs_dir_t *)dirv)->merging = strcasecmp(how, "Off") != 0;
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

static const char no_email[] = "OrgsRemoteProvision On makes users of OrgsRemoteUser email only: an external id tells no "
                               "email";

static const char *set_remote_user(cmd_parms *cmd, void *dirv, const char *what)
{
    static const char *const names[] = {[MOD_ORGS_REMOTE_OFF] = "off",
                                        [MOD_ORGS_REMOTE_EMAIL] = "email",
                                        [MOD_ORGS_REMOTE_EXTERNAL_ID] = "external-id"};
    mod_orgs_dir_t *dir = dirv;
    int i;

    for (i = 0; i <= MOD_ORGS_REMOTE_EXTERNAL_ID; i++) {
        if (strcasecmp(what, names[i]) == 0) {
            dir->remote_user = i;
            return i == MOD_ORGS_REMOTE_EXTERNAL_ID && dir->remote_provision == 1 ? no_email : NULL;
        }
    }
    return apr_psprintf(cmd->pool, "OrgsRemoteUser %s: this must be off, email or external-id", what);
}

static const char *set_remote_superuser(cmd_parms *cmd, void *dirv, int on)
{
    (void)cmd;
    ((mod_orgs_dir_t *)dirv)->remote_superuser = on != 0;
    return NULL;
}

static const char *set_remote_provision(cmd_parms *cmd, void *dirv, int on)
{
    mod_orgs_dir_t *dir = dirv;

    (void)cmd;
    dir->remote_provision = on != 0;
    return on && dir->remote_user == MOD_ORGS_REMOTE_EXTERNAL_ID ? no_email : NULL;
}

static const char *add_trusted_origin(cmd_parms *cmd, void *dirv, const char *text)
{
    mod_orgs_dir_t *dir = dirv;
    apr_array_header_t *origins = apr_array_make(cmd->pool, 2, sizeof(orgs_origin_t));
    orgs_origin_t origin;

    if (!orgs_origin_parse(cmd->pool, text, &origin)) {
        return apr_psprintf(cmd->pool, "OrgsTrustedOrigin %s: this must be an origin, such as https://app.example.com, "
                            "without a path", text);
    }
    if (dir->trusted_origins != NULL) {
        apr_array_cat(origins, dir->trusted_origins);
    }
    APR_ARRAY_PUSH(origins, orgs_origin_t) = origin;
    dir->trusted_origins = origins;
    return NULL;
}

static const char *set_rate_limit(cmd_parms *cmd, void *dirv, const char *text)
{
    mod_orgs_dir_t *dir = dirv;
    orgs_rate_limit_t *limit = apr_pcalloc(cmd->pool, sizeof(*limit));
    const char *slash = strchr(text, '/');
    apr_int64_t writes = 0;
    apr_int64_t seconds = 0;

    if (strcasecmp(text, "off") != 0
        && (slash == NULL
            || number(cmd, apr_pstrmemdup(cmd->temp_pool, text, (apr_size_t)(slash - text)), 1, 1000000, &writes) != NULL
            || number(cmd, slash + 1, 1, 86400, &seconds) != NULL)) {
        return apr_psprintf(cmd->pool, "OrgsRateLimit %s: this must be writes/seconds, such as 100/60, of 1 to 1000000 "
                            "and 1 to 86400, or off", text);
    }
    limit->writes = (int)writes;
    limit->seconds = (int)seconds;
    dir->rate_limit = limit;
    server_of(cmd)->limits = 1;
    return NULL;
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
    AP_INIT_TAKE1("OrgsRemoteUser", set_remote_user, NULL, RSRC_CONF | ACCESS_CONF,
                  "the caller is whom another authentication put into r->user, which holds: email, external-id; or off"),
    AP_INIT_FLAG("OrgsRemoteSuperuser", set_remote_superuser, NULL, RSRC_CONF | ACCESS_CONF,
                 "whether a superuser's flag counts for a caller from r->user"),
    AP_INIT_FLAG("OrgsRemoteProvision", set_remote_provision, NULL, RSRC_CONF | ACCESS_CONF,
                 "whether an unknown email in r->user is made a user"),
    AP_INIT_ITERATE("OrgsTrustedOrigin", add_trusted_origin, NULL, RSRC_CONF | ACCESS_CONF,
                    "origins whose pages may write with credentials that a browser adds by itself"),
    AP_INIT_TAKE1("OrgsRateLimit", set_rate_limit, NULL, RSRC_CONF | ACCESS_CONF,
                  "how fast one caller may write: writes/seconds, or off"),
    AP_INIT_RAW_ARGS("Require", note_require, NULL, OR_AUTHCFG, "org-member, org-admin, org-plan, org-license"),
    AP_INIT_TAKE1("AuthMerging", note_merging, NULL, OR_AUTHCFG, "how Require lines of sections are combined"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}};
