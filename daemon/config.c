/*
 * config: reads the configuration file against the table of settings (config_table.c).
 *
 * All errors are told, not only the first: an administrator fixes a file once.  What goes together (a
 * certificate without its key) is checked after reading, with the line of the setting at fault (config_check.c).
 */
#include "daemon/config_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_LINE 4096

void config_complain(struct reader *reader, unsigned line, const char *format, ...)
{
    va_list args;

    if (line)
        fprintf(reader->where, "%s:%u: ", reader->path, line);
    else
        fprintf(reader->where, "%s: ", reader->path);
    va_start(args, format);
    vfprintf(reader->where, format, args);
    va_end(args);
    fputc('\n', reader->where);
    reader->errors++;
}

/* -------- values */

struct unit {
    const char *name;
    int64_t factor;
};
static const struct unit durations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", CONFIG_HOUR}, {"d", 24 * CONFIG_HOUR}, {NULL, 0}};
static const struct unit sizes[] = {{"", 1}, {"K", 1024}, {"M", 1024 * 1024}, {"G", 1024 * 1024 * 1024}, {NULL, 0}};
static const struct unit none[] = {{"", 1}, {NULL, 0}};

static bool number_parse(const char *text, const struct unit *units, int64_t *out)
{
    char *end;
    long long n;

    errno = 0;
    n = strtoll(text, &end, 10);
    if (end == text || errno || n < 0)
        return false;
    for (; units->name; units++)
        if (strcmp(end, units->name) == 0)
            return !__builtin_mul_overflow((int64_t)n, units->factor, out);
    return false;
}

bool config_number(const char *text, int64_t *out)
{
    return number_parse(text, none, out);
}

static const char *value_set(struct config *config, const struct setting *s, const char *text)
{
    char *field = (char *)config + s->offset;
    int64_t number;

    switch (s->type) {
    case SETTING_TEXT: {
        char **out = (char **)(void *)field;

        free(*out);
        *out = strdup(text);
        return *out ? NULL : "out of memory";
    }
    case SETTING_SWITCH:
        if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
            return "must be yes or no";
        *(bool *)field = text[0] == 'y';
        return NULL;
    case SETTING_NUMBER:
        if (!number_parse(text, none, &number))
            return "must be a whole number";
        break;
    case SETTING_DURATION:
        if (!number_parse(text, durations, &number))
            return "must be a duration such as 500ms, 30s, 5m, 2h or 5d";
        break;
    case SETTING_SIZE:
        if (!number_parse(text, sizes, &number))
            return "must be a size such as 65536, 512K or 50M";
        break;
    }
    if (number < s->least || number > s->most)
        return "is out of range";
    *(int64_t *)(void *)field = number;
    return NULL;
}

/* -------- lines */

static char *trim(char *text)
{
    char *end;

    text += strspn(text, " \t");
    end = text + strlen(text);
    while (end > text && strchr(" \t\r\n", end[-1]))
        *--end = '\0';
    return text;
}

static bool section_known(const char *name)
{
    for (unsigned i = 0; i < config_setting_count; i++)
        if (strcmp(config_settings[i].section, name) == 0)
            return true;
    return false;
}

static void take_setting(struct reader *reader, const char *section, const char *key, const char *value)
{
    for (unsigned i = 0; i < config_setting_count; i++) {
        const struct setting *s = &config_settings[i];
        const char *problem;

        if (strcmp(s->section, section) != 0 || strcmp(s->key, key) != 0)
            continue;
        if (reader->config->lines[i]) {
            config_complain(reader, reader->line, "%s is set already in line %u", key, reader->config->lines[i]);
            return;
        }
        reader->config->lines[i] = reader->line;
        problem = value_set(reader->config, s, value);
        if (problem)
            config_complain(reader, reader->line, "%s %s", key, problem);
        return;
    }
    config_complain(reader, reader->line, "section [%s] has no setting %s", section, key);
}

static void take_line(struct reader *reader, char *line, char *section, size_t section_size)
{
    char *text = trim(line), *equals;

    if (*text == '\0' || *text == '#')
        return;
    if (*text == '[') {
        size_t n = strlen(text);

        section[0] = '\0';
        if (text[n - 1] != ']') {
            config_complain(reader, reader->line, "a section is written [name]");
            return;
        }
        text[n - 1] = '\0';
        text = trim(text + 1);
        if (section_known(text))
            snprintf(section, section_size, "%s", text);
        else
            config_complain(reader, reader->line, "there is no section [%s]", text);
        return;
    }
    equals = strchr(text, '=');
    if (!equals) {
        config_complain(reader, reader->line, "expected key = value");
        return;
    }
    if (!section[0]) {
        if (!reader->errors)
            config_complain(reader, reader->line, "a setting stands before the first [section]");
        return; /* of an unknown section: told already */
    }
    *equals = '\0';
    take_setting(reader, section, trim(text), trim(equals + 1));
}

/* -------- where it stands */

unsigned config_line(const struct config *config, const char *section, const char *key)
{
    for (unsigned i = 0; i < config_setting_count; i++)
        if (strcmp(config_settings[i].section, section) == 0 && strcmp(config_settings[i].key, key) == 0)
            return config->lines[i];
    return 0;
}

const char *config_where(const struct config *config, const char *section, const char *key, char *out, size_t size)
{
    unsigned line = config_line(config, section, key);

    if (line)
        snprintf(out, size, "%s:%u: [%s] %s", config->path, line, section, key);
    else
        snprintf(out, size, "%s: [%s] %s", config->path, section, key);
    return out;
}

/* -------- the file */

struct config *config_load(const char *path, FILE *where)
{
    struct reader reader = {.path = path, .where = where, .config = calloc(1, sizeof *reader.config)};
    char line[CONFIG_LINE], section[64] = "";
    FILE *file = fopen(path, "re");

    if (!reader.config || !(reader.config->path = strdup(path)))
        abort();
    if (!file) {
        config_complain(&reader, 0, "%s", strerror(errno));
        config_free(&reader.config);
        return NULL;
    }
    for (unsigned i = 0; i < config_setting_count; i++)
        value_set(reader.config, &config_settings[i], config_settings[i].fallback);
    while (fgets(line, sizeof line, file)) {
        reader.line++;
        if (!strchr(line, '\n') && !feof(file)) {
            config_complain(&reader, reader.line, "the line is longer than %d bytes", CONFIG_LINE - 2);
            break;
        }
        take_line(&reader, line, section, sizeof section);
    }
    fclose(file);
    config_check(&reader);
    if (reader.errors)
        config_free(&reader.config);
    return reader.config;
}

void config_free(struct config **config)
{
    if (!*config)
        return;
    for (unsigned i = 0; i < config_setting_count; i++)
        if (config_settings[i].type == SETTING_TEXT)
            free(*(char **)(void *)((char *)*config + config_settings[i].offset));
    free((*config)->default_route_host);
    free((*config)->path);
    free(*config);
    *config = NULL;
}
