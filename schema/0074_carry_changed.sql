-- Posthouse, migration 74: what is done in an outage with copies that are here since an earlier one is carried, too.
--
-- outage_report says how far the domain's kept copies are looked through; kept_account is null when all are.

alter table outage_report
    add kept_account bigint default 0,
    add kept_message bigint not null default 0;
create index carry_kept on carry (cell, domain_id, account_id, message_id) where state = 'kept';
