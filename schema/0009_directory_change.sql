-- Posthouse, migration 9: what tells a change of the directory, so that look-ups can be remembered (storage/cache.c).
--
-- The sum of `number` is another one after each change.  It is a table of rows and not a sequence because a sequence moves before
-- the commit: who read it then would take what he reads next for the new state.  Each backend counts in a row of its own (but for
-- the rare ones that share a slot), so that changes do not wait for each other.  The notification is sent by the commit.

create table directory_change (
    slot   smallint primary key,
    number bigint not null default 0
);
insert into directory_change (slot) select generate_series(0, 63);

create function directory_changed() returns trigger language plpgsql as $$
begin
    update directory_change set number = number + 1 where slot = pg_backend_pid() % 64;
    perform pg_notify('posthouse_directory', '');
    return null;
end $$;

create trigger directory_changed after insert or update or delete on customer
    for each statement execute function directory_changed();
create trigger directory_changed after insert or update or delete on domain
    for each statement execute function directory_changed();
create trigger directory_changed after insert or update or delete on next_hop
    for each statement execute function directory_changed();
create trigger directory_changed after insert or update or delete on account
    for each statement execute function directory_changed();
create trigger directory_changed after insert or update or delete on alias
    for each statement execute function directory_changed();
create trigger directory_changed after insert or update or delete on network
    for each statement execute function directory_changed();
create trigger directory_changed after insert or update or delete on relay_grant
    for each statement execute function directory_changed();
-- By row: a delivery that fails again in an outage inserts none.
create trigger directory_changed after insert or update or delete on outage
    for each row execute function directory_changed();
