/*
 * notice: whether a sender is told, and the message that tells him.
 *
 *     what happened                          told if NOTIFY            RFC 3461
 *     it failed for good                     has FAILURE, or is absent 5.2.6
 *     it is late                             has DELAY, or is absent   5.2.5
 *     it is in a mailbox here                has SUCCESS               5.2.3
 *     it went on to a server without DSN     has SUCCESS               5.2.2
 *     it went on to a server with DSN        never: that is its duty   5.2.1
 *     it went on to several, by an alias     has SUCCESS               5.2.7.3 (c)
 *
 *     it is later than BY=;N permits         is not NEVER              RFC 2852 4.1.4
 *     it went on, and BY has T, or it is
 *     N and the server knows no DELIVERBY    is not NEVER              RFC 2852 4.1.4
 *
 * NOTIFY=NEVER has none of the three words.
 *
 * Where a notice goes is decided as for any recipient: into a mailbox here, to a relay domain's next hops, or outside,
 * or to each of those that an alias stands for.  A sender in a domain of ours who does not exist, or receives nothing,
 * is nobody; so is one of whom a relay domain's primary has said so.
 *
 * RET=FULL is honoured for failures (RFC 3461 4.3) of messages up to FULL_MAX, as 6.2 permits: a report that is too
 * big for its next hop would be lost without a trace.  For the same reason it is not declared as 8BITMIME: it goes as
 * it is; one that needed SMTPUTF8 comes in quoted-printable.  A message with NUL is returned as its header, and so is
 * one with REQUIRETLS (RFC 8689 section 5), whose reports have REQUIRETLS, too.
 */
#include "relay/notice.h"

#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/idn.h"
#include "relay/outgoing.h"
#include "relay/permit.h"
#include "relay/srs_way.h"
#include "storage/delivery_policy.h"
#include "storage/directory.h"
#include "storage/name.h"
#include "storage/queue.h"

#define HEADER_READ (64 * 1024)
#define FULL_MAX (1024 * 1024)
#define PIECE (16 * 1024)

/* ------------------------------------------------------------------ whether */

bool notice_wanted(struct slice sender, const struct envelope_rcpt *envelope, enum dsn_action action)
{
    unsigned notify = envelope->notify ? envelope->notify : ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY;

    if (!sender.n) /* RFC 3461 5.2, RFC 5321 6.1 */
        return false;
    switch (action) {
    case DSN_FAILED: return notify & ENVELOPE_NOTIFY_FAILURE;
    case DSN_DELAYED: return notify & ENVELOPE_NOTIFY_DELAY;
    case DSN_DELIVERED:
    case DSN_RELAYED:
    case DSN_EXPANDED: return notify & ENVELOPE_NOTIFY_SUCCESS;
    case DSN_LATE:
    case DSN_TRACED: return notify != ENVELOPE_NOTIFY_NEVER; /* BY is a wish of its own */
    }
    return false;
}

int64_t notice_delay_at(struct slice sender, const struct envelope_rcpt *envelope, bool readable, int64_t received_ms,
                        int64_t delay_ms)
{
    if (!delay_ms || !notice_wanted(sender, envelope, DSN_DELAYED) || (readable && !envelope->notify))
        return 0;
    return received_ms + delay_ms;
}

/* ------------------------------------------------------------------ where to */

/* Whom the sender's address comes to: itself, or those that it stands for. */
static AWAITS enum notice_made find_targets(struct arena *arena, struct slice sender, struct permit_recipient *to)
{
    static const struct authorize_sender nobody;
    static const struct permit ourselves; /* the null sender */
    struct authorize_decision decision = {0};

    to->address = sender;
    to->domain = name_address_domain(sender);
    switch (directory_recipient(arena, sender, &to->found)) {
    case DB_FOUND: break;
    case DB_NONE: return NOTICE_NOBODY;
    case DB_FAILED: return NOTICE_LATER;
    }
    switch (srs_way_back(arena, &ourselves, to, &decision)) { /* forwarded by us before, it came back to us */
    case SRS_WAY_NONE:
    case SRS_WAY_BACK: break;
    case SRS_WAY_REFUSED: return NOTICE_NOBODY;
    case SRS_WAY_FAILED: return NOTICE_LATER;
    }
    if (!permit_existing(arena, &sender, &to->found, 1))
        return NOTICE_LATER;
    if (to->found.has_expansion) {
        if (!permit_expand(arena, NULL, &nobody, to, &decision))
            return NOTICE_LATER;
        return to->target_count ? NOTICE_MADE : NOTICE_NOBODY;
    }
    if (!to->found.has_domain && !to->domain.n)
        return NOTICE_NOBODY;
    authorize_delivery(arena, sender, &to->found, &decision);
    if (decision.verdict == AUTHORIZE_UNKNOWN || decision.verdict == AUTHORIZE_DENIED)
        return NOTICE_NOBODY;
    to->targets = arena_alloc(arena, sizeof *to->targets);
    to->target_count = 1;
    *to->targets =
        (struct resolve_target){to->found.address.n ? to->found.address : sender, decision.verdict, NULL, to->found};
    return NOTICE_MADE;
}

/* The notice's recipient for a target, and whose mail it is.  False: where it goes could not be found out. */
static AWAITS bool make_recipient(struct arena *arena, const struct notice_settings *settings,
                                  const struct notice *notice, const struct resolve_target *target,
                                  struct accept_recipient *out, int64_t *customer_id, unsigned *cell)
{
    const struct directory_recipient *found = &target->found;
    bool reads = found->has_account && directory_may_receive(&found->account);
    struct delivery_times times = {.lifetime_ms = settings->lifetime_ms};
    struct outgoing way;

    delivery_policy_apply(target->address, &times);
    struct accept_recipient to = {
        .address = target->address,
        .original = target->by ? notice->sender : (struct slice){NULL, 0},
        .expires_ms = clock_now_ms() + times.lifetime_ms,
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
        *customer_id = target->by ? target->by->customer_id : notice->customer_id;
        *cell = target->by ? target->by->cell : id_cell(notice->message_id);
        to.queue = true;
        if (!outgoing_find(arena,
                           &(struct route_rule_mail){.customer_id = *customer_id,
                                                     .ours = true,
                                                     .recipient_domain = name_address_domain(target->address)},
                           settings->default_route, &way))
            return false;
        to.destination = way.destination;
        break;
    case AUTHORIZE_ALLOWED:
    case AUTHORIZE_EXPANDED:
    case AUTHORIZE_UNKNOWN:
    case AUTHORIZE_DENIED: break; /* no verdict of a target */
    }
    *out = to;
    return true;
}

/* One message for each customer; *count: how many.  False: it could not be found out where they go. */
static AWAITS bool gather(struct arena *arena, const struct notice_settings *settings, const struct notice *notice,
                          const struct permit_recipient *sender, struct accept_message *messages, unsigned *total)
{
    unsigned count = 0;

    for (unsigned t = 0; t < sender->target_count; t++) {
        int64_t customer_id;
        unsigned cell, i = 0;
        struct accept_recipient to;

        if (!make_recipient(arena, settings, notice, &sender->targets[t], &to, &customer_id, &cell))
            return false;
        while (i < count && messages[i].customer_id != customer_id)
            i++;
        if (i == count) {
            messages[count++] = (struct accept_message){.cell = cell, .customer_id = customer_id, .id = id_make(cell)};
            messages[i].recipients = arena_array(arena, sender->target_count, sizeof to);
        }
        messages[i].recipients[messages[i].recipient_count++] = to;
    }
    *total = count;
    return true;
}

/* ------------------------------------------------------------------ content */

static struct slice read_header(struct arena *arena, const struct notice *notice)
{
    char *buffer = arena_alloc(arena, HEADER_READ);
    struct slice start = {NULL, 0};
    size_t had = notice->prefix.n < HEADER_READ ? notice->prefix.n : HEADER_READ;

    memcpy(buffer, notice->prefix.p ? notice->prefix.p : "", had);
    if (!notice->spool)
        return slice_of(buffer, had);
    if (!spool_read(notice->spool, notice->offset, HEADER_READ - had, buffer + had, &start))
        start.n = 0;
    if (start.n && start.p != buffer + had)
        memcpy(buffer + had, start.p, start.n);
    return slice_of(buffer, had + start.n);
}

/* Appends the content to `to`; NULL: only looks through it.  False: it is not to be returned whole. */
static bool walk(struct arena *arena, const struct notice *notice, struct spool *to, bool *eight_bit)
{
    char *buffer = arena_alloc(arena, PIECE);
    struct slice piece = notice->prefix;
    size_t at = notice->offset;

    for (;;) {
        for (size_t i = 0; i < piece.n; i++) {
            *eight_bit |= (unsigned char)piece.p[i] > 0x7f;
            if (!piece.p[i])
                return false;
        }
        if (to && piece.n && !spool_append(to, piece))
            return false;
        if (!spool_read(notice->spool, at, PIECE, buffer, &piece))
            return false;
        if (!piece.n)
            return true;
        at += piece.n;
    }
}

static struct slice future_release(struct arena *arena, const struct envelope_mail *envelope)
{
    bool interval = envelope->hold_for.p != NULL;

    if (!interval && !envelope->hold_until.p)
        return (struct slice){NULL, 0};
    return slice_str(arena_printf(arena, "%s; %.*s", interval ? "for" : "until",
                                  SLICE_ARG(interval ? envelope->hold_for : envelope->hold_until)));
}

/* All of it, in memory.  p NULL: it cannot be had, or has a NUL. */
static struct slice read_all(struct arena *arena, const struct notice *notice)
{
    char *all = arena_alloc(arena, notice->prefix.n + spool_size(notice->spool) + 1),
         *buffer = arena_alloc(arena, PIECE);
    struct slice piece = notice->prefix;
    size_t n = 0, at = notice->offset;

    do {
        if (piece.n && memchr(piece.p, '\0', piece.n))
            return (struct slice){NULL, 0};
        memcpy(all + n, piece.p ? piece.p : "", piece.n);
        n += piece.n;
        if (!spool_read(notice->spool, at, PIECE, buffer, &piece))
            return (struct slice){NULL, 0};
        at += piece.n;
    } while (piece.n);
    return slice_of(all, n);
}

/* What the report itself asks for on its way: RFC 8689 section 5, RFC 6710 4.6, and its To field may be UTF-8. */
static struct slice parameters_of(struct arena *arena, const struct notice *notice)
{
    const char *words = "";

    if (!idn_is_ascii(notice->sender))
        words = " " ENVELOPE_SMTPUTF8_STORED;
    if (notice->envelope.require_tls)
        words = arena_printf(arena, "%s " ENVELOPE_REQUIRETLS_STORED, words);
    if (notice->envelope.priority)
        words = arena_printf(arena, "%s MT-PRIORITY=%d", words, notice->envelope.priority);
    return *words ? slice_str(words + 1) : (struct slice){NULL, 0};
}

/* RFC 3461 4.3, RFC 8689 section 5. */
static bool is_returned_whole(const struct notice *notice)
{
    return notice->action == DSN_FAILED && notice->envelope.ret == ENVELOPE_RETURN_FULL &&
           !notice->envelope.require_tls && notice->spool && notice->prefix.n + spool_size(notice->spool) <= FULL_MAX;
}

static bool write_content(struct arena *arena, const struct notice_settings *settings, const struct notice *notice,
                          struct accept_message *out)
{
    struct dsn dsn = {
        .action = notice->action,
        .reporting_mta = slice_str(settings->hostname),
        .sender = notice->sender,
        .envid = notice->envelope.envid,
        .deliver_by_ms = envelope_deadline(&notice->envelope, notice->received_ms),
        .future_release = future_release(arena, &notice->envelope),
        .utf8 = notice->envelope.utf8,
        .client = notice->client,
        .helo = notice->helo,
        .message_id = notice->message_id,
        .dsn_id = out->id,
        .arrival_ms = notice->received_ms,
        .now_ms = out->received_ms,
        .recipients = notice->recipients,
        .count = notice->count,
    };

    if (dsn.utf8 && is_returned_whole(notice))
        dsn.content = read_all(arena, notice);
    else
        dsn.full = is_returned_whole(notice) && walk(arena, notice, NULL, &dsn.eight_bit);
    if (!dsn.full && !dsn.content.p)
        dsn.header = read_header(arena, notice);
    struct dsn_text text = dsn_build(arena, &dsn);
    return spool_append(out->spool, text.head) && (!dsn.full || walk(arena, notice, out->spool, &dsn.eight_bit)) &&
           spool_append(out->spool, text.tail);
}

enum notice_made notice_make(struct arena *arena, const struct notice_settings *settings, const struct notice *notice,
                             struct accept_message **out, unsigned *count)
{
    struct permit_recipient to = {0};
    struct spool *spool;
    enum notice_made made;

    *count = 0;
    if ((made = find_targets(arena, notice->sender, &to)) != NOTICE_MADE)
        return made;
    *out = arena_array(arena, to.target_count, sizeof **out);
    if (!gather(arena, settings, notice, &to, *out, count))
        return NOTICE_LATER;
    spool = spool_new();
    for (unsigned i = 0; i < *count; i++) {
        struct accept_message *message = &(*out)[i];

        message->received_ms = clock_now_ms();
        message->sender = SLICE("");
        message->priority = notice->envelope.priority;
        message->protocol = "LOCAL";
        message->prefix = SLICE("Return-Path: <>\r\n");
        message->parameters = parameters_of(arena, notice);
        message->spool = spool_ref(spool);
    }
    if (!write_content(arena, settings, notice, *out)) {
        notice_done(*out, *count);
        made = NOTICE_LATER;
    }
    spool_unref(&spool);
    return made;
}

enum notice_made notice_letter(struct arena *arena, const struct notice_settings *settings,
                               const struct notice_letter *letter, struct accept_message **out, unsigned *count)
{
    const struct notice as_if = {
        .message_id = id_make(letter->cell), .customer_id = letter->customer_id, .sender = letter->recipient};
    struct permit_recipient to = {0};
    struct spool *spool;
    enum notice_made made;

    *count = 0;
    if ((made = find_targets(arena, letter->recipient, &to)) != NOTICE_MADE)
        return made;
    *out = arena_array(arena, to.target_count, sizeof **out);
    if (!gather(arena, settings, &as_if, &to, *out, count))
        return NOTICE_LATER;
    spool = spool_new();
    if (!spool_append(spool, letter->content))
        made = NOTICE_LATER;
    for (unsigned i = 0; i < *count && made == NOTICE_MADE; i++) {
        struct accept_message *message = &(*out)[i];

        message->received_ms = clock_now_ms();
        message->sender = letter->sender;
        message->protocol = "LOCAL";
        message->prefix = slice_str(arena_printf(arena, "Return-Path: <%.*s>\r\n", SLICE_ARG(letter->sender)));
        message->parameters = SLICE(ENVELOPE_TLS_OPTIONAL_STORED);
        message->spool = spool_ref(spool);
    }
    spool_unref(&spool);
    return made;
}

void notice_done(struct accept_message *messages, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        spool_unref(&messages[i].spool);
}
