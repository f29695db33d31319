#ifndef CORE_OFFLOAD_H
#define CORE_OFFLOAD_H
/*
 * offload: run something slow and pure (crypt_r, PBKDF2) on a small thread pool while the task sleeps.
 *
 * The function runs on another thread: it may touch nothing but its argument, must not log, wait or
 * allocate from an arena.  Bounded: more requests than threads queue in order.
 */
#include "core/task.h"

void offload_init(unsigned threads); /* after fork; fatal when threads cannot be made */
void offload_done(void);             /* runs what is queued to its end and wakes its tasks; waits for that */
AWAITS void offload_run(void (*fn)(void *arg), void *arg);

#endif
