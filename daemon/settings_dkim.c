/*
 * settings_dkim: the key that TLS reports by mail are signed with (RFC 8460 section 3).
 *
 * Read before privileges are dropped: only root need be able to.  The key's domain is that of the contact, whom the
 * reports are from, unless it is said; there is no key without a selector.
 */
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "daemon/settings.h"
#include "relay/dkim.h"
#include "storage/name.h"

static const char *domain_of(const struct config *c)
{
    struct slice contact = {c->tls_report_contact, strlen(c->tls_report_contact)};

    return *c->tls_report_dkim_domain ? c->tls_report_dkim_domain : name_address_domain(contact).p;
}

const struct dkim_settings *settings_dkim(const struct config *c)
{
    static struct dkim_settings s;
    char why[400];

    if (!*c->tls_report_dkim_key)
        return NULL;
    if (s.signer)
        return &s;
    s = (struct dkim_settings){secret_signer_load(c->tls_report_dkim_key, why, sizeof why), domain_of(c),
                               c->tls_report_dkim_selector};
    if (!s.signer)
        log_fatal(78, "[delivery] tls_report_dkim_key: %s", why);
    return &s;
}

bool settings_dkim_check(const struct config *c, char *error, size_t error_size)
{
    char why[400], where[400];
    struct secret_signer *signer;

    if (!*c->tls_report_dkim_key)
        return true;
    if (!*c->tls_report_dkim_selector) {
        snprintf(error, error_size, "%s: a key needs tls_report_dkim_selector",
                 config_where(c, "delivery", "tls_report_dkim_key", where, sizeof where));
        return false;
    }
    signer = secret_signer_load(c->tls_report_dkim_key, why, sizeof why);
    if (!signer)
        snprintf(error, error_size, "%s: %s", config_where(c, "delivery", "tls_report_dkim_key", where, sizeof where),
                 why);
    secret_signer_free(&signer);
    return *error == '\0';
}
