/*
 * DNS lists, as administrators write them.
 *
 * Zone and answers stay as they were made; they are what the list is.  All lists are asked about each stranger, so
 * there are DNS_LISTS_MAX at most; the count that checks it is not locked, and workers read no more.
 */
#include "storage/provision_dns_list.h"

#include "core/id.h"
#include "storage/db.h"
#include "storage/dns_list.h"
#include "storage/provision_read.h"

#define COLUMNS "id, zone, array_to_string(answers, ' '), score, label, created_at"

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_dns_list *out = into;

    out->id = row_int64(rows, row, 0);
    out->zone = row_text(rows, row, 1);
    out->answers = provision_words(arena, row_text(rows, row, 2), &out->answer_count);
    out->score = (int)row_int64(rows, row, 3);
    out->label = row_text(rows, row, 4);
    out->created_ms = row_time(rows, row, 5);
}

static const struct provision_read_shape shape = {sizeof(struct provision_dns_list), read_row};

static const struct db_statement get = {
    "provision_dns_list_get",
    "select " COLUMNS " from dns_list where id = $1::bigint",
};

AWAITS enum db_status provision_dns_list_get(struct arena *arena, struct slice key, struct provision_dns_list *out)
{
    return provision_read_by_id(arena, &get, key, &shape, out);
}

static const struct db_statement list_all = {
    "provision_dns_list_list",
    "select " COLUMNS " from dns_list where id > $1::bigint order by id limit $2::integer",
};

AWAITS enum db_status provision_dns_list_list(struct arena *arena, const struct provision_page *page,
                                              struct provision_dns_list **out, unsigned *count)
{
    *out = provision_read_list(arena, &list_all, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

static const struct db_statement require_room = {
    "provision_dns_list_require_room",
    "select refuse('dns_list_many') where (select count(*) from dns_list) >= $1::integer",
};
static const struct db_statement insert = {
    "provision_dns_list_insert",
    "insert into dns_list (id, zone, answers, score, label)"
    " values ($1::bigint, $2::text, $3::text[]::cidr[], $4::integer, $5::text)",
};
static const struct db_statement find_other = {
    "provision_dns_list_find",
    "select id from dns_list where zone = $1::text and answers = $2::text[]::cidr[]",
};

static AWAITS int64_t find_existing(struct arena *arena, const struct provision_dns_list *list)
{
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_text(&params, list->zone);
    params_texts(&params, list->answers, list->answer_count);
    return db_read(arena, &find_other, &params, &rows) == DB_FOUND ? row_int64(rows, 0, 0) : 0;
}

AWAITS enum db_write provision_dns_list_create(struct arena *arena, const struct provision_dns_list *list,
                                               const struct provision_actor *actor, int64_t *id,
                                               struct provision_refusal *refusal)
{
    *id = id_make(0);
    struct db_unit *unit = db_unit_new(arena);
    params_int32(db_unit_add(unit, &require_room), DNS_LISTS_MAX);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_text(params, list->zone);
    params_texts(params, list->answers, list->answer_count);
    params_int32(params, list->score);
    params_text(params, list->label);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        refusal->existing_id = find_existing(arena, list);
    return result;
}

static const struct db_statement require = {
    "provision_dns_list_require",
    "select refuse('gone') where not exists (select from dns_list where id = $1::bigint for update)",
};
static const struct db_statement update = {
    "provision_dns_list_update",
    "update dns_list set score = $2::integer, label = $3::text where id = $1::bigint",
};

AWAITS enum db_write provision_dns_list_update(struct arena *arena, const struct provision_dns_list *list,
                                               const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), list->id);
    struct params *params = db_unit_add(unit, &update);
    params_int64(params, list->id);
    params_int32(params, list->score);
    params_text(params, list->label);
    return provision_run(unit, actor, refusal);
}

static const struct db_statement remove_row = {
    "provision_dns_list_delete",
    "delete from dns_list where id = $1::bigint",
};

AWAITS enum db_write provision_dns_list_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                               struct provision_refusal *refusal)
{
    return provision_remove(arena, &require, &remove_row, id, actor, refusal);
}
