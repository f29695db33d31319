/*
 * primary_login: signs in at a domain's primary as one of its users, to learn whether the password is his.
 *
 * By SMTP AUTH (STARTTLS) or IMAP (TLS from the start), and only over TLS with a certificate for the host's name by one
 * of the system's authorities: what would be shown is somebody's password.  A host without is as one that is away.
 *
 * Yes is 235, or OK to LOGIN; no is 535 (RFC 4954 section 6), or NO that says that the credentials are wrong (RFC 5530
 * where the server has it); anything else says nothing about the password: a full server, one that has no AUTH, one
 * that talks nonsense.
 *
 * The question is a task of its own with a copy of the password, which is wiped with it.  Who waits, waits WAIT_MS; an
 * answer that comes later is nobody's, as the login was answered without it.  The task ends by the deadlines of its
 * steps.  DOMAIN_MAX and ALL_MAX bound how many there are: a primary that stalls holds its own share.
 */
#include "daemon/primary_login.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "login"
#include "core/clock.h"
#include "core/dns.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/secret.h"
#include "protocols/imap_client.h"
#include "protocols/login_primary.h"
#include "protocols/sasl_hop.h"
#include "protocols/smtp_client.h"
#include "storage/credential.h"

#define WAIT_MS 8000
#define STEP_MS 5000 /* to connect; to each answer */
#define ADDRESSES_MAX 4
#define ALL_MAX 64
#define DOMAIN_MAX 4
#define SUBMISSION_PORT 587
#define IMAPS_PORT 993

struct question {
    struct question *next;
    int64_t domain_id;
    bool imap;
    unsigned port;
    char *host, *name;
    char password[CREDENTIAL_PASSWORD_MAX];
    size_t password_size;
    struct task_wait *waiter; /* NULL: nobody waits any more */
    bool done, late;
    enum login_primary answer;
};

static struct question *questions;
static const char *own_name;
static struct tls *tls;
static struct task_pool *pool;

static void drop(struct question *q)
{
    struct question **link = &questions;

    while (*link != q)
        link = &(*link)->next;
    *link = q->next;
    free(q->host);
    free(q->name);
    secret_wipe(q, sizeof *q);
    free(q);
}

/* ------------------------------------------------------------------ asking */

static AWAITS enum login_primary ask_smtp(const struct question *q, struct arena *arena, struct dns_address *addresses,
                                          unsigned count, struct slice *why)
{
    struct smtp_client_credential credential = {
        .user = slice_str(q->name),
        .password = slice_of(q->password, q->password_size),
        .mechanisms = SASL_HOP_BY_PASSWORD,
        .verify = true,
    };
    const struct smtp_client_settings settings = {
        .hostname = own_name,
        .tls = tls,
        .verify_tls = true,
        .configured = true,
        .credential = &credential,
        .connect_timeout_ms = STEP_MS,
        .greeting_timeout_ms = STEP_MS,
        .reply_timeout_ms = STEP_MS,
        .end_timeout_ms = STEP_MS,
    };
    struct smtp_client_target target = {.host = q->host, .port = q->port, .addresses = addresses, .count = count};
    struct smtp_client *client = NULL;

    if (smtp_client_open(&settings, arena, &target, &client, why)) {
        smtp_client_abort(&client);
        return LOGIN_PRIMARY_YES;
    }
    return credential.refused && credential.code == 535 ? LOGIN_PRIMARY_NO : LOGIN_PRIMARY_AWAY;
}

static AWAITS enum login_primary ask_imap(const struct question *q, struct arena *arena, struct dns_address *addresses,
                                          unsigned count, struct slice *why)
{
    const struct imap_client_settings settings = {
        .tls = tls,
        .verify = true,
        .implicit_tls = true,
        .connect_timeout_ms = STEP_MS,
        .reply_timeout_ms = STEP_MS,
    };
    enum login_primary answer = LOGIN_PRIMARY_AWAY;
    struct imap_client *client = NULL;
    bool refused = false;

    if (!imap_client_open(&settings, arena, addresses, count, q->port, q->host, &client, why))
        return LOGIN_PRIMARY_AWAY;
    imap_client_until(client, clock_steady_ms() + WAIT_MS);
    switch (imap_client_login(client, slice_str(q->name), slice_of(q->password, q->password_size),
                              (struct slice){NULL, 0}, &refused)) {
    case IMAP_CLIENT_OK: answer = LOGIN_PRIMARY_YES; break;
    case IMAP_CLIENT_NO: answer = refused ? LOGIN_PRIMARY_NO : LOGIN_PRIMARY_AWAY; break;
    case IMAP_CLIENT_LOST: break;
    }
    *why = slice_str(arena_strdup(arena, imap_client_text(client)));
    imap_client_abort(&client);
    return answer;
}

static AWAITS void run(void *arg)
{
    struct question *q = arg;
    struct arena *arena = arena_new(SIZE_MAX);
    struct dns_address *addresses;
    struct slice why = SLICE("its address could not be looked up");
    unsigned count = 0;

    if (dns_addresses(arena, q->host, &addresses, &count) == DNS_FOUND) {
        count = count < ADDRESSES_MAX ? count : ADDRESSES_MAX;
        q->answer = (q->imap ? ask_imap : ask_smtp)(q, arena, addresses, count, &why);
    }
    if (q->answer == LOGIN_PRIMARY_AWAY)
        log_warn("a primary does not say whether a password is right", log_str("host", q->host),
                 log_int("port", q->port), log_slice("reason", why));
    arena_free(&arena);
    q->done = true;
    if (!q->waiter)
        drop(q);
    else if (!q->late)
        task_wake(q->waiter);
}

/* ------------------------------------------------------------------ waiting for the answer */

static bool is_busy(int64_t domain_id)
{
    unsigned count = 0;

    for (const struct question *q = questions; q; q = q->next)
        count += q->domain_id == domain_id;
    return count >= DOMAIN_MAX;
}

static struct question *make(const struct login_primary_question *given)
{
    struct question *q = calloc(1, sizeof *q);
    int32_t port = given->policy->check_port;

    if (!q || !(q->host = strndup(given->policy->check_host.p, given->policy->check_host.n)) ||
        !(q->name = strndup(given->name.p, given->name.n)))
        abort();
    q->domain_id = given->domain_id;
    q->imap = given->policy->check_password == CONTINUITY_CHECK_IMAP;
    q->port = port != CONTINUITY_NOT_SET ? (unsigned)port : q->imap ? IMAPS_PORT : SUBMISSION_PORT;
    q->password_size = given->password.n;
    memcpy(q->password, given->password.p, given->password.n);
    q->answer = LOGIN_PRIMARY_AWAY;
    q->next = questions;
    questions = q;
    return q;
}

static void on_late(void *arg)
{
    struct question *q = arg;

    if (q->done)
        return;
    q->late = true;
    task_wake(q->waiter);
}

static AWAITS enum login_primary ask(const struct login_primary_question *given)
{
    struct task_wait wait = TASK_WAIT_INIT;
    struct loop_timer timer = {0};
    enum login_primary answer;

    if (given->password.n > CREDENTIAL_PASSWORD_MAX)
        return LOGIN_PRIMARY_NO;
    if (is_busy(given->domain_id))
        return LOGIN_PRIMARY_BUSY;
    struct question *q = make(given);
    q->waiter = &wait;
    if (!task_start(pool, run, q)) {
        drop(q);
        return LOGIN_PRIMARY_BUSY;
    }
    loop_timer_set(&timer, WAIT_MS, on_late, q);
    task_wait(&wait);
    loop_timer_clear(&timer);
    q->waiter = NULL;
    answer = q->done ? q->answer : LOGIN_PRIMARY_AWAY;
    if (q->done)
        drop(q);
    else
        log_warn("a primary does not answer a login in time", log_id("domain", given->domain_id));
    return answer;
}

void primary_login_init(const char *hostname)
{
    char error[200] = "";

    own_name = hostname;
    tls = tls_client_new(true, error, sizeof error);
    if (!tls)
        log_fatal(1, "TLS for logins at primaries: %s", error);
    pool = task_pool_new("primary", ALL_MAX, 0);
    login_on_primary(ask);
}
