/*
 * gzip: what is small enough to be in memory, compressed in one go.
 *
 * deflateBound() says how much room the worst case takes, so there is one call and no loop; 16 more window bits are
 * zlib's way to ask for gzip's header and trailer (without name and time: the same content gives the same file).
 *
 * It cannot fail but for lack of memory, which ends the process as everywhere.
 */
#include "core/gzip.h"

#include <stdlib.h>
#include <zlib.h>

#define WINDOW_BITS (15 + 16)
#define MEMORY_LEVEL 8

struct slice gzip_whole(struct arena *arena, struct slice content)
{
    z_stream stream = {0};
    size_t room;
    char *out;

    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    room = deflateBound(&stream, (uLong)content.n);
    out = arena_alloc(arena, room);
    stream.next_in = (z_const Bytef *)content.p;
    stream.avail_in = (uInt)content.n;
    stream.next_out = (Bytef *)out;
    stream.avail_out = (uInt)room;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
        abort();
    room = stream.total_out;
    deflateEnd(&stream);
    return slice_of(out, room);
}
