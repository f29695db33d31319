#ifndef RELAY_SRS_H
#define RELAY_SRS_H
/*
 * srs: the Sender Rewriting Scheme: whose envelope a message that we forward travels in, and back from that.  Pure.
 *
 *     SRS0=HHHHHH=TT=DOMAIN=LOCAL@OURS     of LOCAL@DOMAIN
 *     SRS1=HHHHHH=FIRST=REST@OURS          of what FIRST has rewritten, SRS0REST@FIRST (or SRS1 by another before us)
 *
 * HHHHHH: thirty bits of HMAC-SHA256 of all else, our domain included, in base32; TT: the day.  All of it may have its
 * case changed on the way.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

#define SRS_LOCAL_MAX 64    /* octets, RFC 5321 4.5.3.1.1 */
#define SRS_ADDRESS_MAX 254 /* 4.5.3.1.3, without brackets */

enum srs_written {
    SRS_WRITTEN,
    SRS_TOO_LONG, /* it does not fit into SRS_LOCAL_MAX */
    SRS_UNFIT,    /* a quoted local part, an address literal, a name of one label: nothing that it can carry */
};
/* sender: not empty; domain: ours, as name_domain() has it.  WRITTEN: *out, in the arena. */
enum srs_written srs_write(struct arena *arena, struct slice key, struct slice sender, struct slice domain,
                           int64_t now_ms, struct slice *out);

enum srs_read {
    SRS_NONE,   /* it does not look like one */
    SRS_READ,   /* *out is whose mail it was, which may be such an address itself */
    SRS_FORGED, /* by none of these keys, or spoiled */
    SRS_OLD,    /* ours, of more than days_max days ago */
};
/* The first key that fits will do. */
enum srs_read srs_read(struct arena *arena, const struct slice *keys, unsigned count, struct slice address,
                       int64_t now_ms, unsigned days_max, struct slice *out);

#endif
