"""What is sent in an outage is in Sent, once: whether we file it, the mail program does, or both."""
import email
import smtplib
import threading

import pytest

from harness.posthouse import make_message, subject_of
from harness.process import wait_until

ANN, OUT = "ann@sent.test", "dan@outside.test"


@pytest.fixture
def node(new_posthouse, sink, outside):
    node = new_posthouse(settings={"delivery.probe_interval": "300ms"}, default_route=outside.port).start()
    node.api.customer("sent")
    node.api.relay_domain("sent.test", "sent", sink.port)
    node.api.account(ANN, "sent")
    return node


@pytest.fixture
def away(node, sink):
    """The primary is away, and the outage open."""
    sink.stop()
    node.send("joe@outside.test", ANN, make_message("first"))
    wait_until(lambda: node.query("select 1 from outage where ended_at is null"), "the outage is open")
    return node


def sent(node, mailbox="Sent", login=ANN):
    """What is in the mailbox: (flags, bytes)."""
    with node.imap(login) as connection:
        connection.select(mailbox, readonly=True)
        status, found = connection.fetch("1:*", "(FLAGS BODY.PEEK[])") if connection.untagged_responses["EXISTS"] != [b"0"] else ("OK", [])
        assert status == "OK", found
        return [(part[0], part[1]) for part in found if isinstance(part, tuple)]


def subjects(node, mailbox="Sent"):
    return [subject_of(message) for _, message in sent(node, mailbox)]


def append(node, message, mailbox="Sent"):
    """(UID, what was answered)."""
    with node.imap(ANN) as connection:
        status, answer = connection.append(mailbox, r"(\Seen)", None, message)
        assert status == "OK", answer
        return answer[0].split(b"APPENDUID ")[1].split(b"]")[0].split()[1].decode()


def rows(node):
    return node.query("select submitted, filed_by from sent_copy order by filed_at")


def test_filed_in_the_outage_and_only_then(node, sink):
    node.submit(ANN, OUT, make_message("before", ANN, OUT))
    assert sent(node) == []
    sink.stop()
    node.send("joe@outside.test", ANN, make_message("first"))
    wait_until(lambda: node.query("select 1 from outage where ended_at is null"), "the outage is open")
    node.submit(ANN, OUT, make_message("during", ANN, OUT))
    ((flags, message),) = sent(node)
    assert subject_of(message) == "during" and rb"\Seen" in flags
    assert not message.startswith(b"Return-Path") and b"\nReceived:" not in message
    assert b"Hello.\r\n" in message and rows(node) == [["t", "relay"]]
    sink.start()
    wait_until(lambda: not node.query("select 1 from outage where ended_at is null"), "the outage is over", timeout=40)
    node.submit(ANN, OUT, make_message("after", ANN, OUT))
    assert subjects(node) == ["during"]


def test_goes_out_and_keeps_its_bcc_for_its_sender_alone(away, outside):
    bcc = "Bcc: <secret@outside.test>,\n <second@outside.test>\n"
    away.submit(ANN, [OUT, "secret@outside.test"], make_message("bcc", ANN, OUT, headers=bcc))
    ((_, message),) = sent(away)
    assert email.message_from_bytes(message)["Bcc"].split() == ["<secret@outside.test>,", "<second@outside.test>"]
    wait_until(lambda: any(subject_of(m.data) == "bcc" for m in outside.messages), "it is outside")
    assert all(b"secret@" not in found.data for found in outside.messages)


def test_date_and_message_id_that_we_made(away, outside):
    away.submit(ANN, OUT, b"From: <ann@sent.test>\r\nSubject: bare\r\n\r\nHello.\r\n")
    ((_, message),) = sent(away)
    found = wait_until(lambda: [m.data for m in outside.messages if subject_of(m.data) == "bare"], "it is outside")
    copy, gone = email.message_from_bytes(message), email.message_from_bytes(found[0])
    assert copy["Message-ID"] == gone["Message-ID"] and copy["Date"] and copy["Subject"] == "bare"


def test_mail_program_files_it_afterwards(away):
    message = make_message("twice", ANN, OUT)
    away.submit(ANN, OUT, message)
    before = sent(away)
    uid = append(away, message)
    assert sent(away) == before and uid == "1"
    assert append(away, make_message("other", ANN, OUT)) == "2", "another message is another copy"
    assert append(away, message, "Drafts") == "1", "and other mailboxes are as ever"
    assert rows(away) == [["t", "relay"], ["f", "client"]]


def test_mail_program_files_it_before(away):
    message = make_message("twice", ANN, OUT, headers="X-Mine: yes\n")
    append(away, message)
    away.submit(ANN, OUT, message)
    ((_, found),) = sent(away)
    assert b"X-Mine: yes" in found and rows(away) == [["t", "client"]]
    away.submit(ANN, OUT, message)
    assert len(sent(away)) == 1


def test_copy_that_was_deleted_or_moved(away):
    """An APPEND files another; a submission, which was filed once, does not."""
    message = make_message("gone", ANN, OUT)
    away.submit(ANN, OUT, message)
    with away.imap(ANN) as connection:
        connection.select("Sent")
        connection.store("1", "+FLAGS", r"(\Deleted)")
        connection.expunge()
    away.submit(ANN, OUT, message)
    assert sent(away) == []
    assert append(away, message) == "2"
    assert append(away, message) == "2"
    with away.imap(ANN) as connection:
        connection.select("Sent")
        assert connection.uid("COPY", "2", "Trash")[0] == "OK"
        connection.store("1", "+FLAGS", r"(\Deleted)")
        connection.expunge()
    assert append(away, message) == "3"


def test_both_at_once(away):
    """However they meet there is one copy, and both are told that it is done."""
    for number in range(12):
        message = make_message(f"race {number}", ANN, OUT)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(append(away, message))),
                   threading.Thread(target=lambda: answers.append(away.submit(ANN, OUT, message)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 2
    found = subjects(away)
    assert sorted(found) == sorted({f"race {number}" for number in range(12)}), "once each"


def test_account_without_sent(away):
    with away.imap(ANN) as connection:
        assert connection.delete("Sent")[0] == "OK"
    away.submit(ANN, OUT, make_message("none", ANN, OUT))
    assert rows(away) == []


def test_continuity_account_sends_as_itself(away):
    away.api.patch(f"/v1/accounts/{ANN}", {"state": "continuity"})
    away.submit(ANN, OUT, make_message("mine", ANN, OUT))
    assert subjects(away) == ["mine"]
    with pytest.raises(smtplib.SMTPException):
        away.submit(ANN, OUT, make_message("another's", "bob@sent.test", OUT), sender="bob@sent.test")


def test_accounts_rows_go_with_it(away):
    away.submit(ANN, OUT, make_message("mine", ANN, OUT))
    away.api.delete(f"/v1/accounts/{ANN}")
    assert rows(away) == []


def test_sent_in_the_second_in_which_the_outage_ends(away, sink):
    """Its transaction ends after the outage has: its copy goes home all the same."""
    waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%insert into sent_copy%'"
    with away.locked("sent_copy"):
        thread = threading.Thread(target=away.submit, args=(ANN, OUT, make_message("late", ANN, OUT)))
        thread.start()
        wait_until(lambda: away.query(waiting), "it is being sent")
        sink.start()
        wait_until(lambda: not away.query("select 1 from outage where ended_at is null"), "the outage is over", timeout=40)
    thread.join(60)
    wait_until(lambda: sorted(subject_of(message.data) for message in sink.messages) == ["first", "late"], "its copy is at home", timeout=60)
