#ifndef STORAGE_PROVISION_BREAKER_H
#define STORAGE_PROVISION_BREAKER_H
/* provision_breaker: accounts' breakers as administrators see and close them.  See provision.h, breaker.h. */
#include "storage/breaker.h"
#include "storage/provision.h"

struct provision_breaker {
    struct breaker_account account; /* its pattern; version 0: nothing of it was counted yet */
    bool open;                      /* then also: */
    struct breaker_trip trip;
    struct slice reason;
    int64_t opened_ms, until_ms; /* until_ms INT64_MIN: somebody closes it */
    enum hold_then then;
    int64_t told_ms; /* when its owner was; INT64_MIN: not yet */
};

/* NONE: there is no such account. */
AWAITS enum db_status provision_breaker_get(struct arena *arena, int64_t account_id, struct provision_breaker *out)
    __attribute__((warn_unused_result));
/* Those that are open; page->after is an account's id. */
AWAITS enum db_status provision_breaker_list(struct arena *arena, const struct provision_page *page,
                                             struct provision_breaker **out, unsigned *count)
    __attribute__((warn_unused_result));
/* learn: what it has sent is usual from now on.  GONE: it is not open. */
AWAITS enum db_write provision_breaker_close(struct arena *arena, int64_t account_id, bool learn,
                                             const struct provision_actor *actor, struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
