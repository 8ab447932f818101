/*
 * Threads that share a pool of connections, as a server's do: each makes an organization, asks who it is there, changes
 * it, adds a member, reads lists and removes it, again and again. Ends with 0, or says what was wrong. Disturbed: the
 * database may go away meanwhile, but no answer is a wrong one.
 * Usage: store OPTION-FILE TOKEN THREADS SECONDS [disturbed]
 */
#include <apr_atomic.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <apr_thread_proc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orgs.h"
#include "orgs_connector.h"
#include "orgs_pool.h"
#include "orgs_time.h"
#include "orgs_watchdog.h"

#define TIMEOUT 2
#define MEMBER "bob@example.com"

static orgs_pool_t *connections;
static orgs_key_t key;
static orgs_id_t user;
static apr_time_t until;
static int disturbed;
static volatile apr_uint32_t wrong, rounds, unavailable, unknown;

/* Nonzero if it worked; an error that may be is counted. */
static int worked(const orgs_error_t *error, const char *what)
{
    if (error == NULL) {
        return 1;
    }
    if (disturbed && (error->code == ORGS_E_UNAVAILABLE || error->code == ORGS_E_OUTCOME_UNKNOWN)) {
        apr_atomic_inc32(error->code == ORGS_E_UNAVAILABLE ? &unavailable : &unknown);
    }
    else if (apr_atomic_inc32(&wrong) < 20) {
        printf("%s: error %d, %s\n", what, (int)error->code, error->cause != NULL ? error->cause : "");
    }
    return 0;
}

static void expect(int condition, const char *what)
{
    if (!condition && apr_atomic_inc32(&wrong) < 20) {
        printf("%s\n", what);
    }
}

static orgs_db_t *access_to(orgs_db_t *db)
{
    orgs_db_init(db, connections);
    return db;
}

static void one_round(apr_pool_t *p, const char *name)
{
    static const orgs_organization_filter_t all_of_them = {0, 0, ORGS_ROLE_NONE};
    static const orgs_member_filter_t everybody = {ORGS_ROLE_NONE, NULL};
    const orgs_by_t by = {&user, "harness", 1};
    const orgs_organization_change_t change = {NULL, 1, "changed", -1};
    orgs_organization_t organization;
    orgs_position_t start;
    apr_array_header_t *items;
    orgs_member_t member;
    orgs_lookup_t found;
    orgs_db_t db;
    int replayed;

    memset(&start, 0, sizeof(start));
    if (!worked(orgs_store_org_create(access_to(&db), p, &by, name, NULL, -1, NULL, &organization, &replayed), "create")) {
        return;
    }
    if (worked(orgs_lookup(access_to(&db), p, &key, &organization.id, &found), "lookup")) {
        expect(found.found && found.organization.role == ORGS_ROLE_ADMIN, "its admin is not found");
        expect(found.found && strcmp(found.organization.name, name) == 0, "it has another's name");
        expect(memcmp(found.user.id.bytes, user.bytes, sizeof(user.bytes)) == 0, "somebody else was found");
    }
    if (worked(orgs_store_member_add(access_to(&db), p, &by, &organization.id, MEMBER, ORGS_ROLE_MEMBER, NULL, &member,
                                     &replayed), "add")
        && worked(orgs_store_member_list(access_to(&db), p, &organization.id, &everybody, &start, 10, &items), "members")) {
        expect(items->nelts == 2, "there are not two members");
    }
    if (worked(orgs_store_org_update(access_to(&db), p, &by, &organization.id, NULL, &change, &organization), "update")) {
        expect(organization.description != NULL && strcmp(organization.description, "changed") == 0, "it is not changed");
    }
    if (worked(orgs_store_org_list(access_to(&db), p, &user, &all_of_them, &start, 20, &items), "list")) {
        expect(items->nelts > 0, "the list is empty");
    }
    if (worked(orgs_store_org_delete(access_to(&db), p, &by, &organization.id, NULL), "delete")
        && worked(orgs_lookup(access_to(&db), p, &key, &organization.id, &found), "lookup of a deleted one")) {
        expect(!found.found, "it is not gone");
    }
    apr_atomic_inc32(&rounds);
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    apr_pool_t *pool;
    int n;

    (void)thread;
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    for (n = 0; orgs_clock() < until; n++) {
        one_round(pool, apr_psprintf(pool, "Thread %d, round %d", (int)(apr_uintptr_t)data, n));
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    orgs_conn_library_leave();
    return NULL;
}

/* Who the token belongs to. */
static int find_user(apr_pool_t *pool, const char *token)
{
    unsigned char *digest = apr_palloc(pool, ORGS_SHA256_LEN);
    orgs_lookup_t found;
    orgs_db_t db;

    orgs_sha256(digest, token, strlen(token));
    key.kind = ORGS_KEY_TOKEN;
    key.bytes = (const char *)digest;
    key.len = ORGS_SHA256_LEN;
    if (!worked(orgs_lookup(access_to(&db), pool, &key, NULL, &found), "the token")) {
        return 0;
    }
    user = found.user.id;
    return 1;
}

int main(int argc, char **argv)
{
    orgs_params_t params;
    orgs_pool_conf_t conf = {&params, 0, 2, 4, 300, TIMEOUT, 1, NULL};
    apr_thread_t *threads[256];
    apr_status_t rv;
    apr_pool_t *pool;
    int i, count;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    memset(&params, 0, sizeof(params));
    if (argc < 5 || (count = atoi(argv[3])) < 1 || count > 256 || orgs_params_file(pool, &params, argv[1]) != NULL) {
        fputs("Usage: store OPTION-FILE TOKEN THREADS SECONDS [disturbed]\n", stderr);
        return 2;
    }
    orgs_conn_library_init();
    if (orgs_watchdog_start() != APR_SUCCESS || orgs_pool_create(&connections, pool, &conf) != APR_SUCCESS
        || !find_user(pool, argv[2])) {
        return 1;
    }
    disturbed = argc > 5;
    until = orgs_clock() + apr_time_from_sec(atoi(argv[4]));
    for (i = 0; i < count; i++) {
        apr_thread_create(&threads[i], NULL, run, (void *)(apr_uintptr_t)i, pool);
    }
    for (i = 0; i < count; i++) {
        apr_thread_join(&rv, threads[i]);
    }
    printf("%d threads%s: %u rounds, %u times unavailable, %u unknown, %u wrong\n", count, disturbed ? ", disturbed" : "",
           rounds, unavailable, unknown, wrong);
    apr_pool_destroy(pool);
    orgs_connector_settle();
    return wrong == 0 && rounds > 0 ? 0 : 1;
}
