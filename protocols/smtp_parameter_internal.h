#ifndef PROTOCOLS_SMTP_PARAMETER_INTERNAL_H
#define PROTOCOLS_SMTP_PARAMETER_INTERNAL_H
/* smtp_parameter_internal: the two tables.  For smtp_parameter*.c only. */
#include "protocols/smtp_parameter.h"

struct smtp_parameter_mail_row {
    struct slice name;
    unsigned extension; /* ENVELOPE_*; 0: it ends here */
    unsigned only;      /* SMTP_PARAMETER_*: understood there only; 0: everywhere */
    const struct smtp_fault *(*read)(struct arena *arena, struct slice value, struct smtp_mail *out);
    const char *(*print)(struct arena *arena, const struct envelope_mail *envelope); /* NULL result: not given */
};
extern const struct smtp_parameter_mail_row smtp_parameter_mail_rows[];
extern const size_t smtp_parameter_mail_count;

struct smtp_parameter_rcpt_row {
    struct slice name;
    unsigned extension;
    bool stored; /* it stands in the database only, and no client can say it */
    const struct smtp_fault *(*read)(struct arena *arena, struct slice value, struct envelope_rcpt *out);
    const char *(*print)(struct arena *arena, const struct envelope_rcpt *envelope);
};
extern const struct smtp_parameter_rcpt_row smtp_parameter_rcpt_rows[];
extern const size_t smtp_parameter_rcpt_count;

/* Printable US-ASCII in xtext; it stands in a field of the report one day. */
bool smtp_parameter_is_printable(struct arena *arena, struct slice value);

#endif
