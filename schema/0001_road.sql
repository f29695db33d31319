-- Posthouse, migration 1: the road.
--
-- Two kinds of tables.  Directory tables are small, changed by administrators, and would be reference
-- tables on Citus.  Cell tables grow with mail: `cell` (0-255, the customer's) leads their primary key and
-- every foreign key among them, so that all that must be atomic is in one cell.  Ids are made by the daemon
-- (core/id.h) and carry their cell.  Times are timestamptz.  STATES.md tells the legal states.

-- ------------------------------------------------------------------ directory

-- Some rules span tables (an address is an account's or an alias, not both).  A transaction states such a
-- rule as a step: select refuse('rule') where <it is broken>; it then ends as if a constraint of that
-- name had been violated.
create function refuse(rule text) returns void language plpgsql as $$
begin
    raise exception using errcode = 'integrity_constraint_violation', message = rule, constraint = rule;
end $$;

create table customer (
    id         bigint primary key,
    cell       smallint not null check (cell between 0 and 255),
    name       text not null,
    state      text not null default 'active' check (state in ('active', 'suspended')),
    created_at timestamptz not null default now(),
    constraint customer_name_key unique (name),
    constraint customer_name_form check (length(name) between 1 and 200)
);
comment on table customer is 'The ISP''s subscriber. Everything it owns lives in its cell.';

create table domain (
    id          bigint primary key,
    cell        smallint not null,           -- the customer's, copied: the hot look-up needs no join
    customer_id bigint not null,
    name        text not null,               -- lower case, A-labels, no final dot
    kind        text not null check (kind in ('hosted', 'relay')),
    created_at  timestamptz not null default now(),
    constraint domain_name_key unique (name),
    constraint domain_customer_fkey foreign key (customer_id) references customer (id)
);
create index domain_customer on domain (customer_id);
comment on column domain.kind is 'hosted: mail ends in our mailboxes; relay: it goes on to next_hop, and is held while those are away';

create table next_hop (
    domain_id bigint not null references domain (id) on delete cascade,
    priority  integer not null default 10 check (priority between 0 and 65535), -- lower is tried first
    host      text not null,
    port      integer not null default 25 check (port between 1 and 65535),
    primary key (domain_id, priority, host, port)
);
comment on table next_hop is 'A relay domain''s route: its primary and what may stand in for it, in order';

create table account (
    id            bigint primary key,
    cell          smallint not null,
    customer_id   bigint not null,
    domain_id     bigint not null,
    address       text not null,             -- lower case; also the login name
    state         text not null default 'active' check (state in ('active', 'suspended')),
    password_hash text,                      -- crypt(3), yescrypt; null: no login
    scram_sha256  text,                      -- RFC 5803 form; made from the same password
    inbox_id      bigint not null,           -- mailbox.id of INBOX, made with the account
    created_at    timestamptz not null default now(),
    constraint account_address_key unique (address),
    constraint account_customer_fkey foreign key (customer_id) references customer (id),
    constraint account_domain_fkey foreign key (domain_id) references domain (id)
);
create index account_customer on account (customer_id);
create index account_domain on account (domain_id);

create table alias (
    address    text primary key,             -- lower case
    account_id bigint not null references account (id) on delete cascade,
    domain_id  bigint not null,
    created_at timestamptz not null default now(),
    constraint alias_domain_fkey foreign key (domain_id) references domain (id)
);
create index alias_account on alias (account_id);
comment on table alias is 'A further address of an account: it receives there and may send as it';

create table network (
    id          bigint primary key,
    customer_id bigint not null,
    cidr        cidr not null,
    created_at  timestamptz not null default now(),
    constraint network_cidr_key unique (cidr),
    constraint network_customer_fkey foreign key (customer_id) references customer (id)
);
create index network_cidr on network using gist (cidr inet_ops);
comment on table network is 'Clients in this block may relay without AUTH, sending as any domain of the customer';

create table api_token (
    id           bigint primary key,
    label        text not null,
    token_sha256 bytea not null unique,      -- tokens are 256 random bits, so a plain digest is enough
    created_at   timestamptz not null default now(),
    last_used_at timestamptz
);

create table installation (
    one      boolean primary key default true check (one),
    salt_key bytea not null
);
insert into installation (salt_key)
    select decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
comment on table installation is
    'What all nodes share. salt_key: unknown accounts get SCRAM salts made from it, the same on every node, so that they look like known ones';

create table audit_log (
    id       bigint primary key,
    at       timestamptz not null default now(),
    token_id bigint not null,
    method   text not null,
    path     text not null,
    status   integer not null,
    detail   text
);

-- ------------------------------------------------------------------ nodes and leases

create table worker (
    number    smallint primary key check (number between 0 and 1023), -- goes into ids
    node      text not null,
    pid       integer not null,
    started_at timestamptz not null,
    lease_until timestamptz not null,        -- past: the number may be taken over, its mail too
    delivers   boolean not null              -- takes cells; the admin process has a number only
);

create table cell_lease (
    cell        smallint primary key check (cell between 0 and 255),
    worker      smallint,                    -- null: free
    lease_until timestamptz
);
insert into cell_lease (cell) select generate_series(0, 255);
comment on table cell_lease is 'Who looks for due mail in a cell. Nobody competes for a queue entry.';

-- ------------------------------------------------------------------ cell tables

create table message (
    cell         smallint not null,
    id           bigint not null,
    customer_id  bigint not null,            -- whose mail this is (in whose cell it lies)
    account_id   bigint,                     -- who submitted or appended it; null: came from outside
    sender       text not null,              -- envelope; '' is the null sender
    size         bigint not null,            -- bytes, wire form
    eight_bit    boolean not null default false, -- BODY=8BITMIME
    received_at  timestamptz not null,
    client       text,                       -- address of the client
    helo         text,
    protocol     text not null,              -- SMTP, ESMTP, ESMTPS, ESMTPSA (RFC 3848), IMAP, LOCAL
    tls          text,                       -- version and cipher
    body_gone    boolean not null default false, -- nothing needed it any more; the row stays as history
    primary key (cell, id)
);
create index message_received on message (cell, received_at);
comment on table message is 'Stored once. Queue entries and mailbox items are rows that refer to it.';

create table message_body (
    cell       smallint not null,
    message_id bigint not null,
    seq        integer not null,             -- chunk number; each covers 256 KiB of the message
    data       bytea not null,               -- one zstd frame
    primary key (cell, message_id, seq)
);
alter table message_body alter column data set storage external;
comment on table message_body is
    'No foreign key: chunks of a long message are stored before its row; what has no row after a day is swept';

create table queue_entry (
    cell         smallint not null,
    id           bigint not null,
    message_id   bigint not null,
    recipient    text not null,
    domain_id    bigint,                     -- the relay domain; null: outside
    destination  text not null,              -- what goes up and down together: "domain:ID", "default", "mx:NAME"
    due_at       timestamptz not null,       -- not before (this recipient's own back-off)
    expires_at   timestamptz not null,       -- then it bounces
    attempts     integer not null default 0,
    last_reply   text,                       -- the remote's words, or ours
    last_attempt_at timestamptz,
    account_id   bigint,                     -- in a relay domain: whose INBOX shows it while held
    shown        boolean not null default false, -- it has been put there
    worker       smallint,                   -- in whose memory it is; null: waiting
    lease_until  timestamptz,
    primary key (cell, id),
    constraint queue_entry_message_fkey foreign key (cell, message_id) references message (cell, id),
    constraint queue_entry_lease check ((worker is null) = (lease_until is null))
);
create index queue_entry_waiting on queue_entry (cell, destination, id) where worker is null;
create index queue_entry_leased on queue_entry (cell, lease_until) where worker is not null;
create index queue_entry_message on queue_entry (cell, message_id);
create index queue_entry_domain on queue_entry (cell, domain_id, id) where domain_id is not null;
create index queue_entry_unshown on queue_entry (cell, domain_id, id) where not shown and account_id is not null;
create index queue_entry_expires on queue_entry (cell, expires_at);

create table destination (
    cell        smallint not null,
    key         text not null,
    due_at      timestamptz not null,        -- nothing is claimed for it before
    failures    integer not null default 0,  -- connection failures in a row
    last_error  text,
    primary key (cell, key)
);
create index destination_due on destination (cell, due_at);
comment on table destination is
    'Exists while mail waits for it. A dead server costs one retry per interval, whatever waits.';

create table outage (
    cell       smallint not null,
    id         bigint not null,
    domain_id  bigint not null,
    started_at timestamptz not null,
    reason     text not null,
    ended_at   timestamptz,
    primary key (cell, id)
);
create unique index outage_open on outage (cell, domain_id) where ended_at is null;
create index outage_domain on outage (domain_id, started_at);

create table mailbox (
    cell        smallint not null,
    id          bigint not null,
    account_id  bigint not null,
    name        text not null,               -- UTF-8, '/' between levels, INBOX in capitals
    uidvalidity bigint not null,
    uidnext     bigint not null default 1,
    modseq      bigint not null default 1,   -- grows with every change in it
    special_use text,                        -- \Sent and so on (RFC 6154)
    subscribed  boolean not null default true,
    primary key (cell, id),
    constraint mailbox_name_key unique (cell, account_id, name)
);

create table mailbox_message (
    cell        smallint not null,
    mailbox_id  bigint not null,
    uid         bigint not null,
    message_id  bigint not null,
    flags       integer not null default 0,  -- bits, storage/mailbox.h
    keywords    text[] not null default '{}',
    internal_at timestamptz not null,
    size        bigint not null,             -- the message's, copied: SIZE and LIST need no join
    modseq      bigint not null,
    primary key (cell, mailbox_id, uid),
    constraint mailbox_message_mailbox_fkey foreign key (cell, mailbox_id) references mailbox (cell, id),
    constraint mailbox_message_message_fkey foreign key (cell, message_id) references message (cell, id)
);
create index mailbox_message_message on mailbox_message (cell, message_id);
create index mailbox_message_modseq on mailbox_message (cell, mailbox_id, modseq);

create table message_release (
    cell       smallint not null,
    message_id bigint not null,
    primary key (cell, message_id)
);
comment on table message_release is 'Messages that lost a reference; maintenance looks whether their body is still needed';

create table event (
    cell       smallint not null,
    id         bigint not null,              -- made with the event: its time is in it
    at         timestamptz not null,
    message_id bigint not null,
    recipient  text,
    kind       text not null,                -- accepted, delivered, deferred, bounced, held, filed, ...
    detail     text,                         -- the remote's reply, the grant, the reason
    primary key (cell, id, at)
) partition by range (at);
create index event_message on event (cell, message_id, id);
create table event_default partition of event default;
comment on table event is 'Every step of a message. Partitioned by week: expiry is a DROP. See storage/maintenance.';

-- Makes the partitions of this week and the next two, drops those that ended before the given age. Called by maintenance;
-- one node at a time, the others pass.
create function event_partitions(keep interval) returns void language plpgsql as $$
declare
    week date;
    part text;
begin
    if not pg_try_advisory_xact_lock(hashtext('posthouse event_partitions')) then
        return;
    end if;
    for week in select generate_series(date_trunc('week', now()), now() + interval '2 weeks', interval '1 week')::date loop
        part := 'event_' || to_char(week, 'YYYYMMDD');
        if to_regclass(part) is null then
            execute format('create table %I partition of event for values from (%L) to (%L)',
                           part, week || ' 00:00+00', (week + 7) || ' 00:00+00');
        end if;
    end loop;
    for part, week in
        select c.relname, to_date(substr(c.relname, 7), 'YYYYMMDD')
          from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'event'::regclass and c.relname ~ '^event_[0-9]{8}$' loop
        if week + 7 < now() - keep then
            execute format('drop table %I', part);
        end if;
    end loop;
end
$$;
select event_partitions(interval '14 days');
