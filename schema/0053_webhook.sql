-- Posthouse, migration 53: webhooks: others are told of what happens.
--
-- What is told is written by the transaction in which it happens, with webhook_emit(), so that none is lost and none is told that did
-- not happen.  A worker takes a webhook for a while (lease_until) and sends what is due of it: daemon/webhooks.c.

create table webhook (
    id              bigint primary key,
    customer_id     bigint,                              -- null: everybody's events
    url             text not null,
    events          text[],                              -- types; null: all
    label           text check (length(label) between 1 and 200),
    secret          bytea not null,                      -- sealed: core/secret_ring.h
    enabled         boolean not null default true,
    created_at      timestamptz not null default now(),
    changed_at      timestamptz not null default now(),
    retry_at        timestamptz not null default now(),  -- nobody answered: not before
    lease_until     timestamptz not null default '-infinity',
    failures        integer not null default 0,          -- in a row
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_error      text,
    given_up        bigint not null default 0,           -- events that nobody took in time
    dropped         bigint not null default 0,           -- for which there was no room
    constraint webhook_customer_fkey foreign key (customer_id) references customer (id)
);
create index webhook_customer on webhook (customer_id);
comment on table webhook is 'Whom to tell of what happens';

create table webhook_delivery (
    webhook_id bigint not null,
    event_id   bigint not null,
    type       text not null,
    body       text not null,                            -- JSON, as it is sent
    created_at timestamptz not null default now(),
    due_at     timestamptz not null default now(),
    attempts   integer not null default 0,
    primary key (webhook_id, event_id),
    constraint webhook_delivery_webhook_fkey foreign key (webhook_id) references webhook (id) on delete cascade
);
create index webhook_delivery_created on webhook_delivery (created_at);
comment on table webhook_delivery is 'What a webhook has not been told yet';

-- As core/id.c prints ids.
create function id_text(id bigint) returns text language sql immutable strict as $$
    select string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', ((id >> (5 * n)) & 31)::integer + 1, 1), '' order by n desc)
      from generate_series(0, 12) n
$$;

-- As the API prints times.
create function time_text(at timestamptz) returns text language sql immutable strict as $$
    select to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- A webhook has at most 10,000 events waiting; what is more is counted and dropped.  The count is not waited for, so that who tells
-- something never waits for who sends.
create function webhook_emit(event_id bigint, event_type text, customer bigint, data jsonb) returns void language plpgsql as $$
declare
    told record;
begin
    for told in
        select w.id, (select count(*) from (select from webhook_delivery d where d.webhook_id = w.id limit 10000) waiting) >= 10000 as is_full
          from webhook w
         where w.enabled and (w.customer_id is null or w.customer_id = customer) and (w.events is null or event_type = any (w.events))
         order by w.id
    loop
        if told.is_full then
            update webhook set dropped = dropped + 1
             where id = (select id from webhook where id = told.id for no key update skip locked);
        else
            insert into webhook_delivery (webhook_id, event_id, type, body)
            values (told.id, event_id, event_type,
                    jsonb_build_object('type', event_type, 'timestamp', time_text(now()), 'data', data)::text)
            on conflict do nothing;
        end if;
    end loop;
end $$;
