#ifndef ADMIN_API_CLI_RESOURCE_H
#define ADMIN_API_CLI_RESOURCE_H
/* resource: what can be named on the command line: its path, its verbs, its options, its columns. */
#include <stdbool.h>

enum verb {
    VERB_LIST,
    VERB_SHOW,
    VERB_CREATE,
    VERB_CHANGE,
    VERB_DELETE,
    VERB_REPLACE,
    VERB_FORGET,
    VERB_EVENTS,
    VERB_ATTEMPTS,
    VERB_HOLD,
    VERB_RELEASE,
    VERB_REJECT,
    VERB_EXPIRE,
    VERB_RETRY,
    VERB_CANCEL,
    VERB_REDIRECT,
    VERB_PRIORITY,
    VERB_START,
    VERB_STOP,
    VERB_TEST,
    VERB_FORCE,
    VERB_RESEAL, /* these are the last part of the path */
};

#define RESOURCE_SINGLE (1u << 31) /* there is one for each domain: NAME is the domain's */

struct resource {
    const char *name, *path; /* "%s": the account, or the domain */
    unsigned verbs;          /* bits, by verb; and RESOURCE_SINGLE */
    const char *key;         /* member that the NAME of `create` becomes */
    const char *filters[13]; /* options of `list` that become query parameters */
    const char *columns[10]; /* of the table */
};

/* NULL: there is none such. */
const struct resource *resource_find(const char *name);
/* False: no verb, or none of this resource. */
bool resource_verb(const struct resource *resource, const char *word, enum verb *verb);
bool resource_takes_name(const struct resource *resource, enum verb verb);
const char *resource_verb_name(enum verb verb);

#endif
