/*
 * The caller of any request, at a mount or elsewhere: who they are, and what they are in an organization. One question
 * for each distinct organization, asked once for a request with all its subrequests and internal redirects.
 */
#ifndef MOD_ORGS_AUTH_H
#define MOD_ORGS_AUTH_H

#include <ap_expr.h>

#include "mod_orgs.h"

/* By what the caller was authenticated. */
typedef enum {
    MOD_ORGS_BY_BEARER,   /* a token, by us */
    MOD_ORGS_BY_PASSWORD, /* a token, as the password of mod_auth_basic or mod_auth_form */
    MOD_ORGS_BY_REMOTE    /* r->user, by another module */
} mod_orgs_by_e;

/* A Require org-* that was met, and the id its expression gave. */
typedef struct mod_orgs_met_t {
    const void *line;
    const ap_expr_info_t *expr;
    const char *text;
} mod_orgs_met_t;

/* What is known of a caller; private to mod_orgs_auth.c. */
typedef struct mod_orgs_answers_t mod_orgs_answers_t;

/* What one request_rec knows of its caller. */
struct mod_orgs_auth_t {
    request_rec *r;
    mod_orgs_answers_t *answers; /* shared with others of the same credentials */
    int known;                   /* the caller is a user of ours */
    mod_orgs_by_e by;
    int superuser; /* whether a superuser's flag counts */
    int newcomer;  /* r->user is no user of ours yet, but OrgsRemoteProvision would make one */

    int wants; /* the first question is to carry this organization */
    orgs_id_t wanted;
    apr_array_header_t *met;       /* of mod_orgs_met_t, or NULL */
    const orgs_lookup_t *granted;  /* the organization that the environment tells, or NULL */
    const orgs_error_t *failure;   /* why a gate could not be asked, or NULL */
    int gated;                     /* the answer depends on the caller */
    int judged;                    /* a Require org-* was decided */
    int authenticating, deciding;  /* httpd's hooks are being run for us (mod_orgs_gate.c) */
};

/** What the request knows of its caller so far, or NULL. */
mod_orgs_auth_t *mod_orgs_auth_of(request_rec *r);

/** The same, made where there is nothing. */
mod_orgs_auth_t *mod_orgs_auth_make(request_rec *r);

/** Notes that the answer depends on the caller; so does that of a request which looks at it, or includes it. */
void mod_orgs_auth_gated(mod_orgs_auth_t *auth);

/** Takes our variables out of the environment: another request's, or somebody else's. */
void mod_orgs_auth_forget(request_rec *r);

/** Takes over what a request knows that led to this one and has the same configuration. */
void mod_orgs_auth_inherit(request_rec *r, const mod_orgs_auth_t *from);

/**
 * Finds out who calls, unless it is known; notes it in r->user, ap_auth_type (both: where we authenticate) and the
 * environment.
 * @param remote whether r->user says it, which then must be there
 * @return NULL, or an error
 */
const orgs_error_t *mod_orgs_auth_identify(mod_orgs_auth_t *auth, int remote);

/**
 * Makes a newcomer a user, who is known then. Not before whatever may refuse the request has let it pass: what somebody
 * says to be and nobody has verified is no user.
 * @return NULL, or an error
 */
const orgs_error_t *mod_orgs_auth_provision(mod_orgs_auth_t *auth);

/**
 * What the caller, who must be known, is in an organization (NULL: none).
 * @param lookup lives as long as the request; a superuser's flag is off where it does not count
 * @return NULL, or an error
 */
const orgs_error_t *mod_orgs_auth_ask(mod_orgs_auth_t *auth, const orgs_id_t *organization,
                                      const orgs_lookup_t **lookup);

/** The database access of what was asked outside mounts, or NULL. */
const orgs_db_t *mod_orgs_auth_db(const mod_orgs_auth_t *auth);

/** What was found out of a caller who is known, about an organization (NULL: whichever); NULL if nothing was. */
const orgs_lookup_t *mod_orgs_auth_known(const mod_orgs_auth_t *auth, const orgs_id_t *organization);

/** Nonzero if the lookup's organization stands and the caller is in it, or counts as its admin. */
int mod_orgs_auth_belongs(const orgs_lookup_t *lookup);

/** Notes in the environment the organization of a lookup, unless there is one. */
void mod_orgs_auth_tell(mod_orgs_auth_t *auth, const orgs_lookup_t *lookup);

/** check_authn: AuthType Orgs, and mounts that have a Require but no AuthType. */
int mod_orgs_auth_check(request_rec *r);

/** note_auth_failure for AuthType Orgs: the challenge. */
int mod_orgs_auth_note_failure(request_rec *r, const char *type);

/** Registers AuthBasicProvider orgs. */
void mod_orgs_auth_register(apr_pool_t *p);

/**
 * At a mount: finds out who calls and what they are in the path's organization; notes it in rq->lookup.
 * @return OK, or a status with a problem prepared
 */
int mod_orgs_auth_caller(orgs_request_t *rq);

/** OK, or 403 with a problem prepared where a browser's own credentials came with another site's write. */
int mod_orgs_auth_same_site(orgs_request_t *rq);

/** OK if the path's organization stands and the caller may see it; else a status with a problem prepared. */
int mod_orgs_auth_member(orgs_request_t *rq);

/** OK if beyond that the caller is its admin, or a superuser. */
int mod_orgs_auth_admin(orgs_request_t *rq);

#endif
