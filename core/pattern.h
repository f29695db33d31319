#ifndef CORE_PATTERN_H
#define CORE_PATTERN_H
/*
 * pattern: a regular expression (PCRE2 syntax, UTF-8, case does not matter) that somebody else wrote, against text that
 * a stranger wrote.  Bounded both ways: a pattern has at most PATTERN_MAX_BYTES, and a match that takes more than so
 * many steps is given up.  Does not wait.
 */
#include <stdbool.h>

#include "core/slice.h"

#define PATTERN_MAX_BYTES 500
#define PATTERN_WHY_SIZE 160

struct pattern;

/* NULL: it is none, or is too big; why says so in words. */
struct pattern *pattern_new(struct slice text, char why[PATTERN_WHY_SIZE]);
void pattern_free(struct pattern **pattern);

enum pattern_answer { PATTERN_MATCHES, PATTERN_DIFFERS, PATTERN_TOO_HARD };
/* Anywhere in the subject. */
enum pattern_answer pattern_match(const struct pattern *pattern, struct slice subject);

#endif
