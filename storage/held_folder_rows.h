#ifndef STORAGE_HELD_FOLDER_ROWS_H
#define STORAGE_HELD_FOLDER_ROWS_H
/* held_folder_rows: what held_folder's files say of entries q of messages m.  Nobody else includes this. */

/* Held for some time yet, by something that its owner may see. */
#define HELD_FOLDER_HELD(q)                                                                                            \
    "(coalesce(" q ".held_until, '-infinity') > now() and coalesce(" q ".worker, -1) = -1 and " q                      \
    ".held_by not in ('sender', 'suspension', 'reader', 'drill'))"
/* Who would receive it here; or who sent it outside, or is not to send it: then its recipient does not see it. */
#define HELD_FOLDER_OWNER(q, m)                                                                                        \
    "(case when " q ".held_by = 'outgoing-rule' then " m ".account_id when " q ".account_id is not null then " q       \
    ".account_id when " q ".domain_id is null then " m ".account_id end)"
#define HELD_FOLDER_ROLE(q) "(case when " q ".quarantined then 'quarantine' else 'held' end)"

#endif
