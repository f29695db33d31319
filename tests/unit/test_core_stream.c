/*
 * Streams over socket pairs: lines, limits, raw bytes, pauses, endings.  The driven half and TLS are in
 * test_core_stream_tls.c.
 */
#include "tests/unit/stream_harness.h"

/* ------------------------------------------------------------------ lines */

static void lines_byte_by_byte(void **state)
{
    static const char text[] = "ONE\r\n\r\ntwo\nth\rree\r\nfo\0ur\r\nfive\r\r\nsix";
    struct peer p = {0};
    int fd = serve(&p);

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++)
        send_text(fd, text + i, 1);
    run_until(p.lines == 6);
    run_idle();
    assert_string_equal(p.seen, "L(ONE)L()B(two)B(th\rree)L(fo)B(five\r)");
    SEND(fd, "!\r\n");
    run_until(p.lines == 7);
    assert_non_null(strstr(p.seen, "L(six!)"));
    part(&p, fd);
}

static void line_limit(void **state)
{
    static const struct stream_limits limits = {10, 60000, 60000};
    struct peer p = {0};
    int fd = serve_limited(&p, &limits);

    (void)state;
    SEND(fd, "12345678\r\n");  /* 10 with its end: the longest */
    SEND(fd, "123456789\r\n"); /* 11 */
    SEND(fd, "ok\r\n");
    run_until(p.lines == 2);
    assert_string_equal(p.seen, "L(12345678)XL(ok)");
    part(&p, fd);
}

static void endless_line_takes_no_memory(void **state)
{
    struct peer p = {0};
    int fd = serve(&p);
    char junk[4096];

    (void)state;
    memset(junk, 'x', sizeof junk);
    for (unsigned i = 0; i < 1000; i++) {
        send_text(fd, junk, sizeof junk);
        assert_true(evbuffer_get_length(p.stream->input) <= STREAM_INPUT_MAX);
    }
    run_idle();
    assert_string_equal(p.seen, "");
    assert_int_equal(evbuffer_get_length(p.stream->input), 0);
    SEND(fd, "\r\nnext\r\n");
    run_until(p.lines == 1);
    assert_string_equal(p.seen, "XL(next)");
    part(&p, fd);
}

static void pipelining_is_fair(void **state)
{
    unsigned order = 0;
    struct peer greedy = {.clock = &order}, modest = {.clock = &order};
    int fd = serve(&greedy), other = serve(&modest);
    char many[6000];

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        memcpy(many + 6 * i, "NOOP\r\n", 6);
    assert_int_equal(send(fd, many, sizeof many, 0), sizeof many);
    assert_int_equal(send(other, "NOOP\r\n", 6, 0), 6);
    run_until(greedy.lines == 1000 && modest.lines == 1);
    assert_true(modest.first_line_at < greedy.last_line_at);
    assert_true(modest.first_line_at <= 100);
    part(&greedy, fd);
    part(&modest, other);
}

static void pause_holds_lines_back(void **state)
{
    struct peer p = {.pause_each = true};
    int fd = serve(&p);

    (void)state;
    SEND(fd, "one\r\ntwo\r\n");
    run_until(p.lines == 1);
    run_idle();
    assert_int_equal(p.lines, 1);
    assert_true(stream_input_pending(p.stream));
    stream_resume(p.stream);
    assert_int_equal(p.lines, 1); /* in a later turn */
    run_until(p.lines == 2);
    assert_false(stream_input_pending(p.stream));
    part(&p, fd);
}

static void pause_pushes_back(void **state)
{
    struct peer p = {.pause_each = true};
    int fd = serve(&p);
    char junk[4096];
    unsigned full = 0;

    (void)state;
    SEND(fd, "stop\r\n");
    run_until(p.lines == 1);
    memset(junk, 'x', sizeof junk);
    while (full < 50) { /* until the kernel's buffers are full and nobody takes from them */
        if (send(fd, junk, sizeof junk, 0) < 0)
            full++;
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    }
    assert_int_equal(evbuffer_get_length(p.stream->input), 0);
    part(&p, fd);
}

static void raw_and_back(void **state)
{
    static const char text[] = "DATA\r\n12345QUIT\r\nDATA\r\n1\r\n4\nlast\r\n";
    struct peer p = {.raw_after = 5};
    int fd = serve(&p);

    (void)state;
    SEND(fd, "DATA\r\n12345QUIT\r\nDATA\r\n1\r\n4\nlast\r\n");
    run_until(p.lines == 4);
    assert_string_equal(p.seen, "L(DATA)D(12345)L(QUIT)L(DATA)D(1\r\n4\n)L(last)");
    p.used = 0;
    for (size_t i = 0; i < sizeof text - 1; i++)
        send_text(fd, text + i, 1);
    run_until(p.lines == 8);
    assert_string_equal(p.seen, "L(DATA)D(1)D(2)D(3)D(4)D(5)L(QUIT)L(DATA)D(1)D(\r)D(\n)D(4)D(\n)L(last)");
    part(&p, fd);
}

/* ------------------------------------------------------------------ endings */

static void half_closed_client_gets_its_replies(void **state)
{
    struct peer p = {.echo = true, .pause_each = true};
    int fd = serve(&p);
    char got[100];

    (void)state;
    SEND(fd, "one\r\ntwo\r\nthree\r\nrest");
    shutdown(fd, SHUT_WR);
    for (unsigned i = 1; i <= 3; i++) {
        run_until(p.lines == i);
        assert_int_equal(p.ended, 0);
        stream_resume(p.stream);
    }
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_EOF);
    stream_close(&p.stream);
    assert_int_equal(receive_all(fd, got, sizeof got), 0);
    assert_string_equal(got, "one\r\ntwo\r\nthree\r\n");
    assert_int_equal(p.ended, 1);
    close(fd);
}

static void close_in_callback_delivers_the_last_words(void **state)
{
    struct peer p = {.close_after_first = true};
    int fd = serve(&p);
    char got[100], many[60000];

    (void)state;
    memset(many, '\n', sizeof many);
    memcpy(many, "first\r\n", 7);
    send_text(fd, many, sizeof many); /* unread input must not make the kernel reset */
    assert_int_equal(receive_all(fd, got, sizeof got), 0);
    assert_string_equal(got, "bye\r\n");
    assert_int_equal(stream_closing(), 1); /* it lingers until the peer closes */
    assert_int_equal(p.lines, 1);
    assert_int_equal(p.ended, 0);
    close(fd);
    run_until(stream_closing() == 0);
}

static void silence_ends_it_but_words_still_go_out(void **state)
{
    static const struct stream_limits hasty = {1000, 20, 60000};
    struct peer p = {0};
    int fd = serve_limited(&p, &hasty);
    char got[100];

    (void)state;
    SEND(fd, "partial");
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_TIMEOUT);
    stream_write(p.stream, SLICE("too slow\r\n"));
    stream_close(&p.stream);
    assert_int_equal(receive_all(fd, got, sizeof got), 0);
    assert_string_equal(got, "too slow\r\n");
    close(fd);
    run_idle();
}

static void trickling_is_silence(void **state)
{
    static const struct stream_limits hasty = {1000, 50, 60000};
    struct peer p = {0};
    int fd = serve_limited(&p, &hasty);
    uint64_t last = 0;

    (void)state;
    while (!p.ended) { /* a byte a millisecond, never a line */
        if (clock_steady_ms() != last) {
            assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
            last = clock_steady_ms();
        }
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    }
    assert_int_equal(p.end, STREAM_END_TIMEOUT);
    part(&p, fd);
}

static void paused_streams_do_not_time_out(void **state)
{
    static const struct stream_limits hasty = {1000, 1, 60000};
    struct peer p = {0}, other = {0};
    int fd = serve(&p), second;

    (void)state;
    stream_pause(p.stream);
    stream_set_limits(p.stream, &hasty);
    second = serve_limited(&other, &hasty);
    run_until(other.ended); /* the same limit, not paused */
    run_idle();
    assert_int_equal(p.ended, 0);
    stream_resume(p.stream);
    run_until(p.ended);
    part(&p, fd);
    part(&other, second);
}

static void stuck_reader_times_out(void **state)
{
    static const struct stream_limits hasty = {1000, 60000, 20};
    struct peer p = {0};
    int fd = serve_limited(&p, &hasty);
    static char much[4 * 1024 * 1024];

    (void)state;
    stream_pause(p.stream); /* as a session does that streams a body */
    stream_write(p.stream, slice_of(much, sizeof much));
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_TIMEOUT);
    assert_int_equal(stream_output_pending(p.stream), 0);
    part(&p, fd);
}

static void drain_is_told_once(void **state)
{
    struct peer p = {0};
    int fd = serve(&p);
    static char much[1024 * 1024], got[64 * 1024];

    (void)state;
    stream_write(p.stream, slice_of(much, sizeof much));
    run_idle();
    assert_int_equal(p.drained, 0);
    while (!p.drained) {
        if (recv(fd, got, sizeof got, 0) < 0)
            assert_int_equal(errno, EAGAIN);
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    }
    assert_true(stream_output_pending(p.stream) < STREAM_OUTPUT_LOW);
    run_idle();
    assert_int_equal(p.drained, 1);
    part(&p, fd);
}

/* A client pipelines behind a command with a long answer: on_drain resumes, and the line that lies here must come. */
static void resumed_by_drain(void **state)
{
    struct peer p = {.pause_each = true, .resume_at_drain = true};
    int fd = serve(&p);
    static char much[1024 * 1024], got[64 * 1024];

    (void)state;
    SEND(fd, "one\r\ntwo\r\n");
    run_until(p.lines == 1);
    stream_write(p.stream, slice_of(much, sizeof much));
    while (p.lines == 1 && !p.drained) {
        if (recv(fd, got, sizeof got, 0) < 0)
            assert_int_equal(errno, EAGAIN);
        event_base_loop(loop_base(), EVLOOP_NONBLOCK);
    }
    run_until(p.lines == 2);
    part(&p, fd);
}

static void writing_to_a_vanished_peer_is_an_error(void **state)
{
    struct peer p = {0};
    int fd = serve(&p);

    (void)state;
    stream_pause(p.stream);
    close(fd);
    stream_write(p.stream, SLICE("hello\r\n"));
    run_until(p.ended);
    assert_int_equal(p.end, STREAM_END_ERROR);
    stream_close(&p.stream);
    run_idle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_byte_by_byte),
        cmocka_unit_test(line_limit),
        cmocka_unit_test(endless_line_takes_no_memory),
        cmocka_unit_test(pipelining_is_fair),
        cmocka_unit_test(pause_holds_lines_back),
        cmocka_unit_test(pause_pushes_back),
        cmocka_unit_test(raw_and_back),
        cmocka_unit_test(half_closed_client_gets_its_replies),
        cmocka_unit_test(close_in_callback_delivers_the_last_words),
        cmocka_unit_test(silence_ends_it_but_words_still_go_out),
        cmocka_unit_test(trickling_is_silence),
        cmocka_unit_test(paused_streams_do_not_time_out),
        cmocka_unit_test(stuck_reader_times_out),
        cmocka_unit_test(drain_is_told_once),
        cmocka_unit_test(resumed_by_drain),
        cmocka_unit_test(writing_to_a_vanished_peer_is_an_error),
    };

    return cmocka_run_group_tests(tests, stream_setup, stream_teardown);
}
