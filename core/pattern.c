/*
 * pattern: PCRE2, with limits.
 *
 * The interpreter, not the just-in-time compiler: it counts its steps, so that a pattern which backtracks for ever
 * against the text that its victim sends is given up after MATCH_STEPS; compiled code does not count all of them, needs
 * memory that is writable and executable, and would make a pattern that is used once a second dearer, not cheaper.
 *
 * Bytes that are no UTF-8 match nothing but negated classes (PCRE2_MATCH_INVALID_UTF).  \C, which would split
 * characters, is not permitted, and neither are callouts, as there is nobody to call.
 */
#include "core/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MATCH_STEPS 50000 /* some milliseconds */
#define MATCH_DEPTH 5000
#define MATCH_HEAP_KIB 1024
#define NEST_MAX 30
#define OPTIONS (PCRE2_UTF | PCRE2_CASELESS | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOTALL)
#define COMPILED_MAX (256 * 1024) /* "((a{99}){99}){99}" is 17 bytes */

struct pattern {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static pcre2_compile_context *compile_limits(void)
{
    static pcre2_compile_context *context;

    if (!context) {
        context = pcre2_compile_context_create(NULL);
        if (!context)
            abort();
        pcre2_set_max_pattern_length(context, PATTERN_MAX_BYTES);
        pcre2_set_parens_nest_limit(context, NEST_MAX);
    }
    return context;
}

static bool is_big(const pcre2_code *code)
{
    size_t size = 0;

    return pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size) != 0 || size > COMPILED_MAX;
}

struct pattern *pattern_new(struct slice text, char why[PATTERN_WHY_SIZE])
{
    int error = 0;
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR words[120] = "";
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)(text.n ? text.p : ""), text.n, OPTIONS, &error, &at, compile_limits());

    if (!code) {
        pcre2_get_error_message(error, words, sizeof words);
        snprintf(why, PATTERN_WHY_SIZE, "%s, at %zu", (const char *)words, (size_t)at);
        return NULL;
    }
    if (is_big(code)) {
        pcre2_code_free(code);
        snprintf(why, PATTERN_WHY_SIZE, "it is too big when it is compiled");
        return NULL;
    }
    struct pattern *pattern = malloc(sizeof *pattern);
    if (!pattern)
        abort();
    *pattern = (struct pattern){code, pcre2_match_data_create(1, NULL), pcre2_match_context_create(NULL)};
    if (!pattern->data || !pattern->limits)
        abort();
    pcre2_set_match_limit(pattern->limits, MATCH_STEPS);
    pcre2_set_depth_limit(pattern->limits, MATCH_DEPTH);
    pcre2_set_heap_limit(pattern->limits, MATCH_HEAP_KIB);
    return pattern;
}

void pattern_free(struct pattern **pattern)
{
    if (!*pattern)
        return;
    pcre2_match_context_free((*pattern)->limits);
    pcre2_match_data_free((*pattern)->data);
    pcre2_code_free((*pattern)->code);
    free(*pattern);
    *pattern = NULL;
}

enum pattern_answer pattern_match(const struct pattern *pattern, struct slice subject)
{
    int found = pcre2_match(pattern->code, (PCRE2_SPTR)(subject.n ? subject.p : ""), subject.n, 0, 0, pattern->data,
                            pattern->limits);

    if (found >= 0)
        return PATTERN_MATCHES;
    return found == PCRE2_ERROR_NOMATCH ? PATTERN_DIFFERS : PATTERN_TOO_HARD;
}
