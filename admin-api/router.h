#ifndef ADMIN_API_ROUTER_H
#define ADMIN_API_ROUTER_H
/*
 * router: the table of what the API offers, who may ask, and which handler answers.
 *
 * openapi.json describes the same operations for clients; a test holds the two together.
 */
#include "admin-api/request.h"

enum router_access {
    ROUTER_OPEN,     /* anybody */
    ROUTER_LOOPBACK, /* anybody on this machine, others with a token */
    ROUTER_TOKEN,
};

typedef void router_fn(struct request *r);

struct router_route {
    const char *method;
    const char *path;      /* "{...}" stands for one segment; at most two */
    const char *operation; /* operationId in the OpenAPI document */
    enum router_access access;
    router_fn *handler;
};
const struct router_route *router_routes(unsigned *count);

/* Finds the route, checks the token, runs the handler: when this returns the request is answered. */
AWAITS void router_answer(struct request *r);

/* Pure.  Does the path fit?  keys: what stands for the braces, still encoded; {NULL,0}: there are none. */
bool router_match(const char *pattern, const char *path, struct slice keys[2]);

#endif
