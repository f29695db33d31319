/*
 * pid_file: the file that tells the master's process id.
 *
 * A reload may give it another name.  The new one is written before the one there was is removed, so that whoever
 * looks finds one of them, and a name that cannot be written refuses the reload while nothing has changed yet.
 * It is not a lock: two masters are told apart by their ports.
 */
#include "daemon/pid_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *written; /* NULL or "": none is */

static bool write_to(const char *path)
{
    FILE *file = fopen(path, "we");
    bool good;

    if (!file)
        return false;
    good = fprintf(file, "%ld\n", (long)getpid()) > 0;
    return fclose(file) == 0 && good;
}

/* By two names perhaps: /var/run is /run. */
static bool is_same_file(const char *a, const char *b)
{
    struct stat one, other;

    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

bool pid_file_move(const char *path, char *error, size_t error_size)
{
    if (written && strcmp(written, path) == 0)
        return true;
    if (*path && !write_to(path)) {
        snprintf(error, error_size, "cannot write %s: %s", path, strerror(errno));
        return false;
    }
    if (written && *written && !is_same_file(written, path))
        unlink(written);
    free(written);
    written = strdup(path);
    if (!written)
        abort();
    return true;
}

void pid_file_remove(void)
{
    if (written && *written)
        unlink(written);
}
