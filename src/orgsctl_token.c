/*
 * orgsctl token.
 */
#include "orgsctl.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "orgs_limits.h"

static const orgsctl_column_t columns[] = {{"ID", "id"},
                                           {"LABEL", "label"},
                                           {"CREATED", "created_at"},
                                           {"EXPIRES", "expires_at"},
                                           {"REVOKED", "revoked_at"},
                                           {NULL, NULL}};

static int list(orgsctl_t *ctl)
{
    const char *email = orgsctl_email(ctl, ctl->args[0]);
    orgsctl_list_t *out = orgsctl_list_begin(ctl, columns);
    orgs_id_t after = {{0}};
    apr_array_header_t *tokens;
    orgs_user_t user;
    apr_pool_t *batch;
    int i;

    if (email == NULL || !orgsctl_done(ctl, orgs_store_user_find(&ctl->db, ctl->pool, email, &user), NULL, "")) {
        return ORGSCTL_FAILED;
    }
    apr_pool_create(&batch, ctl->pool);
    do {
        apr_pool_clear(batch);
        orgs_db_renew(&ctl->db);
        if (!orgsctl_done(ctl, orgs_store_token_list(&ctl->db, batch, &user.id, &after, ORGSCTL_BATCH, &tokens), NULL,
                          "")) {
            return ORGSCTL_FAILED;
        }
        for (i = 0; i < tokens->nelts; i++) {
            const orgs_token_t *token = &APR_ARRAY_IDX(tokens, i, orgs_token_t);

            orgsctl_list_add(out, json_pack("{s:s, s:s?, s:o, s:o, s:o}", "id", orgs_id_text(batch, &token->id),
                                            "label", token->label, "created_at",
                                            orgsctl_json_time(batch, token->created_at), "expires_at",
                                            orgsctl_json_time(batch, token->expires_at), "revoked_at",
                                            orgsctl_json_time(batch, token->revoked_at)));
            after = token->id;
        }
        orgsctl_list_flush(out);
    } while (tokens->nelts == ORGSCTL_BATCH);
    return orgsctl_list_end(out);
}

static int issue(orgsctl_t *ctl)
{
    const char *email = orgsctl_email(ctl, ctl->args[0]);
    unsigned char digest[ORGS_SHA256_LEN];
    apr_int64_t seconds = 0;
    const char *label, *token;
    orgs_outcome_t outcome;
    orgs_id_t id;

    if (email == NULL || !orgsctl_text(ctl, "label", ORGS_LABEL_MAX, 0, &label)) {
        return ORGSCTL_FAILED;
    }
    if (!orgsctl_number(ctl, "expires-in", 1, APR_INT32_MAX, &seconds)) {
        return ORGSCTL_USAGE;
    }
    if (orgs_id_make_v7(&id) != APR_SUCCESS || orgs_token_make(ctl->pool, &token) != APR_SUCCESS
        || !orgs_token_digest(digest, token, strlen(token))) {
        return orgsctl_fail(ctl, "the system gives no random bytes");
    }
    if (!orgsctl_done(ctl, orgs_store_token_issue(&ctl->db, ctl->pool, &id, email, digest, label, seconds, &outcome),
                      &outcome, "")) {
        return ORGSCTL_FAILED;
    }
    return orgsctl_added(ctl, token,
                         json_pack("{s:s, s:s, s:o}", "id", orgs_id_text(ctl->pool, &id), "token", token, "expires_at",
                                   orgsctl_json_time(ctl->pool, orgs_answer_time(outcome.answer, "expires_at"))));
}

static int revoke_all(orgsctl_t *ctl)
{
    const char *email = orgsctl_email(ctl, ctl->args[0]);
    orgs_outcome_t outcome;

    if (email == NULL
        || !orgsctl_done(ctl, orgs_store_token_revoke_all(&ctl->db, ctl->pool, email, &outcome), &outcome, "")) {
        return ORGSCTL_FAILED;
    }
    if (ctl->json) {
        return orgsctl_show(ctl, NULL,
                            json_pack("{s:I}", "revoked",
                                      (json_int_t)orgs_answer_int(outcome.answer, "revoked", 0)));
    }
    return ORGSCTL_DONE;
}

/* The token on standard input: its digest. Zero, and a line said, if there is none. */
static int read_digest(orgsctl_t *ctl, unsigned char digest[ORGS_SHA256_LEN])
{
    char line[256];
    apr_size_t len;

    if (fgets(line, sizeof(line), stdin) == NULL) {
        orgsctl_fail(ctl, "there is no token on standard input");
        return 0;
    }
    len = strcspn(line, " \t\r\n");
    if (!orgs_token_digest(digest, line, len)) {
        orgsctl_fail(ctl, "There is no such token.");
        return 0;
    }
    return 1;
}

static int revoke_one(orgsctl_t *ctl)
{
    unsigned char digest[ORGS_SHA256_LEN] = {0};
    const orgs_id_t *by_id = NULL;
    orgs_outcome_t outcome;
    orgs_id_t id;

    if (orgsctl_option(ctl, "all") != NULL) {
        return revoke_all(ctl);
    }
    if (strcmp(ctl->args[0], "-") == 0) {
        if (!read_digest(ctl, digest)) {
            return ORGSCTL_FAILED;
        }
    }
    else if (orgs_id_parse(&id, ctl->args[0], strlen(ctl->args[0]))) {
        by_id = &id;
    }
    else {
        /* not echoed: it may be the token itself */
        return orgsctl_fail(ctl, "That is no token's id. For a token itself: orgsctl token revoke -");
    }
    if (!orgsctl_done(ctl, orgs_store_token_revoke(&ctl->db, ctl->pool, by_id, digest, &outcome), &outcome, "")) {
        return ORGSCTL_FAILED;
    }
    return ctl->json ? orgsctl_show(ctl, NULL, json_incref(outcome.answer)) : ORGSCTL_DONE;
}

static const orgsctl_option_t issue_options[] = {{"label", "L", "what the token is for"},
                                                 {"expires-in", "SECONDS", "how long it is good; else until revoked"},
                                                 {NULL, NULL, NULL}};

static const orgsctl_option_t revoke_options[] = {{"all", NULL, "all tokens of the user whose email is given"},
                                                  {NULL, NULL, NULL}};

const orgsctl_command_t orgsctl_token_commands[] = {
    {"token", "issue", "EMAIL", 1, 1, issue_options, 0, issue,
     "Makes a token for a user and prints it, this once."},
    {"token", "list", "EMAIL", 1, 1, NULL, 0, list, "Lists a user's tokens (not themselves: nobody has them)."},
    {"token", "revoke", "TOKEN-ID | - | --all EMAIL", 1, 1, revoke_options, 0, revoke_one,
     "Ends a token, by its id or (-) by itself on standard input."},
    {NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL}};
