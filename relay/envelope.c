/*
 * envelope: xtext, the one encoding that envelope parameters need, and the times that they name.
 *
 *     xtext   = *( xchar / hexchar )
 *     xchar   = any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for "+" and "="
 *     hexchar = ASCII "+" immediately followed by two upper case hexadecimal digits     (RFC 3461 section 4)
 *
 * Lower-case digits are taken as well; what is passed on is what came.
 */
#include "relay/envelope.h"

#include "core/clock.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool envelope_xtext(struct arena *arena, struct slice text, struct slice *out)
{
    char *plain = out ? arena_alloc(arena, text.n + 1) : NULL;
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c < '!' || c > '~' || c == '=')
            return false;
        if (c == '+') {
            if (text.n - i < 3 || digit(text.p[i + 1]) < 0 || digit(text.p[i + 2]) < 0)
                return false;
            c = (char)(digit(text.p[i + 1]) * 16 + digit(text.p[i + 2]));
            i += 2;
        }
        if (plain)
            plain[n] = c;
        n++;
    }
    if (out)
        *out = slice_of(plain, n);
    return true;
}

/*
 * hold-for-param = "HOLDFOR=" future-release-integer, in seconds; hold-until-param = "HOLDUNTIL=" date-time of RFC 3339
 * (RFC 4865 section 2, with erratum 2040).  What is stored was read by smtp_parameter.c.
 */
int64_t envelope_release(const struct envelope_mail *envelope, int64_t received_ms)
{
    int64_t until = 0, seconds = 0;

    if (envelope->hold_until.p && !clock_parse_rfc3339(envelope->hold_until, &until))
        return 0;
    for (size_t i = 0; i < envelope->hold_for.n; i++)
        seconds = seconds * 10 + (envelope->hold_for.p[i] - '0');
    if (seconds)
        until = received_ms + seconds * 1000;
    return until > received_ms ? until : 0;
}

int64_t envelope_deadline(const struct envelope_mail *envelope, int64_t received_ms)
{
    return envelope->by != ENVELOPE_BY_UNSAID && envelope->by_seconds > 0 ? received_ms + envelope->by_seconds * 1000
                                                                          : 0;
}

bool envelope_expired(const struct envelope_mail *envelope, int64_t received_ms, int64_t now_ms)
{
    return envelope->by == ENVELOPE_BY_RETURN && now_ms >= envelope_deadline(envelope, received_ms);
}

/* Whole seconds, rounded down, but R knows no 0: what has half a second left has one. */
struct envelope_mail envelope_passed_on(const struct envelope_mail *envelope, int64_t received_ms, int64_t now_ms)
{
    struct envelope_mail out = *envelope;
    int64_t spent_ms = now_ms > received_ms ? now_ms - received_ms : 0;

    out.has_priority = true;
    out.by_seconds -= (spent_ms + 999) / 1000;
    if (out.by == ENVELOPE_BY_RETURN && out.by_seconds < 1)
        out.by_seconds = 1;
    return out;
}
