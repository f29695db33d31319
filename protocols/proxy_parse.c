/*
 * proxy_parse: HAProxy's doc/proxy-protocol.txt, sections 2.1 and 2.2, as a receiver.
 *
 * Version 1 is a line:
 *
 *     "PROXY" SP ("TCP4" / "TCP6") SP source SP destination SP port SP port CRLF       at most 107 octets
 *     "PROXY" SP "UNKNOWN" [anything] CRLF
 *
 * Version 2 is binary: a signature of 12 octets that no line of text begins with, version and command, family and
 * protocol, the length of what follows in two octets; then the addresses, and behind them extensions (TLVs).
 *
 * What is taken is exact: one blank between the fields, ports in plain decimal, both addresses of the family that was
 * named.  The sender is a program that is trusted with the client's address; one that is sloppy about it is better not
 * believed.
 *
 * LOCAL (the proxy speaks for itself: a health check) and UNKNOWN leave the connection's own addresses.  So do
 * families that are no addresses of clients of ours (AF_UNSPEC, AF_UNIX).  Datagrams cannot come here: refused.
 *
 * Of the extensions only the checksum is understood, and it must be right (section 2.2.3); others are skipped.  One
 * that does not fit into the header makes it bad.  TLS that a proxy has taken off is not believed: the connection
 * counts as clear.
 */
#include "protocols/proxy_parse.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "core/cursor.h"
#include "core/slice.h"

#define V1_MAX 107
#define V2_FIXED 16
#define TLV_CRC32C 0x03

static const unsigned char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* ------------------------------------------------------------------ version 1 */

static bool take_field(struct slice *rest, char out[INET6_ADDRSTRLEN])
{
    size_t n = 0;

    while (n < rest->n && rest->p[n] != ' ')
        n++;
    if (n == 0 || n >= INET6_ADDRSTRLEN || memchr(rest->p, '\0', n))
        return false;
    memcpy(out, rest->p, n);
    out[n] = '\0';
    *rest = slice_skip(*rest, n);
    return true;
}

static bool parse_port(const char *text, in_port_t *out)
{
    unsigned n = 0;

    if (strlen(text) > 5 || (text[0] == '0' && text[1]))
        return false;
    for (; *text; text++) {
        if (!cursor_is_digit(*text))
            return false;
        n = n * 10 + (unsigned)(*text - '0');
    }
    *out = htons((uint16_t)n);
    return n <= 65535;
}

static bool set_address(struct sockaddr_storage *out, int family, const void *address, in_port_t port)
{
    struct sockaddr_in *four = (void *)out;
    struct sockaddr_in6 *six = (void *)out;

    memset(out, 0, sizeof *out);
    out->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        four->sin_port = port;
        memcpy(&four->sin_addr, address, sizeof four->sin_addr);
    } else {
        six->sin6_port = port;
        memcpy(&six->sin6_addr, address, sizeof six->sin6_addr);
    }
    return true;
}

static bool parse_addresses(struct slice rest, int family, struct proxy_header *out)
{
    char text[4][INET6_ADDRSTRLEN];
    unsigned char bytes[2][sizeof(struct in6_addr)];
    in_port_t ports[2];

    for (unsigned i = 0; i < 4; i++)
        if ((i && !cursor_take(&rest, ' ')) || !take_field(&rest, text[i]))
            return false;
    if (rest.n)
        return false;
    for (unsigned i = 0; i < 2; i++)
        if (inet_pton(family, text[i], bytes[i]) != 1 || !parse_port(text[2 + i], &ports[i]))
            return false;
    out->known =
        set_address(&out->client, family, bytes[0], ports[0]) && set_address(&out->server, family, bytes[1], ports[1]);
    return out->known;
}

static enum proxy_status parse_text(const char *bytes, size_t n, struct proxy_header *out)
{
    const char *end = memchr(bytes, '\n', n < V1_MAX ? n : V1_MAX);
    struct slice rest;
    bool ok;

    if (!end)
        return n < V1_MAX ? PROXY_MORE : PROXY_BAD;
    rest = slice_of(bytes, (size_t)(end - bytes));
    out->length = rest.n + 1;
    if (!rest.n || rest.p[--rest.n] != '\r')
        return PROXY_BAD;
    rest = slice_skip(rest, sizeof "PROXY " - 1);
    if (rest.n >= 7 && memcmp(rest.p, "UNKNOWN", 7) == 0)
        ok = rest.n == 7 || rest.p[7] == ' ';
    else if (rest.n >= 5 && memcmp(rest.p, "TCP4 ", 5) == 0)
        ok = parse_addresses(slice_skip(rest, 5), AF_INET, out);
    else
        ok = rest.n >= 5 && memcmp(rest.p, "TCP6 ", 5) == 0 && parse_addresses(slice_skip(rest, 5), AF_INET6, out);
    return ok ? PROXY_DONE : PROXY_BAD;
}

/* ------------------------------------------------------------------ version 2 */

/* CRC-32C, Castagnoli's polynomial reflected (RFC 9260 appendix A), bit by bit: a header is short. */
static uint32_t crc32c(uint32_t crc, const unsigned char *p, size_t n)
{
    for (; n; p++, n--) {
        crc ^= *p;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ UINT32_C(0x82f63b78) : crc >> 1;
    }
    return crc;
}

static bool checksum_right(const unsigned char *header, size_t length, size_t at)
{
    static const unsigned char zero[4];
    uint32_t crc = crc32c(UINT32_MAX, header, at), told;

    crc = crc32c(crc, zero, sizeof zero);
    crc = ~crc32c(crc, header + at + 4, length - at - 4);
    memcpy(&told, header + at, 4);
    return ntohl(told) == crc;
}

/* type (1), length (2), value */
static bool check_extensions(const unsigned char *header, size_t length, size_t at)
{
    while (at < length) {
        size_t n;

        if (length - at < 3)
            return false;
        n = (size_t)header[at + 1] << 8 | header[at + 2];
        if (n > length - at - 3)
            return false;
        if (header[at] == TLV_CRC32C && (n != 4 || !checksum_right(header, length, at + 3)))
            return false;
        at += 3 + n;
    }
    return true;
}

/* How long the addresses are; SIZE_MAX: nothing that can come here. */
static size_t address_size(unsigned char family)
{
    switch (family) {
    case 0x00: return 0;   /* UNSPEC */
    case 0x11: return 12;  /* TCP over IPv4 */
    case 0x21: return 36;  /* TCP over IPv6 */
    case 0x31: return 216; /* UNIX stream */
    default: return SIZE_MAX;
    }
}

static void read_addresses(const unsigned char *p, unsigned char family, struct proxy_header *out)
{
    size_t each = family == 0x11 ? sizeof(struct in_addr) : sizeof(struct in6_addr);
    int kind = family == 0x11 ? AF_INET : AF_INET6;
    in_port_t ports[2];

    memcpy(ports, p + 2 * each, sizeof ports);
    out->known = set_address(&out->client, kind, p, ports[0]) && set_address(&out->server, kind, p + each, ports[1]);
}

static enum proxy_status parse_binary(const unsigned char *p, size_t n, struct proxy_header *out)
{
    size_t addresses;

    if (n < V2_FIXED)
        return PROXY_MORE;
    out->length = V2_FIXED + ((size_t)p[14] << 8 | p[15]);
    if ((p[12] != 0x20 && p[12] != 0x21) || out->length > PROXY_HEADER_MAX)
        return PROXY_BAD;
    if (n < out->length)
        return PROXY_MORE;
    /* LOCAL: the family is to be ignored, and so are addresses; the checksum, if there is one, is of all octets. */
    addresses = address_size(p[13]);
    if (p[12] == 0x20 && addresses > out->length - V2_FIXED)
        return PROXY_DONE;
    if (addresses > out->length - V2_FIXED || !check_extensions(p, out->length, V2_FIXED + addresses))
        return PROXY_BAD;
    if (p[12] == 0x21 && (p[13] == 0x11 || p[13] == 0x21))
        read_addresses(p + V2_FIXED, p[13], out);
    return PROXY_DONE;
}

/* ------------------------------------------------------------------ both */

static bool begins(const char *bytes, size_t n, const void *with, size_t length)
{
    return memcmp(bytes, with, n < length ? n : length) == 0;
}

enum proxy_status proxy_parse(const char *bytes, size_t n, struct proxy_header *out)
{
    *out = (struct proxy_header){0};
    if (begins(bytes, n, signature, sizeof signature))
        return parse_binary((const unsigned char *)bytes, n, out);
    if (begins(bytes, n, "PROXY ", 6))
        return parse_text(bytes, n, out);
    return PROXY_BAD;
}
