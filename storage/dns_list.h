#ifndef STORAGE_DNS_LIST_H
#define STORAGE_DNS_LIST_H
/*
 * dns_list: the DNS lists that clients are looked for in, in memory (known.h).  The write side is
 * storage/provision_dns_list.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/task.h"
#include "storage/status.h"

#define DNS_LISTS_MAX 32
#define DNS_LIST_ANSWERS_MAX 16

struct dns_list {
    int64_t id;
    int score;
    char *zone;
    struct cidr *answers;
    unsigned answer_count;
};

/* Those there are; they stay until the next wait. */
const struct dns_list *dns_lists(unsigned *count);
/* Does the answer, an address in 127.0.0.0/8, mean that the client is listed? */
bool dns_list_matches(const struct dns_list *list, const unsigned char answer[4]);

/* For known.c. */
AWAITS enum db_status dns_list_read(struct arena *arena) __attribute__((warn_unused_result));

#endif
