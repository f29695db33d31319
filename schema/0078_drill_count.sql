-- Posthouse, migration 78: an account's drill ends at once, too, and is counted in pages.
--
-- It was counted by the statement that ended it, over all events of the cell in its time: with very many that took longer than a
-- statement may, and the drill never ended.

alter table outage_report add remaining bigint not null default 0;

-- What the next events, at most so many, add to what the drill has come to: each recipient that it held counts where its first such
-- event is (storage/drill.c writes it), by the whole of what became of it since.  See outage_count_page().
create function drill_count_page(o outage, after bigint, page integer, out last bigint, out looked bigint, out held bigint,
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
        select (select bit_or(c.flags) from mailbox_message c join mailbox b on b.cell = c.cell and b.id = c.mailbox_id
                 where c.cell = o.cell and b.account_id = o.account_id and c.message_id = u.message_id) as flags
          from ours u where u.first_of_message and u.shown)
    select coalesce((select max(id) from part), after), (select count(*) from part),
           (select count(*) from ours where shown), (select count(*) from ours where delivered),
           (select count(*) from copies where flags & 1 <> 0), (select count(*) from copies where flags & 2 <> 0),
           (select coalesce(sum(u.uncertain), 0)::bigint from ours u),
           (select count(*) from ours where shown and not ended and not waiting), (select count(*) from ours where waiting)
$$;

create or replace function drill_end(event_id bigint, of_cell smallint, of_outage bigint, why text, ended timestamptz) returns integer language plpgsql as $$
declare
    o outage;
begin
    update outage set ended_at = ended, end_reason = why
     where cell = of_cell and id = of_outage and account_id is not null and ended_at is null returning * into o;
    if not found then
        return 0;
    end if;
    insert into outage_report (cell, outage_id, ended_at, counted_to, looked_at) values (o.cell, o.id, ended, 0, o.started_at);
    return 1;
end $$;
drop function drill_counts(outage);

-- What the report of an outage, or of an account's drill, adds to what is told of its beginning.
create function outage_report_told(o outage) returns jsonb language sql stable as $$
    select jsonb_build_object(
        'ended_at', time_text(o.ended_at), 'held', o.held, 'drained', o.drained, 'remaining', o.remaining, 'read', o.read,
        'answered', o.answered, 'uncertain', o.uncertain, 'lost', o.lost,
        'duration_ms', (extract(epoch from o.ended_at - o.started_at) * 1000)::bigint,
        'time_to_detect_ms', (extract(epoch from o.started_at - coalesce(o.failing_at, o.started_at)) * 1000)::bigint,
        'time_to_readable_ms', (extract(epoch from o.shown_at - o.started_at) * 1000)::bigint,
        'time_to_drain_ms', (extract(epoch from o.ended_at - o.back_at) * 1000)::bigint)
$$;

-- As before, and drills of accounts.
create or replace function outage_count(event_id bigint, of_cell smallint, of_outage bigint, page integer) returns boolean language plpgsql as $$
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
    if o.account_id is null then
        select *, 0 as remaining into n from outage_count_page(o, r.counted_to, page);
    else
        select * into n from drill_count_page(o, r.counted_to, page);
    end if;
    update outage_report t set counted_to = case when n.looked = page then n.last end, held = t.held + n.held, drained = t.drained + n.drained,
           read = t.read + n.read, answered = t.answered + n.answered, uncertain = t.uncertain + n.uncertain, lost = t.lost + n.lost,
           remaining = t.remaining + n.remaining
     where cell = of_cell and outage_id = of_outage returning * into r;
    if n.looked = page then
        return true;
    end if;
    update outage set held = r.held, drained = r.drained, read = r.read, answered = r.answered,
                      remaining = case when o.account_id is null then outage.remaining else r.remaining end,
                      uncertain = r.uncertain, lost = r.lost, counted_at = now()
     where cell = o.cell and id = o.id returning * into o;
    if o.account_id is null then
        perform health_tell(event_id, o.cell, o.domain_id, o.customer_id, o.domain, 'outage.closed', o.id, o.end_reason, jsonb_build_object(
            'outage', id_text(o.id), 'detection', o.detection, 'reason', o.reason, 'started_at', time_text(o.started_at))
            || outage_report_told(o));
    else
        perform webhook_emit(event_id, 'outage.closed', o.customer_id, drill_told(o) || outage_report_told(o));
    end if;
    return false;
end $$;
