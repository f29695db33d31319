/*
 * process: what a child does between fork and its loop.
 *
 * Signals arrive through libevent, so orders are carried out between events, never in the middle of one.
 * PR_SET_PDEATHSIG makes the kernel send SIGTERM when the master dies, whatever killed it: workers then drain, and a
 * new master finds the ports free.  Changing the user clears that setting, so it is made after privileges are dropped.
 */
#include "daemon/process.h"

#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LOG_MODULE "process"
#include "core/log.h"
#include "core/loop.h"
#include "core/offload.h"
#include "core/tally.h"
#include "daemon/stats.h"
#include "storage/credential.h"
#include "storage/db.h"
#include "storage/hint.h"

#define PROCESS_HASHING_THREADS 2

_Static_assert(TALLY_SLOTS == STATS_SLOTS, "one for each process");

static void (*on_order)(enum process_order order);
static pid_t master; /* as it was before the fork: it may be dead before this process asks for its parent */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)what, (void)arg;
    on_order(number == SIGUSR1 ? PROCESS_DUMP : number == SIGUSR2 ? PROCESS_RETIRE : PROCESS_DRAIN);
}

static void catch_signal(int number)
{
    struct event *event = evsignal_new(loop_base(), number, on_signal, NULL);

    if (!event || event_add(event, NULL) != 0)
        log_fatal(1, "cannot catch signal %d", number);
}

void process_begin(const struct process_plan *plan, void (*fn)(enum process_order order))
{
    sigset_t all;

    master = plan->master;
    on_order = fn;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* a terminal's; the master tells us what to do */
    signal(SIGINT, SIG_IGN);
    loop_init();
    catch_signal(SIGTERM);
    catch_signal(SIGUSR1);
    catch_signal(SIGUSR2);
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL); /* the master blocks what it waits for */
    stats_use(plan->slot);
    tally_use(plan->slot);
}

void process_drop_privileges(const struct config *config)
{
    struct passwd *user;

    if (geteuid() == 0) {
        errno = 0;
        user = getpwnam(config->user);
        if (!user)
            log_fatal(78, "[daemon] user: there is no user \"%s\" (adduser --system --group %s)", config->user,
                      config->user);
        if (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
            log_fatal(1, "cannot become user %s: %s", config->user, strerror(errno));
        if (user->pw_uid != 0 && setuid(0) == 0)
            log_fatal(1, "privileges came back after dropping them");
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != master)
        raise(SIGTERM); /* it died before we asked: nobody else would tell */
}

void process_open_storage(const struct config *config, unsigned read_connections, unsigned write_connections)
{
    offload_init(PROCESS_HASHING_THREADS);
    credential_want_sha1(config->scram_sha1);
    db_open(&(struct db_settings){config->conninfo, read_connections, write_connections,
                                  (unsigned)config->statement_timeout_ms});
    hint_init();
}
