"""What was done during an outage reaches the user's own mailboxes: flags, folders, drafts and sent copies; each message once.

The primary is Postfix delivering into Dovecot, which is asked what it has.
"""
import contextlib
import os
import signal

import pytest

from harness.dovecot import MASTER, MASTER_PASSWORD
from harness.faults import FaultyPostgres
from harness.posthouse import make_message
from harness.process import free_port, wait_equal, wait_until

ERIN = "erin@relayed.test"
ACCESS = "/v1/domains/relayed.test/imap-access"
POLICY = "/v1/domains/relayed.test/continuity-policy"
FAST = {"delivery.probe_interval": "300ms", "delivery.retry_max": "1s"}


class Home:
    """A node, and the primary of relayed.test: Postfix before Dovecot."""

    def __init__(self, node, postfix, dovecot):
        self.node, self.postfix, self.dovecot = node, postfix, dovecot
        postfix.deliver_to(dovecot)
        node.api.customer("home")
        node.api.relay_domain("relayed.test", "home", postfix.port)
        node.api.account(ERIN, "home")
        postfix.start()
        postfix.stop()  # its folders are made

    def access(self, password=MASTER_PASSWORD, tls="encrypt", **members):
        self.node.api.post("/v1/credentials", {"name": "home", "user": MASTER, "password": password, "tls": tls})
        return self.node.api.put(ACCESS, {"host": "localhost", "port": self.dovecot.imap_port, "credential": "home", **members})

    def hold(self, *subjects, login=ERIN, body="Hello.\n"):
        with self.node.smtp() as connection:
            for subject in subjects:
                connection.sendmail("joe@outside.test", [login], make_message(subject, to=login, body=body))
        wait_until(lambda: set(subjects) <= set(self.node.subjects(login)), "all are readable", timeout=60)

    def recover(self):
        self.postfix.start()
        self.settled()

    def settled(self, timeout=120):
        wait_equal(lambda: self.node.query("select count(*) from outage where ended_at is null"), [["0"]], "the outage is over", timeout)
        wait_equal(lambda: self.node.query("select count(*) from queue_entry where held_until is null"), [["0"]], "all is delivered", timeout)

    def carried(self, timeout=120):
        wait_equal(lambda: self.node.query("select message_id, note from carry where state = 'waiting'"), [], "all is carried", timeout)

    def at_home(self, login=ERIN):
        """{mailbox: {subject: flags}}, of mailboxes that are not empty; each message once."""
        found = {}
        for name, items in self.dovecot.store(login).items():
            assert len({item.subject for item in items}) == len(items), (name, items)
            if items:
                found[name] = {item.subject: set(item.flags) for item in items}
        return found


@pytest.fixture
def make(new_posthouse, postfix, new_dovecot):
    def make(postgres=None, settings=None, sieve=None, **options):
        store = new_dovecot(**options)
        if sieve:
            store.filter(sieve)
        node = new_posthouse(postgres=postgres, settings={**FAST, **(settings or {})}).start()
        return Home(node, postfix, store.start())
    return make


def number_of(connection, subject):
    return connection.search(None, "SUBJECT", f'"{subject}"')[1][0].decode()


def move(connection, subject, mailbox):
    assert connection._simple_command("MOVE", number_of(connection, subject), mailbox)[0] == "OK"


def flag(connection, subject, flags):
    assert connection.store(number_of(connection, subject), "+FLAGS", f"({flags})")[0] == "OK"


def test_flags_and_folders(make, outside):
    home = make(settings={"delivery.default_route": f"127.0.0.1:{outside.port}"})
    home.access()
    home.hold("new", "read", "labelled", "work", "deep", "trash", "deleted", "copied", "marked")
    with home.node.imap(ERIN) as connection:
        for mailbox in ("Work", "Work/2026", "Trash"):
            connection.create(mailbox)
        connection.select("INBOX")
        flag(connection, "read", r"\Seen")
        flag(connection, "labelled", r"\Seen \Answered \Flagged $Label1")
        flag(connection, "work", r"\Flagged")
        flag(connection, "marked", r"\Seen \Deleted")
        move(connection, "work", "Work")
        move(connection, "deep", "Work/2026")
        move(connection, "trash", "Trash")
        connection.copy(number_of(connection, "copied"), "Work")
        flag(connection, "copied", r"\Answered")
        flag(connection, "deleted", r"\Deleted")
        connection.uid("EXPUNGE", connection.uid("SEARCH", "SUBJECT", "deleted")[1][0].decode())
        connection.append("Drafts", r"(\Draft \Seen)", '"24-Nov-2026 10:00:00 +0000"', make_message("draft"))
        connection.append("Work", "", None, make_message("note"))
        answer = make_message("answer", sender=ERIN, to="joe@outside.test", body="x" * 70 + "\n")
        home.node.submit(ERIN, "joe@outside.test", answer)
        connection.append("Sent", r"(\Seen)", None, answer)
        connection.append("Sent", r"(\Seen $Forwarded)", None, make_message("sent elsewhere"))
    home.recover()
    home.carried()
    assert home.at_home() == {
        "INBOX": {"new": set(), "read": {r"\Seen"}, "labelled": {r"\Seen", r"\Answered", r"\Flagged", "$Label1"}, "deleted": set(),
                  "copied": {r"\Answered"}, "marked": {r"\Seen"}},
        "Work": {"work": {r"\Flagged"}, "copied": set(), "note": set()},
        "Work/2026": {"deep": set()},
        "Trash": {"trash": set()},
        "Drafts": {"draft": {r"\Draft", r"\Seen"}},
        "Sent": {"answer": {r"\Seen"}, "sent elsewhere": {r"\Seen", "$Forwarded"}},
    }
    assert home.dovecot.store(ERIN)["Drafts"][0].date.startswith("24-Nov-2026 10:00:00")
    assert set(home.node.subjects(ERIN)) == {"new", "read", "labelled", "copied", "marked"}, "copies stay for their time"
    assert home.node.query("select count(*) from mailbox_message where '$Held' = any(keywords)") == [["0"]]


def test_mailboxes_without_mail(make):
    """They are made, too, under the names that they have at the end, once; of others nothing is."""
    home = make(separator=".", prefix="INBOX.")
    home.access()
    before = set(home.dovecot.store(ERIN))
    home.hold("first")
    with home.node.imap(ERIN) as connection:
        for mailbox in ("Empty", "Empty/Entw&APw-rfe", "Old", "Gone", "There"):
            assert connection.create(mailbox)[0] == "OK"
        connection.rename("Old", "Renamed")
        connection.delete("Gone")
    home.postfix.start()  # it stands for the user, who has made one himself
    with home.dovecot.imap(ERIN) as connection:
        connection.create("INBOX.There")
    home.settled()
    home.carried()
    assert set(home.dovecot.store(ERIN)) - before == {f"INBOX.{name}" for name in ("Empty", "Empty.Entw&APw-rfe", "Renamed", "There")}
    with home.dovecot.imap(ERIN) as connection:
        assert b"INBOX.Empty" in b" ".join(connection.lsub()[1]), "and shown by clients that show what is subscribed to"
    assert home.node.query("select count(*) from carry where kind = 'mailbox'") == [["0"]]


def test_copies_go_once_they_are_carried(make):
    """Not before: while the mailboxes cannot be reached they stay, whatever copy_keep_days says."""
    home = make()
    home.access()
    home.node.api.put(POLICY, {"copy_keep_days": 0})
    home.hold("read")
    with home.node.imap(ERIN) as connection:
        connection.select("INBOX")
        flag(connection, "read", r"\Seen")
        connection.append("Drafts", r"(\Draft)", None, make_message("draft"))
    home.recover()
    home.carried()
    wait_equal(lambda: home.node.query("select count(*) from mailbox_message"), [["0"]], "nothing is left here", timeout=60)
    wait_equal(lambda: home.node.query("select count(*) from carry"), [["0"]], "and nothing is to be done", timeout=60)
    assert home.at_home() == {"INBOX": {"read": {r"\Seen"}}, "Drafts": {"draft": {r"\Draft"}}}


def test_other_names_and_filters(make):
    """A prefix, another separator, other names of special mailboxes, names in UTF-8, and a filter that files first."""
    home = make(separator=".", prefix="INBOX.", sent="Gesendet",
                sieve='require ["fileinto", "mailbox"]; if header :contains "Subject" "list" { fileinto :create "INBOX.Lists"; }')
    home.access()
    home.hold("list read", "list filed", "umlaut", "dotted", "deep", "below")
    with home.node.imap(ERIN) as connection:
        for mailbox in ("Entw&APw-rfe", "a.b", "a/c", "INBOX/below", "inbox/empty"):
            connection.create(mailbox)
        connection.select("INBOX")
        flag(connection, "list read", r"\Seen")
        move(connection, "list filed", "a/c")
        move(connection, "umlaut", "Entw&APw-rfe")
        move(connection, "dotted", "a.b")
        move(connection, "deep", "a/c")
        move(connection, "below", "INBOX/below")
        connection.append("Sent", r"(\Seen)", None, make_message("answer"))
    home.recover()
    home.carried()
    assert home.at_home() == {
        "INBOX.Lists": {"list read": {r"\Seen"}},
        "INBOX.a.c": {"list filed": set(), "deep": set()},
        "INBOX.Entw&APw-rfe": {"umlaut": set()},
        "INBOX.a_b": {"dotted": set()},
        "INBOX.below": {"below": set()},
        "INBOX.Gesendet": {"answer": {r"\Seen"}},
    }
    assert {name for name in home.dovecot.store(ERIN) if name.startswith("INBOX.INBOX")} == set(), "it is there once"
    assert home.dovecot.store(ERIN)["INBOX.empty"] == []


def test_names_that_the_server_cannot_have(make):
    """Dovecot's Maildir takes no '.' in a name, though its separator is '/', and no '~' at its beginning: they become '_'."""
    home = make()
    home.access()
    home.hold("filed", "filed too", "deep", "plain")
    with home.node.imap(ERIN) as connection:
        for mailbox in ("Meyer.Co", "Meyer.Co/v1.2", "~old", "R&-D"):
            assert connection.create(mailbox)[0] == "OK"
        connection.select("INBOX")
        flag(connection, "filed too", r"\Flagged")
        move(connection, "filed too", "Meyer.Co")
        move(connection, "filed", "Meyer.Co")
        move(connection, "deep", "Meyer.Co/v1.2")
        move(connection, "plain", "R&-D")
        connection.append("Meyer.Co", r"(\Seen)", None, make_message("note"))
    home.recover()
    home.carried()
    assert home.at_home() == {
        "Meyer_Co": {"filed": set(), "filed too": {r"\Flagged"}, "note": {r"\Seen"}},
        "Meyer_Co/v1_2": {"deep": set()},
        "R&-D": {"plain": set()},
    }
    assert "_old" in home.dovecot.store(ERIN)


def test_keywords_that_the_server_cannot_have(make):
    """Dovecot takes 50 octets: the others, and flags, go all the same, and nothing waits for what it never takes."""
    home = make()
    home.access()
    home.hold("long", "both")
    long = "K" * 60
    with home.node.imap(ERIN) as connection:
        connection.select("INBOX")
        flag(connection, "long", long)
        flag(connection, "both", rf"\Seen {long} $Forwarded")
        connection.append("Drafts", rf"(\Draft {long} $Label1)", None, make_message("draft"))
    home.recover()
    home.carried()
    assert home.at_home() == {"INBOX": {"long": set(), "both": {r"\Seen", "$Forwarded"}}, "Drafts": {"draft": {r"\Draft", "$Label1"}}}


@pytest.mark.parametrize("way", ["implicit", "authorization"])
def test_ways_in(make, way):
    home = make()
    if way == "implicit":
        home.access(tls="encrypt", port=home.dovecot.imaps_port)
        home.node.api.patch(ACCESS, {"tls": "implicit"})
    else:
        home.access(sign_in="authorization")
    home.hold("read")
    with home.node.imap(ERIN) as connection:
        connection.select("INBOX")
        flag(connection, "read", r"\Seen")
    home.recover()
    home.carried()
    assert home.at_home() == {"INBOX": {"read": {r"\Seen"}}}
    assert MASTER_PASSWORD not in home.node.log()


@pytest.mark.parametrize("trouble", ["password", "certificate", "away"])
def test_what_is_wrong_is_told_and_mended(make, trouble):
    home = make()
    home.access(password="wrong" if trouble == "password" else MASTER_PASSWORD, tls="verify" if trouble == "certificate" else "encrypt",
                **({"port": free_port()} if trouble == "away" else {}))
    home.hold("read")
    with home.node.imap(ERIN) as connection:
        connection.select("INBOX")
        flag(connection, "read", r"\Seen")
    home.recover()
    expected = {"password": "signing in", "certificate": "TLS handshake failed", "away": "refused while connecting"}[trouble]
    wait_until(lambda: expected in (home.node.query("select note from carry") or [[""]])[0][0], "why is told", timeout=60)
    assert home.node.subjects(ERIN) == ["read"]
    ((waits,),) = [[each] for each in home.node.api.get("/v1/domains/relayed.test/carrying")["items"]]
    assert (waits["account"], waits["waiting"]) == (ERIN, 1) and expected in waits["reason"] and waits["since"] < waits["next_at"]
    ((outage,),) = home.node.query("select id_text(id) from outage")
    assert home.node.api.get(f"/v1/outages/{outage}")["carrying"] == 1
    home.node.api.patch("/v1/credentials/home", {"password": MASTER_PASSWORD, "tls": "encrypt"})
    home.node.api.patch(ACCESS, {"port": home.dovecot.imap_port})
    home.carried()
    assert home.at_home() == {"INBOX": {"read": {r"\Seen"}}}
    assert home.node.api.get("/v1/domains/relayed.test/carrying")["items"] == []


def test_without_access_the_sent_copy_goes_as_a_message(make, outside):
    """Once, as it was written, to the account's own address; flags stay here, with the copies."""
    home = make(settings={"delivery.default_route": f"127.0.0.1:{outside.port}"})
    home.hold("read")
    with home.node.imap(ERIN) as connection:
        connection.select("INBOX")
        flag(connection, "read", r"\Seen")
        answer = make_message("answer", sender=ERIN, to="joe@outside.test", headers="Bcc: <ann@outside.test>\n")
        home.node.submit(ERIN, ["joe@outside.test", "ann@outside.test"], answer)
        connection.append("Sent", r"(\Seen)", None, answer)
        connection.append("Drafts", r"(\Draft)", None, make_message("draft"))
    home.recover()
    home.carried()
    home.settled()
    wait_equal(home.at_home, {"INBOX": {"read": set(), "answer": set()}}, "both are at home", timeout=60)
    with home.dovecot.imap(ERIN) as connection:
        connection.select("INBOX")
        content = connection.fetch(number_of(connection, "answer"), "(BODY.PEEK[])")[1][0][1]
    written = answer.replace(b"Bcc: <ann@outside.test>\r\n", b"")  # which Postfix drops
    assert content.endswith(written) and content.count(b"Subject:") == 1, "under its own header, and what servers add in front"
    assert home.node.subjects(ERIN) == ["read"]
    assert home.node.query("select m.name from mailbox_message i join mailbox m on m.id = i.mailbox_id order by 1") == [
        ["Drafts"], ["INBOX"], ["Sent"]]


def test_a_file_that_is_large(make):
    """In pieces, exactly; by Dovecot's LITERAL+, and with what is no ASCII in it."""
    home = make()
    home.access()
    home.hold("first")
    large = make_message("large", body="\u00e4\u00f6\u00fc 0123456789abcdef\n" * 150_000)
    with home.node.imap(ERIN) as connection:
        assert connection.append("Drafts", r"(\Draft)", None, large)[0] == "OK"
    home.recover()
    home.carried()
    with home.dovecot.imap(ERIN) as connection:
        connection.select("Drafts")
        assert connection.fetch("1", "(BODY.PEEK[])")[1][0][1] == large


def many_drafts(home, count):
    with home.node.imap(ERIN) as connection:
        for number in range(count):
            connection.append("Drafts", r"(\Draft)", None, make_message(f"draft {number}"))


@pytest.mark.parametrize("victim", ["workers", "dovecot"])
def test_killed_in_between(make, victim):
    """kill -9 of the workers, or of the mailboxes' server, while it is carried: each message is there once."""
    home = make()
    home.access()
    home.hold(*[f"m{number}" for number in range(60)])
    with home.node.imap(ERIN) as connection:
        connection.create("Work")
        connection.select("INBOX")
        connection.store("1:60", "+FLAGS", r"(\Seen)")
        connection._simple_command("MOVE", "1:30", "Work")
    many_drafts(home, 60)
    home.recover()
    wait_until(lambda: 3 <= sum(len(items) for name, items in home.at_home().items() if name in ("Work", "Drafts")), "it is being carried",
               timeout=60)
    if victim == "workers":
        for pid in home.node.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        home.node.query("update carry set due_at = now() where state = 'waiting'")  # else their leases run out in a minute
    else:
        home.dovecot.kill()
        home.dovecot.start()
    home.carried(timeout=240)
    found = home.at_home()
    assert {name: len(items) for name, items in found.items()} == {"INBOX": 30, "Work": 30, "Drafts": 60}
    assert all(flags == {r"\Seen"} for name in ("INBOX", "Work") for flags in found[name].values())


STATEMENTS = ["carry_accounts", "carry_items", "carry_begin", "carry_copies", "carry_place", "carry_done", "carry_mailbox", "imap_access_of",
              "outage_report_made", "outage_report_mailboxes", "hop_credential_get"]


@pytest.mark.parametrize("mode", ["refused", "lost"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_database_that_fails_in_between(make, own_postgres, statement, mode):
    faulty = FaultyPostgres(own_postgres)
    try:
        home = make(postgres=faulty, settings={"database.statement_timeout": "500ms"})
        home.access()
        home.hold("read")
        with home.node.imap(ERIN) as connection:
            connection.select("INBOX")
            flag(connection, "read", r"\Seen")
            connection.append("Drafts", r"(\Draft)", None, make_message("draft"))
            connection.create("Empty")
        fault = faulty.arm(statement, mode)
        home.recover()
        wait_until(lambda: fault.struck, "the fault struck", timeout=60)
        wait_equal(home.at_home, {"INBOX": {"read": {r"\Seen"}}, "Drafts": {"draft": {r"\Draft"}}}, "all is at home", timeout=120)
        home.carried(timeout=120)
        assert home.dovecot.store(ERIN)["Empty"] == []
        assert home.at_home() == {"INBOX": {"read": {r"\Seen"}}, "Drafts": {"draft": {r"\Draft"}}}
        home.node.close()
    finally:
        faulty.close()
