/*
 * carry_copy: the copies of shown mail, in the transaction that says what became of it.
 *
 * A copy is any item of the account's mailboxes that refers to the message, wherever its reader has filed it.  Its
 * mailbox gets a new modseq first, as for every change (storage/mailbox_write.c), the mailboxes in the order of their
 * ids; then the keywords change.  Entries that were never shown join to nothing, so quiet times cost three look-ups of
 * rows that are in memory anyway, for all entries of a flight.
 *
 * A delivered entry leaves a row of carry, in the same transaction: it is carried to the primary's mailboxes where they
 * can be reached (storage/carry.h), and knows when its copies here may go, which is never before the primary has the
 * message.  Two addresses of one account are two entries and one copy; the row is the account's, and is there once the
 * first of them is delivered.  While the second waits, its account's copy says $Delivered: its reader has the message
 * at the primary.
 *
 * Rejected: to find out when the copies may go from the events, which are in partitions that are dropped; and to keep a
 * time in mailbox_message, which COPY and clients would have to be taught.
 */
#include "storage/carry_copy.h"

#include "storage/carry_keyword.h"
#include "storage/db.h"
#include "storage/hint.h"
#include "storage/queue_internal.h"

#define ENDED QUEUE_ENTRIES_WITH("$3::boolean[]", "delivered") " and q.shown"
#define COPIES                                                                                                         \
    ENDED " join mailbox b on b.cell = q.cell and b.account_id = q.account_id"                                         \
          " join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id and i.message_id = q.message_id"

/* So that who shows them meanwhile is waited for, and is not met with the mailboxes taken the other way round. */
static const struct db_statement lock = {"carry_copy_lock",
                                         "select q.id" QUEUE_ENTRIES " order by q.cell, q.id for update of q"};
static const struct db_statement bump = {
    "carry_copy_bump", "update mailbox m set modseq = m.modseq + 1"
                       "  from (select k.cell, k.id from mailbox k where (k.cell, k.id) in (select b.cell, b.id" COPIES
                       ")         order by k.cell, k.id for update) w"
                       " where m.cell = w.cell and m.id = w.id returning m.id"};
static const struct db_statement mark = {
    "carry_copy_mark",
    "update mailbox_message c set modseq = m.modseq, keywords = array_remove(array_remove(c.keywords, '" CARRY_HELD
    "'), '" CARRY_DELIVERED "') || case when w.delivered then array['" CARRY_DELIVERED "'] else '{}'::text[] end"
    "  from (select i.cell, i.mailbox_id, i.uid, bool_or(u.delivered) as delivered" COPIES
    "         group by i.cell, i.mailbox_id, i.uid) w"
    "  join mailbox m on m.cell = w.cell and m.id = w.mailbox_id"
    " where c.cell = w.cell and c.mailbox_id = w.mailbox_id and c.uid = w.uid"};
static const struct db_statement keep = {
    "carry_copy_keep",
    "insert into carry (cell, account_id, message_id, domain_id, kind, state, due_at)"
    " select distinct on (q.cell, q.account_id, q.message_id) q.cell, q.account_id, q.message_id, a.domain_id, 'delivered',"
    "        case when m.domain_id is null then 'kept' else 'waiting' end,"
    "        now() + case when m.domain_id is null"
    "                then make_interval(days => coalesce(p.copy_keep_days, $4::integer)) else interval '0' end" ENDED
    "   join account a on a.id = q.account_id"
    "   left join continuity_policy p on p.domain_id = a.domain_id"
    "   left join imap_access m on m.domain_id = a.domain_id"
    "  where u.delivered and q.domain_id is not null"
    "    and exists (select from mailbox b join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"
    "                 where b.cell = q.cell and b.account_id = q.account_id and i.message_id = q.message_id)"
    "  order by 1, 2, 3 on conflict (cell, account_id, message_id)"
    "  do update set kind = 'delivered', state = excluded.state, due_at = excluded.due_at, holder = null"
    "   where carry.kind <> 'delivered'"};

unsigned carry_copy_add(struct db_unit *unit, const int16_t *cells, const int64_t *entry_ids, const bool *delivered,
                        unsigned count)
{
    static const struct db_statement *const steps[CARRY_COPY_STEPS] = {&lock, &bump, &mark, &keep};
    unsigned first = unit->count + 1;

    for (unsigned i = 0; i < CARRY_COPY_STEPS; i++) {
        struct params *p = db_unit_add(unit, steps[i]);

        params_int16s(p, cells, count);
        params_int64s(p, entry_ids, count);
        if (steps[i] != &lock)
            params_bools(p, delivered, count);
        if (steps[i] == &keep)
            params_int32(p, CARRY_COPY_KEEP_DAYS);
    }
    return first;
}

void carry_copy_tell(const struct rows *mailboxes)
{
    for (unsigned i = 0; i < rows_count(mailboxes); i++)
        hint_mailbox_changed(row_int64(mailboxes, i, 0));
}
