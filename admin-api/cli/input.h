#ifndef ADMIN_API_CLI_INPUT_H
#define ADMIN_API_CLI_INPUT_H
/* input: what the user gives beside the arguments: token, password, lines; and what he is told of a mistake. */
#include <stdio.h>

/* Exit status 2.  which: what it is about; NULL: nothing. */
void input_misuse(const char *what, const char *which) __attribute__((noreturn));

/* One line without its end, malloc'ed; NULL: none. */
char *input_line(FILE *from);
/* malloc'ed, as is the password, which is asked for without echo at a terminal. */
char *input_token(void);
char *input_password(void);

#endif
