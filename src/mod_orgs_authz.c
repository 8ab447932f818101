/*
 * Gates: Require lines that let members, admins, plans and licenses in.
 */
#include "mod_orgs_authz.h"

#include <ap_expr.h>
#include <apr_strings.h>
#include <http_request.h>
#include <mod_auth.h>

#include "mod_orgs_auth.h"
#include "mod_orgs_config.h"

typedef enum { MEMBER, ADMIN, PLAN, LICENSE } kind_e;

/* A line, as it was read. */
typedef struct {
    kind_e kind;
    const char *name;
    int reversed; /* a yes means no: it stands under a "not" or a RequireNone */
    int alias;    /* what its yes means is said where the alias stands */
    const ap_expr_info_t *expr; /* gives the organization's id */
    const char *const *plans;   /* ends with NULL */
} line_t;

/* Notes the organization that a line names in this request. */
static void note(mod_orgs_auth_t *auth, const line_t *line, const char *text)
{
    mod_orgs_met_t *met = NULL;
    int i;

    if (auth->met == NULL) {
        auth->met = apr_array_make(auth->r->pool, 4, sizeof(mod_orgs_met_t));
    }
    for (i = 0; i < auth->met->nelts && met == NULL; i++) {
        if (APR_ARRAY_IDX(auth->met, i, mod_orgs_met_t).line == line) {
            met = &APR_ARRAY_IDX(auth->met, i, mod_orgs_met_t);
        }
    }
    if (met == NULL) {
        met = apr_array_push(auth->met);
    }
    met->line = line;
    met->expr = line->expr;
    met->text = text;
}

static int is_one_of(const char *plan, const char *const *plans)
{
    while (*plans != NULL && strcmp(plan, *plans) != 0) {
        plans++;
    }
    return *plans != NULL;
}

/* NULL if the line lets the caller in; else why not. The license's status is of the instant of the question. */
static const char *judge(const line_t *line, const orgs_lookup_t *lookup)
{
    int licensed = lookup->has_license && strcmp(lookup->license.status, "active") == 0;

    if (!mod_orgs_auth_belongs(lookup)) {
        return "is no member of";
    }
    if (!lookup->organization.active) {
        return "is a member of the inactive";
    }
    switch (line->kind) {
    case ADMIN:
        return lookup->organization.role == ORGS_ROLE_ADMIN || lookup->user.superuser ? NULL : "is no admin of";
    case PLAN:
        return licensed && is_one_of(lookup->license.plan, line->plans) ? NULL : "has not the plan in";
    case LICENSE:
        return licensed ? NULL : "has no active license in";
    case MEMBER:
    default:
        return NULL;
    }
}

/* Another authentication let somebody in, and nothing says that its users are ours. Where a no may mean yes, this is
 * not the time for a no. */
static authz_status no_caller(request_rec *r, const line_t *line)
{
    int either = line->reversed || line->alias;

    ap_log_rerror(APLOG_MARK, either ? APLOG_ERR : APLOG_INFO, 0, r, ORGS_LOGNO(0043) "Require %s: the user %s was not "
                  "authenticated by a token, and OrgsRemoteUser is off", line->name, r->user);
    return either ? AUTHZ_GENERAL_ERROR : AUTHZ_DENIED;
}

/* httpd asks twice: before there is a user, where the organization is noted and nothing is asked; and again after. */
static authz_status check(request_rec *r, const char *arguments, const void *parsed)
{
    const line_t *line = parsed;
    mod_orgs_auth_t *auth = mod_orgs_auth_make(r);
    const char *err = NULL;
    const char *text = ap_expr_str_exec(r, line->expr, &err);
    const orgs_lookup_t *lookup;
    const char *why;
    orgs_id_t id;
    int is_id;

    if (err != NULL || text == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, ORGS_LOGNO(0042) "Require %s %s: the expression failed: %s",
                      line->name, arguments, err);
        return AUTHZ_GENERAL_ERROR;
    }
    mod_orgs_auth_gated(auth);
    note(auth, line, text);
    is_id = orgs_id_parse(&id, text, strlen(text));
    if (!auth->deciding) {
        if (is_id && !auth->wants) {
            auth->wants = 1;
            auth->wanted = id;
        }
        return AUTHZ_DENIED_NO_USER;
    }
    if (auth->newcomer && (auth->failure = mod_orgs_auth_provision(auth)) != NULL) {
        return AUTHZ_GENERAL_ERROR;
    }
    if (!auth->known) {
        return no_caller(r, line);
    }
    auth->judged = 1;
    if (!is_id) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, ORGS_LOGNO(0044) "Require %s: '%s' is no organization's id",
                      line->name, text);
        return AUTHZ_DENIED;
    }
    auth->failure = mod_orgs_auth_ask(auth, &id, &lookup);
    if (auth->failure != NULL) {
        return AUTHZ_GENERAL_ERROR;
    }
    why = judge(line, lookup);
    if (why != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, ORGS_LOGNO(0045) "Require %s: %s %s the organization %s",
                      line->name, lookup->user.email, why, text);
        return AUTHZ_DENIED;
    }
    if (!line->reversed) {
        mod_orgs_auth_tell(auth, lookup);
    }
    return AUTHZ_GRANTED;
}

static int is_reversed(const cmd_parms *cmd)
{
    const ap_directive_t *section = cmd->directive;
    const char *words = section->args;

    if (strcasecmp(ap_getword_conf(cmd->temp_pool, &words), "not") == 0) {
        return 1;
    }
    while ((section = section->parent) != NULL && strcasecmp(section->directive, "<RequireNone") != 0) {
    }
    return section != NULL;
}

/* "EXPR", or "EXPR NAME..." for a plan. */
static const char *parse(cmd_parms *cmd, kind_e kind, const char *name, const char *arguments, const void **parsed)
{
    apr_array_header_t *plans = apr_array_make(cmd->pool, 2, sizeof(const char *));
    line_t *line = apr_pcalloc(cmd->pool, sizeof(*line));
    const char *err = NULL;
    const char *words = arguments;
    const char *expr = ap_getword_conf(cmd->pool, &words);

    if (*expr == '\0') {
        return apr_psprintf(cmd->pool, "Require %s: an expression that gives the organization's id is missing, such as "
                            "%%{env:MATCH_ORG_ID}", name);
    }
    line->kind = kind;
    line->name = name;
    line->reversed = is_reversed(cmd);
    line->alias = strcasecmp(cmd->directive->directive, "<AuthzProviderAlias") == 0;
    line->expr = ap_expr_parse_cmd(cmd, expr, AP_EXPR_FLAG_STRING_RESULT, &err, NULL);
    if (err != NULL) {
        return apr_psprintf(cmd->pool, "Require %s %s: the expression cannot be read: %s", name, expr, err);
    }
    while (*words != '\0') {
        APR_ARRAY_PUSH(plans, const char *) = ap_getword_conf(cmd->pool, &words);
    }
    if (kind == PLAN && plans->nelts == 0) {
        return apr_psprintf(cmd->pool, "Require %s %s: the plan's name is missing", name, expr);
    }
    if (kind != PLAN && plans->nelts > 0) {
        return apr_psprintf(cmd->pool, "Require %s %s: there is more than one expression; put quotes around one with "
                            "spaces", name, arguments);
    }
    APR_ARRAY_PUSH(plans, const char *) = NULL;
    line->plans = (const char *const *)plans->elts;
    if (line->alias) {
        words = cmd->directive->args;
        ap_getword_conf(cmd->temp_pool, &words);
        mod_orgs_config_add_require(ap_getword_conf(cmd->pool, &words));
    }
    *parsed = line;
    return NULL;
}

static const char *parse_member(cmd_parms *cmd, const char *arguments, const void **parsed)
{
    return parse(cmd, MEMBER, "org-member", arguments, parsed);
}

static const char *parse_admin(cmd_parms *cmd, const char *arguments, const void **parsed)
{
    return parse(cmd, ADMIN, "org-admin", arguments, parsed);
}

static const char *parse_plan(cmd_parms *cmd, const char *arguments, const void **parsed)
{
    return parse(cmd, PLAN, "org-plan", arguments, parsed);
}

static const char *parse_license(cmd_parms *cmd, const char *arguments, const void **parsed)
{
    return parse(cmd, LICENSE, "org-license", arguments, parsed);
}

static const struct {
    const char *name;
    authz_provider provider;
} providers[] = {{"org-member", {check, parse_member}},
                 {"org-admin", {check, parse_admin}},
                 {"org-plan", {check, parse_plan}},
                 {"org-license", {check, parse_license}}};

void mod_orgs_authz_register(apr_pool_t *p)
{
    apr_size_t i;

    for (i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, providers[i].name, AUTHZ_PROVIDER_VERSION,
                                  &providers[i].provider, AP_AUTH_INTERNAL_PER_CONF);
        mod_orgs_config_add_require(providers[i].name);
    }
}
