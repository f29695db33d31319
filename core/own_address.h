#ifndef CORE_OWN_ADDRESS_H
#define CORE_OWN_ADDRESS_H
/*
 * own_address: would a connection to this address and port come back to this server?  Told by what it listens on; what a
 * proxy or a router in front of it passes on, nobody here can know.
 */
#include <stdbool.h>
#include <sys/socket.h>

/* An address literal; "0.0.0.0" and "::" are all that the machine has of the family.  At most OWN_ADDRESSES_MAX. */
void own_address_add(const char *address, unsigned port);
#define OWN_ADDRESSES_MAX 64

bool own_address(const struct sockaddr *address);

#endif
