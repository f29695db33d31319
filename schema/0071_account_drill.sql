-- Posthouse, migration 71: drills of one account.
--
-- An account's drill has a row of outage, as a domain's has, so that what belongs to an outage (copies in Sent, what is carried to
-- the primary afterwards) finds it. It is not the domain's: domain_id is null there, account_id says whose it is.

alter table absence
    add account_id bigint,                   -- a drill of this account alone
    add constraint absence_account_kind check (account_id is null or kind = 'drill'),
    add constraint absence_account_fkey foreign key (account_id) references account (id) on delete cascade;
create index absence_account on absence (account_id) where account_id is not null;
create index absence_outage on absence (cell, outage_id) where outage_id is not null;

alter table outage
    alter domain_id drop not null,
    add account_id bigint,
    add account    text,                     -- its address, also when it is gone
    add constraint outage_whose check (num_nonnulls(domain_id, account_id) = 1);
create unique index outage_open_account on outage (cell, account_id) where ended_at is null and account_id is not null;

alter table queue_entry
    drop constraint queue_entry_held_by_check,
    add constraint queue_entry_held_by_check check (held_by in ('sender', 'limit', 'administrator', 'suspension', 'reader',
        'compromised', 'rule', 'breaker', 'drill'));
create index queue_entry_drill on queue_entry (cell, account_id, id) where held_by = 'drill';

-- As before, for the domain as a whole.
create or replace function domain_forced(of_cell smallint, of_domain bigint) returns text language sql stable as $$
    select coalesce((select h.forced from domain_health h where h.cell = of_cell and h.domain_id = of_domain
                        and (h.force_until is null or h.force_until > now())),
                    (select 'down' from absence a where a.cell = of_cell and a.domain_id = of_domain and a.account_id is null
                        and a.starts_at <= now() and a.ends_at > now() limit 1))
$$;

-- What an account's drill has come to: of the recipients that it held (storage/drill.c writes the event), those that were readable.
create function drill_counts(o outage, out held bigint, out drained bigint, out remaining bigint, out read bigint,
                             out answered bigint, out uncertain bigint, out lost bigint) language sql stable as $$
    with happened as (
        select e.message_id, e.recipient, e.kind, e.detail from event e
         where e.cell = o.cell and e.at <= coalesce(o.ended_at, now())
           and e.id >= ((extract(epoch from o.started_at) * 1000)::bigint - 1704067201000) << 22 -- core/id.h, a second before
           and e.kind in ('held', 'delivered', 'uncertain', 'bounced', 'cancelled', 'rejected', 'discarded')),
    ours as (select distinct message_id, recipient from happened where kind = 'held' and detail like '%: drill ' || id_text(o.id)),
    shown as (select distinct h.message_id, h.recipient from happened h join ours using (message_id, recipient)
               where h.kind = 'held' and h.detail = 'readable in INBOX'),
    copies as (
        select c.message_id, bit_or(c.flags) as flags from mailbox_message c join mailbox b on b.cell = c.cell and b.id = c.mailbox_id
         where c.cell = o.cell and b.account_id = o.account_id and c.message_id in (select message_id from shown) group by c.message_id)
    select (select count(*) from shown),
           (select count(*) from ours where exists (select from happened h where h.message_id = ours.message_id
               and h.recipient = ours.recipient and h.kind = 'delivered')),
           (select count(*) from ours where exists (select from queue_entry q where q.cell = o.cell
               and q.message_id = ours.message_id and q.recipient = ours.recipient)),
           (select count(*) from copies where flags & 1 <> 0), (select count(*) from copies where flags & 2 <> 0),
           (select count(*) from happened h join ours using (message_id, recipient) where h.kind = 'uncertain'),
           (select count(*) from shown s where not exists (select from happened h where h.message_id = s.message_id
               and h.recipient = s.recipient and h.kind in ('delivered', 'bounced', 'cancelled', 'rejected', 'discarded'))
              and not exists (select from queue_entry q where q.cell = o.cell and q.message_id = s.message_id
               and q.recipient = s.recipient))
$$;

-- What webhooks are told of it.
create function drill_told(o outage) returns jsonb language sql stable as $$
    select jsonb_build_object('domain', o.domain, 'domain_id', (select id_text(a.domain_id) from account a where a.id = o.account_id),
                              'account', o.account, 'outage', id_text(o.id), 'detection', o.detection,
                              'reason', o.reason, 'started_at', time_text(o.started_at))
$$;

-- The one place where an account's drill ends, counted; what the account made is looked for as after any outage (outage_report, nothing
-- left to count).  Returns how many ended: one or none.
create function drill_end(event_id bigint, of_cell smallint, of_outage bigint, why text, ended timestamptz) returns integer language plpgsql as $$
declare
    o outage;
    n record;
begin
    update outage set ended_at = ended, end_reason = why
     where cell = of_cell and id = of_outage and account_id is not null and ended_at is null returning * into o;
    if not found then
        return 0;
    end if;
    select * into n from drill_counts(o);
    update outage set held = n.held, drained = n.drained, remaining = n.remaining, read = n.read, answered = n.answered,
                      uncertain = n.uncertain, lost = n.lost, counted_at = now()
     where cell = o.cell and id = o.id;
    insert into outage_report (cell, outage_id, ended_at, counted_to, looked_at) values (o.cell, o.id, ended, null, o.started_at);
    perform webhook_emit(event_id, 'outage.closed', o.customer_id, drill_told(o) || jsonb_build_object(
        'ended_at', time_text(o.ended_at), 'held', n.held, 'drained', n.drained, 'remaining', n.remaining, 'read', n.read,
        'answered', n.answered, 'uncertain', n.uncertain, 'lost', n.lost,
        'duration_ms', (extract(epoch from o.ended_at - o.started_at) * 1000)::bigint,
        'time_to_detect_ms', (extract(epoch from o.started_at - coalesce(o.failing_at, o.started_at)) * 1000)::bigint,
        'time_to_readable_ms', (extract(epoch from o.shown_at - o.started_at) * 1000)::bigint,
        'time_to_drain_ms', (extract(epoch from o.ended_at - o.back_at) * 1000)::bigint));
    return 1;
end $$;
