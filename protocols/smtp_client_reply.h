#ifndef PROTOCOLS_SMTP_CLIENT_REPLY_H
#define PROTOCOLS_SMTP_CLIENT_REPLY_H
/*
 * smtp_client_reply: what a next hop answers, line by line (RFC 5321 4.2), and what its EHLO offers.  Pure.
 *
 * A reply is bounded in lines and in the text that is kept.  The text goes into logs, events, the database and DSNs,
 * so it is made harmless here: one line of printable ASCII.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"
#include "relay/envelope.h"

#define SMTP_CLIENT_LINES_MAX 100
#define SMTP_CLIENT_TEXT_MAX 1000

struct smtp_client_reply {
    unsigned code;                       /* 200-599 */
    struct slice enhanced;               /* "5.1.1" (RFC 3463) of its first line, or empty */
    char text[SMTP_CLIENT_TEXT_MAX + 1]; /* "550 5.1.1 No such user; try elsewhere": lines joined by a space */
    size_t text_size;
    unsigned lines;
};

enum smtp_client_step {
    SMTP_CLIENT_MORE, /* a continuation follows */
    SMTP_CLIENT_DONE,
    SMTP_CLIENT_GARBAGE, /* no reply, or codes that contradict each other, or too long: give the connection up */
};

void smtp_client_reply_init(struct smtp_client_reply *reply);
/* One line without its end.  enhanced then points into reply->text. */
enum smtp_client_step smtp_client_reply_line(struct smtp_client_reply *reply, struct slice line);

/* What the server can do (RFC 5321 4.1.1.1). */
struct smtp_client_features {
    bool pipelining, eight_bit, chunking, starttls, size;
    uint64_t size_max;                    /* 0: no limit given */
    unsigned auth;                        /* SASL_HOP_*: mechanisms that we know, too */
    unsigned envelope;                    /* ENVELOPE_*: those whose parameters it understands */
    int64_t by_min;                       /* DELIVERBY: the least that it takes with R; 0: none given */
    unsigned mail_max;                    /* LIMITS (RFC 9422): transactions of a session; 0: not told, as below */
    unsigned recipients_max, domains_max; /* of a transaction; domains: different ones of its recipients */
};
/* number: 0 for the first line, which is a greeting and offers nothing. */
void smtp_client_features_line(struct smtp_client_features *features, unsigned number, struct slice line);

#endif
