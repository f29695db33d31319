-- Posthouse, migration 81: the beginning and the end of a maintenance window are told.
--
-- One that begins while an outage is open, or ends when its primary has died meanwhile, opens and closes none.

alter table absence add told smallint not null default 0; -- of a window: 1 its beginning, 2 its end
update absence set told = case when ends_at <= now() then 2 when starts_at <= now() then 1 else 0 end;
create index absence_untold on absence (cell) where kind = 'maintenance' and told < 2;
