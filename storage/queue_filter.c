/*
 * Which entries an administrator means.
 *
 * Pages are keyset pages: they begin behind the last id of the page before, so the thousandth costs what the first
 * did, and entries that come and go meanwhile neither repeat nor hide others.  The order is that of ids, oldest first.
 *
 * A filter goes by the index of its narrowest part (message, group, sender, recipient's domain, destination, customer, what is held;
 * else by age), and the rest is compared entry by entry.  A page looks at 2,000 entries at most, gives what it found,
 * and says where to go on.  An index for each combination was rejected: it would be paid by all mail for the sake of
 * rare questions.
 *
 * The indexes leave out what is in a worker's memory (schema/0025), so each statement has two arms; the second finds
 * its few through queue_entry_leased.  Limits that the planner must know are written out: it guesses a tenth of
 * everything for a parameter.
 *
 * Plans are made when the queue is empty (queue_internal.h), and then the primary key is as good as any index.  So each
 * arm asks for an order that only its own index has, that of (sender, id) instead of the ids of one sender, and for
 * rows that come in order (db_read_page).
 */
#include "storage/queue_filter.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/queue_view_row.h"

#define SCAN "2000"
#define PAGE "1001" /* $2 is not more */

/* $1: the cursor; $2: limit; $3: id of the time before which; then the parts of the filter. */
#define RECIPIENT_DOMAIN "lower(split_part(recipient, '@', -1))"
#define BY_SENDER "sender = $4::text"
#define BY_DOMAIN RECIPIENT_DOMAIN " = $5::text"
#define BY_DESTINATION "destination = $6::text"
#define BY_CUSTOMER "customer_id = $7::bigint"
#define BY_MESSAGE "message_id = $9::bigint and cell = $10::smallint"
#define BY_GROUP "similar_id = $14::bigint"
#define SUSPENDS QUEUE_VIEW_SUSPENDS("sender", "customer_id", "destination", "recipient")
#define MATCHES                                                                                                        \
    "(($4::text is null or " BY_SENDER ") and ($5::text is null or " BY_DOMAIN ")"                                     \
    " and ($6::text is null or " BY_DESTINATION ") and ($7::bigint is null or " BY_CUSTOMER ")"                        \
    " and ($9::bigint is null or (" BY_MESSAGE "))"                                                                    \
    " and ($11::text is null or (held_until is not null and held_by = $11::text))"                                     \
    " and ($12::boolean is null or quarantined = $12::boolean)"                                                        \
    " and ($13::bigint is null or exists (select from message m where m.cell = looked_at.cell"                         \
    "                                        and m.id = looked_at.message_id and m.account_id = $13::bigint))"         \
    " and ($14::bigint is null or " BY_GROUP ")"                                                                       \
    " and ($8::text is null or $8::text = case when worker is not null then 'active'"                                  \
    "                                          when (select count(*) from suspension) > 0"                             \
    "                                           and exists (select from suspension s where " SUSPENDS                  \
    ") then 'suspended'"                                                                                               \
    "                                          when held_until is not null then 'held' else 'waiting' end))"
#define IDLE(key, value)                                                                                               \
    "(select * from queue_entry where worker is null and (" key ", id) > (" value ", $1::bigint)"                      \
    " and (" key ", id) < (" value ", $3::bigint) order by " key ", id limit " SCAN ")"
#define IDLE_ALL                                                                                                       \
    "(select * from queue_entry where worker is null and id > $1::bigint and id < $3::bigint order by id limit " SCAN  \
    ")"
#define IDLE_HELD                                                                                                      \
    "(select * from queue_entry where worker is null and held_by is not null"                                          \
    " and (held_by is not null, id) > (true, $1::bigint) and (held_by is not null, id) < (true, $3::bigint)"           \
    " order by held_by is not null, id limit " SCAN ")"
#define IDLE_GROUP                                                                                                     \
    "(select * from queue_entry where worker is null and similar_id is not null"                                       \
    " and (similar_id, id) > ($14::bigint, $1::bigint) and (similar_id, id) < ($14::bigint, $3::bigint)"               \
    " order by similar_id, id limit " SCAN ")"
/* Of a message there are few, in memory there are few: all are read and put in order. */
#define ROWS(where, order, road)                                                                                       \
    "(select * from (select * from queue_entry where " where " order by " order " offset 0) few where " road           \
    " and id > $1::bigint and id < $3::bigint order by id limit " SCAN ")"
#define IDLE_MESSAGE ROWS("message_id = $9::bigint", "message_id", "cell = $10::smallint and worker is null")
#define ACTIVE(road) ROWS("worker is not null", "lease_until", road)

#define LIST(arms)                                                                                                     \
    "select " QUEUE_VIEW_ENTRY ", q.matches, q.position = " SCAN " from (select * from"                                \
    " (select *, " MATCHES " as matches, row_number() over (order by id) as position"                                  \
    "    from (" arms " order by id limit " SCAN ") looked_at) numbered"                                               \
    " where matches or position = " SCAN " order by id limit " PAGE ") q" QUEUE_VIEW_JOINS                             \
    " order by q.id limit $2::integer"
#define LIST_BY(idle, road) LIST(idle " union all " ACTIVE(road))

static const struct db_statement list_all = {"queue_filter_all", LIST_BY(IDLE_ALL, "true")};
static const struct db_statement list_message = {"queue_filter_message", LIST_BY(IDLE_MESSAGE, BY_MESSAGE)};
static const struct db_statement list_group = {"queue_filter_group", LIST_BY(IDLE_GROUP, BY_GROUP)};
static const struct db_statement list_sender = {"queue_filter_sender", LIST_BY(IDLE("sender", "$4::text"), BY_SENDER)};
static const struct db_statement list_domain = {"queue_filter_domain",
                                                LIST_BY(IDLE(RECIPIENT_DOMAIN, "$5::text"), BY_DOMAIN)};
static const struct db_statement list_destination = {"queue_filter_destination",
                                                     LIST_BY(IDLE("destination", "$6::text"), BY_DESTINATION)};
static const struct db_statement list_customer = {"queue_filter_customer",
                                                  LIST_BY(IDLE("customer_id", "$7::bigint"), BY_CUSTOMER)};
static const struct db_statement list_held = {"queue_filter_held", LIST("select * from " IDLE_HELD " one")};
static const struct db_statement list_active = {"queue_filter_active", LIST("select * from " ACTIVE("true") " one")};

static const struct db_statement *choose(const struct queue_filter *filter)
{
    if (filter->state == QUEUE_FILTER_ACTIVE)
        return &list_active;
    if (filter->message_id)
        return &list_message;
    if (filter->group_id)
        return &list_group;
    if (filter->sender.p)
        return &list_sender;
    if (filter->domain.p)
        return &list_domain;
    if (filter->destination.p)
        return &list_destination;
    if (filter->customer_id)
        return &list_customer;
    return filter->state == QUEUE_FILTER_HELD || filter->held_by.p || filter->quarantine > 0 ? &list_held : &list_all;
}

/* Ids of a time.  Before the first and after the last that an id can tell, there are none. */
static int64_t bound(int64_t ms)
{
    return ms < id_ms(0) ? 0 : ms > id_ms(INT64_MAX) ? INT64_MAX : id_at(ms);
}

static void put_params(struct params *params, const struct queue_filter *filter, int64_t after, int32_t limit)
{
    static const char *const states[] = {NULL, "waiting", "held", "active", "suspended"};
    int64_t since = filter->since_ms == INT64_MIN ? 0 : bound(filter->since_ms) - 1;
    params_int64(params, after > since ? after : since);
    params_int32(params, limit);
    params_int64(params, filter->before_ms == INT64_MIN ? INT64_MAX : bound(filter->before_ms));
    params_text(params, filter->sender);
    params_text(params, filter->domain);
    params_text(params, filter->destination);
    if (filter->customer_id)
        params_int64(params, filter->customer_id);
    else
        params_null(params);
    params_text(params, slice_str(states[filter->state]));
    if (filter->message_id)
        params_int64(params, filter->message_id);
    else
        params_null(params);
    params_int16(params, (int16_t)id_cell(filter->message_id));
    params_text(params, filter->held_by);
    if (filter->quarantine)
        params_bool(params, filter->quarantine > 0);
    else
        params_null(params);
    if (filter->account_id)
        params_int64(params, filter->account_id);
    else
        params_null(params);
    if (filter->group_id)
        params_int64(params, filter->group_id);
    else
        params_null(params);
}

AWAITS enum db_status queue_filter_list(struct arena *arena, const struct queue_filter *filter, int64_t after,
                                        unsigned limit, struct queue_view_entry **out, unsigned *count, int64_t *next)
{
    struct params params;
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    *next = 0;
    params_init(&params, arena);
    put_params(&params, filter, after, (int32_t)limit + 1);
    if (db_read_page(arena, choose(filter), &params, &rows) == DB_FAILED)
        return DB_FAILED;
    unsigned got = rows_count(rows);
    *out = arena_array(arena, got + 1, sizeof **out);
    for (unsigned i = 0; i < got && *count < limit; i++) {
        struct queue_view_entry *entry = &(*out)[*count];
        queue_view_read(rows, i, entry);
        *next = entry->id;
        if (row_bool(rows, i, QUEUE_VIEW_COLUMNS))
            (*count)++;
    }
    /* Nothing follows when the page has room left and the scan came to the queue's end. */
    if (got <= limit && (got == 0 || !row_bool(rows, got - 1, QUEUE_VIEW_COLUMNS + 1)))
        *next = 0;
    return DB_FOUND;
}

/* The planner finds the road by itself: it sees the values, as this is asked seldom. */
static const struct db_statement count_all = {"queue_filter_count",
                                              "select count(*) from queue_entry looked_at where " MATCHES
                                              " and id > $1::bigint and id < $3::bigint and $2::integer >= 0"};

AWAITS enum db_status queue_filter_count(struct arena *arena, const struct queue_filter *filter, int64_t *count)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    put_params(&params, filter, 0, 0);
    enum db_status status = db_read(arena, &count_all, &params, &rows);
    if (status == DB_FOUND)
        *count = row_int64(rows, 0, 0);
    return status;
}
