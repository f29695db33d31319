#ifndef CORE_CIDR_H
#define CORE_CIDR_H
/* cidr: blocks of addresses, "192.0.2.0/24", "2001:db8::/32"; a bare address is a block of one.  Pure. */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define CIDR_TEXT_SIZE 64

struct cidr {
    int family; /* AF_INET, AF_INET6 */
    unsigned bits;
    unsigned char bytes[16];
};

/* Bits behind the length must be zero, as in the API: what is written is what is meant. */
bool cidr_parse(const char *text, struct cidr *out);
/* IPv4 that is mapped into IPv6 is IPv4. */
bool cidr_contains(const struct cidr *block, const struct sockaddr *address);

/*
 * The form that blocks are compared with: no zone ("fe80::1%eth0"), and an IPv4 client of an IPv6 socket
 * ("::ffff:192.0.2.1") is what it is.  False: not an address (a client on a UNIX socket).
 */
bool cidr_plain_address(const char *client, char out[INET6_ADDRSTRLEN]);

/* "192.0.2.0/24", "2001:db8::/64": the address's block of that length.  False: not an address. */
bool cidr_block_of(const char *client, unsigned bits_ipv4, unsigned bits_ipv6, char out[CIDR_TEXT_SIZE]);

struct cidr_list {
    unsigned count;
    struct cidr *blocks; /* malloc'ed */
};
/* Words with blanks between; false: error names the first that is wrong, and out is empty. */
bool cidr_list_parse(const char *text, struct cidr_list *out, char *error, size_t error_size);
bool cidr_list_contains(const struct cidr_list *list, const struct sockaddr *address);
void cidr_list_free(struct cidr_list *list);

#endif
