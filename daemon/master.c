/*
 * master: binds, forks, restarts what crashes.
 *
 * One loop around sigtimedwait(2): every signal is handled where it is waited for, nowhere else, so there
 * are no handlers and no races.
 *
 * A generation is a configuration, its sockets and the processes forked with them.  SIGHUP reads the file
 * again; if it is good, a new generation is started and the old one is told to retire: it takes nothing new and its
 * processes end when their last session does.  So no session is dropped, every setting can be changed by a reload, and
 * a bad file changes nothing.  Sockets for addresses that stay are handed on, never closed.
 *
 * A child that ends unasked is replaced after a delay that doubles from RESTART_FIRST_MS to RESTART_MAX_MS and
 * is forgotten after it has lived for RESTART_CALM_MS.
 *
 * The master stays root when it was started as root: to bind new ports and to read keys for the next
 * generation.  It reads nothing that comes from the network.
 */
#include "daemon/master.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOG_MODULE "master"
#include "core/clock.h"
#include "core/log.h"
#include "core/rate.h"
#include "core/tally.h"
#include "core/tls.h"
#include "daemon/listen.h"
#include "daemon/logging.h"
#include "daemon/pid_file.h"
#include "daemon/process.h"
#include "daemon/settings.h"
#include "daemon/stats.h"
#include "daemon/succession.h"
#include "daemon/testament.h"
#include "storage/cache.h"
#include "storage/schema.h"

#define RESTART_FIRST_MS 100
#define RESTART_MAX_MS 30000
#define RESTART_CALM_MS 60000
#define KILL_AFTER_MS 5000 /* beyond the drain limit */

struct generation {
    unsigned references; /* children, and the master for the current one */
    struct config *config;
    struct listeners listeners;
};

struct child {
    pid_t pid; /* 0: waits for its restart, or the slot is free (no generation) */
    struct generation *generation;
    int (*run)(const struct process_plan *plan);
    uint64_t started_ms, restart_ms, delay_ms;
    bool retired;
};

static struct child children[STATS_SLOTS];
static struct generation *current;
static bool stopping;
static sigset_t waited;

static void generation_release(struct generation *g)
{
    if (--g->references == 0) {
        config_free(&g->config);
        free(g);
    }
}

/* ------------------------------------------------------------------ children */

static void child_fork(unsigned slot)
{
    struct child *child = &children[slot];
    pid_t pid, self = getpid();

    tls_server_share();
    testament_prepare(slot);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        struct process_plan plan = {child->generation->config, &child->generation->listeners, slot, self};

        _exit(child->run(&plan));
    }
    child->started_ms = clock_steady_ms();
    if (pid < 0) {
        log_error("cannot fork", log_str("error", strerror(errno)));
        child->restart_ms = child->started_ms + RESTART_MAX_MS;
        return;
    }
    child->pid = pid;
    child->restart_ms = 0;
}

static void child_add(struct generation *g, int (*run)(const struct process_plan *))
{
    for (unsigned slot = 0; slot < STATS_SLOTS; slot++)
        if (!children[slot].generation) {
            children[slot] = (struct child){.generation = g, .run = run};
            g->references++;
            child_fork(slot);
            return;
        }
    log_error("too many processes: retired ones have not ended yet");
}

static void child_forget(struct child *child)
{
    generation_release(child->generation);
    *child = (struct child){0};
}

static void child_schedule(struct child *child, int status)
{
    uint64_t now = clock_steady_ms();

    if (now - child->started_ms > RESTART_CALM_MS)
        child->delay_ms = 0;
    child->delay_ms = child->delay_ms ? child->delay_ms * 2 : RESTART_FIRST_MS;
    if (child->delay_ms > RESTART_MAX_MS)
        child->delay_ms = RESTART_MAX_MS;
    child->restart_ms = now + child->delay_ms;
    child->pid = 0;
    stats_restarted();
    log_error("process ended unasked", log_int("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
              log_int("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
              log_int("restart_in_ms", (int64_t)child->delay_ms));
}

static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned slot = 0; slot < STATS_SLOTS; slot++)
            if (children[slot].pid == pid) {
                stats_depart(slot);
                tally_depart(slot);
                if (stopping || children[slot].retired)
                    child_forget(&children[slot]);
                else
                    child_schedule(&children[slot], status);
                break;
            }
}

/* Forks what is due; returns milliseconds until the next is, at most `most`. */
static uint64_t restart_due(uint64_t most)
{
    uint64_t now = clock_steady_ms();

    for (unsigned slot = 0; slot < STATS_SLOTS; slot++) {
        struct child *child = &children[slot];

        if (!child->generation || child->pid)
            continue;
        if (child->restart_ms <= now)
            child_fork(slot);
        else if (child->restart_ms - now < most)
            most = child->restart_ms - now;
    }
    return most;
}

static unsigned tell_all(int number)
{
    unsigned alive = 0;

    for (unsigned slot = 0; slot < STATS_SLOTS; slot++)
        if (children[slot].pid) {
            kill(children[slot].pid, number);
            alive++;
        } else if (children[slot].generation && stopping) {
            child_forget(&children[slot]);
        }
    return alive;
}

/* ------------------------------------------------------------------ generations */

static int64_t worker_count(const struct config *config)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return config->workers ? config->workers : processors > 0 ? processors : 1;
}

static void generation_start(struct config *config, const struct listeners *listeners)
{
    struct generation *g = calloc(1, sizeof *g);

    if (!g)
        abort();
    *g = (struct generation){.references = 1, .config = config, .listeners = *listeners};
    current = g;
    logging_apply(config);
    if (!listeners->count)
        log_warn("nothing listens, every setting of [listen] is empty");
    if (*config->listen_admin)
        child_add(g, admin_run);
    for (int64_t i = 0; i < worker_count(config); i++)
        child_add(g, worker_run);
}

/* Reads the file; each of its errors is a line of the log, which may be syslog. */
static struct config *read_again(const char *path)
{
    char *errors = NULL, *save = NULL;
    size_t size;
    FILE *out = open_memstream(&errors, &size);
    struct config *config;

    if (!out)
        abort();
    config = config_load(path, out);
    fclose(out);
    for (char *line = strtok_r(errors, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        log_error("configuration", log_str("error", line));
    free(errors);
    return config;
}

/* The old generation keeps its slots until its last session ends, which may be long. */
static bool room_for(const struct config *config, char *error, size_t error_size)
{
    int64_t room = 0, needed = worker_count(config) + (*config->listen_admin ? 1 : 0);

    for (unsigned slot = 0; slot < STATS_SLOTS; slot++)
        room += !children[slot].generation;
    if (room >= needed)
        return true;
    snprintf(error, error_size, "%d processes are alive already: sessions of earlier configurations have not ended",
             STATS_SLOTS - (int)room);
    return false;
}

/* False: nothing was changed. */
static bool take_over(const struct config *config, const struct listeners *have, struct listeners *out, char *error,
                      size_t error_size)
{
    if (!settings_check(config, error, error_size) || !room_for(config, error, error_size) ||
        !listen_open(config, have, out, error, error_size))
        return false;
    if (pid_file_move(config->pid_file, error, error_size))
        return true;
    listen_close(out, have);
    return false;
}

static void reload(const char *path)
{
    struct config *config = read_again(path);
    struct generation *old = current;
    struct listeners listeners;
    char error[1000];

    if (!config) {
        log_error("the configuration has errors; nothing was changed", log_str("file", path));
        return;
    }
    if (!take_over(config, &old->listeners, &listeners, error, sizeof error)) {
        log_error("the configuration cannot be used; nothing was changed", log_str("error", error));
        config_free(&config);
        return;
    }
    for (unsigned slot = 0; slot < STATS_SLOTS; slot++) {
        struct child *child = &children[slot];

        if (child->generation != old || child->retired)
            continue;
        child->retired = true;
        if (child->pid)
            kill(child->pid, SIGUSR2);
        else
            child_forget(child);
    }
    listen_close(&old->listeners, &listeners);
    generation_start(config, &listeners);
    generation_release(old);
    log_info("configuration reloaded", log_str("file", path));
}

/* ------------------------------------------------------------------ life */

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int next_signal(uint64_t ms)
{
    struct timespec limit = {(time_t)(ms / 1000), (long)(ms % 1000 * 1000000)};

    return sigtimedwait(&waited, NULL, &limit);
}

static void stop_all(void)
{
    uint64_t deadline = clock_steady_ms() + (uint64_t)current->config->drain_limit_ms + KILL_AFTER_MS;

    stopping = true;
    log_info("stopping");
    tell_all(SIGTERM);
    while (tell_all(0) && clock_steady_ms() < deadline) {
        next_signal(200);
        reap();
    }
    tell_all(SIGKILL);
    while (tell_all(0)) {
        next_signal(100);
        reap();
    }
}

int master_run(struct config *config, const char *config_path)
{
    struct listeners listeners;
    char error[1000];

    sigemptyset(&waited);
    sigaddset(&waited, SIGTERM);
    sigaddset(&waited, SIGINT);
    sigaddset(&waited, SIGHUP);
    sigaddset(&waited, SIGUSR1);
    sigaddset(&waited, SIGCHLD);
    sigprocmask(SIG_BLOCK, &waited, NULL);

    logging_apply(config);
    if (!settings_check(config, error, sizeof error))
        log_fatal(78, "%s", error);
    if (!schema_remember(error, sizeof error))
        log_fatal(1, "%s", error);
    raise_descriptor_limit();
    if (!listen_open(config, NULL, &listeners, error, sizeof error))
        log_fatal(1, "%s", error);
    if (!pid_file_move(config->pid_file, error, sizeof error))
        log_fatal(1, "%s", error);
    stats_init();
    succession_init();
    cache_share();
    rate_share();
    tally_share();
    generation_start(config, &listeners);
    for (;;) {
        int number = next_signal(restart_due(60000));

        tls_server_share();
        if (number == SIGTERM || number == SIGINT)
            break;
        if (number == SIGHUP)
            reload(config_path);
        if (number == SIGUSR1)
            tell_all(SIGUSR1);
        reap();
    }
    stop_all();
    pid_file_remove();
    log_info("stopped");
    return 0;
}
