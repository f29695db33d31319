/*
 * queue_acts: from a client's words to an action on queue entries.
 *
 *   retry, release, reject, expire   nothing
 *   hold       "then", "reason"; "until", or "approval": true, which is 30 days at most if "until" says nothing else;
 *              "quarantine"
 *   cancel     "bounce": its sender gets it back, or nobody is told; must be said, as one of the two cannot be undone
 *   redirect   "next_hops": [{"host", "port"}], tried in this order; null: back to where it would go by itself; or
 *              "route": id or name
 *   priority   "priority": -9 to 9 (RFC 6710)
 */
#include "admin-api/queue_acts.h"

#include "admin-api/handlers.h"
#include "core/clock.h"
#include "relay/route_to.h"
#include "storage/name.h"
#include "storage/queue.h"

#define REASON_MAX_BYTES 500
#define HOLD_MAX_MS (INT64_C(365) * 24 * 60 * 60 * 1000)
#define HOST_MAX_BYTES 300
#define ROUTE_MAX_BYTES 200

static void read_hold(struct json_fields *f, struct queue_act *out)
{
    static const char *const words[] = {"release", "reject", "discard", NULL};
    int64_t now = clock_now_ms();
    struct hold *hold = &out->hold;
    *hold = (struct hold){.by = HOLD_BY_ADMINISTRATOR};
    hold->reason = json_text(f, "reason", true, REASON_MAX_BYTES);
    hold->approval = json_flag(f, "approval", false);
    hold->quarantine = json_flag(f, "quarantine", false);
    hold->until_ms = json_time(f, "until", hold->approval ? now + HOLD_APPROVAL_MS : INT64_MIN);
    if (hold->until_ms <= now || hold->until_ms > now + HOLD_MAX_MS)
        json_reject(f, "until", "must be given (or approval), later than now, and within a year");
    struct slice then = json_choice(f, "then", words);
    if (!then.p || !hold_then_parse(then, &hold->then))
        json_reject(f, "then", "must be given: release, reject or discard");
}

/* An administrator may send anybody's mail by any route. */
static AWAITS void read_route(struct json_fields *f, struct queue_act *out)
{
    struct slice given = json_text(f, "route", true, ROUTE_MAX_BYTES);
    int64_t id = 0;
    if (json_given(f, "next_hops"))
        json_reject(f, "route", "is instead of next_hops");
    if (f->failed)
        return;
    f->failed = !routes_resolve(f->r, "route", given, &id); /* it has answered */
    out->destination = queue_destination_route(f->r->arena, id);
}

static void read_hops(struct json_fields *f, struct queue_act *out)
{
    struct directory_hop hops[ROUTE_TO_HOPS_MAX] = {{0}};
    unsigned count = 0;
    if (json_is_null(f, "next_hops"))
        return;
    struct json_object *array = json_array(f, "next_hops", ROUTE_TO_HOPS_MAX, &count);
    if (!count)
        json_reject(f, "next_hops", "must be given: one to %d hosts, or null for where it goes by itself",
                    ROUTE_TO_HOPS_MAX);
    for (unsigned i = 0; array && i < count && !f->failed; i++) {
        struct json_fields e;
        if (!json_element(f, array, i, "next_hops", &e))
            break;
        struct slice given = json_text(&e, "host", true, HOST_MAX_BYTES), host = {0};
        if (given.p && !name_host(f->r->arena, given, &host))
            json_reject(&e, "host", "must be a host name or an address, without brackets");
        hops[i].host = host.p ? arena_slicedup(f->r->arena, host) : "";
        hops[i].port = (unsigned)json_number(&e, "port", 1, 65535, ROUTE_SMTP_PORT);
        f->failed = !json_end(&e); /* it has answered */
    }
    if (!f->failed)
        out->destination = route_to_key(f->r->arena, hops, count);
}

AWAITS void queue_acts_read(struct json_fields *f, enum queue_act_kind kind, struct queue_act *out)
{
    *out = (struct queue_act){.kind = kind};
    switch (kind) {
    case QUEUE_ACT_RETRY:
    case QUEUE_ACT_RELEASE:
    case QUEUE_ACT_REJECT:
    case QUEUE_ACT_EXPIRE: break;
    case QUEUE_ACT_HOLD: read_hold(f, out); break;
    case QUEUE_ACT_CANCEL:
        if (!json_given(f, "bounce"))
            json_reject(f, "bounce", "must be given: true or false");
        if (json_flag(f, "bounce", false))
            out->kind = QUEUE_ACT_REJECT;
        break;
    case QUEUE_ACT_REDIRECT: (json_given(f, "route") ? read_route : read_hops)(f, out); break;
    case QUEUE_ACT_PRIORITY:
        if (!json_given(f, "priority"))
            json_reject(f, "priority", "must be given: a number from -9 to 9");
        out->priority = (int)json_number(f, "priority", -9, 9, 0);
        break;
    }
}

AWAITS bool queue_acts_read_body(struct request *r, enum queue_act_kind kind, struct queue_act *out)
{
    struct json_fields f;
    *out = (struct queue_act){.kind = kind};
    if (!r->body.n &&
        (kind == QUEUE_ACT_RETRY || kind == QUEUE_ACT_RELEASE || kind == QUEUE_ACT_REJECT || kind == QUEUE_ACT_EXPIRE))
        return true;
    if (!json_begin(r, &f))
        return false;
    queue_acts_read(&f, kind, out);
    return json_end(&f);
}
