#ifndef STORAGE_PROVISION_CONTENT_RULE_H
#define STORAGE_PROVISION_CONTENT_RULE_H
/*
 * provision_content_rule: content rules (storage/content_rule.h) as administrators write them; patterns are taken as
 * text, and are not compiled here.
 */
#include "storage/content_rule.h"
#include "storage/provision.h"

/* id comes out. */
AWAITS enum db_write provision_content_rule_create(struct arena *arena, struct content_rule *rule,
                                                   const struct provision_actor *actor,
                                                   struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
AWAITS enum db_status provision_content_rule_get(struct arena *arena, struct slice key, struct content_rule *out)
    __attribute__((warn_unused_result));
/* customer_id 0: of all. */
AWAITS enum db_status provision_content_rule_list(struct arena *arena, int64_t customer_id,
                                                  const struct provision_page *page, struct content_rule **out,
                                                  unsigned *count) __attribute__((warn_unused_result));
/* All of it but id and customer. */
AWAITS enum db_write provision_content_rule_change(struct arena *arena, const struct content_rule *rule,
                                                   const struct provision_actor *actor,
                                                   struct provision_refusal *refusal)
    __attribute__((warn_unused_result));
/* What it has held stays so. */
AWAITS enum db_write provision_content_rule_delete(struct arena *arena, int64_t id, const struct provision_actor *actor,
                                                   struct provision_refusal *refusal)
    __attribute__((warn_unused_result));

#endif
