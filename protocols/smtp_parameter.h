#ifndef PROTOCOLS_SMTP_PARAMETER_H
#define PROTOCOLS_SMTP_PARAMETER_H
/*
 * smtp_parameter: ESMTP parameters of MAIL and RCPT (RFC 5321 4.1.2), in three places: in a client's command, in the
 * database, and in our command to the next hop.  Pure; the tables in the .c are all there is to know of an extension.
 *
 * In the database parameters stand as SMTP writes them, "RET=HDRS ENVID=QQ314159"; whatever only sender and next hop
 * understand needs no column of its own.
 */
#include "core/arena.h"
#include "core/slice.h"
#include "protocols/smtp_parse.h"
#include "relay/envelope.h"

/*
 * What stands behind the path: a blank before each parameter.  Values are copied into the arena.  where:
 * SMTP_PARAMETER_*, which parameters are understood beside those that always are.  out->sender is not touched.
 */
const struct smtp_fault *smtp_parameter_mail(struct arena *arena, struct slice text, unsigned where,
                                             struct smtp_mail *out);
const struct smtp_fault *smtp_parameter_rcpt(struct arena *arena, struct slice text, struct envelope_rcpt *out);

/* Those of the given extensions (ENVELOPE_*), with a blank between them; p NULL: there is none. */
struct slice smtp_parameter_print_mail(struct arena *arena, const struct envelope_mail *envelope, unsigned extensions);
struct slice smtp_parameter_print_rcpt(struct arena *arena, const struct envelope_rcpt *envelope, unsigned extensions);

/* What was printed for the database.  What is not understood any more is left out. */
void smtp_parameter_read_mail(struct arena *arena, struct slice stored, struct envelope_mail *out);
void smtp_parameter_read_rcpt(struct arena *arena, struct slice stored, struct envelope_rcpt *out);

#endif
