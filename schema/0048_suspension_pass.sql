-- Posthouse, migration 48: when what waits was last looked through for a suspension's sake.

create table suspension_pass (
    suspension_id bigint primary key,
    at            timestamptz not null       -- when the last pass began; suspension is read by all workers, and so not written for it
);
comment on table suspension_pass is 'What waits is held when it is suspended: storage/suspension_wait.c';
