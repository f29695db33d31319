#ifndef PROTOCOLS_IMAP_CLIENT_INTERNAL_H
#define PROTOCOLS_IMAP_CLIENT_INTERNAL_H
/*
 * imap_client_internal: what imap_client.c (the connection), imap_client_login.c, imap_client_command.c and
 * imap_client_append.c share.
 */
#include "core/stream.h"
#include "protocols/imap_client.h"

struct imap_client {
    struct imap_client_settings settings;
    struct stream *stream;
    struct arena *scratch; /* of one response */
    char *host;
    unsigned capabilities;
    bool capabilities_known;
    unsigned tag;
    uint64_t deadline; /* steady clock; 0: none */
    bool broken;
    char text[IMAP_CLIENT_TEXT_MAX + 1];
    char code[32]; /* of the last tagged answer */
    struct imap_client_uid code_uid; /* of COPYUID, APPENDUID */
    uint32_t validity;               /* of the mailbox that was selected last */
};

/* What an untagged response is given to; it lives until return. */
typedef void imap_client_data_fn(struct imap_client *client, const struct imap_client_response *response, void *arg);

/* Writes the tag of a new command, and a space. */
void imap_client_begin(struct imap_client *client);
/* A quoted string.  False: it cannot be one; nothing was written. */
bool imap_client_quote(struct imap_client *client, struct slice text) __attribute__((warn_unused_result));
/* The answer to the command that was begun last.  data: NULL, nothing is wanted. */
AWAITS enum imap_client_answer imap_client_await(struct imap_client *client, imap_client_data_fn *data, void *arg)
    __attribute__((warn_unused_result));
/* Until the server says "+": OK.  NO: it has refused the command instead. */
AWAITS enum imap_client_answer imap_client_await_continue(struct imap_client *client)
    __attribute__((warn_unused_result));
/* An imap_client_data_fn. */
void imap_client_on_capability(struct imap_client *client, const struct imap_client_response *response, void *arg);
/* Asks for the capabilities, if they are not known. */
AWAITS bool imap_client_learn(struct imap_client *client) __attribute__((warn_unused_result));
enum imap_client_answer imap_client_lose(struct imap_client *client, const char *why);
enum imap_client_answer imap_client_refuse(struct imap_client *client, const char *why); /* NO, by us */
/* " (\\Seen word)", without \Recent and without what no keyword may be. */
void imap_client_write_flags(struct imap_client *client, unsigned flags, const struct slice *keywords, unsigned count);

#endif
