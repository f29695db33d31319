/*
 * sent_copy: what is sent in an outage is in Sent, once.
 *
 * Many mail programs file what they send themselves, before or after they send it; others leave it to the server.  So
 * whoever comes first, the submission or the APPEND, files it and leaves a row with the digest of its Message-ID, in
 * the transaction that files it; who comes second finds the row and files nothing.  The primary key decides when both
 * come at once: the later transaction is REFUSED, asks again, and finds.
 *
 * A copy that its owner has deleted or moved is not there any more: then an APPEND files another one, and a submission,
 * which was filed once already, does not.
 *
 * The row also says what is to be brought to the primary's Sent after the outage: submitted, and which item it is.
 * Maintenance removes it after 30 days.  Rejected: to look for the Message-ID in the mailbox, whose items' headers are
 * in no column, and where two who look at the same time both find nothing.
 */
#include "storage/sent_copy.h"

#include "storage/accept.h"
#include "storage/db.h"

static const struct db_statement find = {
    "sent_copy_find",
    "select b.id, s.cell is not null, t.id, i.uid, t.uidvalidity from (select 1) one"
    "  left join lateral (select id from mailbox where cell = $1::smallint and account_id = $2::bigint"
    "                        and special_use = '\\Sent' order by id limit 1) b on true"
    "  left join sent_copy s on s.cell = $1::smallint and s.account_id = $2::bigint and s.digest = $3::bytea"
    "  left join mailbox_message i on i.cell = s.cell and i.message_id = s.message_id and i.mailbox_id = s.mailbox_id"
    "  left join mailbox t on t.cell = i.cell and t.id = i.mailbox_id"
    " order by i.uid limit 1"};

#define ROWS                                                                                                           \
    "unnest($1::smallint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::boolean[])"
#define COLUMNS "(cell, account_id, digest, message_id, mailbox_id, outage_id, submitted)"

static const struct db_statement insert = {
    "sent_copy_insert",
    "insert into sent_copy (cell, account_id, digest, message_id, mailbox_id, outage_id, submitted, filed_by)"
    " select u.*, case when u.submitted then 'relay' else 'client' end from " ROWS " u " COLUMNS};
static const struct db_statement replace = {
    "sent_copy_replace",
    "update sent_copy s set message_id = u.message_id, mailbox_id = u.mailbox_id, outage_id = u.outage_id,"
    "       submitted = s.submitted or u.submitted, filed_by = case when u.submitted then 'relay' else 'client' end"
    "  from " ROWS " u " COLUMNS " where s.cell = u.cell and s.account_id = u.account_id and s.digest = u.digest"};
static const struct db_statement is_sent = {
    "sent_copy_is_sent",
    "update sent_copy s set submitted = true from " ROWS " u " COLUMNS
    " where s.cell = u.cell and s.account_id = u.account_id and s.digest = u.digest and not s.submitted"};

AWAITS enum db_status sent_copy_find(struct arena *arena, struct slice message_id, struct sent_copy *copy,
                                     struct sent_copy_found *found)
{
    struct params params;
    struct rows *rows = NULL;

    *found = (struct sent_copy_found){0};
    secret_sha256(message_id, copy->digest);
    params_init(&params, arena);
    params_int16(&params, (int16_t)copy->cell);
    params_int64(&params, copy->account_id);
    params_bytes(&params, slice_of((const char *)copy->digest, sizeof copy->digest));
    if (db_read(arena, &find, &params, &rows) != DB_FOUND)
        return DB_FAILED; /* there is always a row */
    found->mailbox_id = row_is_null(rows, 0, 0) ? 0 : row_int64(rows, 0, 0);
    found->known = row_bool(rows, 0, 1);
    if (!row_is_null(rows, 0, 2)) {
        found->there_id = row_int64(rows, 0, 2);
        found->uid = row_int64(rows, 0, 3);
        found->uidvalidity = row_int64(rows, 0, 4);
    }
    return DB_FOUND;
}

static void add(struct arena *arena, const struct db_statement *statement, enum sent_copy_kind kind,
                struct accept_message *const *messages, unsigned count, struct db_unit *unit)
{
    unsigned n = 0;
    int16_t *cells = arena_array(arena, count, sizeof *cells);
    int64_t *accounts = arena_array(arena, count, sizeof *accounts), *ids = arena_array(arena, count, sizeof *ids);
    int64_t *mailboxes = arena_array(arena, count, sizeof *mailboxes);
    int64_t *outages = arena_array(arena, count, sizeof *outages);
    struct slice *digests = arena_array(arena, count, sizeof *digests);
    bool *submitted = arena_array(arena, count, sizeof *submitted);

    for (unsigned i = 0; i < count; i++) {
        const struct sent_copy *copy = messages[i]->sent;

        if (!copy || copy->kind != kind)
            continue;
        cells[n] = (int16_t)copy->cell;
        accounts[n] = copy->account_id;
        digests[n] = slice_of((const char *)copy->digest, sizeof copy->digest);
        ids[n] = messages[i]->id;
        mailboxes[n] = copy->mailbox_id;
        outages[n] = copy->outage_id;
        submitted[n++] = copy->submitted;
    }
    if (!n)
        return;
    struct params *p = db_unit_add(unit, statement);
    params_int16s(p, cells, n);
    params_int64s(p, accounts, n);
    params_bytess(p, digests, n);
    params_int64s(p, ids, n);
    params_int64s(p, mailboxes, n);
    params_int64s(p, outages, n);
    params_bools(p, submitted, n);
}

void sent_copy_add(struct arena *arena, struct accept_message *const *messages, unsigned count, struct db_unit *unit)
{
    add(arena, &insert, SENT_COPY_NEW, messages, count, unit);
    add(arena, &replace, SENT_COPY_AGAIN, messages, count, unit);
    add(arena, &is_sent, SENT_COPY_IS_SENT, messages, count, unit);
}
