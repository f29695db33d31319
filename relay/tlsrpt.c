/*
 * tlsrpt: the record and the report of RFC 8460.
 *
 *     _smtp._tls.example.test  TXT  "v=TLSRPTv1; rua=mailto:reports@example.test,https://example.test/v1/tlsrpt"
 *
 * Commas, semicolons and exclamation marks in the URLs are percent-encoded (section 3), so separators are found first.
 * What is neither mailto nor https, or is no address or URL, is passed over; of several records none counts.
 *
 * The report is written by hand: it is one nested list of strings and numbers, and a JSON library has its room elsewhere.
 * Rows come sorted, so that those of one policy make one object: successes are its sum, failures its details.
 */
#include "relay/tlsrpt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define URL_MAX 1000
#define PLACE_MAX 12 /* bytes that a byte may become */

/* ------------------------------------------------------------------ the record */

static struct slice trim(struct slice s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_skip(s, 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static struct slice take(struct slice *rest, char separator)
{
    const char *end = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
    struct slice part = *rest;

    if (end)
        part.n = (size_t)(end - rest->p);
    *rest = end ? slice_skip(*rest, part.n + 1) : slice_of(rest->p + rest->n, 0);
    return part;
}

static bool starts(struct slice s, const char *with)
{
    return s.n > strlen(with) && strncasecmp(s.p, with, strlen(with)) == 0;
}

/* What can stand in a URL and in an SMTP command. */
static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || strchr("\"<>\\^`{|}", s.p[i]))
            return false;
    return s.n > 0 && s.n <= URL_MAX;
}

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* RFC 6068: the address, without fields of a header.  NULL: it is none. */
static const char *mail_address(struct arena *arena, struct slice url)
{
    struct slice encoded = slice_skip(url, strlen("mailto:")), address = take(&encoded, '?');
    char *out = arena_alloc(arena, address.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < address.n; i++) {
        char c = address.p[i];

        if (c == '%') {
            if (i + 2 >= address.n || hex(address.p[i + 1]) < 0 || hex(address.p[i + 2]) < 0)
                return NULL;
            c = (char)(hex(address.p[i + 1]) * 16 + hex(address.p[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return is_plain(slice_of(out, n)) && strchr(out, '@') ? out : NULL;
}

static bool rua_parse(struct arena *arena, struct slice url, struct tlsrpt_rua *out)
{
    if (!is_plain(url))
        return false;
    out->mail = starts(url, "mailto:");
    out->to = out->mail ? mail_address(arena, url) : starts(url, "https://") ? arena_slicedup(arena, url) : NULL;
    return out->to;
}

static bool is_record(struct slice text)
{
    return slice_equal(trim(take(&text, ';')), SLICE("v=TLSRPTv1")) && text.n;
}

bool tlsrpt_record_parse(struct arena *arena, const struct slice *texts, unsigned count,
                         struct tlsrpt_rua out[TLSRPT_RUA_MAX], unsigned *rua_count)
{
    struct slice record = {NULL, 0};

    *rua_count = 0;
    for (unsigned i = 0; i < count; i++)
        if (is_record(texts[i])) {
            if (record.p)
                return false;
            record = texts[i];
        }
    if (!record.p)
        return false;
    (void)take(&record, ';');
    while (record.n) {
        struct slice list = trim(take(&record, ';')), name = trim(take(&list, '='));

        while (slice_equal(name, SLICE("rua")) && list.n && *rua_count < TLSRPT_RUA_MAX)
            *rua_count += rua_parse(arena, trim(take(&list, ',')), &out[*rua_count]);
    }
    return *rua_count > 0;
}

/* ------------------------------------------------------------------ the report */

struct text {
    struct arena *arena;
    char *bytes;
    size_t used, size;
};

static void add(struct text *text, struct slice more)
{
    if (text->used + more.n > text->size) {
        size_t size = 2 * (text->used + more.n) + 1024;
        char *bytes = arena_alloc(text->arena, size);

        memcpy(bytes, text->bytes ? text->bytes : "", text->used);
        text->bytes = bytes;
        text->size = size;
    }
    memcpy(text->bytes + text->used, more.p ? more.p : "", more.n);
    text->used += more.n;
}

static void add_words(struct text *text, const char *words)
{
    add(text, slice_str(words));
}

/* RFC 8259 section 7. */
static void add_string(struct text *text, struct slice value)
{
    add_words(text, "\"");
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        char place[PLACE_MAX] = {(char)c, '\0'};

        if (c == '"' || c == '\\')
            snprintf(place, sizeof place, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            snprintf(place, sizeof place, "\\u%04x", c);
        add_words(text, place);
    }
    add_words(text, "\"");
}

static void add_member(struct text *text, const char *name, struct slice value)
{
    if (!value.n)
        return;
    add_words(text, ",\"");
    add_words(text, name);
    add_words(text, "\":");
    add_string(text, value);
}

static void add_number(struct text *text, int64_t value)
{
    add_words(text, arena_printf(text->arena, "%lld", (long long)value));
}

/* Its lines as an array. */
static void add_lines(struct text *text, const char *name, struct slice lines)
{
    bool first = true;

    add_words(text, ",\"");
    add_words(text, name);
    add_words(text, "\":[");
    while (lines.n) {
        if (!first)
            add_words(text, ",");
        first = false;
        add_string(text, take(&lines, '\n'));
    }
    add_words(text, "]");
}

static void add_time(struct text *text, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char word[40];

    strftime(word, sizeof word, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    add_string(text, slice_str(word));
}

static bool same_policy(const struct tlsrpt_row *a, const struct tlsrpt_row *b)
{
    return slice_equal(a->policy_type, b->policy_type) && slice_equal(a->policy, b->policy) &&
           slice_equal(a->mx_patterns, b->mx_patterns);
}

static void add_failure(struct text *text, const struct tlsrpt_row *row)
{
    add_words(text, "{\"result-type\":");
    add_string(text, row->result);
    add_member(text, "sending-mta-ip", row->sending);
    add_member(text, "receiving-mx-hostname", row->mx);
    add_member(text, "receiving-ip", row->receiving);
    add_member(text, "failure-reason-code", row->reason);
    add_words(text, ",\"failed-session-count\":");
    add_number(text, row->sessions);
    add_words(text, "}");
}

static void add_policy(struct text *text, const struct tlsrpt_report *report, const struct tlsrpt_row *rows,
                       unsigned count)
{
    int64_t good = 0, bad = 0;
    const char *separator = "";

    for (unsigned i = 0; i < count; i++)
        *(rows[i].result.n ? &bad : &good) += rows[i].sessions;
    add_words(text, "{\"policy\":{\"policy-type\":");
    add_string(text, rows->policy_type);
    if (rows->policy.n)
        add_lines(text, "policy-string", rows->policy);
    add_member(text, "policy-domain", report->domain);
    if (rows->mx_patterns.n)
        add_lines(text, "mx-host", rows->mx_patterns);
    add_words(text, "},\"summary\":{\"total-successful-session-count\":");
    add_number(text, good);
    add_words(text, ",\"total-failure-session-count\":");
    add_number(text, bad);
    add_words(text, "}");
    if (bad)
        add_words(text, ",\"failure-details\":[");
    for (unsigned i = 0; i < count; i++)
        if (rows[i].result.n) {
            add_words(text, separator);
            add_failure(text, &rows[i]);
            separator = ",";
        }
    add_words(text, bad ? "]}" : "}");
}

struct slice tlsrpt_json(struct arena *arena, const struct tlsrpt_report *report)
{
    struct text text = {.arena = arena};

    add_words(&text, "{\"organization-name\":");
    add_string(&text, slice_str(report->organization));
    add_words(&text, ",\"date-range\":{\"start-datetime\":");
    add_time(&text, report->begin_ms);
    add_words(&text, ",\"end-datetime\":");
    add_time(&text, report->end_ms);
    add_words(&text, "}");
    add_member(&text, "contact-info", slice_str(report->contact));
    add_member(&text, "report-id", slice_str(report->report_id));
    add_words(&text, ",\"policies\":[");
    for (unsigned i = 0, end; i < report->count; i = end) {
        for (end = i + 1; end < report->count && same_policy(&report->rows[i], &report->rows[end]); end++)
            continue;
        if (i > 0)
            add_words(&text, ",");
        add_policy(&text, report, &report->rows[i], end - i);
    }
    add_words(&text, "]}\n");
    return slice_of(text.bytes, text.used);
}

const char *tlsrpt_result_word(enum tlsrpt_result result)
{
    static const char *const words[] = {
        [TLSRPT_SUCCESS] = "",
        [TLSRPT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
        [TLSRPT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
        [TLSRPT_CERTIFICATE_EXPIRED] = "certificate-expired",
        [TLSRPT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
        [TLSRPT_VALIDATION_FAILURE] = "validation-failure",
        [TLSRPT_TLSA_INVALID] = "tlsa-invalid",
        [TLSRPT_DNSSEC_INVALID] = "dnssec-invalid",
        [TLSRPT_DANE_REQUIRED] = "dane-required",
        [TLSRPT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
        [TLSRPT_STS_POLICY_INVALID] = "sts-policy-invalid",
        [TLSRPT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
    };

    return words[result];
}
