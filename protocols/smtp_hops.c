/*
 * smtp_hops: Received fields, counted as they come.
 *
 *     Time-stamp-line = "Received:" FWS Stamp
 *     Stamp           = From-domain By-domain Opt-info [CFWS] ";" FWS date-time
 *     By-domain       = CFWS "BY" FWS Extended-Domain                                        (RFC 5321 4.4)
 *
 * Two counts tell a loop (section 6.3).  All Received fields are few in honest mail and grow with every round whoever
 * is in it; but a limit must be generous, as each round costs a delivery.  Our own name is seen once a round, so that
 * a handful is a loop already; once or twice is not, since a customer's server may send on through us what it had from
 * us.
 *
 * Words are told apart by blanks; comments and quoted strings are passed over, and with ";" the clauses end.  A "by"
 * that is the value of another clause is taken for the keyword; whoever writes that counts against himself only.
 */
#include "protocols/smtp_hops.h"

static const char field_name[] = "received:";
#define FIELD_NAME_SIZE (sizeof field_name - 1)

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void word_over(struct smtp_hops *hops)
{
    if (!hops->word)
        return;
    if (hops->after_by && hops->may_be_name && hops->word == hops->name.n) {
        hops->own++;
        hops->over = true;
    }
    hops->after_by = hops->may_be_by && hops->word == 2;
    hops->word = 0;
}

static void word_byte(struct smtp_hops *hops, char c)
{
    if (!hops->word)
        hops->may_be_by = hops->may_be_name = true;
    hops->may_be_by &= hops->word < 2 && lower(c) == "by"[hops->word];
    hops->may_be_name &= hops->word < hops->name.n && lower(c) == lower(hops->name.p[hops->word]);
    hops->word++;
}

/* True: c belongs to a comment or a quoted string, and says nothing. */
static bool is_aside(struct smtp_hops *hops, char c)
{
    if (hops->escaped) {
        hops->escaped = false;
        return true;
    }
    if (!hops->comment && !hops->quoted) {
        if (c == '(')
            hops->comment = 1;
        hops->quoted = c == '"';
        return hops->comment || hops->quoted;
    }
    if (c == '\\')
        hops->escaped = true;
    else if (hops->quoted)
        hops->quoted = c != '"';
    else if (c == '(')
        hops->comment++;
    else if (c == ')')
        hops->comment--;
    return true;
}

static void stamp_byte(struct smtp_hops *hops, char c)
{
    if (is_aside(hops, c)) {
        word_over(hops);
        return;
    }
    if (c != ' ' && c != '\t' && c != ';') {
        word_byte(hops, c);
        return;
    }
    word_over(hops);
    hops->over |= c == ';';
}

static void name_byte(struct smtp_hops *hops, char c)
{
    if (hops->matched > FIELD_NAME_SIZE)
        return;
    if (lower(c) != field_name[hops->matched]) {
        hops->matched = FIELD_NAME_SIZE + 1; /* another field */
        return;
    }
    if (++hops->matched < FIELD_NAME_SIZE)
        return;
    hops->received++;
    hops->in_received = true;
}

void smtp_hops_byte(struct smtp_hops *hops, char c)
{
    if (!hops->inside && c != ' ' && c != '\t')
        *hops = (struct smtp_hops){.name = hops->name, .received = hops->received, .own = hops->own};
    hops->inside = true;
    if (!hops->in_received)
        name_byte(hops, c);
    else if (!hops->over)
        stamp_byte(hops, c);
}

void smtp_hops_line_end(struct smtp_hops *hops)
{
    if (hops->in_received && !hops->over)
        word_over(hops);
    hops->inside = false;
    hops->matched = FIELD_NAME_SIZE + 1; /* a name does not go over a line's end */
}
