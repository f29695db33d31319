/*
 * smtp_command_xclient: XCLIENT, by which a proxy that we trust (a filter before us, a spam firewall) tells whose mail
 * it brings, so that limits, networks, grants, logs and Received are the client's.  Grammar and attributes:
 * smtp_xclient.c.
 *
 * Who may say it is decided once, by the address that the connection itself began with ([smtp] xclient_networks): what
 * XCLIENT tells never decides about XCLIENT, and a proxy that keeps its connection may say it again for its next
 * client.
 *
 * It begins the session anew: everything that was said is forgotten, a sign-in and mistakes included, and the client is greeted
 * with 220 or refused as if it had come by itself (421: too many connections of this address).  TLS stays; it is the
 * proxy's, and must come first: STARTTLS would have to forget what was told in clear (RFC 3207 section 4.2).  HELO and
 * PROTO count until the next XCLIENT, whatever the proxy says in an EHLO of its own.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#define LOG_MODULE "smtp"
#include "core/log.h"
#include "protocols/smtp_counters.h"
#include "protocols/smtp_session.h"
#include "protocols/smtp_xclient.h"

static void change_address(struct smtp_session *session, struct smtp_xclient *client)
{
    struct sockaddr_in *four = (void *)&client->address;
    struct sockaddr_in6 *six = (void *)&client->address;

    if (client->address.ss_family == AF_UNSPEC)
        return;
    if (client->address.ss_family == AF_INET)
        four->sin_port = htons((uint16_t)client->port);
    else
        six->sin6_port = htons((uint16_t)client->port);
    stream_set_addresses(session->stream, &client->address, NULL);
    session->peer = arena_strdup(session->arena, stream_peer(session->stream));
}

static void begin_again(struct smtp_session *session, struct smtp_xclient *client)
{
    change_address(session, client);
    log_info("speaks for a client", log_str("client", session->peer), log_int("port", client->port),
             log_slice("name", client->name));
    smtp_session_forget(session);
    session->refused = session->errors = session->attempts_failed = 0; /* those were another one's */
    session->told = true;
    session->client_name = slice_str(arena_slicedup(session->arena, client->name));
    session->told_helo = slice_str(arena_slicedup(session->arena, client->helo));
    session->told_plain = client->plain_smtp;
    server_session_remove(&session->server);
    session->registered = server_session_add(&session->server, SERVER_SMTP, session->peer);
    smtp_screen_begin(session);
}

void smtp_command_xclient(struct smtp_session *session, struct slice arguments)
{
    struct smtp_xclient client;
    const struct smtp_fault *fault;

    if (!session->may_xclient) {
        smtp_reply_error(session, 550, "5.7.0", "XCLIENT is for proxies that are known here");
        return;
    }
    if (session->transaction) {
        smtp_reply_error(session, 503, "5.5.1", "XCLIENT is not allowed within a mail transaction");
        return;
    }
    fault = smtp_parse_xclient(session->command, arguments, &client);
    if (fault) {
        smtp_reply_fault(session, fault);
        return;
    }
    if (arena_full(session->arena)) {
        smtp_reply_goodbye(session, 421, "4.7.0", "Too many clients in one session");
        return;
    }
    begin_again(session, &client);
    if (session->registered) {
        smtp_reply(session, 220, NULL, "%s ESMTP Posthouse", session->settings->hostname);
        return;
    }
    smtp_screen_not_served(session);
}
