/*
 * scopes: the member of that name, which app passwords and certificates have in common.
 *
 * What a scope means is decided where somebody signs in (protocols/login.c).
 */
#include "admin-api/scopes.h"

#include <json-c/json.h>

struct json_object *scopes_json(const struct slice *list, unsigned count)
{
    struct json_object *array = json_object_new_array();
    for (unsigned i = 0; i < count; i++)
        json_object_array_add(array, json_object_new_string_len(list[i].p, (int)list[i].n));
    return array;
}

struct slice *scopes_read(struct json_fields *fields, unsigned *count)
{
    static struct slice all[] = {SLICE("smtp"), SLICE("imap"), SLICE("pop3")};
    enum { ALL = sizeof all / sizeof *all };
    *count = ALL;
    if (!json_given(fields, "scopes"))
        return all;
    struct slice *list = json_texts(fields, "scopes", ALL, 8, count);
    if (*count == 0)
        json_reject(fields, "scopes", "must name at least one of smtp, imap, pop3");
    for (unsigned i = 0; i < *count; i++) {
        bool known = false, twice = false;
        for (unsigned j = 0; j < ALL; j++)
            known |= slice_equal(list[i], all[j]);
        for (unsigned j = 0; j < i; j++)
            twice |= slice_equal(list[i], list[j]);
        if (!known || twice)
            json_reject(fields, arena_printf(fields->r->arena, "scopes[%u]", i),
                        "must be one of smtp, imap, pop3, and not twice");
    }
    return list;
}
