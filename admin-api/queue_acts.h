#ifndef ADMIN_API_QUEUE_ACTS_H
#define ADMIN_API_QUEUE_ACTS_H
/* queue_acts: what is to be done to queue entries, as a client says it; the same members for one entry and for many. */
#include "admin-api/json.h"
#include "storage/queue_act.h"

/* Reads the members that this kind has.  CANCEL with "bounce": true becomes REJECT. */
AWAITS void queue_acts_read(struct json_fields *f, enum queue_act_kind kind, struct queue_act *out);
/* The same of a body that has nothing else, and may be absent if the kind has no members.  False, and answered. */
AWAITS bool queue_acts_read_body(struct request *r, enum queue_act_kind kind, struct queue_act *out)
    __attribute__((warn_unused_result));

#endif
