/*
 * secret_ring: the keys of a file.
 *
 * A line is a key: 32 bytes in base64; empty lines and lines that begin with # are for people.  A key's name is made
 * of the key (the first 8 bytes of an HMAC with it of a fixed text), so nobody gives names, and two keys cannot have
 * one.
 *
 * A sealed secret is: the version 1 (one byte), the key's name (8 bytes), the box.  The box is bound to version and
 * name, and to what the caller says of it.
 *
 * Several nodes share one database, and a secret that one has sealed must open on all. So a key is renewed in two
 * steps: it is put at the end of every node's file, where it opens, and when all nodes have it, at the top, where it
 * seals.  That is why a new key is added at the end, and a new file's first key seals at once.
 *
 * Not done: keys from a hardware module or another service.  Whoever can read the process or the file can read the
 * secrets; what is protected is the database, its backups and its replicas.
 */
#include "core/secret_ring.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/secret.h"
#include "core/secret_box.h"
#include "core/secret_ring_file.h"

#define FORMAT 1
#define NAME 8
#define HEAD (1 + NAME)

struct key {
    unsigned char name[NAME], bytes[SECRET_BOX_KEY];
};

struct secret_ring {
    unsigned count;
    char first[SECRET_RING_NAME_SIZE];
    struct key keys[SECRET_RING_KEYS_MAX];
};

static void name_key(struct key *key)
{
    unsigned char digest[SECRET_SHA256_SIZE];

    secret_hmac_sha256(slice_of((const char *)key->bytes, sizeof key->bytes), SLICE("posthouse secret key name"),
                       digest);
    memcpy(key->name, digest, sizeof key->name);
}

static void print_name(const unsigned char name[NAME], char out[SECRET_RING_NAME_SIZE])
{
    for (unsigned i = 0; i < NAME; i++)
        snprintf(out + 2 * i, 3, "%02x", name[i]);
}

static const struct key *find(const struct secret_ring *ring, const unsigned char *name)
{
    for (unsigned i = 0; i < ring->count; i++)
        if (memcmp(ring->keys[i].name, name, NAME) == 0)
            return &ring->keys[i];
    return NULL;
}

/* -------- the file's text */

static bool take_key(struct secret_ring *ring, struct slice line, unsigned number, char *error, size_t error_size)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct key *key = &ring->keys[ring->count];
    const struct key *other;
    struct slice bytes = {NULL, 0};
    bool good = false;

    if (!secret_base64_decode(arena, line, &bytes) || bytes.n != sizeof key->bytes) {
        snprintf(error, error_size, "line %u is not a key: 32 bytes in base64", number);
    } else {
        memcpy(key->bytes, bytes.p, bytes.n);
        name_key(key);
        other = find(ring, key->name);
        good = !other;
        ring->count += good;
        if (other)
            snprintf(error, error_size, "line %u is the same key as one above", number);
    }
    secret_wipe((char *)bytes.p, bytes.n); /* also what is a byte short of a key */
    arena_free(&arena);
    return good;
}

static struct slice trim(struct slice line)
{
    while (line.n && strchr(" \t\r", line.p[line.n - 1]))
        line.n--;
    while (line.n && strchr(" \t", *line.p))
        line = slice_skip(line, 1);
    return line;
}

struct secret_ring *secret_ring_parse(struct slice text, char *error, size_t error_size)
{
    struct secret_ring *ring = calloc(1, sizeof *ring);
    unsigned number = 0;
    bool good = true;

    if (!ring)
        abort();
    while (good && text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        struct slice line = end ? slice_of(text.p, (size_t)(end - text.p)) : text;

        text = slice_skip(text, line.n + 1);
        number++;
        line = trim(line);
        if (!line.n || *line.p == '#')
            continue;
        good = ring->count < SECRET_RING_KEYS_MAX;
        if (!good)
            snprintf(error, error_size, "line %u: at most %d keys", number, SECRET_RING_KEYS_MAX);
        else
            good = take_key(ring, line, number, error, error_size);
    }
    if (good && !ring->count)
        snprintf(error, error_size, "there is no key in it");
    if (!good || !ring->count)
        secret_ring_free(&ring);
    else
        print_name(ring->keys[0].name, ring->first);
    return ring;
}

void secret_ring_free(struct secret_ring **ring)
{
    if (!*ring)
        return;
    secret_wipe(*ring, sizeof **ring);
    free(*ring);
    *ring = NULL;
}

unsigned secret_ring_count(const struct secret_ring *ring)
{
    return ring->count;
}

const char *secret_ring_name(const struct secret_ring *ring)
{
    return ring->first;
}

bool secret_ring_line(char line[SECRET_RING_LINE_SIZE], char name[SECRET_RING_NAME_SIZE])
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct key key;
    struct slice text;
    int n;

    secret_random(key.bytes, sizeof key.bytes);
    name_key(&key);
    print_name(key.name, name);
    text = secret_base64(arena, slice_of((const char *)key.bytes, sizeof key.bytes));
    n = snprintf(line, SECRET_RING_LINE_SIZE, "# %s\n%.*s\n", name, SLICE_ARG(text));
    secret_wipe((char *)text.p, text.n);
    secret_wipe(&key, sizeof key);
    arena_free(&arena);
    return n > 0 && n < SECRET_RING_LINE_SIZE;
}

/* -------- secrets */

/* What a box is bound to: its head, which has one length, and whose it is. */
static struct slice bound_of(struct arena *arena, const char *head, struct slice bound)
{
    char *all = arena_alloc(arena, HEAD + bound.n);

    memcpy(all, head, HEAD);
    if (bound.n)
        memcpy(all + HEAD, bound.p, bound.n);
    return slice_of(all, HEAD + bound.n);
}

struct slice secret_ring_seal(const struct secret_ring *ring, struct arena *arena, struct slice bound,
                              struct slice plain)
{
    const struct key *key = &ring->keys[0];
    char head[HEAD] = {FORMAT}, *sealed;
    struct slice box;

    memcpy(head + 1, key->name, NAME);
    box = secret_box_seal(arena, key->bytes, bound_of(arena, head, bound), plain);
    sealed = arena_alloc(arena, HEAD + box.n);
    memcpy(sealed, head, HEAD);
    memcpy(sealed + HEAD, box.p, box.n);
    return slice_of(sealed, HEAD + box.n);
}

enum secret_ring_answer secret_ring_open(const struct secret_ring *ring, struct arena *arena, struct slice bound,
                                         struct slice sealed, struct slice *plain)
{
    const struct key *key;

    if (sealed.n < HEAD || sealed.p[0] != FORMAT)
        return SECRET_RING_SPOILED;
    key = find(ring, (const unsigned char *)sealed.p + 1);
    if (!key)
        return SECRET_RING_NO_KEY;
    return secret_box_open(arena, key->bytes, bound_of(arena, sealed.p, bound), slice_skip(sealed, HEAD), plain)
               ? SECRET_RING_OPENED
               : SECRET_RING_SPOILED;
}

bool secret_ring_current(const struct secret_ring *ring, struct slice sealed)
{
    return sealed.n >= HEAD && sealed.p[0] == FORMAT && memcmp(sealed.p + 1, ring->keys[0].name, NAME) == 0;
}

void secret_ring_name_of(struct slice sealed, char name[SECRET_RING_NAME_SIZE])
{
    *name = '\0';
    if (sealed.n >= HEAD && sealed.p[0] == FORMAT)
        print_name((const unsigned char *)sealed.p + 1, name);
}
