/*
 * options: from the arguments to words and options.
 *
 * Options may stand anywhere among the words.  One that is not known, that lacks its value, or that is given more
 * often than there is room for ends the program: a typing error must not become another command.
 */
#include "admin-api/cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin-api/cli/grant.h"
#include "admin-api/cli/input.h"
#include "admin-api/cli/usage.h"

struct options options;

static const char *option_value(char **argv, int *at)
{
    if (!argv[*at + 1])
        input_misuse("a value is missing", argv[*at]);
    return argv[++*at];
}

void options_read(char **argv, const char **words, unsigned max)
{
    unsigned count = 0;
    for (int i = 1; argv[i]; i++) {
        const char *option = argv[i];
        if (strncmp(option, "--", 2) != 0) {
            if (count == max)
                input_misuse("too many words", option);
            words[count++] = option;
        } else if (strcmp(option, "--help") == 0) {
            usage_print(stdout);
            exit(0);
        } else if (strcmp(option, "--version") == 0) {
            puts("posthouse " POSTHOUSE_VERSION);
            exit(0);
        } else if (strcmp(option, "--json") == 0) {
            options.json = true;
        } else if (strcmp(option, "--open") == 0) {
            options.open = "true";
        } else if (strcmp(option, "--back") == 0) {
            options.back = true;
        } else if (strcmp(option, "--no-password") == 0) {
            options.no_password = true;
        } else if (strcmp(option, "--password-hash") == 0) {
            options.password_hash = true;
        } else if (strcmp(option, "--password") == 0) {
            options.password = true;
        } else if (strcmp(option, "--client-secret") == 0) {
            options.client_secret = true;
        } else if (strcmp(option, "--refresh-token") == 0) {
            options.refresh_token = true;
        } else if (strcmp(option, "--certificate-file") == 0) {
            options.certificate_file = option_value(argv, &i);
        } else if (strcmp(option, "--key-file") == 0) {
            options.key_file = option_value(argv, &i);
        } else if (strcmp(option, "--url") == 0) {
            options.url = option_value(argv, &i);
        } else if (strcmp(option, "--customer") == 0) {
            options.customer = option_value(argv, &i);
        } else if (strcmp(option, "--domain") == 0) {
            options.domain = option_value(argv, &i);
        } else if (strcmp(option, "--next-hop") == 0 && options.hop_count < OPTIONS_HOPS_MAX) {
            options.hops[options.hop_count++] = option_value(argv, &i);
        } else if (strcmp(option, "--alias") == 0 && options.alias_count < OPTIONS_ALIASES_MAX) {
            options.aliases[options.alias_count++] = option_value(argv, &i);
        } else {
            int taken = grant_option(option, argv[i + 1]);
            if (!taken)
                input_misuse("unknown option, without its value, or given too often", option);
            i += taken - 1;
        }
    }
}
