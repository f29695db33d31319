#ifndef ADMIN_API_CONTENT_RULES_H
#define ADMIN_API_CONTENT_RULES_H
/* content_rules: what the files of the resource share. */
#include "admin-api/json.h"
#include "storage/content_rule.h"

struct json_object *content_rule_json(const struct content_rule *rule);

#endif
