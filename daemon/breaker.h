#ifndef DAEMON_BREAKER_H
#define DAEMON_BREAKER_H
/* breaker: the tasks behind accounts whose sending leaves its pattern.  After runner_init(). */
void breaker_init(void);

#endif
