#ifndef STORAGE_CONTINUITY_POLICY_H
#define STORAGE_CONTINUITY_POLICY_H
/*
 * continuity_policy: what a domain wants while its primary is away, and how that is found out.
 *
 * A setting is a column of the table continuity_policy, a member of the struct, and a line of the table of fields in
 * continuity_policy.c: reading, writing and the API (admin-api/continuity_policies.c) follow from that line.  What is
 * left to do is a member in openapi.json, an option in admin-api/cli/grant.c and usage.c, and the documents.
 *
 * The write side is storage/provision_continuity.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define CONTINUITY_NOT_SET INT32_MIN

enum continuity_accounts { CONTINUITY_ACCOUNTS_NONE, CONTINUITY_ACCOUNTS_KNOWN };
enum continuity_check { CONTINUITY_CHECK_NONE, CONTINUITY_CHECK_SMTP, CONTINUITY_CHECK_IMAP };

/* A number, flag (0, 1) or word (its index) that is not set is CONTINUITY_NOT_SET; a text {NULL,0}. */
enum { CONTINUITY_DELETED_DELIVER, CONTINUITY_DELETED_UNLESS, CONTINUITY_DELETED_ASK }; /* deleted_mail */
enum { CONTINUITY_THEN_RELEASE, CONTINUITY_THEN_REJECT };                               /* deleted_then */

struct continuity_policy {
    int32_t probe_interval; /* seconds, while the primary is away; NOT_SET: delivery.probe_interval */
    int32_t check_interval; /* seconds, while it is well; 0: not probed then */
    int32_t down_after, up_after;
    int32_t slow_after; /* ms; 0: never */
    struct slice probe_address;
    int32_t deleted_mail; /* what becomes of mail that its reader deleted before it was delivered; a word's index */
    int32_t deleted_hold_days, deleted_then;
    int32_t copy_keep_days; /* how long copies stay after the delivery */
    int32_t accounts;       /* enum continuity_accounts: who gets one in an outage */
    int32_t accounts_max;   /* of the domain, in state "continuity" */
    int32_t check_password; /* enum continuity_check: may the primary be asked for passwords, and how */
    struct slice check_host;
    int32_t check_port; /* NOT_SET: 587, 993 */
    int32_t show_held, show_quarantine; /* flags: storage/held_folder.h, which asks the table */
    int32_t owner_may_release;          /* word */
};

struct continuity_field {
    const char *name; /* of the column, and of the member in the API */
    enum continuity_kind {
        CONTINUITY_NUMBER,
        CONTINUITY_FLAG,
        CONTINUITY_WORD,
        CONTINUITY_ADDRESS,
        CONTINUITY_HOST
    } kind;
    size_t offset;            /* in struct continuity_policy: an int32_t, of ADDRESS and HOST a slice */
    int32_t otherwise;        /* what not set means; NOT_SET: who reads it knows */
    int32_t min, max;         /* of NUMBER */
    const char *const *words; /* of WORD; NULL-terminated */
};

extern const struct continuity_field continuity_fields[];
extern const unsigned continuity_field_count;

int32_t *continuity_number(struct continuity_policy *policy, const struct continuity_field *field);
struct slice *continuity_address(struct continuity_policy *policy, const struct continuity_field *field);
bool continuity_is_text(const struct continuity_field *field); /* of kind ADDRESS or HOST: continuity_address() */
/* Nothing is set. */
void continuity_policy_init(struct continuity_policy *policy);

/* With the defaults where nothing is set.  FOUND, or FAILED.  Remembered by storage/cache.h, so it costs little. */
AWAITS enum db_status continuity_policy_of(struct arena *arena, int64_t domain_id, struct continuity_policy *out)
    __attribute__((warn_unused_result));
/* As it is written; also FOUND when there is no row, and then nothing is set. */
AWAITS enum db_status continuity_policy_read(struct arena *arena, int64_t domain_id, struct continuity_policy *out)
    __attribute__((warn_unused_result));

#endif
