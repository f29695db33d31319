-- Posthouse, migration 73: a hop of a route may want DANE.

alter table route_hop drop constraint route_hop_tls_check;
alter table route_hop add constraint route_hop_tls_check check (tls in ('none', 'may', 'encrypt', 'verify', 'dane'));
