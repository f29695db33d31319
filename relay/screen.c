/*
 * screen: may a stranger bring mail for this recipient?
 *
 * The model is one number.  Each DNS list that the client is in adds its score, lists of good clients one below 0; a
 * client without a confirmed name adds what the policy says.  At refuse_at it is refused, at greylist_at it has to
 * come again.  A policy may also require the name outright.
 *
 * What could not be asked adds nothing: a list that is away keeps nobody out and lets nobody in who would be refused
 * for something else.  Only a name that is required and could not be found out puts off, as nothing else speaks for
 * the client.
 *
 * Refusals tell which list it was, and what the list says (RFC 5782 2.1), since it is there that the client's operator
 * must go.
 */
#include "relay/screen.h"

#define HITS_TOLD 3

static bool has_no_name(const struct screen_facts *facts)
{
    return facts->name == SCREEN_NAME_NONE || facts->name == SCREEN_NAME_UNCONFIRMED;
}

int screen_score(const struct client_policy *policy, const struct screen_facts *facts)
{
    int score = 0;

    for (unsigned i = 0; i < facts->hit_count; i++)
        score += facts->hits[i].score;
    if (policy->reverse_name == CLIENT_POLICY_NAME_SCORE && has_no_name(facts))
        score += policy->reverse_score;
    return score;
}

static void refuse(struct authorize_decision *out, const char *reason, unsigned code, const char *enhanced,
                   const char *text)
{
    *out = (struct authorize_decision){
        .verdict = AUTHORIZE_DENIED, .reason = reason, .code = code, .enhanced = enhanced, .text = text};
}

static const char *name_trouble(const struct screen_facts *facts)
{
    return facts->name == SCREEN_NAME_NONE ? "it has no name in DNS (PTR)"
                                           : "its name in DNS (PTR) does not lead back to it";
}

/* "bl.test (see http://...), other.test": those that speak against it, as far as there are not too many. */
static const char *told_hits(struct arena *arena, const struct screen_facts *facts)
{
    const char *text = "";
    unsigned told = 0;

    for (unsigned i = 0; i < facts->hit_count && told < HITS_TOLD; i++) {
        const struct screen_hit *hit = &facts->hits[i];

        if (hit->score <= 0)
            continue;
        text = arena_printf(arena, "%s%s%s%s%s%s", text, told++ ? ", " : "", hit->zone, *hit->text ? " (" : "",
                            hit->text, *hit->text ? ")" : "");
    }
    return text;
}

/* The name is told only if the policy asks for it: another domain's may be why it is known. */
static void refuse_score(struct arena *arena, struct slice recipient, const struct client_policy *policy,
                         const struct screen_facts *facts, struct authorize_decision *out)
{
    const char *hits = told_hits(arena, facts);

    if (*hits)
        refuse(out, "dns-list", 550, "5.7.1",
               arena_printf(arena, "<%.*s>: mail from %s is refused: it is listed in %s", SLICE_ARG(recipient),
                            facts->client, hits));
    else if (policy->reverse_name != CLIENT_POLICY_NAME_IGNORE && has_no_name(facts))
        refuse(out, "reverse-name", 550, "5.7.25",
               arena_printf(arena, "<%.*s>: mail from %s is refused: %s", SLICE_ARG(recipient), facts->client,
                            name_trouble(facts)));
    else /* refuse_at is 0 or less: whom no list of good clients speaks for */
        refuse(out, "score", 550, "5.7.1",
               arena_printf(arena, "<%.*s>: mail from %s is refused: it is not known here", SLICE_ARG(recipient),
                            facts->client));
}

/* RFC 7372 section 3.3: X.7.25, reverse DNS validation failed. */
bool screen_refuses(struct arena *arena, struct slice recipient, const struct client_policy *policy,
                    const struct screen_facts *facts, struct authorize_decision *out)
{
    if (policy->refuses && screen_score(policy, facts) >= policy->refuse_at) {
        refuse_score(arena, recipient, policy, facts, out);
        return true;
    }
    if (policy->reverse_name != CLIENT_POLICY_NAME_REQUIRE || facts->name == SCREEN_NAME_CONFIRMED)
        return false;
    if (has_no_name(facts))
        refuse(out, "reverse-name", 550, "5.7.25",
               arena_printf(arena, "<%.*s>: mail from %s is refused: %s", SLICE_ARG(recipient), facts->client,
                            name_trouble(facts)));
    else
        refuse(out, "reverse-name-unknown", 451, "4.7.25",
               arena_printf(arena, "<%.*s>: the name of %s cannot be looked up now, try again later",
                            SLICE_ARG(recipient), facts->client));
    return true;
}

bool screen_greylists(const struct client_policy *policy, const struct screen_facts *facts)
{
    switch (policy->greylist) {
    case CLIENT_POLICY_GREYLIST_NEVER: return false;
    case CLIENT_POLICY_GREYLIST_ALWAYS: return true;
    case CLIENT_POLICY_GREYLIST_SUSPECTS: break;
    }
    return screen_score(policy, facts) >= policy->greylist_at;
}

/* RFC 6647 section 3. */
void screen_put_off(struct arena *arena, struct slice recipient, unsigned seconds, struct authorize_decision *out)
{
    refuse(out, "greylisted", 451, "4.7.1",
           arena_printf(arena, "<%.*s>: greylisted, try again in %u seconds", SLICE_ARG(recipient), seconds));
}

const char *screen_name_word(enum screen_name name)
{
    switch (name) {
    case SCREEN_NAME_NOT_ASKED: return "not-asked";
    case SCREEN_NAME_FAILED: return "failed";
    case SCREEN_NAME_NONE: return "none";
    case SCREEN_NAME_UNCONFIRMED: return "unconfirmed";
    case SCREEN_NAME_CONFIRMED: break;
    }
    return "confirmed";
}
