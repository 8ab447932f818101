/*
 * The hot question: who is this, and what are they in this organization? Those who ask while others are asked travel
 * together.
 */
#include "orgs.h"

#include <stddef.h>
#include <string.h>

#include "orgs_gather.h"
#include "orgs_time.h"

/* The columns of ORGS_LOOKUP_COLUMNS, in their order. */
enum {
    READ_ONLY, NUMBER, USER_ID, USER_EMAIL, USER_NAME, USER_SUPERUSER, TOKEN_ID,
    ORG_ID, ORG_NAME, ORG_DESCRIPTION, ORG_ACTIVE, ORG_VERSION, ORG_CREATED_AT, ORG_UPDATED_AT,
    ROLE, JOINED_AT, MEMBERS, LICENSE_VERSION,
    LICENSE_ID, LICENSE_PLAN, LICENSE_SEATS, LICENSE_STARTS_AT, LICENSE_EXPIRES_AT, LICENSE_ASSIGNED_AT, LICENSE_STATUS,
    FREE_PLAN, FREE_SEATS
};

static void take_organization(const orgs_rows_t *rows, orgs_lookup_t *found)
{
    orgs_organization_t *organization = &found->organization;
    const char *role = orgs_row_string(rows, 0, ROLE);

    organization->name = orgs_row_string(rows, 0, ORG_NAME);
    organization->description = orgs_row_string(rows, 0, ORG_DESCRIPTION);
    organization->active = orgs_row_int(rows, 0, ORG_ACTIVE, 0) != 0;
    organization->version = orgs_row_int(rows, 0, ORG_VERSION, 0);
    organization->created_at = orgs_row_time(rows, 0, ORG_CREATED_AT);
    organization->updated_at = orgs_row_time(rows, 0, ORG_UPDATED_AT);
    organization->role = role != NULL ? orgs_role_named(role, strlen(role)) : ORGS_ROLE_NONE;
    found->joined_at = orgs_row_time(rows, 0, JOINED_AT);
    found->members = orgs_row_int(rows, 0, MEMBERS, 0);
    found->license_version = orgs_row_int(rows, 0, LICENSE_VERSION, 0);
}

static void take_license(const orgs_rows_t *rows, orgs_lookup_t *found)
{
    orgs_license_t *license = &found->license;

    found->organization.has_license = 1;
    found->organization.license_id = license->id;
    license->plan = orgs_row_string(rows, 0, LICENSE_PLAN);
    license->seats = orgs_row_int(rows, 0, LICENSE_SEATS, -1);
    license->starts_at = orgs_row_time(rows, 0, LICENSE_STARTS_AT);
    license->expires_at = orgs_row_time(rows, 0, LICENSE_EXPIRES_AT);
    license->assigned_at = orgs_row_time(rows, 0, LICENSE_ASSIGNED_AT);
    license->status = orgs_row_string(rows, 0, LICENSE_STATUS);
    /* as seats_v1 says it; the database would decide the status again for each column that depends on it */
    if (license->status != NULL && strcmp(license->status, "active") == 0) {
        found->plan = license->plan;
        found->seats = license->seats;
    }
}

/* The statements about an organization, and about none: one's own, and a crowd's. */
typedef struct {
    orgs_sql_e alone;
    orgs_sql_e crowd;
} statements_t;

/* By what the caller may be known: the statements, the bytes of a key in a crowd's, and what it means that nobody is
 * found. */
static const struct {
    statements_t lookup;
    statements_t who;
    apr_size_t len;
    orgs_error_e nobody;
} keys[] = {
    [ORGS_KEY_TOKEN] = {{ORGS_SQL_LOOKUP, ORGS_SQL_LOOKUP_CROWD}, {ORGS_SQL_WHO, ORGS_SQL_WHO_CROWD}, ORGS_SHA256_LEN,
                        ORGS_E_UNAUTHORIZED},
    [ORGS_KEY_EMAIL] = {{ORGS_SQL_LOOKUP_EMAIL, ORGS_SQL_LOOKUP_EMAIL_CROWD}, {ORGS_SQL_WHO_EMAIL, ORGS_SQL_WHO_EMAIL_CROWD},
                        ORGS_EMAIL_MAX, ORGS_E_USER_UNKNOWN},
    [ORGS_KEY_EXTERNAL_ID] = {{ORGS_SQL_LOOKUP_EXTERNAL_ID, ORGS_SQL_LOOKUP_EXTERNAL_ID_CROWD},
                              {ORGS_SQL_WHO_EXTERNAL_ID, ORGS_SQL_WHO_EXTERNAL_ID_CROWD}, ORGS_EXTERNAL_ID_MAX,
                              ORGS_E_USER_UNKNOWN}};

/* One's question, in one piece. */
typedef struct {
    orgs_id_t organization; /* zeros: about none */
    apr_size_t len;         /* of the key */
    char key[ORGS_EXTERNAL_ID_MAX];
} question_t;

static const orgs_id_t nowhere;

static int is_about(const question_t *question)
{
    return memcmp(&question->organization, &nowhere, sizeof(nowhere)) != 0;
}

static const orgs_error_t *ask_alone(orgs_db_t *db, apr_pool_t *p, orgs_key_e kind, const question_t *question,
                                     orgs_rows_t *rows)
{
    const orgs_value_t params[] = {orgs_value_bytes(question->key, question->len), orgs_value_id(&question->organization)};
    const statements_t *of = is_about(question) ? &keys[kind].lookup : &keys[kind].who;

    return orgs_db_read(db, p, ORGS_USE_HOT, of->alone, params, rows);
}

/* Asks so many questions in one statement. */
static const orgs_error_t *ask_all(orgs_db_t *db, apr_pool_t *p, orgs_key_e kind, const void *const *questions, int count,
                                   orgs_rows_t *rows)
{
    apr_size_t len = keys[kind].len;
    apr_size_t n = (apr_size_t)count;
    char *known = apr_palloc(p, n * len);
    orgs_id_t organizations[ORGS_CROWD_MAX];
    const orgs_value_t params[] = {orgs_value_blob(known, n * len),
                                   orgs_value_blob(organizations, n * sizeof(organizations[0])), orgs_value_int(count)};
    const orgs_value_t who[] = {params[0], params[2]};
    int about = 0;
    apr_size_t i;

    for (i = 0; i < n; i++) {
        const question_t *question = questions[i];

        memcpy(known + i * len, question->key, len);
        organizations[i] = question->organization;
        about |= is_about(question);
    }
    return about ? orgs_db_read(db, p, ORGS_USE_HOT, keys[kind].lookup.crowd, params, rows)
                 : orgs_db_read(db, p, ORGS_USE_HOT, keys[kind].who.crowd, who, rows);
}

/* Copies what concerns the question of this number. */
static const orgs_error_t *copy_answer(apr_pool_t *p, const orgs_crowd_t *crowd, int number, orgs_rows_t *rows)
{
    int row;

    if (crowd->error != NULL) {
        return orgs_error_cause(p, crowd->error->code, "%s", crowd->error->cause);
    }
    for (row = 0; row < crowd->rows.count; row++) {
        if (orgs_row_int(&crowd->rows, row, NUMBER, -1) == number) {
            orgs_row_copy(p, &crowd->rows, row, rows);
            return NULL;
        }
    }
    rows->count = 0;
    return NULL;
}

/* Asks, alone or together with others. */
static const orgs_error_t *ask(orgs_db_t *db, apr_pool_t *p, orgs_key_e kind, const question_t *question,
                               orgs_rows_t *rows)
{
    orgs_gather_t *gather = orgs_pool_gather(db->pool, (int)kind);
    orgs_stats_slot_t *stats = orgs_pool_stats(db->pool);
    apr_time_t began = orgs_clock();
    const orgs_error_t *error;
    orgs_crowd_t *crowd;
    orgs_turn_t turn;

    if (gather == NULL) {
        return ask_alone(db, p, kind, question, rows);
    }
    orgs_stats_add(stats, ORGS_STATS_WAITING, 1);
    orgs_gather_join(gather, &nowhere, question, offsetof(question_t, key) + keys[kind].len, began + db->left, &turn);
    orgs_stats_add(stats, ORGS_STATS_WAITING, -1);
    orgs_db_spend(db, began);
    if (turn.role == ORGS_GATHER_LATE || turn.role == ORGS_GATHER_LEFT) {
        orgs_stats_add(stats, ORGS_STATS_TIMEOUTS, 1);
        return orgs_error_cause(p, ORGS_E_UNAVAILABLE, "no connection became free in time");
    }
    if (turn.role == ORGS_GATHER_ALONE) {
        error = ask_alone(db, p, kind, question, rows);
        orgs_gather_done(gather, &turn);
        return error;
    }
    crowd = turn.crowd;
    if (turn.role == ORGS_GATHER_LEAD) {
        orgs_stats_add(stats, ORGS_STATS_TOGETHER, crowd->count);
        crowd->error = ask_all(db, crowd->pool, kind, crowd->questions, crowd->count, &crowd->rows);
        orgs_gather_done(gather, &turn);
    }
    error = copy_answer(p, crowd, turn.place, rows);
    orgs_gather_take(gather, &turn);
    /* it may be another's question that the server does not like */
    return error != NULL && error->code != ORGS_E_UNAVAILABLE ? ask_alone(db, p, kind, question, rows) : error;
}

const orgs_error_t *orgs_lookup(orgs_db_t *db, apr_pool_t *p, const orgs_key_t *key, const orgs_id_t *organization,
                                orgs_lookup_t *found)
{
    const orgs_error_t *error;
    question_t question;
    orgs_rows_t rows;

    memset(found, 0, sizeof(*found));
    /* nobody is known by a longer one */
    if (key->len > keys[key->kind].len) {
        return orgs_error_make(p, keys[key->kind].nobody);
    }
    memset(&question, 0, sizeof(question));
    memcpy(question.key, key->bytes, key->len);
    question.len = key->len;
    if (organization != NULL) {
        question.organization = *organization;
    }
    error = ask(db, p, key->kind, &question, &rows);
    if (error != NULL) {
        return error;
    }
    if (rows.count == 0) {
        return orgs_error_cause(p, ORGS_E_UNAVAILABLE, "a row is missing in settings or numbers");
    }
    if (!orgs_row_id(&rows, 0, USER_ID, &found->user.id)) {
        return orgs_error_make(p, keys[key->kind].nobody);
    }
    orgs_row_id(&rows, 0, TOKEN_ID, &found->token_id);
    found->user.email = orgs_row_string(&rows, 0, USER_EMAIL);
    found->user.name = orgs_row_string(&rows, 0, USER_NAME);
    found->user.superuser = orgs_row_int(&rows, 0, USER_SUPERUSER, 0) != 0;
    found->user.active = 1;
    found->joined_at = -1;
    found->seats = -1;
    /* nor is anything said of organizations where only the one of zeros is asked for */
    if (organization == NULL || rows.columns <= ORG_ID) {
        return NULL;
    }
    found->plan = orgs_row_string(&rows, 0, FREE_PLAN);
    found->seats = orgs_row_int(&rows, 0, FREE_SEATS, -1);
    found->found = orgs_row_id(&rows, 0, ORG_ID, &found->organization.id);
    if (found->found) {
        take_organization(&rows, found);
        found->has_license = orgs_row_id(&rows, 0, LICENSE_ID, &found->license.id);
        if (found->has_license) {
            take_license(&rows, found);
        }
    }
    return NULL;
}
