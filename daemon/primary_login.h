#ifndef DAEMON_PRIMARY_LOGIN_H
#define DAEMON_PRIMARY_LOGIN_H
/* primary_login: signs in at a domain's primary as one of its users, to learn whether the password is his. */

/* Before the first login.  hostname: ours, for EHLO; must stay. */
void primary_login_init(const char *hostname);

#endif
