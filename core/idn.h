#ifndef CORE_IDN_H
#define CORE_IDN_H
/*
 * idn: internationalised domain names (IDNA2008, RFC 5890) and the little of Unicode that addresses need.  The only
 * place that sees libidn2 and GLib's Unicode tables, but for MIME.  Pure; what is ASCII costs no more than a look at
 * its bytes.
 *
 * Inside, domains are in lower case and A-labels ("xn--bcher-kva.example"): what is compared, stored, and looked up in
 * DNS.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

bool idn_is_ascii(struct slice text);
/* RFC 3629: no overlong form, no surrogate, nothing beyond U+10FFFF. */
bool idn_is_utf8(struct slice text);
/* UTF-8 that can be read: nothing that is blank, invisible, not assigned, or turns the direction of what follows. */
bool idn_is_graphic(struct slice text);

/*
 * The one form of a domain: lower case, A-labels.  Only labels that are not ASCII are judged: false if one of them is
 * no label by IDNA2008, or too long.  Capital letters and the like are mapped as UTS #46 says.  At most 255 octets
 * come out.
 */
bool idn_domain(struct arena *arena, struct slice domain, struct slice *out) __attribute__((warn_unused_result));
/* The other way, for people and for SMTPUTF8 (RFC 6531 3.7): U-labels, where they lead back to the same A-labels. */
struct slice idn_domain_unicode(struct arena *arena, struct slice domain);

/* An address of which only what follows the last '@' is brought to the one form, if that can be; and the other way. */
struct slice idn_address(struct arena *arena, struct slice address);
struct slice idn_address_unicode(struct arena *arena, struct slice address);

/* Lower case; what is not ASCII in NFC.  text is UTF-8. */
struct slice idn_fold(struct arena *arena, struct slice text);

/*
 * ASCII from UTF-8, as RFC 6533 section 3 writes it: "\x{3B4}" for what is not ASCII.  Bytes that are not UTF-8 become
 * '?'. idn_unescape: false: a "\x{...}" that is none.  specials: those of ASCII characters, too; without, they are
 * left.
 */
struct slice idn_escape(struct arena *arena, struct slice text);
bool idn_unescape(struct arena *arena, struct slice text, bool specials, struct slice *out)
    __attribute__((warn_unused_result));

#endif
