/*
 * http: libcurl's multi interface on our loop.
 *
 * libcurl says which sockets to watch and when it wants to be called; both are events of ours, and everything that it
 * does (connecting, TLS) happens there, on the loop's own stack.  A task adds an exchange, sleeps, and is woken when
 * libcurl is done with it.  Names are looked up by libcurl's thread; connections are kept by it for the next question.
 *
 * Bounded by the number of tasks that ask; each exchange ends by its own time limit at the latest, so nothing is
 * cancelled.
 *
 * What was posted is the caller's and wiped by him; copies in libcurl's and OpenSSL's buffers are not.
 */
#include "core/http.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LOG_MODULE "http"
#include "core/log.h"
#include "core/loop.h"
#include "core/secret.h"

struct exchange {
    struct task_wait wait;
    CURLcode code;
    char *bytes; /* malloc'ed */
    size_t size, max;
    struct curl_slist *resolve, *fields;
    const struct http_request *request;
    bool refused; /* an address, by may_connect */
};

static CURLM *multi;
static struct loop_timer timer;

/* ------------------------------------------------------------------ between libcurl and the loop */

static void collect(void)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            struct exchange *exchange = NULL;

            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
            exchange->code = message->data.result;
            task_wake(&exchange->wait);
        }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    int running;

    (void)arg;
    curl_multi_socket_action(
        multi, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0), &running);
    collect();
}

static void on_time(void *arg)
{
    int running;

    (void)arg;
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect();
}

static int set_timer(CURLM *handle, long ms, void *arg)
{
    (void)handle, (void)arg;
    if (ms < 0)
        loop_timer_clear(&timer);
    else
        loop_timer_set(&timer, (uint64_t)ms, on_time, NULL);
    return 0;
}

/* known: the event that we have given to the socket before; NULL: it is new. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct event *event = known;
    short kinds = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

    (void)easy, (void)arg;
    if (event)
        event_free(event);
    event = what == CURL_POLL_REMOVE ? NULL : event_new(loop_base(), fd, kinds, on_event, NULL);
    if (event && event_add(event, NULL) != 0)
        abort();
    curl_multi_assign(multi, fd, event);
    return 0;
}

void http_init(void)
{
    if (multi)
        return;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(multi = curl_multi_init()))
        log_fatal(1, "libcurl does not start");
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 8L);
}

/* ------------------------------------------------------------------ asking */

static size_t on_body(char *bytes, size_t one, size_t size, void *arg)
{
    struct exchange *exchange = arg;

    (void)one;
    if (size > exchange->max - exchange->size)
        return 0; /* libcurl ends it: CURLE_WRITE_ERROR */
    exchange->bytes = realloc(exchange->bytes, exchange->size + size);
    if (!exchange->bytes)
        abort();
    memcpy(exchange->bytes + exchange->size, bytes, size);
    exchange->size += size;
    return size;
}

/* Where libcurl is about to connect to: what a name led to at this moment. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct exchange *exchange = arg;

    (void)purpose;
    if (!exchange->request->may_connect(&address->addr, exchange->request->may_connect_arg)) {
        exchange->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void add_field(struct exchange *exchange, const char *field)
{
    struct curl_slist *longer = curl_slist_append(exchange->fields, field);

    if (!longer)
        abort();
    exchange->fields = longer;
}

static void judge_addresses(CURL *easy, struct exchange *exchange)
{
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L); /* one that is open was judged for somebody else */
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
}

static bool has_type(CURL *easy, const char *wanted)
{
    const char *type = NULL;
    size_t n = strlen(wanted);

    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    return type && strncasecmp(type, wanted, n) == 0 && (!type[n] || strchr("; \t", type[n]));
}

static void set_up(CURL *easy, const struct http_request *request, struct exchange *exchange)
{
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "Posthouse");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    if (request->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
    if (request->resolve) { /* and no connection that was made to what it led to before */
        exchange->resolve = curl_slist_append(NULL, request->resolve);
        if (!exchange->resolve)
            abort();
        curl_easy_setopt(easy, CURLOPT_RESOLVE, exchange->resolve);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    if (request->user) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, request->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password ? request->password : "");
    }
    if (request->body.p) {
        char field[200];

        snprintf(field, sizeof field, "Content-Type: %s", request->body_type);
        add_field(exchange, field);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->body.n);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.p); /* not copied */
    }
    for (unsigned i = 0; request->fields && request->fields[i]; i++)
        add_field(exchange, request->fields[i]);
    if (exchange->fields)
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->fields);
    if (request->may_connect)
        judge_addresses(easy, exchange);
    if (request->form.p) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->form.n);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->form.p); /* not copied */
    }
}

AWAITS bool http_fetch(struct arena *arena, const struct http_request *request, unsigned *status, struct slice *body)
{
    struct exchange exchange = {
        .wait = TASK_WAIT_INIT, .code = CURLE_FAILED_INIT, .max = request->answer_max, .request = request};
    CURL *easy = curl_easy_init();
    long code = 0;
    bool right_type;

    if (!easy)
        abort();
    set_up(easy, request, &exchange);
    if (curl_multi_add_handle(multi, easy) == CURLM_OK) {
        task_wait(&exchange.wait);
        curl_multi_remove_handle(multi, easy);
    }
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    right_type = !request->media_type || exchange.code != CURLE_OK || has_type(easy, request->media_type);
    curl_easy_cleanup(easy);
    curl_slist_free_all(exchange.resolve);
    curl_slist_free_all(exchange.fields);
    *status = (unsigned)code;
    *body = arena_slice(arena, slice_of(exchange.bytes ? exchange.bytes : "", exchange.size));
    if (exchange.bytes)
        secret_wipe(exchange.bytes, exchange.size); /* a token server's answer */
    free(exchange.bytes);
    const char *why =
        exchange.refused ? "its address is of a network that may not be asked" : curl_easy_strerror(exchange.code);
    if (exchange.code != CURLE_OK && !request->failure)
        log_warn("no answer by HTTP", log_str("url", request->url), log_str("reason", why));
    if (request->failure)
        *request->failure = exchange.code != CURLE_OK ? why : right_type ? NULL : "an answer of another type";
    if (request->untrusted)
        *request->untrusted = exchange.code == CURLE_PEER_FAILED_VERIFICATION;
    if (!right_type)
        log_warn("an answer by HTTP of another type", log_str("url", request->url),
                 log_str("wanted", request->media_type));
    return exchange.code == CURLE_OK && right_type;
}

void http_form_add(char *form, const char *name, struct slice value)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = form + strlen(form);

    if (out != form)
        *out++ = '&';
    memcpy(out, name, strlen(name));
    out += strlen(name);
    *out++ = '=';
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("-._~", c))) {
            *out++ = (char)c;
        } else {
            *out++ = '%';
            *out++ = digits[c >> 4];
            *out++ = digits[c & 15];
        }
    }
    *out = '\0';
}

bool http_url_valid(const char *text)
{
    static const char *const here[] = {"http://localhost", "http://127.0.0.1", "http://[::1]"};

    if (strncmp(text, "https://", 8) == 0)
        return text[8] != '\0';
    for (unsigned i = 0; i < sizeof here / sizeof *here; i++) {
        size_t n = strlen(here[i]);

        if (strncmp(text, here[i], n) == 0 && (text[n] == ':' || text[n] == '/' || text[n] == '\0'))
            return true;
    }
    return false;
}
