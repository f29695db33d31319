"""Each statement fails in each way while mail goes on: temporary answers, nothing lost, nothing twice.

A workload is cut into steps that use all front-ends. Played once, it tells which statement each step runs (the proxy of
harness/faults.py sees them); then each statement of each step is struck in each mode while the step is played again. A step
repeats what it was told to try later, exactly as a client would, and fails at any answer that is not a temporary one:
451 4.3.0 or another 4xx by SMTP, NO [UNAVAILABLE] by IMAP, -ERR [SYS/TEMP] by POP3, 503 by the API.

At the end everything that was answered with 250 is where it belongs, once.

The statements are read from the source: one that no step reaches must be named in ELSEWHERE, with the reason.
"""
import collections
import email
import imaplib
import itertools
import poplib
import re
import smtplib
import time

import pytest

from harness.api import ApiError
from harness.authority import Authority, fingerprint
from harness.faults import FaultyPostgres
from harness.posthouse import PASSWORD, ROOT, make_message, subject_of
from harness.process import DEADLINE, make_folder, remove_folder, wait_equal, wait_until
from harness.sasl_server import Passwords, Tokens
from harness.signing import Signing
from harness.sink import Behaviour, Sink
from harness.token_server import TokenServer

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ALIAS = "nan@faults.test"
ANN, BOB, CAROL, OUT = "ann@faults.test", "bob@faults.test", "carol@primary.faults.test", "dan@outside.test"
GUARDED, TOKENED = "gus@guarded.faults.test", "tom@tokened.faults.test"
HOP = {"host": "127.0.0.1", "port": 9, "priority": 1}
HOP_OF_NOBODY = {"host": "127.0.0.1", "port": 9}
DONE, GONE = (409,), (404,)  # what a repetition is told when the first try was done and its answer lost

# Statements that no step reaches, or not often enough to be struck.
ELSEWHERE = {
    "schema_has_table": "start and --migrate: test_runtime.py (database away at start)",
    "schema_list": "the same",
    "installation_salt_key": "once at start",
    "setup_session": "the connection's own; without it there is no connection",
    "db_relax": "set with the units that may be lost",
    "node_take_number": "start: tests/storage/test_node.c, test_nodes.py",
    "node_free_stale_cells": "the same",
    "queue_bury": "the same",
    "queue_heir_read": "after a worker was killed: test_nothing_lost.py",
    "node_leave_cells": "an orderly stop",
    "node_leave_number": "the same",
    "accept_find_uids": "asked only when an acceptance was lost: tests/storage/test_accept.c kills the server under one",
    "provision_witness": "asked only when a change was lost, as in mode lost of the others",
    "destination_ensure": "when leases are given back or taken back: test_delivery.py, tests/storage/test_node.c",
    "queue_release": "an orderly stop with mail in memory: test_delivery.py",
    "queue_claim_again": "asked only when the answer to a claim was lost: test_delivery.py",
    "queue_renew": "every 15 s for what stays in memory so long",
    "queue_reclaim": "every 5 s, and does nothing while no worker has died",
    "token_find": "remembered for five seconds; a token that cannot be looked up: test_api.py (the database goes)",
    "token_mark_used": "once an hour for a token",
    "credential_upgrade": "once for an imported hash, and may fail: test_password_hashes.py strikes it in every way",
    "app_password_mark_used": "once in ten minutes, and may be lost",
    "certificate_mark_used": "the same",
    "guard_write": "may be lost by design: the process that counted knows, the others learn of the next",
    "guard_read": "every second; test_bans.py takes the database away",
    "guard_forget": "every ten minutes",
    "known_changes": "every 700 ms; what is known stays: test_clients_limits.py",
    "allow_list": "the same",
    "suspension_list": "the same",
    "delivery_policy_list": "the same",
    "dns_list_all": "the same",
    "client_policy_uses": "the same",
    "greylist_write": "may be lost by design: who was put off comes again",
    "greylist_write_clients": "the same",
    "provision_ban_get": "needs a ban: test_bans.py",
    "provision_ban_require": "the same",
    "provision_ban_lift": "the same",
    "accept_waiting_make": "a part of the transaction of accept_entries, when RCPT knew of an outage: test_outage.py",
    "accept_waiting_wake": "the same",
    "accept_delayed": "a part of the transaction of accept_entries, of a delay notice: test_dsn.py",
    "accept_late": "the same, of a notice that mail is late: test_deliver_by.py",
    "queue_claim_late_again": "asked only when the answer to such a claim was lost, as queue_claim_again",
    "queue_delayed_read": "every some seconds for mail that was put off; a notice that could not be asked for comes later",
    "queue_not_delayed": "the same",
    "queue_claim_rejected_again": "asked only when the answer to such a claim was lost, as queue_claim_again",
    "cache_number": "not asked with the cache off, as here; test_cache.py takes the database away",
    "queue_count_states": "kept for ten seconds and more; the database away leaves the numbers out: test_metrics.py",
    "queue_count_destinations": "the same",
    "queue_count_away": "the same",
    "queue_waiting_read": "a collector's connection (ATRN): test_atrn.py takes the database away",
    "queue_waiting_count": "the same",
    "directory_collected": "the same",
    "provision_domain_require_collector": "a part of the transaction of provision_domain_insert: test_atrn.py",
    "maintenance_learned": "every some minutes; what it deletes: tests/storage/test_learned.c",
    "learned_note_all": "may be lost by design: it is asked again",
    "learned_note_not_all": "the same",
    "learned_note": "the same",
    "directory_route_named": "only where default_route names a route: test_routes.py; a twin of directory_route",
    "tls_report_add_domains": "a part of the transaction of tls_report_add_rows",
    "tls_report_add_rows": "may be lost by design; test_tlsrpt.py strikes it in every way",
    "tls_report_take": "by time; test_tlsrpt.py strikes it in every way",
    "tls_report_read": "the same",
    "tls_report_end": "the same",
    "sts_policy_find": "mail by MX: test_sts.py strikes it in every way",
    "sts_policy_put": "the same",
    "sts_policy_failed": "the same",
    "sts_policy_due": "every ten seconds",
    "sts_policy_forget": "once an hour",
    "hint_notify": "may be lost by design: what it hints at is polled for",
}
ELSEWHERE.update({name: "every some minutes: tests/storage/test_accept.c, test_maintenance.c" for name in (
    "maintenance_gone", "maintenance_history", "maintenance_idle", "maintenance_lock", "maintenance_lost_mail",
    "maintenance_orphans", "maintenance_partitions", "maintenance_purge", "maintenance_released", "maintenance_unlist",
    "maintenance_usage", "maintenance_greylist", "maintenance_greylist_client")})


def statements():
    """Name and whether it only reads."""
    found = {}
    for path in (ROOT / "storage").glob("*.c"):
        for name, sql in re.findall(r"struct db_statement \w+ = \{\s*\"(\w+)\",\s*\"?([\w ]*)", path.read_text()):
            found[name] = sql.startswith("select")
    assert len(found) > 100
    return found


class TryLater(Exception):
    """An answer that says so."""


class Workload:
    def __init__(self, node, sink, outside, guarded, tokens, client):
        self.node, self.sink, self.outside, self.guarded, self.tokens, self.client = node, sink, outside, guarded, tokens, client
        node.api.post(f"/v1/accounts/{BOB}/certificates", {"label": "card", "fingerprint": fingerprint(client)})
        self.device = node.api.post(f"/v1/accounts/{BOB}/app-passwords", {"label": "device"})["secret"]
        self.sent = collections.defaultdict(list)  # recipient: subjects that were answered with 250
        self.deleted = set()  # by POP3; when QUIT could not say whether it was done, it may still be there
        self.numbers = itertools.count(1)

    # ------------------------------------------------------------------ what may be answered

    def patiently(self, action):
        end = time.monotonic() + DEADLINE
        while True:
            try:
                return action()
            except TryLater as later:
                assert time.monotonic() < end, f"still told to try later: {later}"
                time.sleep(0.05)  # as a client does

    @staticmethod
    def smtp_later(error):
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            code, text = next(iter(error.recipients.values()))
        elif isinstance(error, smtplib.SMTPResponseException):
            code, text = error.smtp_code, error.smtp_error
        else:
            raise error
        if not 400 <= code < 500:
            raise error
        raise TryLater(text)

    def mail(self, recipient, login=None, sender=None, size=0, parameters=(), null=False):
        def once():
            subject = f"m{next(self.numbers)}"
            message = make_message(subject, sender=sender or login or "joe@client.test", to=recipient,
                                   body="Hello.\n" + ("x" * 70 + "\n") * (size // 71))
            try:
                if login:
                    with self.node.submission(login) as client:
                        client.sendmail("" if null else login, [recipient], message, parameters)
                else:
                    with self.node.smtp() as client:
                        client.sendmail(sender or "joe@client.test", [recipient], message, parameters)
            except smtplib.SMTPException as error:
                self.smtp_later(error)
            self.sent[recipient].append(subject)
            return subject
        return self.patiently(once)

    def api(self, method, path, body=None, done_before=()):
        """done_before: statuses that a repetition gets when the first try was done and its answer lost."""
        def once():
            status, _, parsed = self.node.api.request(method, path, body)
            if status == 503:
                raise TryLater(parsed)
            if status not in done_before and not 200 <= status < 300:
                raise ApiError(method, path, status, parsed)
            return parsed
        return self.patiently(once)

    def imap(self, *commands):
        """Each command is (name, arguments...), or a function of the connection that returns such an answer."""
        def begin():
            connection = imaplib.IMAP4_SSL("localhost", self.node.ports["imaps"],
                                           ssl_context=self.node.certificate.context(), timeout=60)
            try:
                connection.login(ANN, PASSWORD)
            except imaplib.IMAP4.error as error:
                connection.shutdown()
                if "[UNAVAILABLE]" in str(error):
                    raise TryLater(error) from error
                raise
            return connection
        connection = self.patiently(begin)

        def once(name, arguments, accepted):
            try:
                status, answer = connection._simple_command(name, *arguments)
            except imaplib.IMAP4.error as error:
                status, answer = "BAD", [str(error).encode()]
            text = (answer[0] or b"").decode()
            if status != "OK" and "[UNAVAILABLE]" in text:
                raise TryLater(text)
            assert status == "OK" or any(code in text for code in accepted), f"{name} {arguments}: {status} {text}"
        for name, *arguments in commands:
            accepted = arguments.pop() if arguments and isinstance(arguments[-1], tuple) else ()
            if name == "SELECT":
                connection.state = "AUTH"
            self.patiently(lambda name=name, arguments=arguments, accepted=accepted: once(name, arguments, accepted))
            if name == "SELECT":
                connection.state = "SELECTED"
        connection.logout()

    # ------------------------------------------------------------------ steps

    def settled(self):
        """What is reported after a delivery belongs to the step that made it."""
        wait_equal(lambda: self.node.query("select count(*) from queue_entry where recipient not like 'dead@%'"), [["0"]],
                   "the queue is empty", timeout=90)

    def step_mailbox(self):
        self.mail(ANN)

    def step_relayed(self):
        subject = self.mail(CAROL)
        wait_until(lambda: subject in self.relayed(), "it is at the primary", timeout=60)
        self.settled()

    def step_large(self):
        self.mail(BOB, size=700_000)

    def step_submitted(self):
        subject = self.mail(OUT, login=ANN)
        wait_until(lambda: subject in self.gone_out(), "it is outside", timeout=60)
        self.settled()

    def step_future_release(self):
        """Filed here and sent on when its time has come."""
        subjects = {recipient: self.mail(recipient, login=ANN, parameters=["HOLDFOR=1"]) for recipient in (BOB, OUT)}
        wait_until(lambda: subjects[BOB] in self.box(BOB), "it is filed", timeout=60)
        wait_until(lambda: subjects[OUT] in self.gone_out(), "it is outside", timeout=60)
        self.settled()

    def step_submitted_as_alias(self):
        """In the field From; the envelope has the account's own address."""
        self.mail(OUT, login=ANN, sender=ALIAS)
        self.settled()

    def step_from_a_network(self):
        self.mail(OUT, sender=ANN)
        self.settled()

    def step_refused_by_next_hop(self):
        """Deferred first, then taken."""
        self.sink.behave.recipient_replies[CAROL] = "450 4.2.1 later"
        subject = self.mail(CAROL)
        wait_until(lambda: self.node.query("select 1 from queue_entry where last_reply like '450%'"), "it is put off",
                   timeout=60)
        del self.sink.behave.recipient_replies[CAROL]
        wait_until(lambda: subject in self.relayed(), "it is at the primary", timeout=60)
        self.settled()

    def step_deliver_by(self):
        """Late while it is held, and nobody is to be told."""
        subject = self.mail(BOB, login=ANN, parameters=["HOLDFOR=4", "BY=1;N"], null=True)
        wait_until(lambda: subject in self.box(BOB), "it is filed", timeout=60)
        self.settled()

    def step_outage(self):
        self.sink.stop()
        subject = self.mail(CAROL)
        wait_until(lambda: subject in self.box(CAROL), "it is held and readable", timeout=60)
        self.sink.start()
        wait_until(lambda: subject in self.relayed(), "it is at the primary", timeout=60)
        self.settled()
        wait_equal(lambda: self.node.query("select count(*) from outage o join domain d on d.id = o.domain_id"
                                           " where o.ended_at is null and d.name = 'primary.faults.test'"), [["0"]],
                   "the outage is over", timeout=60)

    def step_etrn(self):
        def once():
            try:
                with self.node.submission(BOB) as connection:
                    for name in ("primary.faults.test", "@faults.test"):
                        code, text = connection.docmd("ETRN", name)
                        if code in (421, 458):
                            raise TryLater(text)
                        assert code in (251, 253), text
            except smtplib.SMTPException as error:
                self.smtp_later(error)
        self.patiently(once)

    def step_imap_mailboxes(self):
        known, gone = ("[ALREADYEXISTS]",), ("[NONEXISTENT]", "[TRYCREATE]")
        self.imap(("LIST", '""', "*"), ("CREATE", "one/two", known), ("SUBSCRIBE", "one/two"), ("LSUB", '""', "*"),
                  ("STATUS", "INBOX", "(MESSAGES UIDNEXT UNSEEN)"), ("RENAME", "one/two", "three", gone + known),
                  ("UNSUBSCRIBE", "one/two", gone), ("DELETE", "three", gone), ("DELETE", "one", gone))

    def step_imap_messages(self):
        self.imap(("CREATE", "kept", ("[ALREADYEXISTS]",)), ("SELECT", "kept"),
                  ("APPEND", "kept", "(\\Seen)", "{8+}\r\nA: b\r\n\r\n"), ("NOOP",), ("FETCH", "1:*", "(FLAGS BODY[])"),
                  ("STORE", "1:*", "+FLAGS", "(\\Flagged)"), ("SEARCH", "HEADER", "A", "b"), ("COPY", "1:*", "kept"),
                  ("NOOP",), ("MOVE", "1:*", "INBOX"), ("UID", "STORE", "1:*", "+FLAGS", "(\\Deleted)"),
                  ("EXPUNGE",), ("CLOSE",), ("RENAME", "INBOX", "old", ("[ALREADYEXISTS]",)), ("SELECT", "old"),
                  ("MOVE", "1:*", "INBOX"), ("CLOSE",), ("DELETE", "old"))

    def step_pop3(self):
        self.mail(BOB)

        def once():
            connection = poplib.POP3_SSL("localhost", self.node.ports["pop3s"],
                                         context=self.node.certificate.context(), timeout=60)
            try:
                connection.user(BOB)
                connection.pass_(PASSWORD)
                number = connection.stat()[0]
                if number:
                    subject = subject_of(b"\r\n".join(connection.top(number, 0)[1]))
                    connection.retr(number)
                    connection.dele(number)
                    self.deleted.add(subject)
                connection.quit()
            except poplib.error_proto as error:
                connection.close()
                if "[SYS/TEMP]" not in str(error):
                    raise
                raise TryLater(error) from error
        self.patiently(once)

    def make_customer(self):
        self.api("POST", "/v1/customers", {"name": "c"}, DONE)

    def step_api_customers(self):
        self.api("POST", "/v1/customers", {"name": "other"}, DONE)
        self.api("GET", "/v1/customers")
        self.api("GET", "/v1/customers/other")
        self.api("PATCH", "/v1/customers/other", {"state": "active"})
        self.api("DELETE", "/v1/customers/other", None, GONE)

    def step_api_domains(self):
        self.make_customer()
        self.api("POST", "/v1/domains", {"name": "h.test", "customer": "c", "kind": "hosted"}, DONE)
        self.api("POST", "/v1/domains", {"name": "r.test", "customer": "c", "kind": "relay", "next_hops": [HOP]}, DONE)
        self.api("PATCH", "/v1/domains/r.test", {"next_hops": [HOP]})
        self.api("POST", "/v1/domains", {"name": "s.test", "customer": "c", "kind": "alias", "target": "h.test"}, DONE)
        self.api("DELETE", "/v1/domains/s.test", None, GONE)
        self.api("PUT", "/v1/domains/r.test/recipients", {"addresses": ["a@r.test", "b@r.test"]})
        self.api("POST", "/v1/domains/r.test/recipients", {"address": "c@r.test"}, DONE)
        self.api("GET", "/v1/domains/r.test/recipients")
        self.api("GET", "/v1/domains/r.test/recipients/b@r.test")
        self.api("DELETE", "/v1/domains/r.test/recipients/a@r.test", None, GONE)
        self.node.query("insert into recipient_learned (cell, domain_id, address, valid, learned_at, until) select cell, id,"
                        " 'a@r.test', true, now(), now() from domain where name = 'r.test' on conflict do nothing")
        self.api("GET", "/v1/domains/r.test/learned-recipients")
        self.api("GET", "/v1/domains/r.test/learned-recipients/a@r.test", None, GONE)
        self.api("DELETE", "/v1/domains/r.test/learned-recipients/a@r.test", None, GONE)
        self.api("DELETE", "/v1/domains/r.test/learned-recipients")
        self.api("GET", "/v1/domains")
        self.api("GET", "/v1/domains?customer=c")
        self.api("GET", "/v1/domains/h.test")
        self.api("DELETE", "/v1/domains/h.test", None, GONE)
        self.api("DELETE", "/v1/domains/r.test", None, GONE)

    def step_learned(self):
        """The primary is asked, and the answer counts."""
        def once():
            with self.node.smtp() as client:
                client.ehlo()
                for code, text in (client.mail("joe@client.test"), client.rcpt("new@learning.faults.test")):
                    if code in (421, 451):
                        raise TryLater(text)
            assert code == 250
        self.patiently(once)
        self.node.query("delete from recipient_learned")
        self.node.query("delete from recipient_probe")

    def step_api_accounts(self):
        self.make_customer()
        self.api("POST", "/v1/domains", {"name": "a.test", "customer": "c", "kind": "hosted"}, DONE)
        self.api("POST", "/v1/accounts", {"address": "u@a.test", "customer": "c", "password": PASSWORD,
                                          "aliases": ["v@a.test"]}, DONE)
        self.api("POST", "/v1/accounts", {"address": "u@a.test", "customer": "c", "password": PASSWORD}, DONE)
        self.api("PATCH", "/v1/accounts/u@a.test", {"aliases": ["w@a.test"]})
        for query in ("", "?customer=c", "?domain=a.test", "?customer=c&domain=a.test"):
            self.api("GET", f"/v1/accounts{query}")
        self.api("GET", "/v1/accounts/u@a.test")
        self.api("DELETE", "/v1/accounts/u@a.test", None, GONE)

    def step_api_app_passwords(self):
        path = f"/v1/accounts/{CAROL}/app-passwords"
        self.api("POST", path, {"label": "phone"}, DONE)
        for password in self.api("GET", path)["items"]:
            self.api("GET", f"{path}/{password['id']}")
            self.api("DELETE", f"{path}/{password['id']}", None, GONE)

    def step_app_password(self):
        """The device signs in with it, and is told to try later, never that it is wrong."""
        def once():
            try:
                with self.node.pop3(BOB, self.device):
                    pass
            except poplib.error_proto as error:
                if "[SYS/TEMP]" not in str(error):
                    raise
                raise TryLater(error) from error
        self.patiently(once)

    def step_api_certificates(self):
        path = f"/v1/accounts/{CAROL}/certificates"
        self.api("POST", path, {"label": "card", "fingerprint": "a" * 64}, DONE)
        for certificate in self.api("GET", path)["items"]:
            self.api("GET", f"{path}/{certificate['id']}")
            self.api("DELETE", f"{path}/{certificate['id']}", None, GONE)

    def step_certificate(self):
        """A client signs in with one, and is told to try later, never that it is nobody's."""
        def once():
            with Signing(self.node, "imap", tls=True, client=self.client) as session:
                kind, text = session.auth("EXTERNAL", "=")
            if kind != "yes":
                assert "NO [UNAVAILABLE]" in text, text
                raise TryLater(text)
        self.patiently(once)

    def step_api_expansions(self):
        self.make_customer()
        self.api("POST", "/v1/domains", {"name": "e.test", "customer": "c", "kind": "hosted"}, DONE)
        self.api("POST", "/v1/groups", {"address": "u@e.test", "members": [OUT]}, DONE)
        self.api("POST", "/v1/groups", {"address": "u@e.test", "members": [OUT]}, DONE)
        self.api("PATCH", "/v1/groups/u@e.test", {"members": [BOB], "senders": "customer"})
        self.api("GET", "/v1/groups?customer=c&domain=e.test")
        self.api("GET", "/v1/groups/u@e.test")
        self.api("DELETE", "/v1/groups/u@e.test", None, GONE)

    def step_api_networks(self):
        self.make_customer()
        self.api("POST", "/v1/networks", {"cidr": "192.0.2.0/24", "customer": "c"}, DONE)
        self.api("GET", "/v1/networks")
        for network in self.api("GET", "/v1/networks?customer=c")["items"]:
            self.api("GET", f"/v1/networks/{network['id']}")
            self.api("PATCH", f"/v1/networks/{network['id']}", {"customer": "c"})
            self.api("DELETE", f"/v1/networks/{network['id']}", None, GONE)

    def step_api_allowed_networks(self):
        self.make_customer()
        for customer in ("c", None):
            self.api("POST", "/v1/allowed-networks", {"network": "192.0.2.0/24", "customer": customer}, DONE)
        self.api("POST", "/v1/allowed-networks", {"network": "192.0.2.0/24"}, DONE)
        self.api("GET", "/v1/allowed-networks?customer=c")
        for allowed in self.api("GET", "/v1/allowed-networks")["items"]:
            path = f"/v1/allowed-networks/{allowed['id']}"
            self.api("GET", path)
            self.api("PATCH", path, {"label": "x"})
            self.api("DELETE", path, None, GONE)

    def step_api_strangers(self):
        self.make_customer()
        self.api("POST", "/v1/domains", {"name": "s.test", "customer": "c", "kind": "hosted"}, DONE)
        for _ in range(2):
            self.api("POST", "/v1/dns-lists", {"zone": "bl.example", "score": 1}, DONE)
            self.api("POST", "/v1/client-policies", {"customer": "c"}, DONE)
            self.api("POST", "/v1/client-policies", {"domain": "s.test"}, DONE)
        self.api("GET", "/v1/client-policies?customer=c")
        for path, change in (("/v1/dns-lists", {"score": 2}), ("/v1/client-policies", {"label": "x"})):
            for each in self.api("GET", path)["items"]:
                if each.get("label") == "stays":
                    continue
                self.api("GET", f"{path}/{each['id']}")
                self.api("PATCH", f"{path}/{each['id']}", change)
                self.api("DELETE", f"{path}/{each['id']}", None, GONE)
        self.api("DELETE", "/v1/domains/s.test", None, GONE)

    def step_api_credentials(self):
        for _ in range(2):
            self.api("POST", "/v1/credentials", {"name": "login", "user": "u", "password": "p"}, DONE)
        self.api("GET", "/v1/credentials")
        self.api("GET", "/v1/credentials/login")
        self.api("PATCH", "/v1/credentials/login", {"user": "v"})
        oauth = {"kind": "oauth", "user": "u", "token_url": "https://login.test/", "client_id": "c", "refresh_token": "r"}
        self.api("POST", "/v1/credentials", {"name": "by-token", **oauth}, DONE)
        self.api("DELETE", "/v1/credentials/by-token", None, GONE)
        self.api("POST", "/v1/credential-reseals", None)
        self.api("DELETE", "/v1/credentials/login", None, GONE)

    def step_signed_in(self):
        """The next hop is signed in at."""
        for _ in range(2):  # the second over the same connection
            subject = self.mail(GUARDED)
            wait_until(lambda: subject in [subject_of(m.data) for m in self.guarded.messages], "it is there", timeout=180)
        self.settled()

    def step_token(self):
        """The next hop is signed in at with a token: one was revoked, and then the token server fails for a while."""
        there = lambda: [subject_of(m.data) for m in self.guarded.messages]
        wait_until(lambda: all(m.session.ended_well for m in self.guarded.messages), "no connection is kept", timeout=60)
        self.tokens.good.clear()
        subject = self.mail(TOKENED)
        wait_until(lambda: subject in there(), "it is there", timeout=180)
        wait_until(lambda: all(m.session.ended_well for m in self.guarded.messages), "no connection is kept", timeout=60)
        self.tokens.behave = 500, {}
        self.api("PATCH", "/v1/credentials/token", {})
        subject, count = self.mail(TOKENED), len(self.tokens.asked)
        wait_until(lambda: len(self.tokens.asked) > count, "the token server is asked", timeout=180)
        wait_until(lambda: self.node.query("select claimed_until from hop_token where claimed_until > now()") == [], "and has answered", timeout=180)
        self.tokens.behave = None
        self.api("PATCH", "/v1/credentials/token", {})
        wait_until(lambda: subject in there(), "it is there", timeout=180)
        self.settled()

    def step_api_routes(self):
        for name in ("way", "other-way"):
            for _ in range(2):
                self.api("POST", "/v1/routes", {"name": name, "customer": "faults", "next_hops": [HOP]}, DONE)
        self.api("GET", "/v1/routes?customer=faults")
        self.api("GET", "/v1/routes/way")
        self.api("PATCH", "/v1/routes/way", {"next_hops": [HOP]})
        for body in ({"account": CAROL}, {"sender_domain": "never.test"}):
            for _ in range(2):
                self.api("POST", "/v1/route-rules", {"customer": "faults", "route": "way", **body}, DONE)
        for each in self.api("GET", "/v1/route-rules")["items"]:
            self.api("GET", f"/v1/route-rules/{each['id']}")
            self.api("PATCH", f"/v1/route-rules/{each['id']}", {"route": "other-way"})
            self.api("DELETE", f"/v1/route-rules/{each['id']}", None, GONE)
        for name in ("way", "other-way"):
            self.api("DELETE", f"/v1/routes/{name}", None, GONE)

    def step_route(self):
        """It waits for a route that is deleted then, and goes another way."""
        self.api("POST", "/v1/routes", {"name": "closed", "next_hops": [HOP_OF_NOBODY]}, DONE)
        self.api("POST", "/v1/route-rules", {"customer": "faults", "account": BOB, "route": "closed"}, DONE)
        subject = self.mail(OUT, login=BOB)
        rows = "select count(*) from queue_entry where destination like 'route:%' and worker is null"
        wait_until(lambda: self.node.query(rows) != [["0"]], "it waits", timeout=60)
        (rule,) = self.api("GET", "/v1/route-rules")["items"]
        self.api("DELETE", f"/v1/route-rules/{rule['id']}", None, GONE)
        self.api("DELETE", "/v1/routes/closed", None, GONE)
        wait_until(lambda: subject in self.gone_out(), "it is outside", timeout=180)  # a probe that fails for our sake is repeated after two minutes
        self.settled()

    def step_stranger(self):
        """Is put off by a policy, and by the database for as long as that is away."""
        def once():
            with self.node.smtp() as client:
                client.ehlo("proxy.test")
                client.docmd("XCLIENT", "ADDR=198.18.0.1")
                client.ehlo("client.test")
                for code, text in (client.mail("joe@client.test"), client.rcpt("bob@strange.faults.test")):
                    if code == 421 or text.startswith(b"4.3."):
                        raise TryLater(text)
            assert (code, text[:5]) == (451, b"4.7.1")
        self.patiently(once)

    def step_api_grants(self):
        for who in ({"account": BOB}, {"domain": "faults.test"}):
            self.api("POST", "/v1/relay-grants", {"customer": "faults", "label": "fault", **who}, DONE)
        self.api("GET", "/v1/relay-grants")
        for grant in self.api("GET", "/v1/relay-grants?customer=faults")["items"]:
            if grant["label"] is None:
                continue  # ann's, which stays
            self.api("GET", f"/v1/relay-grants/{grant['id']}")
            self.api("PATCH", f"/v1/relay-grants/{grant['id']}", {"label": "other"})
            self.api("DELETE", f"/v1/relay-grants/{grant['id']}", None, GONE)
        self.api("POST", "/v1/relay-checks", {"sender": BOB, "recipient": OUT})

    def step_api_mail(self):
        for query in ("", "?domain=dead.faults.test", "?domain=outside.test", "?sender=<>", "?customer=faults", "?state=held",
                      "?state=active", "?destination=default"):
            self.api("GET", f"/v1/queue{query}")
        (queued,) = self.api("GET", "/v1/queue?domain=dead.faults.test")["items"]
        self.api("GET", f"/v1/messages/{queued['message']}")
        self.api("GET", f"/v1/messages/{queued['message']}/events")
        for path in ("/v1/outages", "/v1/bans", "/readyz", "/metrics"):
            self.api("GET", path)

    def step_hold(self):
        """What is decided about entries that nobody delivers."""
        (queued,) = self.api("GET", "/v1/queue?domain=dead.faults.test")["items"]
        path = f"/v1/queue/{queued['id']}"
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
        self.api("POST", f"{path}/hold", {"until": until, "then": "reject", "reason": "a fault"})
        self.api("GET", path)
        self.api("POST", f"{path}/release", None, DONE)
        wait_until(lambda: self.api("GET", path)["state"] == "waiting", "it is released", timeout=60)
        self.mail("dead2@dead.faults.test", sender="<>")
        (rejected,) = self.patiently(self.dead2)
        self.api("POST", f"/v1/queue/{rejected}/priority", {"priority": 3})
        self.api("POST", f"/v1/queue/{rejected}/redirect", {"next_hops": [HOP_OF_NOBODY]})
        wait_until(lambda: self.api("GET", f"/v1/queue/{rejected}")["state"] == "waiting", "it waits there", timeout=60)
        self.api("POST", f"/v1/queue/{rejected}/retry", None)
        wait_until(lambda: self.api("GET", f"/v1/queue/{rejected}")["state"] == "waiting", "it waits again", timeout=60)
        self.api("POST", f"/v1/queue/{rejected}/reject", None, GONE)
        self.settled()
        self.mail("dead2@dead.faults.test", sender="<>")
        (cancelled,) = self.patiently(self.dead2)
        self.api("POST", f"/v1/queue/{cancelled}/cancel", {"bounce": False}, GONE)

    def step_suspensions(self):
        """Mail that waits until it is resumed."""
        sender = f"slow{next(self.numbers)}@client.test"
        self.api("POST", "/v1/suspensions", {"kind": "sender", "value": sender, "reason": "a fault"}, DONE)
        (made,) = (item for item in self.api("GET", "/v1/suspensions")["items"] if item["value"] == sender)
        path = f"/v1/suspensions/{made['id']}"
        self.api("GET", path)
        self.api("POST", "/v1/suspensions", {"kind": "sender", "value": sender, "reason": "twice"}, DONE)

        def is_obeyed():
            self.mail(CAROL, sender=sender)
            return wait_until(lambda: not (found := self.api("GET", f"/v1/queue?sender={sender}")["items"])
                              or found[0]["hold"] and found, "it has gone, or is held", timeout=60) is not True
        wait_until(is_obeyed, "it is obeyed")
        self.api("DELETE", path, None, GONE)
        self.settled()

    def step_delivery_policies(self):
        for _ in range(2):
            self.api("POST", "/v1/delivery-policies", {"domain": "outside.test", "lifetime": 1000}, DONE)
        assert [item["domain"] for item in self.api("GET", "/v1/delivery-policies")["items"]] == ["outside.test"]
        path = "/v1/delivery-policies/outside.test"
        self.api("GET", path)
        self.api("PATCH", path, {"retry_max": 2})
        self.api("DELETE", path, None, GONE)

    def step_queue_actions(self):
        """Many at once, in the background."""
        action = self.api("POST", "/v1/queue-actions", {"action": "priority", "priority": 1, "domain": "dead.faults.test"})
        path = f"/v1/queue-actions/{action['id']}"
        self.api("POST", f"{path}/start", {"count": action["count"]}, DONE)
        wait_until(lambda: self.api("GET", path)["state"] == "done", "it is done", timeout=60)
        self.api("GET", "/v1/queue-actions")
        stopped = self.api("POST", "/v1/queue-actions", {"action": "retry", "domain": "nowhere.faults.test"})
        self.api("POST", f"/v1/queue-actions/{stopped['id']}/stop", None, DONE)

    def dead2(self):
        found = [entry["id"] for entry in self.api("GET", "/v1/queue?domain=dead.faults.test")["items"]
                 if entry["recipient"].startswith("dead2@") and entry["state"] == "waiting"]
        if not found:
            raise TryLater("it is being delivered")
        return found

    def step_decision(self):
        """A refusal, and then what the API tells of it."""
        def once():
            with self.node.smtp() as client:
                client.ehlo()
                for code, text in (client.mail("joe@client.test"), client.rcpt("nobody@faults.test")):
                    if code in (421, 451):
                        raise TryLater(text)
            assert code == 550
            return re.search(rb"\(decision (\w{13})\)$", text)[1].decode()
        path = "/v1/decisions/" + self.patiently(once)
        wait_until(lambda: self.api("GET", path, None, GONE).get("command") == "RCPT", "the refusal can be looked up")

    def step_renewal(self):
        """Every five seconds, so these are struck in the worst mode only."""
        seen = self.node.postgres.seen
        count = seen.get("node_cells", 0)
        wait_until(lambda: seen.get("node_cells", 0) > count, "the worker renews its leases")

    # ------------------------------------------------------------------ what came of it

    def relayed(self):
        return [subject_of(message.data) for message in self.sink.messages]

    def gone_out(self):
        return [subject_of(message.data) for message in self.outside.messages]

    def box(self, login):
        return self.patiently(lambda: self.box_once(login))

    def box_once(self, login):
        try:
            with self.node.pop3(login) as connection:
                return [email.message_from_bytes(b"\r\n".join(connection.top(number + 1, 0)[1]))["Subject"]
                        for number in range(connection.stat()[0])]
        except poplib.error_proto as error:
            if "[SYS/TEMP]" not in str(error):
                raise
            raise TryLater(error) from error


# ---------------------------------------------------------------------- the test

@pytest.fixture
def authority():
    folder = make_folder("authority")
    yield Authority(folder)
    remove_folder(folder)


@pytest.fixture
def tokens():
    server = TokenServer()
    yield server
    server.close()


@pytest.fixture
def guarded(certificate, tokens):
    """A next hop that is signed in at, with a password or a token."""
    plain, token = Passwords("relay", PASSWORD), Tokens("relay", lambda: tokens.good)
    with Sink() as server:
        server.behave = Behaviour(tls=certificate.server_context(), tls_extensions=("AUTH PLAIN XOAUTH2",),
                                  auth=lambda session, mechanism, initial: (token if mechanism == "XOAUTH2" else plain)(session, mechanism, initial))
        yield server


@pytest.fixture
def workload(new_posthouse, own_postgres, sink, outside, guarded, tokens, authority):
    faulty = FaultyPostgres(own_postgres)
    node = new_posthouse(postgres=faulty, default_route=outside.port, settings={
        "daemon.workers": 1, "delivery.probe_interval": "200ms", "database.statement_timeout": "500ms",
        "database.cache_size": 0, "tls.client_ca_file": authority.certificate,
        "smtp.xclient_networks": "127.0.0.1"})
    try:
        node.start()
        node.api.customer("faults")
        node.api.hosted_domain("faults.test", "faults")
        node.api.relay_domain("primary.faults.test", "faults", sink.port)
        node.api.relay_domain("dead.faults.test", "faults", 9)
        node.api.post("/v1/domains", {"name": "learning.faults.test", "customer": "faults", "kind": "relay", "recipients": "learned",
                                      "next_hops": [{"host": "127.0.0.1", "port": sink.port}]})
        node.api.post("/v1/credentials", {"name": "guard", "user": "relay", "password": PASSWORD, "tls": "encrypt"})
        node.api.post("/v1/domains", {"name": "guarded.faults.test", "customer": "faults", "kind": "relay",
                                      "next_hops": [{"host": "127.0.0.1", "port": guarded.port, "credential": "guard"}]})
        node.api.post("/v1/credentials", {"name": "token", "kind": "oauth", "user": "relay", "token_url": tokens.url, "client_id": tokens.client_id,
                                          "client_secret": tokens.secret, "tls": "encrypt"})
        node.api.post("/v1/domains", {"name": "tokened.faults.test", "customer": "faults", "kind": "relay",
                                      "next_hops": [{"host": "127.0.0.1", "port": guarded.port, "credential": "token"}]})
        for address in (BOB, CAROL):
            node.api.account(address, "faults")
        node.api.post("/v1/accounts", {"address": ANN, "customer": "faults", "password": PASSWORD, "aliases": [ALIAS]})
        node.api.post("/v1/relay-grants", {"customer": "faults", "account": ANN, "messages_per_day": 1000000})
        node.api.post("/v1/networks", {"cidr": "127.0.0.0/8", "customer": "faults"})
        node.api.hosted_domain("strange.faults.test", "faults")
        node.api.account("bob@strange.faults.test", "faults")
        node.api.post("/v1/client-policies", {"domain": "strange.faults.test", "greylist": "always", "greylist_delay": 3600, "label": "stays"})
        node.send("joe@client.test", "dead@dead.faults.test", make_message("dead"))
        yield Workload(node, sink, outside, guarded, tokens, authority.client())
        node.close()
    finally:
        faulty.close()


def play(step, faulty, statement, mode):
    """The step, until the fault has struck in it."""
    fault = faulty.arm(statement, mode)
    for _ in range(3):
        try:
            step()
        except AssertionError as error:
            raise AssertionError(f"{statement} {mode}: {error}") from error
        try:
            wait_until(lambda: fault.struck, f"{statement} is met", timeout=4)
            return
        except AssertionError:
            continue
    faulty.disarm()
    raise AssertionError(f"{statement} was met in {step.__name__} before, and is not any more")


def test_every_statement_fails_in_every_way(workload):
    faulty = workload.node.postgres
    steps = [getattr(workload, name) for name in dir(workload) if name.startswith("step_")]
    steps.sort(key=lambda step: step != workload.step_renewal)  # so that what is met on the way is met there

    rounds = collections.defaultdict(int)  # (statement, step): in how many of the rounds it was met
    for step in steps * 2:
        faulty.seen.clear()
        step()
        for statement in faulty.seen:
            rounds[statement, step] += 1
    met = {statement for statement, _ in rounds}
    # what goes on in the background is met here and there; it belongs where it is met each time, and to a step that causes it
    # rather than to the one that only waits, unless that is what the waiting is for
    assigned = {statement: max((step for step in steps if rounds[statement, step]),
                               key=lambda step: (rounds[statement, step],
                                                 (step == workload.step_renewal) == statement.startswith("node_")))
                for statement in met}
    reads = statements()
    assert met | set(ELSEWHERE) >= set(reads), f"no step reaches {sorted(set(reads) - met - set(ELSEWHERE))}"

    for statement, step in sorted(assigned.items(), key=lambda item: (item[1].__name__, item[0])):
        if statement in ELSEWHERE:
            continue
        modes = ["refused", "cut", "lost"]
        if step == workload.step_renewal:
            modes = ["lost"]
        elif step.__name__.startswith("step_api") and not reads.get(statement):
            modes.remove("refused")  # for the sake of time: test_api.py has errors of every kind
        elif reads.get(statement):
            modes.remove("lost")  # for who only reads that is the same as "cut"
        for mode in modes:
            play(step, faulty, statement, mode)
    for statement in ("accept_messages", "directory_recipients", "directory_account", "queue_settle", "mailbox_items"):
        play(assigned[statement], faulty, statement, "silent")

    workload.settled()
    assert sorted(workload.relayed()) == sorted(workload.sent[CAROL]), "at the primary, once each"
    assert sorted(workload.gone_out()) == sorted(workload.sent[OUT]), "outside, once each"
    for user in (ANN, BOB):
        there = [subject for subject in workload.box(user) if subject]
        assert len(set(there)) == len(there) and set(there) <= set(workload.sent[user]), f"once in the mailbox of {user}"
        assert set(workload.sent[user]) - set(there) <= workload.deleted, f"in the mailbox of {user}"
