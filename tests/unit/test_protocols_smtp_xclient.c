/* XCLIENT's grammar, as a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "protocols/smtp_xclient.h"

static const struct {
    const char *arguments;
    const char *expected; /* "name|address|port|helo|plain", or the beginning of the fault's text */
} rows[] = {
    {"NAME=client.test", "client.test|-|0||0"},
    {"NAME=client.test ADDR=192.0.2.1", "client.test|192.0.2.1|0||0"},
    {"ADDR=IPV6:2001:db8::1 PORT=4711", "|2001:db8::1|4711||0"},
    {"addr=ipv6:2001:DB8::1\tproto=smtp", "|2001:db8::1|0||1"},
    {"PROTO=ESMTP HELO=[192.0.2.1]", "|-|0|[192.0.2.1]|0"},
    {"HELO=a+2Bb+3Dc", "|-|0|a+b=c|0"},
    {"ADDR=192.0.2.+31", "|192.0.2.1|0||0"},
    {"NAME=[UNAVAILABLE] PORT=[unavailable] HELO=[TEMPUNAVAIL]", "|-|0||0"},
    {"PORT=0", "|-|0||0"},
    {"PORT=65535", "|-|65535||0"},
    {"", "Syntax"},
    {"NAME", "Attributes are"},
    {"NAME=", "Syntax"},
    {"=x", "Attributes are"},
    {"LOGIN=ann@example.test", "Attributes are"},
    {"DESTADDR=192.0.2.1", "Attributes are"},
    {"NAME=client.test NAME=client.test", "Attribute given twice"},
    {"NAME=a=b", "Syntax"},
    {"HELO=a+2bb", "Syntax"}, /* upper-case digits only */
    {"HELO=a+2", "Syntax"},
    {"HELO=a+", "Syntax"},
    {"HELO=a+0Db", "Syntax"},
    {"HELO=a+00b", "Syntax"},
    {"HELO=a+20b", "Syntax"},
    {"HELO=a+FFb", "Syntax"},
    {"HELO=\xc3\xa4", "Syntax"},
    {"NAME=not_a.domain..test", "Bad NAME"},
    {"NAME=[192.0.2.1]", "Bad NAME"},
    {"ADDR=192.0.2", "Bad ADDR"},
    {"ADDR=2001:db8::1", "Bad ADDR"},
    {"ADDR=IPV6:192.0.2.1", "Bad ADDR"},
    {"ADDR=[UNAVAILABLE]", "Bad ADDR"},
    {"ADDR=client.test", "Bad ADDR"},
    {"PORT=65536", "Bad PORT"},
    {"PORT=025", "Bad PORT"},
    {"PORT=-1", "Bad PORT"},
    {"PORT=1000000", "Bad PORT"},
    {"PROTO=LMTP", "PROTO is"},
};

static const char *address_text(const struct sockaddr_storage *address)
{
    static char text[INET6_ADDRSTRLEN];
    const struct sockaddr_in *four = (const void *)address;
    const struct sockaddr_in6 *six = (const void *)address;

    if (address->ss_family == AF_UNSPEC)
        return "-";
    return inet_ntop(address->ss_family,
                     address->ss_family == AF_INET ? (const void *)&four->sin_addr : &six->sin6_addr, text,
                     sizeof text);
}

static void table(void **state)
{
    struct arena *arena = arena_new(65536);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct smtp_xclient x;
        const struct smtp_fault *fault = smtp_parse_xclient(arena, slice_str(rows[i].arguments), &x);
        const char *got = fault ? fault->text
                                : arena_printf(arena, "%.*s|%s|%u|%.*s|%d", SLICE_ARG(x.name), address_text(&x.address),
                                               x.port, SLICE_ARG(x.helo), x.plain_smtp);

        if (fault ? strncmp(got, rows[i].expected, strlen(rows[i].expected)) != 0 : strcmp(got, rows[i].expected) != 0)
            fail_msg("\"%s\": \"%s\", not \"%s\"", rows[i].arguments, got, rows[i].expected);
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
