/*
 * The HTTP side of `posthouse`.
 *
 * One libcurl handle, so that pages of a long list come over one connection.  Answers are bounded: a page is at
 * most 1,000 items, and CLIENT_ANSWER_MAX is far beyond that; a server that sends more is none of ours.
 */
#include "admin-api/cli/client.h"

#include <curl/curl.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_ANSWER_MAX (64 * 1024 * 1024)
#define CLIENT_TIMEOUT_S 60L

static struct {
    CURL *curl;
    struct curl_slist *headers;
    const char *url;
} client;

struct answer {
    char *bytes;
    size_t size;
};

static void fatal(const char *what)
{
    fprintf(stderr, "posthouse: %s\n", what);
    exit(3);
}

void client_init(const char *url, const char *token)
{
    client.url = url;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(client.curl = curl_easy_init()))
        fatal("libcurl cannot start");
    size_t size = strlen(token) + 32;
    char *authorization = malloc(size);
    if (!authorization)
        fatal("out of memory");
    snprintf(authorization, size, "Authorization: Bearer %s", token);
    client.headers = curl_slist_append(NULL, authorization);
    client.headers = curl_slist_append(client.headers, "Content-Type: application/json");
    client.headers = curl_slist_append(client.headers, "Expect:");
    free(authorization);
    if (!client.headers)
        fatal("out of memory");
}

void client_done(void)
{
    curl_slist_free_all(client.headers);
    curl_easy_cleanup(client.curl);
    curl_global_cleanup();
}

static size_t on_bytes(char *bytes, size_t one, size_t size, void *arg)
{
    struct answer *answer = arg;
    (void)one;
    if (size > CLIENT_ANSWER_MAX - answer->size)
        return 0;
    char *grown = realloc(answer->bytes, answer->size + size + 1);
    if (!grown)
        return 0;
    answer->bytes = grown;
    memcpy(grown + answer->size, bytes, size);
    answer->size += size;
    grown[answer->size] = '\0';
    return size;
}

long client_request(const char *method, const char *path, struct json_object *body, struct json_object **answer,
                    char *error, size_t error_size)
{
    char address[2048], why[CURL_ERROR_SIZE] = "";
    struct answer got = {0};
    long status = 0;
    *answer = NULL;
    if (snprintf(address, sizeof address, "%s%s", client.url, path) >= (int)sizeof address) {
        snprintf(error, error_size, "the name is too long");
        return 0;
    }
    curl_easy_reset(client.curl);
    curl_easy_setopt(client.curl, CURLOPT_URL, address);
    curl_easy_setopt(client.curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(client.curl, CURLOPT_HTTPHEADER, client.headers);
    curl_easy_setopt(client.curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(client.curl, CURLOPT_TIMEOUT, CLIENT_TIMEOUT_S);
    curl_easy_setopt(client.curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client.curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(client.curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(client.curl, CURLOPT_WRITEDATA, &got);
    if (body)
        curl_easy_setopt(client.curl, CURLOPT_COPYPOSTFIELDS, json_object_to_json_string(body));
    CURLcode code = curl_easy_perform(client.curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(client.curl, CURLINFO_RESPONSE_CODE, &status);
    else
        snprintf(error, error_size, "%s: %s", client.url, *why ? why : curl_easy_strerror(code));
    if (got.bytes)
        *answer = json_tokener_parse(got.bytes);
    free(got.bytes);
    return status;
}

char *client_escape(const char *text)
{
    char *escaped = curl_easy_escape(client.curl, text, 0);
    char *copy = escaped ? strdup(escaped) : NULL;
    if (!copy)
        fatal("out of memory");
    curl_free(escaped);
    return copy;
}
