/*
 * One thread per process that shuts the sockets of connections whose deadline passed. The client libraries' own
 * timeouts cannot: they count whole seconds, and each read anew.
 */
#ifndef ORGS_WATCHDOG_H
#define ORGS_WATCHDOG_H

#include <apr_errno.h>
#include <apr_time.h>

typedef struct orgs_watch_t orgs_watch_t;

/** Starts the thread, once per process. Its state lives as long as the process. Fails as apr_thread_create. */
apr_status_t orgs_watchdog_start(void);

/** A watch for one connection; NULL when memory is short. Lives until it is given back. */
orgs_watch_t *orgs_watch_make(void);

void orgs_watch_give_back(orgs_watch_t *watch);

/** From now on fd is shut (both directions) when deadline (orgs_clock) passes. */
void orgs_watch_arm(orgs_watch_t *watch, int fd, apr_time_t deadline);

/** Ends the watch. Nonzero if the socket was shut meanwhile. */
int orgs_watch_disarm(orgs_watch_t *watch);

#endif
