/*
 * dns_ask: look-ups in the background.
 *
 * An ask is on the heap from the question to its answer.  libunbound answers from ub_process(), on our loop
 * (core/dns.c).  A cancelled one is freed at once: libunbound never calls back for it.  There is no time limit here;
 * who waits has one, and cancels.
 */
#include "core/dns_ask.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>

#include "core/dns_internal.h"

#define CLASS_IN 1

struct dns_ask {
    int id;
    dns_ask_fn *fn;
    void *arg;
};

static unsigned asks;

static void on_answer(void *arg, int error, struct ub_result *result)
{
    struct dns_ask ask = *(struct dns_ask *)arg;
    struct dns_record records[DNS_ASK_RECORDS_MAX];
    enum dns_status status = dns_result_status(error ? NULL : result);
    unsigned count = 0;

    free(arg);
    asks--;
    for (; status == DNS_FOUND && count < DNS_ASK_RECORDS_MAX && result->data[count]; count++)
        records[count] = (struct dns_record){(const unsigned char *)result->data[count], (size_t)result->len[count]};
    ask.fn(ask.arg, status, records, count);
    ub_resolve_free(result);
}

struct dns_ask *dns_ask(const char *name, enum dns_type type, dns_ask_fn *fn, void *arg)
{
    struct dns_ask *ask = dns_context() && asks < DNS_ASKS_MAX ? malloc(sizeof *ask) : NULL;

    if (ask)
        *ask = (struct dns_ask){.fn = fn, .arg = arg};
    if (ask && ub_resolve_async(dns_context(), name, (int)type, CLASS_IN, ask, on_answer, &ask->id) == 0) {
        asks++;
        return ask;
    }
    free(ask);
    fn(arg, DNS_FAILED, NULL, 0);
    return NULL;
}

void dns_ask_cancel(struct dns_ask **ask)
{
    if (!*ask)
        return;
    ub_cancel(dns_context(), (*ask)->id);
    free(*ask);
    *ask = NULL;
    asks--;
}

/* ------------------------------------------------------------------ records */

bool dns_record_name(const struct dns_record *record, char *out, size_t size)
{
    char name[DNS_NAME_SIZE];

    if (!dns_name_parse(record->bytes, record->length, name) || !*name || strlen(name) >= size)
        return false;
    snprintf(out, size, "%s", name);
    return true;
}

/* RFC 1035 section 3.3.14: strings, each a length and its bytes. */
void dns_record_text(const struct dns_record *record, char *out, size_t size)
{
    size_t used = 0;

    for (size_t at = 0; at < record->length;) {
        size_t n = record->bytes[at++];

        for (; n > 0 && at < record->length; n--, at++)
            if (used + 1 < size)
                out[used++] = record->bytes[at] >= 0x20 && record->bytes[at] < 0x7f ? (char)record->bytes[at] : '?';
    }
    out[used] = '\0';
}

/* ------------------------------------------------------------------ names */

bool dns_reversed_name(const char *address, const char *zone, char *out, size_t size)
{
    unsigned char bytes[16];
    char labels[70] = "";
    size_t used = 0;

    if (inet_pton(AF_INET, address, bytes) == 1) {
        used = (size_t)snprintf(labels, sizeof labels, "%u.%u.%u.%u.", bytes[3], bytes[2], bytes[1], bytes[0]);
    } else if (inet_pton(AF_INET6, address, bytes) == 1) {
        for (unsigned i = 16; i-- > 0;)
            used += (size_t)snprintf(labels + used, sizeof labels - used, "%x.%x.", bytes[i] & 15u, bytes[i] >> 4);
    } else {
        return false;
    }
    return used + strlen(zone) < DNS_NAME_SIZE - 2 && (size_t)snprintf(out, size, "%s%s", labels, zone) < size;
}
