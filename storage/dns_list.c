/*
 * dns_list: the DNS lists in memory.
 *
 * A list is a zone, the answers that count, and a score.  The same zone may stand there several times with other
 * answers: many lists tell by the last octet why a client is listed, and some reasons weigh more.
 */
#include "storage/dns_list.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "core/cidr.h"
#include "storage/db.h"
#include "storage/provision.h"

static struct dns_list lists[DNS_LISTS_MAX];
static unsigned list_count;

const struct dns_list *dns_lists(unsigned *count)
{
    *count = list_count;
    return lists;
}

bool dns_list_matches(const struct dns_list *list, const unsigned char answer[4])
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    memcpy(&address.sin_addr, answer, 4);
    for (unsigned i = 0; i < list->answer_count; i++)
        if (cidr_contains(&list->answers[i], (const struct sockaddr *)&address))
            return true;
    return false;
}

static void forget(void)
{
    for (unsigned i = 0; i < list_count; i++) {
        free(lists[i].zone);
        free(lists[i].answers);
    }
    list_count = 0;
}

static void remember(struct arena *arena, const struct rows *rows)
{
    forget();
    for (unsigned i = 0; i < rows_count(rows); i++) {
        unsigned count = 0;
        struct slice *words = provision_words(arena, row_text(rows, i, 3), &count), zone = row_text(rows, i, 1);
        struct dns_list *list = &lists[list_count++];

        *list = (struct dns_list){.id = row_int64(rows, i, 0), .score = (int)row_int64(rows, i, 2)};
        list->zone = strndup(zone.p, zone.n);
        list->answers = calloc(count + 1, sizeof *list->answers);
        if (!list->zone || !list->answers)
            abort();
        for (unsigned n = 0; n < count; n++)
            if (cidr_parse(arena_slicedup(arena, words[n]), &list->answers[list->answer_count]))
                list->answer_count++;
    }
}

static const struct db_statement all = {
    "dns_list_all",
    "select id, zone, score, array_to_string(answers, ' ') from dns_list order by id limit $1::integer",
};

AWAITS enum db_status dns_list_read(struct arena *arena)
{
    struct params params;
    struct rows *rows = NULL;

    params_init(&params, arena);
    params_int32(&params, DNS_LISTS_MAX);
    if (db_read(arena, &all, &params, &rows) == DB_FAILED)
        return DB_FAILED;
    remember(arena, rows);
    return DB_FOUND;
}
