#ifndef STORAGE_APP_PASSWORD_H
#define STORAGE_APP_PASSWORD_H
/*
 * app_password: further passwords of an account, one for each program or device: for some services, from some
 * networks, until some time.  Made by us, shown once.  Administered by storage/provision_app_password.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/secret.h"
#include "core/slice.h"
#include "core/task.h"
#include "storage/status.h"

#define APP_PASSWORD_TEXT_SIZE 25 /* five groups of four letters, hyphens between them, NUL */

/* The caller shows the text and wipes it; the digest is what is stored. */
void app_password_make(char text[APP_PASSWORD_TEXT_SIZE], unsigned char digest[SECRET_SHA256_SIZE]);
/* False: it does not look like one.  Hyphens, blanks and case do not matter. */
bool app_password_digest(struct slice text, unsigned char digest[SECRET_SHA256_SIZE]);

struct app_password {
    int64_t id;
    struct slice label;
    const char *refused; /* NULL: it may be used; else why not, for the log */
    bool mark;           /* its last use should be written */
};

/*
 * FOUND: the text is one of the account's; look at `refused`.  account_id 0: nobody's, looked for all the same.
 * scope: "smtp", "imap", "pop3"; client: its address.
 */
AWAITS enum db_status app_password_find(struct arena *arena, int64_t account_id, struct slice text, const char *scope,
                                        const char *client, struct app_password *out)
    __attribute__((warn_unused_result));
/* Writes its last use; a loss is nobody's concern. */
AWAITS void app_password_mark_used(struct arena *arena, int64_t id);

#endif
