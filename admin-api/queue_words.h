#ifndef ADMIN_API_QUEUE_WORDS_H
#define ADMIN_API_QUEUE_WORDS_H
/* queue_words: which queue entries are meant, as a client says it; the same words in a query and in a body. */
#include "admin-api/request.h"
#include "storage/queue_filter.h"

struct queue_words {
    /* {NULL,0}: not given */
    struct slice domain, sender, customer, state, held_by, quarantined, message, account, group, destination,
        older_than, newer_than;
};

/* False, and answered: one of them is none. */
AWAITS bool queue_words_read(struct request *r, const struct queue_words *words, struct queue_filter *out)
    __attribute__((warn_unused_result));

/* A key of a destination as entries have it, of one written in another way: "MX:Example.COM", a name in letters. */
struct slice queue_words_destination(struct arena *arena, struct slice given);

/* Seconds ago, or a time (RFC 3339).  False: neither. */
bool queue_words_age(struct slice word, int64_t *ms);

#endif
