-- Posthouse, migration 6: refusals that can be looked up.
--
-- A refusal's reply carries an id; its reader, or the administrator whom he calls, finds here what was asked, what decided,
-- and the words that were said. Written a moment after the reply and without waiting for the disk (storage/decision.c).
--
-- A table that grows with strangers: it is partitioned by week, as `event` is, and both are looked after by one function,
-- week_partitions(). A node that still runs the version before calls event_partitions(), finds it gone, and leaves the
-- work to the others.

create table decision (
    cell        smallint not null,           -- the customer's whose permission or domain it was about; 0: nobody's
    id          bigint not null,             -- as in the reply
    at          timestamptz not null,
    command     text not null,               -- MAIL, RCPT, or DATA: the end of data, about From and Sender
    client      text,
    account_id  bigint,                      -- who had signed in
    tls         boolean not null,
    sender      text not null,               -- '' is the null sender
    recipient   text,                        -- null: it was not about one
    size        bigint,                      -- as declared; null: not told
    verdict     text not null,               -- unknown, denied: as relay-checks answer
    reason      text not null,
    grant_id    bigint,                      -- the relay grant that decided, or came nearest
    limit_name  text,                        -- which limit of it was reached
    code        integer not null,
    enhanced    text not null,
    reply       text not null,
    primary key (cell, id, at)
) partition by range (at);
create table decision_default partition of decision default;
comment on table decision is 'Refusals at MAIL, RCPT and the end of data, by the id in their replies. See storage/decision.c.';

drop function event_partitions(interval);

-- Makes the partitions of this week and the next two of a table that is partitioned by time, and drops those that ended
-- before the given age. Called by maintenance; one node at a time, the others pass.
create function week_partitions(parent text, keep interval) returns void language plpgsql as $$
declare
    week date;
    part text;
begin
    if not pg_try_advisory_xact_lock(hashtext('posthouse week_partitions ' || parent)) then
        return;
    end if;
    for week in select generate_series(date_trunc('week', now()), now() + interval '2 weeks', interval '1 week')::date loop
        part := parent || '_' || to_char(week, 'YYYYMMDD');
        if to_regclass(part) is null then
            execute format('create table %I partition of %I for values from (%L) to (%L)',
                           part, parent, week || ' 00:00+00', (week + 7) || ' 00:00+00');
        end if;
    end loop;
    for part, week in
        select c.relname, to_date(right(c.relname, 8), 'YYYYMMDD')
          from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = to_regclass(parent) and c.relname ~ ('^' || parent || '_[0-9]{8}$') loop
        if week + 7 < now() - keep then
            execute format('drop table %I', part);
        end if;
    end loop;
end
$$;
select week_partitions('decision', interval '14 days');
