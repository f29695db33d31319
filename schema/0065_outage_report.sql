-- Posthouse, migration 65: an outage ends at once, and what it came to is found out afterwards, in pages.
--
-- Counting all events of a cell since a large outage began, and looking through what its accounts made, took longer than a statement
-- may.  outage_report says how far that is, by the same transactions; it has no trigger directory_changed, which outage has.

create table outage_report (
    cell         smallint not null,
    outage_id    bigint not null,
    ended_at     timestamptz not null,
    counted_to   bigint,                      -- the last event that is counted; null: all are, and the report is told
    looking      boolean not null default true, -- for what accounts made
    looked_at    timestamptz not null,        -- to what time, and within it to what message
    looked_to    bigint not null default 0,
    looked_again boolean not null default false, -- a minute later, for what was on its way when the outage ended
    held         bigint not null default 0,
    drained      bigint not null default 0,
    read         bigint not null default 0,
    answered     bigint not null default 0,
    uncertain    bigint not null default 0,
    lost         bigint not null default 0,
    primary key (cell, outage_id),
    constraint outage_report_outage_fkey foreign key (cell, outage_id) references outage (cell, id) on delete cascade
);
comment on table outage_report is 'Outages that have ended and are not done with: storage/outage_report.h';

alter table outage add counted_at timestamptz; -- the report is there
alter table outage disable trigger directory_changed;
update outage set counted_at = ended_at where ended_at is not null;
alter table outage enable trigger directory_changed;

-- What was sent in an outage is taken over into carry once, whenever its transaction commits.
alter table sent_copy add collected boolean not null default false;
update sent_copy s set collected = true from outage o where o.cell = s.cell and o.id = s.outage_id and o.ended_at is not null;
create index sent_copy_uncollected on sent_copy (cell, outage_id) where submitted and not collected;

drop function outage_end(bigint, smallint, bigint, text, timestamptz);
drop function outage_counts(outage);

create function outage_first_event(o outage) returns bigint language sql immutable as $$
    select ((extract(epoch from o.started_at) * 1000)::bigint - 1704067201000) << 22 -- core/id.h, a second before
$$;

-- What the next events, at most so many, add to what an outage has come to.  Held: recipients of messages that were readable; read and
-- answered: by the flags of their copies.  Each counts where its first event is, so pages know nothing of each other.  Of each event
-- it is asked by message (id + 0: not by the range of ids): whatever the planner thinks of a table that has just been flooded, a page must
-- not read all of it.
create function outage_count_page(o outage, after bigint, page integer, out last bigint, out looked bigint, out held bigint,
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
        select (select bit_or(c.flags) from mailbox_message c where c.cell = o.cell and c.message_id = r.message_id) as flags
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

-- The one place where an outage ends: this one, or (0) whichever of the domain is open.  Returns how many ended: one or none.
create function outage_end(event_id bigint, of_cell smallint, of_domain bigint, why text, ended timestamptz,
                           of_outage bigint default 0) returns integer language plpgsql as $$
declare
    o outage;
begin
    update outage u set ended_at = ended, end_reason = why,
           remaining = (select count(*) from (select from queue_entry q where q.cell = u.cell and q.domain_id = u.domain_id
                                               limit 100000) waiting)
     where cell = of_cell and domain_id = of_domain and ended_at is null and (of_outage = 0 or id = of_outage) returning * into o;
    if not found then
        return 0;
    end if;
    insert into outage_report (cell, outage_id, ended_at, counted_to, looked_at) values (o.cell, o.id, ended, 0, o.started_at);
    return 1;
end $$;

-- Counts the next page.  Returns whether there may be another one; with the last the report is there, and is told.
create function outage_count(event_id bigint, of_cell smallint, of_outage bigint, page integer) returns boolean language plpgsql as $$
declare
    o outage;
    r outage_report;
    n record;
begin
    select * into r from outage_report where cell = of_cell and outage_id = of_outage for update;
    if not found or r.counted_to is null then
        return false;
    end if;
    select * into o from outage where cell = of_cell and id = of_outage;
    select * into n from outage_count_page(o, r.counted_to, page);
    update outage_report t set counted_to = case when n.looked = page then n.last end, held = t.held + n.held, drained = t.drained + n.drained,
           read = t.read + n.read, answered = t.answered + n.answered, uncertain = t.uncertain + n.uncertain, lost = t.lost + n.lost
     where cell = of_cell and outage_id = of_outage returning * into r;
    if n.looked = page then
        return true;
    end if;
    update outage set held = r.held, drained = r.drained, read = r.read, answered = r.answered,
                      uncertain = r.uncertain, lost = r.lost, counted_at = now()
     where cell = o.cell and id = o.id;
    perform health_tell(event_id, o.cell, o.domain_id, o.customer_id, o.domain, 'outage.closed', o.id, o.end_reason, jsonb_build_object(
        'outage', id_text(o.id), 'detection', o.detection, 'reason', o.reason, 'started_at', time_text(o.started_at),
        'ended_at', time_text(o.ended_at), 'held', r.held, 'drained', r.drained, 'remaining', o.remaining, 'read', r.read,
        'answered', r.answered, 'uncertain', r.uncertain, 'lost', r.lost,
        'duration_ms', (extract(epoch from o.ended_at - o.started_at) * 1000)::bigint,
        'time_to_detect_ms', (extract(epoch from o.started_at - coalesce(o.failing_at, o.started_at)) * 1000)::bigint,
        'time_to_readable_ms', (extract(epoch from o.shown_at - o.started_at) * 1000)::bigint,
        'time_to_drain_ms', (extract(epoch from o.ended_at - o.back_at) * 1000)::bigint));
    return false;
end $$;
