#ifndef CORE_SECRET_RING_FILE_H
#define CORE_SECRET_RING_FILE_H
/* secret_ring_file: what core/secret_ring and its file say to each other; for these two only. */
#include "core/secret_ring.h"

#define SECRET_RING_LINE_SIZE 80
/* A new key as it stands in the file, below a line with its name.  The caller wipes it. */
bool secret_ring_line(char line[SECRET_RING_LINE_SIZE], char name[SECRET_RING_NAME_SIZE])
    __attribute__((warn_unused_result));

#endif
