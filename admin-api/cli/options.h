#ifndef ADMIN_API_CLI_OPTIONS_H
#define ADMIN_API_CLI_OPTIONS_H
/* options: the arguments.  Those that only become a member of what is sent are kept by grant.c. */
#include <stdbool.h>

#define OPTIONS_HOPS_MAX 32
#define OPTIONS_ALIASES_MAX 500

struct options {
    const char *url;
    bool json;
    const char *customer, *domain, *open;
    const char *hops[OPTIONS_HOPS_MAX], *aliases[OPTIONS_ALIASES_MAX];
    unsigned hop_count, alias_count;
    const char *certificate_file, *key_file;
    bool no_password, password_hash, password, client_secret, refresh_token, back;
};
extern struct options options;

/*
 * Takes the options out; the plain words remain, NULL-terminated, at most max.  Ends the program for --help and
 * --version.
 */
void options_read(char **argv, const char **words, unsigned max);

#endif
