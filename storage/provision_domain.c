/*
 * Domains and their routes.
 *
 * Next hops are read together with their domain as one text, "priority port credential host" joined by
 * ',' in order; a host contains neither blank nor comma (storage/name.h).  A second statement for the hops
 * would need a second round trip, or could see another state of the table.
 *
 * New next hops are a reason to try at once: the destination's back-off belonged to the old ones.
 */
#include "storage/provision_domain.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/id.h"
#include "storage/db.h"
#include "storage/hint.h"
#include "storage/name.h"
#include "storage/outage.h"
#include "storage/provision_read.h"
#include "storage/provision_route.h"
#include "storage/queue.h"

#define SELECT                                                                                                         \
    "select d.id, d.customer_id, d.name, d.kind, d.created_at,"                                                        \
    " (select string_agg(concat_ws(' ', h.priority, h.port, coalesce(h.credential_id, 0), h.host), ','"                \
    "                    order by h.priority, h.host, h.port)"                                                         \
    "    from next_hop h where h.domain_id = d.id),"                                                                   \
    " (select o.id from outage o where o.cell = d.cell and o.domain_id = d.id and o.ended_at is null),"                \
    " d.target_id, (select t.name from domain t where t.id = d.target_id), d.subaddress_separator, d.catch_all,"       \
    " d.recipients, d.unknown_while_away,"                                                                             \
    " (select p.accepts_all::text from recipient_probe p where p.cell = d.cell and p.domain_id = d.id"                 \
    "                                                      and d.recipients = 'learned'),"                             \
    " d.collector_id, (select a.address from account a where a.id = d.collector_id),"                                  \
    " d.route_id, (select r.name from route r where r.id = d.route_id)"                                                \
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
        hop->credential_id = strtoll(item, &item, 10);
        hop->host = *item ? item + 1 : "";
    }
}

static struct slice kind_word(enum directory_kind kind)
{
    switch (kind) {
    case DIRECTORY_HOSTED: break;
    case DIRECTORY_RELAY: return SLICE("relay");
    case DIRECTORY_ALIAS: return SLICE("alias");
    }
    return SLICE("hosted");
}

static enum directory_kind kind_of(struct slice word)
{
    return slice_equal(word, SLICE("relay"))   ? DIRECTORY_RELAY
           : slice_equal(word, SLICE("alias")) ? DIRECTORY_ALIAS
                                               : DIRECTORY_HOSTED;
}

static void read_row(struct arena *arena, const struct rows *rows, unsigned row, void *into)
{
    struct provision_domain *out = into;

    out->id = row_int64(rows, row, 0);
    out->customer_id = row_int64(rows, row, 1);
    out->name = row_text(rows, row, 2);
    out->kind = kind_of(row_text(rows, row, 3));
    out->created_ms = row_time(rows, row, 4);
    read_hops(arena, row_text(rows, row, 5), out);
    out->outage_id = row_is_null(rows, row, 6) ? 0 : row_int64(rows, row, 6);
    out->target_id = row_is_null(rows, row, 7) ? 0 : row_int64(rows, row, 7);
    out->target = row_text(rows, row, 8);
    out->separator = row_text(rows, row, 9);
    out->catch_all = row_text(rows, row, 10);
    out->recipients = row_text(rows, row, 11);
    out->unknown_while_away = row_text(rows, row, 12);
    out->accepts_all = row_text(rows, row, 13);
    out->collector_id = row_is_null(rows, row, 14) ? 0 : row_int64(rows, row, 14);
    out->collector = row_text(rows, row, 15);
    out->route_id = row_is_null(rows, row, 16) ? 0 : row_int64(rows, row, 16);
    out->route = row_text(rows, row, 17);
}

static const struct provision_read_shape shape = {sizeof(struct provision_domain), read_row};

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

    params_init(&params, arena);
    params_int64(&params, id_parse(key, &id) ? id : 0);
    params_text(&params, name_domain(arena, key, &name) ? name : arena_lower(arena, key));
    return provision_read_one(&params, &get, &shape, out);
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
    *out = customer_id ? provision_read_list_of(arena, &list_of_customer, page, customer_id, &shape, count)
                       : provision_read_list(arena, &list_all, page, &shape, count);
    return *out ? DB_FOUND : DB_FAILED;
}

/* ------------------------------------------------------------------ writing */

static const struct db_statement require_customer = {
    "provision_domain_require_customer",
    "select refuse('customer_missing') where not exists (select from customer where id = $1::bigint for key share)",
};
static const struct db_statement insert = {
    "provision_domain_insert",
    "insert into domain (id, cell, customer_id, name, kind, target_id, subaddress_separator, catch_all,"
    "                    recipients, collector_id, unknown_while_away, route_id)"
    " values ($1::bigint, $2::smallint, $3::bigint, $4::text, $5::text, $6::bigint, coalesce($7::text, '+'), $8::text,"
    "         coalesce($9::text, 'any'), $10::bigint, coalesce($11::text, 'defer'), $12::bigint)",
};
/* It gets the whole domain's mail. */
static const struct db_statement require_collector = {
    "provision_domain_require_collector",
    "select refuse('domain_collector') where not exists (select from account"
    "  where id = $1::bigint and customer_id = $2::bigint for key share)",
};
/* A second name of a second name could be one of itself. */
static const struct db_statement require_target = {
    "provision_domain_require_target",
    "select refuse('domain_target_kind') where not exists (select from domain"
    "  where id = $1::bigint and customer_id = $2::bigint and kind <> 'alias' for key share)",
};
static const struct db_statement insert_hops = {
    "provision_domain_insert_hops",
    "insert into next_hop (domain_id, priority, host, port, credential_id)"
    " select $1::bigint, priority, host, port, nullif(credential_id, 0)"
    "   from unnest($2::integer[], $3::text[], $4::integer[], $5::bigint[])"
    "     as hop (priority, host, port, credential_id)",
};

static void add_hops(struct db_unit *unit, int64_t id, const struct directory_hop *hops, unsigned count)
{
    int32_t priorities[PROVISION_HOPS_MAX], ports[PROVISION_HOPS_MAX];
    int64_t credentials[PROVISION_HOPS_MAX];
    struct slice hosts[PROVISION_HOPS_MAX];
    if (count > PROVISION_HOPS_MAX)
        abort();
    for (unsigned i = 0; i < count; i++) {
        priorities[i] = (int32_t)hops[i].priority;
        ports[i] = (int32_t)hops[i].port;
        credentials[i] = hops[i].credential_id;
        hosts[i] = slice_str(hops[i].host);
    }
    struct params *params = db_unit_add(unit, &insert_hops);
    params_int64(params, id);
    params_int32s(params, priorities, count);
    params_texts(params, hosts, count);
    params_int32s(params, ports, count);
    params_int64s(params, credentials, count);
}

static void add_id(struct params *params, int64_t id)
{
    if (id)
        params_int64(params, id);
    else
        params_null(params);
}

static void add_require_target(struct db_unit *unit, int64_t target_id, int64_t customer_id)
{
    if (!target_id)
        return;
    struct params *params = db_unit_add(unit, &require_target);
    params_int64(params, target_id);
    params_int64(params, customer_id);
}

static void add_require_collector(struct db_unit *unit, int64_t collector_id, int64_t customer_id)
{
    if (!collector_id)
        return;
    struct params *params = db_unit_add(unit, &require_collector);
    params_int64(params, collector_id);
    params_int64(params, customer_id);
}

AWAITS enum db_write provision_domain_create(struct arena *arena, const struct provision_domain *wanted,
                                             const struct provision_actor *actor, int64_t *id,
                                             struct provision_refusal *refusal)
{
    unsigned cell = id_cell(wanted->customer_id);
    *id = id_make(cell);
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require_customer), wanted->customer_id);
    add_require_target(unit, wanted->target_id, wanted->customer_id);
    add_require_collector(unit, wanted->collector_id, wanted->customer_id);
    if (wanted->route_id)
        provision_route_require(unit, wanted->route_id, wanted->customer_id);
    struct params *params = db_unit_add(unit, &insert);
    params_int64(params, *id);
    params_int16(params, (int16_t)cell);
    params_int64(params, wanted->customer_id);
    params_text(params, wanted->name);
    params_text(params, kind_word(wanted->kind));
    add_id(params, wanted->target_id);
    params_text(params, wanted->separator);
    params_text(params, wanted->catch_all);
    params_text(params, wanted->recipients);
    add_id(params, wanted->collector_id);
    params_text(params, wanted->unknown_while_away);
    add_id(params, wanted->route_id);
    if (wanted->hop_count > 0)
        add_hops(unit, *id, wanted->hops, wanted->hop_count);
    enum db_write result = provision_run(unit, actor, refusal);
    struct provision_domain other;
    if (result == DB_REFUSED && refusal->kind == PROVISION_TAKEN)
        if (provision_domain_get(arena, wanted->name, &other) == DB_FOUND)
            refusal->existing_id = other.id;
    return result;
}

static const struct db_statement require = {
    "provision_domain_require",
    "select refuse('gone') where not exists (select from domain where id = $1::bigint for update)",
};
static const struct db_statement set = {
    "provision_domain_set",
    "update domain set target_id = coalesce($2::bigint, target_id),"
    "       subaddress_separator = coalesce($3::text, subaddress_separator),"
    "       catch_all = case when $4::boolean then $5::text else catch_all end,"
    "       recipients = coalesce($6::text, recipients),"
    "       collector_id = case when $7::boolean then $8::bigint else collector_id end,"
    "       unknown_while_away = coalesce($9::text, unknown_while_away),"
    "       route_id = case when $10::boolean then $11::bigint else route_id end"
    " where id = $1::bigint",
};
/* Names that are not here are either somebody's here or elsewhere. */
static const struct db_statement require_one_place = {
    "provision_domain_one_place",
    "select refuse('domain_catch_all_hops') where exists (select from domain d where d.id = $1::bigint"
    "  and d.catch_all is not null"
    "  and (d.route_id is not null or exists (select from next_hop where domain_id = d.id)))",
};
/* Its mail must be able to leave. */
static const struct db_statement require_way = {
    "provision_domain_require_way",
    "select refuse('domain_no_way') where exists (select from domain d where d.id = $1::bigint and d.kind = 'relay'"
    "  and d.collector_id is null and d.route_id is null"
    "  and not exists (select from next_hop where domain_id = d.id))",
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

static const struct db_statement require_empty_queue = {
    "provision_domain_require_empty_queue",
    "select refuse('domain_has_queue')"
    " where exists (select from queue_entry where cell = $1::smallint and domain_id = $2::bigint)",
};
static const struct db_statement forget_health = {
    "provision_domain_forget_health",
    "delete from domain_health where cell = $1::smallint and domain_id = $2::bigint",
};
static const struct db_statement remove_destination = {
    "provision_domain_remove_destination",
    "delete from destination where cell = $1::smallint and key = $2::text",
};
static void add_cell_and_id(struct db_unit *unit, const struct db_statement *statement, int64_t id)
{
    struct params *params = db_unit_add(unit, statement);
    params_int16(params, (int16_t)id_cell(id));
    params_int64(params, id);
}

static void add_change_of_hops(struct db_unit *unit, const struct provision_domain *domain,
                               const struct provision_domain_change *change)
{
    int64_t id = domain->id;

    params_int64(db_unit_add(unit, &remove_hops), id);
    if (change->hop_count > 0)
        add_hops(unit, id, change->hops, change->hop_count);
    if (change->hop_count > 0 || change->route_id || (domain->route_id && !change->route_given) ||
        domain->kind == DIRECTORY_RELAY) {
        add_destination(unit, &due_now, id);
        return;
    }
    add_cell_and_id(unit, &require_empty_queue, id);
    outage_end(unit, id, "it has no next hops any more", clock_now_ms());
    add_cell_and_id(unit, &forget_health, id);
    add_destination(unit, &remove_destination, id);
}

AWAITS enum db_write provision_domain_change(struct arena *arena, const struct provision_domain *domain,
                                             const struct provision_domain_change *change,
                                             const struct provision_actor *actor, struct provision_refusal *refusal)
{
    bool hops_instead = change->hop_count > 0; /* one of the two */
    bool moves = change->hops_given || change->route_id || (change->route_given && domain->route_id);
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), domain->id);
    if (change->route_id)
        provision_route_require(unit, change->route_id, domain->customer_id);
    add_require_target(unit, change->target_id, domain->customer_id);
    add_require_collector(unit, change->collector_id, domain->customer_id);
    struct params *params = db_unit_add(unit, &set);
    params_int64(params, domain->id);
    add_id(params, change->target_id);
    params_text(params, change->separator);
    params_bool(params, change->catch_all_given);
    params_text(params, change->catch_all);
    params_text(params, change->recipients);
    params_bool(params, change->collector_given);
    add_id(params, change->collector_id);
    params_text(params, change->unknown_while_away);
    params_bool(params, change->route_given || hops_instead);
    add_id(params, change->route_id);
    if (moves)
        add_change_of_hops(unit, domain, change);
    params_int64(db_unit_add(unit, &require_one_place), domain->id);
    params_int64(db_unit_add(unit, &require_way), domain->id);
    enum db_write result = provision_run(unit, actor, refusal);
    if (result == DB_DONE && moves)
        hint_queue_changed();
    return result;
}

static const struct db_statement remove_row = {
    "provision_domain_delete",
    "delete from domain where id = $1::bigint",
};

AWAITS enum db_write provision_domain_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                             struct provision_refusal *refusal)
{
    struct db_unit *unit = db_unit_new(arena);
    params_int64(db_unit_add(unit, &require), id);
    add_cell_and_id(unit, &require_empty_queue, id);
    outage_end(unit, id, "the domain is deleted", clock_now_ms());
    add_destination(unit, &remove_destination, id);
    params_int64(db_unit_add(unit, &remove_row), id); /* its next hops go with it */
    return provision_run(unit, actor, refusal);
}
