#ifndef STORAGE_HINT_H
#define STORAGE_HINT_H
/*
 * hint: "look again at this mailbox" between sessions, workers and nodes.
 *
 * A hint may be lost, doubled or late; whoever waits also polls.  Published hints reach subscribers in this
 * process in the next loop turn and other processes by NOTIFY, gathered per turn and sent outside any durable
 * transaction with synchronous_commit=off (NOTIFY takes a global lock at commit).
 */
#include <stdbool.h>
#include <stdint.h>

void hint_init(void); /* after db_open() */

struct hint_watch; /* one subscription */
typedef void hint_fn(int64_t mailbox_id, void *arg);
struct hint_watch *hint_watch_mailbox(int64_t mailbox_id, hint_fn *fn, void *arg);
void hint_unwatch(struct hint_watch **watch);
void hint_mailbox_changed(int64_t mailbox_id);

/* Something became due in the queue (a release, a new entry that is not leased): runners claim. */
void hint_on_queue(void (*fn)(void *arg), void *arg);
void hint_queue_changed(void);

#endif
