#ifndef CORE_DNS_INTERNAL_H
#define CORE_DNS_INTERNAL_H
/* What the files of dns share. */
#include <stdbool.h>
#include <stddef.h>

#include "core/dns.h"
#include "core/task.h"

#define DNS_NAME_SIZE 256

struct ub_ctx;
struct ub_result;

/* The process's; NULL before dns_init(). */
struct ub_ctx *dns_context(void);
/*
 * RFC 1035 section 3.1: labels, each a length and its bytes, up to the root's length 0.  Lower case, no final dot;
 * false: it cannot be a host's name.
 */
bool dns_name_parse(const unsigned char *wire, size_t n, char out[DNS_NAME_SIZE]);
/* result NULL: it could not be asked. */
enum dns_status dns_result_status(const struct ub_result *result);
/* Records of what was FOUND that are looked at. */
unsigned dns_result_count(const struct ub_result *result);
/* dns_record.c: of one record, copied. */
struct dns_tlsa dns_tlsa_parse(struct arena *arena, const char *data, int length);
struct slice dns_text_parse(struct arena *arena, const char *data, int length);
/* One question.  *result is the caller's to free with ub_resolve_free(), whatever became of it. */
AWAITS enum dns_status dns_query(const char *name, int type, struct ub_result **result);

#endif
