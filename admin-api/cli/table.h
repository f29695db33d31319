#ifndef ADMIN_API_CLI_TABLE_H
#define ADMIN_API_CLI_TABLE_H
/* table: items of a list as aligned columns, one thing as "name: value" lines.  For people; scripts use --json. */
struct json_object;

/* Columns: member names, NULL-terminated.  Empty lists print nothing. */
void table_print(struct json_object *items, const char *const *columns);
void table_print_one(struct json_object *object);

#endif
