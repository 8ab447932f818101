/*
 * Entity tags.
 */
#include "mod_orgs_etag.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "orgs_limits.h"

#define OWNER_BYTES 6
#define OWNER_LEN 8
#define BODY_LEN 22

/* Whose tag it is: the last bits of the organization's id, which are random, and differ with the kind. */
static const char *owner_of(apr_pool_t *pool, mod_orgs_tag_e kind, const orgs_id_t *organization)
{
    unsigned char tail[OWNER_BYTES];

    memcpy(tail, organization->bytes + sizeof(organization->bytes) - sizeof(tail), sizeof(tail));
    tail[0] = (unsigned char)(tail[0] ^ (unsigned int)kind);
    return orgs_base64url(pool, tail, sizeof(tail));
}

const char *mod_orgs_etag_make(apr_pool_t *pool, const mod_orgs_tag_t *tag, const char *body, apr_size_t len)
{
    unsigned char digest[ORGS_SHA256_LEN];

    orgs_sha256(digest, body, len);
    return apr_psprintf(pool, "\"%" APR_INT64_T_FMT "-%s%.*s\"", tag->version,
                        owner_of(pool, tag->kind, tag->organization), BODY_LEN,
                        orgs_base64url(pool, digest, sizeof(digest)));
}

/* One entry of a list of tags: what is between the quotes. */
typedef struct {
    const char *opaque;
    apr_size_t len;
    int weak;
} entry_t;

/* Takes the next entry off a list; zero at its end, or where it is malformed. */
static int next_entry(const char **list, entry_t *entry)
{
    const char *from = *list + strspn(*list, " \t,");
    const char *end;

    entry->weak = from[0] == 'W' && from[1] == '/';
    from += entry->weak ? 2 : 0;
    if (*from != '"' || (end = strchr(from + 1, '"')) == NULL) {
        return 0;
    }
    entry->opaque = from + 1;
    entry->len = (apr_size_t)(end - from - 1);
    *list = end + 1;
    return 1;
}

/* Passes over what mod_deflate and mod_brotli put at the end of a tag. */
static void strip_coding(entry_t *entry)
{
    static const char *const codings[] = {"-gzip", "-br", "-deflate"};
    apr_size_t i;

    for (i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
        apr_size_t len = strlen(codings[i]);

        if (entry->len > len && memcmp(entry->opaque + entry->len - len, codings[i], len) == 0) {
            entry->len -= len;
            return;
        }
    }
}

static int is_any(const char *list)
{
    list += strspn(list, " \t");
    return *list == '*' && list[1 + strspn(list + 1, " \t")] == '\0';
}

int mod_orgs_etag_none_match(request_rec *r, const char *etag)
{
    const char *list = apr_table_get(r->headers_in, "If-None-Match");
    apr_size_t len = strlen(etag) - 2;
    entry_t entry;

    if (list == NULL) {
        return 0;
    }
    if (is_any(list)) {
        return 1;
    }
    while (next_entry(&list, &entry)) {
        strip_coding(&entry);
        if (entry.len == len && memcmp(entry.opaque, etag + 1, len) == 0) {
            return 1;
        }
    }
    return 0;
}

const char *mod_orgs_etag_versions(request_rec *r, mod_orgs_tag_e kind, const orgs_id_t *organization)
{
    const char *list = apr_table_get(r->headers_in, "If-Match");
    const char *owner;
    const char *versions = "";
    entry_t entry;
    int count = 0;

    if (list == NULL || is_any(list)) {
        return NULL;
    }
    owner = owner_of(r->pool, kind, organization);
    while (count < ORGS_IF_TAGS_MAX && next_entry(&list, &entry)) {
        apr_size_t digits = strspn(entry.opaque, "0123456789");

        strip_coding(&entry);
        /* 19 digits hold any version */
        if (!entry.weak && digits > 0 && digits < 20 && *entry.opaque != '0'
            && entry.len == digits + 1 + OWNER_LEN + BODY_LEN && entry.opaque[digits] == '-'
            && memcmp(entry.opaque + digits + 1, owner, OWNER_LEN) == 0) {
            versions = apr_pstrcat(r->pool, versions, count > 0 ? "," : "",
                                   apr_pstrmemdup(r->pool, entry.opaque, digits), NULL);
            count++;
        }
    }
    return versions;
}
