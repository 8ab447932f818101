/*
 * Every number of the contract, once.
 */
#ifndef ORGS_LIMITS_H
#define ORGS_LIMITS_H

/* code points */
#define ORGS_NAME_MAX 200
#define ORGS_DESCRIPTION_MAX 4000
#define ORGS_LABEL_MAX 200
#define ORGS_PLAN_MAX 64
#define ORGS_URL_MAX 2000

/* bytes */
#define ORGS_EMAIL_MIN 3
#define ORGS_EMAIL_MAX 254
#define ORGS_EXTERNAL_ID_MAX 255
#define ORGS_REQUEST_ID_MAX 64
#define ORGS_IDEMPOTENCY_KEY_MAX 255
#define ORGS_BODY_MAX_DEFAULT 65536
#define ORGS_QUERY_VALUE_MAX 1024
/* a packet between us and the server: what it must take from us, and what we take from it */
#define ORGS_PACKET_MIN 131072
#define ORGS_PACKET_MAX 16777216

/* items */
#define ORGS_PAGE_MAX 1000
/* a list's first batch; each has some times as many as the one before, about so many bytes of JSON at most */
#define ORGS_BATCH 100
#define ORGS_BATCH_GROWTH 4
#define ORGS_BATCH_MAX 800
#define ORGS_BATCH_BYTES 524288
#define ORGS_IF_TAGS_MAX 100

/* what is kept of events for a day is cleared after one write in so many, so many rows at most: twice the pace at
 * which it grows */
#define ORGS_EXPIRE_ONE_IN 128
#define ORGS_EXPIRE_ROWS 256

/* nesting of a JSON body */
#define ORGS_JSON_DEPTH_MAX 32

/* a token: prefix, secret, checksum (characters) */
#define ORGS_TOKEN_PREFIX "orgs_"
#define ORGS_TOKEN_PREFIX_LEN 5
#define ORGS_TOKEN_SECRET_LEN 43
#define ORGS_TOKEN_CHECK_LEN 6
#define ORGS_TOKEN_LEN (ORGS_TOKEN_PREFIX_LEN + ORGS_TOKEN_SECRET_LEN + ORGS_TOKEN_CHECK_LEN)

/* the pool: connections, seconds */
#define ORGS_DB_MIN_DEFAULT 0
#define ORGS_DB_KEEP_DEFAULT 2
#define ORGS_DB_MAX_DEFAULT 8
#define ORGS_DB_EXPTIME_DEFAULT 300
#define ORGS_DB_TIMEOUT_DEFAULT 5
#define ORGS_DB_TIMEOUT_MIN 2
#define ORGS_DB_TIMEOUT_MAX 60

/* how many hot questions travel together at most; of how many of the pool's connections they take one, the fewer the
 * more travel together; how long one waits (microseconds) before they take a further one, up to half of the pool */
#define ORGS_CROWD_MAX 16
#define ORGS_LANE_OF 8
#define ORGS_GATHER_PATIENCE 25000
/* of writes fewer gain nothing; those to one organization wait for its row, one by one; of creates so many are made at a
 * time, alone */
#define ORGS_WRITES_LEAST 3
#define ORGS_CREATE_LANES 2

/* how many times OrgsDBTimeout who gives way to others waits and asks in all: a list that has begun is not cut off only
 * because many want a connection */
#define ORGS_BULK_PATIENCE 3
/* runs of a write that lost against another one */
#define ORGS_CALL_TRIES 10
/* seconds that a database known to be down is left alone; that looking whether it is back may take; what Retry-After
 * says */
#define ORGS_BREAKER_SECONDS 1
#define ORGS_PROBE_SECONDS 2
#define ORGS_RETRY_AFTER "1"
/* for so many seconds a database that answered counts as well, when a load balancer wants to know */
#define ORGS_HEALTH_SECONDS 1
/* attempts to connect to one database that hang and were left; no more are begun then */
#define ORGS_CONNECTS_LEFT_MAX 64

/* the schema: its version, the oldest schema this module works with */
#define ORGS_SCHEMA_VERSION 1
#define ORGS_SCHEMA_OLDEST 1
/* the oldest module (by its schema version) that this schema serves */
#define ORGS_MODULE_OLDEST 1

#endif
