/*
 * credential_scheme: which hashes of other systems are taken, in which form they are stored, and that each verifies
 * with its password and no other.  The hashes are of "pencil", made by Python's hashlib and crypt.
 */
#include "storage/credential_scheme.h"

#include <crypt.h>

#include "storage/credential.h"
#include "tests/unit/in_task.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define SHA512_CRYPT                                                                                                   \
    "$6$saltsalt$rD9fW1BwIrjB90WCgCTdIQc3phTBhf04I6Iw/XlgKD9E9aEbzqGZipjiFxGo/4wWXDA6jV6/vZO.kKdDSfUJb0"
#define SHA512_ROUNDS                                                                                                  \
    "$6$rounds=1000$saltsalt$bbY.T.ZpN43KapLdmlSbP6MmxBlkMSbhrh.Y1rmY0fYaRO/t.4sKqUiU.Z8byKf8Oa1yagMn/0fncuHSYrb9h."
#define SHA256_CRYPT "$5$saltsalt$hl9BvcGsj7AkON13nbqeQHDgRpHyFxt7WDzLoS.OCQ/"
#define MD5_CRYPT "$1$saltsalt$wCrc3hcrR95SV83Xh8Z.41"
#define BCRYPT_TAIL "$04$jMHRRxuWp9EhhdNr/rZ/De8QLJD.M22lwOBNUZ2n5pPruh8ETbepu"
#define YESCRYPT_TAIL "$FYAK//TY6S7g1pI0XlJ5S.$0YMDjw0BhA.twWUhKCQS8uZS2oViaYmdCnY2B1oVBGC"
#define SSHA512_BASE64                                                                                                 \
    "4MZhb2zR5GeHvGvACF55p1jTio0/2vKyd6b7mKw8J2KGRZ75SC7q2qKdfkNaZI4AYt+2c0x91hrVNuZZUCnheAECc2FsdP8A"
#define SHA512_BASE64 "Gd8Bqrgo+NUINrp1cJcTrtInM1344YZDkYXAbJF6Kn03cat24wfPo7a4nvGmaC1mgd3xGISHDl3hPnk/uVXu6w=="

static const struct {
    const char *given, *stored; /* NULL: as it was given */
} taken[] = {
    {SHA512_CRYPT, NULL},
    {SHA512_ROUNDS, NULL},
    {SHA256_CRYPT, NULL},
    {MD5_CRYPT, NULL},
    {"$2b" BCRYPT_TAIL, NULL},
    {"$2y" BCRYPT_TAIL, NULL},
    {"$2a" BCRYPT_TAIL, NULL},
    {"$y$j75" YESCRYPT_TAIL, NULL},
    {"{CRYPT}" SHA512_CRYPT, SHA512_CRYPT},
    {"{crypt}$2y" BCRYPT_TAIL, "$2y" BCRYPT_TAIL},
    {"{SHA512-CRYPT}" SHA512_ROUNDS, SHA512_ROUNDS},
    {"{SHA256-CRYPT}" SHA256_CRYPT, SHA256_CRYPT},
    {"{BLF-CRYPT}$2y" BCRYPT_TAIL, "$2y" BCRYPT_TAIL},
    {"{MD5-CRYPT}" MD5_CRYPT, MD5_CRYPT},
    {"{SSHA512}" SSHA512_BASE64, NULL},
    {"{SSHA256}8mxbSgYasSOXw7zLY11wgleAaxKNC0FohOD1g0FxySQBAnNhbHT/AA==", NULL},
    {"{SSHA}9aQ07dwTTOeEOR0/LX5CPScEBDYBAnNhbHT/AA==", NULL},
    {"{ssha}9aQ07dwTTOeEOR0/LX5CPScEBDYBAnNhbHT/AA==", "{SSHA}9aQ07dwTTOeEOR0/LX5CPScEBDYBAnNhbHT/AA=="},
    {"{SMD5}fp6mXvbFbUFPM0M6hO4HGwECc2FsdP8A", NULL},
    {"{SHA512}" SHA512_BASE64, NULL},
    {"{SHA256}E4CWaPtDY4Zwb2fcsFLtWEoEuhaowCoX1m00ww/O2iE=", NULL},
    {"{SHA}0vxRJJChUDZGC1SJQBQ51tpUB/o=", NULL},
};

static const char *const refused[] = {
    "",
    "x",
    "pencil",
    "$",
    "$$",
    "*",
    "!",
    "!" SHA512_CRYPT,
    "abJnggxhB/yWI",                                                            /* DES */
    "_J9..CCCCXBrJUJV154M",                                                     /* BSDi */
    "$2x" BCRYPT_TAIL,                                                          /* the bug of crypt_blowfish 1.0 */
    "$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D", /* scrypt */
    "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA",
    "{PLAIN}pencil",
    "{plain}" SHA512_CRYPT,
    "{CLEARTEXT}pencil",
    "{MD5}fp6mXvbFbUFPM0M6hO4HGw==",
    "{LDAP-MD5}fp6mXvbFbUFPM0M6hO4HGw==",
    "{PLAIN-MD5}7e9ea65ef6c56d414f33433a84ee071b",
    "{NTLM}x",
    "{}x",
    "{SSHA",
    "{SSHA}",
    /* cut, lengthened, damaged */
    "$6$saltsalt$rD9fW1BwIrjB90WCgCTdIQc3phTBhf04I6Iw/XlgKD9E9aEbzqGZipjiFxGo/4wWXDA6jV6/vZO.kKdDSfUJb",
    SHA512_CRYPT "x",
    SHA512_CRYPT "\n",
    SHA512_CRYPT ":",
    "$6$$" SHA512_CRYPT,
    "$6$salt salt$x",
    "$5$saltsalt$",
    "$5$" SHA256_CRYPT,
    "$6$rounds=$saltsalt$x",
    "$6$rounds=999$saltsalt$bbY.T.ZpN43KapLdmlSbP6MmxBlkMSbhrh.Y1rmY0fYaRO/t.4sKqUiU.Z8byKf8Oa1yagMn/0fncuHSYrb9h.",
    "$6$rounds=01000$saltsalt$bbY.T.ZpN43KapLdmlSbP6MmxBlkMSbhrh.Y1rmY0fYaRO/t.4sKqUiU.Z8byKf8Oa1yagMn/0fncuHSYrb9h.",
    "$2b$03$jMHRRxuWp9EhhdNr/rZ/De8QLJD.M22lwOBNUZ2n5pPruh8ETbepu",
    "$2b$4$jMHRRxuWp9EhhdNr/rZ/De8QLJD.M22lwOBNUZ2n5pPruh8ETbepu",
    "$2b$04$jMHRRxuWp9EhhdNr/rZ/De8QLJD.M22lwOBNUZ2n5pPruh8ETbep",
    "$2b" BCRYPT_TAIL ".",
    "$2b$",
    "$2b$04",
    "$y$",
    "$y$j",
    "$y$j9T",
    "$y$j9T$",
    "$y$k75" YESCRYPT_TAIL,
    "$y$j65" YESCRYPT_TAIL,
    "$y$j7U" YESCRYPT_TAIL,
    /* too dear: hours of one thread, or all of the memory */
    "$2b$15$jMHRRxuWp9EhhdNr/rZ/De8QLJD.M22lwOBNUZ2n5pPruh8ETbepu",
    "$2b$31$jMHRRxuWp9EhhdNr/rZ/De8QLJD.M22lwOBNUZ2n5pPruh8ETbepu",
    "$y$jFT" YESCRYPT_TAIL,
    "$6$rounds=300001$saltsalt$bbY.T.ZpN43KapLdmlSbP6MmxBlkMSbhrh.Y1rmY0fYaRO/t.4sKqUiU.Z8byKf8Oa1yagMn/0fncuHSYrb9h.",
    "$6$rounds=9999999$saltsalt$bbY.T.ZpN43KapLdmlSbP6MmxBlkMSbhrh.Y1rmY0fYaRO/t.4sKqUiU.Z8byKf8Oa1yagMn/0fncuHSYrb9h.",
    "$6$rounds=999999999$saltsalt$bbY.T.ZpN43KapLdmlSbP6MmxBlkMSbhrh.Y1rmY0fYaRO/t.4sKqUiU.Z8byKf8Oa1yagMn/"
    "0fncuHSYrb9h.",
    /* not base64, too short for its digest, without the salt, with one where none belongs, with one that is too long */
    "{SSHA}9aQ07dwTTOeEOR0/LX5CPScEBDYBAnNhbHT/AA=",
    "{SSHA} 9aQ07dwTTOeEOR0/LX5CPScEBDYBAnNhbHT/AA==",
    "{SSHA}9aQ07dwT",
    "{SSHA}0vxRJJChUDZGC1SJQBQ51tpUB/o=",
    "{SHA}9aQ07dwTTOeEOR0/LX5CPScEBDYBAnNhbHT/AA==",
    "{SMD5}" SSHA512_BASE64 SSHA512_BASE64,
};

static void taken_and_verified(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < COUNT(taken); i++) {
        struct slice stored;
        const char *wanted = taken[i].stored ? taken[i].stored : taken[i].given;

        expect(!credential_admit(arena, slice_str(taken[i].given), &stored));
        expect(slice_equal(stored, slice_str(wanted)));
        expect(credential_verify(stored, SLICE("pencil")));
        expect(!credential_verify(stored, SLICE("Pencil")));
        expect(!credential_verify(stored, SLICE("pencil ")));
        expect(!credential_verify(stored, SLICE("penci")));
        expect(!credential_verify(stored, stored));
        expect(credential_scheme_is_current(stored) == (strncmp(wanted, "$y$", 3) == 0));
    }
}

static void test_what_is_taken(void **state)
{
    (void)state;
    in_task(taken_and_verified);
}

static void test_what_is_not(void **state)
{
    static char endless[2000];
    struct slice stored;

    (void)state;
    for (unsigned i = 0; i < COUNT(refused); i++)
        if (!credential_admit(arena, slice_str(refused[i]), &stored))
            fail_msg("%s was taken", refused[i]);
    memset(endless, '$', sizeof endless);
    assert_non_null(credential_admit(arena, slice_of(endless, sizeof endless), &stored));
    assert_non_null(credential_admit(arena, slice_of("$6$salt\0salt$x", 14), &stored));
    assert_non_null(credential_admit(arena, slice_of(NULL, 0), &stored));
    assert_string_equal(credential_admit(arena, SLICE("{PLAIN}pencil"), &stored),
                        "is a password in clear: give it as \"password\"");
}

/* Two checks of what is not called dear take less than the second that a failed login waits. */
static void test_what_is_dear(void **state)
{
    static const char *const dear[] = {"$2b$13$", "$2y$14$", "$2a$20$", "$6$rounds=100001$x", "$5$rounds=300000$x"};
    static const char *const others[] = {
        "", "$2", "$2b$", "$2b" BCRYPT_TAIL, "$2b$12$x", "$6$salt$x", "$6$rounds=100000$x", "$6$rounds=", "$y$j9T$salt$x", "{SSHA}x"};

    (void)state;
    for (unsigned i = 0; i < COUNT(dear); i++)
        assert_true(credential_scheme_is_dear(slice_str(dear[i])));
    for (unsigned i = 0; i < COUNT(others); i++)
        assert_false(credential_scheme_is_dear(slice_str(others[i])));
}

static void decomposed(void *arg)
{
    const struct slice composed = SLICE("caf\xc3\xa9"), typed = SLICE("cafe\xcc\x81");
    struct crypt_data *data = arena_alloc(arena, sizeof *data);
    static const struct {
        const char *setting;
        bool both;
    } table[] = {{"$6$rounds=1000$saltsalt", true}, {"$6$rounds=100001$saltsalt", false}};

    (void)arg;
    for (unsigned i = 0; i < COUNT(table); i++) {
        struct slice hash = slice_str(arena_strdup(arena, crypt_r(composed.p, table[i].setting, data)));

        expect(credential_verify(hash, composed));
        expect(credential_verify(hash, typed) == table[i].both);
        hash = slice_str(arena_strdup(arena, crypt_r(typed.p, table[i].setting, data)));
        expect(credential_verify(hash, typed));
    }
}

static void test_what_is_dear_is_checked_once(void **state)
{
    (void)state;
    in_task(decomposed);
}

/* A stored form that nobody checked: put there by hand. */
static void unchecked(void *arg)
{
    static const char *const stored[] = {"{SSHA}",        "{SHA}AAAA", "{SSHA512}" SHA512_BASE64,
                                         "{PLAIN}pencil", "{",         "{SSHA"};

    (void)arg;
    for (unsigned i = 0; i < COUNT(stored); i++) {
        expect(!credential_verify(slice_str(stored[i]), SLICE("pencil")));
        expect(!credential_verify(slice_str(stored[i]), slice_str(stored[i])));
    }
}

static void test_rubbish_in_the_table(void **state)
{
    (void)state;
    in_task(unchecked);
}

static int setup(void **state)
{
    (void)state;
    in_task_begin(2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    in_task_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_taken),
        cmocka_unit_test(test_what_is_not),
        cmocka_unit_test(test_what_is_dear),
        cmocka_unit_test(test_what_is_dear_is_checked_once),
        cmocka_unit_test(test_rubbish_in_the_table),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
