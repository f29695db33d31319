/*
 * source_addresses: a list of addresses, without an order: each connection takes another one of them.
 *
 * Whether one is this machine's is not asked: there may be other nodes, and the address may come up later.
 */
#include "admin-api/source_addresses.h"

#include <arpa/inet.h>
#include <json-c/json.h>
#include <string.h>

#include "core/cidr.h"
#include "storage/source_pool.h"

#define MEMBER "source_addresses"

/* One spelling for each. */
static bool canonical(const char *given, char out[INET6_ADDRSTRLEN])
{
    unsigned char bytes[sizeof(struct in6_addr)];
    char plain[INET6_ADDRSTRLEN];
    int family;

    if (!cidr_plain_address(given, plain))
        return false;
    family = strchr(plain, ':') ? AF_INET6 : AF_INET;
    return inet_pton(family, plain, bytes) == 1 && inet_ntop(family, bytes, out, INET6_ADDRSTRLEN);
}

struct slice source_addresses_read(struct json_fields *f)
{
    unsigned count = 0;
    const char *words = "";
    struct slice *given;

    if (!json_given(f, MEMBER))
        return slice_of(NULL, 0);
    given = json_texts(f, MEMBER, SOURCE_POOL_MAX, INET6_ADDRSTRLEN - 1, &count);
    for (unsigned i = 0; i < count && !f->failed; i++) {
        char plain[INET6_ADDRSTRLEN];

        if (!canonical(arena_slicedup(f->r->arena, given[i]), plain) || strcmp(plain, "0.0.0.0") == 0 ||
            strcmp(plain, "::") == 0) {
            json_reject(f, MEMBER, "must be a list of IPv4 and IPv6 addresses");
            break;
        }
        words = arena_printf(f->r->arena, "%s%s%s", words, *words ? " " : "", plain);
    }
    return slice_str(words);
}

void source_addresses_put(struct json_object *object, struct arena *arena, struct slice words)
{
    struct json_object *list = json_object_new_array();
    char *rest = arena_slicedup(arena, words);

    for (char *word; words.n && (word = strsep(&rest, " "));)
        json_object_array_add(list, json_object_new_string(word));
    json_object_object_add(object, MEMBER, list);
}
