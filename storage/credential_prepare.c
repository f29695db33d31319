/*
 * credential_prepare: RFC 4013, by ICU's tables of it.
 *
 * One keyboard makes an "é" of one code point and another of two, some put a no-break space where others put a blank;
 * to hash the bytes would be to tell the one person from the other.  SASLprep maps such forms to one (NFKC), drops
 * what cannot be seen, and prohibits control characters, what is no character, and what Unicode 3.2 does not know (RFC
 * 5802 section 2.2: passwords are "stored strings").
 *
 * Printable ASCII is what it was, which is nearly all that comes.
 */
#include "storage/credential_prepare.h"

#include <unicode/usprep.h>
#include <unicode/ustring.h>

#include "core/secret.h"
#include "storage/credential.h"

#define UNITS_MAX (CREDENTIAL_PASSWORD_MAX * 4) /* what becomes longer than a password may be is none anyway */

static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return true;
}

/* Opened once, and kept: it is a table in a library. */
static const UStringPrepProfile *profile(void)
{
    static UStringPrepProfile *opened;
    UErrorCode error = U_ZERO_ERROR;

    if (!opened)
        opened = usprep_openByType(USPREP_RFC4013_SASLPREP, &error);
    return U_SUCCESS(error) ? opened : NULL;
}

bool credential_prepare(struct arena *arena, struct slice password, struct slice *out)
{
    UChar given[UNITS_MAX], prepared[UNITS_MAX];
    char text[CREDENTIAL_PASSWORD_MAX + 1];
    int32_t n = 0, size = 0;
    UErrorCode error = U_ZERO_ERROR;
    UParseError place;

    if (is_plain(password)) {
        *out = password.n ? secret_slice(arena, password) : password;
        return true;
    }
    if (password.n > CREDENTIAL_PASSWORD_MAX || !profile())
        return false;
    u_strFromUTF8(given, UNITS_MAX, &n, password.p, (int32_t)password.n, &error);
    n = usprep_prepare(profile(), given, n, prepared, UNITS_MAX, USPREP_DEFAULT, &place, &error);
    u_strToUTF8(text, (int32_t)sizeof text, &size, prepared, n, &error);
    bool good = U_SUCCESS(error) && size > 0 && size <= CREDENTIAL_PASSWORD_MAX;
    if (good)
        *out = secret_slice(arena, slice_of(text, (size_t)size));
    secret_wipe(given, sizeof given);
    secret_wipe(prepared, sizeof prepared);
    secret_wipe(text, sizeof text);
    return good;
}
