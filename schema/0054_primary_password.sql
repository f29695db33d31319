-- Posthouse, migration 54: passwords that are checked at the primary.

alter table account
    add password_primary_at timestamptz;
comment on column account.password_primary_at is
    'The hash and keys are of the password that last worked at the primary, since then; null: of a password of the account''s own';

alter table continuity_policy
    add check_password text check (check_password in ('none', 'smtp', 'imap')), -- may we ask the primary, and how
    add check_host     text,
    add check_port     integer check (check_port between 1 and 65535);
