/*
 * fuzz_smtp_parse: every parser of SMTP commands on the same bytes.
 *
 * Beyond not crashing: an address that was accepted must be accepted again in its normalised form, and stay as it
 * is; otherwise two spellings of one mailbox would be two.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/smtp_parse.h"
#include "protocols/smtp_xclient.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_stable(struct arena *arena, const struct smtp_path *path)
{
    struct smtp_path again;
    if (!path->domain.n)
        return;
    struct slice line = slice_str(arena_printf(arena, "TO:<%.*s>", SLICE_ARG(path->address)));
    if (smtp_parse_rcpt(arena, line, &again) || !slice_equal(again.address, path->address))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    struct arena *arena = arena_new(1 << 20);
    struct smtp_command command;
    struct smtp_path path;
    struct smtp_mail mail;
    struct smtp_auth auth;
    struct smtp_bdat bdat;
    struct smtp_xclient client;
    struct slice name;

    if (!smtp_parse_command(input, &command))
        input = command.arguments;
    if (!smtp_parse_mail(arena, input, true, &mail))
        check_stable(arena, &mail.sender);
    if (!smtp_parse_rcpt(arena, input, &path))
        check_stable(arena, &path);
    (void)!smtp_parse_mail(arena, input, false, &mail);
    (void)!smtp_parse_helo(input, &name);
    (void)!smtp_parse_auth(input, &auth);
    (void)!smtp_parse_bdat(input, &bdat);
    (void)!smtp_parse_xclient(arena, input, &client);
    (void)smtp_is_domain(input);
    (void)smtp_is_address_literal(input);
    arena_free(&arena);
    return 0;
}
