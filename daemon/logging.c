/*
 * logging: checks and applies [daemon] log, log_level, log_levels.
 *
 * A reload may change all three, so what a file does not say goes back to its default: the log to stderr, each
 * module to log_level.
 */
#include "daemon/logging.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"

/* Takes the next MODULE=LEVEL from *rest.  False: none is left, or the word is not one; then it is in word. */
static bool next_level(const char **rest, char *word, size_t word_size, enum log_level *level)
{
    size_t n;
    char *equals;

    *rest += strspn(*rest, " \t,");
    n = strcspn(*rest, " \t,");
    snprintf(word, word_size, "%.*s", (int)n, *rest);
    *rest += n;
    equals = strchr(word, '=');
    if (!equals || equals == word || (size_t)(equals - word) >= LOG_MODULE_SIZE || n >= word_size ||
        !log_level_parse(equals + 1, level))
        return false;
    *equals = '\0';
    return true;
}

bool logging_check(const char *log_levels, char *error, size_t error_size)
{
    enum log_level level;
    unsigned count = 0;
    char word[80];

    while (next_level(&log_levels, word, sizeof word, &level))
        if (++count > LOG_MODULES_MAX) {
            snprintf(error, error_size, "more than %d exceptions", LOG_MODULES_MAX);
            return false;
        }
    if (!*word)
        return true;
    snprintf(error, error_size, "\"%s\" is not MODULE=LEVEL", word);
    return false;
}

void logging_apply(const struct config *config)
{
    enum log_level level = LOG_LEVEL_INFO;
    const char *rest = config->log_levels;
    char word[80];

    log_use_syslog(strcmp(config->log, "syslog") == 0);
    log_level_parse(config->log_level, &level);
    log_set_level(NULL, level);
    while (next_level(&rest, word, sizeof word, &level))
        log_set_level(word, level);
}
