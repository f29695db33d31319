#ifndef RELAY_CONTENT_MATCH_H
#define RELAY_CONTENT_MATCH_H
/*
 * content_match: which content rule (storage/content_rule.h) a message falls under.  Pure.
 *
 * All that is asked about a message is given; text is UTF-8 with encoded words decoded, as far as it can be.  A message
 * with many recipients is asked about for each; what does not depend on the recipient is found out once.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "storage/content_rule.h"

struct content_field {
    struct slice name, value;
};
struct content_part { /* that has a name, or is no text and no multipart */
    struct slice name, type; /* name {NULL,0}: it has none; type: "application/zip" */
};
struct content_message {
    struct slice sender; /* "": the null sender */
    uint64_t size;
    const struct content_field *fields;
    unsigned field_count;
    const struct content_part *parts;
    unsigned part_count;
};

struct content_match {
    const struct content_rule *rules;
    unsigned count;
    const struct content_message *message;
    enum content_known { CONTENT_UNKNOWN, CONTENT_FITS, CONTENT_DIFFERS } * known; /* of each rule, without the recipient */
    unsigned too_hard;   /* patterns that were given up, or not begun as the time was over: they match nothing */
    uint64_t give_up_ms; /* clock_work_ms(); 0: never */
};

void content_match_begin(struct arena *arena, const struct content_rule *rules, unsigned count,
                         const struct content_message *message, struct content_match *out);
/* The first that fits, or NULL.  sender_domain, recipient: lower case, A-labels. */
const struct content_rule *content_match_find(struct content_match *match, bool outgoing, struct slice sender_domain,
                                              struct slice recipient);

/* Is there any rule that looks into the header, or at attachments? */
bool content_match_wants_fields(const struct content_rule *rules, unsigned count);
bool content_match_wants_parts(const struct content_rule *rules, unsigned count);

#endif
