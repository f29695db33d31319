#ifndef STORAGE_NAME_H
#define STORAGE_NAME_H
/*
 * name: the forms in which names stand in the directory; pure.
 *
 * What an administrator gives is checked and brought to the one form that look-ups compare with: lower
 * case, A-labels, NFC, no final dot, no quoted local parts.  False means that it is no such name; nothing is
 * repaired beyond that.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

/* A domain name of at least two labels (RFC 1123 2.1, RFC 5321 4.1.2: letters, digits, hyphen). */
bool name_domain(struct arena *arena, struct slice in, struct slice *out);
/* Dot-string @ domain (RFC 5321 4.1.2, RFC 6531 3.3), at most 64 and 254 octets (4.5.3.1.1, 4.5.3.1.3). */
bool name_address(struct arena *arena, struct slice in, struct slice *out);
/*
 * What any address, or what a stranger says is one, is looked up as: equal for all spellings of one that name_address()
 * took.
 */
struct slice name_key(struct arena *arena, struct slice address);
/* What follows the '@' of an address that name_address() made. */
struct slice name_address_domain(struct slice address);
/* A host that mail is sent to: a name (one label will do) or an IPv4 or IPv6 address without brackets. */
bool name_host(struct arena *arena, struct slice in, struct slice *out);
/* "192.0.2.0/24", "2001:db8::/32"; a plain address is a block of one. False also when host bits are set, and for
 * IPv4 written as IPv6 ("::ffff:192.0.2.0/120"). */
bool name_cidr(struct arena *arena, struct slice in, struct slice *out);

#endif
