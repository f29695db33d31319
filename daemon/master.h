#ifndef DAEMON_MASTER_H
#define DAEMON_MASTER_H
/*
 * master: binds, forks, restarts what crashes.  It runs no protocol and has no loop, no database, no TLS sessions:
 * the less it does, the less can bring it down.
 */
#include "daemon/config.h"

/* Runs until SIGTERM or SIGINT; the exit status of the program.  Takes the configuration. */
int master_run(struct config *config, const char *config_path);

#endif
