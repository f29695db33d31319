#ifndef DAEMON_OUTAGES_RUN_H
#define DAEMON_OUTAGES_RUN_H
/*
 * outages_run: the open outages that this worker runs, and where each has come to.  For daemon/outages*.c only.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"

struct outages_run {
    struct outages_run *next;
    int64_t id, domain_id;
    char *name, *key;
    enum { AWAY, DRAINING } state;
    bool hastened;       /* since it is AWAY: what was put off by itself is due, */
    int64_t hastened_to; /* or as far as this entry */
    bool seen;           /* in the list of this tick */
    bool probing;        /* a task refers to it */
    uint64_t probe_at;
    int64_t probe_wanted_ms; /* the last wish that was heard */
    enum { AS_IT_IS, FORCED_UP, FORCED_DOWN } forced;
    uint64_t hold_at;    /* FORCED_DOWN: when to look whether it is still held back */
    int64_t fresh_from;  /* what came just now is looked for from here on */
    bool shown;          /* all that waited when it was taken on */
    unsigned answers;    /* DRAINING: of probes, in a row */
    uint64_t even_since; /* DRAINING: the drain has caught up; 0: it has not */
    int64_t back_ms;     /* DRAINING: when the primary answered; what was accepted before is drained to the end */
};

/*
 * Lists what is open in the cells of this worker: new ones begin, those that are not open, or not ours any more, lose
 * `seen`.  False: it could not be read, and nothing is changed but `seen`.
 */
AWAITS bool outages_runs_list(struct arena *arena);
struct outages_run *outages_runs_first(void);
struct outages_run *outages_run_find(int64_t domain_id); /* NULL: none is run */
/* Its destination is one like others.  Frees it: nobody probes. */
void outages_run_end(struct outages_run *run);

#endif
