/*
 * greylist: who came with mail from whom to whom.
 *
 * A triple (client network, sender, recipient) is kept as the first octets of a digest: it is only ever looked up, and
 * so takes the same room whatever a stranger says.  The client's network is kept beside it in clear, as what clients
 * earn by coming again is counted for it.
 *
 * What is seen is gathered for WRITE_MS, then written by two statements: the triples, and the clients.  Each adds up
 * what it finds twice, and goes in the order of the key, so that nodes do not wait for each other in a ring.  A batch
 * that fails is dropped: who was put off comes again anyway.
 *
 * Bounded: new triples by GREYLIST_RATE and, for each network, by GREYLIST_CLIENT_MAX (who is over it is put off and
 * not noted), what waits to be written by GREYLIST_PENDING_MAX; and storage/maintenance.c removes what did not come
 * again within two days or was not seen for 36, and the oldest of what is more than a cell may have.
 */
#include "storage/greylist.h"

#include <string.h>

#define LOG_MODULE "greylist"
#include "core/cidr.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"
#include "storage/db.h"
#include "storage/name.h"

#define WRITE_MS 200
#define CLIENT_SIZE 64
#define CLIENT_STALE_S (24 * 60 * 60) /* how often it is written that a known client still comes */

enum seen { SEEN_NEW, SEEN_AGAIN, SEEN_FIRST_PASS, SEEN_CLIENT };

struct note {
    int16_t cell;
    int64_t customer_id;
    enum seen seen;
    unsigned char triple[GREYLIST_TRIPLE_SIZE];
    char client[CLIENT_SIZE];
};

static struct note gathered[GREYLIST_PENDING_MAX];
static unsigned gathered_count;
static struct task_wait wait;
static bool waiting;

/* ------------------------------------------------------------------ looking */

bool greylist_key(struct arena *arena, unsigned cell, int64_t customer_id, const char *client, struct slice sender,
                  struct slice recipient, struct greylist_key *out)
{
    char block[CLIENT_SIZE];
    unsigned char digest[SECRET_SHA256_SIZE];
    struct slice from = name_key(arena, sender), to = name_key(arena, recipient);

    if (!cidr_block_of(client, 24, 64, block))
        return false;
    /* No address has a line feed. */
    secret_sha256(slice_str(arena_printf(arena, "%s\n%.*s\n%.*s", block, SLICE_ARG(to), SLICE_ARG(from))), digest);
    *out = (struct greylist_key){.cell = cell, .customer_id = customer_id, .client = arena_strdup(arena, block)};
    memcpy(out->triple, digest, sizeof out->triple);
    return true;
}

static const struct db_statement find = {
    "greylist_find",
    "select ceil(extract(epoch from g.first_at + $4::integer * interval '1 s' - now()))::integer, g.passes, c.passes,"
    "       extract(epoch from now() - c.last_at)::integer, extract(epoch from now() - g.last_at)::integer"
    "  from (select 1) one"
    "  left join greylist g on g.cell = $1::smallint and g.triple = $2::bytea"
    "  left join greylist_client c on c.cell = $1::smallint and c.customer_id = $5::bigint and c.client = $3::text",
};

static void judge(const struct rows *rows, unsigned delay_s, unsigned passes_max, struct greylist_answer *out)
{
    int64_t left;

    if (passes_max && !row_is_null(rows, 0, 2) && row_int64(rows, 0, 2) >= passes_max) {
        *out = (struct greylist_answer){.state = GREYLIST_KNOWN, .note = row_int64(rows, 0, 3) >= CLIENT_STALE_S};
        return;
    }
    if (row_is_null(rows, 0, 0)) {
        *out = (struct greylist_answer){.state = GREYLIST_NEW, .wait_s = delay_s, .note = true};
        return;
    }
    left = row_int64(rows, 0, 0);
    if (row_int64(rows, 0, 1) > 0) /* a longer delay since then is none of its business */
        left = 0;
    if (left > 0)
        *out = (struct greylist_answer){.state = GREYLIST_WAITING, .wait_s = (unsigned)left};
    else
        *out = (struct greylist_answer){.state = GREYLIST_PASSED,
                                        .first = row_int64(rows, 0, 1) == 0,
                                        .note = row_int64(rows, 0, 1) == 0 || row_int64(rows, 0, 4) >= CLIENT_STALE_S};
}

AWAITS enum db_status greylist_find(struct arena *arena, const struct greylist_key *key, unsigned delay_s,
                                    unsigned passes_max, struct greylist_answer *out)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int16(&params, (int16_t)key->cell);
    params_bytes(&params, slice_of((const char *)key->triple, sizeof key->triple));
    params_text(&params, slice_str(key->client));
    params_int32(&params, (int32_t)delay_s);
    params_int64(&params, key->customer_id);
    if (db_read(arena, &find, &params, &rows) != DB_FOUND)
        return DB_FAILED;
    judge(rows, delay_s, passes_max, out);
    return DB_FOUND;
}

/* ------------------------------------------------------------------ noting */

/* A bucket of GREYLIST_BURST that fills by GREYLIST_RATE a second. */
static bool may_note_new(void)
{
    static unsigned left = GREYLIST_BURST;
    static uint64_t filled_ms;
    uint64_t now = clock_steady_ms(), more = (now - filled_ms) * GREYLIST_RATE / 1000;

    if (more) {
        left = more < GREYLIST_BURST - left ? left + (unsigned)more : GREYLIST_BURST;
        filled_ms = now;
    }
    if (!left)
        return false;
    left--;
    return true;
}

void greylist_note(const struct greylist_key *key, const struct greylist_answer *answer)
{
    struct note *note = &gathered[gathered_count];

    if (!answer->note || gathered_count == GREYLIST_PENDING_MAX || (answer->state == GREYLIST_NEW && !may_note_new()))
        return;
    *note = (struct note){.cell = (int16_t)key->cell, .customer_id = key->customer_id};
    note->seen = answer->state == GREYLIST_NEW     ? SEEN_NEW
                 : answer->state == GREYLIST_KNOWN ? SEEN_CLIENT
                 : answer->first                   ? SEEN_FIRST_PASS
                                                   : SEEN_AGAIN;
    memcpy(note->triple, key->triple, sizeof note->triple);
    strncpy(note->client, key->client, CLIENT_SIZE - 1);
    gathered_count++;
    if (waiting) {
        waiting = false;
        task_wake(&wait);
    }
}

/*
 * passes: 1: it came after the delay.  A triple that is there already when a new one comes was put in by another node
 * meanwhile.  A batch may go over what a network may have by as much as it holds itself.
 */
static const struct db_statement write_triples = {
    "greylist_write",
    "with seen as (select n.cell, n.triple, min(n.client) as client, sum(n.passes) as passes"
    "                from unnest($1::smallint[], $2::bytea[], $3::text[], $4::integer[]) n (cell, triple, client, passes)"
    "               group by n.cell, n.triple),"
    "     full_up as (select c.cell, c.client from (select distinct cell, client from seen where passes = 0) c"
    "                  where $5::integer <= (select count(*) from (select from greylist w where w.cell = c.cell"
    "                                                               and w.client = c.client and w.passes = 0"
    "                                                               limit $5::integer) waiting))"
    " insert into greylist as g (cell, triple, client, first_at, last_at, passes)"
    " select s.cell, s.triple, s.client, now(), now(), s.passes from seen s"
    "  where s.passes > 0 or not exists (select from full_up f where f.cell = s.cell and f.client = s.client)"
    "  order by s.cell, s.triple"
    " on conflict (cell, triple) do update set last_at = now(), passes = least(g.passes + excluded.passes, 1000000)",
};
static const struct db_statement write_clients = {
    "greylist_write_clients",
    "insert into greylist_client as c (cell, customer_id, client, passes, last_at)"
    " select n.cell, n.customer_id, n.client, sum(n.passes), now()"
    "   from unnest($1::smallint[], $2::bigint[], $3::text[], $4::integer[]) n (cell, customer_id, client, passes)"
    "  group by n.cell, n.customer_id, n.client order by n.cell, n.customer_id, n.client"
    " on conflict (cell, customer_id, client)"
    " do update set last_at = now(), passes = least(c.passes + excluded.passes, 1000000)",
};

struct columns {
    int16_t *cells;
    int64_t *customer_ids;
    struct slice *triples, *clients;
    int32_t *passes;
    unsigned count;
};

static struct columns columns_new(struct arena *arena, unsigned room)
{
    return (struct columns){.cells = arena_array(arena, room, sizeof(int16_t)),
                            .customer_ids = arena_array(arena, room, sizeof(int64_t)),
                            .triples = arena_array(arena, room, sizeof(struct slice)),
                            .clients = arena_array(arena, room, sizeof(struct slice)),
                            .passes = arena_array(arena, room, sizeof(int32_t))};
}

static void columns_add(struct columns *columns, const struct note *note, int32_t passes)
{
    unsigned n = columns->count++;

    columns->cells[n] = note->cell;
    columns->customer_ids[n] = note->customer_id;
    columns->triples[n] = slice_of((const char *)note->triple, sizeof note->triple);
    columns->clients[n] = slice_str(note->client);
    columns->passes[n] = passes;
}

static AWAITS void write_gathered(void)
{
    struct arena *arena = arena_new(SIZE_MAX);
    unsigned count = gathered_count;
    struct note *notes = arena_memdup(arena, gathered, (count + 1) * sizeof *gathered);
    struct columns triples = columns_new(arena, count + 1), clients = columns_new(arena, count + 1);
    struct db_unit *unit = db_unit_new(arena);
    struct params *p;

    gathered_count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (notes[i].seen != SEEN_CLIENT)
            columns_add(&triples, &notes[i], notes[i].seen != SEEN_NEW);
        if (notes[i].seen == SEEN_FIRST_PASS || notes[i].seen == SEEN_CLIENT)
            columns_add(&clients, &notes[i], notes[i].seen == SEEN_FIRST_PASS);
    }
    unit->relaxed = true;
    p = db_unit_add(unit, &write_triples);
    params_int16s(p, triples.cells, triples.count);
    params_bytess(p, triples.triples, triples.count);
    params_texts(p, triples.clients, triples.count);
    params_int32s(p, triples.passes, triples.count);
    params_int32(p, GREYLIST_CLIENT_MAX);
    if (clients.count) {
        p = db_unit_add(unit, &write_clients);
        params_int16s(p, clients.cells, clients.count);
        params_int64s(p, clients.customer_ids, clients.count);
        params_texts(p, clients.clients, clients.count);
        params_int32s(p, clients.passes, clients.count);
    }
    if (db_unit_run(unit) != DB_DONE)
        log_info("who was seen is forgotten", log_int("count", count), log_str("error", unit->error.message));
    arena_free(&arena);
}

AWAITS void greylist_write_for_ever(void *unused)
{
    (void)unused;
    for (;;) {
        if (!gathered_count) {
            wait = (struct task_wait)TASK_WAIT_INIT;
            waiting = true;
            task_wait(&wait);
            task_sleep(WRITE_MS);
        }
        write_gathered();
    }
}

AWAITS void greylist_flush(void)
{
    if (gathered_count)
        write_gathered();
}

const char *greylist_state_word(enum greylist_state state)
{
    switch (state) {
    case GREYLIST_NEW: return "new";
    case GREYLIST_WAITING: return "waiting";
    case GREYLIST_PASSED: return "passed";
    case GREYLIST_KNOWN: break;
    }
    return "known";
}
