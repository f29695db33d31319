/*
 * db_listen: one connection that only listens, for all channels.
 *
 * Its channels are subscribed to each time it comes up.  While it is down hints are lost; whoever waits for one
 * also polls (storage/hint.h).
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/db_private.h"

#define CHANNELS_MAX 8

/* LISTEN takes no parameters, so each channel has a statement of its own. */
static struct channel {
    const char *name;
    db_notify_fn *fn;
    void *arg;
    struct db_statement statement;
    struct request_step step;
    char sql[80], statement_name[80];
} channels[CHANNELS_MAX];
static unsigned channel_count;
static struct connection *listener;
static const struct params no_params;

static void on_listening(struct request *request, enum request_end end)
{
    (void)end; /* not ANSWERED: the connection is going down, or polling must do */
    free(request);
}

static void subscribe(struct connection *connection, struct channel *channel)
{
    struct request *request = calloc(1, sizeof *request);

    if (!request)
        abort();
    *request = (struct request){.steps = &channel->step, .count = 1, .done = on_listening};
    if (!connection_send(connection, request))
        free(request);
}

static void on_up(struct connection *connection)
{
    for (unsigned i = 0; i < channel_count && connection_up(connection); i++)
        subscribe(connection, &channels[i]);
}

static void on_notify(const char *name, const char *payload)
{
    for (unsigned i = 0; i < channel_count; i++)
        if (strcmp(channels[i].name, name) == 0)
            channels[i].fn(payload, channels[i].arg);
}

static const struct connection_events events = {on_up, on_notify};

void db_listen(const char *name, db_notify_fn *fn, void *arg)
{
    struct channel *channel = &channels[channel_count];

    assert(channel_count < CHANNELS_MAX);
    channel_count++;
    snprintf(channel->sql, sizeof channel->sql, "listen %s", name);
    snprintf(channel->statement_name, sizeof channel->statement_name, "listen_%s", name);
    channel->name = name;
    channel->fn = fn;
    channel->arg = arg;
    channel->statement = (struct db_statement){channel->statement_name, channel->sql};
    channel->step = (struct request_step){&channel->statement, &no_params, NULL};
    if (!listener)
        listener = connection_new(db_settings(), &events);
    else if (connection_up(listener))
        subscribe(listener, channel);
}

void db_listen_close(void)
{
    connection_free(&listener);
    channel_count = 0;
}
