#ifndef STORAGE_STATUS_H
#define STORAGE_STATUS_H
/*
 * The answers of storage.  Switch over them without default: -Wswitch-enum then insists on the branch for
 * "the database is away", which is what separates 451 from 550.
 */
enum db_status {
    DB_FOUND,
    DB_NONE,   /* it was asked, and there is none */
    DB_FAILED, /* it could not be asked */
};

enum db_write {
    DB_DONE,      /* committed, durable */
    DB_REFUSED,   /* a constraint says no (exists already, is referred to, is gone); nothing changed */
    DB_CONFLICT,  /* lost against another transaction; nothing changed; may be repeated */
    DB_UNDONE,    /* failed, nothing changed */
    DB_UNCERTAIN, /* the connection broke between request and answer: look, then say */
};

#endif
