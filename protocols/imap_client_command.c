/*
 * imap_client_command: what is asked of mailboxes and of the messages in one.
 *
 * Names go out as they came in (modified UTF-7, quoted), so that a server that spells a name in its own way gets it
 * back.  UIDs only: sequence numbers move under us.
 *
 * MOVE (RFC 6851) where it is offered.  Else COPY, \Deleted, and UID EXPUNGE of that one message (RFC 4315); a server
 * without UIDPLUS keeps it with \Deleted, as EXPUNGE would take away what its user has marked himself.
 *
 * A search for a Message-ID finds what contains it (RFC 3501 6.4.4); the caller compares sizes.
 */
#include <stdio.h>
#include <string.h>

#include "protocols/imap_client_internal.h"
#include "protocols/imap_parse.h"
#include "storage/mailbox.h"

#define FETCH_AT_ONCE 50 /* UIDs in one command: a line that every server takes */

static AWAITS enum imap_client_answer with_mailbox(struct imap_client *client, const char *verb, struct slice raw,
                                                   imap_client_data_fn *data)
{
    imap_client_begin(client);
    stream_printf(client->stream, "%s ", verb);
    if (!imap_client_quote(client, raw)) {
        stream_write(client->stream, SLICE("\"\"\r\n")); /* the command must end; it is refused */
        (void)!imap_client_await(client, NULL, NULL);
        return client->broken ? IMAP_CLIENT_LOST : imap_client_refuse(client, "a name that cannot be sent");
    }
    stream_write(client->stream, SLICE("\r\n"));
    return imap_client_await(client, data, NULL);
}

/* ------------------------------------------------------------------ mailboxes */

struct listing {
    struct arena *arena;
    struct imap_client_mailboxes *out;
    unsigned room;
    bool namespace_known;
};

static void on_list(struct imap_client *client, const struct imap_client_response *response, void *arg)
{
    struct listing *l = arg;
    struct imap_client_mailbox found;
    struct slice rest;

    (void)client;
    if (response->status != IMAP_CLIENT_DATA)
        return;
    rest = arena_slice(l->arena, response->rest);
    if (slice_equal_nocase(response->name, SLICE("NAMESPACE"))) {
        l->namespace_known = imap_client_namespace_read(l->arena, rest, &l->out->prefix, &l->out->separator);
        return;
    }
    if (!slice_equal_nocase(response->name, SLICE("LIST")) || l->out->count == IMAP_CLIENT_MAILBOXES_MAX ||
        !imap_client_list_read(l->arena, rest, &found))
        return;
    if (l->out->count == l->room) {
        struct imap_client_mailbox *more = arena_array(l->arena, 2 * (size_t)l->room + 16, sizeof *more);

        if (l->out->count)
            memcpy(more, l->out->list, l->out->count * sizeof *more);
        l->out->list = more;
        l->room = 2 * l->room + 16;
    }
    l->out->list[l->out->count++] = found;
    if (!l->namespace_known && !l->out->separator)
        l->out->separator = found.separator;
}

enum imap_client_answer imap_client_list(struct imap_client *client, struct arena *arena,
                                         struct imap_client_mailboxes *out)
{
    struct listing listing = {.arena = arena, .out = out};

    *out = (struct imap_client_mailboxes){.prefix = SLICE("")};
    if (imap_client_can(client, IMAP_CLIENT_NAMESPACE)) {
        imap_client_begin(client);
        stream_printf(client->stream, "NAMESPACE\r\n");
        if (imap_client_await(client, on_list, &listing) == IMAP_CLIENT_LOST)
            return IMAP_CLIENT_LOST;
    }
    imap_client_begin(client);
    stream_printf(client->stream, "LIST \"\" \"*\"%s\r\n",
                  imap_client_can(client, IMAP_CLIENT_SPECIAL_USE) && imap_client_can(client, IMAP_CLIENT_LIST_EXTENDED)
                      ? " RETURN (SPECIAL-USE)"
                      : "");
    return imap_client_await(client, on_list, &listing);
}

static void on_select(struct imap_client *client, const struct imap_client_response *response, void *arg)
{
    (void)arg;
    if (response->status == IMAP_CLIENT_SAYS_OK && slice_equal_nocase(response->code, SLICE("UIDVALIDITY")))
        client->validity = imap_client_validity_of(response->arguments);
}

enum imap_client_answer imap_client_select(struct imap_client *client, struct slice raw, bool read_only)
{
    client->validity = 0;
    return with_mailbox(client, read_only ? "EXAMINE" : "SELECT", raw, on_select);
}

uint32_t imap_client_validity(const struct imap_client *client)
{
    return client->validity;
}

enum imap_client_answer imap_client_create(struct imap_client *client, struct slice raw)
{
    enum imap_client_answer answer = with_mailbox(client, "CREATE", raw, NULL);

    if (answer != IMAP_CLIENT_OK)
        return answer;
    return with_mailbox(client, "SUBSCRIBE", raw, NULL) == IMAP_CLIENT_LOST ? IMAP_CLIENT_LOST : IMAP_CLIENT_OK;
}

/* ------------------------------------------------------------------ searching */

struct search {
    uint32_t *uids;
    unsigned max, count;
};

static void on_search(struct imap_client *client, const struct imap_client_response *response, void *arg)
{
    struct search *s = arg;

    (void)client;
    if (response->status == IMAP_CLIENT_DATA && slice_equal_nocase(response->name, SLICE("SEARCH")))
        imap_client_search_read(response->rest, s->uids, &s->count, s->max);
}

enum imap_client_answer imap_client_search_id(struct imap_client *client, struct slice message_id, uint32_t first,
                                              uint32_t last, uint32_t *uids, unsigned max, unsigned *count)
{
    struct search search = {uids, max, 0};
    enum imap_client_answer answer;

    *count = 0;
    imap_client_begin(client);
    stream_printf(client->stream, "UID SEARCH ");
    if (first)
        stream_printf(client->stream, "UID %u:%u ", first, last);
    stream_printf(client->stream, "HEADER Message-ID ");
    if (!imap_client_quote(client, message_id)) {
        stream_write(client->stream, SLICE("\"\" UNDELETED DELETED\r\n")); /* finds nothing */
        (void)!imap_client_await(client, NULL, NULL);
        return client->broken ? IMAP_CLIENT_LOST : imap_client_refuse(client, "a Message-ID that cannot be asked for");
    }
    stream_write(client->stream, SLICE("\r\n"));
    answer = imap_client_await(client, on_search, &search);
    *count = search.count;
    return answer;
}

static void write_uids(struct imap_client *client, const uint32_t *uids, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        stream_printf(client->stream, "%s%u", i ? "," : "", uids[i]);
}

enum imap_client_answer imap_client_search_trace(struct imap_client *client, struct slice text, const uint32_t *among,
                                                 unsigned among_count, uint32_t *uids, unsigned max, unsigned *count)
{
    struct search search = {uids, max, 0};
    enum imap_client_answer answer = IMAP_CLIENT_OK;

    for (unsigned at = 0; at < among_count && answer == IMAP_CLIENT_OK; at += FETCH_AT_ONCE) {
        imap_client_begin(client);
        stream_printf(client->stream, "UID SEARCH UID ");
        write_uids(client, among + at, among_count - at < FETCH_AT_ONCE ? among_count - at : FETCH_AT_ONCE);
        stream_printf(client->stream, " HEADER Received \"%.*s\"\r\n", SLICE_ARG(text));
        answer = imap_client_await(client, on_search, &search);
    }
    *count = search.count;
    return answer;
}

enum imap_client_answer imap_client_search_size(struct imap_client *client, uint64_t size, uint32_t *uids, unsigned max,
                                                unsigned *count)
{
    struct search search = {uids, max, 0};
    enum imap_client_answer answer;

    *count = 0;
    imap_client_begin(client);
    stream_printf(client->stream, "UID SEARCH LARGER %llu SMALLER %llu\r\n", (unsigned long long)(size ? size - 1 : 0),
                  (unsigned long long)size + 1);
    answer = imap_client_await(client, on_search, &search);
    *count = search.count;
    return answer;
}

struct fetch {
    struct imap_client_item *out;
    unsigned count, max;
};

static void on_fetch(struct imap_client *client, const struct imap_client_response *response, void *arg)
{
    struct fetch *f = arg;
    struct imap_client_item item;

    (void)client;
    if (response->status == IMAP_CLIENT_DATA && slice_equal_nocase(response->name, SLICE("FETCH")) &&
        f->count < f->max && imap_client_fetch_read(response->rest, &item) && item.uid && item.size)
        f->out[f->count++] = item;
}

enum imap_client_answer imap_client_fetch(struct imap_client *client, const uint32_t *uids, unsigned count,
                                          struct imap_client_item *out, unsigned *found)
{
    struct fetch fetch = {.out = out};
    enum imap_client_answer answer = IMAP_CLIENT_OK;

    *found = 0;
    for (unsigned at = 0; at < count && answer == IMAP_CLIENT_OK; at += FETCH_AT_ONCE) {
        unsigned end = at + FETCH_AT_ONCE < count ? at + FETCH_AT_ONCE : count;

        imap_client_begin(client);
        stream_printf(client->stream, "UID FETCH ");
        write_uids(client, uids + at, end - at);
        stream_printf(client->stream, " (UID RFC822.SIZE FLAGS)\r\n");
        fetch.max = end;
        answer = imap_client_await(client, on_fetch, &fetch);
    }
    *found = fetch.count;
    return answer;
}

/* ------------------------------------------------------------------ changing */

static bool is_keyword(struct slice word)
{
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] <= ' ' || word.p[i] > '~' || strchr("(){%*\"\\]", word.p[i]))
            return false;
    return word.n;
}

void imap_client_write_flags(struct imap_client *client, unsigned flags, const struct slice *keywords, unsigned count)
{
    static const char *const names[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};
    const char *before = "";

    stream_write(client->stream, SLICE("("));
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & 1u << i) {
            stream_printf(client->stream, "%s%s", before, names[i]);
            before = " ";
        }
    for (unsigned i = 0; i < count; i++)
        if (is_keyword(keywords[i])) {
            stream_printf(client->stream, "%s%.*s", before, SLICE_ARG(keywords[i]));
            before = " ";
        }
    stream_write(client->stream, SLICE(")"));
}

enum imap_client_answer imap_client_store(struct imap_client *client, uint32_t uid, unsigned flags,
                                          const struct slice *keywords, unsigned keyword_count)
{
    imap_client_begin(client);
    stream_printf(client->stream, "UID STORE %u +FLAGS.SILENT ", uid);
    imap_client_write_flags(client, flags, keywords, keyword_count);
    stream_write(client->stream, SLICE("\r\n"));
    return imap_client_await(client, NULL, NULL);
}

static AWAITS enum imap_client_answer transfer(struct imap_client *client, const char *verb, uint32_t uid,
                                               struct slice raw, struct imap_client_uid *to)
{
    char command[40];
    enum imap_client_answer answer;

    client->code_uid = *to = (struct imap_client_uid){0};
    snprintf(command, sizeof command, "UID %s %u", verb, uid);
    answer = with_mailbox(client, command, raw, NULL);
    if (answer == IMAP_CLIENT_OK)
        *to = client->code_uid;
    return answer;
}

enum imap_client_answer imap_client_copy(struct imap_client *client, uint32_t uid, struct slice raw,
                                         struct imap_client_uid *to)
{
    return transfer(client, "COPY", uid, raw, to);
}

enum imap_client_answer imap_client_move(struct imap_client *client, uint32_t uid, struct slice raw,
                                         struct imap_client_uid *to)
{
    enum imap_client_answer answer;

    if (imap_client_can(client, IMAP_CLIENT_MOVE))
        return transfer(client, "MOVE", uid, raw, to);
    answer = transfer(client, "COPY", uid, raw, to);
    if (answer == IMAP_CLIENT_OK)
        answer = imap_client_store(client, uid, MAILBOX_DELETED, NULL, 0);
    if (answer != IMAP_CLIENT_OK || !imap_client_can(client, IMAP_CLIENT_UIDPLUS))
        return answer;
    imap_client_begin(client);
    stream_printf(client->stream, "UID EXPUNGE %u\r\n", uid);
    return imap_client_await(client, NULL, NULL);
}
