#ifndef PROTOCOLS_SMTP_CLIENT_CHUNK_H
#define PROTOCOLS_SMTP_CLIENT_CHUNK_H
/* smtp_client_chunk: a message's content by BDAT (RFC 3030 section 2), to a next hop that offers CHUNKING. */
#include "protocols/smtp_client_internal.h"

enum smtp_client_chunk {
    SMTP_CLIENT_CHUNK_SENT, /* all is written; the reply is to come */
    SMTP_CLIENT_CHUNK_LOST, /* it is not complete; client->trouble says why */
    SMTP_CLIENT_CHUNK_HELD, /* may_finish() said no: it is not complete */
};

AWAITS enum smtp_client_chunk smtp_client_chunk_send(struct smtp_client *client,
                                                     const struct smtp_client_message *message);

#endif
