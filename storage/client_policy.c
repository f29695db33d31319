/*
 * client_policy: what is asked of strangers.
 *
 * A domain's policy is one look-up, remembered (storage/cache.h).  Where there are no policies at all, which memory
 * tells, not even that is asked, nor is anything asked in DNS about clients.
 */
#include "storage/client_policy.h"

#include "storage/cache.h"
#include "storage/db.h"

static struct client_policy_use use;

const struct client_policy_use *client_policy_use(void)
{
    return &use;
}

static const struct db_statement uses = {
    "client_policy_uses",
    "select count(*) > 0, coalesce(bool_or(refuse_at is not null or greylist = 'suspects'), false),"
    "       coalesce(bool_or(reverse_name <> 'ignore'), false)"
    "  from client_policy",
};

AWAITS enum db_status client_policy_read(struct arena *arena)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    if (db_read(arena, &uses, &params, &rows) != DB_FOUND)
        return DB_FAILED;
    use = (struct client_policy_use){row_bool(rows, 0, 0), row_bool(rows, 0, 1), row_bool(rows, 0, 2)};
    return DB_FOUND;
}

static const struct db_statement find = {
    "client_policy_find",
    "select id, coalesce(refuse_at, 0), refuse_at is not null, reverse_name, reverse_score, greylist, "
    "coalesce(greylist_at, 0),"
    "       greylist_delay, greylist_passes"
    "  from client_policy"
    " where domain_id = $1::bigint or domain_id is null and (customer_id = $2::bigint or customer_id is null)"
    " order by domain_id nulls last, customer_id nulls last limit 1",
};

static enum client_policy_name name_of(struct slice word)
{
    return slice_equal(word, SLICE("require")) ? CLIENT_POLICY_NAME_REQUIRE
           : slice_equal(word, SLICE("score")) ? CLIENT_POLICY_NAME_SCORE
                                               : CLIENT_POLICY_NAME_IGNORE;
}

static enum client_policy_greylist greylist_of(struct slice word)
{
    return slice_equal(word, SLICE("always"))     ? CLIENT_POLICY_GREYLIST_ALWAYS
           : slice_equal(word, SLICE("suspects")) ? CLIENT_POLICY_GREYLIST_SUSPECTS
                                                  : CLIENT_POLICY_GREYLIST_NEVER;
}

AWAITS enum db_status client_policy_find(struct arena *arena, int64_t domain_id, int64_t customer_id,
                                         struct client_policy *out)
{
    struct params params;
    struct rows *rows = NULL;

    *out = (struct client_policy){0};
    params_init(&params, arena);
    params_int64(&params, domain_id);
    params_int64(&params, customer_id);
    enum db_status status = cache_read(arena, &find, &params, 0, &rows);
    if (status != DB_FOUND)
        return status;
    *out = (struct client_policy){
        .id = row_int64(rows, 0, 0),
        .refuse_at = (int)row_int64(rows, 0, 1),
        .refuses = row_bool(rows, 0, 2),
        .reverse_name = name_of(row_text(rows, 0, 3)),
        .reverse_score = (int)row_int64(rows, 0, 4),
        .greylist = greylist_of(row_text(rows, 0, 5)),
        .greylist_at = (int)row_int64(rows, 0, 6),
        .greylist_delay_s = (unsigned)row_int64(rows, 0, 7),
        .greylist_passes = (unsigned)row_int64(rows, 0, 8),
    };
    return DB_FOUND;
}
