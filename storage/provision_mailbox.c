/*
 * provision_mailbox: the mailboxes that an account is made with, and the subscriptions to them.
 *
 * They are made in the transaction that makes the account, so who can be delivered to has an INBOX.  The special uses
 * are those of RFC 6154; \Archive and \All are not made.
 */
#include "storage/provision_mailbox.h"

#include "core/id.h"
#include "storage/db.h"

static const struct db_statement insert_mailboxes = {
    "provision_account_mailboxes",
    "insert into mailbox (cell, id, account_id, name, special_use)"
    " select $1::smallint, made.id, made.account_id, made.name, made.special_use"
    "   from unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[]) as made (id, account_id, name, special_use)"
    "   join account a on a.id = made.account_id",
};
static const struct db_statement insert_subscriptions = {
    "provision_account_subscriptions",
    "insert into subscription (cell, account_id, name) select $1::smallint, made.account_id, made.name"
    "   from unnest($2::bigint[], $3::text[]) as made (account_id, name) join account a on a.id = made.account_id",
};

static const struct {
    struct slice name, special_use;
} first[] = {
    {SLICE("INBOX"), {NULL, 0}},        {SLICE("Drafts"), SLICE("\\Drafts")}, {SLICE("Sent"), SLICE("\\Sent")},
    {SLICE("Trash"), SLICE("\\Trash")}, {SLICE("Junk"), SLICE("\\Junk")},
};
#define FIRST (sizeof first / sizeof *first)

void provision_mailbox_add(struct db_unit *unit, const int64_t *account_ids, const int64_t *inbox_ids, unsigned count)
{
    unsigned cell = id_cell(account_ids[0]), all = count * (unsigned)FIRST;
    int64_t *ids = arena_array(unit->arena, all, sizeof *ids),
            *accounts = arena_array(unit->arena, all, sizeof *accounts);
    struct slice *names = arena_array(unit->arena, all, sizeof *names);
    struct slice *uses = arena_array(unit->arena, all, sizeof *uses);
    struct params *params;

    for (unsigned i = 0; i < all; i++) {
        unsigned account = i / FIRST, place = i % FIRST;

        ids[i] = place == 0 ? inbox_ids[account] : id_make(cell);
        accounts[i] = account_ids[account];
        names[i] = first[place].name;
        uses[i] = first[place].special_use;
    }
    params = db_unit_add(unit, &insert_mailboxes);
    params_int16(params, (int16_t)cell);
    params_int64s(params, ids, all);
    params_int64s(params, accounts, all);
    params_texts(params, names, all);
    params_texts(params, uses, all);
    params = db_unit_add(unit, &insert_subscriptions);
    params_int16(params, (int16_t)cell);
    params_int64s(params, accounts, all);
    params_texts(params, names, all);
}
