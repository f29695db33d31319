/*
 * /v1/address-countries: which country an address is in; breakers go by it (/v1/breakers).
 *
 *   GET                the countries that have networks, and how many
 *   GET {country}      one of them; an address instead of a country: which one it is in
 *   PUT {country}      "networks": all of its networks, as lists of registries have them; 250,000 at most
 *   DELETE {country}
 *
 * A country is a code of ISO 3166-1, two letters; it is its own key, and next_cursor is the last of a page.  Where
 * networks lie in each other the longest counts.  While there are none no country is judged.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "core/cidr.h"
#include "storage/provision_country.h"

#define COUNTRY_MAX_BYTES 2
#define NETWORK_MAX_BYTES (CIDR_TEXT_SIZE - 1)

static struct json_object *as_json(const struct provision_country *country)
{
    struct json_object *object = json_object_new_object();
    json_put_text(object, "country", country->country);
    json_put_number(object, "networks", country->networks);
    return object;
}

/* Two letters, in capitals.  False: it is none. */
static bool read_country(struct request *r, struct slice *out)
{
    char *word = arena_slicedup(r->arena, r->key);
    *out = slice_str(word);
    if (out->n != COUNTRY_MAX_BYTES)
        return false;
    for (unsigned i = 0; i < COUNTRY_MAX_BYTES; i++) {
        if (word[i] >= 'a' && word[i] <= 'z')
            word[i] = (char)(word[i] - 'a' + 'A');
        if (word[i] < 'A' || word[i] > 'Z')
            return false;
    }
    return true;
}

AWAITS void address_countries_list(struct request *r)
{
    static const char *const parameters[] = {"cursor", "limit", NULL};
    struct provision_country *list = NULL;
    struct slice after;
    unsigned limit, count = 0;
    if (!request_query_check(r, parameters) || !request_page_by_text(r, COUNTRY_MAX_BYTES, &after, &limit))
        return;
    if (provision_country_list(r->arena, after, limit + 1, &list, &count) != DB_FOUND) {
        reply_away(r);
        return;
    }
    struct json_object *items = json_object_new_array();
    for (unsigned i = 0; i < count && i < limit; i++)
        json_object_array_add(items, as_json(&list[i]));
    reply_list_by_text(r, items, count > limit ? list[limit - 1].country : slice_of(NULL, 0));
}

/* False, and answered. */
static AWAITS bool get(struct request *r, struct slice word, struct provision_country *out)
{
    switch (provision_country_get(r->arena, word, out)) {
    case DB_FOUND: return true;
    case DB_NONE: reply_not_found(r); return false;
    case DB_FAILED: break;
    }
    reply_away(r);
    return false;
}

AWAITS void address_countries_show(struct request *r)
{
    struct provision_country country;
    char plain[INET6_ADDRSTRLEN];
    struct slice word;
    if (!read_country(r, &word)) {
        if (!cidr_plain_address(word.p, plain)) {
            reply_not_found(r);
            return;
        }
        switch (provision_country_of(r->arena, slice_str(plain), &word)) {
        case DB_FOUND: break;
        case DB_NONE: reply_not_found(r); return;
        case DB_FAILED: reply_away(r); return;
        }
    }
    if (get(r, word, &country))
        reply_json(r, 200, as_json(&country));
}

AWAITS void address_countries_replace(struct request *r)
{
    struct json_fields f;
    struct provision_refusal refusal;
    struct cidr block;
    struct slice word;
    unsigned count = 0;
    if (!json_begin(r, &f))
        return;
    if (!read_country(r, &word)) {
        reply_not_found(r);
        return;
    }
    if (!json_given(&f, "networks"))
        json_reject(&f, "networks", "is required");
    struct slice *networks = json_texts(&f, "networks", PROVISION_COUNTRY_NETWORKS_MAX, NETWORK_MAX_BYTES, &count);
    for (unsigned i = 0; i < count && !f.failed; i++)
        if (!cidr_parse(arena_slicedup(r->arena, networks[i]), &block))
            json_reject(&f, arena_printf(r->arena, "networks[%u]", i),
                        "must be a block of addresses with zero bits behind its length");
    if (!json_end(&f))
        return;
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_country_replace(r->arena, word, networks, count, &r->actor, &refusal),
                            &refusal))
        reply_empty(r, 204);
}

AWAITS void address_countries_delete(struct request *r)
{
    struct provision_refusal refusal;
    struct slice word;
    if (!read_country(r, &word)) {
        reply_not_found(r);
        return;
    }
    r->actor.status = 204;
    if (!reply_failed_write(r, provision_country_delete(r->arena, word, &r->actor, &refusal), &refusal))
        reply_empty(r, 204);
}
