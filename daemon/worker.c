/*
 * worker: one process that is the whole relay: it takes sessions, delivers, looks after its cells.
 *
 * Life.  Born by fork with the listening sockets; loads the certificate while it is still root, then
 * drops privileges.  It takes no connection until it has a number (storage/node.h), because without one it can
 * make no id and so accept no mail: at start it simply waits for the database.  Once it has served, it goes on
 * accepting connections while the database is away, and the dialogues answer 451, NO and -ERR.
 *
 *   serving   accepts, delivers, renews its lease every NODE_RENEW_MS, sweeps every MAINTENANCE_MS
 *   retired   (SIGUSR2, after a reload) accepts and claims nothing new; sessions end by themselves, at the
 *             latest after retire_limit
 *   draining  (SIGTERM) sessions are told good-bye at their next boundary; at the latest after drain_limit the process
 *             ends; what was in memory for delivery is released or its lease runs out: rows, not memory, are the truth
 *
 * Periodic work is one task each that sleeps in between, so none ever overlaps itself.
 */
#include <stdio.h>

#define LOG_MODULE "worker"
#include "core/cidr.h"
#include "core/clock.h"
#include "core/dns.h"
#include "core/id.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/offload.h"
#include "core/spool.h"
#include "core/stream.h"
#include "core/task.h"
#include "daemon/breaker.h"
#include "daemon/doors.h"
#include "daemon/held_folders.h"
#include "daemon/primary_login.h"
#include "daemon/prober.h"
#include "daemon/process.h"
#include "daemon/runner.h"
#include "daemon/settings.h"
#include "daemon/stats.h"
#include "daemon/succession.h"
#include "daemon/testament.h"
#include "protocols/proxy.h"
#include "protocols/sasl.h"
#include "protocols/sasl_hop.h"
#include "protocols/server.h"
#include "protocols/smtp_counters.h"
#include "relay/null_mx.h"
#include "relay/screen_dns.h"
#include "relay/srs_way.h"
#include "storage/accept.h"
#include "storage/audit.h"
#include "storage/cache.h"
#include "storage/db.h"
#include "storage/decision.h"
#include "storage/greylist.h"
#include "storage/guard.h"
#include "storage/hop_credential.h"
#include "storage/known.h"
#include "storage/learned.h"
#include "storage/maintenance.h"
#include "storage/node.h"
#include "storage/outage_account.h"
#include "storage/queue.h"
#include "storage/schema.h"

#define MAINTENANCE_MS 10000
#define GUARD_MS 1000
#define STATS_MS 500
#define CLOSING_MS 20
#define DATABASE_POLL_MS 100
#define DATABASE_PATIENCE_MS 1000 /* that a connection takes at every start is not worth a warning */

static const struct process_plan *plan;
static struct server_settings *settings;
static struct cidr_list exempt;
static struct task_pool *housekeeping;
static struct loop_timer stats_timer, closing_timer, limit_timer;
static bool serving, closing, runner_running, runner_done, leaving;

/* ------------------------------------------------------------------ ending */

static void leave(void *arg)
{
    (void)arg;
    decision_flush();
    greylist_flush();
    if (node_alive() && node_leave() != DB_DONE)
        log_warn("could not give back leases; they run out");
    loop_stop();
}

static void on_limit(void *arg)
{
    (void)arg;
    if (leaving) {
        loop_stop();
        return;
    }
    log_warn("sessions did not end in time", log_int("smtp", server_session_count(SERVER_SMTP)),
             log_int("imap", server_session_count(SERVER_IMAP)), log_int("pop3", server_session_count(SERVER_POP3)));
    leaving = true;
    loop_timer_set(&limit_timer, 2000, on_limit, NULL);
    if (!task_start(housekeeping, leave, NULL))
        loop_stop();
}

static void on_runner_done(void *arg)
{
    (void)arg;
    runner_done = true;
}

static void on_closing(void *arg)
{
    unsigned sessions = stream_closing() + proxy_waiting(); /* their last words are on the way; their first ones */

    (void)arg;
    for (unsigned p = 0; p < SERVER_PROTOCOLS; p++)
        sessions += server_session_count((enum server_protocol)p);
    if (sessions || (runner_running && !runner_done) || webhooks_busy() || leaving) {
        loop_timer_set(&closing_timer, CLOSING_MS, on_closing, NULL);
        return;
    }
    leaving = true;
    if (!task_start(housekeeping, leave, NULL))
        loop_stop();
}

static void on_retire_over(void *arg)
{
    (void)arg;
    server_drain();
    loop_timer_set(&limit_timer, (uint64_t)plan->config->drain_limit_ms, on_limit, NULL);
}

static void close_down(bool at_once)
{
    uint64_t limit = (uint64_t)(at_once ? plan->config->drain_limit_ms : plan->config->retire_limit_ms);

    if (!closing) {
        closing = true;
        doors_close();
        webhooks_stop();
        if (runner_running)
            runner_drain(on_runner_done, NULL);
        loop_timer_set(&closing_timer, CLOSING_MS, on_closing, NULL);
    }
    if (at_once)
        server_drain();
    loop_timer_set(&limit_timer, limit, at_once ? on_limit : on_retire_over, NULL);
}

static void on_order(enum process_order order)
{
    switch (order) {
    case PROCESS_DUMP: task_dump(); return;
    case PROCESS_RETIRE: close_down(false); return;
    case PROCESS_DRAIN: close_down(true); return;
    }
}

/* ------------------------------------------------------------------ periodic work */

static void collect_sessions(void)
{
    stats_set(STAT_SMTP_SESSIONS, server_session_count(SERVER_SMTP));
    stats_set(STAT_SMTP_CONNECTIONS, smtp_counters.connections);
    stats_set(STAT_SMTP_CONNECTIONS_REFUSED, smtp_counters.connections_refused);
    stats_set(STAT_SMTP_MESSAGES_REFUSED, smtp_counters.messages_refused);
    stats_set(STAT_SMTP_MESSAGES_DEFERRED, smtp_counters.messages_deferred);
    stats_set(STAT_SMTP_RECIPIENTS_UNKNOWN, smtp_counters.recipients_unknown);
    stats_set(STAT_SMTP_RECIPIENTS_DENIED, smtp_counters.recipients_denied);
    stats_set(STAT_SMTP_AUTH_SUCCEEDED, smtp_counters.auth_succeeded);
    stats_set(STAT_SMTP_AUTH_FAILED, smtp_counters.auth_failed);
    stats_set(STAT_AUTH_FAILURES, guard_counters.failures);
    stats_set(STAT_AUTH_REFUSED, guard_counters.refused);
    stats_set(STAT_AUTH_BANS, guard_counters.bans);
    stats_set(STAT_IMAP_SESSIONS, server_session_count(SERVER_IMAP));
    stats_set(STAT_POP3_SESSIONS, server_session_count(SERVER_POP3));
    stats_set(STAT_TASKS_BUSY, task_pool_busy(server_tasks()));
    stats_set(STAT_TASKS_QUEUED, task_pool_queued(server_tasks()));
}

static void collect_mail(void)
{
    struct accept_counters accepted;
    struct runner_counters run = {0};
    struct prober_counters probes;

    accept_counters(&accepted);
    if (runner_running)
        runner_counters(&run);
    prober_counters(&probes);
    stats_set(STAT_MESSAGES_ACCEPTED, accepted.messages);
    stats_set(STAT_RECIPIENTS_ACCEPTED, accepted.recipients);
    stats_set(STAT_BYTES_ACCEPTED, accepted.bytes);
    stats_set(STAT_ACCEPT_BATCHES, accepted.batches);
    stats_set(STAT_DELIVERED, run.delivered);
    stats_set(STAT_DEFERRED, run.deferred);
    stats_set(STAT_BOUNCED, run.bounced);
    for (unsigned i = REPLY_CLASS_NONE + 1; i < REPLY_CLASSES; i++) {
        stats_set((enum stat)(STAT_DEFERRALS + i - 1), run.deferred_by[i]);
        stats_set((enum stat)(STAT_BOUNCES + i - 1), run.bounced_by[i]);
    }
    stats_set(STAT_ATTEMPTS, run.attempts);
    stats_set(STAT_NEXT_HOP_CONNECTIONS, run.connections);
    stats_set(STAT_TLS_REPORTS, run.tls_reports);
    stats_set(STAT_TLS_REPORTS_FAILED, run.tls_reports_failed);
    stats_set(STAT_DELIVERIES_ACTIVE, run.active);
    stats_set(STAT_OUTAGES_RUN, run.outages_open);
    stats_set(STAT_PROBES, probes.asked);
    stats_set(STAT_PROBES_TOLD, probes.told);
    stats_set(STAT_PROBES_FAILED, probes.failed);
}

static void collect_database(void)
{
    struct db_counters db;
    struct cache_counters cache;

    db_counters(&db);
    cache_counters(&cache);
    stats_set(STAT_DB_UNITS, db.units);
    stats_set(STAT_DB_FAILED, db.failed);
    stats_set(STAT_DB_UNCERTAIN, db.uncertain);
    stats_set(STAT_DB_RECONNECTS, db.reconnects);
    stats_set(STAT_DB_CONNECTED, db.connected);
    stats_set(STAT_CACHE_HITS, cache.hits);
    stats_set(STAT_CACHE_MISSES, cache.misses);
    stats_set(STAT_CACHE_DROPS, cache.drops);
    stats_set(STAT_CACHE_BYTES, cache.bytes);
}

static void collect(void *arg)
{
    (void)arg;
    collect_sessions();
    collect_mail();
    collect_database();
    stats_set(STAT_WORKERS_READY, serving && !closing && node_alive() && db_ready());
    stats_clients();
    stats_continuity();
    loop_timer_set(&stats_timer, STATS_MS, collect, NULL);
}

static AWAITS void renew_for_ever(void *arg)
{
    (void)arg;
    while (!leaving) {
        task_sleep(NODE_RENEW_MS);
        if (node_alive()) {
            if (node_renew() != DB_DONE)
                log_warn("could not renew the worker's lease");
        } else if (node_register(plan->config->hostname) == DB_DONE) {
            succession_note(plan->slot, node_identity());
            log_info("registered again", log_int("worker", id_worker()));
        }
    }
}

/* Failed logins, to and from the other nodes. */
static AWAITS void guard_for_ever(void *arg)
{
    (void)arg;
    while (!closing) {
        if (db_ready())
            guard_exchange();
        task_sleep(GUARD_MS);
    }
}

static AWAITS void sweep_for_ever(void *arg)
{
    (void)arg;
    while (!closing) {
        int16_t cells[ID_CELLS]; /* a copy: node_cells() is valid until the next wait only */
        const int16_t *held;
        unsigned count;

        task_sleep(MAINTENANCE_MS);
        held = node_cells(&count);
        memcpy(cells, held, count * sizeof *cells);
        if (!closing && count && db_ready()) {
            maintenance_run(cells, count, plan->config->history_retention_ms);
            audit_forget(plan->config->audit_retention_ms);
        }
    }
}

/*
 * What the slot's last process left.  Its deliveries first: once its entries are free, somebody sends them again.
 * False: it could not be done.
 */
static AWAITS bool succeed(struct node_identity dead)
{
    return succession_record() && node_bury(plan->config->hostname, dead) == DB_DONE &&
           node_renew() == DB_DONE; /* renewing takes its cells */
}

/* Waits for a database with the schema that this program knows, and for a number.  False: told to end meanwhile. */
static AWAITS bool wait_for_database(void)
{
    char why[400], told[400] = "";
    struct node_identity dead;
    uint64_t patience_ends = clock_steady_ms() + DATABASE_PATIENCE_MS;
    bool succeeds = succession_of(plan->slot, &dead);

    while (!closing) {
        if (schema_check(why, sizeof why) == SCHEMA_CURRENT) {
            if (known_refresh() == DB_FOUND && node_register(plan->config->hostname) == DB_DONE &&
                (!succeeds || succeed(dead))) {
                succession_note(plan->slot, node_identity());
                return true;
            }
            snprintf(why, sizeof why, "no lists, or no number for this worker, yet");
        }
        if (strcmp(why, told) != 0 && clock_steady_ms() >= patience_ends) {
            log_warn("waiting for the database", log_str("why", why));
            snprintf(told, sizeof told, "%s", why);
        }
        task_sleep(DATABASE_POLL_MS);
    }
    return false;
}

/* Then opens the doors. */
static AWAITS void boot(void *arg)
{
    (void)arg;
    if (!wait_for_database() || closing) /* told to end while its number was being registered: nothing is begun */
        return;
    log_info("serving", log_int("worker", id_worker()));
    runner_init(settings_runner(plan->config));
    webhooks_init(settings_webhooks(plan->config));
    breaker_init();
    runner_running = true;
    serving = true;
    if (!task_start(housekeeping, guard_for_ever, NULL) || !task_start(housekeeping, renew_for_ever, NULL) ||
        !task_start(housekeeping, sweep_for_ever, NULL) || !task_start(housekeeping, decision_write_for_ever, NULL) ||
        !task_start(housekeeping, known_refresh_for_ever, NULL) ||
        !task_start(housekeeping, held_folders_for_ever, NULL) ||
        !task_start(housekeeping, greylist_write_for_ever, NULL))
        log_fatal(1, "no stack for housekeeping");
    doors_open();
}

int worker_run(const struct process_plan *p)
{
    char error[200];
    struct limit_settings limits;

    plan = p;
    testament_open(plan->slot);
    process_begin(p, on_order);
    settings = settings_server(p->config); /* reads the key: before privileges go */
    const struct oauth_settings *oauth = settings_oauth(p->config);
    hop_credential_keys(settings_secrets(p->config));
    (void)settings_dkim(p->config); /* reads its key, too */
    process_drop_privileges(p->config);
    doors_believe(p->config->proxy_networks);
    if (*p->config->spool_directory)
        spool_set_directory(p->config->spool_directory);
    process_open_storage(p->config, (unsigned)p->config->read_connections, (unsigned)p->config->write_connections);
    cache_open((size_t)p->config->cache_size);
    dns_init(settings_dns(p->config));
    learned_configure(settings_learned(p->config));
    outage_account_configure((unsigned)p->config->continuity_accounts_max);
    srs_way_configure(settings_srs(p->config));
    prober_init(settings_prober(p->config));
    primary_login_init(p->config->hostname);
    if (!cidr_list_parse(p->config->auth_exempt, &exempt, error, sizeof error))
        log_fatal(78, "[auth] exempt: %s", error);
    guard_init(settings_guard(p->config, &exempt));
    sasl_start(p->config->hostname);
    sasl_hop_start();
    if (sasl_missing())
        log_error("nobody can sign in by these, libsasl has no plugin for them (Debian package: libsasl2-modules)",
                  log_str("mechanisms", sasl_missing()));
    sasl_bind_channels(p->config->channel_binding);
    oauth_start(oauth);
    limits = settings_limits(p->config);
    limit_set(&limits);
    server_set_sessions_max((unsigned)p->config->sessions_max);
    screen_dns_set_waiters_max((unsigned)p->config->tasks / 4);
    listen_tell_own(p->config->listen_smtp);
    null_mx_set_waiters_max((unsigned)p->config->tasks / 4);
    server_set_tasks(task_pool_new("session", (unsigned)p->config->tasks, (unsigned)p->config->sessions_max));
    housekeeping = task_pool_new("housekeeping", 9, 4);
    doors_make(p->listeners, settings);
    collect(NULL);
    if (!task_start(housekeeping, boot, NULL))
        return 1;
    loop_run();
    return 0;
}
