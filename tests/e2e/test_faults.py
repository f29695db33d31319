"""Each statement of mail fails in each way while mail goes on: temporary answers, nothing lost, nothing twice.

How, is told in harness/workload.py. At the end everything that was answered with 250 is where it belongs, once.
"""
import imaplib
import poplib
import re
import smtplib

import pytest

from harness.authority import Authority, fingerprint
from harness.posthouse import PASSWORD, make_message, subject_of
from harness.process import make_folder, remove_folder, wait_equal, wait_until
from harness.sasl_server import Passwords, Tokens
from harness.signing import Signing
from harness.sink import Behaviour, Sink
from harness.token_server import TokenServer
from harness.workload import (ALIAS, ANN, BOB, CAROL, DONE, GONE, GUARDED, HOP_OF_NOBODY, OUT, PARTS, TOKENED, TryLater, Workload,
                              is_mine, play, strike_all, working)

KIM = "kim@dead.faults.test"  # whose primary is away
HAL = "hal@faults.test"  # whose mail a content rule holds

pytestmark = [pytest.mark.slow, pytest.mark.faults]


class MailWorkload(Workload):
    def __init__(self, node, sink, outside, guarded, tokens, client):
        super().__init__(node, sink, outside)
        self.guarded, self.tokens, self.client = guarded, tokens, client
        node.api.post(f"/v1/accounts/{BOB}/certificates", {"label": "card", "fingerprint": fingerprint(client)})
        self.device = node.api.post(f"/v1/accounts/{BOB}/app-passwords", {"label": "device"})["secret"]
        self.deleted = set()  # by POP3; when QUIT could not say whether it was done, it may still be there

    def imap(self, *commands, login=ANN):
        """Each command is (name, arguments...), or a function of the connection that returns such an answer."""
        def begin():
            connection = imaplib.IMAP4_SSL("localhost", self.node.ports["imaps"],
                                           ssl_context=self.node.certificate.context(), timeout=60)
            try:
                connection.login(login, PASSWORD)
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

    def step_mailbox(self):
        self.mail(ANN)

    def step_relayed(self):
        subject = self.mail(CAROL)
        wait_until(lambda: subject in self.relayed(), "it is at the primary", timeout=60)
        self.settled()

    def step_held(self):
        """Shown to its owner, who releases one by moving it; another is released by an administrator, and leaves the folder."""
        def shown():
            return int(self.node.query("select count(*) from mailbox_message i join mailbox f on f.cell = i.cell and f.id = i.mailbox_id"
                                       f" join account a on a.id = f.account_id where f.role = 'held' and a.address = '{HAL}'")[0][0])
        subject = self.mail(HAL)
        wait_equal(shown, 1, "it is shown", timeout=60)
        self.imap(("SELECT", "Held"), ("UID", "MOVE", "1:*", "INBOX", ("EXPUNGEISSUED",)), login=HAL)
        wait_until(lambda: subject in self.box(HAL), "it is in the INBOX", timeout=60)
        self.settled()
        subject = self.mail(HAL)
        wait_equal(shown, 1, "it is shown", timeout=60)
        self.node.query(f"update queue_entry set held_until = now(), held_then = 'release' where recipient = '{HAL}' returning 1")
        wait_until(lambda: subject in self.box(HAL), "it is filed", timeout=60)
        wait_equal(shown, 0, "it leaves the folder", timeout=60)
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

    def step_decision(self):
        """A refusal is explained, a moment later."""
        def refused():
            with self.node.smtp() as client:
                client.ehlo()
                client.mail("joe@outside.test")
                return re.search(r"\(decision (\w{13})\)", client.rcpt("nobody.at.all@faults.test")[1].decode())

        found = wait_until(refused, "it is refused", timeout=60)  # with 451 while the database is away
        wait_until(lambda: self.node.query(f"select 1 from decision where id_text(id) = '{found[1]}'"), "it is written", timeout=60)
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

    def step_outage_of_who_has_no_account(self):
        """The account is made in the outage, and what waited, and what comes, is its mail."""
        new = f"new{next(self.numbers)}@known.faults.test"
        self.node.query(f"insert into recipient_listed (domain_id, address) select id, '{new}' from domain"
                        " where name = 'known.faults.test'")
        self.node.query("update domain set recipients = recipients where name = 'known.faults.test'")
        self.sink.stop()
        self.mail(new)
        self.mail(new)
        wait_equal(lambda: self.node.query("select count(*) from queue_entry q join account a on a.id = q.account_id"
                                           f" where q.shown and a.address = '{new}'"), [["2"]], "both are readable", timeout=60)
        self.mail(new)
        self.sink.start()
        self.settled()
        wait_equal(lambda: self.node.query("select count(*) from outage o join domain d on d.id = o.domain_id"
                                           " where o.ended_at is null and d.name = 'known.faults.test'"), [["0"]],
                   "the outage is over", timeout=60)

    def step_sent_in_an_outage(self):
        """Filed by us and then by the mail program, the other way round, and anew when its owner has deleted it."""
        first, second = f"s{next(self.numbers)}", f"s{next(self.numbers)}"

        def submit(subject):
            def once():
                try:
                    with self.node.submission(KIM) as client:
                        client.sendmail(KIM, [OUT], make_message(subject, sender=KIM, to=OUT))
                except smtplib.SMTPException as error:
                    self.smtp_later(error)
            self.patiently(once)
            self.sent[OUT].append(subject)

        def append(subject):
            message = make_message(subject, sender=KIM, to=OUT)
            return "APPEND", "Sent", "{%d+}\r\n%s" % (len(message), message.decode())

        submit(first)
        self.imap(append(first), append(second), login=KIM)
        submit(second)
        self.imap(("SELECT", "Sent"), ("STORE", "1:*", "+FLAGS", "(\\Deleted)"), ("EXPUNGE",), append(second), login=KIM)
        assert self.node.query("select count(*) from mailbox_message m join mailbox b on b.id = m.mailbox_id join account a on"
                               f" a.id = b.account_id where b.name = 'Sent' and a.address = '{KIM}'") == [["1"]]
        wait_until(lambda: {first, second} <= set(self.gone_out()), "both are outside", timeout=60)
        self.settled()

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
                  ("MOVE", "1:*", "INBOX"), ("CLOSE",), ("DELETE", "old", ("[NONEXISTENT]",)))

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

    def step_certificate(self):
        """A client signs in with one, and is told to try later, never that it is nobody's."""
        def once():
            with Signing(self.node, "imap", tls=True, client=self.client) as session:
                kind, text = session.auth("EXTERNAL", "=")
            if kind != "yes":
                assert "NO [UNAVAILABLE]" in text, text
                raise TryLater(text)
        self.patiently(once)

    def step_nobody(self):
        """Who is nobody is told to try later, too."""
        def once():
            with Signing(self.node, "imap", tls=True, source="127.0.0.77") as session:
                kind, text = session.plain("nobody@faults.test", "wrong")
            assert kind == "no"
            if "[UNAVAILABLE]" in text:
                raise TryLater(text)
            assert "[AUTHENTICATIONFAILED]" in text, text
        self.patiently(once)

    def step_signed_in(self):
        """The next hop is signed in at."""
        for _ in range(2):  # the second over the same connection
            subject = self.mail(GUARDED)
            wait_until(lambda: subject in [subject_of(m.data) for m in self.guarded.messages], "it is there", timeout=60)
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
        wait_until(lambda: subject in self.gone_out(), "it is outside", timeout=60)
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

    def step_renewal(self):
        """Every five seconds, so these are struck in the worst mode only."""
        seen = self.node.postgres.seen
        count = seen.get("node_cells", 0)
        wait_until(lambda: seen.get("node_cells", 0) > count, "the worker renews its leases")


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
    with working(new_posthouse, own_postgres, sink, outside, {
            "tls.client_ca_file": authority.certificate, "smtp.xclient_networks": "127.0.0.1"}) as node:
        node.api.post("/v1/domains", {"name": "learning.faults.test", "customer": "faults", "kind": "relay",
                                      "recipients": "learned", "next_hops": [{"host": "127.0.0.1", "port": sink.port}]})
        node.api.post("/v1/credentials", {"name": "guard", "user": "relay", "password": PASSWORD, "tls": "encrypt"})
        node.api.post("/v1/domains", {"name": "guarded.faults.test", "customer": "faults", "kind": "relay",
                                      "next_hops": [{"host": "127.0.0.1", "port": guarded.port, "credential": "guard"}]})
        node.api.post("/v1/credentials", {"name": "token", "kind": "oauth", "user": "relay", "token_url": tokens.url, "client_id": tokens.client_id,
                                          "client_secret": tokens.secret, "tls": "encrypt"})
        node.api.post("/v1/domains", {"name": "tokened.faults.test", "customer": "faults", "kind": "relay",
                                      "next_hops": [{"host": "127.0.0.1", "port": guarded.port, "credential": "token"}]})
        node.api.account(KIM, "faults")
        node.api.account(HAL, "faults")
        node.api.put("/v1/domains/faults.test/continuity-policy", {"show_held": True, "owner_may_release": "held"})
        node.api.post("/v1/content-rules", {"customer": "faults", "direction": "in", "recipient_pattern": "^hal@", "action": "hold",
                                            "reason": "a fault", "then": "release"})
        node.wait_known()
        node.api.relay_domain("known.faults.test", "faults", sink.port)
        node.api.patch("/v1/domains/known.faults.test", {"recipients": "listed"})
        node.api.patch("/v1/domains/known.faults.test/continuity-policy", {"accounts": "known"})
        node.api.hosted_domain("strange.faults.test", "faults")
        node.api.account("bob@strange.faults.test", "faults")
        node.api.post("/v1/client-policies", {"domain": "strange.faults.test", "greylist": "always",
                                              "greylist_delay": 3600})
        yield MailWorkload(node, sink, outside, guarded, tokens, authority.client())


@pytest.mark.parametrize("part", range(PARTS))
def test_every_statement_of_mail_fails_in_every_way(workload, part):
    assigned = strike_all(workload, of_api=False, part=part)
    for statement in ("accept_messages", "directory_recipients", "directory_account", "queue_settle", "mailbox_items"):
        if is_mine(statement, part):
            play(assigned[statement], workload.node.postgres, statement, "silent")

    workload.settled()
    assert sorted(workload.relayed()) == sorted(workload.sent[CAROL]), "at the primary, once each"
    assert sorted(workload.gone_out()) == sorted(workload.sent[OUT]), "outside, once each"
    for user in (ANN, BOB, HAL):
        there = [subject for subject in workload.box(user) if subject]
        assert len(set(there)) == len(there) and set(there) <= set(workload.sent[user]), f"once in the mailbox of {user}"
        assert set(workload.sent[user]) - set(there) <= workload.deleted, f"in the mailbox of {user}"
