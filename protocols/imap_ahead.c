/*
 * imap_ahead: the bodies of the messages that come next, read together.
 *
 * A question to the database takes longer than what it answers: FETCH 1:* ENVELOPE of 5,000 short messages spent most of
 * its time in asking 5,000 times.  So the next few are asked for at once, twice as many each time that all of them were
 * wanted, and few again when they were not: SEARCH UNSEEN FROM "x" wants some of a mailbox, and a client that reads
 * slowly should not have much lie here for it.  Long messages are not read ahead.
 *
 * What was read ahead and is expunged by another session before its turn is still given: the client has not been told yet
 * that it is gone, and a message never changes.
 */
#include "protocols/imap_ahead.h"

#include "storage/body.h"

#define FIRST 4
#define MOST 64
#define BYTES (128 * 1024) /* of the messages before they were packed */

/* Asks for the one at `at` and as many more as now seem right. */
static AWAITS enum db_status fill(struct imap_ahead *ahead, const struct imap_selected *s, const uint32_t *indexes,
                                  uint32_t at, uint32_t count)
{
    unsigned wanted = !ahead->arena || ahead->given < ahead->count ? FIRST : ahead->count * 2;
    uint64_t bytes = 0;

    if (!ahead->arena)
        ahead->arena = arena_new(SIZE_MAX);
    arena_reset(ahead->arena);
    ahead->ids = arena_array(ahead->arena, MOST, sizeof *ahead->ids);
    ahead->packed = arena_array(ahead->arena, MOST, sizeof *ahead->packed);
    ahead->count = ahead->next = ahead->given = 0;
    for (; at < count && ahead->count < wanted && ahead->count < MOST; at++) {
        const struct imap_item *item = &s->items[indexes ? indexes[at] : at];

        if (item->size > BODY_CHUNK || (ahead->count && bytes + item->size > BYTES))
            break;
        bytes += item->size;
        ahead->ids[ahead->count++] = item->message_id;
    }
    return body_read_first(ahead->arena, ahead->ids, ahead->count, ahead->packed);
}

enum db_status imap_ahead_open(struct arena *arena, struct imap_ahead *ahead, const struct imap_selected *s,
                               const uint32_t *indexes, uint32_t at, uint32_t count, struct imap_content *out)
{
    const struct imap_item *item = &s->items[indexes ? indexes[at] : at];
    unsigned next = ahead->next;

    if (item->size > BODY_CHUNK)
        return imap_content_open(arena, item->message_id, item->size, out);
    while (next < ahead->count && ahead->ids[next] != item->message_id)
        next++;
    if (next == ahead->count) {
        if (fill(ahead, s, indexes, at, count) != DB_FOUND) {
            imap_ahead_drop(ahead);
            return DB_FAILED;
        }
        next = 0;
    }
    ahead->next = next + 1;
    ahead->given++;
    return imap_content_of(arena, ahead->packed[next], out);
}

void imap_ahead_drop(struct imap_ahead *ahead)
{
    arena_free(&ahead->arena);
    *ahead = (struct imap_ahead){0};
}
