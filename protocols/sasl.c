/*
 * sasl: authentication by Cyrus SASL, with our own auxprop plugin over the account store.
 *
 * How one attempt goes.  A dialogue makes an attempt and hands it the client's messages, each in a task.  libsasl runs
 * the mechanism and asks us back, synchronously, at two places:
 *
 *   - SCRAM wants the account's stored keys: on_lookup(), the auxprop plugin, sets the property "authPassword".
 *   - PLAIN and LOGIN want a password checked: on_checkpass() verifies it against the crypt(3) hash.
 *
 * Both look the account up once per attempt (libsasl asks twice) and may wait there: only the task sleeps, libsasl
 * does not notice.  libsasl keeps all state in the connection, so attempts may interleave.  The attempt travels as the
 * context of the checkpass callback, where the plugin finds it too.
 *
 * Channel binding: libsasl compares what the client has mixed in with what it is told beforehand, refuses who says that
 * we offer none ("y": somebody has taken the -PLUS forms out of what we listed), and lets others do without.
 *
 * EXTERNAL, OAUTHBEARER and XOAUTH2 do not go through libsasl: attempt->step is what takes their messages
 * (sasl_external.c, sasl_oauth.c).
 *
 * Who may sign in, and what a stranger learns (nothing but yes or no), is protocols/login.c's business.  A database
 * that is away sets `unavailable`, which outranks whatever libsasl makes of it.
 *
 * No security layers are offered: TLS is below us.  No configuration file of libsasl is read (there is no
 * application name), so what the system's administrator set for others does not change us.
 */
#include "protocols/sasl_internal.h"

#include <sasl/saslplug.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "sasl"
#include "core/log.h"
#include "storage/guard.h"

/*
 * One message of a client: PLAIN's two names and password, or SCRAM's name with each octet escaped.  Below it
 * libsasl's own limit for a name with a realm (1,024 bytes) is never reached.
 */
#define MESSAGE_MAX_BYTES 1200
#define SCRAM_MAX_BYTES 700

static const char *server_name;

/* ------------------------------------------------------------------ looking up */

/* Once per attempt and name. */
static AWAITS void look_up(struct sasl_attempt *attempt, struct slice name)
{
    if (attempt->looked_up && slice_equal_nocase(attempt->name, name))
        return;
    attempt->looked_up = true;
    attempt->name = arena_slice(attempt->arena, name);
    attempt->banned = guard_banned(attempt->login.client, attempt->name);
    if (attempt->banned || login_find(&attempt->login, attempt->name) != DB_FOUND)
        attempt->unavailable = true;
}

static AWAITS int on_checkpass(sasl_conn_t *connection, void *context, const char *user, const char *password,
                               unsigned length, struct propctx *properties)
{
    struct sasl_attempt *attempt = context;

    (void)connection, (void)properties;
    look_up(attempt, slice_str(user));
    if (attempt->unavailable)
        return SASL_UNAVAIL;
    switch (login_check(&attempt->login, slice_of(password, length))) {
    case LOGIN_YES: return SASL_OK;
    case LOGIN_NO: return SASL_BADAUTH;
    case LOGIN_UNAVAILABLE: break;
    }
    attempt->unavailable = true;
    return SASL_UNAVAIL;
}

/* The auxprop plugin.  Properties named with '*' are about the authentication identity, the only one we have. */
static AWAITS int on_lookup(void *glob, sasl_server_params_t *params, unsigned flags, const char *user, unsigned length)
{
    const struct propval *wanted = params->utils->prop_get(params->propctx);
    sasl_callback_ft fn;
    void *context;

    (void)glob;
    if ((flags & SASL_AUXPROP_AUTHZID) || !wanted)
        return SASL_OK;
    if (params->utils->getcallback(params->utils->conn, SASL_CB_SERVER_USERDB_CHECKPASS, &fn, &context) != SASL_OK)
        return SASL_FAIL;
    for (; wanted->name; wanted++) {
        struct sasl_attempt *attempt = context;
        struct slice keys;

        if (strcmp(wanted->name, "*authPassword") != 0 || (wanted->values && !(flags & SASL_AUXPROP_OVERRIDE)))
            continue;
        look_up(attempt, slice_of(user, length));
        if (!attempt->unavailable && login_scram_keys(&attempt->login, attempt->name, attempt->sha1, &keys) != DB_FOUND)
            attempt->unavailable = true;
        if (attempt->unavailable)
            return SASL_UNAVAIL;
        if (wanted->values)
            params->utils->prop_erase(params->propctx, wanted->name);
        params->utils->prop_set(params->propctx, wanted->name, keys.p, (int)keys.n);
    }
    return SASL_OK;
}

static sasl_auxprop_plug_t plugin = {.auxprop_lookup = on_lookup, .name = (char *)"posthouse"};

static int plugin_init(const sasl_utils_t *utils, int max_version, int *out_version, sasl_auxprop_plug_t **out,
                       const char *name)
{
    (void)utils, (void)name;
    if (max_version < SASL_AUXPROP_PLUG_VERSION)
        return SASL_BADVERS;
    *out_version = SASL_AUXPROP_PLUG_VERSION;
    *out = &plugin;
    return SASL_OK;
}

/* ------------------------------------------------------------------ libsasl's surroundings */

static int on_getopt(void *context, const char *plugin_name, const char *option, const char **result, unsigned *length)
{
    static const struct {
        const char *option, *value;
    } table[] = {
        {"mech_list", "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN"},
        {"auxprop_plugin", "posthouse"},
        {"pwcheck_method", "auxprop"},
        {"log_level", "1"},
    };

    (void)context, (void)plugin_name;
    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(option, table[i].option) == 0) {
            *result = table[i].value;
            if (length)
                *length = (unsigned)strlen(table[i].value);
            return SASL_OK;
        }
    return SASL_FAIL;
}

/* What libsasl says is for us, never for a client: it tells who exists. */
static int on_log(void *context, int level, const char *message)
{
    (void)context, (void)level;
    if (message)
        log_debug("libsasl", log_str("text", message));
    return SASL_OK;
}

/* libsasl keeps callbacks of all types as one; by way of void (*)(void), which gcc knows to mean that. */
#define CALLBACK(fn) ((int (*)(void))(void (*)(void))(fn))

const char *sasl_missing(void)
{
    static const char *const wanted[] = {"SCRAM-SHA-256", "PLAIN", "LOGIN"};
    static char missing[40];
    size_t n = 0;

    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const char **have = sasl_global_listmech();

        while (have && *have && strcmp(*have, wanted[i]) != 0)
            have++;
        if (!have || !*have)
            n += (size_t)snprintf(missing + n, sizeof missing - n, "%s%s", n ? " " : "", wanted[i]);
    }
    return n ? missing : NULL;
}

void sasl_start(const char *hostname)
{
    static sasl_callback_t callbacks[3];
    int status;

    server_name = hostname;
    callbacks[0] = (sasl_callback_t){SASL_CB_GETOPT, CALLBACK(on_getopt), NULL};
    callbacks[1] = (sasl_callback_t){SASL_CB_LOG, CALLBACK(on_log), NULL};
    callbacks[2] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
    status = sasl_auxprop_add_plugin("posthouse", plugin_init);
    if (status == SASL_OK)
        status = sasl_server_init(callbacks, NULL);
    if (status != SASL_OK)
        log_fatal(1, "Cyrus SASL does not start: %s", sasl_errstring(status, NULL, NULL));
}

void sasl_stop(void)
{
    sasl_server_done();
}

/* ------------------------------------------------------------------ attempts */

/* GSSAPI's service names: POP3's is "pop" (RFC 5034 section 4). */
static const char *registered_name(const char *service)
{
    return strcmp(service, "pop3") == 0 ? "pop" : service;
}

static void keep_client(struct sasl_attempt *attempt, const struct sasl_client *client)
{
    struct tls_peer *certificate;
    struct slice *addresses;

    attempt->client = *client;
    if (client->binding) {
        struct tls_binding *binding = arena_alloc(attempt->arena, sizeof *binding);

        *binding = *client->binding;
        attempt->client.binding = binding;
        attempt->binding = (sasl_channel_binding_t){binding->name, false, binding->size, binding->bytes};
    }
    if (!client->certificate)
        return;
    attempt->client.certificate = certificate = arena_alloc(attempt->arena, sizeof *certificate);
    *certificate = *client->certificate;
    addresses = arena_array(attempt->arena, certificate->address_count + 1, sizeof *addresses);
    for (unsigned i = 0; i < certificate->address_count; i++)
        addresses[i] = arena_slice(attempt->arena, certificate->addresses[i]);
    certificate->addresses = addresses;
    certificate->name = (struct slice){"", 0};
    certificate->host_count = 0;
}

struct sasl_attempt *sasl_attempt_new(const struct sasl_client *client)
{
    struct sasl_attempt *attempt = calloc(1, sizeof *attempt);
    sasl_security_properties_t properties = {.maxbufsize = 0, .security_flags = SASL_SEC_NOANONYMOUS};
    int status;

    if (!attempt)
        abort();
    attempt->arena = arena_new(SIZE_MAX);
    keep_client(attempt, client);
    attempt->login = (struct login){.arena = attempt->arena, .service = client->service, .client = client->peer};
    attempt->callbacks[0] = (sasl_callback_t){SASL_CB_SERVER_USERDB_CHECKPASS, CALLBACK(on_checkpass), attempt};
    attempt->callbacks[1] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
    status = sasl_server_new(registered_name(client->service), server_name, NULL, NULL, NULL, attempt->callbacks, 0,
                             &attempt->connection);
    if (status == SASL_OK)
        status = sasl_setprop(attempt->connection, SASL_SEC_PROPS, &properties);
    if (status == SASL_OK && attempt->binding.name)
        status = sasl_setprop(attempt->connection, SASL_CHANNEL_BINDING, &attempt->binding);
    if (status != SASL_OK) {
        log_error("Cyrus SASL makes no connection", log_str("error", sasl_errstring(status, NULL, NULL)));
        attempt->unavailable = true;
    }
    return attempt;
}

void sasl_attempt_free(struct sasl_attempt **attempt)
{
    struct sasl_attempt *a = *attempt;

    if (!a)
        return;
    *attempt = NULL;
    if (a->connection)
        sasl_dispose(&a->connection);
    arena_free(&a->arena);
    free(a);
}

static bool is_name(struct slice name)
{
    size_t blanks = 0;

    while (blanks < name.n && strchr(" \t\r\n\v\f", name.p[blanks]))
        blanks++;
    return blanks < name.n && name.n <= LOGIN_NAME_MAX;
}

/*
 * gs2-cbind-flag: who chose -PLUS binds, and by what there is (RFC 5802 section 6); libsasl does not insist, or late.
 */
static bool names_binding(struct slice message, const char *name)
{
    size_t n = strlen(name);

    return message.n > n + 3 && memcmp(message.p, "p=", 2) == 0 && memcmp(message.p + 2, name, n) == 0 &&
           message.p[2 + n] == ',';
}

/*
 * Names that libsasl's canonicalization refuses (blank or too long) do not reach it: the plugins PLAIN and LOGIN of
 * 2.1.28 then forget to free what the client sent, and a stranger could make us grow.  They are nobody's names anyway.
 */
static bool is_admissible(struct sasl_attempt *attempt, struct slice message)
{
    const char *name, *end = message.p + message.n, *password;

    if (attempt->names_next) {
        attempt->names_next = false;
        return is_name(message);
    }
    if (attempt->binds_next) {
        attempt->binds_next = false;
        if (!names_binding(message, attempt->client.binding->name))
            return false;
    }
    if (!attempt->is_plain)
        return message.n <= SCRAM_MAX_BYTES;
    if (message.n > MESSAGE_MAX_BYTES)
        return false;
    name = message.n ? memchr(message.p, '\0', message.n) : NULL;
    password = name ? memchr(name + 1, '\0', (size_t)(end - name - 1)) : NULL;
    return !password || (is_name(slice_of(name + 1, (size_t)(password - name - 1))) &&
                         (name == message.p || is_name(slice_of(message.p, (size_t)(name - message.p)))));
}

static enum sasl_result unavailable(const struct sasl_attempt *attempt)
{
    return attempt->banned ? SASL_RESULT_BANNED : SASL_RESULT_UNAVAILABLE;
}

/* It counts, whoever's the name is. */
static enum sasl_result denied(const struct sasl_attempt *attempt)
{
    guard_failed(attempt->login.client, attempt->name);
    return SASL_RESULT_DENIED;
}

static enum sasl_result conclude(struct sasl_attempt *attempt, struct arena *arena, int status, const char *out,
                                 unsigned length, struct slice *challenge)
{
    /* After a failure libsasl leaves `out` as it was, and what it points to may be freed (libscram does that). */
    *challenge = (status == SASL_CONTINUE || status == SASL_OK) && out && length
                     ? arena_slice(arena, slice_of(out, length))
                     : (struct slice){NULL, 0};
    if (attempt->unavailable)
        return unavailable(attempt);
    switch (status) {
    case SASL_CONTINUE:
        if (!challenge->p)
            *challenge = SLICE("");
        return SASL_RESULT_CHALLENGE;
    case SASL_OK: return attempt->login.known ? SASL_RESULT_OK : denied(attempt);
    case SASL_BADPROT: return SASL_RESULT_MALFORMED;
    case SASL_NOMECH: return SASL_RESULT_NO_MECHANISM;
    default: return denied(attempt);
    }
}

static bool ends_in_plus(struct slice mechanism)
{
    return mechanism.n > 5 && slice_equal_nocase(slice_skip(mechanism, mechanism.n - 5), SLICE("-PLUS"));
}

static AWAITS enum sasl_result step(struct sasl_attempt *attempt, struct slice message, struct slice *challenge)
{
    enum sasl_result result = attempt->step(attempt, message, challenge);

    return result == SASL_RESULT_DENIED && !attempt->refused ? denied(attempt) : result;
}

/* Is it one of ours?  Then attempt->step. */
static bool is_own(struct sasl_attempt *attempt, struct slice mechanism)
{
    attempt->xoauth2 = slice_equal_nocase(mechanism, SLICE("XOAUTH2"));
    if (slice_equal_nocase(mechanism, SLICE("EXTERNAL")))
        attempt->step = sasl_external_step;
    else if (attempt->xoauth2 || slice_equal_nocase(mechanism, SLICE("OAUTHBEARER")))
        attempt->step = sasl_oauth_step;
    return attempt->step != NULL;
}

enum sasl_result sasl_attempt_begin(struct sasl_attempt *attempt, struct arena *arena, struct slice mechanism,
                                    struct slice initial, struct slice *challenge)
{
    const char *out = NULL;
    unsigned length = 0;
    int status;

    *challenge = (struct slice){NULL, 0};
    if (!sasl_mechanism_offered(&attempt->client, mechanism))
        return SASL_RESULT_NO_MECHANISM;
    if (attempt->unavailable)
        return SASL_RESULT_UNAVAILABLE;
    if (guard_banned(attempt->login.client, (struct slice){NULL, 0}))
        return SASL_RESULT_BANNED;
    if (is_own(attempt, mechanism)) {
        if (initial.p)
            return step(attempt, initial, challenge);
        *challenge = SLICE("");
        return SASL_RESULT_CHALLENGE;
    }
    attempt->is_plain = slice_equal_nocase(mechanism, SLICE("PLAIN"));
    attempt->names_next = slice_equal_nocase(mechanism, SLICE("LOGIN"));
    attempt->sha1 = mechanism.n >= 11 && slice_equal_nocase(slice_of(mechanism.p, 11), SLICE("SCRAM-SHA-1"));
    attempt->binds_next = ends_in_plus(mechanism);
    if (initial.p && !is_admissible(attempt, initial))
        return denied(attempt);
    status = sasl_server_start(attempt->connection, arena_slicedup(arena, mechanism), initial.p, (unsigned)initial.n,
                               &out, &length);
    return conclude(attempt, arena, status, out, length, challenge);
}

enum sasl_result sasl_attempt_continue(struct sasl_attempt *attempt, struct arena *arena, struct slice response,
                                       struct slice *challenge)
{
    const char *out = NULL;
    unsigned length = 0;
    int status;

    *challenge = (struct slice){NULL, 0};
    if (attempt->step)
        return step(attempt, response, challenge);
    if (!is_admissible(attempt, response))
        return attempt->unavailable ? unavailable(attempt) : denied(attempt);
    status = sasl_server_step(attempt->connection, response.p ? response.p : "", (unsigned)response.n, &out, &length);
    return conclude(attempt, arena, status, out, length, challenge);
}

/* Secrets stay behind. */
static void copy_account(struct arena *arena, const struct directory_account *from, struct directory_account *out)
{
    *out = *from;
    out->address = arena_slice(arena, from->address);
    out->password_hash = out->scram_sha256 = out->scram_sha1 = (struct slice){NULL, 0};
}

void sasl_attempt_account(const struct sasl_attempt *attempt, struct arena *arena, struct directory_account *out)
{
    copy_account(arena, &attempt->login.account, out);
}

enum sasl_result sasl_password(const struct sasl_client *client, struct arena *arena, struct slice name,
                               struct slice password, struct directory_account *out)
{
    struct login login = {.arena = arena_new(SIZE_MAX), .service = client->service, .client = client->peer};
    enum login_answer answer = LOGIN_UNAVAILABLE;
    enum sasl_result result = SASL_RESULT_UNAVAILABLE;

    if (guard_banned(client->peer, name))
        result = SASL_RESULT_BANNED;
    else if (login_find(&login, name) == DB_FOUND)
        answer = login_check(&login, password);
    switch (answer) {
    case LOGIN_YES:
        copy_account(arena, &login.account, out);
        result = SASL_RESULT_OK;
        break;
    case LOGIN_NO:
        guard_failed(client->peer, name);
        result = SASL_RESULT_DENIED;
        break;
    case LOGIN_UNAVAILABLE: break;
    }
    arena_free(&login.arena);
    return result;
}
