"""What is carried to the primary's mailboxes is there once: whatever changes meanwhile, however many copies there are, whoever dies."""
import contextlib
import os
import re
import signal

import pytest

from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from test_carry import ACCESS, ERIN, flag, make, move, number_of  # noqa: F401 (make is a fixture)

AT_ONCE = "update carry set due_at = now() where state = 'waiting'"


def note(subject, body="Hello.\r\n"):
    """Without a Message-ID."""
    return f"From: {ERIN}\r\nSubject: {subject}\r\n\r\n{body}".encode()


def draft(home, *messages):
    with home.node.imap(ERIN) as connection:
        for message in messages:
            assert connection.append("Drafts", r"(\Draft)", None, message)[0] == "OK"


@pytest.mark.parametrize("message", [note("draft"), make_message("draft")], ids=["without Message-ID", "with Message-ID"])
def test_changed_while_it_is_carried(make, message):  # noqa: F811
    """Its reader moves and flags it between its APPEND and the end; and another worker believes that it is his turn."""
    home = make()
    home.access()
    home.hold("first")
    with home.node.imap(ERIN) as connection:
        connection.create("Work")
    draft(home, message)
    with home.node.locked("carry_place"):
        home.recover()
        wait_until(lambda: home.at_home().get("Drafts"), "it is appended", timeout=60)
        home.node.query("with m as (update mailbox set uidnext = uidnext + 1, modseq = modseq + 1 where name = 'Work' returning *)"
                        " update mailbox_message i set mailbox_id = m.id, uid = m.uidnext - 1, modseq = m.modseq, flags = i.flags | 4"
                        "   from m, mailbox d where d.name = 'Drafts' and i.mailbox_id = d.id")
        home.node.query("update carry set holder = 5 where kind = 'made'")
    wait_until(lambda: "another has taken it over" in home.node.log(), "who is late sees it", timeout=60)
    assert home.at_home()["Drafts"] == {"draft": {r"\Draft"}}
    home.node.query(AT_ONCE)
    home.carried()
    assert home.at_home() == {"INBOX": {"first": set()}, "Work": {"draft": {r"\Draft", r"\Flagged"}}}


def test_killed_between_the_append_and_its_note(make):  # noqa: F811
    """Two notes of one length, neither with a Message-ID: each is there once."""
    home = make()
    home.access()
    home.hold("first")
    draft(home, note("note 1"), note("note 2"))
    with home.node.locked("carry_place"):
        home.recover()
        wait_until(lambda: home.at_home().get("Drafts"), "one is appended", timeout=60)
        for pid in home.node.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    home.node.query(AT_ONCE)
    home.carried()
    assert home.at_home() == {"INBOX": {"first": set()}, "Drafts": {"note 1": {r"\Draft"}, "note 2": {r"\Draft"}}}


def test_two_messages_with_one_message_id(make):  # noqa: F811
    """What a mailing list sent, and what came directly: larger and smaller, in either order. Servers add more to each than what is between them."""
    home = make()
    home.access()
    listed = "List-Id: <a.list.test>\nPrecedence: list\n"
    pairs = (("direct 1", ""), ("listed 1", listed), ("listed 2", listed), ("direct 2", ""), ("listed 3", listed), ("direct 3", ""))
    with home.node.smtp() as connection:
        for subject, headers in pairs:
            message = make_message(subject, to=ERIN, headers=headers)
            identity = f"Message-ID: <pair.{subject[-1]}@list.test>".encode()
            connection.sendmail("joe@outside.test", [ERIN], re.sub(rb"Message-ID: \S+", identity, message))
    wait_until(lambda: len(home.node.subjects(ERIN)) == len(pairs), "all are readable")
    with home.node.imap(ERIN) as connection:
        connection.create("Work")
        connection.select("INBOX")
        flag(connection, "listed 1", r"\Flagged")
        move(connection, "listed 2", "Work")
        flag(connection, "direct 3", r"\Seen")
    home.recover()
    home.carried()
    assert home.at_home() == {
        "INBOX": {"direct 1": set(), "listed 1": {r"\Flagged"}, "direct 2": set(), "listed 3": set(), "direct 3": {r"\Seen"}},
        "Work": {"listed 2": set()}}


def test_more_copies_than_are_carried_at_a_time(make):  # noqa: F811
    home = make()
    home.access()
    home.hold("delivered")
    names = [f"M{number:02d}" for number in range(55)]
    draft(home, note("made"))
    with home.node.imap(ERIN) as connection:
        for name in names:
            connection.create(name)
        for mailbox, subject in (("INBOX", "delivered"), ("Drafts", "made")):
            connection.select(mailbox)
            flag(connection, subject, r"\Seen")
            for name in names:
                assert connection.copy(number_of(connection, subject), name)[0] == "OK"
        move(connection, "made", "M00")  # twice there
    home.recover()
    home.carried()
    found = {name: sorted(item.subject for item in items) for name, items in home.dovecot.store(ERIN).items() if items}
    assert found == {"INBOX": ["delivered"], "M00": ["delivered", "made", "made"], **{name: ["delivered", "made"] for name in names[1:]}}
    assert all(r"\Seen" in item.flags for items in home.dovecot.store(ERIN).values() for item in items)


def test_a_passing_no_is_not_that_it_is_gone(make):  # noqa: F811
    """A mailbox that cannot be opened for a while, two days after the delivery."""
    home = make(sieve='require ["fileinto", "mailbox"]; if header :contains "Subject" "list" { fileinto :create "Lists"; }')
    home.access(password="wrong")
    home.hold("list")
    with home.node.imap(ERIN) as connection:
        connection.select("INBOX")
        flag(connection, "list", r"\Seen")
    home.recover()
    wait_until(lambda: "signing in" in (home.node.query("select note from carry") or [[""]])[0][0], "it waits", timeout=60)
    home.node.query("update carry set made_at = now() - interval '2 days'")
    cur = home.dovecot.folder / "mail" / ERIN / "Maildir/.Lists/cur"
    cur.rename(cur.with_name("away"))
    cur.write_text("a file")
    home.node.api.patch("/v1/credentials/home", {"password": "dovecot master password"})
    home.node.api.patch(ACCESS, {"port": home.dovecot.imap_port})
    wait_until(lambda: "opening a mailbox" in (home.node.query("select note from carry where state = 'waiting'") or [[""]])[0][0],
               "it could not be told", timeout=60)
    cur.unlink()
    cur.with_name("away").rename(cur)
    home.node.query(AT_ONCE)
    home.carried()
    assert home.at_home() == {"Lists": {"list": {r"\Seen"}}}


def test_rows_that_nobody_could_carry(new_posthouse):
    """Messages and accounts that are gone; more accounts that wait than a look goes through."""
    node = new_posthouse(settings={"daemon.workers": 1}).start()
    node.api.customer("gone")
    node.api.relay_domain("gone.test", "gone", 9)
    node.api.account("ann@gone.test", "gone")
    row = "insert into carry (cell, account_id, message_id, domain_id, kind, state, due_at) select cell, {}, {}, domain_id, 'made', 'waiting', {} from account"
    node.query(row.format("id - 1 - n", "n", "'infinity'") + ", generate_series(1, 1100) n")
    node.query(row.format("id", "5", "now()"))
    node.query(row.format("5", "n", "now()") + ", generate_series(1, 2) n")
    wait_equal(lambda: node.query("select count(*), count(*) filter (where due_at = 'infinity') from carry"), [["1100", "1100"]],
               "what is due is gone")


def test_what_is_done_with_the_copies_of_an_earlier_outage(make):  # noqa: F811
    """They are here for a month, and the primary goes away again: what their reader does with them then is carried, too."""
    home = make()
    home.access()
    home.hold("plain", "left", "flagged", "filed", "moved")
    with home.node.imap(ERIN) as connection:
        for name in ("Work", "Later"):
            connection.create(name)
        connection.select("INBOX")
        move(connection, "moved", "Work")
    draft(home, make_message("draft"))
    home.recover()
    home.carried()
    assert home.at_home() == {"INBOX": {subject: set() for subject in ("plain", "left", "flagged", "filed")}, "Work": {"moved": set()},
                              "Drafts": {"draft": {r"\Draft"}}}
    done = home.node.query("select message_id, due_at from carry order by 1")
    home.postfix.stop()
    home.hold("new")
    with home.node.imap(ERIN) as connection:
        connection.select("INBOX")
        flag(connection, "flagged", r"\Seen \Answered")
        move(connection, "filed", "Later")
        connection.select("Work")
        flag(connection, "moved", r"\Flagged")
        move(connection, "moved", "Later")
        connection.select("Drafts")
        flag(connection, "draft", "$Label1")
    home.recover()
    wait_equal(lambda: home.at_home().get("Later"), {"filed": set(), "moved": {r"\Flagged"}}, "what was filed is filed", timeout=60)
    home.carried()
    assert home.at_home() == {
        "INBOX": {"plain": set(), "left": set(), "new": set(), "flagged": {r"\Seen", r"\Answered"}},
        "Later": {"filed": set(), "moved": {r"\Flagged"}},
        "Drafts": {"draft": {r"\Draft", "$Label1"}},
    }
    again = home.node.query("select message_id, due_at from carry order by 1")
    assert sum(row in again for row in done) == 2, "of the others there was nothing to tell"
