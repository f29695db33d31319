-- Posthouse, migration 30: what a next hop's refusal was about, beside its words.

alter table event add class text;            -- of a deferral or a bounce: relay/reply_class.h
comment on column event.class is 'unknown-user, full, too-large, block-list, greylist, policy, protocol, temporary, refused, connection';
