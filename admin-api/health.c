/*
 * /healthz and /readyz.
 *
 * Alive means that this process answers.  Ready means that mail is being taken care of: the database
 * answers, this process has its number, and at least one worker of the installation holds its lease.
 */
#include <json-c/json.h>

#include "admin-api/handlers.h"
#include "admin-api/json.h"
#include "storage/node.h"

AWAITS void health_live(struct request *r)
{
    struct json_object *object = json_object_new_object();
    json_put_text(object, "status", SLICE("alive"));
    reply_json(r, 200, object);
}

static void not_ready(struct request *r, const char *why)
{
    reply_problem(r, 503, NULL, "%s", why);
    r->reply.retry_after_s = 1;
}

AWAITS void health_ready(struct request *r)
{
    unsigned workers = 0;
    if (node_count(&workers) != DB_FOUND) {
        not_ready(r, "the database is away");
        return;
    }
    if (!node_alive() || workers == 0) {
        not_ready(r, workers == 0 ? "no worker is registered" : "this process is not registered");
        return;
    }
    struct json_object *object = json_object_new_object();
    json_put_text(object, "status", SLICE("ready"));
    json_put_number(object, "workers", workers);
    reply_json(r, 200, object);
}
