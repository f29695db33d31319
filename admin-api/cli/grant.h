#ifndef ADMIN_API_CLI_GRANT_H
#define ADMIN_API_CLI_GRANT_H
/* grant: the options of `relay-grants create`, `relay-checks create` and `app-passwords create`. */
struct json_object;

/* Keeps an option until grant_put().  How many arguments it took: 0 (it is none of these, or has no value), 1 or 2. */
int grant_option(const char *option, const char *value);
void grant_put(struct json_object *body);
/* The text of an option that goes into the path instead, malloc'ed; NULL: not given. */
char *grant_take(const char *member);

#endif
