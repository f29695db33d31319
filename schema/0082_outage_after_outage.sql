-- Posthouse, migration 82: what one outage held is not counted of the next one, too.
--
-- An outage is counted from a second before its beginning, as the clocks of nodes differ.  Where the one before ended within that
-- second, as with a primary that comes and goes, what was made readable in its last second was held twice: by more than were drained,
-- waited and were lost together.

-- As in 0080, but not from before the end of the one before.
create or replace function outage_count_page(o outage, after bigint, page integer, out last bigint, out looked bigint, out held bigint,
                                  out drained bigint, out read bigint, out answered bigint, out uncertain bigint, out lost bigint)
language sql stable set enable_seqscan = off set enable_bitmapscan = off as $$
    with first as materialized (
        select greatest(outage_first_event(o), ((extract(epoch from max(x.ended_at)) * 1000)::bigint - 1704067200000) << 22) as id
          from outage x where x.cell = o.cell and x.domain_id = o.domain_id and x.started_at <= o.started_at and x.id <> o.id),
    part as materialized (
        select e.id, e.message_id, e.recipient, e.kind, e.detail, e.at from event e
         where e.cell = o.cell and e.id > greatest(after, (select id from first) - 1)
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
                   and f.id + 0 >= (select id from first) and f.kind = 'held' and f.detail = 'readable in INBOX'
                   and right(f.recipient, length(o.domain) + 1) = '@' || o.domain limit 1) is null as first_of_message
          from happened h
         where h.shown and (select f.id from event f where f.cell = o.cell and f.message_id = h.message_id and f.id + 0 < h.id
             and f.id + 0 >= (select id from first) and f.recipient = h.recipient and f.kind = 'held' and f.detail = 'readable in INBOX'
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
             and f.id + 0 >= (select id from first) and f.recipient = r.recipient
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
