#ifndef DAEMON_HELD_FOLDERS_H
#define DAEMON_HELD_FOLDERS_H
/* held_folders: keeps the folders Held and Quarantine of the accounts in this worker's cells. */
#include "core/task.h"

AWAITS void held_folders_for_ever(void *unused);

#endif
