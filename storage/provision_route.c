/*
 * Routes, as administrators write them.
 *
 * A route is read as one row, its next hops as one text ("priority weight port credential tls host", joined by ','); they are
 * replaced as a whole.  Name and customer stay as they were made: the name stands in configurations, and whose it is
 * decides who may refer to it.
 */
#include "storage/provision_route.h"

#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "storage/db.h"
#include "storage/hint.h"
#include "storage/provision_read.h"
#include "storage/queue.h"

#define SELECT                                                                                                             \
    "select r.id, coalesce(r.customer_id, 0), r.name, r.created_at,"                                                       \
    " (select string_agg(concat_ws(' ', h.priority, h.weight, h.port, coalesce(h.credential_id, 0), coalesce(h.tls, '-')," \
    "                                  h.host), ','"                                                                       \
    "                    order by h.priority, h.host, h.port) from route_hop h where h.route_id = r.id)"                   \
    ", coalesce(r.source_addresses, '') from route r "

static void read_hops(struct arena *arena, struct slice text, struct provision_route *out)
{
    char *at = arena_slicedup(arena, text);

    out->hops = arena_array(arena, PROVISION_ROUTE_HOPS_MAX, sizeof *out->hops);
    for (char *item; text.n && out->hop_count < PROVISION_ROUTE_HOPS_MAX && (item = strsep(&at, ","));) {
        struct directory_hop *hop = &out->hops[out->hop_count++];
        hop->priority = (unsigned)strtoul(item, &item, 10);
        hop->weight = (unsigned)strtoul(item, &item, 10);
        hop->port = (unsigned)strtoul(item, &item, 10);
        hop->credential_id = strtoll(item, &item, 10);
        item += *item == ' ';
        char *tls = strsep(&item, " ");
        if (!delivery_tls_of(slice_str(tls), &hop->tls))
            hop->tls = DELIVERY_TLS_NOT_SET;
        hop->host = item ? item : "";
    }
}

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_route *out = into;

    *out = (struct provision_route){
        .id = row_int64(rows, row, 0),
        .customer_id = row_int64(rows, row, 1),
        .name = row_text(rows, row, 2),
        .created_ms = row_time(rows, row, 3),
        .sources = row_text(rows, row, 5),
    };
    read_hops(arena, row_text(rows, row, 4), out);
}

static const struct provision_read_shape shape = {sizeof(struct provision_route), read_row};

/* ------------------------------------------------------------------ reading */

static const struct db_statement get = {
    "provision_route_get",
    SELECT "where r.id = $1::bigint or r.name = $2::text order by r.id = $1::bigint desc limit 1",
};

AWAITS enum db_status provision_route_get(struct arena *arena, struct slice key, struct provision_route *out)
{
    int64_t id = 0;
    struct params params;

    params_init(&params, arena);
    params_int64(&params, id_parse(key, &id) ? id : 0);
    params_text(&params, key);
    return provision_read_one(&params, &get, &shape, out);
}

static const struct db_statement list = {
    "provision_route_list",
    SELECT "where r.id > $1::bigint and ($3::bigint = 0 or r.customer_id = $3::bigint) order by r.id limit $2::integer",
};

AWAITS enum db_status provision_route_list(struct arena *arena, int64_t customer_id, const struct provision_page *page,
                                           struct provision_route **out, unsigned *count)
{
    *out = provision_read_list_of(arena, &list, page, customer_id, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

/* ------------------------------------------------------------------ writing */

static const struct db_statement require_customer = {
    "provision_route_require_customer",
    "select refuse('customer_missing') where not exists (select from customer where id = $1::bigint for key share)",
};
static const struct db_statement insert = {
    "provision_route_insert",
    "insert into route (id, customer_id, name, source_addresses)"
    " values ($1::bigint, nullif($2::bigint, 0), $3::text, nullif($4::text, ''))",
};
static const struct db_statement insert_hops = {
    "provision_route_insert_hops",
    "insert into route_hop (route_id, priority, weight, host, port, tls, credential_id)"
    " select $1::bigint, priority, weight, host, port, nullif(tls, ''), nullif(credential_id, 0)"
    "   from unnest($2::integer[], $3::integer[], $4::text[], $5::integer[], $6::text[], $7::bigint[])"
    "     as hop (priority, weight, host, port, tls, credential_id)",
};

static void add_hops(struct db_unit *unit, int64_t id, const struct provision_route *route)
{
    int32_t priorities[PROVISION_ROUTE_HOPS_MAX], weights[PROVISION_ROUTE_HOPS_MAX], ports[PROVISION_ROUTE_HOPS_MAX];
    int64_t credentials[PROVISION_ROUTE_HOPS_MAX];
    struct slice hosts[PROVISION_ROUTE_HOPS_MAX], levels[PROVISION_ROUTE_HOPS_MAX];
    if (route->hop_count > PROVISION_ROUTE_HOPS_MAX)
        abort();
    for (unsigned i = 0; i < route->hop_count; i++) {
        const char *tls = delivery_tls_word(route->hops[i].tls);
        priorities[i] = (int32_t)route->hops[i].priority;
        weights[i] = (int32_t)route->hops[i].weight;
        ports[i] = (int32_t)route->hops[i].port;
        credentials[i] = route->hops[i].credential_id;
        hosts[i] = slice_str(route->hops[i].host);
        levels[i] = slice_str(tls ? tls : "");
    }
    struct params *params = db_unit_add(unit, &insert_hops);
    params_int64(params, id);
    params_int32s(params, priorities, route->hop_count);
    params_int32s(params, weights, route->hop_count);
    params_texts(params, hosts, route->hop_count);
    params_int32s(params, ports, route->hop_count);
    params_texts(params, levels, route->hop_count);
    params_int64s(params, credentials, route->hop_count);
}

AWAITS enum db_write provision_route_create(struct arena *arena, const struct provision_route *route,
                                            const struct provision_actor *actor, int64_t *id,
                                            struct provision_refusal *refusal)
{
    *id = id_make(id_cell(route->customer_id));
    struct db_unit *unit = db_unit_new(arena);
    if (route->customer_id)
        params_int64(db_unit_add(unit, &require_customer), route->customer_id);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_int64(params, route->customer_id);
    params_text(params, route->name);
    params_text(params, route->sources);
    add_hops(unit, *id, route);
    enum db_write result = provision_run(unit, actor, refusal);
    struct provision_route other;
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        if (provision_route_get(arena, route->name, &other) == DB_FOUND)
            refusal->existing_id = other.id;
    return result;
}

static const struct db_statement require = {
    "provision_route_require",
    "select refuse('gone') where not exists (select from route where id = $1::bigint for update)",
};
static const struct db_statement set = {
    "provision_route_set",
    "update route set source_addresses = nullif($2::text, '') where id = $1::bigint",
};
static const struct db_statement remove_hops = {
    "provision_route_remove_hops",
    "delete from route_hop where route_id = $1::bigint",
};
/* In each cell that has mail for it, or for a domain that goes by it. */
static const struct db_statement due_now = {
    "provision_route_due_now",
    "update destination set due_at = now() where key = 'route:' || $1::bigint"
    "    or key in (select 'domain:' || id from domain where route_id = $1::bigint)",
};

AWAITS enum db_write provision_route_update(struct arena *arena, const struct provision_route *route,
                                            const struct provision_actor *actor, struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), route->id);
    struct params *params = db_unit_add(unit, &set);
    params_int64(params, route->id);
    params_text(params, route->sources);
    params_int64(db_unit_add(unit, &remove_hops), route->id);
    add_hops(unit, route->id, route);
    params_int64(db_unit_add(unit, &due_now), route->id);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_DONE)
        hint_queue_changed();
    return result;
}

static const struct db_statement remove_row = {
    "provision_route_delete",
    "delete from route where id = $1::bigint",
};

AWAITS enum db_write provision_route_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                            struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), id);
    params_int64(db_unit_add(unit, &remove_row), id); /* its next hops go with it */
    params_int64(db_unit_add(unit, &due_now), id);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_DONE)
        hint_queue_changed();
    return result;
}

static const struct db_statement require_whose = {
    "provision_route_require_whose",
    "select refuse('route_missing') where not exists (select from route"
    "  where id = $1::bigint and (customer_id is null or customer_id = $2::bigint) for key share)",
};

void provision_route_require(struct db_unit *unit, int64_t route_id, int64_t customer_id)
{
    struct params *params = db_unit_add(unit, &require_whose);

    params_int64(params, route_id);
    params_int64(params, customer_id);
}
