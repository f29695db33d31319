#ifndef CORE_LOG_H
#define CORE_LOG_H
/*
 * log: logfmt lines to stderr or syslog.
 *
 *     time=2026-11-23T20:25:14.123Z level=info module=smtp session=0k3... msg="message accepted" message=0k3...
 *     size=4096
 *
 * Five verbs, each with one meaning: debug (for us), info (what an administrator wants to see of normal
 * work), warn (somebody else's trouble), error (our trouble, we go on), fatal (the world is broken at
 * start-up; exits 78 for configuration, 1 otherwise).  Values are quoted and escaped here, so that a
 * stranger's bytes cannot forge a line.  Never pass secrets or message content.
 *
 * Each file that logs defines LOG_MODULE before including this.  The level is per module.
 *
 *     log_info("message accepted", log_id("message", id), log_int("size", n));
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_NONE };

struct log_field {
    const char *key; /* NULL: no field */
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_ID } kind;
    struct slice text;
    int64_t number;
};

static inline struct log_field log_str(const char *key, const char *value)
{
    return (struct log_field){key, LOG_FIELD_TEXT, slice_str(value ? value : ""), 0};
}
static inline struct log_field log_slice(const char *key, struct slice value)
{
    return (struct log_field){key, LOG_FIELD_TEXT, value, 0};
}
static inline struct log_field log_int(const char *key, int64_t value)
{
    return (struct log_field){key, LOG_FIELD_INT, {0}, value};
}
static inline struct log_field log_id(const char *key, int64_t value)
{
    return (struct log_field){key, LOG_FIELD_ID, {0}, value};
}

/* What every line of the current session or delivery carries.  Tasks keep their own across waits. */
struct log_context {
    int64_t session;  /* 0: none */
    const char *peer; /* address of the client or next hop, or NULL; must outlive the context */
};
void log_set_context(const struct log_context *context); /* NULL: none */
const struct log_context *log_context(void);

void log_init(const char *program);
void log_use_syslog(bool on);                                 /* else stderr, as in the beginning */
#define LOG_MODULES_MAX 32                                    /* with a level of their own; more are passed over */
#define LOG_MODULE_SIZE 24                                    /* of a module's name, with the NUL */
void log_set_level(const char *module, enum log_level level); /* module NULL: the default for all */
bool log_level_parse(const char *text, enum log_level *level);
bool log_enabled(const char *module, enum log_level level);

void log_emit(const char *module, enum log_level level, const char *message, const struct log_field *fields,
              unsigned count);
/* For start-up only: nothing a peer sends may reach it. */
void log_fatal(int status, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

#define LOG_FIELDS_(...) ((struct log_field[]){{0}, ##__VA_ARGS__})
#define LOG_AT_(level, message, ...)                                                                                   \
    do {                                                                                                               \
        if (log_enabled(LOG_MODULE, level))                                                                            \
            log_emit(LOG_MODULE, level, message, LOG_FIELDS_(__VA_ARGS__),                                             \
                     sizeof(LOG_FIELDS_(__VA_ARGS__)) / sizeof(struct log_field));                                     \
    } while (0)
#define log_debug(message, ...) LOG_AT_(LOG_LEVEL_DEBUG, message, ##__VA_ARGS__)
#define log_info(message, ...) LOG_AT_(LOG_LEVEL_INFO, message, ##__VA_ARGS__)
#define log_warn(message, ...) LOG_AT_(LOG_LEVEL_WARN, message, ##__VA_ARGS__)
#define log_error(message, ...) LOG_AT_(LOG_LEVEL_ERROR, message, ##__VA_ARGS__)

#endif
