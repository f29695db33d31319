/*
 * /v1/breakers: whether what an account sends is held because its sending has left its own pattern, and that pattern.
 *
 *   GET             those that are open
 *   GET {account}   any account's, open or closed: what it sends in an hour, what is usual, and its limits
 *   PATCH           {"state": "closed"}: what it sends from now on goes; "learn": what it has sent is usual from now on
 *
 *   GET {account}/groups   what is held of it, by what is alike; "group" of the queue's filters is such a one
 *
 * Closing releases nothing: what is held is decided about by /v1/queue-actions.  Opening is not for administrators:
 * they have /v1/held-accounts, where an open breaker is shown, too.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/clock.h"
#include "core/id.h"
#include "relay/breaker.h"
#include "storage/known.h"
#include "storage/provision_breaker.h"
#include "storage/similar.h"

static void put_numbers(struct json_object *object, const char *name, const uint32_t numbers[BREAKER_HOURLY])
{
    struct json_object *told = json_object_new_object();
    for (unsigned m = 0; m < BREAKER_HOURLY; m++)
        json_put_number(told, breaker_measure_word((enum breaker_measure)m), numbers[m]);
    json_object_object_add(object, name, told);
}

/* What it is at now, in an hour, and how much of it would still be its own. */
static void put_pattern(struct json_object *object, const struct breaker_account *account)
{
    const struct breaker_policy *policy =
        breaker_policy_of(account->customer_id, account->domain_id, account->account_id);
    struct breaker_pattern pattern = account->pattern;
    uint32_t values[BREAKER_HOURLY], limits[BREAKER_HOURLY];
    int64_t now_ms = clock_now_ms();
    breaker_advance(&pattern, now_ms);
    for (unsigned m = 0; m < BREAKER_HOURLY; m++) {
        values[m] = breaker_value(&pattern, (enum breaker_measure)m, now_ms);
        limits[m] = policy ? breaker_limit(&pattern, policy, (enum breaker_measure)m) : 0;
    }
    put_numbers(object, "last_hour", values);
    put_numbers(object, "usual_hour", pattern.usual);
    if (policy)
        put_numbers(object, "limits", limits);
    else
        json_object_object_add(object, "limits", NULL);
    json_put_number(object, "new_countries", account->countries);
    json_put_number(object, "days", pattern.days);
    json_put_id(object, "policy", policy ? policy->id : 0);
}

static struct json_object *as_json(const void *item)
{
    const struct provision_breaker *breaker = item;
    struct json_object *object = json_object_new_object();
    json_put_id(object, "account", breaker->account.account_id);
    json_put_text(object, "address", breaker->account.address);
    json_put_text(object, "state", breaker->open ? SLICE("open") : SLICE("closed"));
    json_put_text(object, "measure", slice_str(breaker->open ? breaker_measure_word(breaker->trip.measure) : NULL));
    if (breaker->open) {
        json_put_number(object, "value", breaker->trip.value);
        json_put_number(object, "limit", breaker->trip.limit);
    } else {
        json_object_object_add(object, "value", NULL);
        json_object_object_add(object, "limit", NULL);
    }
    json_put_text(object, "reason", breaker->open ? breaker->reason : slice_of(NULL, 0));
    json_put_text(object, "then", slice_str(breaker->open ? hold_then_word(breaker->then) : NULL));
    json_put_time(object, "opened_at", breaker->open ? breaker->opened_ms : INT64_MIN);
    json_put_time(object, "until", breaker->open ? breaker->until_ms : INT64_MIN);
    json_put_time(object, "told_at", breaker->open ? breaker->told_ms : INT64_MIN);
    put_pattern(object, &breaker->account);
    return object;
}

static const struct reply_shape shape = {sizeof(struct provision_breaker),
                                         offsetof(struct provision_breaker, account.account_id), as_json};

/* False, and answered.  Policies are those of now. */
static AWAITS bool get(struct request *r, int64_t account_id, struct provision_breaker *out)
{
    return reply_found(r, known_refresh() == DB_FAILED ? DB_FAILED : provision_breaker_get(r->arena, account_id, out));
}

AWAITS void breakers_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct provision_breaker *list = NULL;
    unsigned count = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page))
        return;
    page.limit++; /* one more tells whether there is another page */
    enum db_status status =
        known_refresh() == DB_FAILED ? DB_FAILED : provision_breaker_list(r->arena, &page, &list, &count);
    reply_page(r, status, &page, list, count, &shape);
}

AWAITS void breakers_show(struct request *r)
{
    struct provision_breaker breaker;
    int64_t account_id = 0;
    if (accounts_of_path(r, &account_id) && get(r, account_id, &breaker))
        reply_json(r, 200, as_json(&breaker));
}

AWAITS void breakers_change(struct request *r)
{
    static const char *const words[] = {"closed", NULL};
    struct json_fields f;
    struct provision_breaker breaker;
    struct provision_refusal refusal;
    int64_t account_id = 0;
    if (!json_begin(r, &f) || !accounts_of_path(r, &account_id))
        return;
    if (!json_choice(&f, "state", words).p)
        json_reject(&f, "state", "must be given: closed");
    bool learn = json_flag(&f, "learn", false);
    if (!json_end(&f))
        return;
    r->actor.status = 200;
    if (!reply_failed_write(r, provision_breaker_close(r->arena, account_id, learn, &r->actor, &refusal), &refusal) &&
        get(r, account_id, &breaker))
        reply_json(r, 200, as_json(&breaker));
}

/* ------------------------------------------------------------------ groups */

static struct json_object *group_json(const struct similar_group *group)
{
    struct json_object *object = json_object_new_object();
    json_put_id(object, "id", group->id);
    json_put_text(object, "subject", group->subject);
    json_put_id(object, "message", group->message_id);
    json_put_number(object, "messages", group->messages);
    json_put_number(object, "recipients", group->recipients);
    json_put_time(object, "first_at", group->first_ms);
    json_put_time(object, "last_at", group->last_ms);
    return object;
}

AWAITS void breakers_groups(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_page page;
    struct similar_group *list = NULL;
    unsigned count = 0;
    int64_t account_id = 0;
    if (!request_query_check(r, parameters) || !request_page(r, &page) || !accounts_of_path(r, &account_id))
        return;
    unsigned limit = page.limit++;
    if (similar_list(r->arena, account_id, &page, &list, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < limit; i++)
        json_object_array_add(items, group_json(&list[i]));
    reply_list(r, items, count > limit ? list[limit - 1].id : 0);
}
