/*
 * imap_parse_fetch: fetch attributes (RFC 3501 6.4.5).
 *
 *     fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] / "BODY"
 *     ["STRUCTURE"] /
 *                 "UID" / "BODY" section ["<" number "." nz-number ">"] / "BODY.PEEK" section [...]
 *     section   = "[" [section-msgtext / (part *("." part) ["." (section-msgtext / "MIME")])] "]"
 */
#include "protocols/imap_parse.h"

#include <stdio.h>

static const struct {
    const char *name;
    unsigned items;
} macros[] = {
    {"ALL", IMAP_FETCH_FLAGS | IMAP_FETCH_INTERNALDATE | IMAP_FETCH_SIZE | IMAP_FETCH_ENVELOPE},
    {"FAST", IMAP_FETCH_FLAGS | IMAP_FETCH_INTERNALDATE | IMAP_FETCH_SIZE},
    {"FULL", IMAP_FETCH_FLAGS | IMAP_FETCH_INTERNALDATE | IMAP_FETCH_SIZE | IMAP_FETCH_ENVELOPE | IMAP_FETCH_BODY},
};
static const struct {
    const char *name;
    unsigned item;
} attributes[] = {
    {"FLAGS", IMAP_FETCH_FLAGS},      {"UID", IMAP_FETCH_UID},           {"INTERNALDATE", IMAP_FETCH_INTERNALDATE},
    {"RFC822.SIZE", IMAP_FETCH_SIZE}, {"ENVELOPE", IMAP_FETCH_ENVELOPE}, {"BODYSTRUCTURE", IMAP_FETCH_BODYSTRUCTURE},
};
static const struct {
    const char *name;
    enum imap_section_kind kind;
    bool peek;
} shorthands[] = {
    {"RFC822", IMAP_SECTION_ALL, false},
    {"RFC822.HEADER", IMAP_SECTION_HEADER, true},
    {"RFC822.TEXT", IMAP_SECTION_TEXT, false},
};

/* Letters, digits and dots. */
static struct slice take_name(struct imap_cursor *c)
{
    const char *start = c->p;

    while (c->p < c->end && ((*c->p >= 'A' && *c->p <= 'Z') || (*c->p >= 'a' && *c->p <= 'z') ||
                             (*c->p >= '0' && *c->p <= '9') || *c->p == '.'))
        c->p++;
    return slice_of(start, (size_t)(c->p - start));
}

/* NULL: these are too many. */
static struct imap_section *add_section(struct imap_cursor *c, struct imap_fetch *out)
{
    struct imap_section **last = &out->sections;
    unsigned count = 0;

    for (; *last; count++)
        last = &(*last)->next;
    return count == IMAP_SECTIONS_MAX ? NULL : (*last = arena_alloc(c->arena, sizeof **last));
}

/* header-fld-name = astring, of which no field has a name beyond printable ASCII (RFC 5322 2.2) */
static bool take_field_name(struct imap_cursor *c, struct slice *name)
{
    if (!imap_take_astring(c, name))
        return false;
    for (size_t i = 0; i < name->n; i++)
        if (name->p[i] < 0x20 || name->p[i] > 0x7e)
            return false;
    return true;
}

static bool take_fields(struct imap_cursor *c, struct imap_section *section)
{
    size_t most = 1;

    if (!imap_take_char(c, ' ') || !imap_take_char(c, '('))
        return false;
    for (const char *p = c->p; p < c->end && *p != ')'; p++)
        most += *p == ' ';
    section->fields = arena_array(c->arena, most, sizeof *section->fields);
    do
        if (section->field_count == most || !take_field_name(c, &section->fields[section->field_count++]))
            return false;
    while (imap_take_char(c, ' '));
    return imap_take_char(c, ')');
}

static bool take_section_text(struct imap_cursor *c, struct slice word, struct imap_section *section)
{
    if (slice_equal_nocase(word, SLICE("HEADER")))
        section->kind = IMAP_SECTION_HEADER;
    else if (slice_equal_nocase(word, SLICE("TEXT")))
        section->kind = IMAP_SECTION_TEXT;
    else if (slice_equal_nocase(word, SLICE("MIME")) && section->part_depth)
        section->kind = IMAP_SECTION_MIME;
    else if (slice_equal_nocase(word, SLICE("HEADER.FIELDS")))
        section->kind = IMAP_SECTION_FIELDS;
    else if (slice_equal_nocase(word, SLICE("HEADER.FIELDS.NOT")))
        section->kind = IMAP_SECTION_FIELDS_NOT;
    else
        return false;
    if (section->kind != IMAP_SECTION_FIELDS && section->kind != IMAP_SECTION_FIELDS_NOT)
        return true;
    return take_fields(c, section);
}

/* After "[". */
static bool take_section(struct imap_cursor *c, struct imap_section *section)
{
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9') {
        if (section->part_depth == IMAP_DEPTH_MAX || !imap_take_number(c, &section->part[section->part_depth]) ||
            section->part[section->part_depth++] == 0)
            return false;
        if (!imap_take_char(c, '.'))
            return imap_take_char(c, ']');
    }
    if (imap_take_char(c, ']'))
        return section->part_depth == 0; /* not "[1.]" */
    return take_section_text(c, take_name(c), section) && imap_take_char(c, ']');
}

static bool take_partial(struct imap_cursor *c, struct imap_section *section)
{
    if (!imap_take_char(c, '<'))
        return true;
    section->partial = true;
    return imap_take_number(c, &section->offset) && imap_take_char(c, '.') && imap_take_number(c, &section->length) &&
           section->length > 0 && imap_take_char(c, '>');
}

/*
 * The response names the section as the client wrote it, without PEEK and the partial's length; field names that came
 * as literals go back quoted, as a non-synchronizing literal is not for servers to send (RFC 7888).
 */
static const char *label_of(struct imap_cursor *c, struct slice written, const struct imap_section *section)
{
    const char *list = memchr(written.p, '(', written.n);
    char *label, *at;

    if (!list || !memchr(written.p, '{', written.n))
        return arena_printf(c->arena, "BODY%.*s", SLICE_ARG(written));
    label = arena_alloc(c->arena, 2 * written.n + 3 * section->field_count + sizeof "BODY)]");
    memcpy(label, "BODY", 4);
    memcpy(label + 4, written.p, (size_t)(list - written.p));
    at = label + 4 + (list - written.p);
    for (unsigned i = 0; i < section->field_count; i++) {
        *at++ = i ? ' ' : '(';
        *at++ = '"';
        for (size_t k = 0; k < section->fields[i].n; k++) {
            char ch = section->fields[i].p[k];

            if (ch == '"' || ch == '\\')
                *at++ = '\\';
            *at++ = ch;
        }
        *at++ = '"';
    }
    memcpy(at, ")]", sizeof ")]");
    return label;
}

/* "BODY" or "BODY.PEEK" was taken and "[" comes. */
static bool take_body_section(struct imap_cursor *c, bool peek, struct imap_fetch *out)
{
    struct imap_section *section = add_section(c, out);
    const char *start = c->p;

    imap_take_char(c, '[');
    if (!section || !take_section(c, section))
        return false;
    section->label = label_of(c, slice_of(start, (size_t)(c->p - start)), section);
    section->peek = peek;
    out->sets_seen |= !peek;
    return take_partial(c, section);
}

static bool take_attribute(struct imap_cursor *c, struct imap_fetch *out)
{
    struct slice name = take_name(c);

    if (c->p < c->end && *c->p == '[') {
        if (slice_equal_nocase(name, SLICE("BODY")))
            return take_body_section(c, false, out);
        return slice_equal_nocase(name, SLICE("BODY.PEEK")) && take_body_section(c, true, out);
    }
    if (slice_equal_nocase(name, SLICE("BODY"))) {
        out->items |= IMAP_FETCH_BODY;
        return true;
    }
    for (unsigned i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        if (slice_equal_nocase(name, slice_str(attributes[i].name))) {
            out->items |= attributes[i].item;
            return true;
        }
    for (unsigned i = 0; i < sizeof shorthands / sizeof shorthands[0]; i++)
        if (slice_equal_nocase(name, slice_str(shorthands[i].name))) {
            struct imap_section *section = add_section(c, out);

            if (!section)
                return false;
            section->label = shorthands[i].name;
            section->kind = shorthands[i].kind;
            section->peek = shorthands[i].peek;
            out->sets_seen |= !section->peek;
            return true;
        }
    return false;
}

static bool take_macro(struct imap_cursor *c, struct imap_fetch *out)
{
    struct imap_cursor ahead = *c;
    struct slice name = take_name(&ahead);

    for (unsigned i = 0; i < sizeof macros / sizeof macros[0]; i++)
        if (slice_equal_nocase(name, slice_str(macros[i].name))) {
            out->items |= macros[i].items;
            c->p = ahead.p;
            return true;
        }
    return false;
}

bool imap_take_fetch(struct imap_cursor *c, struct imap_fetch *out)
{
    *out = (struct imap_fetch){0};
    if (take_macro(c, out))
        return true;
    if (!imap_take_char(c, '('))
        return take_attribute(c, out);
    do
        if (!take_attribute(c, out))
            return false;
    while (imap_take_char(c, ' '));
    return imap_take_char(c, ')');
}
