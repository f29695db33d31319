/*
 * verify: what is made of what a primary says, or has said, about an address.
 *
 *                                    within its time      past it          never asked
 *     the primary can be asked       as it was said       as it says now   as it says now
 *     ... and does not say           as it was said       as it was said   unknown
 *     the domain has an outage       as it was said       as it was said   unknown
 *
 * So an outage freezes what is known: who was valid when it began is valid until it ends, and who was not is refused;
 * mail for them is neither refused to everybody nor taken to be bounced later.  "unknown" is the domain's to decide
 * (authorize.c): deferred, so that the sender's server comes again, or taken.
 *
 * A primary that takes what cannot exist says nothing by taking: all are valid, until it refuses one.
 *
 * Which replies mean that an address does not exist: 550, 551 and 553 without an enhanced code, or with one about the
 * address (RFC 3463 X.1: 0 to 4, 6 and 10, not those about the sender) a mailbox that takes no mail (X.2.1), or an
 * address that is not ASCII where only ASCII is taken (X.6.7).  Others, 5.7.1 above all, are about us, the sender or
 * the moment: to remember those for an address would refuse a domain's mail because its server did not like a client.
 */
#include "relay/verify.h"

static bool is_about_address(struct slice enhanced)
{
    static const char *const statuses[] = {"5.1.0", "5.1.1",  "5.1.2", "5.1.3", "5.1.4",
                                           "5.1.6", "5.1.10", "5.2.1", "5.6.7"};

    for (unsigned i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (slice_equal(enhanced, slice_str(statuses[i])))
            return true;
    return false;
}

enum verify_told verify_reply(unsigned code, struct slice enhanced)
{
    if (code / 100 == 2)
        return VERIFY_EXISTS;
    if (enhanced.n ? code / 100 == 5 && is_about_address(enhanced) : code == 550 || code == 551 || code == 553)
        return VERIFY_NOT_THERE;
    return VERIFY_UNTOLD;
}

bool verify_wanted(const struct directory_recipient *found)
{
    const struct directory_domain *domain = &found->domain;

    return found->has_domain && domain->valid == DIRECTORY_VALID_LEARNED && domain->customer_active &&
           (domain->kind == DIRECTORY_RELAY || (domain->elsewhere && !found->has_account)) && !found->has_expansion &&
           !directory_is_known(found);
}

/* What was said once, whatever its age; false: nothing. */
static bool is_remembered(const struct learned *known, bool within_time, enum directory_existence *out)
{
    if (known->known && !known->valid)
        *out = DIRECTORY_NOT_THERE;
    else if (known->known || known->accepts_all)
        *out = within_time ? DIRECTORY_EXISTS : DIRECTORY_EXISTED;
    else
        return false;
    return true;
}

enum verify_next verify_known(const struct learned *known, bool away, int64_t now_ms, enum directory_existence *out)
{
    bool in_time = known->known && known->until_ms > now_ms,
         all_in_time = known->accepts_all && known->all_until_ms > now_ms;

    *out = DIRECTORY_UNKNOWN;
    if (away) {
        is_remembered(known, false, out);
        return VERIFY_ANSWERED;
    }
    if (in_time && is_remembered(known, true, out)) {
        bool late = known->until_ms - now_ms < (known->until_ms - known->learned_ms) / 4;
        return known->valid && late ? VERIFY_REFRESH : VERIFY_ANSWERED;
    }
    if (!all_in_time)
        return VERIFY_ASK;
    *out = DIRECTORY_EXISTS;
    return VERIFY_ANSWERED;
}

enum directory_existence verify_asked(const struct learned *known, enum verify_told told)
{
    enum directory_existence existence = DIRECTORY_UNKNOWN;

    switch (told) {
    case VERIFY_EXISTS: return DIRECTORY_EXISTS;
    case VERIFY_NOT_THERE: return DIRECTORY_NOT_THERE;
    case VERIFY_UNTOLD: break;
    }
    is_remembered(known, false, &existence);
    return existence;
}
