/*
 * mime_author: who a message says it is from: the addresses in From and Sender (RFC 5322 3.6.2), for those who must not
 * let somebody write in another's name.
 *
 * All fields of these names count, though there should be one: readers differ in which they show.  Members of a group
 * count as well (RFC 6854).  What cannot be understood, or is too long to be looked at, is never passed over: the
 * caller is told that it is malformed.
 */
#include "protocols/mime_private.h"

#define AUTHOR_FIELD_MAX 16384

struct authors {
    struct arena *arena;
    const char *field;
    struct mime_author *list;
    unsigned count;
};

static bool add(struct authors *authors, InternetAddress *address)
{
    const char *addr = INTERNET_ADDRESS_IS_MAILBOX(address)
                           ? internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address))
                           : NULL;

    if (!addr || !*addr || authors->count == MIME_AUTHORS_MAX)
        return false;
    authors->list[authors->count++] =
        (struct mime_author){authors->field, slice_str(arena_strdup(authors->arena, addr))};
    return true;
}

static bool add_all(struct authors *authors, InternetAddressList *list)
{
    int count = internet_address_list_length(list);

    for (int i = 0; i < count; i++) {
        InternetAddress *address = internet_address_list_get_address(list, i);
        InternetAddressList *members = INTERNET_ADDRESS_IS_GROUP(address)
                                           ? internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address))
                                           : NULL;

        if (!members && !add(authors, address))
            return false;
        for (int j = 0; members && j < internet_address_list_length(members); j++)
            if (!add(authors, internet_address_list_get_address(members, j)))
                return false;
    }
    return count > 0;
}

static bool add_field(struct authors *authors, struct slice raw)
{
    const char *colon = memchr(raw.p, ':', raw.n);
    struct slice value = slice_skip(raw, (size_t)(colon + 1 - raw.p));
    InternetAddressList *list;
    bool understood;

    if (raw.n > AUTHOR_FIELD_MAX || mime_addresses_length(value) < value.n)
        return false;
    list = internet_address_list_parse(NULL, arena_slicedup(authors->arena, value));
    understood = list && add_all(authors, list);
    if (list)
        g_object_unref(list);
    return understood;
}

bool mime_authors(struct arena *arena, struct slice header, struct mime_author *out, unsigned *count)
{
    struct authors authors = {.arena = arena, .list = out};
    struct slice rest = header, name, raw;
    bool understood = true;

    mime_start();
    while (understood && mime_take_field(&rest, &name, &raw)) {
        authors.field = slice_equal_nocase(name, SLICE("From"))     ? "From"
                        : slice_equal_nocase(name, SLICE("Sender")) ? "Sender"
                                                                    : NULL;
        if (authors.field)
            understood = add_field(&authors, raw);
    }
    *count = authors.count;
    return understood;
}
