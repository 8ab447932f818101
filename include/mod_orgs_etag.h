/*
 * Entity tags (RFC 9110, 8.8.3) and the preconditions on them.
 *
 * A tag is "V-D": V the version under lock, D digests of whose tag it is and of the body. What mod_deflate and
 * mod_brotli append is passed over.
 */
#ifndef MOD_ORGS_ETAG_H
#define MOD_ORGS_ETAG_H

#include "mod_orgs.h"

/* Whose tag: the resources that have one. */
typedef enum { MOD_ORGS_TAG_ORGANIZATION = 'o', MOD_ORGS_TAG_LICENSE = 'l' } mod_orgs_tag_e;

typedef struct mod_orgs_tag_t {
    mod_orgs_tag_e kind;
    const orgs_id_t *organization;
    apr_int64_t version;
} mod_orgs_tag_t;

/** The strong tag of a body, quotes included, in pool. */
const char *mod_orgs_etag_make(apr_pool_t *pool, const mod_orgs_tag_t *tag, const char *body, apr_size_t len);

/** Nonzero if If-None-Match names this tag, or is *. */
int mod_orgs_etag_none_match(request_rec *r, const char *etag);

/**
 * The versions that If-Match names of this resource, comma-separated, in r->pool: "" where it names none (weak tags
 * and those of other resources never match); NULL where there is no condition, or it is *.
 */
const char *mod_orgs_etag_versions(request_rec *r, mod_orgs_tag_e kind, const orgs_id_t *organization);

#endif
