/*
 * /v1/openapi.json: the description of this API (OpenAPI 3.1), built into the program so that what it says is
 * what it does.  The text is admin-api/openapi.json; the build turns it into a string literal.
 */
#include "admin-api/handlers.h"

static const char document[] =
#include "admin-api/openapi_text.h"
    ;

struct slice openapi_text(void)
{
    return SLICE(document);
}

AWAITS void openapi_show(struct request *r)
{
    reply_text(r, 200, "application/json", openapi_text());
}
