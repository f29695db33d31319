#ifndef CORE_HTTP_H
#define CORE_HTTP_H
/*
 * http: asking another server by HTTP, in a task.  The only place, with the command line, that sees libcurl.
 *
 * https is verified, always.  Redirections are not followed, no proxy of the environment is asked, and what is asked
 * and answered is bounded in time and size.  Where a stranger says what is asked, may_connect judges each address at
 * the moment when it is connected to.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"

void http_init(void); /* after fork, after loop_init(); once is enough */

struct http_request {
    const char *url;   /* http or https */
    struct slice form; /* posted, as application/x-www-form-urlencoded; {NULL,0}: GET.  Must stay until the answer */
    struct slice body; /* the same, of another type; {NULL,0}: none */
    const char *body_type;       /* then: its media type */
    const char *user, *password; /* Basic (RFC 7617); NULL: none */
    const char *ca_file;         /* PEM; NULL: the system's authorities */
    const char *resolve;         /* "+HOST:PORT:ADDRESS,ADDRESS": where the url's host is; NULL: libcurl looks it up */
    const char *media_type;      /* of the answer, else it is none; NULL: any */
    const char *const *fields;   /* of the header, "name: value", NULL-terminated; NULL: no others */
    bool (*may_connect)(const struct sockaddr *address, void *arg); /* asked of each address; NULL: all */
    void *may_connect_arg;
    const char **failure; /* set: why there is no answer, a sentence that stays.  NULL: nobody asks */
    bool *untrusted;      /* set: was the server's certificate not right?  NULL: nobody asks */
    unsigned timeout_ms;  /* for all of it */
    size_t answer_max;
};

/* The body in the arena.  False: not asked, or no whole answer (logged). */
AWAITS bool http_fetch(struct arena *arena, const struct http_request *request, unsigned *status, struct slice *body)
    __attribute__((warn_unused_result));

/* Is it https://..., or http:// to this machine: fit for secrets? */
bool http_url_valid(const char *text);

/* Appends name=value, percent-encoded, to a form that has room for 3 bytes for each of the value's. */
void http_form_add(char *form, const char *name, struct slice value);

#endif
