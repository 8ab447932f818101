/*
 * The table of statements.
 */
#include "orgs_sql.h"

static const orgs_sql_t statements[ORGS_SQL_COUNT] = {
#define ORGS_SQL_ROW(symbol, columns, params, text) [ORGS_SQL_##symbol] = {#symbol, columns, params, text},
    ORGS_STATEMENTS(ORGS_SQL_ROW)
#undef ORGS_SQL_ROW
};

const orgs_sql_t *orgs_sql(orgs_sql_e sql)
{
    return &statements[sql];
}
