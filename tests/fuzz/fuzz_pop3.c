/*
 * fuzz_pop3: the command parser and the dot-stuffing on the same bytes.
 *
 * Beyond not crashing: what is accepted holds no control character, a number that was asked for is not 0, and a
 * stuffed message, in two pieces cut anywhere, holds the end of a response exactly once: at its end.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/pop3_parse.h"
#include "protocols/pop3_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scan {
    unsigned ends;
    unsigned matched; /* of "\n.\r\n"; a response begins like a line */
};

static void look(void *arg, struct slice bytes)
{
    static const char end[] = "\n.\r\n";
    struct scan *scan = arg;

    for (size_t i = 0; i < bytes.n; i++) {
        if (bytes.p[i] == end[scan->matched])
            scan->matched++;
        else
            scan->matched = bytes.p[i] == '\n';
        if (scan->matched == sizeof end - 1) {
            scan->ends++;
            scan->matched = 1;
        }
    }
}

static void check_command(struct slice line)
{
    struct pop3_command command;

    if (pop3_parse(line, &command))
        return;
    for (size_t i = 0; i < line.n; i++)
        if ((unsigned char)line.p[i] < ' ')
            abort();
    if ((command.verb == POP3_RETR || command.verb == POP3_DELE || command.verb == POP3_TOP) && command.number == 0)
        abort();
}

static void check_wire(struct pop3_wire *wire, struct slice message, size_t cut)
{
    struct scan scan = {0, 1};

    pop3_wire_feed(wire, slice_of(message.p, cut), look, &scan);
    if (!wire->done)
        pop3_wire_feed(wire, slice_skip(message, cut), look, &scan);
    pop3_wire_end(wire, look, &scan);
    if (scan.ends != 1 || scan.matched != 1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    struct pop3_wire wire;

    check_command(input);
    if (size < 2)
        return 0;
    input = slice_skip(input, 1);
    pop3_wire_init(&wire);
    check_wire(&wire, input, data[0] % input.n);
    pop3_wire_init_top(&wire, data[0] & 3);
    check_wire(&wire, input, data[0] % input.n);
    return 0;
}
