/*
 * Domains and their routes.
 *
 * Next hops are read together with their domain as one text, "priority port host" triples joined by ','
 * in order; a host contains neither blank nor comma (storage/name.h).  A second statement for the hops
 * would need a second round trip, or could see another state of the table.
 *
 * New next hops are a reason to try at once: the destination's back-off belonged to the old ones.
 */
#include "storage/provision_domain.h"

#include <stdlib.h>

#include "core/id.h"
#include "storage/db.h"
#include "storage/hint.h"
#include "storage/name.h"
#include "storage/queue.h"

#define SELECT                                                                                                         \
    "select d.id, d.customer_id, d.name, d.kind = 'relay', d.created_at,"                                              \
    " (select string_agg(h.priority || ' ' || h.port || ' ' || h.host, ',' order by h.priority, h.host, h.port)"       \
    "    from next_hop h where h.domain_id = d.id),"                                                                   \
    " (select o.id from outage o where o.cell = d.cell and o.domain_id = d.id and o.ended_at is null)"                 \
    " from domain d "

static void read_hops(struct arena *arena, struct slice text, struct provision_domain *out)
{
    out->hops = NULL;
    out->hop_count = 0;
    if (text.n == 0)
        return;
    char *at = arena_slicedup(arena, text);
    unsigned n = 1;
    for (const char *p = at; *p; p++)
        n += *p == ',';
    out->hops = arena_array(arena, n, sizeof *out->hops);
    for (char *item; (item = strsep(&at, ",")) && out->hop_count < n;) {
        struct directory_hop *hop = &out->hops[out->hop_count++];
        hop->priority = (unsigned)strtoul(item, &item, 10);
        hop->port = (unsigned)strtoul(item, &item, 10);
        hop->host = *item ? item + 1 : "";
    }
}

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, struct provision_domain *out)
{
    out->id = row_int64(rows, row, 0);
    out->customer_id = row_int64(rows, row, 1);
    out->name = row_text(rows, row, 2);
    out->kind = row_bool(rows, row, 3) ? DIRECTORY_RELAY : DIRECTORY_HOSTED;
    out->created_ms = row_time(rows, row, 4);
    read_hops(arena, row_text(rows, row, 5), out);
    out->outage_id = row_is_null(rows, row, 6) ? 0 : row_int64(rows, row, 6);
}

/* ------------------------------------------------------------------ reading */

static const struct db_statement get = {
    "provision_domain_get",
    SELECT "where d.id = $1::bigint or d.name = $2::text order by d.id = $1::bigint desc limit 1",
};

AWAITS enum db_status provision_domain_get(struct arena *arena, struct slice key, struct provision_domain *out)
{
    int64_t id = 0;
    struct slice name;
    struct params params;
    struct rows *rows = NULL;
    params_init(&params, arena);
    params_int64(&params, id_parse(key, &id) ? id : 0);
    params_text(&params, name_domain(arena, key, &name) ? name : arena_lower(arena, key));
    enum db_status status = db_read(arena, &get, &params, &rows);
    if (status == DB_FOUND)
        read_row(arena, rows, 0, out);
    return status;
}

static const struct db_statement list_all = {
    "provision_domain_list",
    SELECT "where d.id > $1::bigint order by d.id limit $2::integer",
};
static const struct db_statement list_of_customer = {
    "provision_domain_list_customer",
    SELECT "where d.id > $1::bigint and d.customer_id = $3::bigint order by d.id limit $2::integer",
};

AWAITS enum db_status provision_domain_list(struct arena *arena, int64_t customer_id, const struct provision_page *page,
                                            struct provision_domain **out, unsigned *count)
{
    struct params params;
    struct rows *rows = NULL;
    *out = NULL;
    *count = 0;
    params_init(&params, arena);
    params_int64(&params, page->after);
    params_int32(&params, (int32_t)page->limit);
    if (customer_id)
        params_int64(&params, customer_id);
    if (db_read(arena, customer_id ? &list_of_customer : &list_all, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    *out = arena_array(arena, rows_count(rows), sizeof **out);
    for (; *count < rows_count(rows); (*count)++)
        read_row(arena, rows, *count, &(*out)[*count]);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ writing */

static const struct db_statement require_customer = {
    "provision_domain_require_customer",
    "select refuse('customer_missing') where not exists (select from customer where id = $1::bigint for key share)",
};
static const struct db_statement insert = {
    "provision_domain_insert",
    "insert into domain (id, cell, customer_id, name, kind)"
    " values ($1::bigint, $2::smallint, $3::bigint, $4::text, $5::text)",
};
static const struct db_statement insert_hops = {
    "provision_domain_insert_hops",
    "insert into next_hop (domain_id, priority, host, port)"
    " select $1::bigint, priority, host, port"
    "   from unnest($2::integer[], $3::text[], $4::integer[]) as hop (priority, host, port)",
};

static void add_hops(struct db_unit *unit, int64_t id, const struct directory_hop *hops, unsigned count)
{
    int32_t priorities[PROVISION_HOPS_MAX], ports[PROVISION_HOPS_MAX];
    struct slice hosts[PROVISION_HOPS_MAX];
    if (count > PROVISION_HOPS_MAX)
        abort();
    for (unsigned i = 0; i < count; i++) {
        priorities[i] = (int32_t)hops[i].priority;
        ports[i] = (int32_t)hops[i].port;
        hosts[i] = slice_str(hops[i].host);
    }
    struct params *params = db_unit_add(unit, &insert_hops);
    params_int64(params, id);
    params_int32s(params, priorities, count);
    params_texts(params, hosts, count);
    params_int32s(params, ports, count);
}

AWAITS enum db_write provision_domain_create(struct arena *arena, int64_t customer_id, struct slice name,
                                             enum directory_kind kind, const struct directory_hop *hops,
                                             unsigned hop_count, const struct provision_actor *actor, int64_t *id,
                                             struct provision_refusal *refusal)
{
    unsigned cell = id_cell(customer_id);
    *id = id_make(cell);
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require_customer), customer_id);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_int16(params, (int16_t)cell);
    params_int64(params, customer_id);
    params_text(params, name);
    params_text(params, kind == DIRECTORY_RELAY ? SLICE("relay") : SLICE("hosted"));
    if (hop_count > 0)
        add_hops(unit, *id, hops, hop_count);
    enum db_write result = provision_run(unit, actor, refusal);
    struct provision_domain other;
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        if (provision_domain_get(arena, name, &other) == DB_FOUND)
            refusal->existing_id = other.id;
    return result;
}

static const struct db_statement require = {
    "provision_domain_require",
    "select refuse('gone') where not exists (select from domain where id = $1::bigint for update)",
};
static const struct db_statement require_relay = {
    "provision_domain_require_relay",
    "select refuse('domain_is_hosted') where exists (select from domain where id = $1::bigint and kind = 'hosted')",
};
static const struct db_statement remove_hops = {
    "provision_domain_remove_hops",
    "delete from next_hop where domain_id = $1::bigint",
};
static const struct db_statement due_now = {
    "provision_domain_due_now",
    "update destination set due_at = now() where cell = $1::smallint and key = $2::text",
};

static void add_destination(struct db_unit *unit, const struct db_statement *statement, int64_t id)
{
    struct params *params = db_unit_add(unit, statement);
    params_int16(params, (int16_t)id_cell(id));
    params_text(params, queue_destination_domain(unit->arena, id));
}

AWAITS enum db_write provision_domain_set_hops(struct arena *arena, int64_t id, const struct directory_hop *hops,
                                               unsigned hop_count, const struct provision_actor *actor,
                                               struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), id);
    params_int64(db_unit_add(unit, &require_relay), id);
    params_int64(db_unit_add(unit, &remove_hops), id);
    if (hop_count > 0)
        add_hops(unit, id, hops, hop_count);
    add_destination(unit, &due_now, id);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_DONE)
        hint_queue_changed();
    return result;
}

static const struct db_statement require_empty_queue = {
    "provision_domain_require_empty_queue",
    "select refuse('domain_has_queue')"
    " where exists (select from queue_entry where cell = $1::smallint and domain_id = $2::bigint)",
};
static const struct db_statement end_outage = {
    "provision_domain_end_outage",
    "update outage set ended_at = now() where cell = $1::smallint and domain_id = $2::bigint and ended_at is null",
};
static const struct db_statement remove_destination = {
    "provision_domain_remove_destination",
    "delete from destination where cell = $1::smallint and key = $2::text",
};
static const struct db_statement remove_row = {
    "provision_domain_delete",
    "delete from domain where id = $1::bigint",
};

AWAITS enum db_write provision_domain_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                             struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), id);
    struct params *params = db_unit_add(unit, &require_empty_queue);
    params_int16(params, (int16_t)id_cell(id));
    params_int64(params, id);
    params = db_unit_add(unit, &end_outage);
    params_int16(params, (int16_t)id_cell(id));
    params_int64(params, id);
    add_destination(unit, &remove_destination, id);
    params_int64(db_unit_add(unit, &remove_row), id); /* its next hops go with it */
    return provision_run(unit, actor, refusal);
}
