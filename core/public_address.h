#ifndef CORE_PUBLIC_ADDRESS_H
#define CORE_PUBLIC_ADDRESS_H
/* public_address: is an address anybody's, or of a network of one's own, of this machine, or of many?  Pure. */
#include <stdbool.h>
#include <sys/socket.h>

/* False also for IPv6 that leads to an IPv4 address (translated, 6to4, Teredo); one that is mapped is the IPv4 one. */
bool public_address(const struct sockaddr *address);

#endif
