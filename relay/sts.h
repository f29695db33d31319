#ifndef RELAY_STS_H
#define RELAY_STS_H
/*
 * sts: MTA-STS (RFC 8461): a domain's record in DNS, its policy file, and whether a policy names a host.  Pure.
 *
 * What is read is a stranger's: whatever is not as the RFC has it is no policy.
 */
#include <stdbool.h>

#include "core/arena.h"
#include "core/slice.h"

#define STS_ID_SIZE 33
#define STS_MAX_AGE 31557600     /* seconds; section 3.2 */
#define STS_PATTERNS_MAX 256     /* MX patterns; more are no policy */
#define STS_BODY_MAX (64 * 1024) /* section 3.3 */

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

struct sts_policy {
    enum sts_mode mode;
    unsigned max_age;      /* seconds */
    const char *const *mx; /* host names, lower case; "*.example.test": one label before that */
    unsigned mx_count;
};

/* Section 3.1: the id of the one record among a name's TXT records.  False: there is none, or more than one. */
bool sts_record_parse(const struct slice *texts, unsigned count, char id[STS_ID_SIZE])
    __attribute__((warn_unused_result));
/* Section 3.2.  False: no policy. */
bool sts_policy_parse(struct arena *arena, struct slice body, struct sts_policy *out)
    __attribute__((warn_unused_result));
/* Section 4.1: does it name the host? */
bool sts_policy_names(const struct sts_policy *policy, const char *host);

/* "none", "testing", "enforce". */
const char *sts_mode_word(enum sts_mode mode);
bool sts_mode_of(struct slice word, enum sts_mode *out) __attribute__((warn_unused_result));

#endif
