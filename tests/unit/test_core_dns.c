/*
 * DNS without a network: address literals, a hosts file of the test's own, and a resolver that is not there.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "core/dns.h"
#include "core/log.h"
#include "core/loop.h"

static struct task_pool *pool;
static struct arena *arena;
static char hosts[] = "/tmp/hosts-XXXXXX";

struct question {
    const char *host;
    enum dns_status status;
    struct dns_address *addresses;
    unsigned count;
};

static void ask(void *arg)
{
    struct question *q = arg;

    q->status = dns_addresses(arena, q->host, &q->addresses, &q->count);
    loop_stop();
}

static void resolve(struct question *q)
{
    assert_true(task_start(pool, ask, q));
    loop_run();
}

static const char *text_of(const struct dns_address *address, char out[INET6_ADDRSTRLEN])
{
    const struct sockaddr_storage *a = &address->address;
    const void *bytes = a->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)a)->sin_addr
                                                : (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr;

    return inet_ntop(a->ss_family, bytes, out, INET6_ADDRSTRLEN);
}

static void literals(void **state)
{
    static const char *const cases[] = {"127.0.0.1", "192.0.2.255", "::1", "2001:db8::25"};
    char text[INET6_ADDRSTRLEN];

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct question q = {.host = cases[i]};

        resolve(&q);
        assert_int_equal(q.status, DNS_FOUND);
        assert_int_equal(q.count, 1);
        assert_string_equal(text_of(&q.addresses[0], text), cases[i]);
        assert_int_equal(q.addresses[0].length,
                         strchr(cases[i], ':') ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    }
}

static void hosts_file_ipv6_first(void **state)
{
    struct question q = {.host = "Primary.Example.Test"};
    char text[INET6_ADDRSTRLEN];

    (void)state;
    resolve(&q);
    assert_int_equal(q.status, DNS_FOUND);
    assert_int_equal(q.count, 2);
    assert_string_equal(text_of(&q.addresses[0], text), "2001:db8::7");
    assert_string_equal(text_of(&q.addresses[1], text), "192.0.2.7");
}

static void a_name_that_cannot_be_asked_is_failed(void **state)
{
    struct question q = {.host = ""};
    char overlong[400];

    (void)state;
    memset(overlong, 'a', sizeof overlong - 1);
    overlong[sizeof overlong - 1] = '\0';
    q.host = overlong;
    resolve(&q);
    assert_int_equal(q.status, DNS_FAILED);
    assert_int_equal(q.count, 0);
}

static int setup(void **state)
{
    static const char text[] = "192.0.2.7 primary.example.test\n2001:db8::7 primary.example.test\n";
    int fd = mkstemp(hosts);
    struct dns_settings settings = {.resolver = "127.0.0.1@1", .hosts_file = hosts};

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    log_init("test_core_dns");
    loop_init();
    dns_init(&settings);
    pool = task_pool_new("test", 2, 2);
    arena = arena_new(1000000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dns_done();
    event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    arena_free(&arena);
    task_pool_free(&pool);
    loop_done();
    unlink(hosts);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals),
        cmocka_unit_test(hosts_file_ipv6_first),
        cmocka_unit_test(a_name_that_cannot_be_asked_is_failed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
