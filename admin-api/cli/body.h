#ifndef ADMIN_API_CLI_BODY_H
#define ADMIN_API_CLI_BODY_H
/* body: what is sent with a request, from the options. */
struct json_object;
struct resource;

/* All are the caller's to put. */
struct json_object *body_creation(const struct resource *resource, const char *name);
struct json_object *body_alteration(void);
/* Of what is done to a queue entry. */
struct json_object *body_action(void);
/* The lines of the standard input, as addresses. */
struct json_object *body_lines(const struct resource *resource);

#endif
