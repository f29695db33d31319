/*
 * continuity_policy: the table of fields, and reading.
 *
 * A row is read as pairs of name and text, and written so (provision_continuity.c): the statements know no column, and
 * a new one is a line of the table below.  PostgreSQL converts and has the last word by its own checks; what the API
 * lets through is what the line says.  A column that this program does not know is a newer node's, and is passed over.
 *
 * Rejected: one jsonb column instead of columns.  It would save the migration, and with it the checks and the names
 * that reports and people at a prompt go by.
 */
#include "storage/continuity_policy.h"

#include <stdlib.h>
#include <string.h>

#include "storage/cache.h"
#include "storage/carry_copy.h"
#include "storage/db.h"

#define AT(member) offsetof(struct continuity_policy, member)

static const char *const deleted_mail[] = {"deliver", "unless-deleted", "ask", NULL};
static const char *const deleted_then[] = {"release", "reject", NULL};
static const char *const accounts_words[] = {"none", "known", NULL};
static const char *const check_words[] = {"none", "smtp", "imap", NULL};
static const char *const releases[] = {"nothing", "held", "quarantine", "both", NULL};

const struct continuity_field continuity_fields[] = {
    {"probe_interval", CONTINUITY_NUMBER, AT(probe_interval), CONTINUITY_NOT_SET, 1, 3600, NULL},
    {"check_interval", CONTINUITY_NUMBER, AT(check_interval), 0, 0, 86400, NULL},
    {"probe_address", CONTINUITY_ADDRESS, AT(probe_address), 0, 0, 0, NULL},
    {"down_after", CONTINUITY_NUMBER, AT(down_after), 3, 1, 100, NULL},
    {"up_after", CONTINUITY_NUMBER, AT(up_after), 2, 1, 100, NULL},
    {"slow_after", CONTINUITY_NUMBER, AT(slow_after), 10000, 0, 600000, NULL},
    {"deleted_mail", CONTINUITY_WORD, AT(deleted_mail), CONTINUITY_DELETED_DELIVER, 0, 0, deleted_mail},
    {"deleted_hold_days", CONTINUITY_NUMBER, AT(deleted_hold_days), 7, 1, 365, NULL},
    {"deleted_then", CONTINUITY_WORD, AT(deleted_then), CONTINUITY_THEN_RELEASE, 0, 0, deleted_then},
    {"copy_keep_days", CONTINUITY_NUMBER, AT(copy_keep_days), CARRY_COPY_KEEP_DAYS, 0, 3650, NULL},
    {"accounts", CONTINUITY_WORD, AT(accounts), CONTINUITY_ACCOUNTS_NONE, 0, 0, accounts_words},
    {"accounts_max", CONTINUITY_NUMBER, AT(accounts_max), 10000, 1, 1000000, NULL},
    {"check_password", CONTINUITY_WORD, AT(check_password), CONTINUITY_CHECK_NONE, 0, 0, check_words},
    {"check_host", CONTINUITY_HOST, AT(check_host), 0, 0, 0, NULL},
    {"check_port", CONTINUITY_NUMBER, AT(check_port), CONTINUITY_NOT_SET, 1, 65535, NULL},
    {"show_held", CONTINUITY_FLAG, AT(show_held), 0, 0, 0, NULL},
    {"show_quarantine", CONTINUITY_FLAG, AT(show_quarantine), 0, 0, 0, NULL},
    {"owner_may_release", CONTINUITY_WORD, AT(owner_may_release), 0, 0, 0, releases},
};
const unsigned continuity_field_count = sizeof continuity_fields / sizeof *continuity_fields;

int32_t *continuity_number(struct continuity_policy *policy, const struct continuity_field *field)
{
    return (int32_t *)(void *)((char *)policy + field->offset);
}

struct slice *continuity_address(struct continuity_policy *policy, const struct continuity_field *field)
{
    return (struct slice *)(void *)((char *)policy + field->offset);
}

bool continuity_is_text(const struct continuity_field *field)
{
    return field->kind == CONTINUITY_ADDRESS || field->kind == CONTINUITY_HOST;
}

void continuity_policy_init(struct continuity_policy *policy)
{
    *policy = (struct continuity_policy){0};
    for (unsigned i = 0; i < continuity_field_count; i++)
        if (!continuity_is_text(&continuity_fields[i]))
            *continuity_number(policy, &continuity_fields[i]) = CONTINUITY_NOT_SET;
}

static const struct continuity_field *find(struct slice name)
{
    for (unsigned i = 0; i < continuity_field_count; i++)
        if (slice_equal(name, slice_str(continuity_fields[i].name)))
            return &continuity_fields[i];
    return NULL;
}

static int32_t word_index(const struct continuity_field *field, struct slice text)
{
    for (int32_t i = 0; field->words[i]; i++)
        if (slice_equal(text, slice_str(field->words[i])))
            return i;
    return CONTINUITY_NOT_SET; /* a newer node's */
}

static void take(struct arena *arena, struct continuity_policy *policy, const struct continuity_field *field,
                 struct slice text)
{
    switch (field->kind) {
    case CONTINUITY_NUMBER:
        *continuity_number(policy, field) = (int32_t)strtol(arena_slicedup(arena, text), NULL, 10);
        break;
    case CONTINUITY_FLAG: *continuity_number(policy, field) = slice_equal(text, SLICE("true")); break;
    case CONTINUITY_WORD: *continuity_number(policy, field) = word_index(field, text); break;
    case CONTINUITY_ADDRESS:
    case CONTINUITY_HOST: *continuity_address(policy, field) = text; break;
    }
}

static const struct db_statement read_row = {
    "continuity_policy_read",
    "select pair.key, pair.value from continuity_policy p, jsonb_each_text(to_jsonb(p)) pair"
    " where p.domain_id = $1::bigint and pair.value is not null",
};

AWAITS enum db_status continuity_policy_read(struct arena *arena, int64_t domain_id, struct continuity_policy *out)
{
    struct params params;
    struct rows *rows = NULL;

    continuity_policy_init(out);
    params_init(&params, arena);
    params_int64(&params, domain_id);
    if (cache_read(arena, &read_row, &params, 0, &rows) == DB_FAILED)
        return DB_FAILED;
    for (unsigned i = 0; i < rows_count(rows); i++) {
        const struct continuity_field *field = find(row_text(rows, i, 0));

        if (field)
            take(arena, out, field, row_text(rows, i, 1));
    }
    return DB_FOUND;
}

AWAITS enum db_status continuity_policy_of(struct arena *arena, int64_t domain_id, struct continuity_policy *out)
{
    enum db_status status = continuity_policy_read(arena, domain_id, out);

    for (unsigned i = 0; i < continuity_field_count; i++) {
        const struct continuity_field *field = &continuity_fields[i];

        if (!continuity_is_text(field) && *continuity_number(out, field) == CONTINUITY_NOT_SET)
            *continuity_number(out, field) = field->otherwise;
    }
    return status;
}
