/*
 * smtp_client_reply: what a next hop answers.
 *
 *     Reply-line     = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
 *     Reply-code     = %x32-35 %x30-35 %x30-39                                      (RFC 5321 4.2)
 *
 * Lenient where servers in the field are: a code without a space behind it, tabs, text in 8 bits, a
 * line-end of LF alone (core/stream.h removes it).  Strict where leniency would mean guessing: three digits in
 * range, the same code in all lines of a reply, at most SMTP_CLIENT_LINES_MAX lines.
 *
 * The enhanced code (RFC 2034 section 4: class "." subject "." detail, first thing in the text) is taken from the
 * first line that has one; only when its class agrees with the reply code, because a server that contradicts itself is
 * to be believed in its reply code, which every client understands.
 */
#include "protocols/smtp_client_reply.h"

#include "core/cursor.h"
#include "protocols/sasl_hop.h"

void smtp_client_reply_init(struct smtp_client_reply *reply)
{
    reply->code = 0;
    reply->enhanced = (struct slice){NULL, 0};
    reply->text[0] = '\0';
    reply->text_size = 0;
    reply->lines = 0;
}

static bool take_code(struct slice *rest, unsigned *code)
{
    static const char low[] = "200", high[] = "559";

    if (rest->n < 3)
        return false;
    *code = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (rest->p[i] < low[i] || rest->p[i] > high[i])
            return false;
        *code = *code * 10 + (unsigned)(rest->p[i] - '0');
    }
    *rest = slice_skip(*rest, 3);
    return true;
}

static void keep(struct smtp_client_reply *reply, struct slice text)
{
    for (size_t i = 0; i < text.n && reply->text_size < SMTP_CLIENT_TEXT_MAX; i++) {
        unsigned char c = (unsigned char)text.p[i];

        reply->text[reply->text_size++] = c == '\t' ? ' ' : c < 0x20 || c > 0x7e ? '?' : (char)c;
    }
    reply->text[reply->text_size] = '\0';
}

/* 1*3DIGIT */
static bool take_number(struct slice *rest)
{
    unsigned digits = 0;

    while (digits < 3 && rest->n && cursor_is_digit(*rest->p)) {
        *rest = slice_skip(*rest, 1);
        digits++;
    }
    return digits > 0;
}

/* status-code = ("2" / "4" / "5") "." subject "." detail (RFC 3463 section 2), then a blank or the end */
static struct slice enhanced_at(struct slice text, unsigned code)
{
    struct slice rest = text;

    if (!rest.n || (unsigned)(*rest.p - '0') != code / 100 || code / 100 == 3)
        return slice_of(text.p, 0);
    rest = slice_skip(rest, 1);
    if (!cursor_take(&rest, '.') || !take_number(&rest) || !cursor_take(&rest, '.') || !take_number(&rest))
        return slice_of(text.p, 0);
    if (rest.n && *rest.p != ' ')
        return slice_of(text.p, 0);
    return cursor_taken(text, rest);
}

enum smtp_client_step smtp_client_reply_line(struct smtp_client_reply *reply, struct slice line)
{
    struct slice rest = line;
    unsigned code;
    bool more;
    size_t start;

    if (!take_code(&rest, &code) || (reply->lines && code != reply->code))
        return SMTP_CLIENT_GARBAGE;
    more = cursor_take(&rest, '-');
    if (!more && rest.n && !cursor_skip_blanks(&rest))
        return SMTP_CLIENT_GARBAGE;
    if (!reply->lines) {
        reply->code = code;
        keep(reply, slice_of(line.p, 3));
    }
    reply->lines++;
    if (rest.n)
        keep(reply, SLICE(" "));
    start = reply->text_size;
    keep(reply, rest);
    if (!reply->enhanced.n)
        reply->enhanced = enhanced_at(slice_of(reply->text + start, reply->text_size - start), code);
    if (!more)
        return SMTP_CLIENT_DONE;
    return reply->lines < SMTP_CLIENT_LINES_MAX ? SMTP_CLIENT_MORE : SMTP_CLIENT_GARBAGE;
}

/* ------------------------------------------------------------------ EHLO */

static struct slice take_word(struct slice *rest)
{
    struct slice start = *rest;

    while (rest->n && *rest->p != ' ' && *rest->p != '\t')
        *rest = slice_skip(*rest, 1);
    start = cursor_taken(start, *rest);
    cursor_skip_blanks(rest);
    return start;
}

/* RFC 1870 section 4: 0, or nothing, is "no fixed limit". */
static uint64_t read_size(struct slice text)
{
    uint64_t size = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (!cursor_is_digit(text.p[i]) || size > UINT64_MAX / 10 - 1)
            return 0;
        size = size * 10 + (unsigned)(text.p[i] - '0');
    }
    return size;
}

/* RFC 9422 section 3: a number without leading zeros; what is not one is as good as not told. */
static unsigned read_limit(struct slice text)
{
    uint64_t limit = text.n && *text.p != '0' ? read_size(text) : 0;

    return limit < UINT32_MAX ? (unsigned)limit : UINT32_MAX;
}

static void read_limits(struct smtp_client_features *features, struct slice rest)
{
    for (struct slice word = take_word(&rest); word.n; word = take_word(&rest)) {
        const char *equals = memchr(word.p, '=', word.n);
        struct slice name = slice_of(word.p, equals ? (size_t)(equals - word.p) : word.n);
        unsigned limit = equals ? read_limit(slice_skip(word, name.n + 1)) : 0;

        if (slice_equal_nocase(name, SLICE("MAILMAX")))
            features->mail_max = limit;
        else if (slice_equal_nocase(name, SLICE("RCPTMAX")))
            features->recipients_max = limit;
        else if (slice_equal_nocase(name, SLICE("RCPTDOMAINMAX")))
            features->domains_max = limit;
    }
}

void smtp_client_features_line(struct smtp_client_features *features, unsigned number, struct slice line)
{
    struct slice rest = slice_skip(line, 4), word = take_word(&rest);

    if (!number)
        return;
    if (slice_equal_nocase(word, SLICE("PIPELINING"))) {
        features->pipelining = true;
    } else if (slice_equal_nocase(word, SLICE("8BITMIME"))) {
        features->eight_bit = true;
    } else if (slice_equal_nocase(word, SLICE("CHUNKING"))) {
        features->chunking = true;
    } else if (slice_equal_nocase(word, SLICE("DSN"))) {
        features->envelope |= ENVELOPE_DSN;
    } else if (slice_equal_nocase(word, SLICE("SMTPUTF8"))) { /* parameters are none of ours, RFC 6531 3.1 */
        features->envelope |= ENVELOPE_SMTPUTF8;
    } else if (slice_equal_nocase(word, SLICE("REQUIRETLS"))) {
        features->envelope |= ENVELOPE_REQUIRETLS;
    } else if (slice_equal_nocase(word, SLICE("DELIVERBY"))) {
        uint64_t least = read_size(take_word(&rest));

        features->envelope |= ENVELOPE_DELIVERBY;
        features->by_min = least < INT32_MAX ? (int64_t)least : INT32_MAX;
    } else if (slice_equal_nocase(word, SLICE("MT-PRIORITY"))) {
        features->envelope |= ENVELOPE_MT_PRIORITY;
    } else if (slice_equal_nocase(word, SLICE("STARTTLS"))) {
        features->starttls = true;
    } else if (slice_equal_nocase(word, SLICE("AUTH"))) { /* RFC 4954 section 3 */
        while ((word = take_word(&rest)).n || cursor_skip_blanks(&rest))
            features->auth |= sasl_hop_named(word);
    } else if (slice_equal_nocase(word, SLICE("LIMITS"))) {
        read_limits(features, rest);
    } else if (slice_equal_nocase(word, SLICE("SIZE"))) {
        features->size = true;
        features->size_max = read_size(take_word(&rest));
    }
}
