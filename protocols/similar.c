/*
 * similar: a simhash (Charikar 2002) of what a reader would see of a message.
 *
 * The message is taken apart into features: words, pairs of words that follow each other, words of the subject, types
 * of parts and the ends of their files' names.  Each has a hash of 64 bits; each bit of the result says whether more
 * features have it set than not.  Two messages that share most features differ in few bits, whatever the features are,
 * so no template has to be known: mail that was made from one pattern for many recipients is alike, with a name, a
 * number or a link of his own for each.
 *
 * So that it is, what differs for each recipient is made equal: runs of letters and digits that have a digit, and
 * long ones, are one word; case does not matter.  What occurs often counts once, else a line of dashes would be all
 * there is of a message. Bytes beyond ASCII are letters; character sets are not converted, as mail from one pattern
 * has one.
 *
 * Text parts are decoded from base64 and quoted-printable.  Of hostile mail TEXT_MAX bytes of text, PARTS_MAX parts and
 * WORDS_MAX words are looked at; mime.c bounds the rest.
 */
#include "protocols/similar.h"

#include "protocols/mime_private.h"

#define TEXT_MAX (64 * 1024)
#define PARTS_MAX 50
#define WORDS_MAX 20000
#define WORD_MAX 20 /* bytes; a longer run is an identifier */
#define SEEN_BITS 65536

#define OF_TEXT 1
#define OF_PAIR 2
#define OF_SUBJECT 3
#define OF_SHAPE 4

struct looking {
    struct arena *arena;
    int32_t weights[64];
    unsigned char *seen; /* a bit for each feature that was counted; two may share one */
    unsigned words, parts;
    size_t text; /* bytes so far */
};

/* ------------------------------------------------------------------ features */

/* FNV-1a, and then mixed (the end of MurmurHash3), as its high bits are poor for short words. */
static uint64_t hash_of(unsigned kind, uint64_t seed, struct slice word)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed ^ kind;

    for (size_t i = 0; i < word.n; i++)
        hash = (hash ^ (unsigned char)word.p[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

static void count(struct looking *l, uint64_t hash, int32_t weight)
{
    unsigned bit = (unsigned)(hash % SEEN_BITS);

    if (l->seen[bit / 8] & 1u << bit % 8)
        return;
    l->seen[bit / 8] |= (unsigned char)(1u << bit % 8);
    for (unsigned i = 0; i < 64; i++)
        l->weights[i] += hash >> i & 1 ? weight : -weight;
}

/* ------------------------------------------------------------------ words */

static bool is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

/* The next word, in lower case; what is no one's name for anything is "0".  False: there is none. */
static bool next_word(struct slice *rest, char word[WORD_MAX], size_t *n)
{
    bool digits = false;
    size_t length = 0;

    *n = 0;
    while (rest->n && !is_letter((unsigned char)*rest->p) && !(*rest->p >= '0' && *rest->p <= '9'))
        *rest = slice_skip(*rest, 1);
    for (; rest->n; *rest = slice_skip(*rest, 1), length++) {
        unsigned char c = (unsigned char)*rest->p;
        bool digit = c >= '0' && c <= '9';

        if (!digit && !is_letter(c))
            break;
        digits |= digit;
        if (*n < WORD_MAX)
            word[(*n)++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    if (digits || length > WORD_MAX) {
        word[0] = '0';
        *n = 1;
    }
    return length > 0;
}

static void look_at_text(struct looking *l, struct slice text, bool subject)
{
    char word[WORD_MAX];
    uint64_t before = 0;
    size_t n;

    while (l->words < WORDS_MAX && next_word(&text, word, &n)) {
        uint64_t hash = hash_of(subject ? OF_SUBJECT : OF_TEXT, 0, slice_of(word, n));

        l->words++;
        count(l, hash, subject ? 3 : 1);
        if (before)
            count(l, hash_of(OF_PAIR, before, slice_of(word, n)), 2);
        before = hash;
    }
}

/* ------------------------------------------------------------------ parts */

static struct slice decoded(struct looking *l, const struct mime_part *part)
{
    struct slice name = mime_encoding(l->arena, part->header), body = part->body;
    GMimeContentEncoding how = name.n ? g_mime_content_encoding_from_string(name.p) : GMIME_CONTENT_ENCODING_DEFAULT;
    GMimeEncoding state;

    body.n = body.n < TEXT_MAX - l->text ? body.n : TEXT_MAX - l->text;
    l->text += body.n;
    if (how == GMIME_CONTENT_ENCODING_BASE64 || how == GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE) {
        char *out = arena_alloc(l->arena, body.n + 64);

        g_mime_encoding_init_decode(&state, how);
        return slice_of(out, g_mime_encoding_step(&state, body.p, body.n, out));
    }
    return body;
}

/* "pdf" of "Invoice 17.PDF". */
static struct slice end_of(struct arena *arena, struct slice name)
{
    const char *dot = name.n ? memrchr(name.p, '.', name.n) : NULL;
    struct slice end = dot ? slice_skip(name, (size_t)(dot - name.p) + 1) : slice_of("", 0);

    end.n = end.n < WORD_MAX ? end.n : WORD_MAX;
    return arena_lower(arena, end);
}

static void look_at_part(struct looking *l, const struct mime_part *part, unsigned depth)
{
    struct slice type;

    if (++l->parts > PARTS_MAX || depth > MIME_DEPTH_MAX)
        return;
    type = slice_str(arena_printf(l->arena, "%.*s/%.*s", SLICE_ARG(part->type), SLICE_ARG(part->subtype)));
    type.n = type.n < 100 ? type.n : 100;
    count(l, hash_of(OF_SHAPE, depth, arena_lower(l->arena, type)), 3);
    if (part->child) {
        for (const struct mime_part *child = part->child; child; child = child->next)
            look_at_part(l, child, depth + 1);
        return;
    }
    if (mime_param(part, "name").n)
        count(l, hash_of(OF_SHAPE, 99, end_of(l->arena, mime_param(part, "name"))), 3);
    if (slice_equal_nocase(part->type, SLICE("text")) && l->text < TEXT_MAX)
        look_at_text(l, decoded(l, part), false);
}

/* ------------------------------------------------------------------ the message */

/* As it may be shown and stored: whole characters, and no control characters. */
static struct slice subject_of(struct arena *arena, struct slice header)
{
    struct slice raw = mime_field(arena, header, "Subject"), kept;
    char *text, *valid;
    size_t n;

    if (!raw.p)
        return raw;
    raw.n = raw.n < 4 * SIMILAR_SUBJECT_MAX ? raw.n : 4 * SIMILAR_SUBJECT_MAX;
    text = g_mime_utils_header_decode_text(NULL, arena_slicedup(arena, raw));
    valid = g_utf8_make_valid(text, -1);
    n = strlen(valid);
    if (n > SIMILAR_SUBJECT_MAX)
        n = (size_t)(g_utf8_find_prev_char(valid, valid + SIMILAR_SUBJECT_MAX + 1) - valid);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)valid[i] < ' ' || valid[i] == 0x7f)
            valid[i] = ' ';
    kept = arena_slice(arena, slice_of(valid, n));
    g_free(valid);
    g_free(text);
    return kept;
}

void similar_of(struct arena *arena, struct slice bytes, struct similar *out)
{
    struct looking l = {.arena = arena, .seen = arena_alloc(arena, SEEN_BITS / 8)};
    const struct mime_part *message;

    mime_start();
    bytes.n = bytes.n < SIMILAR_LOOKED_AT ? bytes.n : SIMILAR_LOOKED_AT;
    message = mime_parse(arena, bytes);
    *out = (struct similar){.subject = subject_of(arena, message->header)};
    look_at_text(&l, out->subject, true);
    look_at_part(&l, message, 0);
    for (unsigned i = 0; i < 64; i++)
        out->hash |= (uint64_t)(l.weights[i] > 0) << i;
}
