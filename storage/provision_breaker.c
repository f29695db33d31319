/*
 * Breakers, as administrators see and close them.
 *
 * Each account has one, which is closed unless it is open; so what is listed is the open ones.  They are opened by what
 * the account sends, and by nobody here: who wants an account's mail held marks it (provision_held_account.h).
 */
#include "storage/provision_breaker.h"

#include "storage/breaker_open.h"
#include "storage/db.h"
#include "storage/provision_read.h"

#define NUMBERS(p) "b." p "_messages, b." p "_recipients, b." p "_failures"
#define SELECT                                                                                                                                         \
    "select a.id, a.customer_id, a.domain_id, a.address, coalesce(b.version, 0), coalesce(b.hour, 0), " NUMBERS("hour") ", " NUMBERS(                  \
        "before") ", " NUMBERS("day") ", " NUMBERS("usual") ", b.days, o.measure, o.value,"                                                            \
                                                            " o.most, o.told_at, h.created_at, h.until, h.hold_then, h.reason, " BREAKER_NEW_COUNTRIES \
                                                            "  from account a left join breaker_account b on b.cell = a.cell and b.account_id = a.id"  \
                                                            "  left join breaker_open o on o.account_id = a.id left join held_account h on h.account_id = o.account_id where "

static const struct db_statement get = {"provision_breaker_get", SELECT "a.id = $1::bigint"};
static const struct db_statement list = {
    "provision_breaker_list",
    SELECT "a.id in (select account_id from breaker_open where account_id > $1::bigint order by account_id"
           " limit $2::integer) order by a.id"};

static void read_numbers(const struct rows *rows, unsigned row, unsigned column, uint32_t out[BREAKER_HOURLY])
{
    for (unsigned m = 0; m < BREAKER_HOURLY; m++)
        out[m] = (uint32_t)row_int64(rows, row, column + m);
}

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_breaker *out = into;
    struct breaker_account *account = &out->account;

    (void)arena;
    *out = (struct provision_breaker){.account = {.account_id = row_int64(rows, row, 0),
                                                  .customer_id = row_int64(rows, row, 1),
                                                  .domain_id = row_int64(rows, row, 2),
                                                  .address = row_text(rows, row, 3),
                                                  .version = row_int64(rows, row, 4),
                                                  .countries = (uint32_t)row_int64(rows, row, 27)}};
    if (account->version) {
        account->pattern.hour = row_int64(rows, row, 5);
        read_numbers(rows, row, 6, account->pattern.now);
        read_numbers(rows, row, 9, account->pattern.before);
        read_numbers(rows, row, 12, account->pattern.day);
        read_numbers(rows, row, 15, account->pattern.usual);
        account->pattern.days = (uint32_t)row_int64(rows, row, 18);
    }
    out->open = !row_is_null(rows, row, 19);
    if (!out->open)
        return;
    breaker_measure_parse(row_text(rows, row, 19), &out->trip.measure);
    out->trip.value = (uint32_t)row_int64(rows, row, 20);
    out->trip.limit = (uint32_t)row_int64(rows, row, 21);
    out->told_ms = row_time(rows, row, 22);
    out->opened_ms = row_time(rows, row, 23);
    out->until_ms = row_time(rows, row, 24);
    hold_then_parse(row_text(rows, row, 25), &out->then);
    out->reason = row_text(rows, row, 26);
}

static const struct provision_read_shape shape = {sizeof(struct provision_breaker), read_row};

AWAITS enum db_status provision_breaker_get(struct arena *arena, int64_t account_id, struct provision_breaker *out)
{
    struct params params;

    params_init(&params, arena);
    params_int64(&params, account_id);
    return provision_read_one(&params, &get, &shape, out);
}

AWAITS enum db_status provision_breaker_list(struct arena *arena, const struct provision_page *page,
                                             struct provision_breaker **out, unsigned *count)
{
    *out = provision_read_list(arena, &list, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require = {
    "provision_breaker_require",
    "select refuse('breaker_closed') where not exists (select from held_account where account_id = $1::bigint"
    "   and held_by = 'breaker' for update)"};

AWAITS enum db_write provision_breaker_close(struct arena *arena, int64_t account_id, bool learn,
                                             const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);

    params_int64(db_unit_add(unit, &require), account_id);
    breaker_close_add(unit, account_id, learn, false);
    return provision_run(unit, actor, refusal);
}
