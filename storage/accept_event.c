/*
 * accept_event: what a message's history begins with: that it was accepted and how, which alias or group led to whom,
 * what is held and why, and what went into a mailbox.  Part of the transaction that accepts (accept_batch.c).
 */
#include "storage/accept_event.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/id.h"

static const struct db_statement insert_events = {
    "accept_events", "insert into event (cell, id, at, message_id, recipient, kind, detail)"
                     " select * from unnest($1::smallint[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::text[], "
                     "$6::text[], $7::text[])"};

static const char *accepted_detail(struct arena *arena, const struct accept_message *m)
{
    char grant[ID_TEXT_SIZE];
    const char *how = m->client ? arena_printf(arena, "%s from %s", m->protocol, m->client) : m->protocol;

    return m->grant_id ? arena_printf(arena, "%s by grant %s", how, id_print(m->grant_id, grant)) : how;
}

#define EXPANDED_TOLD 100 /* targets that an event names */

/* "ann@x.test, bob@x.test and 3 more": those in this message, from the first on, that one alias or group led to. */
static struct slice expanded_detail(struct arena *arena, const struct accept_message *m, unsigned first)
{
    char *text = NULL;
    size_t size = 0;
    unsigned count = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        abort();
    for (unsigned i = first; i < m->recipient_count && m->recipients[i].original.p == m->recipients[first].original.p;
         i++)
        if (count++ < EXPANDED_TOLD)
            fprintf(out, "%s%.*s", i > first ? ", " : "", SLICE_ARG(m->recipients[i].address));
    if (count > EXPANDED_TOLD)
        fprintf(out, " and %u more", count - EXPANDED_TOLD);
    fclose(out);
    struct slice kept = arena_slice(arena, slice_of(text, size));
    free(text);
    return kept;
}

static bool is_expansion(const struct accept_message *m, unsigned i)
{
    return m->recipients[i].original.p && (!i || m->recipients[i - 1].original.p != m->recipients[i].original.p);
}

static unsigned count_expansions(struct accept_message *const *list, unsigned count)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < list[i]->recipient_count; j++)
            n += is_expansion(list[i], j);
    return n;
}

static unsigned count_held(struct accept_message *const *list, unsigned count)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < list[i]->recipient_count; j++)
            n += list[i]->recipients[j].hold.until_ms != 0;
    return n;
}

void accept_event_add(struct arena *arena, struct accept_message *const *list, unsigned count,
                      const struct accept_place *items, unsigned item_count, struct db_unit *unit)
{
    unsigned most = count + count_expansions(list, count) + count_held(list, count) + item_count, n = 0;
    int16_t *cells = arena_array(arena, most, sizeof *cells);
    int64_t *ids = arena_array(arena, most, sizeof *ids), *times = arena_array(arena, most, sizeof *times);
    int64_t *messages = arena_array(arena, most, sizeof *messages), now = clock_now_ms();
    struct slice *recipients = arena_array(arena, most, sizeof *recipients);
    struct slice *kinds = arena_array(arena, most, sizeof *kinds), *details = arena_array(arena, most, sizeof *details);
    struct params *p = db_unit_add(unit, &insert_events);

    for (unsigned i = 0; i < count; i++, n++) {
        const struct accept_message *m = list[i];

        messages[n] = m->id;
        kinds[n] = SLICE("accepted");
        details[n] = slice_str(accepted_detail(arena, m));
    }
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < list[i]->recipient_count; j++)
            if (is_expansion(list[i], j)) {
                messages[n] = list[i]->id;
                recipients[n] = list[i]->recipients[j].original;
                kinds[n] = SLICE("expanded");
                details[n++] = expanded_detail(arena, list[i], j);
            }
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < list[i]->recipient_count; j++)
            if (list[i]->recipients[j].hold.until_ms) {
                messages[n] = list[i]->id;
                recipients[n] = list[i]->recipients[j].address;
                kinds[n] = SLICE("held");
                details[n++] = hold_detail(arena, &list[i]->recipients[j].hold);
            }
    for (unsigned i = 0; i < item_count; i++, n++) {
        const struct accept_recipient *r = items[i].recipient;

        messages[n] = items[i].message->id;
        recipients[n] = r->address;
        kinds[n] = r->queue ? SLICE("held") : SLICE("filed");
        details[n] = r->queue ? SLICE("readable in INBOX") : (struct slice){NULL, 0};
    }
    for (unsigned i = 0; i < n; i++) {
        cells[i] = (int16_t)id_cell(messages[i]);
        ids[i] = id_make(id_cell(messages[i]));
        times[i] = now;
    }
    params_int16s(p, cells, n);
    params_int64s(p, ids, n);
    params_times(p, times, n);
    params_int64s(p, messages, n);
    params_texts(p, recipients, n);
    params_texts(p, kinds, n);
    params_texts(p, details, n);
}
