#ifndef RELAY_TLSRPT_H
#define RELAY_TLSRPT_H
/*
 * tlsrpt: SMTP TLS reporting (RFC 8460): where a domain wants to be told of connections to it, and the report.  Pure.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

#define TLSRPT_RUA_MAX 4 /* of a record; others are not reported to */

/* Section 4.3; their words are the report's. */
enum tlsrpt_result {
    TLSRPT_SUCCESS,
    TLSRPT_STARTTLS_NOT_SUPPORTED,
    TLSRPT_CERTIFICATE_HOST_MISMATCH,
    TLSRPT_CERTIFICATE_EXPIRED,
    TLSRPT_CERTIFICATE_NOT_TRUSTED,
    TLSRPT_VALIDATION_FAILURE,
    TLSRPT_TLSA_INVALID,
    TLSRPT_DNSSEC_INVALID,
    TLSRPT_DANE_REQUIRED,
    TLSRPT_STS_POLICY_FETCH_ERROR,
    TLSRPT_STS_POLICY_INVALID,
    TLSRPT_STS_WEBPKI_INVALID,
};
const char *tlsrpt_result_word(enum tlsrpt_result result); /* "" of success */

/* Section 3: an https URL, or an address (of a mailto URL, decoded). */
struct tlsrpt_rua {
    bool mail;
    const char *to;
};
/* Of the one record among a name's TXT records, those that can be reported to.  False: there is none. */
bool tlsrpt_record_parse(struct arena *arena, const struct slice *texts, unsigned count,
                         struct tlsrpt_rua out[TLSRPT_RUA_MAX], unsigned *rua_count)
    __attribute__((warn_unused_result));

/* So many sessions that went alike. */
struct tlsrpt_row {
    struct slice policy_type;            /* "tlsa", "sts", "no-policy-found" */
    struct slice policy;                 /* lines */
    struct slice mx_patterns;            /* of "sts": lines */
    struct slice result;                 /* a word of section 4.3; empty: success */
    struct slice mx, sending, receiving; /* host name and addresses, empty: it is about the domain */
    struct slice reason;                 /* empty: none */
    int64_t sessions;
};
struct tlsrpt_report {
    const char *organization, *contact, *report_id;
    struct slice domain;
    int64_t begin_ms, end_ms;
    const struct tlsrpt_row *rows; /* those of one policy stand together */
    unsigned count;
};
/* Section 4.4, in UTF-8 as far as what is given is. */
struct slice tlsrpt_json(struct arena *arena, const struct tlsrpt_report *report);

#endif
