/*
 * srs: what the address of a forwarded message's sender becomes, and back.
 *
 * Forwarded under its own sender a message comes from a server that the sender's domain does not name (SPF, RFC 7208),
 * and may be refused for it.  So it travels under an address of the forwarding domain, from which a bounce finds back.
 * The scheme is M. S. Wong's "Sender Rewriting Scheme" (2004), as libsrs2 and postsrsd have it, but for the hash, which
 * is nobody's but ours to read: six letters of base32 instead of four of base64, since a mail server on the way may
 * fold the case, and bound to the forwarding domain.
 *
 *     local = "SRS0=" hash "=" day "=" domain "=" local    day: of 1024, two letters
 *     local = "SRS1=" hash "=" domain "=" rest             rest begins with the separator of the SRS0 that it was
 *
 * A chain of forwarders does not make the address longer: the second writes SRS1, which names the first, and who comes
 * third replaces the second's hash.  Of the way back each checks its own hash, and the first the day.
 *
 * A domain has no "=", so the first one behind it ends it, whatever the local part holds.  What the hash is of is
 * lower-cased (ASCII), and the letters of the hash are compared in one case, in constant time.
 *
 * What does not fit into 64 octets is not written: an address that a next hop may refuse as too long is worse than one
 * whose SPF fails, since that is refused with a reason, and returned to who sent it.
 */
#include "relay/srs.h"

#include <string.h>

#include "core/idn.h"
#include "core/secret.h"
#include "storage/name.h"

#define HASH 6
#define DAYS 1024
#define DAY_MS (24 * 60 * 60 * INT64_C(1000))

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; /* RFC 4648 section 6 */

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Of the kind ('0', '1'), what stands behind the hash, and our domain. */
static void make_hash(struct arena *arena, struct slice key, char kind, struct slice rest, struct slice domain,
                      char out[HASH])
{
    char *text = arena_printf(arena, "%c=%.*s@%.*s", kind, SLICE_ARG(rest), SLICE_ARG(domain));
    unsigned char digest[SECRET_SHA256_SIZE];
    uint32_t bits;

    for (char *c = text; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    secret_hmac_sha256(key, slice_str(text), digest);
    bits = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3];
    for (unsigned i = 0; i < HASH; i++)
        out[i] = base32[bits >> (27 - 5 * i) & 31];
}

static unsigned today(int64_t now_ms)
{
    return (unsigned)(now_ms / DAY_MS % DAYS);
}

/* "SRS0", "SRS1", in any case, and one of the three separators. */
static bool is_kind(struct slice local, char kind)
{
    return local.n > 5 && slice_equal_nocase(slice_of(local.p, 3), SLICE("SRS")) && local.p[3] == kind &&
           memchr("=+-", local.p[4], 3);
}

/* Up to the next "=", which is taken, too.  False: there is none, or nothing before it. */
static bool take(struct slice *rest, struct slice *out)
{
    const char *end = rest->n ? memchr(rest->p, '=', rest->n) : NULL;

    if (!end || end == rest->p)
        return false;
    *out = slice_of(rest->p, (size_t)(end - rest->p));
    *rest = slice_skip(*rest, out->n + 1);
    return true;
}

/* What holds a control character, or a blank, is no address that it can carry. */
static bool split(struct slice address, struct slice *local, struct slice *domain)
{
    const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;

    for (size_t i = 0; i < address.n; i++)
        if ((unsigned char)address.p[i] <= ' ' || address.p[i] == 0x7f)
            return false;
    if (!at || at == address.p)
        return false;
    *local = slice_of(address.p, (size_t)(at - address.p));
    *domain = slice_skip(address, local->n + 1);
    return domain->n > 0;
}

/* ------------------------------------------------------------------ writing */

/* What stands behind the hash, and the kind.  p NULL: it cannot be carried. */
static struct slice carried(struct arena *arena, struct slice sender, int64_t now_ms, char *kind)
{
    struct slice local, domain, rest, hash, first, name;
    unsigned day = today(now_ms);

    if (!split(sender, &local, &domain) || *local.p == '"' || !name_domain(arena, domain, &name))
        return (struct slice){NULL, 0};
    *kind = '1';
    if (is_kind(local, '0'))
        return slice_str(arena_printf(arena, "%.*s=%.*s", SLICE_ARG(name), SLICE_ARG(slice_skip(local, 4))));
    rest = slice_skip(local, is_kind(local, '1') ? 5 : local.n);
    if (take(&rest, &hash) && take(&rest, &first) && name_domain(arena, first, &name) && rest.n > 1 &&
        memchr("=+-", *rest.p, 3))
        return slice_str(arena_printf(arena, "%.*s=%.*s", SLICE_ARG(name), SLICE_ARG(rest)));
    *kind = '0';
    name_domain(arena, domain, &name);
    return slice_str(
        arena_printf(arena, "%c%c=%.*s=%.*s", base32[day >> 5], base32[day & 31], SLICE_ARG(name), SLICE_ARG(local)));
}

enum srs_written srs_write(struct arena *arena, struct slice key, struct slice sender, struct slice domain,
                           int64_t now_ms, struct slice *out)
{
    char hash[HASH], kind;
    struct slice rest = carried(arena, sender, now_ms, &kind);

    if (!rest.p)
        return SRS_UNFIT;
    if (5 + HASH + 1 + rest.n > SRS_LOCAL_MAX || 5 + HASH + 1 + rest.n + 1 + domain.n > SRS_ADDRESS_MAX)
        return SRS_TOO_LONG;
    make_hash(arena, key, kind, rest, domain, hash);
    *out = slice_str(arena_printf(arena, "SRS%c=%.*s=%.*s@%.*s", kind, HASH, hash, SLICE_ARG(rest), SLICE_ARG(domain)));
    return SRS_WRITTEN;
}

/* ------------------------------------------------------------------ reading */

static bool is_ours(struct arena *arena, const struct slice *keys, unsigned count, char kind, struct slice hash,
                    struct slice rest, struct slice domain)
{
    char given[HASH], made[HASH];
    bool found = false;

    if (hash.n != HASH)
        return false;
    for (unsigned i = 0; i < HASH; i++)
        given[i] = upper(hash.p[i]);
    for (unsigned i = 0; i < count; i++) {
        make_hash(arena, keys[i], kind, rest, domain, made);
        found |= secret_equal(slice_of(given, HASH), slice_of(made, HASH));
    }
    return found;
}

/* How many days ago; of what seems to be from tomorrow (another node's clock): none.  DAYS: it is no day. */
static unsigned age_of(struct slice day, int64_t now_ms)
{
    unsigned value = 0, age;

    if (day.n != 2)
        return DAYS;
    for (unsigned i = 0; i < 2; i++) {
        const char *digit = memchr(base32, upper(day.p[i]), 32);

        if (!digit)
            return DAYS;
        value = value * 32 + (unsigned)(digit - base32);
    }
    age = (today(now_ms) + DAYS - value) % DAYS;
    return age == DAYS - 1 ? 0 : age;
}

enum srs_read srs_read(struct arena *arena, const struct slice *keys, unsigned count, struct slice address,
                       int64_t now_ms, unsigned days_max, struct slice *out)
{
    struct slice local, domain, rest, hash, day, first, name;
    char kind;

    if (!split(address, &local, &domain) || (!is_kind(local, '0') && !is_kind(local, '1')))
        return SRS_NONE;
    kind = local.p[3];
    rest = slice_skip(local, 5);
    if (local.p[4] != '=' || !name_domain(arena, domain, &domain) || !take(&rest, &hash) ||
        !is_ours(arena, keys, count, kind, hash, rest, domain))
        return SRS_FORGED;
    if (kind == '0' && !take(&rest, &day))
        return SRS_FORGED;
    if (!take(&rest, &first) || !rest.n || !name_domain(arena, first, &name))
        return SRS_FORGED;
    if (kind == '0' && age_of(day, now_ms) > days_max)
        return SRS_OLD;
    *out = slice_str(kind == '0' ? arena_printf(arena, "%.*s@%.*s", SLICE_ARG(rest), SLICE_ARG(name))
                                 : arena_printf(arena, "SRS0%.*s@%.*s", SLICE_ARG(rest), SLICE_ARG(name)));
    return SRS_READ;
}
