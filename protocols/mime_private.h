#ifndef PROTOCOLS_MIME_PRIVATE_H
#define PROTOCOLS_MIME_PRIVATE_H
/* What the mime*.c files share; they are GMime's room. */
#include <gmime/gmime.h>

#include "protocols/mime.h"

void mime_start(void);
/* How much of a list of addresses GMime may be given: it calls itself for a group in a group, on our small stacks. */
size_t mime_addresses_length(struct slice value);
struct mime_param *mime_params_of(struct arena *arena, GMimeParamList *list);
/*
 * Takes all up to the next field of that name, and it, off the front of *rest; value unfolded.  False: there is none.
 */
bool mime_next_field(struct arena *arena, struct slice *rest, struct slice wanted, struct slice *value);

#endif
