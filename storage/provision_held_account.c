/*
 * Held accounts, as administrators make and end them.
 *
 * What one says stays as it was made; another reason is another one, after the first was ended.  Ending it lets what
 * the account sends from then on go; what is held is decided about by itself, as it is what somebody has to look at
 * (storage/queue_act.h).  Workers have the whole list in memory, so it has an end; the count that checks it is not
 * locked, and a few more do no harm.
 */
#include "storage/provision_held_account.h"

#include "storage/breaker_open.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define SELECT                                                                                                         \
    "select h.account_id, a.address, h.held_by, h.reason, h.hold_seconds, h.hold_then, h.created_at, h.until"          \
    "  from held_account h join account a on a.id = h.account_id where "

static const struct db_statement get = {"provision_held_account_get", SELECT "h.account_id = $1::bigint"};
static const struct db_statement list = {"provision_held_account_list",
                                         SELECT "h.account_id > $1::bigint order by h.account_id limit $2::integer"};

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct held_account *out = into;

    (void)arena;
    *out = (struct held_account){
        .account_id = row_int64(rows, row, 0),
        .address = row_text(rows, row, 1),
        .by = row_text(rows, row, 2),
        .reason = row_text(rows, row, 3),
        .hold_ms = row_int64(rows, row, 4) * 1000,
        .created_ms = row_time(rows, row, 6),
        .until_ms = row_time(rows, row, 7),
        .breaker = slice_equal(row_text(rows, row, 2), SLICE("breaker")),
    };
    hold_then_parse(row_text(rows, row, 5), &out->then);
}

static const struct provision_read_shape shape = {sizeof(struct held_account), read_row};

AWAITS enum db_status provision_held_account_get(struct arena *arena, int64_t account_id, struct held_account *out)
{
    struct params params;

    params_init(&params, arena);
    params_int64(&params, account_id);
    return provision_read_one(&params, &get, &shape, out);
}

AWAITS enum db_status provision_held_account_list(struct arena *arena, const struct provision_page *page,
                                                  struct held_account **out, unsigned *count)
{
    *out = provision_read_list(arena, &list, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require_room = {
    "provision_held_account_require_room",
    "select refuse('held_account_many') where (select count(*) from held_account) >= $1::integer"};
static const struct db_statement insert = {
    "provision_held_account_insert", "insert into held_account (account_id, held_by, reason, hold_seconds, hold_then)"
                                     " values ($1::bigint, 'administrator', $2::text, $3::bigint, $4::text)"};

AWAITS enum db_write provision_held_account_create(struct arena *arena, const struct held_account *held,
                                                   const struct provision_actor *actor,
                                                   struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    struct params *params;

    params_int32(db_unit_add(unit, &require_room), HELD_ACCOUNTS_MAX);
    breaker_close_add(unit, held->account_id, false, false); /* what somebody says goes before it */
    params = db_unit_add(unit, &insert);
    params_int64(params, held->account_id);
    params_text(params, held->reason);
    params_int64(params, held->hold_ms / 1000);
    params_text(params, slice_str(hold_then_word(held->then)));
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        refusal->existing_id = held->account_id;
    return result;
}

static const struct db_statement require = {
    "provision_held_account_require",
    "select refuse('gone') where not exists (select from held_account where account_id = $1::bigint for update)"};
static const struct db_statement end = {"provision_held_account_end",
                                        "delete from held_account where account_id = $1::bigint"};

AWAITS enum db_write provision_held_account_end(struct arena *arena, int64_t account_id,
                                                const struct provision_actor *actor, struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &end, account_id, actor, refusal);
}
