#ifndef DAEMON_DOORS_H
#define DAEMON_DOORS_H
/*
 * doors: a worker's listening sockets, and the dialogue that each connection gets.
 */
#include "daemon/listen.h"
#include "protocols/server.h"

/* Who may say where its clients come from (PROXY): networks as in the configuration.  Ends the process if they are none. */
void doors_believe(const char *networks);
/* Once; both live as long as the process.  Nothing is taken before doors_open(). */
void doors_make(const struct listeners *listeners, struct server_settings *settings);
void doors_open(void);
/* For good. */
void doors_close(void);

#endif
