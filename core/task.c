/*
 * task: stack switching, and nothing else of its kind anywhere.
 *
 * A normal run.  A session has a command that needs the database.  task_start() takes a stack from the
 * pool, puts the task on the ready list and returns; at the end of this loop turn run_ready() switches to it.
 * The function runs until it waits: task_wait() notes where, and switches back to the loop, which goes on with
 * other things.  The answer comes, its callback calls task_wake(): the task goes to the ready list again and
 * continues in a later step.  When the function returns the stack goes back to the pool, and the oldest
 * queued start gets it.
 *
 * A hard run.  The answer comes *before* the task waits (the request failed at once): task_wake() finds no
 * sleeper and sets `woken`; task_wait() then returns without switching.  All stacks are taken: the start is
 * queued as a function, its argument and its log context; the queue is full: task_start() says false.
 *
 * Stacks are mapped with a guard page below, so an overflow faults instead of corrupting a neighbour.  They are
 * kept for ever: the pool is bounded and unused pages cost nothing.  64 KiB is enough for the deepest paths we
 * know (TLS handshake 13 KiB, SASL 11); the sanitizers' fatter frames get four times that.
 *
 * What travels with a task: its log context (so that a line logged after a wait names the right session) and
 * nothing else; errno is not preserved across a wait.
 *
 * ucontext makes a stack's first frame and no more: its switch saves the signal mask with a system call each way, and
 * a message is a dozen switches; that was a tenth of a busy worker's time.  From then on _setjmp and _longjmp switch,
 * which leave the mask alone.  A stack that goes back to its pool stays inside task_main() and begins its next task
 * there. The fortified longjmp() takes a jump between stacks for an attack, so fortification is off in this file.
 *
 * AddressSanitizer must be told of each switch (start/finish_switch_fiber), else it takes the other stack for
 * garbage, and its longjmp() would too: under it swapcontext() switches.  Valgrind notices large jumps of the stack
 * pointer by itself (--max-stackframe helps).
 */
#undef _FORTIFY_SOURCE
#include "core/task.h"

#include <assert.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define LOG_MODULE "task"
#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"

#if defined(__SANITIZE_ADDRESS__)
#define TASK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TASK_ASAN 1
#endif
#endif
#ifdef TASK_ASAN
#include <sanitizer/common_interface_defs.h>
#define TASK_STACK (256 * 1024)
#else
#define TASK_STACK (64 * 1024)
#endif

struct task {
    struct task *next;          /* in the ready list or the free list */
    struct task *older, *newer; /* among all living tasks, for task_dump() */
    struct task_pool *pool;
    ucontext_t context; /* where its first frame begins */
    char *stack;        /* lowest usable byte */
    task_fn *fn;
    void *arg;
    const struct log_context *log;
    const char *file; /* where it sleeps; NULL: it does not */
    int line;
    uint64_t since_ms;
#ifdef TASK_ASAN
    void *fake_stack;
#else
    jmp_buf jump; /* where it left off */
    bool entered; /* its first frame is there */
#endif
};

struct pending {
    struct pending *next;
    task_fn *fn;
    void *arg;
    const struct log_context *log;
};

struct task_pool {
    struct task_pool *next; /* among all, for task_dump() */
    const char *name;
    unsigned stacks, busy, made;
    unsigned queue_max, queued;
    struct task *free;
    struct pending *first, **last;
};

static struct task *running;
static struct task *ready_first, **ready_last = &ready_first;
static bool ready_scheduled;
static struct task *living; /* newest first */
static struct task_pool *pools;
#ifdef TASK_ASAN
static ucontext_t loop_context;
static const void *loop_stack;
static size_t loop_stack_size;
#else
static jmp_buf loop_jump;
#endif

/* ------------------------------------------------------------------ switching */

#ifdef TASK_ASAN
static void switch_to_task(struct task *task)
{
    void *fake;

    __sanitizer_start_switch_fiber(&fake, task->stack, TASK_STACK);
    swapcontext(&loop_context, &task->context);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
}

static void switch_to_loop(struct task *task)
{
    __sanitizer_start_switch_fiber(&task->fake_stack, loop_stack, loop_stack_size);
    swapcontext(&task->context, &loop_context);
    __sanitizer_finish_switch_fiber(task->fake_stack, &loop_stack, &loop_stack_size);
}

static void switch_arrived(void)
{
    __sanitizer_finish_switch_fiber(NULL, &loop_stack, &loop_stack_size);
}
#else
static void switch_to_task(struct task *task)
{
    if (_setjmp(loop_jump))
        return;
    if (task->entered)
        _longjmp(task->jump, 1);
    task->entered = true;
    setcontext(&task->context);
    abort(); /* it does not return */
}

static void switch_to_loop(struct task *task)
{
    if (!_setjmp(task->jump))
        _longjmp(loop_jump, 1);
}

static void switch_arrived(void)
{
}
#endif

static void task_main(void)
{
    struct task *task = running;

    switch_arrived();
    for (;;) {
        task->fn(task->arg);
        task->fn = NULL;      /* tells run_one() that it is over */
        switch_to_loop(task); /* until the stack has another task */
    }
}

/* ------------------------------------------------------------------ stacks */

static char *stack_map(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *p = mmap(NULL, TASK_STACK + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

    if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) != 0)
        abort();
    return p + page;
}

static void stack_unmap(char *stack)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    munmap(stack - page, TASK_STACK + page);
}

static struct task *task_make(struct task_pool *pool)
{
    struct task *task = calloc(1, sizeof *task);

    if (!task)
        abort();
    task->pool = pool;
    task->stack = stack_map();
    getcontext(&task->context);
    task->context.uc_stack.ss_sp = task->stack;
    task->context.uc_stack.ss_size = TASK_STACK;
    task->context.uc_link = NULL;
    makecontext(&task->context, task_main, 0);
    pool->made++;
    return task;
}

static struct task *task_take(struct task_pool *pool)
{
    struct task *task = pool->free;

    if (task)
        pool->free = task->next;
    else
        task = task_make(pool);
    pool->busy++;
    task->newer = NULL;
    task->older = living;
    if (living)
        living->newer = task;
    living = task;
    return task;
}

static void task_give_back(struct task *task)
{
    if (task->newer)
        task->newer->older = task->older;
    else
        living = task->older;
    if (task->older)
        task->older->newer = task->newer;
    task->next = task->pool->free;
    task->pool->free = task;
    task->pool->busy--;
}

/* ------------------------------------------------------------------ the ready list */

static void run_ready(void *arg);

static void make_ready(struct task *task)
{
    task->next = NULL;
    *ready_last = task;
    ready_last = &task->next;
    if (!ready_scheduled) {
        ready_scheduled = true;
        loop_defer(run_ready, NULL);
    }
}

static void task_begin(struct task_pool *pool, task_fn *fn, void *arg, const struct log_context *log)
{
    struct task *task = task_take(pool);

    task->fn = fn;
    task->arg = arg;
    task->file = NULL;
    task->log = log;
    make_ready(task);
}

static void task_begin_pending(struct task_pool *pool)
{
    struct pending *p = pool->first;

    if (!p)
        return;
    pool->first = p->next;
    if (!pool->first)
        pool->last = &pool->first;
    pool->queued--;
    task_begin(pool, p->fn, p->arg, p->log);
    free(p);
}

static void run_one(struct task *task)
{
    const struct log_context *outer = log_context();

    running = task;
    log_set_context(task->log);
    switch_to_task(task);
    task->log = log_context();
    log_set_context(outer);
    running = NULL;
    if (task->fn)
        return;
    task_give_back(task);
    task_begin_pending(task->pool);
}

/* Only what is ready now: a task that wakes another is followed by the loop's other events first. */
static void run_ready(void *arg)
{
    struct task *list = ready_first;

    (void)arg;
    ready_first = NULL;
    ready_last = &ready_first;
    ready_scheduled = false;
    while (list) {
        struct task *task = list;

        list = task->next;
        run_one(task);
    }
}

/* ------------------------------------------------------------------ public */

struct task_pool *task_pool_new(const char *name, unsigned stacks, unsigned queue)
{
    struct task_pool *pool = calloc(1, sizeof *pool);

    if (!pool)
        abort();
    pool->name = name;
    pool->stacks = stacks;
    pool->queue_max = queue;
    pool->last = &pool->first;
    pool->next = pools;
    pools = pool;
    return pool;
}

void task_pool_free(struct task_pool **pool)
{
    struct task_pool **link = &pools;

    if (!*pool)
        return;
    assert((*pool)->busy == 0 && (*pool)->queued == 0);
    while (*link != *pool)
        link = &(*link)->next;
    *link = (*pool)->next;
    while ((*pool)->free) {
        struct task *task = (*pool)->free;

        (*pool)->free = task->next;
        stack_unmap(task->stack);
        free(task);
    }
    free(*pool);
    *pool = NULL;
}

unsigned task_pool_busy(const struct task_pool *pool)
{
    return pool->busy;
}

unsigned task_pool_queued(const struct task_pool *pool)
{
    return pool->queued;
}

bool task_start(struct task_pool *pool, task_fn *fn, void *arg)
{
    struct pending *p;

    if (pool->busy < pool->stacks) {
        task_begin(pool, fn, arg, log_context());
        return true;
    }
    if (pool->queued >= pool->queue_max)
        return false;
    p = malloc(sizeof *p);
    if (!p)
        abort();
    *p = (struct pending){NULL, fn, arg, log_context()};
    *pool->last = p;
    pool->last = &p->next;
    pool->queued++;
    return true;
}

void task_wait_at(struct task_wait *wait, const char *file, int line)
{
    struct task *task = running;

    assert(task); /* only a task may wait */
    if (!wait->woken) {
        wait->task = task;
        task->file = file;
        task->line = line;
        task->since_ms = clock_steady_ms();
        switch_to_loop(task);
        task->file = NULL;
    }
    wait->task = NULL;
    wait->woken = false;
}

void task_wake(struct task_wait *wait)
{
    struct task *task = wait->task;

    if (wait->woken)
        return;
    wait->woken = true;
    wait->task = NULL;
    if (task)
        make_ready(task);
}

static void on_sleep_over(void *arg)
{
    task_wake(arg);
}

void task_sleep_at(uint64_t ms, const char *file, int line)
{
    struct task_wait wait = TASK_WAIT_INIT;
    struct loop_timer timer = {0};

    loop_timer_set(&timer, ms, on_sleep_over, &wait);
    task_wait_at(&wait, file, line);
    loop_timer_clear(&timer);
}

/* Stacks grow down and are zero when new: the lowest byte ever written tells how deep it went. */
unsigned task_stack_high_water(const struct task_pool *pool)
{
    size_t most = 0;

    for (const struct task *task = pool->free; task; task = task->next) {
        const char *p = task->stack;
        size_t unused = 0;

        while (unused < TASK_STACK && p[unused] == 0)
            unused++;
        if (TASK_STACK - unused > most)
            most = TASK_STACK - unused;
    }
    return (unsigned)most;
}

void task_dump(void)
{
    uint64_t now = clock_steady_ms();

    for (struct task *task = living; task; task = task->older)
        if (task->file) {
            const struct log_context *outer = log_context();

            log_set_context(task->log);
            log_info("sleeping task", log_str("pool", task->pool->name), log_str("file", task->file),
                     log_int("line", task->line), log_int("ms", (int64_t)(now - task->since_ms)));
            log_set_context(outer);
        }
    for (const struct task_pool *pool = pools; pool; pool = pool->next)
        log_info("stacks", log_str("pool", pool->name), log_int("busy", pool->busy), log_int("queued", pool->queued),
                 log_int("deepest", task_stack_high_water(pool)), log_int("size", TASK_STACK));
}
