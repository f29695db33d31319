/*
 * sasl_hop_challenge: what a server asks, looked at before libsasl sees it.
 *
 *     server-first-message = [reserved-mext ","] nonce "," salt "," iteration-count ["," extensions]
 *     server-final-message = (server-error / verifier) ["," extensions]                        (RFC 5802 section 7)
 *
 * libsasl counts in our event loop.  It takes 65,536 iterations at most (2.1.28: 98 ms with SHA-256), which its
 * interface does not promise; so we hold a server to the same number ourselves (RFC 7677 asks for at least 4,096), and
 * whatever is not the grammar is not passed on.  Extensions are: there are none that are mandatory ("m=" is not taken,
 * section 5.1).
 */
#include "protocols/sasl_hop_challenge.h"

#include "core/cursor.h"
#include "core/secret.h"

#define CHALLENGE_MAX 2048
#define DIGITS_MAX 9

bool sasl_hop_challenge_decode(struct arena *arena, struct slice text, struct slice *challenge)
{
    *challenge = SLICE("");
    if (text.n > CHALLENGE_MAX)
        return false;
    return !text.n || secret_base64_decode(arena, text, challenge);
}

/* value: without ','; at least one character of printable ASCII. */
static bool take_value(struct slice *rest, char name, struct slice *value)
{
    struct slice start;

    if (rest->n < 3 || rest->p[0] != name || rest->p[1] != '=')
        return false;
    *rest = start = slice_skip(*rest, 2);
    while (rest->n && *rest->p != ',' && *rest->p > ' ' && *rest->p < 0x7f)
        *rest = slice_skip(*rest, 1);
    *value = cursor_taken(start, *rest);
    return value->n > 0;
}

/* At the end, or extensions in the same letters. */
static bool ends(struct slice rest)
{
    if (rest.n && *rest.p != ',')
        return false;
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] <= ' ' || rest.p[i] >= 0x7f)
            return false;
    return true;
}

bool sasl_hop_challenge_first(struct slice challenge)
{
    struct slice nonce, salt, count;
    unsigned long iterations = 0;

    if (challenge.n > CHALLENGE_MAX || !take_value(&challenge, 'r', &nonce) || !cursor_take(&challenge, ',') ||
        !take_value(&challenge, 's', &salt) || !cursor_take(&challenge, ',') || !take_value(&challenge, 'i', &count) ||
        !ends(challenge) || count.n > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < count.n; i++) {
        if (!cursor_is_digit(count.p[i]))
            return false;
        iterations = iterations * 10 + (unsigned)(count.p[i] - '0');
    }
    return iterations >= 1 && iterations <= SASL_HOP_ITERATIONS_MAX;
}

bool sasl_hop_challenge_final(struct slice challenge)
{
    struct slice value;

    return challenge.n <= CHALLENGE_MAX &&
           (take_value(&challenge, 'v', &value) || take_value(&challenge, 'e', &value)) && ends(challenge);
}
