/*
 * offload: slow, pure functions on a few threads.
 *
 * Two lists under one mutex (to do, done) and an eventfd that tells the loop that something is done.  The thread runs
 * the function and touches nothing else of ours; the waiting task is woken on the loop's thread.  Threads block all
 * signals, which are the loop's.  A job lives on its task's stack: the task sleeps until it is done.
 */
#include "core/offload.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/log.h"
#include "core/loop.h"

#define OFFLOAD_THREADS_MAX 16

struct job {
    struct job *next;
    void (*fn)(void *arg);
    void *arg;
    struct task_wait wait;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct job *todo_first, **todo_last = &todo_first;
static struct job *finished, **finished_last = &finished;
static bool ending;
static pthread_t threads[OFFLOAD_THREADS_MAX];
static unsigned thread_count;
static int bell = -1;
static struct event *bell_event;

static void *thread_main(void *arg)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&mutex);
    for (;;) {
        struct job *job;

        while (!todo_first && !ending)
            pthread_cond_wait(&work, &mutex);
        if (!todo_first)
            break;
        job = todo_first;
        todo_first = job->next;
        if (!todo_first)
            todo_last = &todo_first;
        pthread_mutex_unlock(&mutex);
        job->fn(job->arg);
        pthread_mutex_lock(&mutex);
        job->next = NULL;
        *finished_last = job;
        finished_last = &job->next;
        if (write(bell, &one, sizeof one) != (ssize_t)sizeof one)
            abort(); /* an eventfd that is read can take one more */
    }
    pthread_mutex_unlock(&mutex);
    return arg;
}

/* Who finished first goes on first. */
static void wake_finished(void)
{
    struct job *list;

    pthread_mutex_lock(&mutex);
    list = finished;
    finished = NULL;
    finished_last = &finished;
    pthread_mutex_unlock(&mutex);
    while (list) {
        struct job *job = list;

        list = job->next;
        task_wake(&job->wait);
    }
}

static void on_bell(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;

    (void)what, (void)arg;
    if (read((int)fd, &count, sizeof count) < 0)
        return; /* rung once, heard twice */
    wake_finished();
}

void offload_init(unsigned count)
{
    sigset_t all, before;

    ending = false;
    bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bell < 0)
        log_fatal(1, "cannot make an eventfd");
    bell_event = event_new(loop_base(), bell, EV_READ | EV_PERSIST, on_bell, NULL);
    if (!bell_event || event_add(bell_event, NULL) != 0)
        log_fatal(1, "cannot watch an eventfd");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (thread_count = 0; thread_count < count && thread_count < OFFLOAD_THREADS_MAX; thread_count++)
        if (pthread_create(&threads[thread_count], NULL, thread_main, NULL) != 0)
            log_fatal(1, "cannot start a thread");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void offload_done(void)
{
    pthread_mutex_lock(&mutex);
    ending = true;
    pthread_cond_broadcast(&work);
    pthread_mutex_unlock(&mutex);
    for (unsigned i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    thread_count = 0;
    wake_finished(); /* nobody hears the bell any more */
    if (bell_event)
        event_free(bell_event);
    bell_event = NULL;
    if (bell >= 0)
        close(bell);
    bell = -1;
}

void offload_run(void (*fn)(void *arg), void *arg)
{
    struct job job = {.fn = fn, .arg = arg, .wait = TASK_WAIT_INIT};

    pthread_mutex_lock(&mutex);
    *todo_last = &job;
    todo_last = &job.next;
    pthread_cond_signal(&work);
    pthread_mutex_unlock(&mutex);
    task_wait(&job.wait);
}
