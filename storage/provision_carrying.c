/*
 * provision_carrying: what waits to be carried to a domain's primary.
 *
 * Accounts are found one after the other by an index, and of each as many messages are looked at as are counted, so that
 * a page costs what a page may, whatever waits.
 */
#include "storage/provision_carrying.h"

#include "core/id.h"
#include "storage/provision_read.h"

static const struct db_statement list = {
    "provision_carrying_list",
    "with recursive walk as ("
    "  (select k.account_id, 1 as n from carry k where k.cell = $1::smallint and k.domain_id = $2::bigint"
    "      and k.state = 'waiting' and k.account_id > $3::bigint order by k.account_id limit 1)"
    "  union all"
    "  select k.account_id, w.n + 1 from walk w cross join lateral ("
    "      select k.account_id from carry k where k.cell = $1::smallint and k.domain_id = $2::bigint"
    "         and k.state = 'waiting' and k.account_id > w.account_id order by k.account_id limit 1) k"
    "   where w.n < $4::integer)"
    " select w.account_id, a.address, c.waiting, c.since, c.next, c.note"
    "   from walk w left join account a on a.id = w.account_id cross join lateral ("
    "     select count(*) as waiting, min(k.made_at) as since, min(k.due_at) as next,"
    "            (array_agg(k.note order by k.due_at, k.message_id))[1] as note"
    "       from (select * from carry where cell = $1::smallint and account_id = w.account_id and state = 'waiting'"
    "              order by due_at, message_id limit $5::integer) k) c"
    "  order by w.account_id",
};

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_carrying *out = into;

    (void)arena;
    *out = (struct provision_carrying){
        .account_id = row_int64(rows, row, 0),
        .address = row_text(rows, row, 1),
        .waiting = row_int64(rows, row, 2),
        .since_ms = row_time(rows, row, 3),
        .next_ms = row_time(rows, row, 4),
        .reason = row_text(rows, row, 5),
    };
}

AWAITS enum db_status provision_carrying_list(struct arena *arena, int64_t domain_id, int64_t after, unsigned limit,
                                      struct provision_carrying **out, unsigned *count)
{
    static const struct provision_read_shape shape = {sizeof(struct provision_carrying), read_row};
    struct params params;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(domain_id));
    params_int64(&params, domain_id);
    params_int64(&params, after);
    params_int32(&params, (int32_t)limit);
    params_int32(&params, PROVISION_CARRYING_MAX);
    *out = provision_read_all(&params, &list, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}
