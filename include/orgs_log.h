/*
 * What the code below httpd has to say to the operator, through one callback.
 */
#ifndef ORGS_LOG_H
#define ORGS_LOG_H

/* Every log line begins with a tag of ours, each used at one place of the code. */
#define ORGS_LOGNO(n) "ORGS" #n ": "

typedef enum { ORGS_LOG_ERR, ORGS_LOG_WARNING, ORGS_LOG_INFO, ORGS_LOG_DEBUG } orgs_log_e;

typedef void orgs_log_fn(void *baton, orgs_log_e level, const char *message);

/** Says where messages go; without one they go nowhere. Called before threads are there, and again with NULL before the
 * baton goes. */
void orgs_log_set(orgs_log_fn *fn, void *baton);

/** Logs one line (printf-like, cut at 1,000 bytes). No secrets. May be called by any thread. */
void orgs_log(orgs_log_e level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
