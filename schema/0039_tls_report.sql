-- Posthouse, migration 39: what is reported of connections to others' domains (SMTP TLS reporting, RFC 8460).

-- A domain's report of a day, until it has gone. Not by cell: it is the domain's, and one node's at a time.
create table tls_report_domain (
    day    date not null,                    -- UTC
    domain text not null,
    due_at timestamptz not null,             -- when it is sent, or tried again
    tries  integer not null default 0,
    primary key (day, domain)
);
create index tls_report_domain_due on tls_report_domain (due_at);
comment on table tls_report_domain is 'Reports that are to be sent: storage/tls_report.h';

create table tls_report (
    day         date not null,
    domain      text not null,
    key         text not null,               -- digest of the columns that follow, but for the last
    policy_type text not null,
    policy      text not null,               -- lines
    mx_patterns text not null,               -- lines
    result      text not null,               -- '': success
    mx          text not null,
    sending     text not null,               -- addresses
    receiving   text not null,
    reason      text not null,
    sessions    bigint not null,
    primary key (day, domain, key),
    foreign key (day, domain) references tls_report_domain on delete cascade
);
comment on table tls_report is 'Sessions that went alike, counted.';
