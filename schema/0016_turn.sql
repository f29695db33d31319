-- Posthouse, migration 16: whose server asks for its mail (ETRN, RFC 1985) has its primary probed at once.
alter table outage add column probe_wanted_at timestamptz;
