/* resolve: circles end, nobody gets two copies, who is gone is left out, and a closed group is closed by every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/resolve.h"

#define CUSTOMER 7

/*
 * The directory: "a:b,c" is an alias; with '!' a group for members, with '$' one for the customer, with '*' what a
 * catch-all makes of it.  "a@2" is a in a domain alias, "r@to" is in a relay domain, and "r@2" the same by an alias.
 */
static const char *const *world;
static unsigned rounds;
static struct authorize_client client = {.role = AUTHORIZE_MX, .address = "192.0.2.1"};
static struct authorize_sender sender = {.address = {"joe@out", 7}};

static void look_up(struct arena *arena, struct slice address, struct directory_recipient *out)
{
    struct slice local = slice_of(address.p, 1);

    *out = (struct directory_recipient){0};
    out->has_domain = !memmem(address.p, address.n, "@out", 4);
    out->domain.customer_active = true;
    if (*local.p == 'r') {
        out->domain.kind = DIRECTORY_RELAY;
        out->address = memmem(address.p, address.n, "@2", 2) ? SLICE("r@to") : slice_of(NULL, 0);
        return;
    }
    if (memmem(address.p, address.n, "@2", 2))
        out->address = local;
    for (unsigned i = 0; out->has_domain && world[i]; i++) {
        if (world[i][0] != *local.p)
            continue;
        const char *list = world[i] + 1;
        struct directory_expansion *e = &out->expansion;
        if (!*list || *list == '-') { /* an account, or a suspended one */
            out->has_account = true;
            out->account.id = *local.p;
            out->account.state = *list ? DIRECTORY_SUSPENDED : DIRECTORY_ACTIVE;
            return;
        }
        out->has_expansion = true;
        *e = (struct directory_expansion){
            .id = 1, .customer_id = CUSTOMER, .targets = arena_array(arena, 64, sizeof *e->targets)};
        e->catch_all = *list == '*';
        e->senders = *list == '!'   ? DIRECTORY_POSTERS_MEMBERS
                     : *list == '$' ? DIRECTORY_POSTERS_CUSTOMER
                                    : DIRECTORY_POSTERS_ANYONE;
        for (const char *at = list + 1; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ','))
            e->targets[e->target_count++] = slice_of(at, strcspn(at, ","));
    }
}

/* The targets with their verdicts' first letters, or the refusal. */
static const char *resolved(const char *const *directory, const char *address)
{
    static char text[4000];
    struct arena *arena = arena_new(SIZE_MAX);
    struct authorize_decision decision = {.verdict = AUTHORIZE_EXPANDED, .code = 250};
    struct directory_recipient found;
    struct slice *addresses;
    struct resolve r;
    unsigned count;
    size_t n = 0;

    world = directory;
    rounds = 0;
    text[0] = '\0';
    look_up(arena, slice_str(address), &found);
    assert_true(found.has_expansion);
    resolve_begin(&r, arena, &client, &sender, slice_str(address), &found);
    while (resolve_pending(&r, &addresses, &count)) {
        struct directory_recipient *all = arena_array(arena, count, sizeof *all);

        for (unsigned i = 0; i < count; i++)
            look_up(arena, addresses[i], &all[i]);
        resolve_found(&r, all);
        rounds++;
    }
    resolve_decide(&r, &decision);
    for (unsigned i = 0; i < r.count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s=%s", i ? " " : "", SLICE_ARG(r.targets[i].address),
                              authorize_verdict_word(r.targets[i].verdict));
    if (!r.count)
        snprintf(text, sizeof text, "%u %s %s", decision.code, decision.enhanced, decision.reason);
    arena_free(&arena);
    return text;
}

static void test_targets(void **state)
{
    static const char *const simple[] = {"l:a,b,x@out", "a", "b", NULL};
    static const char *const nested[] = {"l:m,a", "m:n,b", "n:a,b,c", "a", "b", "c", NULL};

    (void)state;
    assert_string_equal(resolved(simple, "l"), "a=mailbox b=mailbox x@out=outside");
    assert_int_equal(rounds, 1);
    assert_string_equal(resolved(nested, "l"), "a=mailbox b=mailbox c=mailbox");
    assert_int_equal(rounds, 3);
}

static void test_second_names_are_the_first(void **state)
{
    static const char *const doubled[] = {"l:a@2,a,r@to,r@2", "a", NULL};
    static const char *const nested[] = {"l:m@2", "m:a@2", "a", NULL};

    (void)state;
    assert_string_equal(resolved(doubled, "l"), "a=mailbox r@to=relay");
    assert_string_equal(resolved(nested, "l"), "a=mailbox");
}

static void test_a_catch_all_is_an_alias(void **state)
{
    static const char *const caught[] = {"l*a", "a", NULL};
    static const char *const itself[] = {"l*m", "m*m", NULL};

    (void)state;
    assert_string_equal(resolved(caught, "l"), "a=mailbox");
    assert_string_equal(resolved(itself, "l"), "550 5.1.1 unknown-user");
}

static void test_circles_end(void **state)
{
    static const char *const circle[] = {"l:m,a", "m:l,m,n", "n:m,l", "a", NULL};
    static const char *const nothing_else[] = {"l:m", "m:l", NULL};

    (void)state;
    assert_string_equal(resolved(circle, "l"), "a=mailbox");
    assert_string_equal(resolved(nothing_else, "l"), "550 5.1.1 unknown-user");
}

static void test_who_is_gone_is_left_out(void **state)
{
    static const char *const one_gone[] = {"l:a,z", "a", NULL};
    static const char *const all_gone[] = {"l:y,z", NULL};
    static const char *const one_suspended[] = {"l:s,z", "s-", NULL};

    (void)state;
    assert_string_equal(resolved(one_gone, "l"), "a=mailbox");
    assert_string_equal(resolved(all_gone, "l"), "550 5.1.1 unknown-user");
    assert_string_equal(resolved(one_suspended, "l"), "550 5.2.1 recipient-suspended");
}

static void test_limits(void **state)
{
    static const char *const deep[] = {"1:2", "2:3", "3:4", "4:5", "5:6", "6:7", "7:8", "8:9", "9:a", "a", NULL};
    static const char *const deep_enough[] = {"2:3", "3:4", "4:5", "5:6", "6:7", "7:8", "8:9", "9:a", "a", NULL};

    (void)state;
    assert_string_equal(resolved(deep, "1"), "451 4.3.5 expansion-too-large");
    assert_string_equal(resolved(deep_enough, "2"), "a=mailbox");
    assert_int_equal(rounds, RESOLVE_DEPTH_MAX);
}

/* An alias to so many groups, each of the same so many accounts; the decision's code. */
static unsigned resolved_groups(unsigned groups, unsigned members)
{
    struct arena *arena = arena_new(SIZE_MAX);
    struct slice *names = arena_array(arena, groups + members, sizeof *names), *addresses;
    struct directory_expansion all = {.id = 1, .targets = names, .target_count = groups};
    struct directory_expansion group = {.id = 2, .group = true, .targets = names + groups, .target_count = members};
    struct directory_recipient found = {.has_expansion = true, .expansion = all};
    struct authorize_decision decision = {.verdict = AUTHORIZE_EXPANDED, .code = 250};
    struct resolve r;
    unsigned count;

    for (unsigned i = 0; i < groups + members; i++)
        names[i] = slice_str(arena_printf(arena, "%c%u@here", i < groups ? 'g' : 'm', i));
    rounds = 0;
    resolve_begin(&r, arena, &client, &sender, SLICE("all@here"), &found);
    while (resolve_pending(&r, &addresses, &count)) {
        struct directory_recipient *answer = arena_array(arena, count, sizeof *answer);

        assert_in_range(count, 1, RESOLVE_PENDING_MAX);
        for (unsigned i = 0; i < count; i++)
            if (*addresses[i].p == 'g')
                answer[i] = (struct directory_recipient){.has_expansion = true, .expansion = group};
            else
                answer[i] = (struct directory_recipient){.has_domain = true,
                                                         .domain.customer_active = true,
                                                         .has_account = true,
                                                         .account.id = 1 + rounds * 1000 + i};
        resolve_found(&r, answer);
        rounds++;
    }
    resolve_decide(&r, &decision);
    assert_int_equal(r.count, decision.code == 250 ? members : 0);
    arena_free(&arena);
    return decision.code;
}

static void test_names_are_counted_too(void **state)
{
    (void)state;
    assert_int_equal(resolved_groups(RESOLVE_PENDING_MAX - 1, RESOLVE_PENDING_MAX), 250);
    assert_int_equal(rounds, 2);
    assert_int_equal(resolved_groups(1, RESOLVE_PENDING_MAX * 2 + 1), 250);
    assert_int_equal(rounds, 1 + 3);
    assert_int_equal(resolved_groups(1000, 1000), 451);
    assert_int_equal(rounds, 1); /* no more was asked for than was needed to see it */
}

static void test_a_closed_group_is_closed_by_every_way(void **state)
{
    static const char *const members[] = {"l:g", "g!a,joe@out", "a", NULL};
    static const char *const partly[] = {"l:g,b", "g!a", "a", "b", NULL};
    static const char *const customers[] = {"l:g", "g$a", "a", NULL};
    struct directory_network network = {.customer_id = CUSTOMER, .customer_active = true};
    struct directory_account account = {.customer_id = CUSTOMER};

    (void)state;
    assert_string_equal(resolved(members, "l"), "a=mailbox joe@out=outside");
    assert_string_equal(resolved(partly, "l"), "b=mailbox");
    sender.address = SLICE("eve@out");
    assert_string_equal(resolved(members, "l"), "550 5.7.2 group-closed");
    assert_string_equal(resolved(customers, "l"), "550 5.7.2 group-closed");
    client.network = &network;
    assert_string_equal(resolved(customers, "l"), "a=mailbox");
    network.customer_active = false;
    assert_string_equal(resolved(customers, "l"), "550 5.7.2 group-closed");
    client.account = &account;
    assert_string_equal(resolved(customers, "l"), "a=mailbox");
    account.customer_id++;
    assert_string_equal(resolved(customers, "l"), "550 5.7.2 group-closed");
}

/* A grant of the customer's, for the client's certificate or address, opens it as its networks do. */
static void test_a_grant_opens_a_group(void **state)
{
    static const char *const customers[] = {"l:g", "g$a", "a", NULL};
    struct directory_grant grant = {.customer_id = CUSTOMER, .customer_active = true, .tls_required = true};

    (void)state;
    client =
        (struct authorize_client){.role = AUTHORIZE_MX, .address = "192.0.2.1", .grants = {&grant, 1}, .tls = true};
    assert_string_equal(resolved(customers, "l"), "a=mailbox");
    client.tls = false;
    assert_string_equal(resolved(customers, "l"), "550 5.7.2 group-closed");
    grant.tls_required = false;
    assert_string_equal(resolved(customers, "l"), "a=mailbox");
    grant.customer_active = false;
    assert_string_equal(resolved(customers, "l"), "550 5.7.2 group-closed");
    grant = (struct directory_grant){.customer_id = CUSTOMER + 1, .customer_active = true};
    assert_string_equal(resolved(customers, "l"), "550 5.7.2 group-closed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_second_names_are_the_first),
        cmocka_unit_test(test_a_catch_all_is_an_alias),
        cmocka_unit_test(test_circles_end),
        cmocka_unit_test(test_who_is_gone_is_left_out),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_names_are_counted_too),
        cmocka_unit_test(test_a_closed_group_is_closed_by_every_way),
        cmocka_unit_test(test_a_grant_opens_a_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
