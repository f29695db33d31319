/*
 * sts: the three small grammars of RFC 8461.
 *
 *     _mta-sts.example.test  TXT  "v=STSv1; id=20260831085700Z;"        section 3.1
 *
 *     version: STSv1                                                    section 3.2, by HTTPS
 *     mode: enforce
 *     mx: mail.example.test
 *     mx: *.example.test
 *     max_age: 604800
 *
 * Lines end in CRLF or LF.  Fields that are not known are passed over, as are those of the known ones that come a second
 * time, but for mx.  A policy that enforces and names no host, or one name that is none, is no policy: it was meant to be
 * something else.
 *
 * A pattern with a star stands for exactly one label at its place, and the star is all of that label (section 4.1).
 */
#include "relay/sts.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice s)
{
    while (s.n && is_blank(s.p[0]))
        s = slice_skip(s, 1);
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* What is before the separator, which is taken off with it. */
static struct slice take(struct slice *rest, char separator)
{
    const char *end = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
    struct slice part = *rest;

    if (end)
        part.n = (size_t)(end - rest->p);
    *rest = end ? slice_skip(*rest, part.n + 1) : slice_of(rest->p + rest->n, 0);
    return part;
}

/* ------------------------------------------------------------------ the record */

static bool id_parse_value(struct slice value, char id[STS_ID_SIZE])
{
    if (value.n < 1 || value.n >= STS_ID_SIZE)
        return false;
    for (size_t i = 0; i < value.n; i++)
        if (!isalnum((unsigned char)value.p[i]))
            return false;
    memcpy(id, value.p, value.n);
    id[value.n] = '\0';
    return true;
}

static bool is_record(struct slice text)
{
    return slice_equal(trim(take(&text, ';')), SLICE("v=STSv1")) && text.n;
}

static bool record_id(struct slice text, char id[STS_ID_SIZE])
{
    bool found = false;

    (void)take(&text, ';');
    while (text.n) {
        struct slice value = trim(take(&text, ';')), name = take(&value, '=');

        if (!slice_equal(name, SLICE("id")))
            continue;
        if (found || !id_parse_value(value, id))
            return false;
        found = true;
    }
    return found;
}

bool sts_record_parse(const struct slice *texts, unsigned count, char id[STS_ID_SIZE])
{
    const struct slice *record = NULL;

    for (unsigned i = 0; i < count; i++)
        if (is_record(texts[i])) {
            if (record)
                return false;
            record = &texts[i];
        }
    return record && record_id(*record, id);
}

/* ------------------------------------------------------------------ the policy */

/* A host's name, or a pattern: LDH labels, at least two of them behind a star. */
static bool pattern_parse(struct arena *arena, struct slice value, const char **out)
{
    char *name = arena_alloc(arena, value.n + 1);
    size_t label = 0;

    for (size_t i = 0; i < value.n; i++) {
        char c = name[i] = (char)tolower((unsigned char)value.p[i]);

        if (c == '.') {
            if (!label)
                return false;
            label = 0;
        } else if (!isalnum((unsigned char)c) && c != '-' && c != '_' && !(c == '*' && i == 0)) {
            return false;
        } else if (++label > 63) {
            return false;
        }
    }
    name[value.n] = '\0';
    *out = name;
    if (!label || value.n > 253)
        return false;
    return name[0] != '*' || (name[1] == '.' && value.n > 2);
}

static bool age_parse(struct slice value, unsigned *out)
{
    unsigned long age = 0;

    if (value.n < 1 || value.n > 10)
        return false;
    for (size_t i = 0; i < value.n; i++) {
        if (!isdigit((unsigned char)value.p[i]))
            return false;
        age = age * 10 + (unsigned long)(value.p[i] - '0');
    }
    *out = age < STS_MAX_AGE ? (unsigned)age : STS_MAX_AGE;
    return true;
}

/* The fields that are there so far. */
struct reading {
    struct slice version, mode, max_age;
    const char **mx;
    unsigned mx_count;
};

static bool read_field(struct arena *arena, struct slice line, struct reading *reading)
{
    struct slice name = take(&line, ':'), value = trim(line);
    struct slice *known = slice_equal(name, SLICE("version"))   ? &reading->version
                          : slice_equal(name, SLICE("mode"))    ? &reading->mode
                          : slice_equal(name, SLICE("max_age")) ? &reading->max_age
                                                                : NULL;

    if (known && !known->p)
        *known = value;
    if (!slice_equal(name, SLICE("mx")))
        return true;
    return reading->mx_count < STS_PATTERNS_MAX && pattern_parse(arena, value, &reading->mx[reading->mx_count++]);
}

bool sts_policy_parse(struct arena *arena, struct slice body, struct sts_policy *out)
{
    struct reading reading = {.mx = arena_array(arena, STS_PATTERNS_MAX, sizeof *reading.mx)};

    *out = (struct sts_policy){0};
    if (body.n > STS_BODY_MAX)
        return false;
    while (body.n) {
        struct slice line = take(&body, '\n');

        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (!read_field(arena, line, &reading))
            return false;
    }
    if (!slice_equal(reading.version, SLICE("STSv1")) || !sts_mode_of(reading.mode, &out->mode) ||
        !age_parse(reading.max_age, &out->max_age))
        return false;
    out->mx = reading.mx;
    out->mx_count = reading.mx_count;
    return out->mode == STS_NONE || out->mx_count > 0;
}

bool sts_policy_names(const struct sts_policy *policy, const char *host)
{
    const char *parent = strchr(host, '.');

    for (unsigned i = 0; i < policy->mx_count; i++) {
        const char *pattern = policy->mx[i];

        if (*pattern == '*' ? parent && parent > host && strcasecmp(parent, pattern + 1) == 0
                            : strcasecmp(host, pattern) == 0)
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------ words */

static const char *const words[] = {[STS_NONE] = "none", [STS_TESTING] = "testing", [STS_ENFORCE] = "enforce"};

const char *sts_mode_word(enum sts_mode mode)
{
    return words[mode];
}

bool sts_mode_of(struct slice word, enum sts_mode *out)
{
    for (unsigned i = STS_NONE; i <= STS_ENFORCE; i++)
        if (slice_equal(word, slice_str(words[i]))) {
            *out = (enum sts_mode)i;
            return true;
        }
    return false;
}
