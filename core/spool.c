/*
 * spool: a message's bytes on their way.
 *
 * Memory first: one buffer that doubles up to SPOOL_MEMORY.  The append that would pass that writes everything to a
 * temporary file that has no name (O_TMPFILE, or mkostemp and unlink where the file system cannot), and from then on
 * appends go there through a small buffer.  Nothing is ever left behind by a crash.
 *
 * Reads of a file use pread(2): several readers share one spool.  Writing to the page cache may block when the disk is
 * overloaded; that is bounded by the kernel's own throttling and is accepted, as everything waits for that disk then.
 */
#include "core/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SPOOL_FIRST 4096
#define SPOOL_TAIL (64 * 1024)

struct spool {
    unsigned references;
    size_t size;    /* all bytes */
    size_t on_disk; /* of those, in the file; the rest is in buffer */
    size_t capacity;
    char *buffer;
    int fd;    /* -1: none yet */
    void *map; /* all of the file, or NULL */
    bool failed;
};

static const char *directory;

void spool_set_directory(const char *path)
{
    directory = path;
}

static const char *spool_directory(void)
{
    const char *tmp = getenv("TMPDIR");

    return directory ? directory : tmp && *tmp ? tmp : "/var/tmp";
}

struct spool *spool_new(void)
{
    struct spool *spool = calloc(1, sizeof *spool);

    if (!spool)
        abort();
    spool->references = 1;
    spool->fd = -1;
    return spool;
}

struct spool *spool_ref(struct spool *spool)
{
    spool->references++;
    return spool;
}

void spool_unref(struct spool **spool)
{
    struct spool *s = *spool;

    *spool = NULL;
    if (!s || --s->references)
        return;
    if (s->map)
        munmap(s->map, s->size);
    if (s->fd >= 0)
        close(s->fd);
    free(s->buffer);
    free(s);
}

static int temporary_file(void)
{
    char path[4096];
    int fd = open(spool_directory(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    if (snprintf(path, sizeof path, "%s/posthouse-XXXXXX", spool_directory()) >= (int)sizeof path)
        return -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t written = write(fd, p, n);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        p += written;
        n -= (size_t)written;
    }
    return true;
}

/* The buffer's bytes go to the file.  A write that failed may have written some of them: it is never tried again. */
static bool to_disk(struct spool *spool)
{
    size_t buffered = spool->size - spool->on_disk;

    if ((spool->fd < 0 && (spool->fd = temporary_file()) < 0) || !write_all(spool->fd, spool->buffer, buffered)) {
        spool->failed = true;
        return false;
    }
    spool->on_disk = spool->size;
    return true;
}

static void reserve(struct spool *spool, size_t need)
{
    size_t capacity = spool->capacity ? spool->capacity : SPOOL_FIRST;

    if (need <= spool->capacity)
        return;
    while (capacity < need)
        capacity *= 2;
    spool->buffer = realloc(spool->buffer, capacity);
    if (!spool->buffer)
        abort();
    spool->capacity = capacity;
}

bool spool_append(struct spool *spool, struct slice bytes)
{
    size_t most = spool->fd < 0 ? SPOOL_MEMORY : SPOOL_TAIL;

    if (spool->failed)
        return false;
    if (spool->size - spool->on_disk + bytes.n > most && !to_disk(spool))
        return false;
    if (spool->fd >= 0 && bytes.n > SPOOL_TAIL) { /* too long for the buffer: straight on */
        if (!write_all(spool->fd, bytes.p, bytes.n)) {
            spool->failed = true;
            return false;
        }
        spool->size += bytes.n;
        spool->on_disk = spool->size;
        return true;
    }
    if (!bytes.n)
        return true;
    reserve(spool, spool->size - spool->on_disk + bytes.n);
    memcpy(spool->buffer + (spool->size - spool->on_disk), bytes.p, bytes.n);
    spool->size += bytes.n;
    return true;
}

bool spool_failed(const struct spool *spool)
{
    return spool->failed;
}

size_t spool_size(const struct spool *spool)
{
    return spool->size;
}

bool spool_read(struct spool *spool, size_t offset, size_t n, char *buf, struct slice *out)
{
    ssize_t got;

    *out = slice_of(spool->buffer ? spool->buffer : "", 0);
    if (offset >= spool->size)
        return true;
    if (n > spool->size - offset)
        n = spool->size - offset;
    if (offset >= spool->on_disk) {
        *out = slice_of(spool->buffer + (offset - spool->on_disk), n);
        return true;
    }
    if (n > spool->on_disk - offset)
        n = spool->on_disk - offset; /* the rest with the next call */
    do
        got = pread(spool->fd, buf, n, (off_t)offset);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return false;
    *out = slice_of(buf, (size_t)got);
    return true;
}

bool spool_map(struct spool *spool, struct slice *out)
{
    if (spool->failed)
        return false;
    if (spool->fd < 0) {
        *out = slice_of(spool->buffer ? spool->buffer : "", spool->size);
        return true;
    }
    if (!spool->map) {
        void *map;

        if (spool->on_disk < spool->size && !to_disk(spool))
            return false;
        map = mmap(NULL, spool->size, PROT_READ, MAP_SHARED, spool->fd, 0);
        if (map == MAP_FAILED)
            return false;
        spool->map = map;
    }
    *out = slice_of(spool->map, spool->size);
    return true;
}
