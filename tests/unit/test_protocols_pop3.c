/*
 * POP3's grammar, by tables, and the form in which a message goes over the wire, in pieces of every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "protocols/pop3_parse.h"
#include "protocols/pop3_wire.h"

/* ------------------------------------------------------------------ commands */

static void accepted(void **state)
{
    static const struct {
        const char *line;
        enum pop3_verb verb;
        const char *text, *initial; /* initial NULL: absent */
        uint32_t number, lines;
    } cases[] = {
        {"STAT", POP3_STAT, "", NULL, 0, 0},
        {"stat", POP3_STAT, "", NULL, 0, 0},
        {"Quit  ", POP3_QUIT, "", NULL, 0, 0},
        {"LIST", POP3_LIST, "", NULL, 0, 0},
        {"LIST ", POP3_LIST, "", NULL, 0, 0},
        {"LIST 1", POP3_LIST, "", NULL, 1, 0},
        {"UIDL 007", POP3_UIDL, "", NULL, 7, 0},
        {"RETR 999999999", POP3_RETR, "", NULL, 999999999, 0},
        {"TOP 3 0", POP3_TOP, "", NULL, 3, 0},
        {"top  3  10 ", POP3_TOP, "", NULL, 3, 10},
        {"USER a@b.test", POP3_USER, "a@b.test", NULL, 0, 0},
        {"PASS  two blanks ", POP3_PASS, " two blanks ", NULL, 0, 0},
        {"PASS p\xc3\xa4ss", POP3_PASS, "p\xc3\xa4ss", NULL, 0, 0},
        {"AUTH PLAIN", POP3_AUTH, "PLAIN", NULL, 0, 0},
        {"AUTH PLAIN =", POP3_AUTH, "PLAIN", "", 0, 0},
        {"auth SCRAM-SHA-256 bixuPXVzZXI= ", POP3_AUTH, "SCRAM-SHA-256", "bixuPXVzZXI=", 0, 0},
        {"CAPA", POP3_CAPA, "", NULL, 0, 0},
        {"STLS", POP3_STLS, "", NULL, 0, 0},
        {"RSET", POP3_RSET, "", NULL, 0, 0},
        {"NOOP", POP3_NOOP, "", NULL, 0, 0},
        {"DELE 2", POP3_DELE, "", NULL, 2, 0},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pop3_command command;
        const char *fault = pop3_parse(slice_str(cases[i].line), &command);

        if (fault)
            fail_msg("%s: %s", cases[i].line, fault);
        assert_int_equal(command.verb, cases[i].verb);
        assert_int_equal(command.number, cases[i].number);
        assert_int_equal(command.lines, cases[i].lines);
        assert_true(slice_equal(command.text, slice_str(cases[i].text)));
        assert_int_equal(command.initial.p != NULL, cases[i].initial != NULL);
        if (cases[i].initial)
            assert_true(slice_equal(command.initial, slice_str(cases[i].initial)));
    }
}

static void refused(void **state)
{
    static const struct slice cases[] = {
        SLICE(""),
        SLICE(" "),
        SLICE(" STAT"),
        SLICE("ST"),
        SLICE("STATS"),
        SLICE("STAT 1"),
        SLICE("LIST 0"),
        SLICE("LIST -1"),
        SLICE("LIST +1"),
        SLICE("LIST 1 2"),
        SLICE("LIST x"),
        SLICE("LIST 1x"),
        SLICE("RETR"),
        SLICE("RETR "),
        SLICE("RETR 0"),
        SLICE("RETR 1 2"),
        SLICE("TOP"),
        SLICE("TOP 1"),
        SLICE("TOP 0 1"),
        SLICE("TOP 1 -1"),
        SLICE("TOP 1 2 3"),
        SLICE("DELE"),
        SLICE("RETR 1234567890"),
        SLICE("RETR 18446744073709551617"),
        SLICE("USER"),
        SLICE("USER "),
        SLICE("PASS"),
        SLICE("PASS "),
        SLICE("AUTH"),
        SLICE("AUTH "),
        SLICE("AUTH A B C"),
        SLICE("STAT\t"),
        SLICE("USER a\rb"),
        SLICE("USER a\0b"),
        SLICE("PASS a\x7f"),
        SLICE("APOP a b"),
        SLICE("NOOP\0"),
        SLICE("\xff\xfe\x01"),
        SLICE("QUIT\x1b[2J"),
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pop3_command command;

        if (!pop3_parse(cases[i], &command))
            fail_msg("accepted: %.*s", SLICE_ARG(cases[i]));
    }
}

/* ------------------------------------------------------------------ messages */

struct sink {
    char bytes[512];
    size_t used;
};

static void collect(void *arg, struct slice bytes)
{
    struct sink *sink = arg;

    assert_true(sink->used + bytes.n < sizeof sink->bytes);
    memcpy(sink->bytes + sink->used, bytes.p, bytes.n);
    sink->used += bytes.n;
}

static const struct message {
    const char *message;
    int lines; /* -1: RETR */
    const char *expected;
} messages[] = {
    {"", -1, ".\r\n"},
    {"A: b\r\n\r\nc\r\n", -1, "A: b\r\n\r\nc\r\n.\r\n"},
    {"no end", -1, "no end\r\n.\r\n"},
    {"no end\r", -1, "no end\r\n.\r\n"},
    {".", -1, "..\r\n.\r\n"},
    {"..\r\n.\r\n.a\r\na.\r\n", -1, "...\r\n..\r\n..a\r\na.\r\n.\r\n"},
    {"a\n.\r\nb\n", -1, "a\n..\r\nb\n.\r\n"},
    {"A: b\r\nC: d\r\n\r\n1\r\n.2\r\n3\r\n", 0, "A: b\r\nC: d\r\n\r\n.\r\n"},
    {"A: b\r\nC: d\r\n\r\n1\r\n.2\r\n3\r\n", 1, "A: b\r\nC: d\r\n\r\n1\r\n.\r\n"},
    {"A: b\r\nC: d\r\n\r\n1\r\n.2\r\n3\r\n", 2, "A: b\r\nC: d\r\n\r\n1\r\n..2\r\n.\r\n"},
    {"A: b\r\nC: d\r\n\r\n1\r\n.2\r\n3\r\n", 99, "A: b\r\nC: d\r\n\r\n1\r\n..2\r\n3\r\n.\r\n"},
    {"A: b\r\n\r\n\r\n\r\nx\r\n", 2, "A: b\r\n\r\n\r\n\r\n.\r\n"},
    {"only: header\r\n", 0, "only: header\r\n.\r\n"},
    {"\r\nbody\r\n", 0, "\r\n.\r\n"},
    {"A: b\n\nc\nd\n", 1, "A: b\n\nc\n.\r\n"},
    {"", 3, ".\r\n"},
};

static void wire_in_pieces(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        const struct message *m = &messages[i];
        size_t n = strlen(m->message);

        for (size_t piece = 1; piece <= n + 1; piece++) {
            struct sink sink = {.used = 0};
            struct pop3_wire wire;

            if (m->lines < 0)
                pop3_wire_init(&wire);
            else
                pop3_wire_init_top(&wire, (uint32_t)m->lines);
            for (size_t at = 0; at < n && !wire.done; at += piece)
                pop3_wire_feed(&wire, slice_of(m->message + at, piece < n - at ? piece : n - at), collect, &sink);
            pop3_wire_end(&wire, collect, &sink);
            sink.bytes[sink.used] = '\0';
            assert_string_equal(sink.bytes, m->expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),
        cmocka_unit_test(refused),
        cmocka_unit_test(wire_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
