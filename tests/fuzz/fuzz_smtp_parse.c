/*
 * fuzz_smtp_parse: every parser of SMTP commands on the same bytes.
 *
 * Beyond not crashing: an address that was accepted must be accepted again in its normalised form, and stay as it
 * is; otherwise two spellings of one mailbox would be two.  And parameters that are stored must come back.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocols/smtp_parameter.h"
#include "protocols/smtp_xclient.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_stable(struct arena *arena, const struct smtp_path *path)
{
    struct envelope_rcpt envelope;
    struct smtp_path again;
    if (!path->domain.n)
        return;
    struct slice line = slice_str(arena_printf(arena, "TO:<%.*s>", SLICE_ARG(path->address)));
    if (smtp_parse_rcpt(arena, line, true, &again, &envelope) || !slice_equal(again.address, path->address))
        abort();
}

/* What is stored of the parameters must come back as it was. */
static void check_stored(struct arena *arena, const struct envelope_mail *mail, const struct envelope_rcpt *rcpt)
{
    struct envelope_mail mail_again;
    struct envelope_rcpt rcpt_again;
    struct slice stored = smtp_parameter_print_mail(arena, mail, ENVELOPE_ALL);

    smtp_parameter_read_mail(arena, stored, &mail_again);
    if (!slice_equal(stored, smtp_parameter_print_mail(arena, &mail_again, ENVELOPE_ALL)))
        abort();
    stored = smtp_parameter_print_rcpt(arena, rcpt, ENVELOPE_ALL);
    smtp_parameter_read_rcpt(arena, stored, &rcpt_again);
    if (!slice_equal(stored, smtp_parameter_print_rcpt(arena, &rcpt_again, ENVELOPE_ALL)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    struct arena *arena = arena_new(1 << 20);
    struct smtp_command command;
    struct smtp_path path;
    struct envelope_rcpt envelope = {0};
    struct smtp_mail mail = {0};
    struct smtp_auth auth;
    struct smtp_bdat bdat;
    struct smtp_xclient client;
    struct slice name;

    if (!smtp_parse_command(input, &command))
        input = command.arguments;
    if (!smtp_parse_mail(arena, input, ~0u, &mail))
        check_stable(arena, &mail.sender);
    if (!smtp_parse_rcpt(arena, input, true, &path, &envelope))
        check_stable(arena, &path);
    check_stored(arena, &mail.envelope, &envelope);
    (void)!smtp_parse_mail(arena, input, 0, &mail);
    (void)!smtp_parse_vrfy(input);
    (void)!smtp_parse_helo(input, &name);
    (void)!smtp_parse_auth(input, &auth);
    (void)!smtp_parse_bdat(input, &bdat);
    (void)!smtp_parse_xclient(arena, input, &client);
    (void)smtp_is_domain(input);
    (void)smtp_is_address_literal(input);
    arena_free(&arena);
    return 0;
}
