/*
 * mime_content: what content rules ask about a message (relay/content_match.h).
 *
 * Fields are those of the message's own header, unfolded, with encoded words decoded; values are cut at
 * MIME_CONTENT_VALUE_MAX, and what stands behind MIME_CONTENT_HEADER_MAX bytes or MIME_CONTENT_FIELDS_MAX fields is not
 * looked at.  Parts are leaves that have a file name, in Content-Disposition or Content-Type, or are no text; a message
 * in the message is looked into, and what mime.c does not take apart is one part.  Nothing is unpacked or decoded: a
 * rule goes by what a part says that it is.
 */
#include "protocols/mime_content.h"

#include "protocols/mime_private.h"

#define PARTS_MAX 200

static struct slice decoded(struct arena *arena, struct slice value)
{
    char *text = g_mime_utils_header_decode_text(NULL, arena_slicedup(arena, value));
    struct slice kept = arena_slice(arena, slice_str(text));

    g_free(text);
    return kept;
}

/* Without the CRLFs of folding and the space around. */
static struct slice unfolded(struct arena *arena, struct slice raw)
{
    char *text = arena_alloc(arena, raw.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < raw.n && n < MIME_CONTENT_VALUE_MAX; i++)
        if (raw.p[i] != '\r' && raw.p[i] != '\n' && raw.p[i] != '\0' && (n || (raw.p[i] != ' ' && raw.p[i] != '\t')))
            text[n++] = raw.p[i];
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    return slice_of(text, n);
}

void mime_content_fields(struct arena *arena, struct slice header, struct content_message *out)
{
    struct content_field *fields = arena_array(arena, MIME_CONTENT_FIELDS_MAX, sizeof *fields);
    struct slice rest = slice_of(header.p, header.n < MIME_CONTENT_HEADER_MAX ? header.n : MIME_CONTENT_HEADER_MAX);
    struct slice name, raw;

    mime_start();
    while (out->field_count < MIME_CONTENT_FIELDS_MAX && mime_take_field(&rest, &name, &raw)) {
        if (!name.n)
            continue;
        const char *colon = memchr(raw.p, ':', raw.n);
        struct slice value = colon ? slice_skip(raw, (size_t)(colon - raw.p) + 1) : raw;

        fields[out->field_count++] = (struct content_field){name, decoded(arena, unfolded(arena, value))};
    }
    out->fields = fields;
}

static struct slice file_name(struct arena *arena, const struct mime_part *part)
{
    struct slice value = mime_field(arena, part->header, "Content-Disposition");
    struct slice name = {NULL, 0};

    if (value.n) {
        GMimeContentDisposition *disposition = g_mime_content_disposition_parse(NULL, arena_slicedup(arena, value));
        const char *found = g_mime_content_disposition_get_parameter(disposition, "filename");

        name = found ? arena_slice(arena, slice_str(found)) : name;
        g_object_unref(disposition);
    }
    return name.p ? name : mime_param(part, "name");
}

static void add_parts(struct arena *arena, const struct mime_part *part, struct content_part *parts, unsigned *count)
{
    for (; part && *count < PARTS_MAX; part = part->next) {
        struct slice name = part->multipart ? (struct slice){NULL, 0} : file_name(arena, part);

        if (name.p || (!part->multipart && !slice_equal_nocase(part->type, SLICE("text"))))
            parts[(*count)++] = (struct content_part){
                name, slice_str(arena_printf(arena, "%.*s/%.*s", SLICE_ARG(part->type), SLICE_ARG(part->subtype)))};
        add_parts(arena, part->child, parts, count);
    }
}

void mime_content_parts(struct arena *arena, struct slice bytes, struct content_message *out)
{
    struct content_part *parts = arena_array(arena, PARTS_MAX, sizeof *parts);

    mime_start();
    add_parts(arena, mime_parse(arena, bytes), parts, &out->part_count);
    out->parts = parts;
}
