#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H
/*
 * process: what a child does between fork and its loop, and what worker and admin process have in common.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "daemon/config.h"
#include "daemon/listen.h"

/* What the master hands to a child. */
struct process_plan {
    const struct config *config;
    const struct listeners *listeners;
    unsigned slot; /* in stats */
    pid_t master;
};

/* Child processes; they return their exit status when they have been told to end and have ended. */
int worker_run(const struct process_plan *plan);
int admin_run(const struct process_plan *plan);

enum process_order {
    PROCESS_DUMP,   /* SIGUSR1: log where tasks sleep */
    PROCESS_RETIRE, /* SIGUSR2: take nothing new, let sessions end by themselves */
    PROCESS_DRAIN,  /* SIGTERM: say good-bye and end within the drain limit */
};

/*
 * Loop, signals (fn is called on the loop), title in logs, stats slot.  The master's death is a SIGTERM.
 */
void process_begin(const struct process_plan *plan, void (*fn)(enum process_order order));
/* After everything that needs root.  Fatal when it does not work. */
void process_drop_privileges(const struct config *config);
/* Opens database and hints; starts offload threads. Returns before anything is connected. */
void process_open_storage(const struct config *config, unsigned read_connections, unsigned write_connections);

#endif
