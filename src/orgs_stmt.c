/*
 * Prepared statements.
 */
#include "orgs_stmt.h"

#include <apr_strings.h>
#include <apr_time.h>
#include <string.h>

#define PARAMS_MAX 16
#define COLUMNS_MAX 32
/* what of a value is fetched with its row; longer ones are asked for */
#define INLINE_LEN 160

/* my_bool of Connector/C, bool of Oracle's library */
typedef __typeof__(*((MYSQL_BIND *)NULL)->is_null) flag_t;

void orgs_dberr_set(apr_pool_t *pool, orgs_dberr_t *error, unsigned int number, const char *text)
{
    error->number = number != 0 ? number : ORGS_ER_LOST;
    error->text = apr_pstrdup(pool, text != NULL && *text != '\0' ? text : "the connection was lost");
}

MYSQL_STMT *orgs_stmt_prepare(MYSQL *my, apr_pool_t *pool, orgs_sql_e sql, orgs_dberr_t *error)
{
    const orgs_sql_t *statement = orgs_sql(sql);
    MYSQL_STMT *stmt = mysql_stmt_init(my);

    if (stmt == NULL) {
        orgs_dberr_set(pool, error, mysql_errno(my), mysql_error(my));
        return NULL;
    }
    if (mysql_stmt_prepare(stmt, statement->text, (unsigned long)strlen(statement->text)) != 0) {
        orgs_dberr_set(pool, error, mysql_stmt_errno(stmt), mysql_stmt_error(stmt));
    }
    else if (mysql_stmt_param_count(stmt) != (unsigned long)statement->params) {
        orgs_dberr_set(pool, error, 2031, "the statement has another number of parameters");
    }
    else {
        return stmt;
    }
    mysql_stmt_close(stmt);
    return NULL;
}

static void to_mysql_time(MYSQL_TIME *to, apr_time_t at)
{
    apr_time_exp_t t;

    apr_time_exp_gmt(&t, at);
    memset(to, 0, sizeof(*to));
    to->year = (unsigned int)t.tm_year + 1900;
    to->month = (unsigned int)t.tm_mon + 1;
    to->day = (unsigned int)t.tm_mday;
    to->hour = (unsigned int)t.tm_hour;
    to->minute = (unsigned int)t.tm_min;
    to->second = (unsigned int)t.tm_sec;
    to->second_part = (unsigned long)(t.tm_usec / 1000 * 1000);
    to->time_type = MYSQL_TIMESTAMP_DATETIME;
}

static apr_time_t from_mysql_time(const MYSQL_TIME *from)
{
    apr_time_exp_t t;
    apr_time_t at = -1;

    memset(&t, 0, sizeof(t));
    t.tm_year = (apr_int32_t)from->year - 1900;
    t.tm_mon = (apr_int32_t)from->month - 1;
    t.tm_mday = (apr_int32_t)from->day;
    t.tm_hour = (apr_int32_t)from->hour;
    t.tm_min = (apr_int32_t)from->minute;
    t.tm_sec = (apr_int32_t)from->second;
    t.tm_usec = (apr_int32_t)from->second_part;
    apr_time_exp_gmt_get(&at, &t);
    return at;
}

static int bind_params(MYSQL_STMT *stmt, const orgs_value_t *params, int count, MYSQL_BIND *binds, MYSQL_TIME *times)
{
    int i;

    memset(binds, 0, sizeof(*binds) * PARAMS_MAX);
    for (i = 0; i < count; i++) {
        switch (params[i].type) {
        case ORGS_NULL:
            binds[i].buffer_type = MYSQL_TYPE_NULL;
            break;
        case ORGS_INT:
            binds[i].buffer_type = MYSQL_TYPE_LONGLONG;
            binds[i].buffer = (void *)(apr_uintptr_t)&params[i].number;
            break;
        case ORGS_BYTES:
        case ORGS_BLOB:
            binds[i].buffer_type = params[i].type == ORGS_BLOB ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING;
            binds[i].buffer = (void *)(apr_uintptr_t)params[i].bytes;
            binds[i].buffer_length = (unsigned long)params[i].len;
            break;
        case ORGS_TIME:
            to_mysql_time(&times[i], params[i].number);
            binds[i].buffer_type = MYSQL_TYPE_DATETIME;
            binds[i].buffer = &times[i];
            break;
        }
    }
    return count == 0 || mysql_stmt_bind_param(stmt, binds) == 0;
}

/* What a column's letter may come as; the libraries would turn anything into anything. */
static int fits(char column, enum enum_field_types type)
{
    switch (type) {
    case MYSQL_TYPE_NULL:
        return 1;
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_NEWDECIMAL:
        return column == 'i' || column == 'w';
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
        return column == 't';
    case MYSQL_TYPE_VARCHAR:
    case MYSQL_TYPE_JSON:
    case MYSQL_TYPE_ENUM:
    case MYSQL_TYPE_TINY_BLOB:
    case MYSQL_TYPE_MEDIUM_BLOB:
    case MYSQL_TYPE_LONG_BLOB:
    case MYSQL_TYPE_BLOB:
    case MYSQL_TYPE_VAR_STRING:
    case MYSQL_TYPE_STRING:
        return column == 'b' || column == 'w';
    default:
        return 0;
    }
}

/* Whether the columns of the result in hand are those that were asked for. */
static int are_ours(MYSQL_STMT *stmt, const char *columns)
{
    MYSQL_RES *result = mysql_stmt_result_metadata(stmt);
    const MYSQL_FIELD *fields;
    apr_size_t count, i;
    int ours;

    if (result == NULL) {
        return 0;
    }
    fields = mysql_fetch_fields(result);
    count = mysql_num_fields(result);
    for (i = 0; i < count && columns[i] != '\0' && fits(columns[i], fields[i].type); i++) {
    }
    ours = i == count && columns[i] == '\0';
    mysql_free_result(result);
    return ours;
}

struct orgs_landing_t {
    MYSQL_BIND binds[COLUMNS_MAX];
    unsigned long lengths[COLUMNS_MAX];
    flag_t nulls[COLUMNS_MAX];
    union {
        apr_int64_t number;
        MYSQL_TIME time;
        char bytes[INLINE_LEN];
    } cells[COLUMNS_MAX];
};

orgs_landing_t *orgs_landing_make(apr_pool_t *pool)
{
    return apr_pcalloc(pool, sizeof(orgs_landing_t));
}

static int bind_result(MYSQL_STMT *stmt, const char *columns, orgs_landing_t *landing)
{
    int i;

    memset(landing->binds, 0, sizeof(landing->binds));
    for (i = 0; columns[i] != '\0'; i++) {
        MYSQL_BIND *bind = &landing->binds[i];

        bind->buffer = &landing->cells[i];
        bind->buffer_length = sizeof(landing->cells[i]);
        bind->length = &landing->lengths[i];
        bind->is_null = &landing->nulls[i];
        bind->buffer_type = columns[i] == 'i'   ? MYSQL_TYPE_LONGLONG
                            : columns[i] == 't' ? MYSQL_TYPE_DATETIME
                                                : MYSQL_TYPE_STRING;
    }
    return mysql_stmt_bind_result(stmt, landing->binds) == 0;
}

/* Copies one column of the row in hand. Zero if a long value could not be fetched. */
static int take_value(MYSQL_STMT *stmt, apr_pool_t *pool, char column, orgs_landing_t *landing, unsigned int i,
                      orgs_value_t *value)
{
    char *bytes;

    memset(value, 0, sizeof(*value));
    if (landing->nulls[i]) {
        return 1;
    }
    switch (column) {
    case 'i':
        value->type = ORGS_INT;
        value->number = landing->cells[i].number;
        return 1;
    case 't':
        value->type = ORGS_TIME;
        value->number = from_mysql_time(&landing->cells[i].time);
        return 1;
    default:
        break;
    }
    value->type = ORGS_BYTES;
    value->len = landing->lengths[i];
    bytes = apr_palloc(pool, value->len + 1);
    value->bytes = bytes;
    bytes[value->len] = '\0';
    if (value->len <= INLINE_LEN) {
        memcpy(bytes, landing->cells[i].bytes, value->len);
        return 1;
    }
    landing->binds[i].buffer = bytes;
    landing->binds[i].buffer_length = value->len;
    if (mysql_stmt_fetch_column(stmt, &landing->binds[i], i, 0) != 0) {
        return 0;
    }
    landing->binds[i].buffer = &landing->cells[i];
    landing->binds[i].buffer_length = sizeof(landing->cells[i]);
    return 1;
}

/* Copies the row in hand. Zero if a long value could not be fetched. */
static int take_values(MYSQL_STMT *stmt, apr_pool_t *pool, const char *columns, orgs_landing_t *landing,
                       orgs_value_t *values)
{
    unsigned int i;

    for (i = 0; columns[i] != '\0'; i++) {
        if (!take_value(stmt, pool, columns[i], landing, i, &values[i])) {
            return 0;
        }
    }
    return 1;
}

/* Reads the rows of the result in hand, one after the other, to where the list wants them. Zero if it failed. */
static int take_list(MYSQL_STMT *stmt, orgs_landing_t *landing, apr_pool_t *pool, const char *columns,
                     orgs_rows_t *rows)
{
    const orgs_list_t *list = rows->list;
    orgs_value_t values[COLUMNS_MAX];
    int status;

    if (!bind_result(stmt, columns, landing)) {
        return 0;
    }
    rows->values = values;
    rows->columns = (int)strlen(columns);
    rows->count = 1;
    while ((status = mysql_stmt_fetch(stmt)) == 0 || status == MYSQL_DATA_TRUNCATED) {
        if (!take_values(stmt, pool, columns, landing, values)) {
            break;
        }
        list->take(rows, list->of, memset(apr_array_push(list->items), 0, (apr_size_t)list->items->elt_size));
    }
    rows->values = NULL;
    rows->count = 0;
    return status == MYSQL_NO_DATA;
}

/* Reads the rows of the result in hand. Zero if it failed; rows then holds those that came whole. */
static int take_rows(MYSQL_STMT *stmt, orgs_landing_t *landing, apr_pool_t *pool, const char *columns,
                     orgs_rows_t *rows)
{
    apr_size_t width = strlen(columns);
    orgs_value_t *values;
    apr_size_t count;
    int status = 0;

    if (!bind_result(stmt, columns, landing) || mysql_stmt_store_result(stmt) != 0) {
        return 0;
    }
    count = (apr_size_t)mysql_stmt_num_rows(stmt);
    values = apr_palloc(pool, sizeof(*values) * (width * count + 1));
    rows->values = values;
    rows->columns = (int)width;
    while ((apr_size_t)rows->count < count
           && ((status = mysql_stmt_fetch(stmt)) == 0 || status == MYSQL_DATA_TRUNCATED)) {
        if (!take_values(stmt, pool, columns, landing, values)) {
            return 0;
        }
        values += width;
        rows->count++;
    }
    return (apr_size_t)rows->count == count;
}

/* Executes, and reads every result to its end: whatever is left unread would be in the next one's way. */
static int execute(MYSQL_STMT *stmt, orgs_landing_t *landing, apr_pool_t *pool, const orgs_sql_t *statement,
                   orgs_rows_t *rows)
{
    int taken = 0;
    int status;

    if (mysql_stmt_execute(stmt) != 0) {
        return 0;
    }
    do {
        unsigned int fields = mysql_stmt_field_count(stmt);

        if (fields > 0 && !taken) {
            if (!are_ours(stmt, statement->columns)
                || !(rows->list != NULL ? take_list : take_rows)(stmt, landing, pool, statement->columns, rows)) {
                return 0;
            }
            taken = 1;
        }
        if (fields > 0) {
            mysql_stmt_free_result(stmt);
        }
        status = mysql_stmt_next_result(stmt);
    } while (status == 0);
    return status == -1;
}

/* A setting that is on; it is a number, or, from MariaDB 12 on, one of several words. */
static int is_on(const orgs_value_t *value)
{
    return value->type != ORGS_BYTES || (strcmp(value->bytes, "0") != 0 && strcmp(value->bytes, "OFF") != 0);
}

void orgs_stmt_run(MYSQL_STMT *stmt, orgs_landing_t *landing, apr_pool_t *pool, orgs_sql_e sql,
                   const orgs_value_t *params, orgs_rows_t *rows, orgs_dberr_t *error)
{
    const orgs_sql_t *statement = orgs_sql(sql);
    MYSQL_BIND binds[PARAMS_MAX];
    MYSQL_TIME times[PARAMS_MAX];

    if (!bind_params(stmt, params, statement->params, binds, times)
        || !execute(stmt, landing, pool, statement, rows)) {
        orgs_dberr_set(pool, error, mysql_stmt_errno(stmt), mysql_stmt_error(stmt));
    }
    else if (statement->columns[0] == 'w' && rows->count > 0 && is_on(&rows->values[0])) {
        orgs_dberr_set(pool, error, ORGS_ER_READ_ONLY, "the server is read-only");
    }
}
