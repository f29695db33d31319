-- Posthouse, migration 64: health of primaries, planned absences and drills, and what an outage came to.
--
-- One row of domain_health for each domain that something was met of; all nodes share it.  It changes often and has no trigger
-- directory_changed: sessions are told by the outage.

create table domain_health (
    cell          smallint not null,
    domain_id     bigint not null,
    state         text not null default 'up' check (state in ('up', 'degraded', 'down', 'recovering')),
    since         timestamptz not null default now(),
    changes       bigint not null default 0,  -- who writes names the one that he has read
    failures      integer not null default 0, -- in a row, as relay/health.h counts
    weak          integer not null default 0,
    successes     integer not null default 0,
    why           text,
    failing_since timestamptz,                -- the first of this row of failures
    probed_at     timestamptz,
    probe_outcome text,
    forced        text check (forced in ('up', 'down')),
    force_reason  text,
    force_until   timestamptz,
    primary key (cell, domain_id),
    constraint domain_health_domain_fkey foreign key (domain_id) references domain (id) on delete cascade
);
create index domain_health_forced on domain_health (cell) where forced is not null;
create index domain_health_away on domain_health (cell) where state in ('down', 'recovering');
comment on table domain_health is 'How primaries are: relay/health.h';

create table absence (
    cell       smallint not null,
    id         bigint not null,
    domain_id  bigint not null,
    kind       text not null check (kind in ('maintenance', 'drill')),
    starts_at  timestamptz not null,
    ends_at    timestamptz not null,
    reason     text not null check (length(reason) between 1 and 200),
    created_at timestamptz not null default now(),
    outage_id  bigint,                        -- that it made
    primary key (cell, id),
    constraint absence_time check (starts_at < ends_at),
    constraint absence_domain_fkey foreign key (domain_id) references domain (id) on delete cascade
);
create index absence_domain on absence (cell, domain_id, ends_at);
create index absence_time on absence (cell, ends_at);
comment on table absence is 'Times in which a domain''s primary is treated as down: planned maintenance, and drills';

create table health_event (
    cell      smallint not null,
    id        bigint not null,
    domain_id bigint not null,
    at        timestamptz not null default now(),
    type      text not null,                  -- health.changed, health.forced, outage.opened, outage.closed
    detail    text,
    outage_id bigint,
    primary key (cell, id),
    constraint health_event_domain_fkey foreign key (domain_id) references domain (id) on delete cascade
);
create index health_event_domain on health_event (cell, domain_id, id);
comment on table health_event is 'What happened to a domain''s primary; maintenance forgets it after 90 days';

alter table outage
    add customer_id bigint,
    add domain      text,                     -- name, also when the domain is gone
    add detection   text not null default 'delivery' check (detection in ('delivery', 'probe', 'forced', 'maintenance', 'drill')),
    add failing_at  timestamptz,              -- the first failure that led to it
    add shown_at    timestamptz,              -- all that waited was readable
    add back_at     timestamptz,              -- the primary answered, last
    add end_reason  text,
    add held        bigint,                   -- these are counted when it closes
    add drained     bigint,
    add remaining   bigint,
    add read        bigint,
    add answered    bigint,
    add uncertain   bigint,
    add lost        bigint;                   -- neither delivered, returned nor waiting: none, ever
alter table outage disable trigger directory_changed;
update outage o set customer_id = d.customer_id, domain = d.name from domain d where d.id = o.domain_id;
alter table outage enable trigger directory_changed;
create index outage_customer on outage (customer_id, id);

-- 'up', 'down', or null: as it is.  A force holds before an absence.
create function domain_forced(of_cell smallint, of_domain bigint) returns text language sql stable as $$
    select coalesce((select h.forced from domain_health h where h.cell = of_cell and h.domain_id = of_domain
                        and (h.force_until is null or h.force_until > now())),
                    (select 'down' from absence a where a.cell = of_cell and a.domain_id = of_domain
                        and a.starts_at <= now() and a.ends_at > now() limit 1))
$$;

-- An event, and whoever wants to know is told.
create function health_tell(event_id bigint, of_cell smallint, of_domain bigint, of_customer bigint, domain_name text,
                            event_type text, of_outage bigint, why text, data jsonb) returns bigint language plpgsql as $$
begin
    insert into health_event (cell, id, domain_id, type, detail, outage_id)
    select of_cell, event_id, of_domain, event_type, why, of_outage where exists (select from domain where id = of_domain);
    perform webhook_emit(event_id, event_type, of_customer,
                         jsonb_build_object('domain', domain_name, 'domain_id', id_text(of_domain)) || data);
    return event_id;
end $$;

-- What an outage has come to.  Held: recipients of messages that were readable; read and answered: by the flags of their copies.
create function outage_counts(o outage, out held bigint, out drained bigint, out remaining bigint, out read bigint,
                              out answered bigint, out uncertain bigint, out lost bigint) language sql stable as $$
    with happened as (
        select e.message_id, e.recipient, e.kind, e.detail, e.at from event e
         where e.cell = o.cell and e.at <= coalesce(o.ended_at, now())
           and e.id >= ((extract(epoch from o.started_at) * 1000)::bigint - 1704067201000) << 22 -- core/id.h, a second before
           and e.kind in ('held', 'delivered', 'uncertain', 'bounced', 'cancelled', 'rejected', 'discarded')
           and right(e.recipient, length(o.domain) + 1) = '@' || o.domain),
    shown as (select distinct message_id, recipient from happened where kind = 'held' and detail = 'readable in INBOX'),
    copies as (
        select c.message_id, bit_or(c.flags) as flags from mailbox_message c
         where c.cell = o.cell and c.message_id in (select message_id from shown) group by c.message_id)
    select (select count(*) from shown),
           (select count(*) from (select distinct message_id, recipient from happened where kind = 'delivered' and at >= o.started_at) d),
           (select count(*) from queue_entry q where q.cell = o.cell and q.domain_id = o.domain_id),
           (select count(*) from copies where flags & 1 <> 0), (select count(*) from copies where flags & 2 <> 0),
           (select count(*) from happened where kind = 'uncertain'),
           (select count(*) from shown s where not exists (select from happened h where h.message_id = s.message_id
               and h.recipient = s.recipient and h.kind in ('delivered', 'bounced', 'cancelled', 'rejected', 'discarded'))
              and not exists (select from queue_entry q where q.cell = o.cell and q.message_id = s.message_id
               and q.recipient = s.recipient))
$$;

-- The one place where an outage ends.  Returns how many ended: one or none.
create function outage_end(event_id bigint, of_cell smallint, of_domain bigint, why text, ended timestamptz) returns integer language plpgsql as $$
declare
    o outage;
    n record;
begin
    update outage set ended_at = ended, end_reason = why
     where cell = of_cell and domain_id = of_domain and ended_at is null returning * into o;
    if not found then
        return 0;
    end if;
    select * into n from outage_counts(o);
    update outage set held = n.held, drained = n.drained, remaining = n.remaining, read = n.read, answered = n.answered,
                      uncertain = n.uncertain, lost = n.lost
     where cell = o.cell and id = o.id;
    perform health_tell(event_id, o.cell, o.domain_id, o.customer_id, o.domain, 'outage.closed', o.id, why, jsonb_build_object(
        'outage', id_text(o.id), 'detection', o.detection, 'reason', o.reason, 'started_at', time_text(o.started_at),
        'ended_at', time_text(o.ended_at), 'held', n.held, 'drained', n.drained, 'remaining', n.remaining, 'read', n.read,
        'answered', n.answered, 'uncertain', n.uncertain, 'lost', n.lost,
        'duration_ms', (extract(epoch from o.ended_at - o.started_at) * 1000)::bigint,
        'time_to_detect_ms', (extract(epoch from o.started_at - coalesce(o.failing_at, o.started_at)) * 1000)::bigint,
        'time_to_readable_ms', (extract(epoch from o.shown_at - o.started_at) * 1000)::bigint,
        'time_to_drain_ms', (extract(epoch from o.ended_at - o.back_at) * 1000)::bigint));
    return 1;
end $$;
