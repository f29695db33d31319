-- Posthouse, migration 61: how much mail to a domain goes in one transaction, and over one connection.

alter table delivery_policy
    add transaction_recipients integer check (transaction_recipients between 1 and 100), -- null: as the setting
    add connection_messages    integer check (connection_messages between 1 and 1000000);
