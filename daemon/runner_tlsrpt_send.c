/*
 * runner_tlsrpt_send: the daily reports (RFC 8460 sections 3 to 5).
 *
 * One worker takes a report that is due out of the database, for half an hour; asks the domain's record again; and sends the
 * same file to all that it names, by HTTPS or as mail of our own.  If one of them has it, it is done (section 3); if none,
 * it is tried again, for a day.  A worker that dies in between is followed by another, with the same report-id.
 *
 * A report by mail comes from the contact, who must be in a domain of ours: it is that customer's mail, and bounces find
 * him.  It says "TLS-Required: No" (RFC 8689), since it must get through to a domain whose TLS is what it tells of (section
 * 3), and so is not counted itself.  It is signed if there is a key for it (relay/dkim.h).
 *
 * An HTTPS address is a stranger's, so it is looked up and judged as the host of an MTA-STS policy is: no hosts of our own
 * network.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOG_MODULE "tlsrpt"
#include "core/clock.h"
#include "core/gzip.h"
#include "core/http.h"
#include "core/id.h"
#include "core/log.h"
#include "daemon/runner_internal.h"
#include "daemon/runner_sts.h"
#include "daemon/runner_tlsrpt.h"
#include "protocols/mime_base64.h"
#include "relay/dkim.h"
#include "relay/notice.h"
#include "storage/directory.h"
#include "storage/name.h"
#include "storage/tls_report.h"

#define TRIES_MAX 48 /* half an hour each: a day */
#define POST_MS 30000
#define ANSWER_MAX 65536
#define DAY_MS (24 * 60 * 60 * INT64_C(1000))
#define HTTPS_PORT 443

/* One report, ready. */
struct ready {
    struct slice domain, file; /* file: gzip */
    const char *name, *id;
    const char *day;
};

enum dns_status runner_tlsrpt_find(struct arena *arena, struct slice domain, struct tlsrpt_rua rua[TLSRPT_RUA_MAX],
                                   unsigned *count)
{
    struct slice *texts = NULL;
    unsigned n = 0;
    enum dns_status status = dns_texts(arena, arena_printf(arena, "_smtp._tls.%.*s", SLICE_ARG(domain)), &texts, &n);

    *count = 0;
    return status == DNS_FOUND && !tlsrpt_record_parse(arena, texts, n, rua, count) ? DNS_NONE : status;
}

/* ------------------------------------------------------------------ by HTTPS */

/* RFC 3986 3.2: a name, perhaps with a port; no user, no literal. */
static bool parse_host(struct arena *arena, const char *url, const char **host, unsigned *port)
{
    const char *start = url + strlen("https://");
    size_t n = strcspn(start, ":/?#"), end = strcspn(start, "/?#");
    char *rest = NULL;

    *host = arena_slicedup(arena, slice_of(start, n));
    *port = HTTPS_PORT;
    if (start[n] == ':') {
        unsigned long number = strtoul(start + n + 1, &rest, 10);

        if (rest != start + end || number < 1 || number > 65535)
            return false;
        *port = (unsigned)number;
    }
    return n > 0 && strspn(*host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == n;
}

static AWAITS bool post(struct arena *arena, const struct ready *ready, const char *url)
{
    struct http_request request = {
        .url = url,
        .ca_file = runner_settings()->sts_ca_file,
        .body = ready->file,
        .body_type = "application/tlsrpt+gzip",
        .timeout_ms = POST_MS,
        .answer_max = ANSWER_MAX,
    };
    const char *host, *why = "not an address";
    struct slice answer;
    unsigned port, status = 0;

    if (parse_host(arena, url, &host, &port))
        request.resolve = runner_sts_resolve(arena, host, port, &why);
    if (request.resolve && http_fetch(arena, &request, &status, &answer) && status / 100 == 2)
        return true;
    log_info("report not taken", log_slice("domain", ready->domain), log_str("url", url), log_int("status", status),
             log_str("reason", request.resolve ? NULL : why));
    return false;
}

/* ------------------------------------------------------------------ by mail */

static struct slice encode(struct arena *arena, struct slice file)
{
    char *out = arena_alloc(arena, MIME_BASE64_ROOM(file.n) + 8);
    struct mime_base64 base64 = {0};
    size_t n = mime_base64_encode(&base64, file, out);

    n += mime_base64_end(&base64, out + n);
    return slice_of(out, n);
}

/* RFC 5322 3.3. */
static const char *date(struct arena *arena)
{
    time_t now = (time_t)(clock_now_ms() / 1000);
    char *text = arena_alloc(arena, 40);
    struct tm tm;

    strftime(text, 40, "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &tm));
    return text;
}

static struct slice compose(struct arena *arena, const struct ready *ready, const char *to)
{
    const struct runner_settings *s = runner_settings();
    struct slice base64 = encode(arena, ready->file);

    return slice_str(arena_printf(
        arena,
        "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\nMessage-ID: <%s>\r\n"
        "Subject: Report Domain: %.*s\r\n Submitter: %s\r\n Report-ID: <%s>\r\n"
        "TLS-Report-Domain: %.*s\r\nTLS-Report-Submitter: %s\r\nTLS-Required: No\r\nAuto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"=_tlsrpt\"\r\n\r\n"
        "--=_tlsrpt\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        "This is an aggregate TLS report (RFC 8460) of %s about connections\r\nto %.*s on %s (UTC).\r\n"
        "\r\n--=_tlsrpt\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment;\r\n filename=\"%s\"\r\n\r\n%.*s\r\n--=_tlsrpt--\r\n",
        s->tls_report_contact, to, date(arena), ready->id, SLICE_ARG(ready->domain), s->hostname, ready->id,
        SLICE_ARG(ready->domain), s->hostname, s->hostname, SLICE_ARG(ready->domain), ready->day, ready->name,
        SLICE_ARG(base64)));
}

/* RFC 8460 section 3: reports by mail are signed.  False: they were to be, and could not. */
static bool sign(struct arena *arena, struct slice *content)
{
    const struct dkim_settings *dkim = runner_settings()->tls_report_dkim;
    struct slice field;

    if (!dkim)
        return true;
    if (!dkim_sign(arena, dkim, *content, clock_now_ms(), &field)) {
        log_warn("a report could not be signed");
        return false;
    }
    *content = slice_str(arena_printf(arena, "%.*s%.*s", SLICE_ARG(field), SLICE_ARG(*content)));
    return true;
}

static AWAITS bool mail(struct arena *arena, const struct ready *ready, const char *to)
{
    const struct notice_settings settings = {runner_settings()->hostname, runner_default_route(),
                                             runner_settings()->queue_lifetime_ms};
    struct directory_recipient contact = {0};
    struct notice_letter letter = {.content = compose(arena, ready, to)};
    struct accept_message *messages = NULL;
    unsigned count = 0;
    bool done = false;

    if (!name_address(arena, slice_str(runner_settings()->tls_report_contact), &letter.sender) ||
        !name_address(arena, slice_str(to), &letter.recipient) || !sign(arena, &letter.content))
        return false;
    if (directory_recipient(arena, letter.sender, &contact) != DB_FOUND || !contact.has_domain) {
        log_warn("no reports by mail: tls_report_contact is in no domain here");
        return false;
    }
    letter.customer_id = contact.domain.customer_id;
    letter.cell = contact.domain.cell;
    if (notice_letter(arena, &settings, &letter, &messages, &count) == NOTICE_MADE) {
        done = accept_commit(messages, count) == DB_DONE;
        notice_done(messages, count);
    }
    return done;
}

/* ------------------------------------------------------------------ one report */

static struct ready prepare(struct arena *arena, const struct tls_report_due *due, const struct tls_report_row *rows,
                            unsigned count)
{
    const struct runner_settings *s = runner_settings();
    int64_t end_ms = due->begin_ms + DAY_MS - 1000;
    struct tlsrpt_row *list = arena_array(arena, count, sizeof *list);
    struct tlsrpt_report report = {
        .organization = *s->tls_report_organization ? s->tls_report_organization : s->hostname,
        .contact = s->tls_report_contact,
        .report_id = arena_printf(arena, "%.*s.%.*s@%s", SLICE_ARG(due->day), SLICE_ARG(due->domain), s->hostname),
        .domain = due->domain,
        .begin_ms = due->begin_ms,
        .end_ms = end_ms,
        .rows = list,
        .count = count,
    };

    for (unsigned i = 0; i < count; i++)
        list[i] = (struct tlsrpt_row){rows[i].policy_type, rows[i].policy, rows[i].mx_patterns,
                                      rows[i].result,      rows[i].mx,     rows[i].sending,
                                      rows[i].receiving,   rows[i].reason, rows[i].sessions};
    return (struct ready){
        .domain = due->domain,
        .file = gzip_whole(arena, tlsrpt_json(arena, &report)),
        .name = arena_printf(arena, "%s!%.*s!%lld!%lld!001.json.gz", s->hostname, SLICE_ARG(due->domain),
                             (long long)(due->begin_ms / 1000), (long long)(end_ms / 1000)),
        .id = report.report_id,
        .day = arena_slicedup(arena, due->day),
    };
}

/* True: it is over, sent or not. */
static AWAITS bool send_one(struct arena *arena, const struct tls_report_due *due)
{
    struct tlsrpt_rua rua[TLSRPT_RUA_MAX];
    struct tls_report_row *rows = NULL;
    unsigned count = 0, rua_count = 0, taken = 0;
    struct ready ready;

    switch (runner_tlsrpt_find(arena, due->domain, rua, &rua_count)) {
    case DNS_FOUND: break;
    case DNS_NONE: return true;
    case DNS_FAILED: return due->tries >= TRIES_MAX;
    }
    if (tls_report_read(arena, due, &rows, &count) == DB_FAILED)
        return false;
    if (!count)
        return true;
    ready = prepare(arena, due, rows, count);
    for (unsigned i = 0; i < rua_count; i++)
        taken += rua[i].mail ? mail(arena, &ready, rua[i].to) : post(arena, &ready, rua[i].to);
    if (taken) {
        runner_count.tls_reports++;
        log_info("report sent", log_slice("domain", due->domain), log_slice("day", due->day), log_int("to", taken));
    } else if (due->tries >= TRIES_MAX) {
        runner_count.tls_reports_failed++;
        log_warn("report given up", log_slice("domain", due->domain), log_slice("day", due->day));
    }
    return taken || due->tries >= TRIES_MAX;
}

void runner_tlsrpt_send(void)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct tls_report_due due;

    while (runner_settings()->tls_report_contact && !runner_draining() && tls_report_take(arena, &due) == DB_DONE &&
           due.day.p) {
        if (send_one(arena, &due) && tls_report_end(arena, &due) != DB_DONE)
            log_info("a report that is over comes again", log_slice("domain", due.domain));
        arena_reset(arena);
    }
    arena_free(&arena);
}
