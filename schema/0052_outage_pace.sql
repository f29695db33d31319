-- Posthouse, migration 52: how a queue is drained when its primary is back, by request.

alter table outage
    add pace         text not null default 'measured' check (pace in ('measured', 'fast')),
    add newest_first boolean not null default false;
