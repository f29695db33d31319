-- Posthouse, migration 55: holds by policy, until approval, and what else may become of them.
--
-- A hold waits until a time, or for approval: then held_until is the latest, and somebody is meant to decide before. When
-- held_until has come, held_then happens: it is delivered, its sender gets it back, or it is discarded, which its history
-- tells. Quarantined is what is held for what it contains: its owner sees it elsewhere, if at all.

alter table queue_entry
    add held_approval boolean not null default false, -- for somebody's approval, held_until at the latest
    add quarantined   boolean not null default false, -- with held_until
    drop constraint queue_entry_held_by_check,
    add constraint queue_entry_held_by_check
        check (held_by in ('sender', 'limit', 'administrator', 'suspension', 'reader', 'compromised', 'rule', 'breaker')),
    drop constraint queue_entry_held_then_check,
    add constraint queue_entry_held_then_check check (held_then in ('release', 'reject', 'discard'));
update queue_entry set held_approval = true where held_by = 'limit';

alter table relay_grant
    drop constraint relay_grant_hold_then_check,
    add constraint relay_grant_hold_then_check check (hold_then in ('release', 'reject', 'discard'));

alter table queue_action
    add message_id    bigint,                -- of the filter, as the next two
    add held_by       text,
    add in_quarantine boolean,               -- null: whether or not
    add held_approval boolean not null default false,
    add quarantined   boolean not null default false,
    drop constraint queue_action_kind_check,
    add constraint queue_action_kind_check
        check (kind in ('retry', 'hold', 'release', 'reject', 'expire', 'cancel', 'redirect', 'priority'));
