/*
 * fuzz_tlsrpt: where a stranger says that he wants his reports, and a report in which his words stand.
 *
 * Beyond not crashing: what is reported to can stand in an SMTP command or a URL, and the report's strings end where they
 * should: without what is inside of them its brackets pair up.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/tlsrpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(struct slice json)
{
    int depth = 0;
    bool string = false;

    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];

        if ((unsigned char)c < 0x20 && c != '\n')
            abort();
        if (string && c == '\\')
            i++;
        else if (c == '"')
            string = !string;
        else if (!string)
            depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (depth < 0)
            abort();
    }
    if (depth || string)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    struct arena *arena = arena_new(SIZE_MAX);
    struct tlsrpt_rua rua[TLSRPT_RUA_MAX];
    struct tlsrpt_row row = {.policy_type = input, .policy = input, .mx_patterns = input, .result = input, .mx = input};
    unsigned count;

    if (tlsrpt_record_parse(arena, &input, 1, rua, &count))
        for (unsigned i = 0; i < count; i++) {
            if (strpbrk(rua[i].to, " <>\r\n\"") || !strchr(rua[i].to, rua[i].mail ? '@' : ':'))
                abort();
        }
    check_json(tlsrpt_json(
        arena, &(struct tlsrpt_report){
                   .organization = "o", .contact = "c", .report_id = "i", .domain = input, .rows = &row, .count = 1}));
    arena_free(&arena);
    return 0;
}
