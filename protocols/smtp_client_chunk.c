/*
 * smtp_client_chunk: content by BDAT (RFC 3030 section 2), as one chunk.
 *
 *     C: BDAT 1034 LAST, and so many octets           S: 250 ...
 *
 * The size must be right before the first octet is sent, and what is sent may differ from what is stored
 * (smtp_client_body.c: a bare LF becomes CRLF, a last line gets its end).  So the content is read twice: to count, and
 * to send it.  What the first reading finds to be clean, which is all that we accept today, is then sent as it stands:
 * no dots, no copy of each byte. Counting is quick, but the loop's thread does it: it pauses after each STRIDE.
 *
 * One chunk, whatever the size: its last octet is to BDAT what the final dot is to DATA.  Without it nothing is taken;
 * the reply to it decides; a connection that goes between the two is the uncertain case.  may_finish() is asked just
 * before the last piece. Several chunks, with their replies on the way, were tried: a server that sends two small
 * replies waits for our acknowledgement of the first (RFC 896, 1122 4.2.3.2), 40 ms that nobody needs; and a server
 * that takes LAST after it has refused a chunk before (section 4.2 lets a client pipeline them) would have a message
 * with a hole.
 */
#include "protocols/smtp_client_chunk.h"

#include <stdlib.h>

#define STRIDE (1024 * 1024)

struct chunk {
    struct smtp_client *client;
    const struct smtp_client_message *message;
    struct smtp_client_body body;
    char *buffer, *encoded;
    size_t size; /* of the content */
    size_t left; /* of what was announced */
    bool clean;
};

/* False: the content cannot be read. */
static bool read_piece(struct chunk *c, size_t at, struct slice *piece)
{
    bool failed = false;

    *piece = smtp_client_content_at(c->message, at, c->buffer, &failed);
    if (!failed && (piece->n || at >= c->size))
        return true;
    c->client->trouble = "the message could not be read from the spool";
    return false;
}

static AWAITS bool measure(struct chunk *c)
{
    struct smtp_client_body_size count = {0};
    size_t since = 0;
    struct slice piece;

    for (size_t at = 0; at < c->size; at += piece.n) {
        if (!read_piece(c, at, &piece))
            return false;
        smtp_client_body_count(&count, piece);
        if ((since += piece.n) >= STRIDE) {
            task_sleep(0);
            since = 0;
        }
    }
    c->left = smtp_client_body_counted(&count, &c->clean);
    return true;
}

/* In the form in which it is sent. */
static struct slice dress(struct chunk *c, struct slice piece, bool last)
{
    size_t n;

    if (c->clean)
        return piece;
    n = smtp_client_body_encode(&c->body, piece, c->encoded);
    if (last)
        n += smtp_client_body_end(&c->body, c->encoded + n);
    return slice_of(c->encoded, n);
}

static AWAITS bool flush(struct smtp_client *client)
{
    enum stream_status flushed;

    if (stream_output_pending(client->stream) < STREAM_OUTPUT_HIGH)
        return true;
    flushed = stream_flush(client->stream, STREAM_OUTPUT_LOW, client->settings.reply_timeout_ms);
    if (flushed != STREAM_OK)
        client->trouble = stream_status_text(flushed);
    return flushed == STREAM_OK;
}

static AWAITS enum smtp_client_chunk write_content(struct chunk *c)
{
    const struct smtp_client_message *m = c->message;
    bool last = false;
    struct slice piece;

    stream_printf(c->client->stream, "BDAT %zu LAST\r\n", c->left);
    for (size_t at = 0; !last; at += piece.n) {
        if (!read_piece(c, at, &piece) || !flush(c->client))
            return SMTP_CLIENT_CHUNK_LOST;
        last = at + piece.n >= c->size;
        struct slice bytes = dress(c, piece, last);
        if (bytes.n > c->left || (last && bytes.n < c->left)) {
            c->client->trouble = "the message has changed its size";
            return SMTP_CLIENT_CHUNK_LOST;
        }
        if (last && m->may_finish && !m->may_finish(m->arg))
            return SMTP_CLIENT_CHUNK_HELD;
        stream_write(c->client->stream, bytes);
        c->left -= bytes.n;
    }
    return SMTP_CLIENT_CHUNK_SENT;
}

enum smtp_client_chunk smtp_client_chunk_send(struct smtp_client *client, const struct smtp_client_message *message)
{
    struct chunk c = {.client = client, .message = message, .body = {.chunked = true}};
    enum smtp_client_chunk result = SMTP_CLIENT_CHUNK_LOST;

    c.size = smtp_client_content_size(message);
    c.buffer = malloc(SMTP_CLIENT_PIECE + SMTP_CLIENT_ENCODED);
    if (!c.buffer)
        abort();
    c.encoded = c.buffer + SMTP_CLIENT_PIECE;
    if (measure(&c))
        result = write_content(&c);
    free(c.buffer);
    return result;
}
