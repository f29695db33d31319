#ifndef CORE_ID_H
#define CORE_ID_H
/*
 * id: 64-bit identifiers, made here, unique without asking anybody.
 *
 *     milliseconds since 2024-01-01 (41 bits) | cell (8) | worker (10) | sequence (4)
 *
 * Sortable by time; the cell is in the id, so an id alone finds its row; printed as 13 letters of
 * base 32 (0-9, a-z without i l o u), most significant first, so the text sorts as the number does.
 * More than 16 ids of one cell in one millisecond borrow from the next millisecond.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

#define ID_TEXT_SIZE 14 /* 13 letters and NUL */
#define ID_CELLS 256
#define ID_WORKERS 1024

/* The worker's number (0-1023), leased from the database at start; see storage/node.h. */
void id_set_worker(unsigned worker);
unsigned id_worker(void);

int64_t id_make(unsigned cell);
unsigned id_cell(int64_t id);
int64_t id_ms(int64_t id); /* when it was made, ms since 1970 */
int64_t id_at(int64_t ms); /* not greater than any id that is made then, for ranges of ids by time */

char *id_print(int64_t id, char out[ID_TEXT_SIZE]);
/* Exactly 13 letters, either case; false otherwise. */
bool id_parse(struct slice text, int64_t *id);

#endif
