/* logging: applies [daemon] log, log_level, log_levels.  Unknown levels in log_levels are told and passed over. */
#include "daemon/logging.h"

#include <stdio.h>
#include <string.h>

#define LOG_MODULE "config"
#include "core/log.h"

void logging_apply(const struct config *config)
{
    enum log_level level = LOG_LEVEL_INFO;
    char list[512], *save = NULL;

    if (strcmp(config->log, "syslog") == 0)
        log_use_syslog();
    log_level_parse(config->log_level, &level);
    log_set_level(NULL, level);
    snprintf(list, sizeof list, "%s", config->log_levels);
    for (char *word = strtok_r(list, " ,", &save); word; word = strtok_r(NULL, " ,", &save)) {
        char *equals = strchr(word, '=');

        if (equals) {
            *equals = '\0';
            if (log_level_parse(equals + 1, &level)) {
                log_set_level(word, level);
                continue;
            }
        }
        log_warn("log_levels: not MODULE=LEVEL", log_str("word", word));
    }
}
