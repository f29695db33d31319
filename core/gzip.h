#ifndef CORE_GZIP_H
#define CORE_GZIP_H
/* gzip: a file of RFC 1952.  The only place that sees zlib. */
#include "core/arena.h"
#include "core/slice.h"

/* In the arena. */
struct slice gzip_whole(struct arena *arena, struct slice content);

#endif
