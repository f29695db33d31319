/*
 * reply_class: from code, enhanced status and words to one class.
 *
 * The enhanced status (RFC 3463, and the registry that RFC 5248 began) is believed where it says something definite:
 * 5.1.1 is an unknown user whatever the text adds.  Then come the words: greylists and block lists have no status of
 * their own, so that their 4.2.0, 4.7.1 or 5.7.1 says "policy" at best, while their texts name what to do: come again,
 * or have oneself taken off a list.  Then the general statuses, then, for servers without any, words again, then the
 * code.
 *
 * Words are compared without case and as parts of the text.  "not listed" is how some servers say that a user is
 * unknown; it is not taken for a block list.
 *
 * A host that refuses at its greeting is passed over, and what it said stands behind its name and port in our words: it
 * is read as the reply that it is, since block lists are mostly met there.  Our other words (runner_hop.c,
 * runner_route.c, smtp_client_open.c, hop_login.c) are told apart by what they have in common; what is in none of the
 * lists is our own trouble.  Names of hosts have no blanks, so that none of them can look like ours.
 *
 * What is not here: the seconds that a greylist may name.  They are nobody's to promise, and the back-off begins in
 * minutes anyway.
 */
#include "relay/reply_class.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define TEXT_MAX 2000 /* further on nobody says why */

static const char *const greylist_words[] = {"greylist",  "graylist",  "grey-list", "gray-list",
                                             "grey list", "gray list", "greylst",   NULL};
static const char *const list_words[] = {
    "spamhaus",   "spamcop",   "sorbs.net",  "uceprotect",  "barracuda",         "abuseat",
    "dnsbl",      "dnswl",     "rbl.",       " rbl",        "blocklist",         "block list",
    "block-list", "blacklist", "black list", "denylist",    "deny list",         "listed in",
    "listed at",  "listed by", "is listed",  "on our list", "banned sending ip", "reputation",
    NULL,
};
static const char *const full_words[] = {
    "quota",          "mailbox full",         "mailbox is full", "mailfolder is full", "inbox is full",
    "out of storage", "insufficient storage", "storage limit",   "exceeded storage",   NULL};
static const char *const large_words[] = {"too large",    "too big", "message size", "size limit", "maximum size",
                                          "size exceeds", NULL};
static const char *const unknown_words[] = {
    "user unknown",
    "unknown user",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no such address",
    "no such local",
    "unknown recipient",
    "recipient unknown",
    "unknown address",
    "unknown mailbox",
    "does not exist",
    "doesn't exist",
    "doesn't have an account",
    "user not found",
    "mailbox not found",
    "recipient not found",
    "address not found",
    "not our customer",
    "invalid recipient",
    "invalid mailbox",
    "invalid address",
    "no mailbox",
    "mailbox unavailable",
    "unrouteable",
    "not a valid mailbox",
    "account disabled",
    "account is disabled",
    "account has been disabled",
    "mailbox disabled",
    "user disabled",
    "inactive",
    "not listed",
    NULL,
};
static const char *const policy_words[] = {
    "spam",          "policy",         "denied",     "blocked",  "rejected",    "prohibited", "not allowed",
    "not permitted", "relay",          " spf",       "dkim",     "dmarc",       "virus",      "malware",
    "content",       "authentication", "rate limit", "too many", "unsolicited", NULL,
};

/* Ours. */
static const char *const tls_words[] = {"tls is required, ", "tls handshake failed", "requires tls", NULL};
static const char *const nonsense_words[] = {"not an smtp reply", "line too long",
                                             "accepted after mail had been refused", NULL};
static const char *const connection_words[] = {"connection", "timed out", " while ", "its destination is away", NULL};
static const char *const credential_words[] = {" credential", "signing in: ", NULL};
static const char *const routing_words[] = {"'s mx could not be looked up",
                                            "its address could not be looked up",
                                            "no such host",
                                            "no such domain",
                                            "no such destination",
                                            "has no next hop",
                                            "has no mail exchanger",
                                            "no default route",
                                            "there is no route ",
                                            "(null mx)",
                                            "points back to this server",
                                            NULL};
static const char *const expired_words[] = {"delivery time expired", "gave for delivery is over", NULL};
static const char *const cannot_take_words[] = {", which this message needs", NULL};
static const char *const cannot_hold_words[] = {" takes messages up to ", NULL};

struct parsed {
    unsigned code;            /* 0: none */
    unsigned subject, detail; /* of the enhanced status */
    bool has_status;
    char text[TEXT_MAX + 2]; /* lower case, with a blank before it */
};

static bool take_digits(struct slice *s, unsigned most, unsigned *out)
{
    unsigned n = 0;

    for (*out = 0; n < most && n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++)
        *out = *out * 10 + (unsigned)(s->p[n] - '0');
    *s = slice_skip(*s, n);
    return n > 0 && !(s->n && s->p[0] >= '0' && s->p[0] <= '9');
}

static bool take_char(struct slice *s, char c)
{
    if (!s->n || s->p[0] != c)
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

/* RFC 3463 section 2: class "." subject "." detail, behind the code; some write a number sign before it. */
static void parse_status(struct parsed *p, struct slice *rest)
{
    struct slice s = *rest;
    unsigned class;

    take_char(&s, '#');
    if (!take_digits(&s, 1, &class) || (class != 4 && class != 5) || !take_char(&s, '.') ||
        !take_digits(&s, 3, &p->subject) || !take_char(&s, '.') || !take_digits(&s, 3, &p->detail))
        return;
    p->has_status = true;
    *rest = s;
}

static bool take_code(struct slice *s, unsigned *code)
{
    struct slice rest = *s;

    if (!take_digits(&rest, 3, code) || *code < 200 || *code > 599 ||
        (rest.n && !take_char(&rest, ' ') && !take_char(&rest, '-')))
        return false;
    *s = rest;
    return true;
}

/* "host:25: " before a host's reply. */
static struct slice skip_host(struct slice reply)
{
    const char *blank = reply.n ? memchr(reply.p, ' ', reply.n) : NULL;

    return blank && blank - reply.p > 1 && blank[-1] == ':' ? slice_skip(reply, (size_t)(blank + 1 - reply.p)) : reply;
}

static void parse(struct slice reply, struct parsed *p)
{
    struct slice s = reply, behind = skip_host(reply);
    size_t n = 1;

    *p = (struct parsed){.text = " "};
    if (take_code(&s, &p->code)) {
        parse_status(p, &s);
    } else if (take_code(&behind, &p->code) && p->code >= 400) {
        s = behind;
        parse_status(p, &s);
    } else {
        p->code = 0;
    }
    for (size_t i = 0; i < s.n && n <= TEXT_MAX; i++)
        p->text[n++] = s.p[i] ? (char)tolower((unsigned char)s.p[i]) : ' ';
}

static bool has_word(const struct parsed *p, const char *const *words)
{
    for (; *words; words++)
        if (strstr(p->text, *words))
            return true;
    return false;
}

/* Statuses that say one thing.  NONE: it is no such. */
static enum reply_class by_definite_status(const struct parsed *p)
{
    if (!p->has_status)
        return REPLY_CLASS_NONE;
    switch (p->subject * 1000 + p->detail) {
    case 1000: /* other address status */
    case 1001:
    case 1002:
    case 1003:
    case 1004:
    case 1006:
    case 1010: /* null MX, RFC 7505 */
    case 2001: /* mailbox disabled */ return REPLY_CLASS_UNKNOWN_USER;
    case 2002: return REPLY_CLASS_FULL;
    case 2003:
    case 3004: return REPLY_CLASS_TOO_LARGE;
    default: return REPLY_CLASS_NONE;
    }
}

static enum reply_class by_general_status(const struct parsed *p)
{
    if (!p->has_status)
        return REPLY_CLASS_NONE;
    switch (p->subject) {
    case 1: return REPLY_CLASS_POLICY; /* about the sender: 1.7, 1.8 */
    case 5:
    case 6: return REPLY_CLASS_PROTOCOL;
    case 7: return REPLY_CLASS_POLICY;
    default: return REPLY_CLASS_NONE;
    }
}

static enum reply_class by_words(const struct parsed *p)
{
    if (has_word(p, full_words))
        return REPLY_CLASS_FULL;
    if (has_word(p, large_words))
        return REPLY_CLASS_TOO_LARGE;
    if (has_word(p, unknown_words))
        return REPLY_CLASS_UNKNOWN_USER;
    return has_word(p, policy_words) ? REPLY_CLASS_POLICY : REPLY_CLASS_NONE;
}

/* RFC 5321 4.2.3. */
static enum reply_class by_code(unsigned code)
{
    if (code == 552)
        return REPLY_CLASS_FULL;
    if ((code >= 500 && code <= 504) || code == 555)
        return REPLY_CLASS_PROTOCOL;
    return code / 100 == 4 ? REPLY_CLASS_TEMPORARY : REPLY_CLASS_REFUSED;
}

static enum reply_class by_our_words(const struct parsed *p)
{
    if (has_word(p, tls_words))
        return REPLY_CLASS_TLS;
    if (has_word(p, nonsense_words))
        return REPLY_CLASS_PROTOCOL;
    if (has_word(p, connection_words))
        return REPLY_CLASS_CONNECTION;
    if (has_word(p, credential_words))
        return REPLY_CLASS_CREDENTIAL;
    if (has_word(p, routing_words))
        return REPLY_CLASS_ROUTING;
    if (has_word(p, expired_words))
        return REPLY_CLASS_EXPIRED;
    if (has_word(p, cannot_take_words))
        return REPLY_CLASS_PROTOCOL;
    return has_word(p, cannot_hold_words) ? REPLY_CLASS_TOO_LARGE : REPLY_CLASS_LOCAL;
}

enum reply_class reply_class_of(struct slice reply)
{
    struct parsed p;
    enum reply_class class;

    parse(reply, &p);
    if (!p.code)
        return reply.n ? by_our_words(&p) : REPLY_CLASS_NONE;
    if (p.code < 400)
        return REPLY_CLASS_NONE;
    if (p.code / 100 == 4 && has_word(&p, greylist_words))
        return REPLY_CLASS_GREYLIST;
    if ((class = by_definite_status(&p)) != REPLY_CLASS_NONE)
        return class;
    if (has_word(&p, list_words) && !strstr(p.text, "not listed"))
        return REPLY_CLASS_BLOCK_LIST;
    if ((class = by_general_status(&p)) != REPLY_CLASS_NONE)
        return class;
    if ((class = by_words(&p)) != REPLY_CLASS_NONE)
        return class;
    return by_code(p.code);
}

const char *reply_class_word(enum reply_class class)
{
    static const char *const words[] = {
        [REPLY_CLASS_UNKNOWN_USER] = "unknown-user",
        [REPLY_CLASS_FULL] = "full",
        [REPLY_CLASS_TOO_LARGE] = "too-large",
        [REPLY_CLASS_BLOCK_LIST] = "block-list",
        [REPLY_CLASS_GREYLIST] = "greylist",
        [REPLY_CLASS_POLICY] = "policy",
        [REPLY_CLASS_PROTOCOL] = "protocol",
        [REPLY_CLASS_TEMPORARY] = "temporary",
        [REPLY_CLASS_REFUSED] = "refused",
        [REPLY_CLASS_CONNECTION] = "connection",
        [REPLY_CLASS_TLS] = "tls",
        [REPLY_CLASS_ROUTING] = "routing",
        [REPLY_CLASS_CREDENTIAL] = "credential",
        [REPLY_CLASS_EXPIRED] = "expired",
        [REPLY_CLASS_LOCAL] = "local",
    };

    return words[class];
}
