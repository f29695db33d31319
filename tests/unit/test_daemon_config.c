/* config: every error with its line, the sample in doc/ is what the program prints, defaults are good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/config.h"
#include "daemon/listen.h"

static char errors[8192];

static struct config *load(const char *text)
{
    char path[] = "/tmp/posthouse-config-XXXXXX";
    int fd = mkstemp(path);
    FILE *out = fmemopen(errors, sizeof errors, "w");
    struct config *config;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    memset(errors, 0, sizeof errors);
    config = config_load(path, out);
    fclose(out);
    unlink(path);
    return config;
}

static void test_an_empty_file_is_good(void **state)
{
    struct config *config = load("");

    (void)state;
    assert_non_null(config);
    assert_int_equal(config->queue_lifetime_ms, INT64_C(5) * 24 * 3600 * 1000);
    assert_int_equal(config->message_size_max, 50 * 1024 * 1024);
    assert_true(config->hostname[0] != '\0');
    assert_null(config->default_route_host);
    config_free(&config);
}

static void test_values(void **state)
{
    struct config *config = load("# note\n[daemon]\n hostname = mx.example.test \nworkers=3\n"
                                 "[listen]\nsmtp = 127.0.0.1:25 [::1]:25\n[delivery]\ndefault_route = [::1]:2525\n"
                                 "probe_interval = 500ms\nverify_tls = yes\n");

    (void)state;
    assert_non_null(config);
    assert_string_equal(config->hostname, "mx.example.test");
    assert_int_equal(config->workers, 3);
    assert_string_equal(config->default_route_host, "::1");
    assert_int_equal(config->default_route_port, 2525);
    assert_int_equal(config->probe_interval_ms, 500);
    assert_true(config->verify_tls);
    config_free(&config);
    config = load("[dns]\nresolver = ::1@5353\n[daemon]\nlog_levels = smtp=debug, runner=warn\n"
                  "[database]\nconninfo = postgresql://%2Frun%2Fpostgresql/posthouse\n");
    assert_non_null(config);
    config_free(&config);
}

static void test_where_a_setting_stands(void **state)
{
    struct config *config = load("[tls]\n# note\ncertificate_file = a\nkey_file = b\n");
    char where[200], expected[200];

    (void)state;
    assert_non_null(config);
    snprintf(expected, sizeof expected, "%s:4: [tls] key_file", config->path);
    assert_string_equal(config_where(config, "tls", "key_file", where, sizeof where), expected);
    snprintf(expected, sizeof expected, "%s: [daemon] user", config->path);
    assert_string_equal(config_where(config, "daemon", "user", where, sizeof where), expected);
    config_free(&config);
}

static void expect_error(const char *text, const char *error)
{
    struct config *config = load(text);

    assert_null(config);
    if (!strstr(errors, error))
        fail_msg("wanted \"%s\", got \"%s\"", error, errors);
}

static void test_errors_name_the_line(void **state)
{
    (void)state;
    expect_error("[daemon]\nworker = 3\n", ":2: section [daemon] has no setting worker\n");
    expect_error("[damon]\n", ":1: there is no section [damon]\n");
    expect_error("[daemon\n", ":1: a section is written [name]\n");
    expect_error("hostname = x\n", ":1: a setting stands before the first [section]\n");
    expect_error("[daemon]\nhostname\n", ":2: expected key = value\n");
    expect_error("[daemon]\nworkers = 1\nworkers = 2\n", ":3: workers is set already in line 2\n");
    expect_error("[daemon]\nworkers = many\n", ":2: workers must be a whole number\n");
    expect_error("[daemon]\nworkers = 99999\n", ":2: workers is out of range\n");
    expect_error("[smtp]\nqueue_lifetime = 5 weeks\n", ":2: queue_lifetime must be a duration");
    expect_error("[smtp]\nqueue_lifetime = 99999999999999999d\n", ":2: queue_lifetime must be a duration");
    expect_error("[smtp]\nmessage_size_max = 10X\n", ":2: message_size_max must be a size");
    expect_error("[delivery]\nverify_tls = maybe\n", ":2: verify_tls must be yes or no\n");
    expect_error("[listen]\nsmtp = localhost:25\n", ":2: smtp: \"localhost\" is not an IPv4 or IPv6 address\n");
    expect_error("[listen]\nsmtp = *:25\n",
                 ":2: smtp: \"*\" is not an IPv4 or IPv6 address; 0.0.0.0 and [::] are all that this "
                 "machine has\n");
    expect_error("[listen]\nsmtp = 127.0.0.1\n", ":2: smtp: \"127.0.0.1\" is not HOST:PORT\n");
    expect_error("[listen]\nsmtp = 127.0.0.1:0\n", "has no port between 1 and 65535");
    expect_error("[listen]\nsmtp = ::1:25\n", "an IPv6 address is written in brackets");
    expect_error("[listen]\nsmtp = proxy:127.0.0.1:25\n", ":2: smtp: proxy: needs proxy_networks");
    expect_error("[listen]\nproxy_networks = 10.0.0.1/8\n", ":2: proxy_networks: \"10.0.0.1/8\" is not a network");
    expect_error("[listen]\nproxy_networks = ::1\nadmin = proxy:127.0.0.1:25\n", ":3: admin: the API does not take");
    expect_error("[listen]\nsmtp = proxy:localhost:25\n", ":2: smtp: \"localhost\" is not");
    expect_error("[smtp]\nxclient_networks = proxy.test\n", ":2: xclient_networks: \"proxy.test\" is not a network");
    expect_error("[listen]\nimaps = 127.0.0.1:993\n", ":2: a TLS port needs [tls]");
    expect_error("[tls]\nkey_file = x\n", ":2: certificate_file and key_file go together: ");
    expect_error("[tls]\ncertificate_file = a b\nkey_file = a\n", ":3: certificate_file and key_file go together: ");
    expect_error("[admin]\ncertificate_file = a b\nkey_file = a b\n", ":2: certificate_file: at most 1\n");
    expect_error("[tls]\nclient_ca_file = x\n", ":2: client_ca_file needs certificate_file and key_file\n");
    expect_error("[tls]\nmin_version = 1.1\n", ":2: min_version must be 1.2 or 1.3\n");
    expect_error("[daemon]\nlog_level = loud\n", ":2: log_level must be");
    expect_error("[daemon]\n\nlog_levels = smtp=debug runner\n", ":3: log_levels: \"runner\" is not MODULE=LEVEL\n");
    expect_error("[daemon]\nlog_levels = smtp=loud\n", ":2: log_levels: \"smtp=loud\" is not MODULE=LEVEL\n");
    expect_error("[daemon]\nlog_levels = =debug\n", ":2: log_levels: \"=debug\" is not MODULE=LEVEL\n");
    expect_error("[daemon]\nhostname = mx one\n", ":2: hostname: \"mx one\" is not the name of a host\n");
    expect_error("[dns]\nresolver = ns.example.test\n",
                 ":2: resolver: \"ns.example.test\" is not ADDRESS or ADDRESS@PORT\n");
    expect_error("[dns]\nresolver = 127.0.0.1@0\n", ":2: resolver: ");
    expect_error("[dns]\nresolver = 127.0.0.1:53\n", ":2: resolver: ");
    expect_error("[database]\nconninfo = dbname posthouse\n", ":2: conninfo is not a libpq connection string\n");
    expect_error("[database]\nconninfo = nonsense=1\n", ":2: conninfo is not a libpq connection string\n");
    expect_error("[delivery]\nretry_first = 2h\nretry_max = 1h\n", ":2: retry_first is longer than retry_max\n");
}

static void test_all_errors_are_told(void **state)
{
    (void)state;
    expect_error("[daemon]\na = 1\nb = 2\n", ":2: ");
    assert_non_null(strstr(errors, ":3: "));
}

static void test_the_sample_is_current_and_good(void **state)
{
    const char *source = getenv("srcdir");
    char path[512], printed[32768] = "", stored[32768] = "";
    FILE *out = fmemopen(printed, sizeof printed, "w"), *in;
    struct config *config;

    (void)state;
    config_sample(out);
    fclose(out);
    snprintf(path, sizeof path, "%s/doc/posthouse.conf.sample", source ? source : ".");
    in = fopen(path, "r");
    assert_non_null(in);
    assert_true(fread(stored, 1, sizeof stored - 1, in) > 0);
    fclose(in);
    assert_string_equal(printed, stored); /* posthoused --sample-config > doc/posthouse.conf.sample */
    config = load(printed);
    assert_non_null(config);
    config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_file_is_good),  cmocka_unit_test(test_values),
        cmocka_unit_test(test_where_a_setting_stands), cmocka_unit_test(test_errors_name_the_line),
        cmocka_unit_test(test_all_errors_are_told),    cmocka_unit_test(test_the_sample_is_current_and_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
