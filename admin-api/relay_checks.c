/*
 * /v1/relay-checks: what would happen to a message, without sending one.
 *
 * It asks relay/permit.c, as the SMTP server's MAIL and RCPT do, so the reply that it tells is the one that a client
 * would be given (a test holds the two together).  With an account it is a submission, without one it is port 25.
 *
 * What it cannot know: the server's own limits of a session (too many recipients, too many errors), and whether the
 * message itself is acceptable.  Addresses are those that MAIL and RCPT take (relay/smtp_address.h), without their
 * brackets; one that is not ASCII is taken as said with SMTPUTF8.  `at` asks as of which time grants hold; the rest of
 * the directory, and what was used, is that of now.
 */
#include <json-c/json.h>

#include "admin-api/admin.h"
#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "admin-api/relay_checks_client.h"
#include "admin-api/relay_checks_route.h"
#include "core/cidr.h"
#include "core/idn.h"
#include "relay/next_size.h"
#include "relay/null_mx.h"
#include "relay/permit.h"
#include "relay/smtp_address.h"
#include "relay/srs_way.h"
#include "storage/certificate.h"
#include "storage/held_account.h"
#include "storage/known.h"
#include "storage/provision_account.h"

#define ACCOUNT_MAX_BYTES 254
#define ADDRESS_MAX_BYTES 2000   /* a command line holds no more */
#define FINGERPRINT_MAX_BYTES 95 /* with colons */

static struct {
    uint64_t message_size_max;
    unsigned dns_wait_ms;
    bool refuse_null_mx_senders, default_route, address_literals;
    const char *hostname;
} server;

void relay_checks_configure(const struct admin_settings *settings)
{
    server.dns_wait_ms = settings->dns_wait_ms;
    server.message_size_max = settings->message_size_max;
    server.refuse_null_mx_senders = settings->refuse_null_mx_senders;
    server.address_literals = settings->address_literals;
    server.hostname = settings->hostname;
    server.default_route = settings->default_route_host || settings->default_route_name;
}

/* ------------------------------------------------------------------ where it would go */

/* Where each goes.  False: could not be asked. */
static AWAITS bool targets_json(struct request *r, struct permit *permit, const struct authorize_decision *decision,
                                const struct permit_recipient *recipient, struct json_object **out)
{
    *out = json_object_new_array();
    for (unsigned i = 0; i < recipient->target_count; i++) {
        const struct resolve_target *target = &recipient->targets[i];
        struct json_object *route = NULL, *object;
        struct slice forwarder = {"", 0};

        if ((srs_way_forwards(target) && !srs_way_domain(r->arena, permit, recipient, &forwarder)) ||
            !relay_checks_route(r, permit, decision, recipient, target, &route)) {
            json_object_put(*out);
            return false;
        }
        object = json_object_new_object();
        json_put_text(object, "address", target->address);
        json_put_text(object, "verdict", slice_str(authorize_verdict_word(target->verdict)));
        json_object_object_add(object, "route", route);
        json_put_text(object, "srs_domain", forwarder.n ? forwarder : slice_of(NULL, 0));
        json_object_array_add(*out, object);
    }
    return true;
}

/* ------------------------------------------------------------------ the answer */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return b && b < a ? b : a;
}

static uint64_t left(uint64_t permitted, uint64_t used)
{
    return permitted > used ? permitted - used : 0;
}

/* The least that is left of a message's limit and those of a minute, an hour and a day; null: there is none. */
static void put_left(struct json_object *object, const char *name, uint64_t of_message, const uint64_t *limits,
                     const uint64_t *used)
{
    uint64_t least = of_message ? of_message : UINT64_MAX;

    for (unsigned i = 0; i < DIRECTORY_SPANS; i++)
        if (limits[i] && left(limits[i], used[i]) < least)
            least = left(limits[i], used[i]);
    if (least == UINT64_MAX)
        json_object_object_add(object, name, NULL);
    else
        json_put_number(object, name, (int64_t)least);
}

/* How much more would be taken; null: not limited by a grant. */
static struct json_object *headroom_json(const struct permit *permit, const struct directory_grant *grant,
                                         uint64_t most)
{
    struct json_object *object = json_object_new_object();
    static const uint64_t none[DIRECTORY_SPANS];
    uint64_t size_max = smaller(smaller(server.message_size_max, grant ? grant->size_max : 0), most);

    if (grant && grant->limits.bytes_day && left(grant->limits.bytes_day, grant->used.bytes_day) < size_max)
        size_max = left(grant->limits.bytes_day, grant->used.bytes_day);
    json_put_number(object, "size", (int64_t)left(size_max, permit->size));
    put_left(object, "recipients", grant ? grant->recipients_max : 0, grant ? grant->limits.recipients : none,
             grant ? grant->used.recipients : none);
    put_left(object, "messages", 0, grant ? grant->limits.messages : none, grant ? grant->used.messages : none);
    return object;
}

/* stranger NULL: nothing was asked about the client. */
static AWAITS void answer(struct request *r, struct permit *permit, const struct permit_recipient *recipient,
                          const char *command, const struct authorize_decision *decision,
                          const struct screen_report *stranger)
{
    struct json_object *targets = NULL, *route = NULL;

    if (!targets_json(r, permit, decision, recipient, &targets)) {
        reply_away(r);
        return;
    }
    if (recipient->target_count == 1) /* the usual case has its route at hand */
        json_object_object_get_ex(json_object_array_get_idx(targets, 0), "route", &route);
    struct json_object *object = json_object_new_object(), *reply = json_object_new_object();
    struct held_account held;
    bool of_account = permit->account && recipient->target_count &&
                      held_account_find(r->arena, permit->account->id, &held); /* smtp_policy.c: all of it, untold */
    json_put_text(object, "verdict",
                  decision->held || of_account ? SLICE("held") : slice_str(authorize_verdict_word(decision->verdict)));
    json_put_text(object, "why",
                  slice_str(of_account ? hold_by_word(held_account_hold(&held, 0).by) : decision->reason));
    json_put_id(object, "grant", decision->grant ? decision->grant->id : 0);
    json_put_text(object, "limit", slice_str(decision->limit));
    json_object_object_add(object, "route", json_object_get(route));
    json_object_object_add(object, "targets", targets);
    json_object_object_add(object, "headroom", headroom_json(permit, decision->grant, recipient->size_most));
    json_object_object_add(object, "stranger", stranger ? relay_checks_client_json(stranger) : NULL);
    json_put_text(object, "command", slice_str(command));
    json_put_number(reply, "code", decision->code);
    json_put_text(reply, "enhanced", slice_str(decision->enhanced));
    json_put_text(reply, "text", idn_escape(r->arena, slice_str(decision->text))); /* as smtp_reply() has it */
    json_object_object_add(object, "reply", reply);
    reply_json(r, 200, object);
}

/* As smtp_command_rcpt.c asks: the recipient, the client, the recipient's primary, both domains' MX, the next hop's SIZE. */
static AWAITS void check_recipient(struct request *r, struct permit *permit, struct permit_recipient *recipient,
                                   bool client_given)
{
    struct authorize_decision decision;
    struct screen_report report;
    bool stranger;

    if (!permit_recipient(r->arena, permit, recipient, &decision)) {
        reply_away(r);
        return;
    }
    stranger = client_given && permit->role == AUTHORIZE_MX && recipient->target_count;
    switch (stranger ? relay_checks_client(r, permit, recipient, server.dns_wait_ms, &report, &decision)
                     : SCREEN_PASSED) {
    case SCREEN_FAILED: reply_away(r); return;
    case SCREEN_REFUSED: recipient->target_count = 0; break;
    case SCREEN_PASSED: permit_primary(r->arena, permit, recipient, &decision); break;
    }
    if (recipient->target_count &&
        ((client_given && server.refuse_null_mx_senders &&
          null_mx_refuses_sender(r->arena, permit, recipient, server.dns_wait_ms, &decision)) ||
         null_mx_refuses_recipient(r->arena, permit, recipient, server.default_route, server.dns_wait_ms, &decision)))
        recipient->target_count = 0;
    if (recipient->target_count && !next_size_ask(r->arena, permit, recipient, &decision, server.default_route)) {
        reply_away(r);
        return;
    }
    if (recipient->target_count &&
        next_size_refuses(r->arena, recipient->address, permit->size, recipient->size_most, &decision))
        recipient->target_count = 0;
    answer(r, permit, recipient, "RCPT", &decision, stranger ? &report : NULL);
}

static AWAITS void check(struct request *r, struct permit *permit, struct permit_recipient *recipient,
                         bool client_given)
{
    struct authorize_decision decision;

    if (known_refresh() == DB_FAILED || !permit_sender(r->arena, permit, &decision))
        reply_away(r);
    else if (decision.verdict != AUTHORIZE_ALLOWED)
        answer(r, permit, recipient, "MAIL", &decision, NULL);
    else
        check_recipient(r, permit, recipient, client_given);
}

/* The account as sign-in would give it.  False, and answered. */
static AWAITS bool find_account(struct request *r, struct slice key, struct directory_account *out)
{
    struct provision_account account;
    enum db_status status = provision_account_get(r->arena, key, &account);

    if (status == DB_FOUND)
        status = directory_account(r->arena, account.address, out);
    switch (status) {
    case DB_FOUND: return true;
    case DB_NONE: reply_problem(r, 422, "account", "there is no such account"); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

/* "<>" is the null sender. */
static struct smtp_path read_sender(struct json_fields *f)
{
    struct slice given = json_text(f, "sender", true, ADDRESS_MAX_BYTES);
    struct smtp_path path = {.address = {"", 0}, .domain = {"", 0}};

    if (given.p && !slice_equal(given, SLICE("<>")) && !smtp_is_mailbox(f->r->arena, given, &path))
        json_reject(f, "sender", "must be an address, local@domain, or <> for the null sender");
    return path;
}

/* "Postmaster" without a domain is ours (RFC 5321 4.5.1), as at RCPT. */
static void read_recipient(struct json_fields *f, struct permit_recipient *recipient)
{
    struct slice given = json_text(f, "recipient", true, ADDRESS_MAX_BYTES);
    struct smtp_path path = {.address = {"", 0}, .domain = {"", 0}};

    recipient->ours = given.p && slice_equal_nocase(given, SLICE("Postmaster"));
    if (recipient->ours) {
        path.domain = slice_str(server.hostname);
        path.address = slice_str(arena_printf(f->r->arena, "postmaster@%s", server.hostname));
    } else if (given.p && !smtp_is_mailbox(f->r->arena, given, &path)) {
        json_reject(f, "recipient", "must be an address, local@domain, or Postmaster");
    }
    recipient->address = path.address;
    recipient->domain = path.domain;
    recipient->literal = path.literal;
}

AWAITS void relay_checks_create(struct request *r)
{
    struct json_fields f;
    char plain[INET6_ADDRSTRLEN];
    struct permit permit = {
        .arena = r->arena, .size_max = server.message_size_max, .literals = server.address_literals};
    struct permit_recipient recipient = {.before = 0};
    struct directory_account account;

    if (!json_begin(r, &f))
        return;
    struct slice client = json_text(&f, "client", false, INET6_ADDRSTRLEN);
    if (client.p && !cidr_plain_address(arena_slicedup(r->arena, client), plain))
        json_reject(&f, "client", "must be an IPv4 or IPv6 address");
    struct slice certificate = json_text(&f, "certificate", false, FINGERPRINT_MAX_BYTES);
    if (certificate.p && !certificate_fingerprint(r->arena, certificate, &permit.certificate))
        json_reject(&f, "certificate",
                    "must be a certificate's SHA-256, 64 hexadecimal digits, with or without colons");
    struct slice key = json_text(&f, "account", false, ACCOUNT_MAX_BYTES);
    struct smtp_path sender = read_sender(&f);
    read_recipient(&f, &recipient);
    permit.size = (uint64_t)json_number(&f, "size", 0, INT64_MAX, 0);
    permit.tls = json_flag(&f, "tls", true);
    if (permit.certificate.n && !permit.tls)
        json_reject(&f, "certificate", "is shown over TLS only");
    permit.at_ms = json_time(&f, "at", INT64_MIN);
    if (!json_end(&f))
        return;

    permit.peer = client.p ? arena_slicedup(r->arena, client) : "0.0.0.0"; /* the unspecified address: in no network */
    permit.sender = sender.address;
    permit.sender_domain = sender.domain;
    permit.role = key.p ? AUTHORIZE_SUBMISSION : AUTHORIZE_MX;
    if (key.p) {
        if (!find_account(r, key, &account))
            return;
        permit.account = &account;
    }
    check(r, &permit, &recipient, client.p != NULL);
}
