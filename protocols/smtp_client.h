#ifndef PROTOCOLS_SMTP_CLIENT_H
#define PROTOCOLS_SMTP_CLIENT_H
/*
 * smtp_client: one connection to a next hop, driven by a task; several messages over it, one after the other.
 *
 * The caller chooses the address and owns the connection; it may keep it between messages (idle, without a
 * task) and give it up with smtp_client_quit() or smtp_client_abort().
 *
 * Every recipient gets an outcome.  The one that matters most is UNCERTAIN: the connection went after the final dot
 * (or BDAT's last chunk, here and below) and before its reply (RFC 5321 6.1, RFC 1047).  The message must be sent
 * again; it may then be there twice, and nowhere else in this program can that happen.
 *
 * Deadlines are those of RFC 5321 4.5.3.2, as given in the settings.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/dns.h"
#include "core/slice.h"
#include "core/spool.h"
#include "core/task.h"
#include "core/tls.h"
#include "relay/envelope.h"

/* What was announced of the host, in DNS or by its domain's policy, when it was connected to. */
struct smtp_client_announced {
    bool asked;   /* else nothing is known of it */
    bool encrypt; /* TLS without a certificate that could be told from others (RFC 7672 2.2) */
    bool dane;    /* TLS, with a certificate that TLSA records mean */
    bool sts;     /* TLS, with a certificate for its name: by the domain's MTA-STS policy */
    bool named;   /* that policy names it */
};
struct tls_dane;

/* What we sign in with. */
struct smtp_client_credential {
    int64_t id;
    int version;
    struct slice user, password;         /* or its token */
    const struct tls_identity *identity; /* shown to a server that asks for a certificate; NULL: none */
    unsigned mechanisms; /* SASL_HOP_*: these may be used; 0: nothing is said, the certificate is all there is */
    bool verify;         /* not without a certificate for the host's name; else TLS will do */
    bool refused;        /* set: the server did not take it */
    unsigned code;       /* set, if refused: its reply's */
};

struct smtp_client;

struct smtp_client_settings {
    const char *hostname;                   /* ours, for EHLO */
    struct tls *tls;                        /* NULL: never STARTTLS */
    bool verify_tls;                        /* no mail without TLS and a certificate that fits */
    bool chunking;                          /* BDAT to servers that offer it */
    bool doubtful;                          /* nobody vouches for the host's name; see smtp_client_named() */
    struct smtp_client_announced announced; /* the caller's: kept for smtp_client_announced() */
    const struct tls_dane *dane; /* what its certificate is held against, instead of its name; NULL: nothing */
    bool configured;             /* an administrator has named the host: what it wants of us is no fault of a message */
    struct smtp_client_credential *credential; /* NULL: nobody signs in; for smtp_client_open() only */
    bool credential_refused;                   /* daemon/hop_login.h's, for its caller */
    /* Is it good enough to be told who we are?  If not it opens without, and is not to be used.  NULL: it is. */
    bool (*may_sign_in)(const struct smtp_client *client, void *arg);
    void *may_sign_in_arg;
    unsigned connect_timeout_ms;
    unsigned greeting_timeout_ms;
    unsigned reply_timeout_ms;                   /* to commands; also without progress while the message is sent */
    unsigned end_timeout_ms;                     /* to the final dot */
    const struct dns_address *source4, *source6; /* connections come from there; NULL: as the system has it */
    bool primary;                                /* the caller's: kept for smtp_client_is_primary() */
    unsigned tls_level;                          /* the same: for smtp_client_tls_level() */
    uint64_t source_key;                         /* the same: for smtp_client_source_key() */
};

/* Where to. */
struct smtp_client_target {
    const char *host; /* its name, for TLS and messages */
    unsigned port;
    struct dns_address *addresses; /* they get the port, and another order */
    unsigned count;                /* at least 1 */
    /* Set: the first of them were tried, and the last of these is the one that is open, or that did not serve.  The
     * others may be tried next. */
    unsigned tried;
};

/*
 * Connects to one of the addresses (core/stream_race.h), is greeted, says EHLO (or HELO), turns to TLS when it is offered;
 * when TLS fails and need not be, connects again in clear (RFC 7435).  False: it does not serve; *why (in the arena) says
 * it in words or in the server's.
 */
AWAITS bool smtp_client_open(const struct smtp_client_settings *settings, struct arena *arena,
                             struct smtp_client_target *target, struct smtp_client **out, struct slice *why)
    __attribute__((warn_unused_result));

struct stream;
/*
 * The same over a connection that the other side has made, and that was turned round (ATRN, RFC 2645 5.3): it is
 * greeted and says EHLO; TLS stays as it is.  Takes the stream (driven), nulls *stream.
 */
AWAITS bool smtp_client_adopt(const struct smtp_client_settings *settings, struct arena *arena, struct stream **stream,
                              const char *host, struct smtp_client **out, struct slice *why)
    __attribute__((warn_unused_result));

enum smtp_client_outcome {
    SMTP_CLIENT_DELIVERED,
    SMTP_CLIENT_LATER,     /* 4xx, for this recipient */
    SMTP_CLIENT_REFUSED,   /* 5xx, for this recipient */
    SMTP_CLIENT_AGAIN,     /* too many recipients for one transaction: at once, in another */
    SMTP_CLIENT_AWAY,      /* 421 to MAIL, or the connection went there: whatever the message is */
    SMTP_CLIENT_CUT,       /* the same later, before the final dot was answered: not delivered */
    SMTP_CLIENT_UNCERTAIN, /* it went after the final dot */
};

struct smtp_client_recipient {
    struct slice address;
    const struct envelope_rcpt *envelope;
    enum smtp_client_outcome outcome;
    struct slice reply;  /* the server's words, or ours; one line of ASCII, in the arena */
    struct slice status; /* RFC 3463, for a DSN */
    bool withheld;       /* refused by us: the server is not asked about it */
    bool by;             /* the server offers DELIVERBY, and was told the time (RFC 2852) */
    bool dsn;            /* DELIVERED: to a server with DSN, which was told what the sender wants to hear (RFC 3461) */
};

struct smtp_client_message {
    struct slice sender;
    const struct envelope_mail
        *envelope;  /* as of now; passed on where the extension is offered, as are the recipients' */
    bool eight_bit; /* it was submitted as BODY=8BITMIME */
    /* What is sent: prefix, then the spool from offset on. */
    struct slice prefix;
    struct spool *spool;
    size_t offset;
    /* The last chance to hold it back: asked just before the final dot.  False: abandoned, CUT.  NULL: no question. */
    bool (*may_finish)(void *arg);
    void *arg;
    struct smtp_client_recipient *recipients;
    unsigned count; /* at least 1 */
};

/* One transaction.  Fills every recipient's outcome. */
AWAITS void smtp_client_send(struct smtp_client *client, struct arena *arena, struct smtp_client_message *message);

struct smtp_client_answer {
    bool to_recipient; /* false: MAIL was refused, so nothing is said about the recipient */
    unsigned code;
    struct slice enhanced, text; /* in the arena */
};
/*
 * Would it take mail for the address?  smtp_client_ask.c; not over a connection that messages go over.  False: the
 * connection went, or the server says that it will.
 */
AWAITS bool smtp_client_ask(struct smtp_client *client, struct arena *arena, struct slice sender, struct slice address,
                            struct smtp_client_answer *out) __attribute__((warn_unused_result));

/* NOOP: does it still answer?  False: as above. */
AWAITS bool smtp_client_noop(struct smtp_client *client, struct arena *arena, struct smtp_client_answer *out)
    __attribute__((warn_unused_result));

/*
 * Can another message be sent over it?  What is not usable, as it broke or takes no more in one session (MAILMAX), is
 * given up by the caller.
 */
bool smtp_client_usable(const struct smtp_client *client);
/* How long the reply took that it was waited for longest, since it is watched. */
void smtp_client_watch(struct smtp_client *client);
unsigned smtp_client_slowest_ms(const struct smtp_client *client);
/* MAIL commands that it was sent. */
unsigned smtp_client_mails(const struct smtp_client *client);
/* How many of the first recipients it takes in one transaction (RFC 9422 RCPTMAX, RCPTDOMAINMAX): at least one. */
unsigned smtp_client_portion(const struct smtp_client *client, const struct smtp_client_recipient *recipients,
                             unsigned count);
const char *smtp_client_host(const struct smtp_client *client);
/* As it has said at EHLO (SIZE, RFC 1870); 0: it has no limit, or none that it tells. */
uint64_t smtp_client_size_max(const struct smtp_client *client);
/* How well it is protected: TLS; with a certificate for the host's name; and is that name known to be the right one? */
bool smtp_client_encrypted(const struct smtp_client *client);
bool smtp_client_verified(const struct smtp_client *client);
/* With a certificate that the TLSA records mean which it was held against. */
bool smtp_client_dane(const struct smtp_client *client);
/* What is wrong with its certificate; and, of one that is in clear: TLS was offered, and did not come about. */
enum tls_trouble smtp_client_tls_trouble(const struct smtp_client *client);
bool smtp_client_tls_failed(const struct smtp_client *client);
/* Addresses as text: the server's, and our own. */
const char *smtp_client_peer(const struct smtp_client *client);
const char *smtp_client_local(const struct smtp_client *client);
/* As stream_tls_version() and stream_tls_cipher(): static; NULL in clear. */
const char *smtp_client_tls_version(const struct smtp_client *client);
const char *smtp_client_tls_cipher(const struct smtp_client *client);
const struct smtp_client_announced *smtp_client_announced(const struct smtp_client *client);
bool smtp_client_named(const struct smtp_client *client);
bool smtp_client_offers(const struct smtp_client *client, unsigned extension); /* ENVELOPE_* */
bool smtp_client_in_clear(const struct smtp_client *client);                   /* opened without TLS in its settings */
/* Is it a host that knows which recipients exist, not one that stands in for it? */
bool smtp_client_is_primary(const struct smtp_client *client);
unsigned smtp_client_port(const struct smtp_client *client);
/* Of the credential that it was signed in with; 0: of none. */
int64_t smtp_client_credential_id(const struct smtp_client *client, int *version);
unsigned smtp_client_tls_level(const struct smtp_client *client);
uint64_t smtp_client_source_key(const struct smtp_client *client);
/* Has a transaction gone over it already?  A reused connection that fails says nothing about the host. */
bool smtp_client_used(const struct smtp_client *client);

/* Says QUIT and waits shortly for the reply; nulls *client. */
AWAITS void smtp_client_quit(struct smtp_client **client);
/* Closes without a word; outside tasks, too. */
void smtp_client_abort(struct smtp_client **client);

#endif
