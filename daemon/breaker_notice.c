/*
 * breaker_notice: two letters in one transaction: to the owner, in words that need no manual, and to whom the policy
 * names.
 *
 * They go where any mail for these addresses goes, from the null sender, so that nobody is told should they not
 * arrive.  The first has the id that the opening has set aside: it is accepted once, and with it the other; whoever
 * comes after a worker that died in between finds it there.
 */
#include "daemon/breaker_notice.h"

#define LOG_MODULE "breaker"
#include "core/clock.h"
#include "core/id.h"
#include "core/idn.h"
#include "core/log.h"
#include "daemon/runner_internal.h"
#include "relay/notice.h"

#define LETTERS_MAX 200 /* messages; an address may be a group of ours */

static const char *what_happened(struct arena *arena, const struct breaker_trip *trip)
{
    switch (trip->measure) {
    case BREAKER_MESSAGES: return arena_printf(arena, "%u messages in an hour, which is more than", trip->value);
    case BREAKER_RECIPIENTS:
        return arena_printf(arena, "messages to %u recipients in an hour, which is more than", trip->value);
    case BREAKER_FAILURES:
        return arena_printf(arena, "messages of which %u came back in an hour, which is more than", trip->value);
    case BREAKER_COUNTRIES:
        return arena_printf(arena, "messages from %u countries in a day that are new to it, which is more than",
                            trip->value);
    }
    return "";
}

static const char *until_when(struct arena *arena, const struct breaker_work *work)
{
    char at[CLOCK_RFC5322_SIZE];

    if (work->until_ms == INT64_MIN)
        return "It stays so until your provider ends it.";
    return arena_printf(arena, "It ends by itself on\r\n%s.", clock_rfc5322(work->until_ms, at));
}

static const char *for_owner(struct arena *arena, const struct breaker_work *work)
{
    return arena_printf(
        arena,
        "Your account %.*s has sent\r\n%s the %u\r\nthat it may send by what it usually does.\r\n\r\n"
        "This happens when somebody else knows its password, and when a program\r\nsends more than usual.\r\n\r\n"
        "What the account sends is accepted, and waits until your provider has\r\nlooked at it. Nothing of it is lost. "
        "You can read and receive mail as ever.\r\n%s\r\n\r\n"
        "If it was not you: change your password, and tell your provider.\r\n"
        "If it was you: tell your provider, who can let it go.\r\n",
        SLICE_ARG(work->address), what_happened(arena, &work->trip), work->trip.limit, until_when(arena, work));
}

static const char *for_others(struct arena *arena, const struct breaker_work *work)
{
    return arena_printf(
        arena,
        "The account %.*s has sent\r\n%s its limit, %u.\r\n\r\n"
        "What it sends is accepted and held. %s\r\nIts owner is told.\r\n\r\n"
        "    posthouse breakers show %.*s\r\n    posthouse queue list --account %.*s --held-by breaker\r\n",
        SLICE_ARG(work->address), what_happened(arena, &work->trip), work->trip.limit, until_when(arena, work),
        SLICE_ARG(work->address), SLICE_ARG(work->address));
}

static struct slice compose(struct arena *arena, const struct breaker_work *work, struct slice to, const char *subject,
                            const char *text)
{
    const char *host = runner_settings()->hostname;
    char date[CLOCK_RFC5322_SIZE], id[ID_TEXT_SIZE];

    return slice_str(arena_printf(arena,
                                  "From: Mail server <postmaster@%s>\r\nTo: <%.*s>\r\nDate: %s\r\n"
                                  "Message-ID: <breaker.%s@%s>\r\nSubject: %s\r\nAuto-Submitted: auto-generated\r\n"
                                  "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                  "Content-Transfer-Encoding: 8bit\r\n\r\n%s",
                                  host, SLICE_ARG(to), clock_rfc5322(work->opened_ms, date),
                                  id_print(work->notice_id, id), host, subject, text));
}

/* Adds the letter's messages, if it is for somebody.  False: it could not be made yet. */
static AWAITS bool add(struct arena *arena, const struct breaker_work *work, struct slice to, struct slice content,
                       struct accept_message *all, unsigned *count)
{
    const struct notice_settings settings = {runner_settings()->hostname, runner_default_route(),
                                             runner_settings()->queue_lifetime_ms};
    const struct notice_letter letter = {.sender = SLICE(""),
                                         .recipient = to,
                                         .customer_id = work->customer_id,
                                         .cell = id_cell(work->account_id),
                                         .content = content};
    bool utf8 = !idn_is_ascii(work->address) || !idn_is_ascii(to);
    struct accept_message *messages;
    unsigned n;

    switch (notice_letter(arena, &settings, &letter, &messages, &n)) {
    case NOTICE_MADE: break;
    case NOTICE_NOBODY: return true;
    case NOTICE_LATER: return false;
    }
    for (unsigned i = 0; i < n && *count < LETTERS_MAX; i++) {
        messages[i].parameters = utf8 ? SLICE(ENVELOPE_SMTPUTF8_STORED) : messages[i].parameters;
        messages[i].eight_bit = utf8;
        all[(*count)++] = messages[i];
    }
    return true;
}

static AWAITS bool tell(struct arena *arena, const struct breaker_work *work)
{
    struct accept_message *all = arena_array(arena, LETTERS_MAX, sizeof *all);
    struct slice notify = work->notify;
    unsigned count = 0;
    bool sent = true;

    if (!add(arena, work, work->address,
             compose(arena, work, work->address, "What your account sends is being held", for_owner(arena, work)), all,
             &count) ||
        (notify.p &&
         !add(arena, work, notify,
              compose(arena, work, notify, "An account's mail is being held", for_others(arena, work)), all, &count)))
        sent = false;
    if (sent && count && id_cell(all[0].id) == id_cell(work->notice_id))
        all[0].id = work->notice_id;
    if (sent && count)
        sent = accept_commit(all, count) == DB_DONE;
    notice_done(all, count);
    return sent;
}

AWAITS bool breaker_notice(const struct breaker_work *work)
{
    struct arena *arena = arena_new(SIZE_MAX);
    bool done = false;

    switch (breaker_is_told(work->notice_id)) {
    case DB_FOUND: done = true; break;
    case DB_NONE: done = tell(arena, work); break;
    case DB_FAILED: break;
    }
    arena_free(&arena);
    if (!done || breaker_told(work->account_id) != DB_DONE) {
        log_info("whose mail is held is not told yet", log_id("account", work->account_id));
        return false;
    }
    log_info("whose mail is held is told", log_id("account", work->account_id), log_id("message", work->notice_id));
    return true;
}
