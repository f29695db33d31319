#ifndef STORAGE_CARRY_KEYWORD_H
#define STORAGE_CARRY_KEYWORD_H
/*
 * carry_keyword: the two keywords by which a copy says what became of its delivery.  They are ours: no client sets them or
 * takes them away.  Pure.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

#define CARRY_HELD "$Held"           /* yet to be delivered */
#define CARRY_DELIVERED "$Delivered" /* its primary has it */

/* Is it one of the two, in letters of either case? */
bool carry_keyword_is(struct slice keyword) __attribute__((warn_unused_result));
/* Of keywords that a client gives those that are his to give; *count becomes how many these are. */
struct slice *carry_keyword_others(struct arena *arena, const struct slice *keywords, unsigned *count);

#endif
