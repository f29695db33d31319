/*
 * db_statement: a small number for each statement that was ever used in this process.
 *
 * Statements are static constants, so a pointer tells them apart; each connection keeps one bit of "prepared" for each
 * number.  Open addressing; nothing is ever removed, and twice the room is kept free.
 */
#include <assert.h>

#include "storage/db_private.h"

static struct {
    const struct db_statement *statement;
    unsigned number;
} known[DB_STATEMENTS_MAX * 2];
static unsigned known_count;

unsigned db_statement_number(const struct db_statement *statement)
{
    unsigned slot = (unsigned)(((uintptr_t)statement >> 4) * 2654435761u) % (DB_STATEMENTS_MAX * 2);

    while (known[slot].statement && known[slot].statement != statement)
        slot = (slot + 1) % (DB_STATEMENTS_MAX * 2);
    if (!known[slot].statement) {
        assert(known_count < DB_STATEMENTS_MAX);
        known[slot].statement = statement;
        known[slot].number = known_count++;
    }
    return known[slot].number;
}
