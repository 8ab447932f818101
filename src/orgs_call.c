/*
 * Writes that are repeated, settled, and made together.
 */
#include "orgs_call.h"

#include <apr_strings.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_limits.h"
#include "orgs_log.h"
#include "orgs_stmt.h"
#include "orgs_time.h"

static apr_status_t give_back(void *answer)
{
    json_decref(answer);
    return APR_SUCCESS;
}

/* Reads the one row that every procedure answers. */
static const orgs_error_t *take_outcome(apr_pool_t *p, const orgs_rows_t *rows, orgs_outcome_t *outcome)
{
    const orgs_value_t *code = &rows->values[0];
    const orgs_value_t *answer = &rows->values[2];

    memset(outcome, 0, sizeof(*outcome));
    outcome->refusal = ORGS_E_COUNT;
    if (code->type == ORGS_BYTES) {
        outcome->code = code->bytes;
        outcome->refusal = orgs_error_named(code->bytes, code->len);
        if (outcome->refusal == ORGS_E_COUNT) {
            outcome->refusal = ORGS_E_INTERNAL_ERROR;
        }
    }
    outcome->replayed = rows->values[1].number != 0;
    outcome->at = -1;
    if (rows->columns == (int)strlen(ORGS_MADE_COLUMNS)) {
        outcome->has_id = orgs_row_id(rows, 0, 3, &outcome->id);
        outcome->at = orgs_row_time(rows, 0, 4);
        outcome->name = orgs_row_string(rows, 0, 5);
    }
    if (answer->type == ORGS_BYTES) {
        outcome->answer = json_loadb(answer->bytes, answer->len, 0, NULL);
        if (outcome->answer == NULL) {
            return orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "a procedure's answer is not JSON");
        }
        apr_pool_cleanup_register(p, outcome->answer, give_back, apr_pool_cleanup_null);
    }
    return NULL;
}

/* Waits a moment, another one for each who waits, longer with every try; not beyond the deadline. */
static void stand_back(int tries, apr_time_t deadline)
{
    apr_interval_time_t most = apr_time_from_msec(2) << (tries < 6 ? tries : 6);
    apr_interval_time_t left = deadline - orgs_clock();
    unsigned int chance = 0;

    apr_generate_random_bytes((unsigned char *)&chance, sizeof(chance));
    most = 1000 + (apr_interval_time_t)(chance % (unsigned int)most);
    if (left > 0) {
        apr_sleep(most < left ? most : left);
    }
}

/* Finds out what became of a CALL whose answer was lost, by its event. */
static void settle(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *event, apr_time_t deadline, orgs_trial_t *trial)
{
    orgs_value_t param = orgs_value_id(event);
    orgs_trial_t settled;
    int tries;

    for (tries = 0; orgs_clock() < deadline; tries++) {
        apr_time_t until = orgs_db_share(deadline);

        if (orgs_db_try(db, p, ORGS_USE_SETTLE, ORGS_SQL_EVENT_SETTLE, &param, &until, &settled) == NULL
            && settled.end == ORGS_END_DONE) {
            const orgs_value_t *code = &settled.rows.values[0];

            trial->end = code->type == ORGS_BYTES && strcmp(code->bytes, "abandoned") == 0 ? ORGS_END_AGAIN
                                                                                          : ORGS_END_DONE;
            trial->rows = settled.rows;
            return;
        }
        stand_back(tries + 3, deadline);
    }
}

/* --- together with others ------------------------------------------------------------------------------------------ */

/* The row of one who is to make his write alone, and of one whose write was made. */
enum { CODE, REPLAYED, ANSWER, ID, AT, NAME, WIDTH };

/* of a packet, for what is in it beside the items */
#define ROOM 4096

/* One's write, in one piece. */
typedef struct {
    int is_new;
    orgs_id_t id; /* of what is new */
    orgs_id_t actor;
    orgs_id_t event;
    char item[]; /* as of orgs_share_t, and NUL */
} question_t;

static const question_t *question_of(apr_pool_t *p, const orgs_share_t *share, const orgs_id_t *event,
                                     apr_size_t *size)
{
    apr_size_t len = orgs_writer_len(&share->item);
    question_t *question;

    *size = offsetof(question_t, item) + len + 1;
    question = apr_pcalloc(p, *size);
    question->is_new = share->id != NULL;
    if (question->is_new) {
        question->id = *share->id;
    }
    question->actor = *share->actor;
    question->event = *event;
    memcpy(question->item, share->item.base, len);
    return question;
}

/* The row of one whose write was made. Zero if that is not what the procedure says. */
static int fill_row(orgs_crowd_t *crowd, const json_t *made, apr_time_t at, orgs_value_t *values)
{
    json_int_t place = json_integer_value(json_object_get(made, "number")) - 1;
    const char *user = json_string_value(json_object_get(made, "id"));
    const char *name = orgs_answer_string(crowd->pool, made, "name");
    const question_t *question;
    orgs_id_t *id;

    if (place < 0 || place >= crowd->count) {
        return 0;
    }
    question = crowd->questions[place];
    id = apr_pmemdup(crowd->pool, &question->id, sizeof(*id));
    values += place * WIDTH;
    values[CODE] = orgs_value_null();
    values[ID] = orgs_value_id(id);
    values[AT] = orgs_value_time(at);
    values[NAME] = orgs_value_string(name);
    return question->is_new || orgs_hex_decode(id->bytes, sizeof(id->bytes), user);
}

/* Makes a row for each of the crowd of what its procedure answered: an array of objects, number, and id and name of the
 * user that it is about. Zero if it did not. */
static int tell_apart(orgs_crowd_t *crowd, const orgs_rows_t *rows)
{
    orgs_value_t *values = apr_pcalloc(crowd->pool, sizeof(*values) * WIDTH * (apr_size_t)crowd->count);
    const orgs_value_t *answer = &rows->values[ANSWER];
    json_t *all = answer->type == ORGS_BYTES ? json_loadb(answer->bytes, answer->len, 0, NULL) : json_array();
    int good = json_is_array(all);
    json_t *made;
    size_t i;

    for (i = 0; i < (size_t)crowd->count; i++) {
        values[i * WIDTH + CODE] = orgs_value_string("alone");
    }
    json_array_foreach(all, i, made) {
        good = good && fill_row(crowd, made, orgs_row_time(rows, 0, AT), values);
    }
    json_decref(all);
    crowd->rows.count = crowd->count;
    crowd->rows.columns = WIDTH;
    crowd->rows.values = values;
    return good;
}

/* Makes the writes of a crowd, as many as go into a packet. */
static void lead(orgs_db_t *db, orgs_crowd_t *crowd, const orgs_share_t *share, apr_time_t deadline)
{
    orgs_trial_t *trial = apr_palloc(crowd->pool, sizeof(*trial));
    orgs_id_t ids[ORGS_CROWD_MAX];
    orgs_id_t actors[ORGS_CROWD_MAX];
    orgs_value_t params[3];
    orgs_writer_t items;
    apr_size_t n;
    int i = 0;

    orgs_writer_text(&items, crowd->pool);
    for (n = 0; n < (apr_size_t)crowd->count; n++) {
        const question_t *question = crowd->questions[n];
        apr_size_t len = strlen(question->item);

        if (orgs_writer_len(&items) + len > ORGS_PACKET_MIN - ROOM) {
            break;
        }
        ids[n] = question->id;
        actors[n] = question->actor;
        orgs_writer_raw(&items, n == 0 ? "[" : ",", 1);
        orgs_writer_open(&items);
        orgs_writer_hex(&items, "event", question->event.bytes, sizeof(question->event.bytes));
        orgs_writer_raw(&items, question->item, len);
        orgs_writer_close(&items);
    }
    orgs_writer_raw(&items, "]", 1);
    if (share->organization != NULL) {
        params[i++] = orgs_value_id(share->organization);
    }
    else {
        params[i++] = orgs_value_blob(ids, n * sizeof(ids[0]));
        params[i++] = orgs_value_blob(actors, n * sizeof(actors[0]));
    }
    params[i] = orgs_value_bytes(items.base, orgs_writer_len(&items));
    crowd->error = orgs_db_try(db, crowd->pool, ORGS_USE_COLD, share->sql, params, &deadline, trial);
    if (crowd->error == NULL && trial->end == ORGS_END_DONE && !tell_apart(crowd, &trial->rows)) {
        /* what was made is known by the events */
        orgs_dberr_set(crowd->pool, &trial->dberr, 0, "a procedure's answer is none");
        trial->end = ORGS_END_UNCLEAR;
    }
    if (crowd->error == NULL && trial->end == ORGS_END_REFUSED) {
        /* each goes alone; but the operator is told what is his */
        orgs_db_refused(db, crowd->pool, share->sql, &trial->dberr);
    }
    crowd->more = trial;
}

/* What came of one's write in the crowd. Zero if nothing did, and it is to be made alone. */
static int take_share(orgs_db_t *db, apr_pool_t *p, const orgs_turn_t *turn, orgs_trial_t *trial)
{
    const orgs_crowd_t *crowd = turn->crowd;
    const orgs_trial_t *theirs = crowd->more;

    memset(trial, 0, sizeof(*trial));
    if (crowd->error != NULL) {
        return 0;
    }
    trial->end = theirs->end;
    if (theirs->end == ORGS_END_DONE) {
        orgs_row_copy(p, &crowd->rows, turn->place, &trial->rows);
        return orgs_row_is_null(&trial->rows, 0, CODE);
    }
    if (theirs->end != ORGS_END_UNCLEAR) {
        orgs_db_repeated(db);
        return 0;
    }
    orgs_dberr_set(p, &trial->dberr, theirs->dberr.number, theirs->dberr.text);
    return 1;
}

/* One try, together with those who wait if others are at it. */
static const orgs_error_t *try_together(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, const orgs_value_t *params,
                                        const orgs_share_t *share, const orgs_id_t *event, apr_time_t *deadline,
                                        orgs_trial_t *trial)
{
    static const orgs_id_t any;
    int kind = share->organization != NULL ? ORGS_GATHER_ADDS : ORGS_GATHER_CREATES;
    const orgs_id_t *key = share->organization != NULL ? share->organization : &any;
    orgs_gather_t *gather = orgs_pool_gather(db->pool, kind);
    orgs_stats_slot_t *stats = orgs_pool_stats(db->pool);
    const question_t *question;
    const orgs_error_t *error;
    orgs_turn_t turn;
    apr_size_t size;
    int done = 0;

    if (gather == NULL) {
        return orgs_db_try(db, p, ORGS_USE_COLD, sql, params, deadline, trial);
    }
    question = question_of(p, share, event, &size);
    orgs_stats_add(stats, ORGS_STATS_WAITING, 1);
    /* who waits in vain has some time left to do it alone, or to settle what became of it */
    orgs_gather_join(gather, key, question, size, orgs_db_share(*deadline), &turn);
    orgs_stats_add(stats, ORGS_STATS_WAITING, -1);
    switch (turn.role) {
    case ORGS_GATHER_ALONE:
        error = orgs_db_try(db, p, ORGS_USE_COLD, sql, params, deadline, trial);
        orgs_gather_done(gather, &turn);
        return error;
    case ORGS_GATHER_LEAD:
        orgs_stats_add(stats, ORGS_STATS_WRITES_TOGETHER, turn.crowd->count);
        lead(db, turn.crowd, share, *deadline);
        orgs_gather_done(gather, &turn);
        done = take_share(db, p, &turn, trial);
        orgs_gather_take(gather, &turn);
        break;
    case ORGS_GATHER_ANSWERED:
        done = take_share(db, p, &turn, trial);
        orgs_gather_take(gather, &turn);
        break;
    case ORGS_GATHER_LEFT:
        memset(trial, 0, sizeof(*trial));
        trial->end = ORGS_END_UNCLEAR;
        orgs_dberr_set(p, &trial->dberr, 0, "the server did not answer in time");
        return NULL;
    case ORGS_GATHER_LATE:
        break;
    }
    return done ? NULL : orgs_db_try(db, p, ORGS_USE_COLD, sql, params, deadline, trial);
}

const orgs_error_t *orgs_call(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, orgs_value_t *params,
                              const orgs_share_t *share, orgs_outcome_t *outcome)
{
    apr_time_t began = orgs_clock();
    apr_time_t deadline = began + db->left;
    const orgs_error_t *error;
    int tries;

    for (tries = 1;; tries++) {
        orgs_trial_t trial;
        orgs_id_t event;

        if (orgs_id_make_v7(&event) != APR_SUCCESS) {
            error = orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "the system gives no random bytes");
            break;
        }
        params[0] = orgs_value_id(&event);
        error = share != NULL && tries == 1 ? try_together(db, p, sql, params, share, &event, &deadline, &trial)
                                            : orgs_db_try(db, p, ORGS_USE_COLD, sql, params, &deadline, &trial);
        if (error != NULL) {
            break;
        }
        if (trial.end == ORGS_END_UNCLEAR) {
            settle(db, p, &event, deadline, &trial);
            orgs_stats_add(orgs_pool_stats(db->pool),
                           trial.end == ORGS_END_UNCLEAR ? ORGS_STATS_UNKNOWN : ORGS_STATS_SETTLED, 1);
            orgs_log(ORGS_LOG_INFO, ORGS_LOGNO(0111) "a write's answer was lost (%s, %u); it was %s", trial.dberr.text,
                     trial.dberr.number,
                     trial.end == ORGS_END_DONE      ? "written"
                     : trial.end == ORGS_END_UNCLEAR ? "not found out"
                                                     : "not written");
        }
        if (trial.end == ORGS_END_DONE) {
            error = take_outcome(p, &trial.rows, outcome);
            break;
        }
        if (trial.end == ORGS_END_UNCLEAR) {
            error = orgs_error_cause(p, ORGS_E_OUTCOME_UNKNOWN, "%s (%u)", trial.dberr.text, trial.dberr.number);
            break;
        }
        /* a try that begins with too little time to be settled ends in not knowing */
        if (trial.end == ORGS_END_REFUSED || tries >= ORGS_CALL_TRIES
            || deadline - orgs_clock() < orgs_pool_least(db->pool)) {
            error = orgs_db_refused(db, p, sql, &trial.dberr);
            break;
        }
        stand_back(tries, deadline);
        orgs_db_repeated(db);
    }
    orgs_db_spend(db, began);
    return error;
}

const char *orgs_answer_string(apr_pool_t *p, const json_t *answer, const char *name)
{
    const json_t *value = json_object_get(answer, name);

    return json_is_string(value) ? apr_pstrmemdup(p, json_string_value(value), json_string_length(value)) : NULL;
}

apr_int64_t orgs_answer_int(const json_t *answer, const char *name, apr_int64_t absent)
{
    const json_t *value = json_object_get(answer, name);

    return json_is_integer(value)   ? json_integer_value(value)
           : json_is_string(value)  ? apr_atoi64(json_string_value(value))
           : json_is_boolean(value) ? json_is_true(value)
                                    : absent;
}

apr_time_t orgs_answer_time(const json_t *answer, const char *name)
{
    const json_t *value = json_object_get(answer, name);
    apr_time_t at;

    return json_is_string(value) && orgs_time_parse(&at, json_string_value(value), json_string_length(value)) ? at : -1;
}

int orgs_answer_id(const json_t *answer, const char *name, orgs_id_t *id)
{
    const json_t *value = json_object_get(answer, name);

    return json_is_string(value) && orgs_id_parse(id, json_string_value(value), json_string_length(value));
}
