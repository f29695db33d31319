/*
 * deletion: a reader has deleted his copy of mail that the primary does not have yet.
 *
 * Deleted is what the account has no copy of any more: expunged by IMAP, removed by POP3, or gone with its mailbox. 
 * Moving it to Trash is filing; emptying Trash is deleting.  So it is asked, after the items are gone and in the same
 * transaction, whether another copy is left.  Two sessions that each remove one of two copies at the same moment may
 * each still see the other's: then it is delivered, which is the harmless error.
 *
 * What counts is what the domain wants that the mail is for, which may be another than its reader's: he may have an alias
 * there.  Whether any domain in which he has an address wants anything but delivery comes from the cache; only then are
 * entries looked for, so that deleting costs others nothing.  The entries are read first, for their events need ids from here; the transaction
 * locks them and decides anew about each.
 *
 *     waiting           unless-deleted: the entry goes, event "cancelled"
 *                       ask: it is held by 'reader' until deleted_hold_days are over, and then what deleted_then says
 *     a worker has it   it may be on the wire: it is delivered, and an event says so
 *     held              by somebody else, whose decision it stays; by a drill: as waiting
 *
 * The message is listed for release by the step that removes the item (storage/mailbox_write.c).
 */
#include "storage/deletion.h"

#include "core/clock.h"
#include "core/id.h"
#include "storage/cache.h"
#include "storage/continuity_policy.h"
#include "storage/db.h"

#define ENTRIES_MAX (4 * DELETION_ITEMS_MAX) /* several addresses of one account */
#define DAY_MS (24 * 60 * 60 * (int64_t)1000)

static const struct db_statement domains_of = {
    "deletion_domains", "select a.domain_id from mailbox b join account a on a.id = b.account_id"
                        "  where b.cell = $1::smallint and b.id = $2::bigint"
                        " union select x.domain_id from mailbox b join alias x on x.account_id = b.account_id"
                        "  where b.cell = $1::smallint and b.id = $2::bigint"};

#define ENTRIES                                                                                                        \
    "select distinct q.id, q.domain_id from mailbox b"                                                                 \
    "  join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id"                                              \
    "  join queue_entry q on q.cell + 0 = i.cell and q.message_id = i.message_id"                                      \
    "                    and q.account_id = b.account_id and q.shown and q.domain_id + 0 = any($4::bigint[])"          \
    " where b.cell = $1::smallint and b.id = $2::bigint"
static const struct db_statement some_entries = {"deletion_some",
                                                 ENTRIES " and i.uid = any($5::bigint[]) order by 1 limit $3::integer"};
static const struct db_statement all_entries = {"deletion_all", ENTRIES " order by 1 limit $3::integer"};

#define GONE                                                                                                           \
    " q.shown and not exists (select from mailbox b join mailbox_message i on i.cell = b.cell and i.mailbox_id = b.id" \
    "    where b.cell = $1::smallint and b.account_id = q.account_id and i.message_id = q.message_id)"
/* A drill holds nothing of its own will: it is an outage. */
#define OURS " (q.held_until is null or q.held_by = 'drill')"
static const struct db_statement lock = {
    "deletion_lock",
    "select id from queue_entry where id = any($2::bigint[]) and cell + 0 = $1::smallint order by id for update"};
static const struct db_statement event = {
    "deletion_event",
    "insert into event (cell, id, at, message_id, recipient, kind, detail)"
    " select q.cell, e.event_id, $4::timestamptz, q.message_id, q.recipient,"
    "        case when q.worker is not null then 'deleted' else e.kind end,"
    "        case when q.worker is not null then 'by its reader, while it was being sent: delivered all the same'"
    "             else e.detail end"
    "   from unnest($2::bigint[], $3::bigint[], $5::text[], $6::text[]) e (id, event_id, kind, detail)"
    "   join queue_entry q on q.id = e.id and q.cell + 0 = $1::smallint"
    "  where (q.worker is not null or" OURS ") and" GONE};
static const struct db_statement hold = {
    "deletion_hold",
    "update queue_entry q set held_until = e.until, held_by = 'reader', held_then = e.then_what,"
    "       held_reason = 'deleted by its reader',"
    "       expires_at = q.expires_at + (e.until - coalesce(q.held_until, now())),"
    "       delay_at = q.delay_at + (e.until - coalesce(q.held_until, now()))"
    "  from unnest($2::bigint[], $3::timestamptz[], $4::text[]) e (id, until, then_what)"
    " where q.id = e.id and q.cell + 0 = $1::smallint and coalesce(q.worker, -1) = -1 and" OURS " and" GONE};
static const struct db_statement cancel = {
    "deletion_cancel",
    "delete from queue_entry q where q.id = any($2::bigint[]) and q.cell + 0 = $1::smallint and coalesce(q.worker, -1) = -1"
    "   and" OURS " and" GONE};

static struct params begin(struct arena *arena, int64_t mailbox_id)
{
    struct params params;

    params_init(&params, arena);
    params_int16(&params, (int16_t)id_cell(mailbox_id));
    params_int64(&params, mailbox_id);
    return params;
}

static void read_wish(int64_t domain_id, const struct continuity_policy *policy, struct deletion_wish *out)
{
    *out = (struct deletion_wish){
        .domain_id = domain_id,
        .ask = policy->deleted_mail == CONTINUITY_DELETED_ASK,
        .until_ms = clock_now_ms() + policy->deleted_hold_days * DAY_MS,
        .then = policy->deleted_then == CONTINUITY_THEN_REJECT ? "reject" : "release",
    };
}

/* Domains of his that want anything but delivery.  NONE: there is none, and mail is delivered, whatever its reader does. */
static AWAITS enum db_status read_wishes(struct arena *arena, int64_t mailbox_id, struct deletion_wish **out,
                                         unsigned *count)
{
    struct params params = begin(arena, mailbox_id);
    struct rows *rows = NULL;
    enum db_status status = cache_read(arena, &domains_of, &params, 0, &rows);

    *count = 0;
    if (status != DB_FOUND)
        return status;
    *out = arena_array(arena, rows_count(rows), sizeof **out);
    for (unsigned i = 0; i < rows_count(rows); i++) {
        struct continuity_policy policy;

        if (continuity_policy_of(arena, row_int64(rows, i, 0), &policy) != DB_FOUND)
            return DB_FAILED;
        if (policy.deleted_mail != CONTINUITY_DELETED_DELIVER)
            read_wish(row_int64(rows, i, 0), &policy, &(*out)[(*count)++]);
    }
    return *count ? DB_FOUND : DB_NONE;
}

static const struct deletion_wish *wish_of(const struct deletion_wish *wishes, unsigned count, int64_t domain_id)
{
    for (unsigned i = 0; i < count; i++)
        if (wishes[i].domain_id == domain_id)
            return &wishes[i];
    return NULL;
}

enum db_status deletion_find(struct arena *arena, int64_t mailbox_id, const int64_t *uids, unsigned count,
                             struct deletion *out)
{
    struct params params = begin(arena, mailbox_id);
    struct deletion_wish *wishes = NULL;
    int64_t *domains;
    struct rows *rows = NULL;
    enum db_status status;
    unsigned wish_count;

    *out = (struct deletion){0};
    status = read_wishes(arena, mailbox_id, &wishes, &wish_count);
    if (status != DB_FOUND)
        return status;
    domains = arena_array(arena, wish_count, sizeof *domains);
    for (unsigned i = 0; i < wish_count; i++)
        domains[i] = wishes[i].domain_id;
    params_int32(&params, ENTRIES_MAX);
    params_int64s(&params, domains, wish_count);
    if (uids)
        params_int64s(&params, uids, count);
    status = db_read(arena, uids ? &some_entries : &all_entries, &params, &rows);
    if (status != DB_FOUND)
        return status;
    out->count = rows_count(rows);
    out->many = !uids && out->count == ENTRIES_MAX;
    out->entries = arena_array(arena, out->count, sizeof *out->entries);
    out->wishes = arena_array(arena, out->count, sizeof *out->wishes);
    for (unsigned i = 0; i < out->count; i++) {
        out->entries[i] = row_int64(rows, i, 0);
        out->wishes[i] = wish_of(wishes, wish_count, row_int64(rows, i, 1));
    }
    return DB_FOUND;
}

static struct params *step(struct db_unit *unit, const struct db_statement *statement, unsigned cell,
                           const int64_t *entries, unsigned count)
{
    struct params *p = db_unit_add(unit, statement);

    params_int16(p, (int16_t)cell);
    params_int64s(p, entries, count);
    return p;
}

static void add_events(struct db_unit *unit, unsigned cell, const struct deletion *deletion)
{
    struct slice *kinds = arena_array(unit->arena, deletion->count, sizeof *kinds);
    struct slice *details = arena_array(unit->arena, deletion->count, sizeof *details);
    int64_t *events = arena_array(unit->arena, deletion->count, sizeof *events);
    char until[CLOCK_RFC3339_SIZE];
    struct params *p;

    for (unsigned i = 0; i < deletion->count; i++) {
        const struct deletion_wish *wish = deletion->wishes[i];

        events[i] = id_make(cell);
        kinds[i] = wish->ask ? SLICE("held") : SLICE("cancelled");
        details[i] = wish->ask ? slice_str(arena_printf(unit->arena, "until %s, then %s: deleted by its reader",
                                                        clock_rfc3339(wish->until_ms, until), wish->then))
                               : SLICE("not delivered: deleted by its reader");
    }
    p = step(unit, &event, cell, deletion->entries, deletion->count);
    params_int64s(p, events, deletion->count);
    params_time(p, clock_now_ms());
    params_texts(p, kinds, deletion->count);
    params_texts(p, details, deletion->count);
}

void deletion_add(struct db_unit *unit, int64_t mailbox_id, const struct deletion *deletion)
{
    int64_t *asked = arena_array(unit->arena, deletion->count, sizeof *asked);
    int64_t *over = arena_array(unit->arena, deletion->count, sizeof *over);
    int64_t *untils = arena_array(unit->arena, deletion->count, sizeof *untils);
    struct slice *thens = arena_array(unit->arena, deletion->count, sizeof *thens);
    unsigned cell = id_cell(mailbox_id), asked_count = 0, over_count = 0;
    struct params *p;

    for (unsigned i = 0; i < deletion->count; i++)
        if (deletion->wishes[i]->ask) {
            asked[asked_count] = deletion->entries[i];
            untils[asked_count] = deletion->wishes[i]->until_ms;
            thens[asked_count++] = slice_str(deletion->wishes[i]->then);
        } else {
            over[over_count++] = deletion->entries[i];
        }
    step(unit, &lock, cell, deletion->entries, deletion->count);
    add_events(unit, cell, deletion);
    if (asked_count) {
        p = step(unit, &hold, cell, asked, asked_count);
        params_times(p, untils, asked_count);
        params_texts(p, thens, asked_count);
    }
    if (over_count)
        step(unit, &cancel, cell, over, over_count);
}
