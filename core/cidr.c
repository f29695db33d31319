/*
 * cidr: blocks of addresses that the configuration names.
 *
 * The networks of customers are in the database, which compares them itself; these here are the few that must be known
 * before it can be asked: the proxies that are believed.
 */
#include "core/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_SIZE 64

/* Are the bits from `from` on zero? */
static bool rest_is_zero(const unsigned char *bytes, unsigned from, unsigned width)
{
    for (unsigned bit = from; bit < width; bit++)
        if (bytes[bit / 8] & 0x80 >> bit % 8)
            return false;
    return true;
}

static bool parse_bits(const char *text, unsigned width, unsigned *out)
{
    size_t n = strlen(text);

    if (n == 0 || n > 3 || strspn(text, "0123456789") != n || (text[0] == '0' && n > 1))
        return false;
    *out = (unsigned)strtoul(text, NULL, 10);
    return *out <= width;
}

bool cidr_parse(const char *text, struct cidr *out)
{
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    char address[INET6_ADDRSTRLEN];
    unsigned width;

    *out = (struct cidr){0};
    if (n >= sizeof address)
        return false;
    memcpy(address, text, n);
    address[n] = '\0';
    out->family = strchr(address, ':') ? AF_INET6 : AF_INET;
    width = out->family == AF_INET ? 32 : 128;
    out->bits = width;
    return inet_pton(out->family, address, out->bytes) == 1 && (!slash || parse_bits(slash + 1, width, &out->bits)) &&
           rest_is_zero(out->bytes, out->bits, width);
}

bool cidr_contains(const struct cidr *block, const struct sockaddr *address)
{
    const struct sockaddr_in *four = (const void *)address;
    const struct sockaddr_in6 *six = (const void *)address;
    const unsigned char *bytes;
    int family = address->sa_family;

    if (family == AF_INET)
        bytes = (const unsigned char *)&four->sin_addr;
    else if (family == AF_INET6)
        bytes = six->sin6_addr.s6_addr;
    else
        return false;
    if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        family = AF_INET;
        bytes += 12;
    }
    if (family != block->family || memcmp(bytes, block->bytes, block->bits / 8) != 0)
        return false;
    return block->bits % 8 == 0 ||
           (bytes[block->bits / 8] ^ block->bytes[block->bits / 8]) >> (8 - block->bits % 8) == 0;
}

bool cidr_plain_address(const char *client, char out[INET6_ADDRSTRLEN])
{
    struct in6_addr bytes; /* aligned, as the macro below wants it */
    size_t n = strcspn(client, "%");

    if (n >= INET6_ADDRSTRLEN)
        return false;
    snprintf(out, INET6_ADDRSTRLEN, "%.*s", (int)n, client);
    if (inet_pton(AF_INET, out, &bytes) == 1)
        return true;
    if (inet_pton(AF_INET6, out, &bytes) != 1)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&bytes))
        return inet_ntop(AF_INET, bytes.s6_addr + 12, out, INET6_ADDRSTRLEN) != NULL;
    return true;
}

bool cidr_block_of(const char *client, unsigned bits_ipv4, unsigned bits_ipv6, char out[CIDR_TEXT_SIZE])
{
    unsigned char bytes[16], block[16] = {0};
    char text[INET6_ADDRSTRLEN];
    unsigned bits = bits_ipv6;
    int family = AF_INET6;

    if (!cidr_plain_address(client, text))
        return false;
    if (!strchr(text, ':')) {
        family = AF_INET;
        bits = bits_ipv4;
    }
    inet_pton(family, text, bytes);
    memcpy(block, bytes, bits / 8);
    if (bits % 8)
        block[bits / 8] = bytes[bits / 8] & (unsigned char)(0xff << (8 - bits % 8));
    snprintf(out, CIDR_TEXT_SIZE, "%s/%u", inet_ntop(family, block, text, sizeof text), bits);
    return true;
}

bool cidr_list_parse(const char *text, struct cidr_list *out, char *error, size_t error_size)
{
    char word[WORD_SIZE];

    *out = (struct cidr_list){0};
    while (*(text += strspn(text, " \t,"))) {
        size_t n = strcspn(text, " \t,");

        snprintf(word, sizeof word, "%.*s", (int)n, text);
        out->blocks = realloc(out->blocks, (out->count + 1) * sizeof *out->blocks);
        if (!out->blocks)
            abort();
        if (n >= sizeof word || !cidr_parse(word, &out->blocks[out->count])) {
            snprintf(error, error_size, "\"%s\" is not a network such as 192.0.2.0/24 or 2001:db8::/32", word);
            cidr_list_free(out);
            return false;
        }
        out->count++;
        text += n;
    }
    return true;
}

bool cidr_list_contains(const struct cidr_list *list, const struct sockaddr *address)
{
    for (unsigned i = 0; i < list->count; i++)
        if (cidr_contains(&list->blocks[i], address))
            return true;
    return false;
}

void cidr_list_free(struct cidr_list *list)
{
    free(list->blocks);
    *list = (struct cidr_list){0};
}
