/*
 * dsn: a delivery status notification: what has failed for good, is late, or has arrived.
 *
 *     multipart/report; report-type=delivery-status           RFC 6522
 *       text/plain                   for people
 *       message/delivery-status      RFC 3464: a block for the message, then one for each recipient
 *       text/rfc822-headers          the header of the message that it is about, at most HEADER_MAX of it
 *    or message/rfc822               all of it, if its sender asked for that (RET=FULL, RFC 3461 4.3)
 *
 * Not asked, only the header is returned: the sender has the content, and a forged sender should not get it from
 * us.  It goes out in quoted-printable when it holds anything but short lines of ASCII (RFC 6522 section 4 allows
 * that); so the whole is 7-bit, fits every next hop, and cannot be broken by what a stranger wrote.
 *
 * Every word that came from outside (addresses, diagnostics) is made printable ASCII and cut, one line each; a line
 * that would be too long for RFC 5322 2.1.1 is folded where fields allow it (diagnostics are: xtext is for others).
 *
 * Where an address or the returned message is not ASCII (RFC 6533) the types are message/global-delivery-status and
 * message/global-headers or message/global, addresses are of type utf-8, and domains are in U-labels.  All of it is in
 * quoted-printable (sections 4.4, 4.5), so that such a report, too, fits every next hop: only the address that it goes
 * to can make it one for SMTPUTF8.
 *
 * Auto-Submitted (RFC 3834) and the null sender, which the caller uses, keep vacation programs from answering.
 */
#include "relay/dsn.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/idn.h"
#include "relay/envelope.h"

#define HEADER_MAX (64 * 1024)
#define WORDS_MAX 900
#define FOLD_AT 72

struct text {
    struct arena *arena;
    char *p;
    size_t n, room;
    bool utf8; /* words may be UTF-8 */
};

static void put(struct text *text, struct slice bytes)
{
    if (text->n + bytes.n > text->room) {
        size_t room = (text->n + bytes.n) * 2;
        char *larger = arena_alloc(text->arena, room);

        if (text->n)
            memcpy(larger, text->p, text->n);
        text->p = larger;
        text->room = room;
    }
    if (bytes.n)
        memcpy(text->p + text->n, bytes.p, bytes.n);
    text->n += bytes.n;
}

static void put_str(struct text *text, const char *words)
{
    put(text, slice_str(words));
}

/* One line, printable, cut; ASCII, unless the text may have UTF-8 and this is that. */
static struct slice clean(const struct text *text, struct slice words)
{
    size_t n = words.n < WORDS_MAX ? words.n : WORDS_MAX;
    char *out = arena_alloc(text->arena, n + 1);
    bool utf8 = text->utf8 && idn_is_utf8(slice_of(words.p, n));

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)words.p[i];

        out[i] = (c >= 0x20 && c < 0x7f) || (utf8 && c > 0x7f) ? (char)c : c == '\t' ? ' ' : '?';
    }
    return slice_of(out, n);
}

/* "Name: value", folded at blanks (RFC 5322 2.2.3). */
static void put_field(struct text *text, const char *name, struct slice value)
{
    size_t column = strlen(name) + 2;

    put_str(text, name);
    put_str(text, ":");
    for (struct slice rest = clean(text, value); rest.n;) {
        size_t blanks = 0, word;

        while (blanks < rest.n && rest.p[blanks] == ' ')
            blanks++;
        for (word = blanks; word < rest.n && rest.p[word] != ' '; word++)
            continue;
        if (word == blanks)
            break;
        put_str(text, column > strlen(name) + 2 && column + word > FOLD_AT ? "\r\n " : " ");
        column = column + word > FOLD_AT ? word : column + word + 1;
        put(text, slice_of(rest.p + blanks, word - blanks));
        rest = slice_skip(rest, word);
    }
    put_str(text, "\r\n");
}

static void put_time(struct text *text, const char *name, int64_t ms)
{
    char date[CLOCK_RFC5322_SIZE];

    put_field(text, name, slice_str(clock_rfc5322(ms, date)));
}

/* ------------------------------------------------------------------ the parts */

/* What differs between reports, by action. */
static const struct {
    const char *name; /* RFC 3464 2.3.3 */
    const char *subject, *opening, *remote, *diagnostic;
} words[] = {
    [DSN_FAILED] = {"failed", "Subject: Undelivered mail returned to sender\r\n",
                    "Your message could not be delivered to the recipients below. It has been given up\r\n"
                    "and will not be tried again.",
                    "  Refused by", "  Reason"},
    [DSN_DELAYED] = {"delayed", "Subject: Delayed mail is still being tried\r\n",
                     "Your message could not be delivered to the recipients below yet. It is still being\r\n"
                     "tried; there is no need to send it again.",
                     "  Put off by", "  Reason"},
    [DSN_DELIVERED] = {"delivered", "Subject: Mail delivered\r\n",
                       "Your message was delivered to the recipients below; you asked to be told.", "  Delivered by",
                       "  Reply"},
    [DSN_RELAYED] = {"relayed", "Subject: Mail handed on\r\n",
                     "Your message was handed on for the recipients below to a server that may give no\r\n"
                     "report of its delivery; you asked to be told.",
                     "  Handed on to", "  Reply"},
    [DSN_EXPANDED] = {"expanded", "Subject: Mail sent on to several\r\n",
                      "The recipients below stand for several others, to which your message was sent on;\r\n"
                      "you asked to be told.",
                      "  Handed on to", "  Reply"},
    [DSN_LATE] = {"delayed", "Subject: Mail is late\r\n",
                  "Your message was not delivered to the recipients below in the time that you gave. It\r\n"
                  "is still being tried; there is no need to send it again.",
                  "  Put off by", "  Reason"},
    [DSN_TRACED] = {"relayed", "Subject: Mail handed on\r\n",
                    "Your message, which is to be delivered by a certain time, was handed on for the\r\n"
                    "recipients below.",
                    "  Handed on to", "  Reply"},
};

/* An address that is ASCII stays so, with its A-labels. */
static struct slice address_shown(const struct text *text, struct slice address)
{
    return idn_is_ascii(address) ? address : idn_address_unicode(text->arena, address);
}

static void put_top(struct text *text, const struct dsn *dsn, const char *id, const char *boundary)
{
    put_field(text, "From",
              slice_str(arena_printf(text->arena, "Mail Delivery System <MAILER-DAEMON@%.*s>",
                                     SLICE_ARG(dsn->reporting_mta))));
    text->utf8 = true;
    put_field(text, "To", slice_str(arena_printf(text->arena, "<%.*s>", SLICE_ARG(address_shown(text, dsn->sender)))));
    text->utf8 = false;
    put_str(text, words[dsn->action].subject);
    put_time(text, "Date", dsn->now_ms);
    put_field(text, "Message-ID", slice_str(arena_printf(text->arena, "<%s@%.*s>", id, SLICE_ARG(dsn->reporting_mta))));
    put_str(text, "Auto-Submitted: auto-replied\r\n"
                  "MIME-Version: 1.0\r\n");
    if (dsn->full && dsn->eight_bit)
        put_str(text, "Content-Transfer-Encoding: 8bit\r\n");
    put_str(text, "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"");
    put_str(text, boundary);
    put_str(text, "\"\r\n\r\nThis is a delivery report in MIME format (RFC 6522).\r\n");
}

static void put_part(struct text *text, const char *boundary, const char *head)
{
    put_str(text, "\r\n--");
    put_str(text, boundary);
    put_str(text, "\r\n");
    put_str(text, head);
    put_str(text, "\r\n");
}

/* Is it what a server has said: a reply's code (RFC 5321 4.2), and what follows? */
static bool is_reply(struct slice text)
{
    return text.n >= 3 && text.p[0] >= '2' && text.p[0] <= '5' && text.p[1] >= '0' && text.p[1] <= '5' &&
           text.p[2] >= '0' && text.p[2] <= '9' && (text.n == 3 || text.p[3] == ' ');
}

static void put_for_people(struct text *text, const struct dsn *dsn, const char *id)
{
    put_str(text, "This is the mail system at ");
    put(text, clean(text, dsn->reporting_mta));
    put_str(text, ".\r\n\r\n");
    put_str(text, words[dsn->action].opening);
    put_str(text, dsn->full || dsn->content.p ? " Your message is attached.\r\n"
                                              : " The header of your message is attached.\r\n");
    for (unsigned i = 0; i < dsn->count; i++) {
        const struct dsn_recipient *r = &dsn->recipients[i];

        put_str(text, "\r\n");
        put_field(text, "  Recipient", address_shown(text, r->address));
        if (r->remote.n)
            put_field(text, is_reply(r->diagnostic) ? words[dsn->action].remote : "  Host", r->remote);
        if (r->cause.n)
            put_field(text, "  Reason", r->cause);
        if (r->diagnostic.n)
            put_field(text, r->cause.n ? "  Last answer" : words[dsn->action].diagnostic, r->diagnostic);
        if (r->until_ms)
            put_time(text, "  Tried until", r->until_ms);
    }
    put_str(text, "\r\nThe message is known here as ");
    put_str(text, id);
    put_str(text, ".\r\n");
}

/* addr-type ";" text; without one that fits, x-local */
static void put_typed(struct text *text, const char *name, const char *type, struct slice value)
{
    put_field(text, name, slice_str(arena_printf(text->arena, "%s; %.*s", type, SLICE_ARG(clean(text, value)))));
}

/*
 * addr-type ";" xtext (RFC 3461 4.2); the field has it without xtext (6.3).  Of type utf-8 it has the address itself
 * where UTF-8 may stand, and else what came, which is ASCII (RFC 6533 section 3).
 */
static void put_original(struct text *text, struct slice orcpt)
{
    const char *end = memchr(orcpt.p, ';', orcpt.n);
    struct slice type, rest, plain;

    if (!end)
        return;
    type = slice_of(orcpt.p, (size_t)(end - orcpt.p));
    rest = slice_skip(orcpt, type.n + 1);
    if (slice_equal_nocase(type, SLICE("utf-8")) && (!text->utf8 || !idn_unescape(text->arena, rest, true, &plain)))
        plain = rest;
    else if (!slice_equal_nocase(type, SLICE("utf-8")) && !envelope_xtext(text->arena, rest, &plain))
        return;
    put_typed(text, "Original-Recipient", arena_slicedup(text->arena, type), plain);
}

/* RFC 3464 2.2.4: what the client called itself, and where it was.  No name that would be read as more than one. */
static void put_received_from(struct text *text, const struct dsn *dsn)
{
    const char *name = dsn->helo;

    if (!name || !*name || !dsn->client)
        return;
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]")])
        return;
    put_typed(text, "Received-From-MTA", "dns", slice_str(arena_printf(text->arena, "%s (%s)", name, dsn->client)));
}

static void put_for_programs(struct text *text, const struct dsn *dsn, const char *id)
{
    struct slice envid;

    if (dsn->envid.p && envelope_xtext(text->arena, dsn->envid, &envid)) /* RFC 3464 2.2.1 */
        put_field(text, "Original-Envelope-Id", envid);
    put_typed(text, "Reporting-MTA", "dns", dsn->reporting_mta); /* RFC 3464 2.2.2 */
    put_received_from(text, dsn);
    put_time(text, "Arrival-Date", dsn->arrival_ms);
    if (dsn->deliver_by_ms)
        put_time(text, "Deliver-By-Date", dsn->deliver_by_ms);
    if (dsn->future_release.p)
        put_field(text, "Future-Release-Request", dsn->future_release);
    for (unsigned i = 0; i < dsn->count; i++) {
        const struct dsn_recipient *r = &dsn->recipients[i];

        put_str(text, "\r\n");
        if (r->original.p)
            put_original(text, r->original);
        put_typed(text, "Final-Recipient", idn_is_ascii(r->address) ? "rfc822" : "utf-8",
                  address_shown(text, r->address));
        put_field(text, "Action", slice_str(words[dsn->action].name));
        put_field(text, "Status", r->status);
        if (r->remote.n)
            put_typed(text, "Remote-MTA", "dns", r->remote);
        if (r->diagnostic.n || r->cause.n) { /* 2.3.6, RFC 3461 9.2: smtp only for a server's reply */
            struct slice diagnostic = r->diagnostic.n ? r->diagnostic : r->cause;

            put_typed(text, "Diagnostic-Code", is_reply(diagnostic) ? "smtp" : "x-posthouse", diagnostic);
        }
        if (r->attempt_ms)
            put_time(text, "Last-Attempt-Date", r->attempt_ms);
        if (dsn->action == DSN_DELIVERED) /* 2.3.8: elsewhere the final server is another */
            put_field(text, "Final-Log-ID", slice_str(id));
        if (r->until_ms)
            put_time(text, "Will-Retry-Until", r->until_ms); /* 2.3.9 */
    }
}

/* ------------------------------------------------------------------ the header that comes back */

/* Short lines of ASCII, each ended by CRLF. */
static bool is_plain(struct slice text)
{
    size_t column = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '\r' && i + 1 < text.n && text.p[i + 1] == '\n') {
            column = 0;
            i++;
            continue;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f || ++column > 998) /* char is signed: 8-bit bytes are below, too */
            return false;
    }
    return column == 0;
}

/* RFC 2045 6.7, over lines: what is not a CRLF is content. */
static void put_quoted_printable(struct text *text, struct slice in)
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned column = 0;

    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        bool at_end = i + 1 == in.n || in.p[i + 1] == '\r' || in.p[i + 1] == '\n';
        bool literal = (c > 0x20 && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !at_end);
        char out[3] = {'=', hex[c >> 4], hex[c & 15]};

        if (c == '\r' && i + 1 < in.n && in.p[i + 1] == '\n') {
            put_str(text, "\r\n");
            column = 0;
            i++;
            continue;
        }
        if (column + (literal ? 1 : 3) > 75) {
            put_str(text, "=\r\n");
            column = 0;
        }
        put(text, literal ? slice_of(in.p + i, 1) : slice_of(out, 3));
        column += literal ? 1 : 3;
    }
    if (column)
        put_str(text, "\r\n");
}

/* A part that is as it is, or in quoted-printable. */
static void put_encoded(struct text *text, const char *boundary, const char *head, struct slice content)
{
    bool plain = is_plain(content);

    put_part(text, boundary,
             plain ? head : arena_printf(text->arena, "%sContent-Transfer-Encoding: quoted-printable\r\n", head));
    if (plain)
        put(text, content);
    else
        put_quoted_printable(text, content);
}

/* Up to the empty line, and not more than HEADER_MAX, whole lines. */
static struct slice header_of(struct slice content)
{
    size_t n = 0;

    while (n < content.n && n < HEADER_MAX) {
        const char *end = memchr(content.p + n, '\n', content.n - n);
        size_t next = end ? (size_t)(end - content.p) + 1 : content.n;

        if (next - n <= 2 && content.p[next - 1] == '\n' && (next - n == 1 || content.p[n] == '\r'))
            break;
        n = next;
    }
    return slice_of(content.p, n < HEADER_MAX ? n : HEADER_MAX);
}

static void put_header(struct text *text, const char *boundary, struct slice content, bool utf8)
{
    struct slice header = header_of(content);
    bool plain = is_plain(header);

    put_encoded(text, boundary,
                !plain && utf8 ? "Content-Type: message/global-headers\r\n" : "Content-Type: text/rfc822-headers\r\n",
                header);
}

/* Is there an address that only UTF-8 can write? */
static bool needs_utf8(struct arena *arena, const struct dsn *dsn)
{
    static const struct slice type = {"utf-8;", 6};
    struct slice plain;
    bool needed = false;

    for (unsigned i = 0; i < dsn->count && !needed; i++) {
        struct slice orcpt = dsn->recipients[i].original;

        needed = !idn_is_ascii(dsn->recipients[i].address) ||
                 (orcpt.n > type.n && slice_equal_nocase(slice_of(orcpt.p, type.n), type) &&
                  idn_unescape(arena, slice_skip(orcpt, type.n), true, &plain) && !idn_is_ascii(plain));
    }
    return needed;
}

struct dsn_text dsn_build(struct arena *arena, const struct dsn *dsn)
{
    bool utf8 = needs_utf8(arena, dsn);
    struct text text = {.arena = arena}, tail = {.arena = arena};
    struct text people = {.arena = arena, .utf8 = utf8}, programs = {.arena = arena, .utf8 = utf8};
    char id[ID_TEXT_SIZE], own[ID_TEXT_SIZE];
    /* Both unique; "=_" cannot stand in quoted-printable, and headers do not contain our ids at a line's start. */
    const char *boundary = arena_printf(arena, "=_%s.%s", id_print(dsn->dsn_id, own), id_print(dsn->message_id, id));

    put_top(&text, dsn, own, boundary);
    put_for_people(&people, dsn, id);
    put_encoded(&text, boundary,
                utf8 ? "Content-Type: text/plain; charset=utf-8\r\n" : "Content-Type: text/plain; charset=us-ascii\r\n",
                slice_of(people.p, people.n));
    put_for_programs(&programs, dsn, id);
    put_encoded(&text, boundary,
                utf8 ? "Content-Type: message/global-delivery-status\r\n" : "Content-Type: message/delivery-status\r\n",
                slice_of(programs.p, programs.n));
    if (!dsn->full && !dsn->content.p)
        put_header(&text, boundary, dsn->header, dsn->utf8);
    else if (dsn->content.p)
        put_encoded(&text, boundary, "Content-Type: message/global\r\n", dsn->content);
    else
        put_part(&text, boundary,
                 dsn->eight_bit ? "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n"
                                : "Content-Type: message/rfc822\r\n");
    put_str(&tail, "\r\n--");
    put_str(&tail, boundary);
    put_str(&tail, "--\r\n");
    return (struct dsn_text){slice_of(text.p, text.n), slice_of(tail.p, tail.n)};
}
