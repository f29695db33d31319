/*
 * log: logfmt lines to stderr or syslog.
 *
 * A line is built in one buffer and written by one write(2), so lines of several processes sharing
 * stderr do not mix.  It is cut at LOG_LINE bytes: a stranger's bytes cannot make it longer.
 *
 * Escaping: a value is left bare when it is made of letters, digits and "._-+:@/<>", otherwise quoted
 * with \" and \\ escaped, and every byte outside printable ASCII as \xHH.  So one event is one line, whatever
 * was in it, and no terminal escape gets through.
 *
 * syslog(3) may block when the local logger is stuck; that is the administrator's choice and is said in the
 * sample configuration.  stderr to a pipe that nobody reads would block as well: a supervisor's duty.
 */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"

#define LOG_LINE 2048

static const char *const level_names[] = {"debug", "info", "warn", "error", "none"};
static const char *program_name = "posthoused";
static bool to_syslog;
static enum log_level default_level = LOG_LEVEL_INFO;
static struct {
    char name[LOG_MODULE_SIZE];
    enum log_level level;
} modules[LOG_MODULES_MAX];
static unsigned module_count;
static const struct log_context *current;

struct line {
    char text[LOG_LINE + 1];
    size_t n;
};

static void line_byte(struct line *line, char c)
{
    if (line->n < LOG_LINE - 1)
        line->text[line->n++] = c;
}

static void line_text(struct line *line, const char *text)
{
    while (*text)
        line_byte(line, *text++);
}

static bool byte_is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("._-+:@/<>", c));
}

static void line_value(struct line *line, struct slice v)
{
    static const char hex[] = "0123456789abcdef";
    bool plain = v.n > 0;

    for (size_t i = 0; i < v.n && plain; i++)
        plain = byte_is_plain((unsigned char)v.p[i]);
    if (!plain)
        line_byte(line, '"');
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];

        if (c < 0x20 || c >= 0x7f) {
            line_text(line, "\\x");
            line_byte(line, hex[c >> 4]);
            line_byte(line, hex[c & 15]);
            continue;
        }
        if (c == '"' || c == '\\')
            line_byte(line, '\\');
        line_byte(line, (char)c);
    }
    if (!plain)
        line_byte(line, '"');
}

static void line_field(struct line *line, const struct log_field *field)
{
    char number[32];

    if (!field->key)
        return;
    line_byte(line, ' ');
    line_text(line, field->key);
    line_byte(line, '=');
    switch (field->kind) {
    case LOG_FIELD_TEXT: line_value(line, field->text); break;
    case LOG_FIELD_INT:
        snprintf(number, sizeof number, "%lld", (long long)field->number);
        line_text(line, number);
        break;
    case LOG_FIELD_ID: line_text(line, id_print(field->number, number)); break;
    }
}

static void line_send(struct line *line, enum log_level level)
{
    static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR, LOG_ERR};

    line->text[line->n] = '\0';
    if (to_syslog) {
        syslog(priorities[level], "%s", line->text);
        return;
    }
    line->text[line->n] = '\n';
    if (write(STDERR_FILENO, line->text, line->n + 1) < 0)
        return; /* nowhere to tell it */
}

void log_emit(const char *module, enum log_level level, const char *message, const struct log_field *fields,
              unsigned count)
{
    struct line line = {.n = 0};
    char stamp[CLOCK_RFC3339_SIZE];

    if (!to_syslog) { /* syslog has its own time stamp */
        line_text(&line, "time=");
        line_text(&line, clock_rfc3339(clock_now_ms(), stamp));
        line_byte(&line, ' ');
    }
    line_text(&line, "level=");
    line_text(&line, level_names[level]);
    line_text(&line, " module=");
    line_text(&line, module);
    if (current && current->session)
        line_field(&line, &(struct log_field){"session", LOG_FIELD_ID, {0}, current->session});
    if (current && current->peer)
        line_field(&line, &(struct log_field){"peer", LOG_FIELD_TEXT, slice_str(current->peer), 0});
    line_field(&line, &(struct log_field){"msg", LOG_FIELD_TEXT, slice_str(message), 0});
    for (unsigned i = 0; i < count; i++)
        line_field(&line, &fields[i]);
    line_send(&line, level);
}

void log_set_context(const struct log_context *context)
{
    current = context;
}

const struct log_context *log_context(void)
{
    return current;
}

void log_init(const char *program)
{
    program_name = program;
}

void log_use_syslog(bool on)
{
    if (on)
        openlog(program_name, LOG_PID, LOG_MAIL);
    else if (to_syslog)
        closelog();
    to_syslog = on;
}

void log_set_level(const char *module, enum log_level level)
{
    if (!module) {
        default_level = level;
        module_count = 0;
        return;
    }
    for (unsigned i = 0; i < module_count; i++)
        if (strcmp(modules[i].name, module) == 0) {
            modules[i].level = level;
            return;
        }
    if (module_count == LOG_MODULES_MAX)
        return;
    snprintf(modules[module_count].name, sizeof modules[0].name, "%s", module);
    modules[module_count++].level = level;
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

bool log_enabled(const char *module, enum log_level level)
{
    for (unsigned i = 0; i < module_count; i++)
        if (strcmp(modules[i].name, module) == 0)
            return level >= modules[i].level;
    return level >= default_level;
}

void log_fatal(int status, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (to_syslog)
        syslog(LOG_CRIT, "fatal: %s", text);
    fprintf(stderr, "%s: %s\n", program_name, text);
    exit(status);
}
