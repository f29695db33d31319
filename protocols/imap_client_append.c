/*
 * imap_client_append: APPEND of a message of any size (RFC 3501 6.3.11).
 *
 * The literal goes at once where the server takes that (LITERAL+, or LITERAL- up to 4096 bytes: RFC 7888), else after
 * its "+".  The content is read piece by piece, no more is read while STREAM_OUTPUT_HIGH bytes wait to be sent; a
 * server that takes nothing for reply_timeout is lost.
 *
 * A literal has its length in front, so a message is whole or it is not there: a content that cannot be read to its end
 * leaves nothing but to hang up.
 */
#include "core/clock.h"
#include "protocols/imap_client_internal.h"

#define SMALL_LITERAL 4096

static AWAITS bool send_content(struct imap_client *client, const struct imap_client_append *append)
{
    uint64_t at = 0;

    while (at < append->size) {
        uint64_t now = clock_steady_ms();
        struct slice piece;

        if (client->deadline && now >= client->deadline) {
            imap_client_lose(client, stream_status_text(STREAM_TIMED_OUT));
            return false;
        }
        if (!append->read(append->arg, at, &piece) || !piece.n) {
            imap_client_lose(client, "the message could not be read");
            return false;
        }
        if (piece.n > append->size - at)
            piece.n = append->size - at;
        stream_write(client->stream, piece);
        at += piece.n;
        enum stream_status status = stream_flush(client->stream, STREAM_OUTPUT_HIGH, client->settings.reply_timeout_ms);
        if (status != STREAM_OK) {
            imap_client_lose(client, stream_status_text(status));
            return false;
        }
    }
    return true;
}

enum imap_client_answer imap_client_append(struct imap_client *client, const struct imap_client_append *append,
                                           struct imap_client_uid *to)
{
    char date[CLOCK_IMAP_SIZE];
    bool at_once = imap_client_can(client, IMAP_CLIENT_LITERAL_PLUS) ||
                   (imap_client_can(client, IMAP_CLIENT_LITERAL_MINUS) && append->size <= SMALL_LITERAL);
    enum imap_client_answer answer;

    *to = (struct imap_client_uid){0};
    imap_client_begin(client);
    stream_write(client->stream, SLICE("APPEND "));
    if (!imap_client_quote(client, append->raw))
        return imap_client_lose(client, "a name that cannot be sent");
    stream_write(client->stream, SLICE(" "));
    imap_client_write_flags(client, append->flags, append->keywords, append->keyword_count);
    stream_printf(client->stream, " \"%s\" {%llu%s}\r\n", clock_imap(append->internal_ms, date),
                  (unsigned long long)append->size, at_once ? "+" : "");
    if (!at_once) {
        answer = imap_client_await_continue(client);
        if (answer != IMAP_CLIENT_OK)
            return answer;
    }
    if (!send_content(client, append))
        return IMAP_CLIENT_LOST;
    stream_write(client->stream, SLICE("\r\n"));
    answer = imap_client_await(client, NULL, NULL);
    if (answer == IMAP_CLIENT_OK)
        *to = client->code_uid;
    return answer;
}
