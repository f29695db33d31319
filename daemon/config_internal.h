#ifndef DAEMON_CONFIG_INTERNAL_H
#define DAEMON_CONFIG_INTERNAL_H
/*
 * config_internal: what the files of config share.  Nobody else includes this.
 *
 *   config_table.c  the settings, and the sample made from them
 *   config.c        reading the file
 *   config_check.c  what a value must be beyond its type, and what goes together
 */
#include <stddef.h>
#include <stdio.h>

#include "daemon/config.h"

enum setting_type { SETTING_TEXT, SETTING_NUMBER, SETTING_DURATION, SETTING_SIZE, SETTING_SWITCH };

struct setting {
    const char *section, *key;
    enum setting_type type;
    size_t offset;
    const char *fallback; /* text as it would stand in the file; "" is unset */
    int64_t least, most;
    const char *meaning;
};

extern const struct setting config_settings[];
extern const unsigned config_setting_count;

#define CONFIG_HOUR INT64_C(3600000)

struct reader {
    const char *path;
    FILE *where;
    unsigned line, errors;
    struct config *config;
};

/* Tells an error; line 0: of no line. */
void config_complain(struct reader *reader, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A whole number. */
bool config_number(const char *text, int64_t *out);
/* Where it stands; 0: it is the default. */
unsigned config_line(const struct config *config, const char *section, const char *key);

/* After reading: tells what is wrong, and makes what is made from other settings. */
void config_check(struct reader *reader);

#endif
