#ifndef DAEMON_PID_FILE_H
#define DAEMON_PID_FILE_H
/*
 * pid_file: the file that tells the master's process id.  There is at most one; only the master touches it.
 */
#include <stdbool.h>
#include <stddef.h>

/*
 * Writes it there (path "": nowhere) and removes the one there was.  False, with the reason: it cannot be written, and
 * the one there was stays.  Nothing is done when the path is the same as before.
 */
bool pid_file_move(const char *path, char *error, size_t error_size);
void pid_file_remove(void);

#endif
