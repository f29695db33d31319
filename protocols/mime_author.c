/*
 * mime_author: who a message says it is from: the addresses in From and Sender (RFC 5322 3.6.2), for those who must not
 * let somebody write in another's name.
 *
 * All fields of these names count, though there should be one: readers differ in which they show.  Members of a group
 * count as well (RFC 6854).  What cannot be understood, or is too long to be looked at, is never passed over: the
 * caller is told that it is malformed.
 *
 * GMime reads what it can and leaves out the rest ("ann@a.test; eve@b.test" is ann to it, and both to others).  So we go
 * through the list ourselves, by RFC 5322 3.4 with the white space of section 4, and count: an address more or less
 * than GMime found, or anything that the grammar has no place for, is malformed.  A display name may have "@" and ".",
 * which it must not, as it often has.  Source routes (obs-route) are malformed here.
 */
#include "protocols/mime_private.h"

#define AUTHOR_FIELD_MAX 16384

struct authors {
    struct arena *arena;
    const char *field;
    struct mime_author *list;
    unsigned count;
};

/* ------------------------------------------------------------------ counting */

/* Between two commas: [phrase] "<" addr-spec ">", or addr-spec. */
struct element {
    bool begun, after_word;
    bool two_words; /* with nothing between them, as a phrase has it */
    unsigned ats;
    enum { NO_ANGLE, IN_ANGLE, AFTER_ANGLE } angle;
};

struct counting {
    const char *p, *end;
    struct element element;
    bool in_group, after_group;
    unsigned mailboxes;
};

/* From its first character to the closing one; comments may hold comments, what is quoted holds anything. */
static bool skip_enclosed(struct counting *c, char open, char close)
{
    unsigned depth = 1;

    for (c->p++; c->p < c->end && depth; c->p++) {
        if (*c->p == '\\')
            c->p++;
        else if (*c->p == close)
            depth--;
        else if (*c->p == open && open == '(')
            depth++;
    }
    return !depth;
}

static bool on_word(struct counting *c, bool good)
{
    struct element *e = &c->element;

    e->two_words |= e->after_word;
    e->after_word = e->begun = true;
    return good && e->angle != AFTER_ANGLE && !c->after_group;
}

static bool skip_atom(struct counting *c)
{
    const char *p = c->p;

    while (c->p < c->end && (unsigned char)*c->p > ' ' && *c->p != 0x7f && !strchr("()<>[]:;@\\,.\"", *c->p))
        c->p++;
    return on_word(c, c->p > p);
}

static bool is_address(const struct element *e)
{
    return e->ats <= 1 && !e->two_words;
}

static bool end_element(struct counting *c)
{
    struct element e = c->element;

    c->element = (struct element){0};
    c->mailboxes += e.begun;
    return !e.begun || e.angle == AFTER_ANGLE || (e.angle == NO_ANGLE && is_address(&e));
}

static bool on_special(struct counting *c)
{
    struct element *e = &c->element;
    bool nothing_before = !e->begun;

    switch (*c->p++) {
    case ',': c->after_group = false; return e->angle != IN_ANGLE && end_element(c);
    case ':':
        if (nothing_before || e->angle != NO_ANGLE || e->ats || c->in_group)
            return false;
        *e = (struct element){0};
        c->in_group = true;
        return true;
    case ';':
        c->after_group = c->in_group;
        c->in_group = false;
        return c->after_group && end_element(c);
    case '<':
        *e = (struct element){.begun = true, .angle = e->angle == NO_ANGLE ? IN_ANGLE : AFTER_ANGLE};
        return e->angle == IN_ANGLE && !c->after_group;
    case '>':
        if (e->angle != IN_ANGLE || !is_address(e))
            return false;
        e->angle = AFTER_ANGLE;
        return true;
    default: /* "@", "." */
        e->ats += c->p[-1] == '@';
        e->after_word = false;
        e->begun = true;
        return e->angle != AFTER_ANGLE && !c->after_group;
    }
}

static bool count_mailboxes(struct slice value, unsigned *count)
{
    struct counting c = {.p = value.p, .end = value.p + value.n};
    bool good = true;

    while (good && c.p < c.end)
        switch (*c.p) {
        case ' ':
        case '\t': c.p++; break;
        case '(': good = skip_enclosed(&c, '(', ')'); break;
        case '"': good = on_word(&c, skip_enclosed(&c, '"', '"')); break;
        case '[': good = on_word(&c, skip_enclosed(&c, '[', ']')); break;
        case ',':
        case ':':
        case ';':
        case '<':
        case '>':
        case '@':
        case '.': good = on_special(&c); break;
        default: good = skip_atom(&c); break;
        }
    good = good && end_element(&c) && !c.in_group;
    *count = c.mailboxes;
    return good;
}

/* ------------------------------------------------------------------ reading */

static bool add(struct authors *authors, InternetAddress *address)
{
    const char *addr = INTERNET_ADDRESS_IS_MAILBOX(address)
                           ? internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address))
                           : NULL;

    if (!addr || !*addr || authors->count == MIME_AUTHORS_MAX)
        return false;
    authors->list[authors->count++] =
        (struct mime_author){authors->field, slice_str(arena_strdup(authors->arena, addr))};
    return true;
}

static bool add_all(struct authors *authors, InternetAddressList *list)
{
    int count = internet_address_list_length(list);

    for (int i = 0; i < count; i++) {
        InternetAddress *address = internet_address_list_get_address(list, i);
        InternetAddressList *members = INTERNET_ADDRESS_IS_GROUP(address)
                                           ? internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address))
                                           : NULL;

        if (!members && !add(authors, address))
            return false;
        for (int j = 0; members && j < internet_address_list_length(members); j++)
            if (!add(authors, internet_address_list_get_address(members, j)))
                return false;
    }
    return count > 0;
}

static struct slice without_folds(struct arena *arena, struct slice raw)
{
    char *out = arena_alloc(arena, raw.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < raw.n; i++)
        if (raw.p[i] != '\r' && raw.p[i] != '\n')
            out[n++] = raw.p[i];
    out[n] = '\0';
    return slice_of(out, n);
}

static bool add_field(struct authors *authors, struct slice raw)
{
    const char *colon = memchr(raw.p, ':', raw.n);
    struct slice value;
    InternetAddressList *list;
    unsigned before = authors->count, mailboxes;
    bool understood;

    if (raw.n > AUTHOR_FIELD_MAX)
        return false;
    value = without_folds(authors->arena, slice_skip(raw, (size_t)(colon + 1 - raw.p)));
    if (mime_addresses_length(value) < value.n || !count_mailboxes(value, &mailboxes))
        return false;
    list = internet_address_list_parse(NULL, value.p);
    understood = list && add_all(authors, list) && authors->count - before == mailboxes;
    if (list)
        g_object_unref(list);
    return understood;
}

bool mime_authors(struct arena *arena, struct slice header, struct mime_author *out, unsigned *count)
{
    struct authors authors = {.arena = arena, .list = out};
    struct slice rest = header, name, raw;
    bool understood = true;

    mime_start();
    while (understood && mime_take_field(&rest, &name, &raw)) {
        authors.field = slice_equal_nocase(name, SLICE("From"))     ? "From"
                        : slice_equal_nocase(name, SLICE("Sender")) ? "Sender"
                                                                    : NULL;
        if (authors.field)
            understood = add_field(&authors, raw);
    }
    *count = authors.count;
    return understood;
}
