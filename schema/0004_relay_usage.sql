-- Posthouse, migration 4: how much a relay grant permits in a minute, an hour and a day, and what was used of it.
--
-- Windows are those of the clock (UTC), so that one row tells all three.  What is used is counted in the
-- transaction that accepts a message: exactly once, whatever breaks.  Each worker counts in a row of its own,
-- as a row for all would make the commits of all workers wait for each other.

alter table relay_grant
    add messages_per_minute   bigint check (messages_per_minute > 0), -- null, here and below: no limit
    add messages_per_hour     bigint check (messages_per_hour > 0),
    add messages_per_day      bigint check (messages_per_day > 0),
    add recipients_per_minute bigint check (recipients_per_minute > 0),
    add recipients_per_hour   bigint check (recipients_per_hour > 0),
    add recipients_per_day    bigint check (recipients_per_day > 0),
    add bytes_per_day         bigint check (bytes_per_day > 0),
    add counted_by            text not null default 'grant' check (counted_by in ('grant', 'account'));

create table relay_usage (
    cell              smallint not null,     -- the grant's customer's
    grant_id          bigint not null,
    account_id        bigint not null,       -- 0: counted for the grant as a whole
    worker            smallint not null,     -- who counted
    minute            timestamptz not null,  -- the windows that the numbers are of
    hour              timestamptz not null,
    day               timestamptz not null,
    minute_messages   bigint not null,
    hour_messages     bigint not null,
    day_messages      bigint not null,
    minute_recipients bigint not null,
    hour_recipients   bigint not null,
    day_recipients    bigint not null,
    day_bytes         bigint not null,
    primary key (cell, grant_id, account_id, worker)
);
comment on table relay_usage is
    'What was sent by a relay grant with limits. Only the newest windows; swept by maintenance two days after the last use.';
