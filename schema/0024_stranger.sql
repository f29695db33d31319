-- Posthouse, migration 24: what is asked of clients that nobody knows, before they may bring mail.
--
-- Directory tables, but for the two of greylisting, which grow with strangers: these lead with `cell`, are written in groups
-- (storage/greylist.c), and what is old is removed by maintenance.

create table dns_list (
    id         bigint primary key,
    zone       text not null,                -- lower case, no final dot
    answers    cidr[] not null,              -- which answers mean that the client is listed
    score      integer not null check (score between -1000 and 1000),
    label      text check (length(label) between 1 and 200),
    created_at timestamptz not null default now(),
    constraint dns_list_key unique (zone, answers)
);
comment on table dns_list is
    'A DNS list (RFC 5782). Clients in it add its score to their own, by which policies judge; a list of good clients has a score below 0';

create table client_policy (
    id              bigint primary key,
    customer_id     bigint,                  -- for the customer's domains; null: for all that have none of their own
    domain_id       bigint,                  -- for this domain only
    revision        integer not null default 1,
    label           text check (length(label) between 1 and 200),
    refuse_at       integer,                 -- from this score on mail is refused; null: never
    reverse_name    text not null default 'ignore' check (reverse_name in ('ignore', 'score', 'require')),
    reverse_score   integer not null default 0 check (reverse_score between -1000 and 1000), -- of a client without a confirmed name
    greylist        text not null default 'never' check (greylist in ('never', 'suspects', 'always')),
    greylist_at     integer,                 -- suspects: from this score on
    greylist_delay  integer not null default 300 check (greylist_delay between 1 and 86400), -- seconds
    greylist_passes integer not null default 10 check (greylist_passes between 0 and 1000000), -- then a client is known; 0: never
    created_at      timestamptz not null default now(),
    constraint client_policy_key unique nulls not distinct (customer_id, domain_id),
    constraint client_policy_customer_fkey foreign key (customer_id) references customer (id),
    constraint client_policy_domain_fkey foreign key (domain_id) references domain (id) on delete cascade,
    constraint client_policy_domain_customer check (domain_id is null or customer_id is not null),
    constraint client_policy_greylist_at check ((greylist = 'suspects') = (greylist_at is not null))
);
create index client_policy_domain on client_policy (domain_id);
comment on table client_policy is
    'What is asked of strangers who bring mail for a domain, for a customer''s domains, or for all; the most specific one holds, whole';

create table greylist (
    cell     smallint not null,              -- of the recipient's domain
    triple   bytea not null,                 -- 16 octets of a digest of client network, sender and recipient
    client   text not null,                  -- IPv4 address or block, IPv6 block
    first_at timestamptz not null,
    last_at  timestamptz not null,
    passes   integer not null,               -- how often it came after the delay
    primary key (cell, triple)
);
create index greylist_last on greylist (cell, last_at);
create index greylist_new on greylist (cell, last_at) where passes = 0;
comment on table greylist is 'Who came with mail from whom to whom, and since when';

create table greylist_client (
    cell    smallint not null,
    client  text not null,
    passes  integer not null,                -- triples that came again after the delay
    last_at timestamptz not null,
    primary key (cell, client)
);
create index greylist_client_last on greylist_client (cell, last_at);
comment on table greylist_client is 'Clients that come again, as mail servers do; after some passes they are not greylisted any more';

create trigger directory_changed after insert or update or delete on dns_list
    for each statement execute function directory_changed();
create trigger directory_changed after insert or update or delete on client_policy
    for each statement execute function directory_changed();
