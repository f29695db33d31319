/*
 * /invitations/{invitation_token}: where the owner of an account sets his password with a browser.
 *
 * A form and its answers; no script, no style, nothing from elsewhere (exchange.c says so to the browser, for all that
 * this process answers), and nothing in the pages that came with the request.  Whose invitation it is is not shown, so
 * looking at the page tells nothing and costs no look-up.
 */
#include <string.h>
#include <strings.h>

#include "admin-api/handlers.h"
#include "admin-api/invitations.h"

#define FORM_TYPE "application/x-www-form-urlencoded"

#define PAGE(title, body)                                                                                              \
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "                        \
    "content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\"><title>" title                           \
    "</title></head>\n<body><h1>" title "</h1>\n" body "</body></html>\n"

#define FORM                                                                                                           \
    "<form method=\"post\"><p><label>New password<br><input type=\"password\" name=\"password\" minlength=\"8\" "      \
    "required autocomplete=\"new-password\"></label></p>\n<p><label>The same again<br><input type=\"password\" "       \
    "name=\"again\" minlength=\"8\" required autocomplete=\"new-password\"></label></p>\n"                             \
    "<p><button>Set the password</button></p></form>\n"

static void answer(struct request *r, unsigned status, const char *page)
{
    reply_text(r, status, "text/html; charset=utf-8", slice_str(page));
}

AWAITS void invitation_page_show(struct request *r)
{
    answer(r, 200, PAGE("Set your mail password", FORM));
}

/* {NULL,0}: not given, or malformed. */
static struct slice member(struct request *r, const char *name)
{
    struct slice rest = r->body, value;

    while (rest.n) {
        const char *end = memchr(rest.p, '&', rest.n);
        struct slice pair = end ? slice_of(rest.p, (size_t)(end - rest.p)) : rest;
        const char *is = pair.n ? memchr(pair.p, '=', pair.n) : NULL;

        rest = end ? slice_skip(rest, pair.n + 1) : slice_of(rest.p + rest.n, 0);
        if (is && slice_equal(slice_of(pair.p, (size_t)(is - pair.p)), slice_str(name)))
            return request_decode(r->arena, slice_skip(pair, (size_t)(is - pair.p) + 1), true, &value)
                       ? value
                       : slice_of(NULL, 0);
    }
    return slice_of(NULL, 0);
}

AWAITS void invitation_page_use(struct request *r)
{
    struct slice password = member(r, "password"), again = member(r, "again");
    struct provision_refusal refusal;

    if (!r->media_type || strncasecmp(r->media_type, FORM_TYPE, sizeof FORM_TYPE - 1) != 0) {
        reply_problem(r, 415, NULL, "the body must be a form");
        return;
    }
    if (!password.p || !again.p || !slice_equal(password, again)) {
        answer(r, 422, PAGE("The two are not the same", FORM));
        return;
    }
    switch (invitations_use_up(r, password, &refusal)) {
    case INVITATIONS_DONE:
        answer(r, 200, PAGE("Your password is set", "<p>Sign in with it and your whole mail address.</p>\n"));
        return;
    case INVITATIONS_GONE:
        answer(r, 404, PAGE("This invitation is not valid any more", "<p>Ask for another one.</p>\n"));
        return;
    case INVITATIONS_PASSWORD:
        answer(r, 422, PAGE("This password cannot be used", "<p>Take one with 8 to 511 bytes.</p>\n" FORM));
        return;
    case INVITATIONS_TOO_MANY:
        answer(r, 429, PAGE("Too many attempts", "<p>Try again in a minute.</p>\n"));
        r->reply.retry_after_s = 60;
        return;
    case INVITATIONS_AWAY:
        answer(r, 503, PAGE("Not possible now", "<p>Try again in a minute.</p>\n"));
        r->reply.retry_after_s = 5;
        return;
    }
}
