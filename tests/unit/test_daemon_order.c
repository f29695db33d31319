/*
 * runner_order: over several lanes, in random worlds, each recipient's mail goes in order, the other way round where the
 * newest is wanted first, and what may go is never kept waiting for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "daemon/runner_lane.h"
#include "daemon/runner_memory.h"
#include "daemon/runner_share.h"

#define MESSAGES 300
#define RECIPIENTS 12
#define PER_MESSAGE 3
#define LANES 5

static struct runner_destination destination;
static struct runner_message messages[MESSAGES];
static struct runner_entry entries[MESSAGES][PER_MESSAGE];
static struct runner_lane lanes[LANES];
static char names[RECIPIENTS][32];

static void new_world(bool ordered)
{
    memset(messages, 0, sizeof messages);
    memset(entries, 0, sizeof entries);
    memset(&destination, 0, sizeof destination);
    destination.ordered = ordered;
    for (unsigned i = 0; i < RECIPIENTS; i++)
        snprintf(names[i], sizeof names[i], "reader%u@example.test", i);
}

static void accept_message(unsigned m, unsigned recipients)
{
    unsigned first = (unsigned)rand() % RECIPIENTS;

    messages[m] = (struct runner_message){.id = m, .customer_id = 7};
    for (unsigned i = 0; i < recipients; i++) {
        entries[m][i] = (struct runner_entry){.id = m * PER_MESSAGE + i,
                                              .message = &messages[m],
                                              .destination = &destination,
                                              .recipient = slice_str(names[(first + i) % RECIPIENTS])};
        runner_entry_put(&entries[m][i]);
    }
}

/* As a lane does: false, nothing may go. */
static bool take(struct runner_lane *lane)
{
    struct runner_entry *e = runner_order_first(&destination), *next;

    lane->batch = (struct runner_batch){.message = e ? e->message : NULL};
    for (; e && e->message == lane->batch.message; e = next) {
        next = e->next;
        runner_entry_take(e);
        lane->batch.entries[lane->batch.count++] = e;
    }
    return lane->batch.count;
}

static void play(bool newest_first, unsigned count)
{
    int64_t seen[RECIPIENTS];
    unsigned left = 0;

    new_world(true);
    for (unsigned i = 0; i < RECIPIENTS; i++)
        seen[i] = newest_first ? INT64_MAX : -1;
    for (unsigned i = 0; i < LANES; i++) {
        lanes[i] = (struct runner_lane){.destination = &destination};
        runner_lane_join(&lanes[i]);
    }
    for (unsigned m = 0; m < count; m++, left++)
        accept_message(m, 1 + (unsigned)rand() % PER_MESSAGE);
    runner_order_set(&destination, DRAIN_MEASURED, newest_first);
    while (left) {
        struct runner_lane *lane = &lanes[(unsigned)rand() % LANES];

        if (!lane->batch.count && !take(lane)) {
            unsigned busy = 0;

            for (unsigned i = 0; i < LANES; i++)
                busy += lanes[i].batch.count > 0;
            assert_true(busy || !destination.pending); /* with idle lanes something may always go */
            assert_true(destination.blocked == (destination.pending > 0));
            continue;
        }
        if (rand() % 2)
            continue; /* it takes its time */
        for (unsigned i = 0; i < lane->batch.count; i++) {
            unsigned who = (unsigned)atoi(lane->batch.entries[i]->recipient.p + 6);
            int64_t id = lane->batch.message->id;

            assert_true(newest_first ? id < seen[who] : id > seen[who]);
            seen[who] = id;
        }
        lane->batch = (struct runner_batch){0};
        left--;
    }
    for (unsigned i = 0; i < LANES; i++)
        runner_lane_leave(&lanes[i]);
    runner_order_end(&destination);
}

static void test_each_recipients_mail_goes_in_order(void **state)
{
    (void)state;
    for (unsigned world = 0; world < 50; world++)
        play(false, MESSAGES);
}

static void test_or_the_other_way_round(void **state)
{
    (void)state;
    for (unsigned world = 0; world < 50; world++)
        play(true, MESSAGES);
}

static void test_others_need_not_wait(void **state)
{
    (void)state;
    new_world(true);
    lanes[0] = lanes[1] = (struct runner_lane){.destination = &destination};
    runner_lane_join(&lanes[0]);
    runner_lane_join(&lanes[1]);
    for (unsigned m = 0; m < 3; m++) {
        messages[m] = (struct runner_message){.id = m, .customer_id = 7};
        entries[m][0] = (struct runner_entry){.id = m,
                                              .message = &messages[m],
                                              .destination = &destination,
                                              .recipient = m == 2 ? SLICE("bob@x.test") : SLICE("Ann@x.test")};
        runner_entry_put(&entries[m][0]);
    }
    entries[1][0].recipient = SLICE("ann@X.test"); /* who may be the same */
    assert_true(take(&lanes[0]) && lanes[0].batch.message == &messages[0]);
    assert_true(take(&lanes[1]) && lanes[1].batch.message == &messages[2]);
    lanes[1].batch = (struct runner_batch){0};
    assert_false(take(&lanes[1]));
    assert_true(destination.blocked);
    lanes[0].batch = (struct runner_batch){0};
    assert_true(take(&lanes[1]) && lanes[1].batch.message == &messages[1]);
    assert_false(destination.blocked);
    runner_lane_leave(&lanes[0]);
    runner_lane_leave(&lanes[1]);
}

/* What was put off and is kept in its place holds back what is later for its recipient, and nobody else's. */
static void test_what_is_kept_holds_its_place(void **state)
{
    static const char *const to[] = {"ann@x.test", "ann@x.test", "bob@x.test", "joe@x.test"};

    (void)state;
    new_world(true);
    lanes[0] = (struct runner_lane){.destination = &destination};
    runner_lane_join(&lanes[0]);
    for (unsigned m = 0; m < 4; m++) {
        messages[m] = (struct runner_message){.id = m, .customer_id = 7};
        entries[m][0] = (struct runner_entry){
            .id = m, .message = &messages[m], .destination = &destination, .recipient = slice_str(to[m])};
        runner_entry_put(&entries[m][0]);
    }
    entries[0][0].kept_until = clock_steady_ms() + 60000;
    assert_true(take(&lanes[0]) && lanes[0].batch.message == &messages[2]);
    lanes[0].kept[lanes[0].kept_count++].entry = &entries[2][0]; /* put off, and not recorded yet */
    entries[0][0].kept_until = clock_steady_ms();
    lanes[0].batch = (struct runner_batch){0};
    for (unsigned m = 0; m < 4; m += 1 + (m == 1)) {
        assert_true(take(&lanes[0]) && lanes[0].batch.message == &messages[m]);
        lanes[0].batch = (struct runner_batch){0};
    }
    runner_lane_leave(&lanes[0]);
}

static void test_in_quiet_times_nobody_waits(void **state)
{
    (void)state;
    new_world(false);
    lanes[0] = lanes[1] = (struct runner_lane){.destination = &destination};
    runner_lane_join(&lanes[0]);
    runner_lane_join(&lanes[1]);
    for (unsigned m = 0; m < 2; m++) {
        messages[m] = (struct runner_message){.id = m, .customer_id = 7};
        entries[m][0] = (struct runner_entry){
            .id = m, .message = &messages[m], .destination = &destination, .recipient = SLICE("ann@x.test")};
        runner_entry_put(&entries[m][0]);
    }
    assert_true(take(&lanes[0]) && take(&lanes[1]));
    runner_lane_leave(&lanes[0]);
    runner_lane_leave(&lanes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_recipients_mail_goes_in_order),
        cmocka_unit_test(test_or_the_other_way_round),
        cmocka_unit_test(test_others_need_not_wait),
        cmocka_unit_test(test_what_is_kept_holds_its_place),
        cmocka_unit_test(test_in_quiet_times_nobody_waits),
    };

    srand(1);
    return cmocka_run_group_tests_name("daemon/runner_order", tests, NULL, NULL);
}
