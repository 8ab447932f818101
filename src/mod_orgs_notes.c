/*
 * Notes for log formats.
 */
#include "mod_orgs_notes.h"

#include <apr_strings.h>

#include "mod_orgs_auth.h"
#include "mod_orgs_problem.h"

#define NOTE_CODE "orgs-code"
#define NOTE_ORG "orgs-org"
#define NOTE_ROLE "orgs-role"
#define NOTE_TOKEN "orgs-token"
#define NOTE_DB_US "orgs-db-us"
#define NOTE_RETRIES "orgs-retries"

request_rec *mod_orgs_notes_ours(request_rec *r)
{
    request_rec *ours = NULL;

    for (; r != NULL; r = r->next) {
        const mod_orgs_slot_t *slot = mod_orgs_slot(r, 0);

        if (slot != NULL && (slot->request != NULL || (slot->auth != NULL && slot->auth->gated))) {
            ours = r;
        }
    }
    return ours;
}

/* The error's code; below a mount also where httpd or another module refused. */
static const char *code_of(const request_rec *r, const mod_orgs_slot_t *slot)
{
    return slot->code != NULL || slot->request == NULL || r->status < HTTP_BAD_REQUEST
               ? slot->code
               : mod_orgs_problem_foreign(r->status);
}

/* The organization that the request is about, and the caller's role in it where they have one. */
static void note_organization(apr_table_t *notes, apr_pool_t *p, const mod_orgs_slot_t *slot)
{
    const orgs_request_t *rq = slot->request;
    const mod_orgs_auth_t *auth = slot->auth;
    const orgs_lookup_t *granted = auth != NULL ? auth->granted : NULL;
    const orgs_id_t *organization = granted != NULL                      ? &granted->organization.id
                                    : rq != NULL && rq->has_organization ? &rq->organization
                                    : auth != NULL && auth->wants        ? &auth->wanted
                                                                         : NULL;
    const orgs_lookup_t *lookup;

    if (organization == NULL) {
        return;
    }
    apr_table_setn(notes, NOTE_ORG, orgs_id_text(p, organization));
    lookup = granted != NULL || auth == NULL ? granted : mod_orgs_auth_known(auth, organization);
    if (lookup != NULL) {
        const char *role = orgs_role_name(lookup->organization.role);

        if (role != NULL || granted != NULL) {
            apr_table_setn(notes, NOTE_ROLE, role != NULL ? role : "superuser");
        }
    }
}

static void note_database(apr_table_t *notes, apr_pool_t *p, const mod_orgs_slot_t *slot)
{
    const orgs_db_t *gates = slot->auth != NULL ? mod_orgs_auth_db(slot->auth) : NULL;
    apr_interval_time_t spent = 0;
    int retries = 0;

    if (slot->request != NULL) {
        spent += slot->request->db.spent;
        retries += slot->request->db.retries;
    }
    if (gates != NULL) {
        spent += gates->spent;
        retries += gates->retries;
    }
    apr_table_setn(notes, NOTE_DB_US, apr_ltoa(p, (long)spent));
    apr_table_setn(notes, NOTE_RETRIES, apr_itoa(p, retries));
}

/* Formats that do not say otherwise look at the last of the redirected requests. */
int mod_orgs_notes_log(request_rec *r)
{
    request_rec *ours = mod_orgs_notes_ours(r);
    const mod_orgs_slot_t *slot;
    const orgs_lookup_t *lookup;
    const char *code;

    if (ours == NULL) {
        return DECLINED;
    }
    slot = mod_orgs_slot(ours, 0);
    while (r->next != NULL) {
        r = r->next;
    }
    if ((code = code_of(ours, slot)) != NULL) {
        apr_table_setn(r->notes, NOTE_CODE, code);
    }
    note_organization(r->notes, r->pool, slot);
    lookup = slot->auth != NULL && slot->auth->by != MOD_ORGS_BY_REMOTE ? mod_orgs_auth_known(slot->auth, NULL) : NULL;
    if (lookup != NULL) {
        apr_table_setn(r->notes, NOTE_TOKEN, orgs_id_text(r->pool, &lookup->token_id));
    }
    note_database(r->notes, r->pool, slot);
    return DECLINED;
}
