/*
 * content_match: content rules, asked one after the other.
 *
 * The cheap conditions of a rule are asked first (size, addresses), then the header, then the attachments: each of
 * those takes one field or part that fits.  What is asked of a message without its recipient is remembered, so a
 * thousand recipients cost one look at the header.
 *
 * Time is bounded twice: a match is given up after some thousand steps (core/pattern.h), and after CONTENT_MS no
 * further one is begun.  That is time in which we compute: others may have the processor for as long on a busy machine,
 * and rules that cost nothing would not be asked.  What was given up does not match: a rule is a customer's wish about
 * mail, no guard of this server, and mail is not refused because somebody's pattern is slow.  The caller logs it.
 */
#include "relay/content_match.h"

#include <string.h>

#include "core/clock.h"

#define CONTENT_MS 50

void content_match_begin(struct arena *arena, const struct content_rule *rules, unsigned count,
                         const struct content_message *message, struct content_match *out)
{
    *out = (struct content_match){.rules = rules, .count = count, .message = message};
    out->known = arena_array(arena, count, sizeof *out->known);
    out->give_up_ms = clock_work_ms() + CONTENT_MS;
}

static bool fits(struct content_match *m, const struct content_rule *rule, enum content_pattern which,
                 struct slice subject)
{
    if (!rule->compiled[which])
        return true;
    if (m->give_up_ms && clock_work_ms() >= m->give_up_ms) {
        m->too_hard++;
        return false;
    }
    switch (pattern_match(rule->compiled[which], subject)) {
    case PATTERN_MATCHES: return true;
    case PATTERN_DIFFERS: return false;
    case PATTERN_TOO_HARD: m->too_hard++; return false;
    }
    return false;
}

static bool a_field_fits(struct content_match *m, const struct content_rule *rule)
{
    for (unsigned i = 0; i < m->message->field_count; i++)
        if (slice_equal_nocase(m->message->fields[i].name, rule->header) &&
            fits(m, rule, CONTENT_HEADER, m->message->fields[i].value))
            return true;
    return false;
}

static bool a_part_fits(struct content_match *m, const struct content_rule *rule)
{
    for (unsigned i = 0; i < m->message->part_count; i++) {
        const struct content_part *part = &m->message->parts[i];

        if (rule->compiled[CONTENT_ATTACHMENT_NAME] && !part->name.p)
            continue;
        if (fits(m, rule, CONTENT_ATTACHMENT_NAME, part->name) && fits(m, rule, CONTENT_ATTACHMENT_TYPE, part->type))
            return true;
    }
    return false;
}

static bool message_fits(struct content_match *m, const struct content_rule *rule)
{
    if (rule->size_over >= 0 && m->message->size <= (uint64_t)rule->size_over)
        return false;
    if (!fits(m, rule, CONTENT_SENDER, m->message->sender))
        return false;
    if (rule->compiled[CONTENT_HEADER] && !a_field_fits(m, rule))
        return false;
    return (!rule->compiled[CONTENT_ATTACHMENT_NAME] && !rule->compiled[CONTENT_ATTACHMENT_TYPE]) || a_part_fits(m, rule);
}

static struct slice domain_of(struct slice address)
{
    const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;

    return at ? slice_skip(address, (size_t)(at - address.p) + 1) : slice_of("", 0);
}

const struct content_rule *content_match_find(struct content_match *m, bool outgoing, struct slice sender_domain,
                                              struct slice recipient)
{
    struct slice domain = outgoing ? sender_domain : domain_of(recipient);

    for (unsigned i = 0; i < m->count; i++) {
        const struct content_rule *rule = &m->rules[i];

        if (rule->outgoing != outgoing || (rule->domain_id && !slice_equal_nocase(rule->domain, domain)))
            continue;
        if (m->known[i] == CONTENT_UNKNOWN)
            m->known[i] = message_fits(m, rule) ? CONTENT_FITS : CONTENT_DIFFERS;
        if (m->known[i] == CONTENT_FITS && fits(m, rule, CONTENT_RECIPIENT, recipient))
            return rule;
    }
    return NULL;
}

bool content_match_wants_fields(const struct content_rule *rules, unsigned count)
{
    bool wants = false;

    for (unsigned i = 0; i < count; i++)
        wants = wants || rules[i].compiled[CONTENT_HEADER];
    return wants;
}

bool content_match_wants_parts(const struct content_rule *rules, unsigned count)
{
    bool wants = false;

    for (unsigned i = 0; i < count; i++)
        wants = wants || rules[i].compiled[CONTENT_ATTACHMENT_NAME] || rules[i].compiled[CONTENT_ATTACHMENT_TYPE];
    return wants;
}
