#ifndef ADMIN_API_CLI_CLIENT_H
#define ADMIN_API_CLI_CLIENT_H
/* client: one request to the REST API at a time, by libcurl.  For the program `posthouse` only. */
#include <stddef.h>

struct json_object;

/* url: "http://127.0.0.1:2080", without a final slash.  Both must stay. */
void client_init(const char *url, const char *token);
void client_done(void);

/*
 * The status, and in *answer the JSON that came with it (NULL: none; the caller puts it).  0: the API could not
 * be reached, error tells why.  path begins with "/v1/"; body may be NULL.
 */
long client_request(const char *method, const char *path, struct json_object *body, struct json_object **answer,
                    char *error, size_t error_size);
/* Percent-encoded for a path or a query; malloc'ed. */
char *client_escape(const char *text);

#endif
