/* The race for a connection, over loopback: who answers first, who is refused, who is silent; and from which address. */
#include <arpa/inet.h>
#include <fcntl.h>

#include "core/dns.h"
#include "core/stream_race.h"
#include "tests/unit/stream_harness.h"

#define FILL 4

static struct task_pool *pool;

static int setup(void **state)
{
    assert_int_equal(stream_setup(state), 0);
    pool = task_pool_new("test", 4, 4);
    return 0;
}

static int teardown(void **state)
{
    run_idle();
    task_pool_free(&pool);
    return stream_teardown(state);
}

enum manner { ANSWERS, REFUSES, IS_SILENT };

struct place {
    int fd, fill[FILL];
    struct sockaddr_storage address;
    socklen_t length;
};

static void open_place(struct place *place, int family, enum manner manner)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)&place->address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&place->address;

    *place = (struct place){.fd = socket(family, SOCK_STREAM, 0), .fill = {-1, -1, -1, -1}};
    place->address.ss_family = (sa_family_t)family;
    if (family == AF_INET6)
        in6->sin6_addr = in6addr_loopback;
    else
        in4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    place->length = family == AF_INET6 ? sizeof *in6 : sizeof *in4;
    assert_int_equal(bind(place->fd, (struct sockaddr *)&place->address, place->length), 0);
    assert_int_equal(getsockname(place->fd, (struct sockaddr *)&place->address, &place->length), 0);
    if (manner != REFUSES)
        assert_int_equal(listen(place->fd, manner == ANSWERS ? 5 : 0), 0);
    for (unsigned i = 0; manner == IS_SILENT && i < FILL; i++) { /* the kernel takes no more: it drops what comes */
        place->fill[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(place->fill[i], (struct sockaddr *)&place->address, place->length);
    }
}

static void close_place(struct place *place)
{
    close(place->fd);
    for (unsigned i = 0; i < FILL; i++)
        if (place->fill[i] >= 0)
            close(place->fill[i]);
}

struct race {
    struct place places[3];
    struct stream_target targets[3];
    unsigned count, timeout_ms, winner;
    enum stream_status status;
    char from[INET6_ADDRSTRLEN];
    bool done;
};

static void race_task(void *arg)
{
    struct race *race = arg;
    struct stream *stream = NULL;

    race->status = stream_race(race->targets, race->count, race->timeout_ms, &stream, &race->winner);
    assert_int_equal(stream != NULL, race->status == STREAM_OK);
    if (stream) {
        snprintf(race->from, sizeof race->from, "%s", stream_local(stream));
        stream_close(&stream);
    }
    race->done = true;
}

static void run(struct race *race, unsigned timeout_ms, const struct sockaddr_in *source, unsigned count, ...)
{
    va_list list;

    *race = (struct race){.count = count, .timeout_ms = timeout_ms};
    va_start(list, count);
    for (unsigned i = 0; i < count; i++) {
        int family = va_arg(list, int);

        open_place(&race->places[i], family, (enum manner)va_arg(list, int));
        race->targets[i].address = (struct sockaddr *)&race->places[i].address;
        race->targets[i].length = race->places[i].length;
        race->targets[i].source = (const struct sockaddr *)source;
        race->targets[i].source_length = source ? sizeof *source : 0;
    }
    va_end(list);
    assert_true(task_start(pool, race_task, race));
    run_until(race->done);
    run_idle();
    for (unsigned i = 0; i < count; i++)
        close_place(&race->places[i]);
}

static void test_the_first_that_answers(void **state)
{
    struct race race;

    (void)state;
    run(&race, WATCHDOG_MS, NULL, 2, AF_INET6, ANSWERS, AF_INET, ANSWERS);
    assert_int_equal(race.status, STREAM_OK);
    assert_int_equal(race.winner, 0);
    assert_string_equal(race.from, "::1");
    run(&race, WATCHDOG_MS, NULL, 2, AF_INET6, IS_SILENT, AF_INET, ANSWERS);
    assert_int_equal(race.status, STREAM_OK);
    assert_int_equal(race.winner, 1);
    assert_false(race.targets[0].failed); /* who lost may be tried again */
    run(&race, WATCHDOG_MS, NULL, 3, AF_INET, REFUSES, AF_INET6, IS_SILENT, AF_INET, ANSWERS);
    assert_int_equal(race.status, STREAM_OK);
    assert_int_equal(race.winner, 2);
    assert_true(race.targets[0].failed && !race.targets[1].failed && !race.targets[2].failed);
}

static void test_nobody(void **state)
{
    struct race race;

    (void)state;
    run(&race, WATCHDOG_MS, NULL, 3, AF_INET, REFUSES, AF_INET6, REFUSES, AF_INET, REFUSES);
    assert_int_equal(race.status, STREAM_REFUSED);
    assert_true(race.targets[0].failed && race.targets[1].failed && race.targets[2].failed);
    run(&race, 2 * STREAM_RACE_MS, NULL, 2, AF_INET6, IS_SILENT, AF_INET, IS_SILENT);
    assert_int_equal(race.status, STREAM_TIMED_OUT);
    assert_true(race.targets[0].failed && race.targets[1].failed);
}

static void test_from_where(void **state)
{
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000003)};
    struct race race;

    (void)state;
    run(&race, WATCHDOG_MS, &source, 1, AF_INET, ANSWERS);
    assert_int_equal(race.status, STREAM_OK);
    assert_string_equal(race.from, "127.0.0.3");
    source.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1: nobody's */
    run(&race, WATCHDOG_MS, &source, 1, AF_INET, ANSWERS);
    assert_int_equal(race.status, STREAM_BROKEN);
}

static void test_families_in_turn(void **state)
{
    static const struct {
        const char *before, *after;
    } table[] = {{"", ""},       {"6", "6"},       {"66", "66"},     {"64", "64"},         {"46", "46"},
                 {"664", "646"}, {"6644", "6464"}, {"4466", "4646"}, {"666644", "646466"}, {"6444", "6444"}};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct dns_address list[8] = {0};
        unsigned count = (unsigned)strlen(table[i].before), next[2] = {0, 0};

        for (unsigned k = 0; k < count; k++) {
            list[k].address.ss_family = table[i].before[k] == '6' ? AF_INET6 : AF_INET;
            list[k].length = k; /* marks it */
        }
        dns_take_turns(list, count);
        for (unsigned k = 0; k < count; k++) {
            bool six = list[k].address.ss_family == AF_INET6;

            assert_int_equal(table[i].after[k], six ? '6' : '4');
            assert_true(list[k].length >= next[six]); /* each family in its order */
            next[six] = (unsigned)list[k].length + 1;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_that_answers),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_from_where),
        cmocka_unit_test(test_families_in_turn),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
