-- Posthouse, migration 42: a destination that several cells have mail for is away, and back, in all of them together.

create index destination_by_key on destination (key);
comment on column destination.failures is 'in a row; the same in all cells that have mail for it';
