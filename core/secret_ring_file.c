/*
 * secret_ring_file: reading the file of keys, and adding one to it.
 *
 * A file that its group or others may read is refused, not complained of: a key that has been shown is no key.  Who
 * the owner is does not matter: only he and root can read it then, and that we could read it says that we are one of
 * them.
 *
 * A key that is lost makes secrets unreadable for ever, so a file is never written in place: FILE.new is made beside
 * it, is on disk before it takes the file's name, and the folder is on disk before the key is told of.  FILE.new must
 * not exist: two who add a key at once do not undo each other's.  A file whose keys cannot be read is not added to.
 */
#include "core/secret_ring_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/secret.h"

#define FILE_SIZE 16384 /* much room for remarks */

struct text {
    size_t n;
    bool there; /* the file exists */
    struct stat status;
    char bytes[FILE_SIZE + SECRET_RING_LINE_SIZE + 1];
};

static bool complain(char *error, size_t error_size, const char *file, const char *what)
{
    snprintf(error, error_size, "%s %s", file, what);
    return false;
}

static bool complain_errno(char *error, size_t error_size, const char *file, const char *what)
{
    snprintf(error, error_size, "%s %s: %s", file, what, strerror(errno));
    return false;
}

/* All of it or nothing; a pipe is opened without waiting for whoever writes to it, and then refused. */
static bool read_open(int fd, const char *file, struct text *text, char *error, size_t error_size)
{
    if (fstat(fd, &text->status) != 0)
        return complain_errno(error, error_size, file, "cannot be read");
    if (!S_ISREG(text->status.st_mode))
        return complain(error, error_size, file, "is not a file");
    if (text->status.st_mode & (S_IRWXG | S_IRWXO)) {
        snprintf(error, error_size, "%s may be used by others than its owner (mode %04o): chmod 600 it", file,
                 (unsigned)text->status.st_mode & 07777);
        return false;
    }
    while (text->n <= FILE_SIZE) {
        ssize_t n = read(fd, text->bytes + text->n, FILE_SIZE + 1 - text->n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return complain_errno(error, error_size, file, "cannot be read");
        if (n == 0)
            return true;
        text->n += (size_t)n;
    }
    return complain(error, error_size, file, "is too long for a file of keys");
}

/* True also if there is no such file; text->there says so. */
static bool read_text(const char *file, struct text *text, char *error, size_t error_size)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool good;

    text->n = 0;
    text->there = fd >= 0 || errno != ENOENT;
    if (fd < 0)
        return text->there ? complain_errno(error, error_size, file, "cannot be read") : true;
    good = read_open(fd, file, text, error, error_size);
    close(fd);
    return good;
}

static struct secret_ring *ring_of(const char *file, const struct text *text, char *error, size_t error_size)
{
    char why[200];
    struct secret_ring *ring = secret_ring_parse(slice_of(text->bytes, text->n), why, sizeof why);

    if (!ring)
        snprintf(error, error_size, "%s: %s", file, why);
    return ring;
}

struct secret_ring *secret_ring_load(const char *file, char *error, size_t error_size)
{
    struct secret_ring *ring = NULL;
    struct text text;

    if (read_text(file, &text, error, error_size)) {
        if (text.there)
            ring = ring_of(file, &text, error, error_size);
        else
            complain(error, error_size, file, "does not exist");
    }
    secret_wipe(&text, sizeof text);
    return ring;
}

/* -------- adding a key */

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* Its owner stays who he was: root may add a key to a file of the user that the daemon runs as. */
static bool write_text(int fd, const struct text *text)
{
    return (!text->there || (text->status.st_uid == geteuid() && text->status.st_gid == getegid()) ||
            fchown(fd, text->status.st_uid, text->status.st_gid) == 0) &&
           write_all(fd, text->bytes, text->n) && fsync(fd) == 0;
}

static bool sync_folder(const char *file)
{
    char path[PATH_MAX];
    int fd;
    bool good;

    snprintf(path, sizeof path, "%s", file);
    fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

static bool replace(const char *file, const struct text *text, char *error, size_t error_size)
{
    char fresh[PATH_MAX];
    int fd;
    bool good;

    if (snprintf(fresh, sizeof fresh, "%s.new", file) >= (int)sizeof fresh)
        return complain(error, error_size, file, "is too long a name");
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return complain_errno(error, error_size, fresh, "cannot be made");
    good = write_text(fd, text);
    good = (close(fd) == 0) && good;
    good = good && rename(fresh, file) == 0;
    if (!good) {
        complain_errno(error, error_size, fresh, "cannot be written");
        unlink(fresh);
        return false;
    }
    return sync_folder(file) || complain_errno(error, error_size, file, "has the key, but may not be on disk");
}

static bool may_add(const char *file, const struct text *text, char *error, size_t error_size)
{
    struct stat link;
    struct secret_ring *ring;
    bool room;

    if (lstat(file, &link) == 0 && S_ISLNK(link.st_mode))
        return complain(error, error_size, file, "is a link: name the file itself");
    if (!text->there)
        return true;
    ring = ring_of(file, text, error, error_size);
    if (!ring)
        return false;
    room = secret_ring_count(ring) < SECRET_RING_KEYS_MAX;
    secret_ring_free(&ring);
    return room || complain(error, error_size, file, "has as many keys as it may have; remove the oldest");
}

bool secret_ring_add(const char *file, char name[SECRET_RING_NAME_SIZE], char *error, size_t error_size)
{
    char line[SECRET_RING_LINE_SIZE];
    struct text text;
    bool good = read_text(file, &text, error, error_size) && may_add(file, &text, error, error_size);

    if (good && !secret_ring_line(line, name))
        good = complain(error, error_size, file, "has no room for a key");
    if (good) {
        size_t n = strlen(line);

        if (text.n && text.bytes[text.n - 1] != '\n')
            text.bytes[text.n++] = '\n';
        memcpy(text.bytes + text.n, line, n);
        text.n += n;
        good = text.n <= FILE_SIZE ? replace(file, &text, error, error_size)
                                   : complain(error, error_size, file, "is too long for a file of keys");
    }
    secret_wipe(line, sizeof line);
    secret_wipe(&text, sizeof text);
    return good;
}
