-- Posthouse, migration 80: what was read in an outage counts as read also if its reader has deleted it since.
--
-- An outage's report tells what was read and answered by the flags of the copies.  Who collects by POP3 leaves none, and so it said
-- that nobody had read anything.

-- The flags of copies that are gone.  Written with what removes them (storage/outage_read.h); maintenance forgets.
create table outage_read (
    cell       smallint not null,
    message_id bigint not null,
    account_id bigint not null,
    flags      integer not null,               -- \Seen 1, \Answered 2
    at         timestamptz not null default now(),
    primary key (cell, message_id, account_id)
);
comment on table outage_read is 'Copies of held mail that were read or answered and are gone: for the report of their outage';

-- As in 0065, and with those.
create or replace function outage_count_page(o outage, after bigint, page integer, out last bigint, out looked bigint, out held bigint,
                                  out drained bigint, out read bigint, out answered bigint, out uncertain bigint, out lost bigint)
language sql stable set enable_seqscan = off set enable_bitmapscan = off as $$
    with part as materialized (
        select e.id, e.message_id, e.recipient, e.kind, e.detail, e.at from event e
         where e.cell = o.cell and e.id > greatest(after, outage_first_event(o) - 1)
           and e.id < ((extract(epoch from coalesce(o.ended_at, now())) * 1000)::bigint - 1704067200000 + 60000) << 22
           and e.at >= o.started_at - interval '1 hour' -- which partitions
         order by e.id limit page),
    happened as materialized (
        select p.*, p.kind = 'held' and p.detail = 'readable in INBOX' as shown from part p
         where p.kind in ('held', 'delivered', 'uncertain') and p.at <= coalesce(o.ended_at, now())
           and right(p.recipient, length(o.domain) + 1) = '@' || o.domain),
    readable as materialized (
        select h.message_id, h.recipient,
               (select f.id from event f where f.cell = o.cell and f.message_id = h.message_id and f.id + 0 < h.id
                   and f.id + 0 >= outage_first_event(o) and f.kind = 'held' and f.detail = 'readable in INBOX'
                   and right(f.recipient, length(o.domain) + 1) = '@' || o.domain limit 1) is null as first_of_message
          from happened h
         where h.shown and (select f.id from event f where f.cell = o.cell and f.message_id = h.message_id and f.id + 0 < h.id
             and f.id + 0 >= outage_first_event(o) and f.recipient = h.recipient and f.kind = 'held' and f.detail = 'readable in INBOX'
             limit 1) is null),
    copies as materialized (
        select (select bit_or(f.flags) from (
                   select c.flags from mailbox_message c where c.cell = o.cell and c.message_id = r.message_id
                   union all
                   select g.flags from outage_read g where g.cell = o.cell and g.message_id = r.message_id) f) as flags
          from readable r where r.first_of_message),
    unended as materialized (
        select r.message_id, r.recipient from readable r
         where (select f.id from event f where f.cell = o.cell and f.message_id = r.message_id
             and f.id + 0 >= outage_first_event(o) and f.recipient = r.recipient
             and f.kind in ('delivered', 'bounced', 'cancelled', 'rejected', 'discarded') limit 1) is null),
    waiting as materialized (
        select q.message_id, q.recipient from queue_entry q where q.cell = o.cell and q.message_id = any (array(select message_id from unended)))
    select coalesce((select max(id) from part), after), (select count(*) from part), (select count(*) from readable),
           (select count(*) from happened h where h.kind = 'delivered' and h.at >= o.started_at
               and (select f.id from event f where f.cell = o.cell and f.message_id = h.message_id and f.id + 0 < h.id
                   and f.at >= o.started_at and f.recipient = h.recipient and f.kind = 'delivered' limit 1) is null),
           (select count(*) from copies where flags & 1 <> 0), (select count(*) from copies where flags & 2 <> 0),
           (select count(*) from happened where kind = 'uncertain'),
           (select count(*) from unended u where not exists (select from waiting w where w.message_id = u.message_id
               and w.recipient = u.recipient))
$$;

-- As in 0078, and with those.
create or replace function drill_count_page(o outage, after bigint, page integer, out last bigint, out looked bigint, out held bigint,
                                 out drained bigint, out read bigint, out answered bigint, out uncertain bigint, out lost bigint,
                                 out remaining bigint)
language sql stable set enable_seqscan = off set enable_bitmapscan = off as $$
    with part as materialized (
        select e.id, e.message_id, e.recipient, e.kind, e.detail from event e
         where e.cell = o.cell and e.id > greatest(after, outage_first_event(o) - 1)
           and e.id < ((extract(epoch from coalesce(o.ended_at, now())) * 1000)::bigint - 1704067200000 + 60000) << 22
           and e.at >= o.started_at - interval '1 hour' -- which partitions
         order by e.id limit page),
    ours as materialized (
        select p.message_id, p.recipient,
               (select f.id from event f where f.cell = o.cell and f.message_id = p.message_id and f.id + 0 < p.id
                   and f.kind = 'held' and f.detail like '%: drill ' || id_text(o.id) limit 1) is null as first_of_message,
               (select f.id from event f where f.cell = o.cell and f.message_id = p.message_id
                   and f.id + 0 >= outage_first_event(o) and f.at <= coalesce(o.ended_at, now()) and f.recipient = p.recipient
                   and f.kind = 'held' and f.detail = 'readable in INBOX' limit 1) is not null as shown,
               (select f.id from event f where f.cell = o.cell and f.message_id = p.message_id
                   and f.id + 0 >= outage_first_event(o) and f.at <= coalesce(o.ended_at, now()) and f.recipient = p.recipient
                   and f.kind = 'delivered' limit 1) is not null as delivered,
               (select f.id from event f where f.cell = o.cell and f.message_id = p.message_id
                   and f.id + 0 >= outage_first_event(o) and f.recipient = p.recipient
                   and f.kind in ('delivered', 'bounced', 'cancelled', 'rejected', 'discarded') limit 1) is not null as ended,
               (select count(*) from event f where f.cell = o.cell and f.message_id = p.message_id
                   and f.id + 0 >= outage_first_event(o) and f.at <= coalesce(o.ended_at, now()) and f.recipient = p.recipient
                   and f.kind = 'uncertain') as uncertain,
               exists (select from queue_entry q where q.cell = o.cell and q.message_id = p.message_id
                          and q.recipient = p.recipient) as waiting
          from part p
         where p.kind = 'held' and p.detail like '%: drill ' || id_text(o.id)
           and (select f.id from event f where f.cell = o.cell and f.message_id = p.message_id and f.id + 0 < p.id
                   and f.recipient = p.recipient and f.kind = 'held' and f.detail like '%: drill ' || id_text(o.id) limit 1) is null),
    copies as materialized (
        select (select bit_or(f.flags) from (
                   select c.flags from mailbox_message c join mailbox b on b.cell = c.cell and b.id = c.mailbox_id
                    where c.cell = o.cell and b.account_id = o.account_id and c.message_id = u.message_id
                   union all
                   select g.flags from outage_read g
                    where g.cell = o.cell and g.message_id = u.message_id and g.account_id = o.account_id) f) as flags
          from ours u where u.first_of_message and u.shown)
    select coalesce((select max(id) from part), after), (select count(*) from part),
           (select count(*) from ours where shown), (select count(*) from ours where delivered),
           (select count(*) from copies where flags & 1 <> 0), (select count(*) from copies where flags & 2 <> 0),
           (select coalesce(sum(u.uncertain), 0)::bigint from ours u),
           (select count(*) from ours where shown and not ended and not waiting), (select count(*) from ours where waiting)
$$;
