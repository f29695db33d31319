/*
 * provision_adopt: mail that waits for a new account's addresses becomes its mail.
 *
 * A relay domain's mail is accepted whether anybody has an account for it here or not.  Who gets one later, by an
 * administrator or in an outage, is to read what waits as well, and before what comes: so the entries are his from the
 * moment there is an account that new mail could be filed for.  What is being accepted in that moment, and addresses in
 * a spelling that only storage/name.c knows, are given to him by outage_account_give().
 *
 * A subaddress is its owner's: what stands before the first separator of the domain.
 *
 * It looks at all that waits for the domain, once for each transaction that makes accounts.
 */
#include "storage/provision_adopt.h"

#include "core/id.h"
#include "storage/db.h"

static const struct db_statement adopt = {
    "provision_adopt",
    "update queue_entry q set account_id = w.account_id from ("
    "  select a.id as account_id, x.domain_id, x.address from account a"
    "    join lateral (select a.domain_id, a.address"
    "                   union all select domain_id, address from alias where account_id = a.id) x on true"
    "    join domain d on d.id = x.domain_id and d.kind = 'relay'"
    "   where a.id = any($2::bigint[])) w, ("
    "  select e.id, lower(e.recipient) as exact, split_part(translate(left(lower(e.recipient), -length(d.name) - 1),"
    "         d.subaddress_separator, repeat(chr(1), length(d.subaddress_separator))), chr(1), 1) || '@' || d.name as base"
    "    from queue_entry e join domain d on d.id = e.domain_id"
    "   where e.cell = $1::smallint and e.account_id is null and not e.shown"
    "     and e.domain_id in (select domain_id from account where id = any($2::bigint[])"
    "                         union select domain_id from alias where account_id = any($2::bigint[]))) e"
    " where q.cell = $1::smallint and q.id = e.id and q.account_id is null and not q.shown"
    "   and w.domain_id = q.domain_id and w.address = case when e.base like '@%' then e.exact else e.base end",
};

void provision_adopt_add(struct db_unit *unit, const int64_t *account_ids, unsigned count)
{
    struct params *params = db_unit_add(unit, &adopt);

    params_int16(params, (int16_t)id_cell(account_ids[0]));
    params_int64s(params, account_ids, count);
}
