/*
 * POP3 sessions that go well: one byte at a time, success with data, messages in helpings, TOP, empty messages.  Those
 * that meet a fault are in test_protocols_pop3_faults.c.
 */
#include "tests/unit/pop3_harness.h"

static void one_byte_at_a_time(void **state)
{
    (void)state;
    connect_client();
    expect("ready\r\n");
    say_bytewise("AUTH FAKE Yw==\r\n");
    expect("+ bW9yZT8=\r\n");
    say_bytewise("eWVz\r\n");
    expect("+OK 3 messages\r\n");
    say_bytewise("STAT\r\nLIST\r\nUIDL 3\r\nTOP 1 0\r\nDELE 3\r\nQUIT\r\n");
    expect("+OK 3 384\r\n+OK 3 messages (384 octets)\r\n1 128\r\n2 128\r\n3 128\r\n.\r\n+OK 3 1700000000.30\r\n");
    expect("\r\n.\r\n+OK Message 3 deleted\r\n");
    expect("+OK Bye, 1 messages deleted\r\n");
    expect("");
    part();
}

static void success_with_data(void **state)
{
    (void)state;
    connect_client();
    expect("ready\r\n");
    say("AUTH FAKE cw==\r\n");
    expect("+ ZGF0YQ==\r\n");
    say("\r\nSTAT\r\n");
    expect("+OK 3 messages\r\n+OK 3 384\r\n");
    part();
}

static void large_message_in_helpings(void **state)
{
    uint64_t wire = 10 * 1024 * 1024 + 10 * 1024 * 1024 / 64 - 1;
    unsigned helpings;

    (void)state;
    fake.size = 10 * 1024 * 1024;
    log_in();
    say("RETR 2\r\nSTAT\r\n");
    expect("+OK 10485760 octets\r\n");
    for (unsigned i = 0; i < 200; i++)
        run_once();
    helpings = fake.chunks;
    assert_in_range(helpings, 1, 4); /* nobody reads: what the socket and one helping hold */
    got_count = 0;
    expect("\r\n.\r\n+OK 3 31457280\r\n");
    assert_int_equal(got_count, wire + strlen(".\r\n+OK 3 31457280\r\n"));
    assert_int_equal(fake.chunks, 40);
    say("DELE 1\r\nQUIT\r\n");
    expect("deleted\r\n");
    expect("deleted\r\n");
    expect("");
    assert_int_equal(fake.expunged_count, 1);
    assert_int_equal(fake.expunged[0], 10);
    assert_int_equal(fake.seen_count, 1);
    assert_int_equal(fake.seen[0], 20);
    part();
}

static void top_reads_no_more_than_it_needs(void **state)
{
    (void)state;
    fake.size = 10 * 1024 * 1024;
    log_in();
    say("TOP 1 5\r\nNOOP\r\n");
    expect("\r\n.\r\n+OK Nothing done\r\n");
    assert_int_equal(fake.chunks, 1);
    part();
}

static void empty_message(void **state)
{
    (void)state;
    fake.size = 0;
    log_in();
    say("RETR 1\r\nTOP 1 3\r\n");
    expect("+OK 0 octets\r\n.\r\n+OK Top of message follows\r\n.\r\n");
    assert_int_equal(fake.chunks, 0);
    part();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_byte_at_a_time, fresh),
        cmocka_unit_test_setup(success_with_data, fresh),
        cmocka_unit_test_setup(large_message_in_helpings, fresh),
        cmocka_unit_test_setup(top_reads_no_more_than_it_needs, fresh),
        cmocka_unit_test_setup(empty_message, fresh),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
