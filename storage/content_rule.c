/*
 * content_rule: the list in memory.
 *
 * It is sorted by customer, priority and id, and a customer's rules are found by bisection; a customer without any
 * costs that.  The directory changes for many reasons, and compiling is dear, so the rules are read only when the
 * number of them, or the last time at which one was written, is another one.
 *
 * A pattern that this program cannot compile (a newer PCRE2 took it) makes its rule match nothing, and is logged.
 */
#include "storage/content_rule.h"

#include <stdlib.h>

#define LOG_MODULE "known"
#include "core/log.h"
#include "storage/db.h"

static struct arena *memory;
static struct content_rule *list;
static unsigned count;

static const char *const actions[] = {"hold", "quarantine", "refuse"};
static const char *const patterns[] = {"header_pattern", "sender_pattern", "recipient_pattern",
                                       "attachment_name_pattern", "attachment_type_pattern"};

const char *content_action_word(enum content_action action)
{
    return actions[action];
}

bool content_action_parse(struct slice word, enum content_action *out)
{
    for (unsigned i = 0; i < sizeof actions / sizeof *actions; i++)
        if (slice_equal(word, slice_str(actions[i]))) {
            *out = (enum content_action)i;
            return true;
        }
    return false;
}

const char *content_pattern_name(enum content_pattern which)
{
    return patterns[which];
}

/* ------------------------------------------------------------------ asking */

const struct content_rule *content_rules_of(int64_t customer_id, unsigned *found)
{
    unsigned low = 0, high = count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (list[middle].customer_id < customer_id)
            low = middle + 1;
        else
            high = middle;
    }
    for (*found = 0; low + *found < count && list[low + *found].customer_id == customer_id;)
        ++*found;
    return list + low;
}

/* ------------------------------------------------------------------ knowing */

static const struct db_statement read_version = {
    "content_rule_version",
    "select count(*), coalesce(sum(hashtextextended(id || ' ' || changed_at, 0)) % 9223372036854775807, 0)::bigint from content_rule"};
static const struct db_statement read_list = {
    "content_rule_list", "select " CONTENT_RULE_COLUMNS " from content_rule c left join domain d on d.id = c.domain_id"
                         " order by c.customer_id, c.priority, c.id limit $1::integer"};

void content_rule_of_row(const struct rows *rows, unsigned row, struct content_rule *out)
{
    *out = (struct content_rule){
        .id = row_int64(rows, row, 0),
        .customer_id = row_int64(rows, row, 1),
        .domain_id = row_is_null(rows, row, 2) ? 0 : row_int64(rows, row, 2),
        .domain = row_text(rows, row, 3),
        .label = row_text(rows, row, 4),
        .outgoing = row_bool(rows, row, 5),
        .priority = (int32_t)row_int64(rows, row, 6),
        .header = row_text(rows, row, 7),
        .size_over = row_is_null(rows, row, 13) ? -1 : row_int64(rows, row, 13),
        .reason = row_text(rows, row, 15),
        .hold_ms = row_int64(rows, row, 16) * 1000,
        .created_ms = row_time(rows, row, 18),
    };
    for (unsigned i = 0; i < CONTENT_PATTERNS; i++)
        out->text[i] = row_text(rows, row, 8 + i);
    if (!content_action_parse(row_text(rows, row, 14), &out->action))
        out->action = CONTENT_DO_HOLD; /* the table has no other words */
    hold_then_parse(row_text(rows, row, 17), &out->then);
}

static void forget(void)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < CONTENT_PATTERNS; k++)
            pattern_free(&list[i].compiled[k]);
    count = 0;
    arena_free(&memory);
}

static struct slice keep(struct slice text)
{
    return text.p ? arena_slice(memory, text) : text;
}

/* False: it cannot be asked. */
static bool compile(struct content_rule *rule)
{
    char why[PATTERN_WHY_SIZE];

    for (unsigned i = 0; i < CONTENT_PATTERNS; i++) {
        if (!rule->text[i].p || (rule->compiled[i] = pattern_new(rule->text[i], why)))
            continue;
        log_warn("a content rule has a pattern that cannot be used", log_id("rule", rule->id), log_str("why", why));
        for (unsigned k = 0; k < i; k++)
            pattern_free(&rule->compiled[k]);
        return false;
    }
    return true;
}

static void take(const struct rows *rows)
{
    forget();
    memory = arena_new(SIZE_MAX);
    list = arena_array(memory, rows_count(rows) + 1, sizeof *list);
    for (unsigned i = 0; i < rows_count(rows); i++) {
        struct content_rule *rule = &list[count];

        content_rule_of_row(rows, i, rule);
        rule->domain = keep(rule->domain);
        rule->label = keep(rule->label);
        rule->header = keep(rule->header);
        rule->reason = keep(rule->reason);
        for (unsigned k = 0; k < CONTENT_PATTERNS; k++)
            rule->text[k] = keep(rule->text[k]);
        count += compile(rule);
    }
}

AWAITS enum db_status content_rule_read(struct arena *arena)
{
    static int64_t known_count = -1, known_version;
    struct params params;
    struct rows *rows = NULL;
    int64_t now_count, version;

    params_init(&params, arena);
    if (db_read(arena, &read_version, &params, &rows) != DB_FOUND)
        return DB_FAILED;
    now_count = row_int64(rows, 0, 0);
    version = row_int64(rows, 0, 1);
    if (now_count == known_count && version == known_version)
        return DB_FOUND;
    params_int32(&params, 2 * CONTENT_RULES_MAX);
    if (db_read(arena, &read_list, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    take(rows);
    known_count = now_count;
    known_version = version;
    return DB_FOUND;
}
