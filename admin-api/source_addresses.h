#ifndef ADMIN_API_SOURCE_ADDRESSES_H
#define ADMIN_API_SOURCE_ADDRESSES_H
/* source_addresses: the member of customers and routes that says from which of our addresses mail goes out. */
#include "admin-api/json.h"

/* {NULL,0}: not given; empty: none.  Words as storage/source_pool.h has them. */
struct slice source_addresses_read(struct json_fields *f);
void source_addresses_put(struct json_object *object, struct arena *arena, struct slice words);

#endif
