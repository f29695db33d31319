/*
 * offload: the loop goes on while a job runs, jobs beyond the threads queue in order, who finished first is woken
 * first, and what was queued when the threads end is done and its task woken.
 *
 * Jobs are held and let go by semaphores, so that the order is the test's and not the scheduler's.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

#include "tests/unit/in_task.h"

#define PATIENCE_S 20

static sem_t gates[4], started[4];
static char trace[128];
static unsigned length, jobs_run;

static void note(char c)
{
    trace[length++] = c;
    trace[length] = '\0';
}

static int setup(void **state)
{
    (void)state;
    length = jobs_run = 0;
    trace[0] = '\0';
    for (unsigned i = 0; i < 4; i++)
        if (sem_init(&gates[i], 0, 0) != 0 || sem_init(&started[i], 0, 0) != 0)
            return -1;
    return 0;
}

/* Gives up, so that a defect is a failure and not a test that hangs. */
static void await(sem_t *semaphore)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    while (sem_timedwait(semaphore, &until) != 0)
        if (errno != EINTR)
            abort();
}

/* ------------------------------------------------------------------ one job */

static void open_first_gate(void *arg)
{
    (void)arg;
    note('l');
    sem_post(&gates[0]);
}

static void through_first_gate(void *arg)
{
    await(&gates[0]);
    *(int *)arg += 1;
}

static struct loop_timer timer;

static void slow_one(void *arg)
{
    int value = 41;

    (void)arg;
    note('a');
    loop_timer_set(&timer, 1, open_first_gate, NULL);
    offload_run(through_first_gate, &value);
    note('z');
    expect(value == 42);
}

/* The job cannot end unless the loop runs meanwhile. */
static void test_the_loop_goes_on_meanwhile(void **state)
{
    (void)state;
    in_task_begin(1);
    in_task(slow_one);
    assert_string_equal(trace, "alz");
    loop_timer_clear(&timer);
    in_task_end();
}

static pthread_t loop_thread;
static bool elsewhere, signals_blocked;

static void look_around(void *arg)
{
    sigset_t blocked;

    (void)arg;
    elsewhere = !pthread_equal(pthread_self(), loop_thread);
    signals_blocked = pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, SIGTERM) == 1 &&
                      sigismember(&blocked, SIGHUP) == 1 && sigismember(&blocked, SIGCHLD) == 1;
}

static void looking(void *arg)
{
    (void)arg;
    offload_run(look_around, NULL);
    expect(pthread_equal(pthread_self(), loop_thread)); /* the task itself never leaves the loop's */
}

static void test_signals_are_the_loops(void **state)
{
    sigset_t before, after;

    (void)state;
    loop_thread = pthread_self();
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    in_task_begin(2);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    in_task(looking);
    in_task_end();
    assert_true(elsewhere);
    assert_true(signals_blocked);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

/* ------------------------------------------------------------------ many jobs */

static void count_one(void *arg)
{
    unsigned *turn = arg;

    *turn = ++jobs_run; /* one thread: no two at once */
}

static void queued(void *arg)
{
    unsigned turn = 0;

    offload_run(count_one, &turn);
    *(unsigned *)arg = turn;
}

static void test_more_jobs_than_threads_queue_in_order(void **state)
{
    unsigned turns[60] = {0};

    (void)state;
    in_task_begin(1);
    for (unsigned i = 0; i < 60; i++)
        begin_task(queued, &turns[i]);
    run_tasks();
    in_task_end();
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(turns[i], i + 1);
}

static void through_gate(void *arg)
{
    const unsigned *i = arg;

    sem_post(&started[*i]);
    await(&gates[*i]);
}

static void gated(void *arg)
{
    unsigned i = *(unsigned *)arg;

    offload_run(through_gate, &i);
    note((char)('0' + i));
    if (i == 1)
        sem_post(&gates[0]);
}

/* Two threads; the first job cannot end before the second one's task has gone on. */
static void test_a_short_job_overtakes_a_long_one(void **state)
{
    unsigned first = 0, second = 1;

    (void)state;
    sem_post(&gates[1]);
    in_task_begin(2);
    begin_task(gated, &first);
    begin_task(gated, &second);
    run_tasks();
    in_task_end();
    assert_string_equal(trace, "10");
}

/* With one thread, the last job's start says that those before it are listed as done, all in one ring of the bell. */
static void wait_for_last(void *arg)
{
    (void)arg;
    await(&started[3]);
}

static void in_order(void *arg)
{
    unsigned i = *(unsigned *)arg;

    if (i == 3)
        loop_defer(wait_for_last, NULL); /* the loop hears nothing until then */
    offload_run(through_gate, &i);
    note((char)('0' + i));
    if (i == 2)
        sem_post(&gates[3]);
}

static void test_who_finished_first_goes_on_first(void **state)
{
    unsigned number[4] = {0, 1, 2, 3};

    (void)state;
    in_task_begin(1);
    for (unsigned i = 0; i < 4; i++)
        begin_task(in_order, &number[i]);
    for (unsigned i = 0; i < 3; i++)
        sem_post(&gates[i]);
    run_tasks();
    in_task_end();
    assert_string_equal(trace, "0123");
}

/* ------------------------------------------------------------------ the end */

static void end_threads(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 4; i++)
        sem_post(&gates[i]);
    offload_done();
    note('d');
}

static void gated_to_the_end(void *arg)
{
    loop_defer(end_threads, NULL); /* when all four are queued */
    gated(arg);
}

static void test_what_was_queued_is_done_at_the_end(void **state)
{
    unsigned number[4] = {0, 1, 2, 3};

    (void)state;
    in_task_begin(1);
    for (unsigned i = 0; i < 4; i++)
        begin_task(i < 3 ? gated : gated_to_the_end, &number[i]);
    run_tasks();
    in_task_end(); /* ends what has ended */
    assert_string_equal(trace, "d0123");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_loop_goes_on_meanwhile, setup),
        cmocka_unit_test_setup(test_signals_are_the_loops, setup),
        cmocka_unit_test_setup(test_more_jobs_than_threads_queue_in_order, setup),
        cmocka_unit_test_setup(test_a_short_job_overtakes_a_long_one, setup),
        cmocka_unit_test_setup(test_who_finished_first_goes_on_first, setup),
        cmocka_unit_test_setup(test_what_was_queued_is_done_at_the_end, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
