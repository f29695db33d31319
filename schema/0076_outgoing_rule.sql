-- Posthouse, migration 76: what a content rule for outgoing mail holds is told from what one for incoming mail holds.
--
-- Its recipient, who may be another customer's, neither sees it nor ends it. What is held by rules already is not told apart: it
-- is over after the rules' hold_seconds.

alter table queue_entry
    drop constraint queue_entry_held_by_check,
    add constraint queue_entry_held_by_check check (held_by in ('sender', 'limit', 'administrator', 'suspension', 'reader',
        'compromised', 'rule', 'breaker', 'drill', 'outgoing-rule'));
