/* imap_content: one message's bytes and structure; see the header. */
#include "protocols/imap_content.h"

#include "storage/body.h"

enum db_status imap_content_open(struct arena *arena, int64_t message_id, uint64_t size, struct imap_content *out)
{
    enum db_status status;

    *out = (struct imap_content){{NULL, 0}, NULL, NULL};
    if (size <= BODY_CHUNK)
        return body_read(arena, message_id, 0, &out->bytes);
    status = body_load(message_id, &out->spool);
    if (status == DB_FOUND && !spool_map(out->spool, &out->bytes)) {
        imap_content_close(out);
        return DB_FAILED;
    }
    return status;
}

enum db_status imap_content_of(struct arena *arena, struct slice packed, struct imap_content *out)
{
    *out = (struct imap_content){{NULL, 0}, NULL, NULL};
    if (!packed.p)
        return DB_NONE;
    out->bytes = body_unpack(arena, packed);
    return out->bytes.p ? DB_FOUND : DB_FAILED;
}

const struct mime_part *imap_content_root(struct arena *arena, struct imap_content *content)
{
    if (!content->root)
        content->root = mime_parse(arena, content->bytes);
    return content->root;
}

void imap_content_close(struct imap_content *content)
{
    spool_unref(&content->spool);
    *content = (struct imap_content){{NULL, 0}, NULL, NULL};
}
