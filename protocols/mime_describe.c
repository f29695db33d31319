/*
 * mime_describe: ENVELOPE and BODYSTRUCTURE (RFC 3501 7.4.2).
 *
 * Strings are sent as they are written in the message, encoded words and all: decoding them is the client's business.
 * What has been decoded by GMime (names in addresses, parameters) is encoded again, as it was: RFC 2231 or encoded
 * words.
 *
 * A header in UTF-8 (RFC 6532) is told in ASCII, since no client here has enabled UTF8=ACCEPT (RFC 6855), which is not
 * offered: text as encoded words, domains in A-labels, and an address whose local part is not ASCII as RFC 6858 2.1
 * has it: an invalid one, with the true one in its name.  8-bit text that is not UTF-8 goes as it is, in a literal.
 * What BODY[...] gives are the octets of the message.
 */
#include <event2/buffer.h>
#include <stdio.h>

#include "core/idn.h"
#include "protocols/imap_string.h"
#include "protocols/mime_private.h"

static void put(struct evbuffer *out, const char *text)
{
    evbuffer_add(out, text, strlen(text));
}

/* nstring: NIL for {NULL,0}, quoted where possible, else a literal. */
static void write_nstring(struct evbuffer *out, struct slice text)
{
    char buffer[2 * IMAP_QUOTED_MAX + 2];
    struct slice quoted;

    if (!text.p) {
        put(out, "NIL");
        return;
    }
    quoted = imap_quoted(text, buffer);
    if (quoted.p)
        evbuffer_add(out, quoted.p, quoted.n);
    else {
        evbuffer_add_printf(out, "{%zu}\r\n", text.n);
        evbuffer_add(out, text.p, text.n);
    }
}

/* Text of a header field.  What is not ASCII becomes encoded words. */
static void put_text(struct evbuffer *out, struct arena *arena, struct slice text)
{
    char *encoded;

    if (idn_is_ascii(text) || !idn_is_utf8(text)) {
        write_nstring(out, text);
        return;
    }
    encoded = g_mime_utils_header_encode_text(NULL, arena_slicedup(arena, text), NULL);
    write_nstring(out, slice_str(encoded));
    g_free(encoded);
}

/* Names are written again as encoded words where they are not ASCII. */
static void put_phrase(struct evbuffer *out, const char *text)
{
    char *encoded;

    if (!text || !*text || idn_is_ascii(slice_str(text))) {
        write_nstring(out, text && *text ? slice_str(text) : (struct slice){NULL, 0});
        return;
    }
    encoded = g_mime_utils_header_encode_phrase(NULL, text, NULL);
    write_nstring(out, slice_str(encoded));
    g_free(encoded);
}

/* ------------------------------------------------------------------ ENVELOPE */

/* A local part without its RFC 5322 quoting (RFC 3501 7.4.2). */
static void put_local_part(struct evbuffer *out, struct arena *arena, struct slice text)
{
    char *plain = arena_alloc(arena, text.n + 1);
    size_t n = 0;

    if (text.n < 2 || text.p[0] != '"' || text.p[text.n - 1] != '"') {
        write_nstring(out, text);
        return;
    }
    for (size_t i = 1; i < text.n - 1; i++) {
        if (text.p[i] == '\\' && i + 1 < text.n - 1)
            i++;
        plain[n++] = text.p[i];
    }
    write_nstring(out, slice_of(plain, n));
}

static void put_mailbox(struct evbuffer *out, struct arena *arena, InternetAddress *address)
{
    const char *addr = internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address));
    const char *at, *name = internet_address_get_name(address);

    if (addr && !idn_is_ascii(slice_str(addr)))
        addr = arena_slicedup(arena, idn_address(arena, slice_str(addr)));
    if (addr && !idn_is_ascii(slice_str(addr)) && idn_is_utf8(slice_str(addr))) {
        struct slice shown = idn_address_unicode(arena, slice_str(addr));

        name = arena_printf(arena, "%s%s<%.*s>", name ? name : "", name && *name ? " " : "", SLICE_ARG(shown));
        addr = "invalid@internationalized-address.invalid";
    }
    at = addr ? strrchr(addr, '@') : NULL;
    put(out, "(");
    put_phrase(out, name);
    put(out, " NIL ");
    put_local_part(out, arena, at ? slice_of(addr, (size_t)(at - addr)) : slice_str(addr ? addr : ""));
    put(out, " ");
    write_nstring(out, slice_str(at ? at + 1 : ""));
    put(out, ")");
}

/* A group is a mailbox with its name, its members, and an end of NILs; groups do not nest (RFC 5322 3.4). */
static void put_addresses(struct evbuffer *out, struct arena *arena, InternetAddressList *list, bool in_group)
{
    int count = list ? internet_address_list_length(list) : 0;

    for (int i = 0; i < count; i++) {
        InternetAddress *address = internet_address_list_get_address(list, i);

        if (INTERNET_ADDRESS_IS_MAILBOX(address)) {
            put_mailbox(out, arena, address);
        } else if (INTERNET_ADDRESS_IS_GROUP(address) && !in_group) {
            const char *name = internet_address_get_name(address);

            put(out, "(NIL NIL ");
            if (name && *name)
                put_phrase(out, name);
            else
                put(out, "\"\""); /* NIL would be an end */
            put(out, " NIL)");
            put_addresses(out, arena, internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address)), true);
            put(out, "(NIL NIL NIL NIL)");
        }
    }
}

static void put_address_field(struct evbuffer *out, struct arena *arena, struct slice value)
{
    const char *text = arena_slicedup(arena, slice_of(value.p, mime_addresses_length(value)));
    InternetAddressList *list = value.n ? internet_address_list_parse(NULL, text) : NULL;

    if (list && internet_address_list_length(list) > 0) {
        put(out, "(");
        put_addresses(out, arena, list, false);
        put(out, ")");
    } else {
        put(out, "NIL");
    }
    if (list)
        g_object_unref(list);
}

void mime_write_envelope(struct evbuffer *out, struct arena *arena, const struct mime_part *message)
{
    struct slice from = mime_field(arena, message->header, "From");
    struct slice sender = mime_field(arena, message->header, "Sender");
    struct slice reply_to = mime_field(arena, message->header, "Reply-To");

    mime_start();
    put(out, "(");
    put_text(out, arena, mime_field(arena, message->header, "Date"));
    put(out, " ");
    put_text(out, arena, mime_field(arena, message->header, "Subject"));
    put(out, " ");
    put_address_field(out, arena, from);
    put(out, " ");
    put_address_field(out, arena, sender.n ? sender : from); /* absent or empty: From (7.4.2) */
    put(out, " ");
    put_address_field(out, arena, reply_to.n ? reply_to : from);
    put(out, " ");
    put_address_field(out, arena, mime_field(arena, message->header, "To"));
    put(out, " ");
    put_address_field(out, arena, mime_field(arena, message->header, "Cc"));
    put(out, " ");
    put_address_field(out, arena, mime_field(arena, message->header, "Bcc"));
    put(out, " ");
    put_text(out, arena, mime_field(arena, message->header, "In-Reply-To"));
    put(out, " ");
    put_text(out, arena, mime_field(arena, message->header, "Message-ID"));
    put(out, ")");
}

/* ------------------------------------------------------------------ BODYSTRUCTURE */

/*
 * The extended form of RFC 2231, continuations joined: IMAP servers should do no less (its section 7), and encoded
 * words have no place in a parameter (RFC 2047 section 5).
 */
static void put_extended(struct evbuffer *out, struct arena *arena, const struct mime_param *param)
{
    static const char hex[] = "0123456789ABCDEF";
    char *encoded = arena_alloc(arena, 3 * param->value.n + 1), *at = encoded;

    for (size_t i = 0; i < param->value.n; i++) {
        unsigned char ch = (unsigned char)param->value.p[i];

        if (g_ascii_isalnum((char)ch) || ch == '.' || ch == '-' || ch == '_') {
            *at++ = (char)ch;
        } else {
            *at++ = '%';
            *at++ = hex[ch >> 4];
            *at++ = hex[ch & 15];
        }
    }
    write_nstring(out, slice_str(arena_printf(arena, "%.*s*", SLICE_ARG(param->name))));
    put(out, " ");
    write_nstring(out, slice_str(arena_printf(arena, "utf-8''%s", encoded)));
}

static void put_params(struct evbuffer *out, struct arena *arena, const struct mime_param *params)
{
    const char *separator = "(";

    if (!params) {
        put(out, "NIL");
        return;
    }
    for (const struct mime_param *p = params; p; p = p->next) {
        put(out, separator);
        separator = " ";
        if (p->extended && !idn_is_ascii(p->value)) {
            put_extended(out, arena, p);
            continue;
        }
        put_text(out, arena, p->name);
        put(out, " ");
        if (idn_is_ascii(p->value)) {
            write_nstring(out, p->value);
        } else {
            char *encoded = g_mime_utils_header_encode_text(NULL, p->value.p, NULL);

            write_nstring(out, slice_str(encoded));
            g_free(encoded);
        }
    }
    put(out, ")");
}

static void put_disposition(struct evbuffer *out, struct arena *arena, struct slice header)
{
    struct slice value = mime_field(arena, header, "Content-Disposition");
    GMimeContentDisposition *disposition;

    if (!value.n) {
        put(out, "NIL");
        return;
    }
    disposition = g_mime_content_disposition_parse(NULL, value.p);
    put(out, "(");
    put_text(out, arena, slice_str(g_mime_content_disposition_get_disposition(disposition)));
    put(out, " ");
    put_params(out, arena, mime_params_of(arena, g_mime_content_disposition_get_parameters(disposition)));
    put(out, ")");
    g_object_unref(disposition);
}

/* "en, de" is ("en" "de") */
static void put_language(struct evbuffer *out, struct arena *arena, struct slice value)
{
    const char *separator = "(";
    bool any = false;

    while (value.n) {
        const char *comma = memchr(value.p, ',', value.n);
        struct slice tag = slice_of(value.p, comma ? (size_t)(comma - value.p) : value.n);

        value = slice_skip(value, tag.n + 1);
        while (tag.n && tag.p[0] == ' ')
            tag = slice_skip(tag, 1);
        while (tag.n && tag.p[tag.n - 1] == ' ')
            tag.n--;
        if (tag.n) {
            put(out, separator);
            put_text(out, arena, tag);
            separator = " ";
            any = true;
        }
    }
    put(out, any ? ")" : "NIL");
}

static void put_rest(struct evbuffer *out, struct arena *arena, const struct mime_part *part)
{
    put(out, " ");
    put_disposition(out, arena, part->header);
    put(out, " ");
    put_language(out, arena, mime_field(arena, part->header, "Content-Language"));
    put(out, " ");
    put_text(out, arena, mime_field(arena, part->header, "Content-Location"));
}

static unsigned long count_lines(struct slice body)
{
    unsigned long lines = 0;
    const char *p = body.p, *end = body.p + body.n;

    while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        lines++;
        p++;
    }
    return lines + (body.n && end[-1] != '\n');
}

static void put_leaf(struct evbuffer *out, struct arena *arena, const struct mime_part *part, bool extended)
{
    struct slice encoding = mime_encoding(arena, part->header);

    put(out, "(");
    put_text(out, arena, part->type);
    put(out, " ");
    put_text(out, arena, part->subtype);
    put(out, " ");
    if (!part->params && slice_equal_nocase(part->type, SLICE("text")))
        put(out, "(\"charset\" \"us-ascii\")"); /* RFC 2045 5.2 */
    else
        put_params(out, arena, part->params);
    put(out, " ");
    put_text(out, arena, mime_field(arena, part->header, "Content-ID"));
    put(out, " ");
    put_text(out, arena, mime_field(arena, part->header, "Content-Description"));
    put(out, " ");
    put_text(out, arena, encoding.n ? encoding : SLICE("7bit"));
    evbuffer_add_printf(out, " %zu", part->body.n);
    if (part->message) {
        put(out, " ");
        mime_write_envelope(out, arena, part->child);
        put(out, " ");
        mime_write_structure(out, arena, part->child, extended);
    }
    if (part->message || slice_equal_nocase(part->type, SLICE("text")))
        evbuffer_add_printf(out, " %lu", count_lines(part->body));
    if (extended) {
        put(out, " ");
        put_text(out, arena, mime_field(arena, part->header, "Content-MD5"));
        put_rest(out, arena, part);
    }
    put(out, ")");
}

void mime_write_structure(struct evbuffer *out, struct arena *arena, const struct mime_part *part, bool extended)
{
    if (!part->multipart) {
        put_leaf(out, arena, part, extended);
        return;
    }
    put(out, "(");
    for (const struct mime_part *child = part->child; child; child = child->next)
        mime_write_structure(out, arena, child, extended);
    put(out, " ");
    put_text(out, arena, part->subtype);
    if (extended) {
        put(out, " ");
        put_params(out, arena, part->params);
        put_rest(out, arena, part);
    }
    put(out, ")");
}
