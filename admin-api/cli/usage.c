/*
 * usage: what posthouse --help says: each resource with its verbs and options.
 *
 * posthouse(1) tells the same at length; tests/documents compares the options.
 */
#include "admin-api/cli/usage.h"

void usage_print(FILE *to)
{
    fputs("usage: posthouse [--url URL] [--json] RESOURCE VERB [NAME] [OPTION ...]\n\n"
          "  customers list | show NAME | create NAME | delete NAME\n"
          "  domains   list [--customer C] | show NAME | delete NAME\n"
          "            create NAME --customer C [--next-hop HOST[,PORT[,PRIORITY]] ...] [--kind hosted]\n"
          "                   [--alias-of D]      (with next hops: a relay domain, without: a hosted one; hosted with\n"
          "                                        next hops: names that are not here are there)\n"
          "                   [--catch-all ADDRESS] [--subaddress-separator C] [--valid-recipients any|listed]\n"
          "                   [--collector ACCOUNT]\n"
          "            change NAME [--next-hop ... | --alias-of D | --catch-all ADDRESS | ...]\n"
          "                                       (an empty value: none)\n"
          "  recipients list --domain D | show ADDRESS --domain D | create ADDRESS --domain D | delete ADDRESS --domain D\n"
          "            replace --domain D         (the whole list, from the standard input, one on a line)\n"
          "  accounts  list [--customer C] [--domain D] | show ADDRESS | delete ADDRESS\n"
          "            create ADDRESS --customer C [--alias ADDRESS ...]\n"
          "                   [--no-password | --password-hash]\n"
          "                                       (the password, or a hash of another system, is read from\n"
          "                                        the standard input)\n"
          "  app-passwords list --account A | show ID --account A | delete ID --account A\n"
          "            create LABEL --account A [--scope smtp|imap|pop3 ...] [--from CIDR ...] [--expires-at TIME]\n"
          "                                       (the secret is shown once)\n"
          "  certificates list --account A | show ID --account A | delete ID --account A\n"
          "            create LABEL --account A [--fingerprint SHA256] [--address ADDRESS] [--scope smtp|imap|pop3 ...]\n"
          "  aliases   list [--customer C] [--domain D] | show ADDRESS | delete ADDRESS\n"
          "            create ADDRESS --target ADDRESS ...\n"
          "  groups    list [--customer C] [--domain D] | show ADDRESS | delete ADDRESS\n"
          "            create ADDRESS --member ADDRESS ... [--senders anyone|members|customer]\n"
          "  networks  list [--customer C] | show CIDR | create CIDR --customer C | delete CIDR\n"
          "  allowed-networks list [--customer C] | show ID | delete ID\n"
          "            create CIDR [--customer C] [--label TEXT] [--valid-until TIME]\n"
          "  relay-grants list [--customer C] | show ID | delete ID\n"
          "            create LABEL --customer C [--account A | --domain D | --network CIDR |\n"
          "                   --certificate SHA256]\n"
          "                   [--senders own|domains|any] [--sender-domain D ...]\n"
          "                   [--recipients any|domains|customer] [--recipient-domain D ...]\n"
          "                   [--size-max BYTES] [--recipients-max N] [--at-limit refuse|defer]\n"
          "                   [--tls-required] [--valid-from TIME] [--valid-until TIME]\n"
          "                   [--messages-per-minute N] ... [--recipients-per-day N] [--bytes-per-day N]\n"
          "                   [--counted-by grant|account]\n"
          "  relay-checks create RECIPIENT --sender S [--client ADDRESS] [--account A]\n"
          "                   [--certificate SHA256]\n"
          "                   [--size BYTES] [--at TIME]     (what would happen; nothing is sent)\n"
          "  decision  show ID                    (why an SMTP reply refused; the id is in it)\n"
          "  queue     list [--domain D]\n"
          "  message   show ID | events ID\n"
          "  bans      list | show ID | delete ID\n"
          "  outages   list [--domain D] [--open]\n\n"
          "NAME may be an id everywhere. --url: else POSTHOUSE_URL, else " USAGE_DEFAULT_URL ".\n"
          "The token is in POSTHOUSE_TOKEN, or in ~/.config/posthouse/token.\n",
          to);
}
