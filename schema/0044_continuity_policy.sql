-- Posthouse, migration 44: what a domain wants while its primary is away, and how that is found out.
--
-- One row for each domain that wants anything else than the defaults; null: the default.  A setting more is a column more here and a
-- line in storage/continuity_policy.c.

create table continuity_policy (
    domain_id      bigint primary key,
    probe_interval integer check (probe_interval between 1 and 3600),   -- seconds between probes while it is away
    check_interval integer check (check_interval between 0 and 86400),  -- the same while it is well; 0: not probed then
    probe_address  text,                                                -- a recipient to ask for in a probe
    down_after     integer check (down_after between 1 and 100),        -- failures in a row
    up_after       integer check (up_after between 1 and 100),          -- successes in a row
    slow_after     integer check (slow_after between 0 and 600000),     -- milliseconds; what answers later is degraded; 0: never
    constraint continuity_policy_domain_fkey foreign key (domain_id) references domain (id) on delete cascade
);
comment on table continuity_policy is 'What a domain wants while its primary is away: storage/continuity_policy.h';

create trigger directory_changed after insert or update or delete on continuity_policy
    for each statement execute function directory_changed();
