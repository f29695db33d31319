-- Posthouse, migration 77: a drill waits for an outage that it has not made.
--
-- Else what is pretended would hold back mail of a primary that was away and has come back.

create or replace function domain_forced(of_cell smallint, of_domain bigint) returns text language sql stable as $$
    select coalesce((select h.forced from domain_health h where h.cell = of_cell and h.domain_id = of_domain
                        and (h.force_until is null or h.force_until > now())),
                    (select 'down' from absence a where a.cell = of_cell and a.domain_id = of_domain and a.account_id is null
                        and a.starts_at <= now() and a.ends_at > now()
                        and (a.kind <> 'drill' or not exists (select from outage o where o.cell = of_cell and o.domain_id = of_domain
                               and o.ended_at is null and o.id is distinct from a.outage_id)) limit 1))
$$;
