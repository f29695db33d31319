#ifndef ADMIN_API_EXCHANGE_H
#define ADMIN_API_EXCHANGE_H
/*
 * exchange: one request of the API and its answer, between libmicrohttpd and the router.  For http.c only.
 */
#include <microhttpd.h>

/* Once, before the first request.  run_soon: the library has something to do in the next turn of the loop. */
void exchange_begin(void (*run_soon)(void));
/* From now on each answer says "Connection: close" (RFC 9112 9.6), and is the last on its connection. */
void exchange_last(void);
/* The library insists that no connection is suspended when it stops; tasks go on without theirs. */
void exchange_resume_all(void);

/* What the library calls: MHD_AccessHandlerCallback, MHD_RequestCompletedCallback. */
enum MHD_Result exchange_on_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                   const char *version, const char *upload, size_t *upload_size, void **state);
void exchange_on_completed(void *arg, struct MHD_Connection *connection, void **state,
                           enum MHD_RequestTerminationCode code);

#endif
