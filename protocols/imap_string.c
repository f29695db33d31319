/*
 * imap_string: quoted wherever the grammar allows it.
 *
 * A literal may stand for any string, and yet there are clients that take a name or a subject in a literal for
 * something else: Python's imaplib hands out a pair where a text is expected.  So what a backslash can quote is
 * quoted.
 */
#include "protocols/imap_string.h"

struct slice imap_quoted(struct slice text, char to[2 * IMAP_QUOTED_MAX + 2])
{
    char *at = to;

    if (text.n > IMAP_QUOTED_MAX)
        return (struct slice){NULL, 0};
    *at++ = '"';
    for (size_t i = 0; i < text.n; i++) {
        unsigned char ch = (unsigned char)text.p[i];

        if (ch < 0x20 || ch > 0x7e)
            return (struct slice){NULL, 0};
        if (ch == '"' || ch == '\\')
            *at++ = '\\';
        *at++ = (char)ch;
    }
    *at++ = '"';
    return slice_of(to, (size_t)(at - to));
}
