/* imap_pending: a closed door where IMAP will be; so that the program links while that is being built. */
#include <unistd.h>

#include "protocols/server.h"

void imap_serve(int fd, bool implicit_tls, struct server_settings *settings)
{
    (void)implicit_tls, (void)settings;
    close(fd);
}
