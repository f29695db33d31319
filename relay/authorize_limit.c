/*
 * authorize_limit: the limits of a relay grant for a minute, an hour and a day.
 *
 * They are asked twice.  At RCPT, so that who is beyond one hears it before he sends; and at the end of data, with what
 * was used by then: else everybody who had his recipients taken before a limit was reached could pass it, as many as
 * there are connections.  What a recipient was told at RCPT holds as far as it can: one that is held already does not
 * make the others held.
 *
 * The longest span is told first: it says when to come back.
 */
#include "core/id.h"
#include "relay/authorize_internal.h"

struct authorize_window authorize_window(const struct directory_grant *grant, uint64_t recipients, uint64_t size,
                                         uint64_t times)
{
    static const char *const spans[] = {"minute", "hour", "day"};
    static const char *const messages_of[] = {"messages_per_minute", "messages_per_hour", "messages_per_day"};
    static const char *const recipients_of[] = {"recipients_per_minute", "recipients_per_hour", "recipients_per_day"};
    const struct directory_amounts *limits = &grant->limits, *used = &grant->used;

    if (limits->bytes_day && used->bytes_day + (size ? size : 1) > limits->bytes_day * times)
        return (struct authorize_window){"bytes_per_day", "octets", "day", limits->bytes_day};
    for (unsigned i = DIRECTORY_SPANS; i-- > 0;) {
        if (limits->messages[i] && used->messages[i] + 1 > limits->messages[i] * times)
            return (struct authorize_window){messages_of[i], "messages", spans[i], limits->messages[i]};
        if (limits->recipients[i] && used->recipients[i] + recipients > limits->recipients[i] * times)
            return (struct authorize_window){recipients_of[i], "recipients", spans[i], limits->recipients[i]};
    }
    return (struct authorize_window){0};
}

void authorize_window_refuse(struct arena *arena, const struct directory_grant *grant,
                             const struct authorize_window *window, struct authorize_decision *out)
{
    bool for_good = grant->at_limit == DIRECTORY_LIMIT_REFUSE;
    char id[ID_TEXT_SIZE];

    refuse(out, AUTHORIZE_DENIED, "rate-limit", for_good ? 550 : 451, for_good ? "5.7.1" : "4.7.1",
           arena_printf(arena, "Limit reached: grant %s permits %llu %s in a %s", id_print(grant->id, id),
                        (unsigned long long)window->permitted, window->unit, window->span));
    out->limit = window->limit;
}

void authorize_message(struct arena *arena, const struct directory_grant *grant, unsigned recipients, unsigned held,
                       uint64_t size, struct authorize_decision *out)
{
    struct authorize_window window = {0}, tenfold = {0};

    if (recipients > held)
        window = authorize_window(grant, recipients - held, size, 1);
    if (grant->at_limit == DIRECTORY_LIMIT_HOLD && (held || window.limit))
        tenfold = authorize_window(grant, recipients, size, AUTHORIZE_HOLD_TIMES);
    allow(out, AUTHORIZE_ALLOWED, "grant");
    if (tenfold.limit || (window.limit && grant->at_limit != DIRECTORY_LIMIT_HOLD)) {
        authorize_window_refuse(arena, grant, tenfold.limit ? &tenfold : &window, out);
    } else if (window.limit) {
        out->held = true;
        out->limit = window.limit;
    }
    out->grant = grant;
}
