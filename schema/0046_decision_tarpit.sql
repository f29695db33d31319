-- Posthouse, migration 46: the event of a refusal tells how long its answer was held back.

alter table decision add tarpit_ms integer; -- null: it was not
