/*
 * input: the token, a password, lines of the standard input.
 *
 * The token is in POSTHOUSE_TOKEN or in ~/.config/posthouse/token, never on the command line, where others could read
 * it; a password, or its hash, is read from the standard input.
 */
#include "admin-api/cli/input.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

void input_misuse(const char *what, const char *which)
{
    fprintf(stderr, "posthouse: %s%s%s\n", what, which ? ": " : "", which ? which : "");
    fprintf(stderr, "Try 'posthouse --help'.\n");
    exit(2);
}

char *input_line(FILE *from)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n = getline(&line, &size, from);
    if (n <= 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

char *input_token(void)
{
    const char *given = getenv("POSTHOUSE_TOKEN"), *home = getenv("HOME");
    char path[4096];
    if (given && *given)
        return strdup(given);
    snprintf(path, sizeof path, "%s/.config/posthouse/token", home ? home : "");
    FILE *file = fopen(path, "re");
    if (!file)
        input_misuse("no token: set POSTHOUSE_TOKEN, or put it into", path);
    char *token = input_line(file);
    fclose(file);
    if (!token || !*token)
        input_misuse("no token in", path);
    return token;
}

char *input_password(void)
{
    struct termios before, silent;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
        fputs("Password: ", stderr);
    }
    char *password = input_line(stdin);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (!password)
        input_misuse("no password on the standard input (--no-password makes an account without one)", NULL);
    return password;
}
