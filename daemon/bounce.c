/*
 * bounce: the end of a message that cannot be delivered.
 *
 * The DSN is mail like any other: built by relay/dsn.c, given to accept_commit() with the null sender, and on its way
 * when that says DONE.  Only then are the entries that failed reported as bounced; a crash in between sends the DSN
 * twice, never not at all.
 *
 * Where it goes is decided as for any recipient: into a mailbox here, to a relay domain's next hops, or outside, or to each of
 * those that an alias stands for.
 * There is no DSN for mail from the null sender (RFC 5321 6.1: a bounce of a bounce), nor for a sender in a
 * domain of ours who does not exist: both end with the event that queue_report() writes.
 *
 * Its header is read from the message's first chunk; a message without content (it was deleted) is reported without.
 */
#include "daemon/bounce.h"

#include <string.h>

#define LOG_MODULE "bounce"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/runner_internal.h"
#include "relay/permit.h"
#include "storage/directory.h"

#define HEADER_READ (64 * 1024)

enum way { WAY_FOUND, WAY_NONE, WAY_LATER };

static struct slice domain_of(struct slice address)
{
    for (size_t i = address.n; i > 0; i--)
        if (address.p[i - 1] == '@')
            return slice_skip(address, i);
    return (struct slice){"", 0};
}

/* Whom the sender's address comes to: itself, or those that it stands for. */
static AWAITS enum way find_targets(struct arena *arena, const struct runner_message *m, struct permit_recipient *to)
{
    static const struct authorize_sender nobody;
    struct authorize_decision decision = {0};

    to->address = m->sender;
    to->domain = domain_of(m->sender);
    switch (directory_recipient(arena, m->sender, &to->found)) {
    case DB_FOUND: break;
    case DB_NONE: return WAY_NONE;
    case DB_FAILED: return WAY_LATER;
    }
    if (to->found.has_expansion) {
        if (!permit_expand(arena, NULL, &nobody, to, &decision))
            return WAY_LATER;
        return to->target_count ? WAY_FOUND : WAY_NONE;
    }
    if (!to->found.has_domain && !to->domain.n)
        return WAY_NONE;
    authorize_delivery(arena, m->sender, &to->found, &decision);
    if (decision.verdict == AUTHORIZE_UNKNOWN || decision.verdict == AUTHORIZE_DENIED)
        return WAY_NONE;
    to->targets = arena_alloc(arena, sizeof *to->targets);
    to->target_count = 1;
    *to->targets = (struct resolve_target){m->sender, decision.verdict, NULL, to->found};
    return WAY_FOUND;
}

/* The DSN's recipient for a target, and whose mail it is. */
static struct accept_recipient make_recipient(struct arena *arena, const struct runner_message *m,
                                              const struct permit_recipient *sender, const struct resolve_target *target,
                                              int64_t *customer_id, unsigned *cell)
{
    const struct directory_recipient *found = &target->found;
    bool reads = found->has_account && directory_may_receive(&found->account);
    struct accept_recipient to = {
        .address = target->address,
        .original = target->by ? sender->address : (struct slice){NULL, 0},
        .expires_ms = clock_now_ms() + runner_settings()->queue_lifetime_ms,
    };

    *customer_id = found->domain.customer_id;
    *cell = found->domain.cell;
    switch (target->verdict) {
    case AUTHORIZE_MAILBOX: to.mailbox_id = found->account.inbox_id; break;
    case AUTHORIZE_RELAY:
        to.queue = true;
        to.destination = queue_destination_domain(arena, found->domain.id);
        to.domain_id = found->domain.id;
        to.account_id = reads ? found->account.id : 0;
        if (found->domain.outage_id) { /* as for any mail that comes while its primary is away */
            to.waiting = true;
            to.mailbox_id = reads ? found->account.inbox_id : 0;
        }
        break;
    case AUTHORIZE_OUTSIDE:
        *customer_id = target->by ? target->by->customer_id : m->customer_id;
        *cell = target->by ? target->by->cell : id_cell(m->id);
        to.queue = true;
        to.destination = runner_settings()->default_route_host ? QUEUE_DESTINATION_DEFAULT
                                                               : queue_destination_mx(arena, domain_of(target->address));
        break;
    case AUTHORIZE_ALLOWED:
    case AUTHORIZE_EXPANDED:
    case AUTHORIZE_UNKNOWN:
    case AUTHORIZE_DENIED: break; /* no verdict of a target */
    }
    return to;
}

/* One message for each customer.  Returns how many. */
static unsigned gather(struct arena *arena, const struct runner_message *m, const struct permit_recipient *sender,
                       struct accept_message *messages)
{
    unsigned count = 0;

    for (unsigned t = 0; t < sender->target_count; t++) {
        int64_t customer_id;
        unsigned cell, i = 0;
        struct accept_recipient to = make_recipient(arena, m, sender, &sender->targets[t], &customer_id, &cell);

        while (i < count && messages[i].customer_id != customer_id)
            i++;
        if (i == count) {
            messages[count++] = (struct accept_message){.cell = cell, .customer_id = customer_id, .id = id_make(cell)};
            messages[i].recipients = arena_array(arena, sender->target_count, sizeof to);
        }
        messages[i].recipients[messages[i].recipient_count++] = to;
    }
    return count;
}

static struct slice read_header(struct arena *arena, const struct runner_message *m)
{
    char *buffer = arena_alloc(arena, HEADER_READ);
    struct slice start = {NULL, 0};
    size_t had = m->prefix.n < HEADER_READ ? m->prefix.n : HEADER_READ;

    memcpy(buffer, m->prefix.p ? m->prefix.p : "", had);
    if (!m->spool)
        return slice_of(buffer, had);
    if (!spool_read(m->spool, m->offset, HEADER_READ - had, buffer + had, &start))
        start.n = 0;
    if (start.n && start.p != buffer + had)
        memcpy(buffer + had, start.p, start.n);
    return slice_of(buffer, had + start.n);
}

static AWAITS enum db_write commit(struct arena *arena, struct runner_message *m, const struct dsn_recipient *recipients,
                                   unsigned count, struct accept_message *messages, unsigned message_count)
{
    struct spool *spool = spool_new();
    int64_t now = clock_now_ms();
    struct dsn dsn = {
        .reporting_mta = slice_str(runner_settings()->hostname),
        .sender = m->sender,
        .message_id = m->id,
        .dsn_id = messages[0].id,
        .arrival_ms = m->received_ms,
        .now_ms = now,
        .recipients = recipients,
        .count = count,
        .header = read_header(arena, m),
    };
    enum db_write written = DB_UNDONE;

    for (unsigned i = 0; i < message_count; i++) {
        messages[i].sender = SLICE("");
        messages[i].received_ms = now;
        messages[i].protocol = "LOCAL";
        messages[i].prefix = SLICE("Return-Path: <>\r\n");
        messages[i].spool = spool;
    }
    if (spool_append(spool, dsn_build(arena, &dsn)))
        written = accept_commit(messages, message_count);
    spool_unref(&spool);
    return written;
}

/* True: the sender has been told, or there is nobody to tell. */
static AWAITS bool tell(struct arena *arena, struct runner_message *m, const struct dsn_recipient *recipients, unsigned count)
{
    struct permit_recipient to = {0};
    struct accept_message *messages;
    unsigned message_count;

    if (!m->sender.n) {
        log_info("no bounce for a bounce", log_id("message", m->id));
        return true;
    }
    switch (find_targets(arena, m, &to)) {
    case WAY_FOUND: break;
    case WAY_NONE:
        log_info("no bounce: the sender cannot be reached", log_id("message", m->id), log_slice("sender", m->sender));
        return true;
    case WAY_LATER: return false;
    }
    if (runner_message_load(m) == DB_FAILED)
        return false;
    messages = arena_array(arena, to.target_count, sizeof *messages);
    message_count = gather(arena, m, &to, messages);
    switch (commit(arena, m, recipients, count, messages, message_count)) {
    case DB_DONE: break;
    case DB_REFUSED: /* the account went meanwhile */
        log_warn("a bounce was refused", log_id("message", m->id), log_slice("sender", m->sender));
        return true;
    case DB_CONFLICT:
    case DB_UNDONE:
    case DB_UNCERTAIN:
        log_warn("a bounce could not be stored yet", log_id("message", m->id));
        return false;
    }
    log_info("bounce accepted", log_id("message", m->id), log_id("bounce", messages[0].id), log_slice("sender", m->sender));
    return true;
}

bool bounce_send(struct runner_message *message, const struct dsn_recipient *recipients, unsigned count)
{
    struct arena *arena = arena_new(SIZE_MAX);
    bool told = tell(arena, message, recipients, count);

    arena_free(&arena);
    return told;
}
