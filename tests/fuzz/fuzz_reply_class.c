/*
 * fuzz_reply_class: what a next hop says.
 *
 * Beyond not crashing: a reply of success has no class, a refusal has one, and a permanent one is no greylist's.
 */
#include <stdint.h>
#include <stdlib.h>

#include "relay/reply_class.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice reply = {(const char *)data, size};
    enum reply_class class = reply_class_of(reply);

    if (class >= REPLY_CLASSES || (class != REPLY_CLASS_NONE && !reply_class_word(class)))
        abort();
    if (size < 4 || data[0] < '0' || data[0] > '9' || data[1] < '0' || data[1] > '9' || data[2] < '0' ||
        data[2] > '9' || data[3] != ' ')
        return 0;
    if ((data[0] == '2' || data[0] == '3') && class != REPLY_CLASS_NONE)
        abort();
    if ((data[0] == '4' || data[0] == '5') && class == REPLY_CLASS_NONE)
        abort();
    if (data[0] == '5' && (class == REPLY_CLASS_GREYLIST || class == REPLY_CLASS_TEMPORARY))
        abort();
    return 0;
}
