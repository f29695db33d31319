/* imap_client_reply: what servers answer, well-formed and not. */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/imap_client_reply.h"
#include "storage/mailbox.h"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(SIZE_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void assert_slice(struct slice got, const char *wanted)
{
    assert_true(slice_equal(got, slice_str(wanted)));
}

static void test_responses(void **state)
{
    static const struct {
        const char *line;
        enum imap_client_form form;
        enum imap_client_status status;
        const char *code, *arguments, *name;
        uint32_t number;
        const char *rest;
    } table[] = {
        {"* OK hello", IMAP_CLIENT_UNTAGGED, IMAP_CLIENT_SAYS_OK, "", "", "OK", 0, "hello"},
        {"* OK [CAPABILITY IMAP4rev1 IDLE] hi", IMAP_CLIENT_UNTAGGED, IMAP_CLIENT_SAYS_OK, "CAPABILITY",
         "IMAP4rev1 IDLE", "OK", 0, "[CAPABILITY IMAP4rev1 IDLE] hi"},
        {"* PREAUTH", IMAP_CLIENT_UNTAGGED, IMAP_CLIENT_SAYS_PREAUTH, "", "", "PREAUTH", 0, ""},
        {"* BYE out", IMAP_CLIENT_UNTAGGED, IMAP_CLIENT_SAYS_BYE, "", "", "BYE", 0, "out"},
        {"P1 ok", IMAP_CLIENT_TAGGED, IMAP_CLIENT_SAYS_OK, "", "", "ok", 0, ""},
        {"P1 NO [TRYCREATE] none", IMAP_CLIENT_TAGGED, IMAP_CLIENT_SAYS_NO, "TRYCREATE", "", "NO", 0,
         "[TRYCREATE] none"},
        {"P1 OK [APPENDUID 5 7", IMAP_CLIENT_TAGGED, IMAP_CLIENT_SAYS_OK, "APPENDUID", "5 7", "OK", 0,
         "[APPENDUID 5 7"},
        {"P1 BAD", IMAP_CLIENT_TAGGED, IMAP_CLIENT_SAYS_BAD, "", "", "BAD", 0, ""},
        {"+", IMAP_CLIENT_CONTINUE, IMAP_CLIENT_DATA, "", "", "", 0, ""},
        {"+ go on", IMAP_CLIENT_CONTINUE, IMAP_CLIENT_DATA, "", "", "", 0, ""},
        {"* 23 EXISTS", IMAP_CLIENT_UNTAGGED, IMAP_CLIENT_DATA, "", "", "EXISTS", 23, ""},
        {"* SEARCH", IMAP_CLIENT_UNTAGGED, IMAP_CLIENT_DATA, "", "", "SEARCH", 0, ""},
        {"* 2 FETCH (UID 3)", IMAP_CLIENT_UNTAGGED, IMAP_CLIENT_DATA, "", "", "FETCH", 2, "(UID 3)"},
    };
    static const char *const bad[] = {"",    "*",           "* ", "P1", "P1 ", "P1 DONE", "* 4294967296 EXISTS",
                                      "* 5", "* 5x EXISTS", " OK"};
    struct imap_client_response r;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_true(imap_client_response_read(slice_str(table[i].line), &r));
        assert_int_equal(r.form, table[i].form);
        assert_int_equal(r.status, table[i].status);
        assert_slice(r.code, table[i].code);
        assert_slice(r.arguments, table[i].arguments);
        assert_slice(r.name, table[i].name);
        assert_int_equal(r.number, table[i].number);
        assert_slice(r.rest, table[i].rest);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(imap_client_response_read(slice_str(bad[i]), &r));
    assert_true(imap_client_response_read(SLICE("P1 NO caf\xc3\xa9\tx\x01"), &r));
    assert_string_equal(r.text, "caf?? x?");
}

static void test_literals(void **state)
{
    uint64_t n;

    (void)state;
    assert_true(imap_client_literal(SLICE("* LIST () \"/\" {5}"), &n));
    assert_int_equal(n, 5);
    assert_true(imap_client_literal(SLICE("x {12+}"), &n));
    assert_false(imap_client_literal(SLICE("x {12"), &n));
    assert_false(imap_client_literal(SLICE("x {}"), &n));
    assert_false(imap_client_literal(SLICE("x {1x}"), &n));
    assert_false(imap_client_literal(SLICE("x {4294967296}"), &n));
    assert_false(imap_client_literal(SLICE("}"), &n));
    assert_false(imap_client_literal(SLICE(""), &n));
}

static void test_capabilities(void **state)
{
    (void)state;
    assert_int_equal(imap_client_capabilities(SLICE("imap4REV1 AUTH=PLAIN SASL-IR x LITERAL+ LOGINDISABLED")),
                     IMAP_CLIENT_IMAP4 | IMAP_CLIENT_AUTH_PLAIN | IMAP_CLIENT_SASL_IR | IMAP_CLIENT_LITERAL_PLUS |
                         IMAP_CLIENT_LOGIN_DISABLED);
    assert_int_equal(imap_client_capabilities(SLICE("  MOVE")), IMAP_CLIENT_MOVE);
    assert_int_equal(imap_client_capabilities(SLICE("")), 0);
}

static void test_list(void **state)
{
    static const struct {
        const char *rest, *raw, *name;
        char separator;
        bool no_select;
        const char *use;
    } table[] = {
        {"(\\HasNoChildren) \"/\" INBOX", "INBOX", "INBOX", '/', false, NULL},
        {"() \".\" inbox", "inbox", "INBOX", '.', false, NULL},
        {"(\\Noselect \\HasChildren) \"/\" \"a b\"", "a b", "a b", '/', true, NULL},
        {"(\\HasNoChildren \\Sent) NIL Gesendet", "Gesendet", "Gesendet", 0, false, "\\Sent"},
        {"(\\sent \\Trash) \"\\\\\" {6}\r\nSe&AOQ-", NULL, NULL, 0, false, NULL},
        {"() \"\\\\\" {7}\r\nSe&AOQ-", "Se&AOQ-", "Se\xc3\xa4", '\\', false, NULL},
        {"() \"/\" \"no&utf\"", "no&utf", "no&utf", '/', false, NULL},
    };
    static const char *const bad[] = {"",
                                      "()",
                                      "() \"/\"",
                                      "() \"/\" ",
                                      "( \"/\" x",
                                      "() \"//\" x",
                                      "() x y",
                                      "() \"/\" \"x",
                                      "() \"/\" {9}\r\nx",
                                      "() \"/\" \"\"",
                                      "() \"/\" \"\xc3\xa4\""};
    struct imap_client_mailbox m;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bool found = imap_client_list_read(arena, slice_str(table[i].rest), &m);

        if (!table[i].raw) { /* one byte is left over, which is passed over */
            assert_true(found);
            continue;
        }
        assert_true(found);
        assert_slice(m.raw, table[i].raw);
        assert_slice(m.name, table[i].name);
        assert_int_equal(m.separator, table[i].separator);
        assert_int_equal(m.no_select, table[i].no_select);
        if (table[i].use)
            assert_slice(m.use, table[i].use);
        else
            assert_null(m.use.p);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(imap_client_list_read(arena, slice_str(bad[i]), &m));
}

static void test_namespace(void **state)
{
    struct slice prefix;
    char separator;

    (void)state;
    assert_true(imap_client_namespace_read(arena, SLICE("((\"INBOX.\" \".\")) NIL NIL"), &prefix, &separator));
    assert_slice(prefix, "INBOX.");
    assert_int_equal(separator, '.');
    assert_true(imap_client_namespace_read(arena, SLICE("((\"\" NIL)) NIL NIL"), &prefix, &separator));
    assert_int_equal(prefix.n, 0);
    assert_int_equal(separator, 0);
    assert_false(imap_client_namespace_read(arena, SLICE("NIL NIL NIL"), &prefix, &separator));
    assert_false(imap_client_namespace_read(arena, SLICE("((\"\""), &prefix, &separator));
}

static void test_search_and_fetch(void **state)
{
    struct imap_client_item item;
    uint32_t uids[3];
    unsigned count = 0;

    (void)state;
    imap_client_search_read(SLICE("4 5  6 7"), uids, &count, 3);
    assert_int_equal(count, 3);
    assert_int_equal(uids[2], 6);
    count = 0;
    imap_client_search_read(SLICE("4 (MODSEQ 9)"), uids, &count, 3);
    assert_int_equal(count, 1);

    assert_true(imap_client_fetch_read(SLICE("(FLAGS (\\Seen $Label \\Recent) UID 17 RFC822.SIZE 99 "
                                             "BODY[HEADER.FIELDS (A B)]<0> {4}\r\na)b( X (1 (2 \")\")))"),
                                       &item));
    assert_int_equal(item.uid, 17);
    assert_int_equal(item.size, 99);
    assert_int_equal(item.flags, MAILBOX_SEEN);
    assert_true(item.flags_told);
    static const char *const bad[] = {
        "",       "(",           "(UID)",          "(UID x)",          "(UID 1",          "(X (1)",
        "(X \"a", "(X {9}\r\na", "(FLAGS (\\Seen", "(UID 4294967296)", "(RFC822.SIZE -1)"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(imap_client_fetch_read(slice_str(bad[i]), &item));
}

static void test_uids_of_codes(void **state)
{
    (void)state;
    assert_int_equal(imap_client_uid_of(SLICE("38505 3955")), 3955);
    assert_int_equal(imap_client_uid_of(SLICE("38505 304 3956")), 3956);
    assert_int_equal(imap_client_uid_of(SLICE("38505 304,319 3956:3957")), 0);
    assert_int_equal(imap_client_uid_of(SLICE("")), 0);
    assert_int_equal(imap_client_validity_of(SLICE("38505 3955")), 38505);
    assert_int_equal(imap_client_validity_of(SLICE("38505")), 38505);
    assert_int_equal(imap_client_validity_of(SLICE("38505x 1")), 0);
    assert_int_equal(imap_client_validity_of(SLICE("4294967296 1")), 0);
    assert_int_equal(imap_client_validity_of(SLICE("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_responses),     cmocka_unit_test(test_literals),  cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_list),          cmocka_unit_test(test_namespace), cmocka_unit_test(test_search_and_fetch),
        cmocka_unit_test(test_uids_of_codes),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
