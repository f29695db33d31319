#ifndef DAEMON_RUNNER_REPORT_H
#define DAEMON_RUNNER_REPORT_H
/*
 * runner_report: what goes back to the database: outcomes, releases.
 *
 * Nothing here waits for it: outcomes are gathered, and repeated until they are recorded.
 */
#include "daemon/runner_memory.h"
#include "storage/queue.h"

struct smtp_client;

/* The entry's last station in memory.  reply is copied. */
void runner_finish(struct runner_entry *entry, enum queue_outcome outcome, struct slice reply, int64_t due_ms);
/* Gives an untried entry back to the database. */
void runner_release(struct runner_entry *entry);
void runner_release_id(int64_t entry_id);
bool runner_reports_empty(void);
AWAITS void runner_report_for_ever(void *arg);

/* runner_put_off.c.  DEFERRED or UNCERTAIN: after the recipient's own back-off. */
void runner_put_off(enum queue_outcome outcome, struct runner_entry *entry, struct slice reply);
/* It was being sent when the connection went.  The first time it keeps its place. */
void runner_put_off_cut(struct runner_entry *entry, struct slice reply);

/* ------------------------------------------------------------------ runner_learn.c: what it tells of recipients */

/* The other side of this connection took mail for the entry's recipient, or said that there is none such. */
void runner_learn(const struct smtp_client *client, const struct runner_entry *entry, bool valid);
AWAITS void runner_learn_for_ever(void *arg);

#endif
