/*
 * Errors as answers: application/problem+json (RFC 9457), the same from a hook, the handler and httpd itself.
 */
#ifndef MOD_ORGS_PROBLEM_H
#define MOD_ORGS_PROBLEM_H

#include "mod_orgs.h"

/**
 * Prepares the answer to an error and logs it. Headers go where httpd's error answers keep them, the body into
 * ap_custom_response; httpd does the rest when the status is returned from a hook or the handler.
 * @return the HTTP status to return
 */
int mod_orgs_problem(orgs_request_t *rq, const orgs_error_t *error);

/** The same for a code with its own text. */
int mod_orgs_problem_code(orgs_request_t *rq, orgs_error_e code);

/**
 * The same for any request: below a mount a problem, elsewhere httpd's own error (ErrorDocument applies), with the
 * challenge of a 401 and the Retry-After of a 503.
 */
int mod_orgs_problem_refuse(request_rec *r, const orgs_error_t *error);

/** Logs that OrgsRemoteUser stands where nothing puts a user into r->user. Returns 500. */
int mod_orgs_problem_no_user(request_rec *r);

/** The code of a status that httpd or another module answered; NULL if it has none. */
const char *mod_orgs_problem_foreign(int status);

/** The header of a request's credentials, and that of a challenge: in a forward proxy they are other ones. */
const char *mod_orgs_problem_credentials(const request_rec *r);
const char *mod_orgs_problem_authenticate(const request_rec *r);

/** Puts the challenge of a 401 into the answer's headers. */
void mod_orgs_problem_challenge(request_rec *r);

/** Before threads are there: makes the texts of the errors that httpd itself may answer below a mount. */
void mod_orgs_problem_init(apr_pool_t *pool);

/** Has httpd's own errors on this request answered as problems. */
void mod_orgs_problem_prepare(request_rec *r);

/** insert_error_filter: puts the filter that sets the media type. */
void mod_orgs_problem_insert_filter(request_rec *r);

/** Registers the filter. */
void mod_orgs_problem_register(void);

#endif
