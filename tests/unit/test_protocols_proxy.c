/* The PROXY protocol's header: tables of both versions, each also a byte at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "core/cidr.h"
#include "protocols/proxy_parse.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

struct row {
    const char *bytes;
    size_t n;
    enum proxy_status status;
    size_t length;
    const char *client, *server; /* "ADDRESS PORT"; NULL: not told */
};
#define ROW(text, status, length, client, server)                                                                      \
    {                                                                                                                  \
        text, sizeof(text) - 1, status, length, client, server                                                         \
    }
#define V2(rest, status, length, client, server) ROW(SIGNATURE rest, status, length, client, server)

static const char *print(const struct sockaddr_storage *address)
{
    static char out[100];
    char text[INET6_ADDRSTRLEN];
    const struct sockaddr_in *four = (const void *)address;
    const struct sockaddr_in6 *six = (const void *)address;

    if (address->ss_family == AF_INET)
        snprintf(out, sizeof out, "%s %u", inet_ntop(AF_INET, &four->sin_addr, text, sizeof text),
                 ntohs(four->sin_port));
    else
        snprintf(out, sizeof out, "%s %u", inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text),
                 ntohs(six->sin6_port));
    return out;
}

static void check(const struct row *row)
{
    struct proxy_header header;
    enum proxy_status status = proxy_parse(row->bytes, row->n, &header);

    if (status != row->status)
        fail_msg("\"%s\": %d, not %d", row->bytes, (int)status, (int)row->status);
    if (status != PROXY_DONE)
        return;
    assert_int_equal(header.length, row->length);
    assert_int_equal(header.known, row->client != NULL);
    if (row->client) {
        assert_string_equal(print(&header.client), row->client);
        assert_string_equal(print(&header.server), row->server);
    }
    for (size_t n = 0; n < row->length; n++)
        assert_int_equal(proxy_parse(row->bytes, n, &header), PROXY_MORE);
}

static const struct row rows[] = {
    /* version 1 */
    ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\nEHLO", PROXY_DONE, 44, "192.0.2.1 56324", "198.51.100.2 25"),
    ROW("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", PROXY_DONE, 56, "255.255.255.255 65535",
        "255.255.255.255 65535"),
    ROW("PROXY TCP6 2001:db8::1 2001:db8::2 0 25\r\n", PROXY_DONE, 41, "2001:db8::1 0", "2001:db8::2 25"),
    ROW("PROXY UNKNOWN\r\n", PROXY_DONE, 15, NULL, NULL),
    ROW("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", PROXY_DONE, 59, NULL, NULL),
    ROW("", PROXY_MORE, 0, NULL, NULL), ROW("PROX", PROXY_MORE, 0, NULL, NULL),
    ROW("EHLO x\r\n", PROXY_BAD, 0, NULL, NULL), ROW("proxy UNKNOWN\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY UNKNOWN\n", PROXY_BAD, 0, NULL, NULL), ROW("PROXY UNKNOWNX\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY \r\n", PROXY_BAD, 0, NULL, NULL), ROW("PROXY TCP4 \r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56324 25 1\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56324 25 \r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 192.0.2.1  198.51.100.2 56324 25\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 192.0.2.1 198.51.100.2 025 25\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 192.0.2.1 198.51.100.2 +25 25\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 192.0.2.256 198.51.100.2 1 25\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP6 192.0.2.1 198.51.100.2 1 25\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP5 192.0.2.1 198.51.100.2 1 25\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP4 192.0.2.1\0 198.51.100.2 1 25\r\n", PROXY_BAD, 0, NULL, NULL),
    ROW("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        PROXY_DONE, 104, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535"),
    /* more than 107 octets */
    ROW("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890\r\n",
        PROXY_DONE, 107, NULL, NULL),
    ROW("PROXY UNKNOWN 01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901\r\n",
        PROXY_BAD, 0, NULL, NULL),

    /* version 2 */
    V2("\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19"
       "220",
       PROXY_DONE, 28, "192.0.2.1 56324", "198.51.100.2 25"),
    V2("\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x01\x00\x00\x19",
       PROXY_DONE, 52, "2001:db8::1 256", "2001:db8::2 25"),
    V2("\x20\x00\0\0", PROXY_DONE, 16, NULL, NULL), /* LOCAL */
    V2("\x20\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19", PROXY_DONE, 28, NULL, NULL),
    V2("\x20\x11\0\x01x", PROXY_DONE, 17, NULL, NULL), /* its family is ignored */
    V2("\x21\x00\0\0", PROXY_DONE, 16, NULL, NULL),    /* UNSPEC */
    V2("\x21\x12\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19", PROXY_BAD, 0, NULL, NULL), /* UDP */
    V2("\x21\x41\0\0", PROXY_BAD, 0, NULL, NULL),
    V2("\x11\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19", PROXY_BAD, 0, NULL, NULL), /* version */
    V2("\x22\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19", PROXY_BAD, 0, NULL, NULL), /* command */
    V2("\x21\x11\0\x0b\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19", PROXY_BAD, 0, NULL,
       NULL),                                         /* too short for its family */
    V2("\x21\x11\x0f\xf1", PROXY_BAD, 0, NULL, NULL), /* too long at all */
    V2("\x21\x11\x0f\xf0", PROXY_MORE, 0, NULL, NULL),
    /* extensions: AUTHORITY "a.test", then NOOP */
    V2("\x21\x11\0\x18\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19\x02\0\x06"
       "a.test\x04\0\0",
       PROXY_DONE, 40, "192.0.2.1 56324", "198.51.100.2 25"),
    V2("\x21\x11\0\x18\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19\x02\0\x07"
       "a.test\x04\0\0",
       PROXY_BAD, 0, NULL, NULL),
    V2("\x21\x11\0\x0e\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19\x02\0", PROXY_BAD, 0, NULL, NULL),
    V2("\x21\x11\0\x11\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19\x03\0\x02"
       "ab",
       PROXY_BAD, 0, NULL, NULL), /* a short checksum */
};

static void headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&rows[i]);
}

/* The checksum was made by another implementation, itself checked with RFC 3720 B.4 (32 zeros: 8a9136aa). */
static void checksums(void **state)
{
    char good[] = SIGNATURE "\x21\x11\0\x13\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\0\x19\x03\0\x04"
                            "\x7f\xab\x4a\xb2";
    struct proxy_header header;

    (void)state;
    assert_int_equal(proxy_parse(good, sizeof good - 1, &header), PROXY_DONE);
    assert_int_equal(header.length, 35);
    for (size_t i = 16; i < sizeof good - 1; i++) { /* whatever is changed, it is noticed */
        char bad[sizeof good];

        if (i >= 28 && i <= 30) /* the extension's own type and length */
            continue;
        memcpy(bad, good, sizeof bad);
        bad[i] ^= 0x10;
        assert_int_equal(proxy_parse(bad, sizeof bad - 1, &header), PROXY_BAD);
    }
}

static void blocks(void **state)
{
    static const struct {
        const char *block, *address;
        bool inside;
    } table[] = {
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"192.0.2.0/24", "::ffff:192.0.2.7", true},
    };
    static const char *const wrong[] = {"",
                                        "x",
                                        "192.0.2",
                                        "192.0.2.0/33",
                                        "192.0.2.1/24",
                                        "192.0.2.0/",
                                        "192.0.2.0/ 24",
                                        "192.0.2.0/024",
                                        "2001:db8::/129",
                                        "2001:db8::1/64",
                                        "192.0.2.0/-1",
                                        "[::1]"};
    struct cidr block;
    struct cidr_list list;
    char error[200];

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct sockaddr_in6 six = {.sin6_family = AF_INET6};
        struct sockaddr_in four = {.sin_family = AF_INET};
        bool is_four = inet_pton(AF_INET, table[i].address, &four.sin_addr) == 1;

        assert_true(is_four || inet_pton(AF_INET6, table[i].address, &six.sin6_addr) == 1);
        assert_true(cidr_parse(table[i].block, &block));
        if (cidr_contains(&block, is_four ? (void *)&four : (void *)&six) != table[i].inside)
            fail_msg("%s in %s", table[i].address, table[i].block);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (cidr_parse(wrong[i], &block))
            fail_msg("\"%s\" is no block", wrong[i]);
    assert_true(cidr_list_parse(" 192.0.2.1, ::1\t10.0.0.0/8", &list, error, sizeof error));
    assert_int_equal(list.count, 3);
    cidr_list_free(&list);
    assert_false(cidr_list_parse("::1 10.0.0.0/9999", &list, error, sizeof error));
    assert_non_null(strstr(error, "10.0.0.0/9999"));
    assert_int_equal(list.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(headers), cmocka_unit_test(checksums),
                                       cmocka_unit_test(blocks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
