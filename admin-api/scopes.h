#ifndef ADMIN_API_SCOPES_H
#define ADMIN_API_SCOPES_H
/* scopes: what an app password or a certificate may sign in to. */
#include "admin-api/json.h"

/* The member "scopes": smtp, imap, pop3, none twice, at least one.  Not given: all of them. */
struct slice *scopes_read(struct json_fields *fields, unsigned *count);
/* A list of words. */
struct json_object *scopes_json(const struct slice *list, unsigned count);

#endif
