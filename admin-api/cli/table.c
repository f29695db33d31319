/*
 * Printing for people.
 *
 * What is printed came from the database and may have come from a stranger (a remote server's reply): control
 * characters are shown as '?', so that nothing steers the terminal.  Widths are counted in code points, which
 * is right for what mail administrators have in names, if not for every script.
 */
#include "admin-api/cli/table.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* malloc'ed */
static char *printable(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        abort();
    for (char *p = copy; *p; p++) {
        /* C0, DEL, and C1, which in UTF-8 is C2 80 to C2 9F */
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
        else if ((unsigned char)p[0] == 0xc2 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] < 0xa0)
            p[0] = p[1] = '?';
    }
    return copy;
}

static char *list_text(struct json_object *list);

/* malloc'ed */
static char *value_text(struct json_object *value)
{
    if (!value)
        return printable("-");
    if (json_object_is_type(value, json_type_array))
        return list_text(value);
    if (json_object_is_type(value, json_type_object)) {
        struct json_object *host = NULL, *port = NULL, *priority = NULL;
        char hop[512];
        if (!json_object_object_get_ex(value, "host", &host) || !json_object_object_get_ex(value, "port", &port) ||
            !json_object_object_get_ex(value, "priority", &priority))
            return printable(json_object_to_json_string(value));
        snprintf(hop, sizeof hop, "%s port %s priority %s", json_object_get_string(host), json_object_get_string(port),
                 json_object_get_string(priority));
        return printable(hop);
    }
    return printable(json_object_get_string(value));
}

static char *list_text(struct json_object *list)
{
    size_t size = 1;
    char *text = calloc(1, 1);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        char *item = value_text(json_object_array_get_idx(list, i));
        size_t more = strlen(item) + 2;
        char *grown = realloc(text, size + more);
        if (!grown)
            abort();
        text = grown;
        snprintf(text + size - 1, more + 1, "%s%s", i > 0 ? ", " : "", item);
        size = strlen(text) + 1;
        free(item);
    }
    return text;
}

static char *cell_text(struct json_object *item, const char *column)
{
    struct json_object *value = NULL;
    json_object_object_get_ex(item, column, &value);
    return value_text(value);
}

void table_print(struct json_object *items, const char *const *columns)
{
    size_t count = json_object_array_length(items), widths[16] = {0}, n = 0;
    if (count == 0)
        return;
    for (; columns[n] && n < 16; n++) {
        widths[n] = strlen(columns[n]);
        for (size_t i = 0; i < count; i++) {
            char *text = cell_text(json_object_array_get_idx(items, i), columns[n]);
            widths[n] = width(text) > widths[n] ? width(text) : widths[n];
            free(text);
        }
    }
    for (size_t c = 0; c < n; c++)
        printf("%-*s%s", c + 1 < n ? (int)widths[c] : 0, columns[c], c + 1 < n ? "  " : "\n");
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < n; c++) {
            char *text = cell_text(json_object_array_get_idx(items, i), columns[c]);
            int padding = c + 1 < n ? (int)(widths[c] - width(text)) + 2 : 0;
            printf("%s%*s%s", text, padding, "", c + 1 < n ? "" : "\n");
            free(text);
        }
}

void table_print_one(struct json_object *object)
{
    size_t longest = 16;
    json_object_object_foreach(object, title, unused)
    {
        (void)unused;
        longest = strlen(title) > longest ? strlen(title) : longest;
    }
    json_object_object_foreach(object, name, value)
    {
        char *text = value_text(value);
        printf("%-*s %s\n", (int)longest, name, text);
        free(text);
    }
}
