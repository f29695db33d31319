-- Posthouse, migration 83: an outage ends when what remains is counted, not before.
--
-- Its end was the time at which a worker had decided so, `remaining` what the statement saw, later by as long as it had waited: what
-- was delivered in between, while mail flowed, was neither drained nor remaining, and so less than was held.  Now the end is the time
-- behind the statement's snapshot: who is not in the queue any more was delivered before it.  What is delivered in the moment
-- itself may be both.

-- As in 0065.
create or replace function outage_end(event_id bigint, of_cell smallint, of_domain bigint, why text, ended timestamptz,
                           of_outage bigint default 0) returns integer language plpgsql as $$
declare
    o outage;
begin
    update outage u set ended_at = greatest(ended, clock_timestamp()), end_reason = why,
           remaining = (select count(*) from (select from queue_entry q where q.cell = u.cell and q.domain_id = u.domain_id
                                               limit 100000) waiting)
     where cell = of_cell and domain_id = of_domain and ended_at is null and (of_outage = 0 or id = of_outage) returning * into o;
    if not found then
        return 0;
    end if;
    insert into outage_report (cell, outage_id, ended_at, counted_to, looked_at) values (o.cell, o.id, o.ended_at, 0, o.started_at);
    return 1;
end $$;
