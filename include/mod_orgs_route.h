/*
 * Path and method to the row of the endpoint table.
 */
#ifndef MOD_ORGS_ROUTE_H
#define MOD_ORGS_ROUTE_H

#include "mod_orgs.h"

/* An endpoint: answers the request, or returns a status with a problem prepared. */
typedef int mod_orgs_endpoint_fn(orgs_request_t *rq);

struct mod_orgs_route_t {
    const char *pattern; /* below the mount: "" or "/{org}/members/{user}" */
    int method;
    mod_orgs_endpoint_fn *endpoint;
    int open; /* to anyone: the caller is not asked for */
};

/** Notes what the path names, whatever the method: so that the first question may carry it. */
void mod_orgs_route_names(orgs_request_t *rq);

/**
 * Finds the row.
 * @return OK with rq->route set; DONE when the request is answered (OPTIONS); or a status with a problem prepared
 */
int mod_orgs_route(orgs_request_t *rq);

#endif
