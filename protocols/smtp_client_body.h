#ifndef PROTOCOLS_SMTP_CLIENT_BODY_H
#define PROTOCOLS_SMTP_CLIENT_BODY_H
/*
 * smtp_client_body: a message's content in the form in which DATA, or BDAT, carries it.  Pure, fed in pieces of any
 * size.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/slice.h"

struct smtp_client_body {
    bool inside_line; /* since the last line end something was written */
    bool cr;          /* a CR was read, what follows is not known yet */
    bool chunked;     /* BDAT: dots mean nothing */
};
#define SMTP_CLIENT_BODY_INIT                                                                                          \
    {                                                                                                                  \
        false, false, false                                                                                            \
    }

/* out must hold 2 * in.n + 2 bytes.  How many were written. */
size_t smtp_client_body_encode(struct smtp_client_body *body, struct slice in, char *out);
/* The last line's end if it is missing, then, for DATA, the final dot; at most SMTP_CLIENT_BODY_END bytes. */
#define SMTP_CLIENT_BODY_END 6
size_t smtp_client_body_end(struct smtp_client_body *body, char *out);

/* How long BDAT's form of it is.  Zeroed is ready; fed in pieces of any size. */
struct smtp_client_body_size {
    size_t size;
    bool inside_line;
    bool cr;  /* the last byte was one, and is not counted yet */
    bool odd; /* it will be changed */
};
void smtp_client_body_count(struct smtp_client_body_size *size, struct slice in);
/* It is over.  clean: it is sent as it is. */
size_t smtp_client_body_counted(const struct smtp_client_body_size *size, bool *clean);

#endif
