#ifndef ADMIN_API_CLI_USAGE_H
#define ADMIN_API_CLI_USAGE_H
/* usage: the text of --help. */
#include <stdio.h>

#define USAGE_DEFAULT_URL "http://127.0.0.1:2080"

void usage_print(FILE *to);

#endif
