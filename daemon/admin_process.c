/*
 * admin_process: the process that runs the REST API.
 *
 * The same storage layer as a worker, no sessions and no cells.  It needs a number, as it makes ids for customers,
 * domains and accounts.  Unlike a worker it answers from the first moment: /healthz and /readyz are for the
 * time when the database is away.
 *
 * Told to end, by a reload or a stop, it answers what has begun (admin_drain()) for drain_limit at most, and keeps its
 * number meanwhile: a request that makes an account needs it.
 */
#include <stdlib.h>
#include <unistd.h>

#define LOG_MODULE "admin"
#include "admin-api/admin.h"
#include "core/dns.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/task.h"
#include "daemon/prober.h"
#include "daemon/process.h"
#include "daemon/settings.h"
#include "daemon/stats.h"
#include "protocols/sasl_hop.h"
#include "relay/null_mx.h"
#include "relay/screen_dns.h"
#include "relay/srs_way.h"
#include "storage/db.h"
#include "storage/hop_credential.h"
#include "storage/learned.h"
#include "storage/node.h"
#include "storage/queue_bulk.h"
#include "storage/schema.h"
#include "storage/suspension.h"

#define ADMIN_LEAVE_MS 2000

static const struct process_plan *plan;
static struct task_pool *housekeeping;
static struct loop_timer limit_timer;
static bool ending, leaving;

static void on_leave_limit(void *arg)
{
    (void)arg;
    loop_stop();
}

static AWAITS void leave(void *arg)
{
    (void)arg;
    if (node_alive() && node_leave() != DB_DONE)
        log_warn("could not give back the lease; it runs out");
    loop_stop();
}

static void on_drained(void *arg)
{
    (void)arg;
    leaving = true;
    admin_stop();
    loop_timer_set(&limit_timer, ADMIN_LEAVE_MS, on_leave_limit, NULL);
    if (!task_start(housekeeping, leave, NULL))
        loop_stop();
}

static void on_drain_limit(void *arg)
{
    log_warn("requests did not end in time");
    on_drained(arg);
}

static void on_order(enum process_order order)
{
    if (order == PROCESS_DUMP) {
        task_dump();
        return;
    }
    if (ending)
        return;
    ending = true;
    loop_timer_set(&limit_timer, (uint64_t)plan->config->drain_limit_ms, on_drain_limit, NULL);
    admin_drain(on_drained, NULL);
}

/* Without a number nothing can be changed by the API: so also not in a schema that is not ours. */
static AWAITS bool enter(void)
{
    char why[400];

    return schema_check(why, sizeof why) == SCHEMA_CURRENT && node_register_plain(plan->config->hostname) == DB_DONE;
}

static AWAITS void keep_number(void *arg)
{
    (void)arg;
    while (!leaving) {
        if (node_alive()) {
            if (node_renew() != DB_DONE)
                log_warn("could not renew the lease");
            task_sleep(NODE_RENEW_MS);
        } else {
            task_sleep(enter() ? NODE_RENEW_MS : 200);
        }
    }
}

int admin_run(const struct process_plan *p)
{
    struct admin_settings settings = {
        .listen_fd = -1,
        .certificate_file = *p->config->admin_certificate ? p->config->admin_certificate : NULL,
        .key_file = *p->config->admin_key ? p->config->admin_key : NULL,
        .hostname = p->config->hostname,
        .connections_max = (unsigned)p->config->admin_connections_max,
        .connections_per_client_max = (unsigned)p->config->admin_connections_per_client_max,
        .invitation_url = p->config->admin_invitation_url,
        .message_size_max = p->config->message_size_max,
        .dns_wait_ms = (unsigned)p->config->dns_wait_ms,
        .refuse_null_mx_senders = p->config->refuse_null_mx_senders,
        .address_literals = p->config->address_literals,
        .default_route_host = p->config->default_route_host,
        .default_route_port = p->config->default_route_port,
        .default_route_name = p->config->default_route_name,
        .mx_port = (unsigned)p->config->mx_port,
        .webhooks_in_clear = *p->config->webhooks_networks != '\0',
        .metrics = stats_exposition,
    };

    plan = p;
    process_begin(p, on_order);
    for (unsigned i = 0; i < p->listeners->count; i++)
        if (p->listeners->list[i].service == LISTEN_ADMIN)
            settings.listen_fd = p->listeners->list[i].fd;
        else
            close(p->listeners->list[i].fd);
    admin_load_tls(&settings); /* reads the key: before privileges go */
    hop_credential_keys(settings_secrets(p->config));
    sasl_hop_start();
    process_drop_privileges(p->config);
    process_open_storage(p->config, 1, 1);
    dns_init(settings_dns(p->config));
    learned_configure(settings_learned(p->config));
    srs_way_configure(settings_srs(p->config));
    prober_init(settings_prober(p->config)); /* for the dry run, which asks as RCPT does */
    housekeeping = task_pool_new("housekeeping", 5, 5);
    screen_dns_set_waiters_max(settings.connections_max / 4 + 1);
    listen_tell_own(p->config->listen_smtp);
    null_mx_set_waiters_max(settings.connections_max / 4 + 1);
    admin_start(&settings);
    if (!task_start(housekeeping, keep_number, NULL) || !task_start(housekeeping, queue_bulk_for_ever, NULL) ||
        !task_start(housekeeping, suspension_sweep_for_ever, NULL))
        return 1;
    loop_run();
    return 0;
}
