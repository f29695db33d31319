/*
 * posthoused: the command line.
 *
 * Without a command it becomes the master (daemon/master.c) and stays in the foreground: a supervisor
 * (systemd) wants that, and a shell has `&`.  The commands that prepare (--migrate, --create-admin-token,
 * --check-config) do one thing, say what they did, and exit: 0 done, 1 failed, 78 the configuration is at
 * fault (EX_CONFIG), 64 wrong usage.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/secret.h"
#include "core/secret_ring.h"
#include "core/tls.h"
#include "daemon/config.h"
#include "daemon/logging.h"
#include "daemon/master.h"
#include "daemon/settings.h"
#include "storage/migrate.h"
#include "storage/token.h"

#define EXIT_USAGE 64
#define EXIT_CONFIG 78

enum command {
    COMMAND_RUN,
    COMMAND_CHECK,
    COMMAND_SAMPLE,
    COMMAND_MIGRATE,
    COMMAND_TOKEN,
    COMMAND_CERTIFICATE,
    COMMAND_SECRET_KEY,
    COMMAND_HELP,
    COMMAND_VERSION
};

static const char usage[] = "Usage: posthoused [--config FILE] [COMMAND]\n"
                            "\n"
                            "Runs the Posthouse mail relay in the foreground, or carries out one command:\n"
                            "\n"
                            "  --check-config             read the configuration, tell every error with its line\n"
                            "  --sample-config            print every setting with its default and meaning\n"
                            "  --migrate                  bring the database to this program's schema\n"
                            "  --create-admin-token LABEL make a token for the API and print it, once\n"
                            "  --make-certificate NAME    make a self-signed certificate for NAME in the files\n"
                            "                             that [tls] certificate_file and key_file name\n"
                            "  --add-secret-key           add a key to the file that [secrets] key_file names, or make\n"
                            "                             that, and print the key's name\n"
                            "  --help, --version\n"
                            "\n"
                            "  --config FILE              default: " POSTHOUSE_SYSCONFDIR "/posthouse.conf\n"
                            "\n"
                            "Signals: HUP reads the configuration again, no session is dropped; TERM ends within\n"
                            "drain_limit; USR1 logs what every sleeping task waits for.\n"
                            "Exit status: 0 done, 1 failed, 64 wrong usage, 78 the configuration is at fault.\n";

static int check_config(const struct config *config, const char *path)
{
    char error[1000];

    if (!settings_check(config, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        return EXIT_CONFIG;
    }
    settings_warn(config, stderr);
    printf("%s: no errors\n", path);
    return 0;
}

static int migrate(const struct config *config)
{
    char why[400];
    unsigned applied = 0;

    if (migrate_run(config->conninfo, &applied, why, sizeof why) != SCHEMA_CURRENT) {
        fprintf(stderr, "posthoused: %s\n", why);
        return 1;
    }
    if (applied)
        printf("%u migration%s applied\n", applied, applied == 1 ? "" : "s");
    else
        printf("the schema is current\n");
    return 0;
}

static int create_token(const struct config *config, const char *label)
{
    char text[TOKEN_TEXT_SIZE], why[400];

    if (!token_create(config->conninfo, label, text, why, sizeof why)) {
        fprintf(stderr, "posthoused: %s\n", why);
        return 1;
    }
    puts(text);
    secret_wipe(text, sizeof text);
    return 0;
}

static int make_certificate(const struct config *config, const char *name)
{
    char why[400];

    if (!*config->tls_certificate || !*config->tls_key) {
        fputs("posthoused: set [tls] certificate_file and key_file first\n", stderr);
        return EXIT_CONFIG;
    }
    if (strpbrk(config->tls_certificate, " \t")) {
        fputs("posthoused: [tls] certificate_file names several files; it makes one\n", stderr);
        return EXIT_CONFIG;
    }
    if (!tls_make_self_signed(name, config->tls_certificate, config->tls_key, why, sizeof why)) {
        fprintf(stderr, "posthoused: %s\n", why);
        return 1;
    }
    return 0;
}

static int add_secret_key(const struct config *config)
{
    char name[SECRET_RING_NAME_SIZE], why[400] = "";

    if (!*config->secrets_key_file) {
        fputs("posthoused: set [secrets] key_file first\n", stderr);
        return EXIT_CONFIG;
    }
    if (!secret_ring_add(config->secrets_key_file, name, why, sizeof why)) {
        fprintf(stderr, "posthoused: %s\n", why);
        return 1;
    }
    puts(name);
    return 0;
}

static int carry_out(enum command command, const char *argument, const char *path)
{
    struct config *config;
    int status;

    if (command == COMMAND_SAMPLE) {
        config_sample(stdout);
        return 0;
    }
    config = config_load(path, stderr);
    if (!config)
        return EXIT_CONFIG;
    if (command == COMMAND_RUN)
        return master_run(config, path);
    logging_apply(config);
    status = command == COMMAND_CHECK        ? check_config(config, path)
             : command == COMMAND_MIGRATE    ? migrate(config)
             : command == COMMAND_TOKEN      ? create_token(config, argument)
             : command == COMMAND_SECRET_KEY ? add_secret_key(config)
                                             : make_certificate(config, argument);
    config_free(&config);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, COMMAND_CHECK},
        {"sample-config", no_argument, NULL, COMMAND_SAMPLE},
        {"migrate", no_argument, NULL, COMMAND_MIGRATE},
        {"create-admin-token", required_argument, NULL, COMMAND_TOKEN},
        {"make-certificate", required_argument, NULL, COMMAND_CERTIFICATE},
        {"add-secret-key", no_argument, NULL, COMMAND_SECRET_KEY},
        {"help", no_argument, NULL, COMMAND_HELP},
        {"version", no_argument, NULL, COMMAND_VERSION},
        {NULL, 0, NULL, 0},
    };
    const char *path = POSTHOUSE_SYSCONFDIR "/posthouse.conf", *argument = NULL;
    enum command command = COMMAND_RUN;
    int c;

    log_init("posthoused");
    while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        if (c == 'c') {
            path = optarg;
            continue;
        }
        if (c == '?' || command != COMMAND_RUN) {
            fputs(c == '?' ? "Try posthoused --help\n" : "posthoused: one command at a time\n", stderr);
            return EXIT_USAGE;
        }
        command = (enum command)c;
        argument = optarg;
    }
    if (optind < argc) {
        fprintf(stderr, "posthoused: unexpected argument \"%s\"; try --help\n", argv[optind]);
        return EXIT_USAGE;
    }
    if (command == COMMAND_HELP) {
        fputs(usage, stdout);
        return 0;
    }
    if (command == COMMAND_VERSION) {
        puts("posthoused " POSTHOUSE_VERSION);
        return 0;
    }
    return carry_out(command, argument, path);
}
