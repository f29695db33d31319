"""Held mail as its owner sees it: the folders Held and Quarantine, and moving to INBOX as the release."""
import imaplib
import re

import pytest

from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until

ANN, BOB, DAN = "ann@folder.test", "bob@folder.test", "dan@outside.test"
CAROL = "carol@primary.test"
DOMAINS = ("folder.test", "primary.test")


@pytest.fixture
def node(new_posthouse, sink, outside):
    outside.clear()
    node = new_posthouse(default_route=outside.port)
    node.start()
    node.api.customer("folder")
    node.api.hosted_domain("folder.test", "folder")
    node.api.relay_domain("primary.test", "folder", sink.port)
    for address in (ANN, BOB, CAROL):
        node.api.account(address, "folder")
    node.api.post("/v1/relay-grants", {"customer": "folder", "account": ANN, "at_limit": "hold", "recipients_per_day": 1})
    submit(node, [BOB], "first")
    return node


def allow(node, **members):
    for domain in DOMAINS:
        node.api.patch(f"/v1/domains/{domain}/continuity-policy", {"show_held": True, "show_quarantine": True, "owner_may_release": "both", **members})


def submit(node, recipients, subject, rcpt=()):
    """By ann, who may not send any more."""
    with node.submission(ANN) as client:
        client.ehlo()
        client.mail(ANN)
        for recipient in recipients:
            assert client.rcpt(recipient, list(rcpt))[0] == 250
        code, text = client.data(make_message(subject, sender=ANN))
        assert code == 250, text


def queue(node):
    return {entry["recipient"]: entry for entry in node.api.get("/v1/queue")["items"]}


def folders(node, login):
    with node.imap(login) as connection:
        return {line.split(b' "/" ')[1].strip(b'"').decode() for line in connection.list()[1]}


def look(connection, folder):
    """Subjects by UID."""
    status, counts = connection.select(folder)
    if status != "OK":
        return {}
    if int(counts[-1]) == 0:
        return {}
    parts = [part for part in connection.uid("FETCH", "1:*", "(UID BODY.PEEK[])")[1] if isinstance(part, tuple)]
    return {int(re.search(rb"UID (\d+)", part[0])[1]): subject_of(part[1]) for part in parts}


def shown(node, login, folder="Held"):
    with node.imap(login) as connection:
        return sorted(look(connection, folder).values())


def kinds(node, entry):
    return [event["kind"] for event in node.api.get(f"/v1/messages/{entry['message']}/events")["items"]
            if event["recipient"] == entry["recipient"]]


def move(connection, uid, folder="INBOX", verb="MOVE"):
    """imaplib knows no MOVE."""
    imaplib.Commands.setdefault("MOVE", ("SELECTED",))
    status, text = connection.uid(verb, str(uid), folder)
    return status, text[-1].decode() if text[-1] else ""


def hold(node, recipient, **members):
    return node.api.post(f"/v1/queue/{queue(node)[recipient]['id']}/hold",
                         {"approval": True, "then": "reject", "reason": "a look", **members})


def test_nothing_is_shown_unless_the_domain_says_so(node):
    submit(node, [BOB], "held")
    assert queue(node)[BOB]["state"] == "held"
    node.api.patch("/v1/domains/folder.test/continuity-policy", {"show_quarantine": True})
    allow(node, show_held=False)
    submit(node, [BOB], "another")
    hold(node, BOB, quarantine=True)
    wait_until(lambda: "Quarantine" in folders(node, BOB), "what is in quarantine is shown")
    assert "Held" not in folders(node, BOB)


def test_seen_and_released_by_moving(node):
    allow(node)
    submit(node, [BOB], "held", rcpt=["NOTIFY=SUCCESS"])
    entry = queue(node)[BOB]
    wait_equal(lambda: shown(node, BOB), ["held"], "it is in Held")
    assert node.subjects(BOB) == ["first"] and "Held" in folders(node, BOB)
    with node.imap(BOB) as connection, node.imap(BOB) as other:
        other.select("Held")
        (uid,) = look(connection, "Held")
        assert connection.uid("STORE", str(uid), "+FLAGS", r"(\Flagged)")[0] == "OK"
        status, text = move(connection, uid)
        assert status == "OK", text
        assert look(connection, "Held") == {} and list(look(connection, "INBOX").values()) == ["first", "held"]
        wait_until(lambda: other.noop() and other.response("EXPUNGE")[1] != [None], "another session is told")
    wait_until(lambda: not queue(node), "the hold is over")
    assert node.subjects(BOB) == ["first", "held"], "once"
    assert kinds(node, entry) == ["held", "held", "decided", "released", "filed"]
    told = [event["detail"] for event in node.api.get(f"/v1/messages/{entry['message']}/events")["items"] if event["kind"] == "decided"]
    assert told == [f"release: {BOB} has moved it to INBOX"]
    ((method, path, detail),) = node.query("select method, path, detail from audit_log where token_id = 0")
    assert (method, path) == ("MOVE", f"/v1/messages/{entry['message']}") and detail.startswith(f"release by {BOB} from 127.0.0.1")
    wait_until(lambda: node.subjects(ANN), "her sender is told, as he wanted")


def test_a_client_without_move(node):
    """COPY, \\Deleted, EXPUNGE."""
    allow(node)
    submit(node, [BOB], "held")
    wait_equal(lambda: shown(node, BOB), ["held"], "it is in Held")
    with node.imap(BOB) as connection:
        (uid,) = look(connection, "Held")
        assert move(connection, uid, verb="COPY")[0] == "OK"
        wait_equal(lambda: look(connection, "Held"), {}, "it leaves the folder")
        assert connection.expunge()[0] == "OK"
    wait_until(lambda: not queue(node), "the hold is over")
    assert node.subjects(BOB) == ["first", "held"]


def test_a_relay_domain(node, sink):
    """It goes to the primary, and the reader has it, too."""
    allow(node)
    submit(node, [CAROL], "held")
    wait_equal(lambda: shown(node, CAROL), ["held"], "it is in Held")
    assert not sink.messages
    with node.imap(CAROL) as connection:
        (uid,) = look(connection, "Held")
        assert move(connection, uid)[0] == "OK"
    wait_equal(lambda: [subject_of(message.data) for message in sink.messages], ["held"], "the primary has it")
    assert node.subjects(CAROL) == ["held"]


def test_released_while_the_primary_is_away(node, sink):
    """What is still to be delivered says so, as what the outage shows does, until it is."""
    def marks():
        with node.imap(CAROL) as connection:
            connection.select("INBOX", readonly=True)
            return [re.findall(rb"\\Flagged|\$[A-Z][a-z]+", line) for line in connection.fetch("1:*", "(FLAGS)")[1]]
    allow(node)
    submit(node, [CAROL], "held")
    wait_equal(lambda: shown(node, CAROL), ["held"], "it is in Held")
    sink.stop()
    node.send("joe@outside.test", CAROL, make_message("waits"))
    wait_equal(lambda: node.subjects(CAROL), ["waits"], "its primary is away")
    with node.imap(CAROL) as connection:
        (uid,) = look(connection, "Held")
        assert connection.uid("STORE", str(uid), "+FLAGS", r"(\Flagged)")[0] == "OK"
        assert move(connection, uid)[0] == "OK"
        connection.select("INBOX")
        connection.store("1:2", "+FLAGS", r"(\Seen)")
    assert marks() == [[b"$Held"], [b"\\Flagged", b"$Held"]]
    (outage,) = node.api.get("/v1/outages")["items"]
    assert node.api.get(f"/v1/outages/{outage['id']}")["held"] == 2, "it is readable by the outage's account, too"
    sink.start()
    wait_until(lambda: not queue(node), "all of it is delivered")
    wait_until(lambda: node.api.get(f"/v1/outages/{outage['id']}")["counted_at"], "there is a report")
    report = node.api.get(f"/v1/outages/{outage['id']}")
    assert (report["held"], report["read"], report["drained"], report["lost"], report["remaining"]) == (2, 2, 2, 0, 0)
    wait_equal(marks, [[b"$Delivered"], [b"\\Flagged", b"$Delivered"]], "and says so")
    assert sorted(subject_of(message.data) for message in sink.messages) == ["held", "waits"]


@pytest.mark.parametrize("what", ["hold", "reject", "cancel", "expire"])
def test_what_its_owner_has_released_is_his(node, outside, what):
    """An administrator who decides a moment later, by one or by many, does not take it back: it is not delivered and returned."""
    allow(node)
    names = ["one", "two", "three"]
    members = {"hold": {"approval": True, "then": "reject", "reason": "a look"}, "cancel": {"bounce": True}}.get(what, {})
    for name in names:
        submit(node, [BOB], name)
    wait_equal(lambda: shown(node, BOB), sorted(names), "all are shown")
    entries = node.api.get("/v1/queue")["items"]
    with node.imap(BOB) as connection:
        uids = sorted(look(connection, "Held"))
        for uid, entry in zip(uids[:2], entries):
            assert move(connection, uid)[0] == "OK"
            assert node.api.request("POST", f"/v1/queue/{entry['id']}/{what}", members or None)[0] in (404, 409)
        assert move(connection, uids[2])[0] == "OK"
        made = node.api.post("/v1/queue-actions", {"action": what, "domain": "folder.test", **members})
        node.api.post(f"/v1/queue-actions/{made['id']}/start", {"count": made["count"]})
    wait_equal(lambda: node.api.get(f"/v1/queue-actions/{made['id']}")["state"], "done", "it is done")
    assert node.api.get(f"/v1/queue-actions/{made['id']}")["done"] == 0
    wait_until(lambda: not queue(node), "all holds are over")
    assert node.subjects(BOB) == ["first"] + names and node.subjects(ANN) == [] and not outside.messages
    assert {tuple(kinds(node, entry)) for entry in entries} == {("held", "held", "decided", "released", "filed")}


@pytest.mark.parametrize("permitted, quarantine, status", [
    ("nothing", False, "NO"), ("quarantine", False, "NO"), ("held", True, "NO"), ("held", False, "OK"), ("quarantine", True, "OK")])
def test_as_the_domain_permits(node, permitted, quarantine, status):
    allow(node, owner_may_release=permitted)
    submit(node, [BOB], "held")
    if quarantine:
        node.query("update queue_entry set quarantined = true returning 1")
    folder = "Quarantine" if quarantine else "Held"
    wait_equal(lambda: shown(node, BOB, folder), ["held"], "it is shown")
    with node.imap(BOB) as connection:
        (uid,) = look(connection, folder)
        answer, text = move(connection, uid)
        assert answer == status and ("NOPERM" in text) == (status == "NO")
        assert (list(look(connection, folder).values()) == ["held"]) == (status == "NO")
    assert (node.query("select count(*) from audit_log where token_id = 0") == [["1"]]) == (status == "OK")
    if status == "NO":
        assert queue(node)[BOB]["state"] == "held"


@pytest.mark.parametrize("what", ["accounts/" + BOB, "customers/folder"])
def test_who_is_suspended_releases_nothing(node, what):
    """His session is older than that."""
    allow(node)
    submit(node, [BOB], "held")
    wait_equal(lambda: shown(node, BOB), ["held"], "it is shown")
    with node.imap(BOB) as connection:
        (uid,) = look(connection, "Held")
        node.api.patch(f"/v1/{what}", {"state": "suspended"})
        answer, text = move(connection, uid)
        assert answer == "NO" and "NOPERM" in text
        node.api.patch(f"/v1/{what}", {"state": "active"})
        assert move(connection, uid)[0] == "OK"


def test_what_an_administrator_holds_is_not_the_owners_to_release(node):
    allow(node)
    submit(node, [BOB], "limit")
    wait_equal(lambda: shown(node, BOB), ["limit"], "it is shown")
    hold(node, BOB, quarantine=True)
    wait_equal(lambda: (shown(node, BOB), shown(node, BOB, "Quarantine")), ([], ["limit"]), "it is shown in the other")
    with node.imap(BOB) as connection:
        (uid,) = look(connection, "Quarantine")
        answer, text = move(connection, uid)
        assert answer == "NO" and "NOPERM" in text
    node.api.post(f"/v1/queue/{queue(node)[BOB]['id']}/release", None)
    wait_equal(lambda: (shown(node, BOB, "Quarantine"), node.subjects(BOB)), ([], ["first", "limit"]), "it goes when it is released")


@pytest.mark.parametrize("what", ["release", "reject", "expire"])
def test_it_vanishes_when_it_is_decided(node, what):
    allow(node)
    submit(node, [BOB], "held")
    wait_equal(lambda: shown(node, BOB), ["held"], "it is in Held")
    with node.imap(BOB) as connection:
        connection.select("Held")
        node.api.post(f"/v1/queue/{queue(node)[BOB]['id']}/{what}", None)
        wait_until(lambda: connection.noop() and connection.response("EXPUNGE")[1] != [None], "the session is told")
    wait_until(lambda: not queue(node), "it is over")
    assert node.subjects(BOB) == ["first"] + (["held"] if what == "release" else [])


def test_the_sender_sees_what_he_sent_outside(node):
    """And may not release it: it is his limit."""
    allow(node)
    submit(node, [DAN, "eve@outside.test", BOB], "outgoing")
    wait_equal(lambda: (shown(node, ANN), shown(node, BOB)), (["outgoing"], ["outgoing"]), "each owner sees it, once")
    with node.imap(ANN) as connection:
        (uid,) = look(connection, "Held")
        answer, text = move(connection, uid)
        assert answer == "NO" and "NOPERM" in text
    for recipient in (DAN, "eve@outside.test"):
        node.api.post(f"/v1/queue/{queue(node)[recipient]['id']}/release", None)
    wait_equal(lambda: (shown(node, ANN), shown(node, BOB)), ([], ["outgoing"]), "it goes with the last of his")


def test_what_its_sender_holds_is_not_shown(node):
    allow(node)
    with node.submission(BOB) as client:
        client.ehlo()
        client.mail(BOB, ["HOLDFOR=3600"])
        client.rcpt(ANN)
        client.data(make_message("later", sender=BOB))
    submit(node, [BOB], "marker")
    wait_equal(lambda: shown(node, BOB), ["marker"], "what came later is shown")
    assert "Held" not in folders(node, ANN)


def test_the_folder_is_not_the_readers(node):
    allow(node)
    submit(node, [BOB], "held")
    wait_equal(lambda: shown(node, BOB), ["held"], "it is in Held")
    with node.imap(BOB) as connection:
        for call in (lambda: connection.delete("Held"), lambda: connection.rename("Held", "Mine"),
                     lambda: connection.append("Held", None, None, b"a: b\r\n\r\nc\r\n"), lambda: connection.create("Held")):
            assert call()[0] == "NO"
        connection.select("INBOX")
        assert connection.copy("1", "Held")[0] == "NO"
        (uid,) = look(connection, "Held")
        connection.create("Mine")
        assert move(connection, uid, "Mine")[0] == "NO"
        connection.uid("STORE", str(uid), "+FLAGS", r"(\Deleted)")
        assert connection.expunge()[0] == "NO"
        assert connection.close()[0] == "OK"
        assert list(look(connection, "Held").values()) == ["held"]
    assert queue(node)[BOB]["state"] == "held"
    node.api.patch("/v1/domains/folder.test/continuity-policy", {"show_held": False})
    wait_until(lambda: "Held" not in folders(node, BOB), "the folder goes with the permission", timeout=90)
    assert queue(node)[BOB]["state"] == "held"


def test_a_reader_who_has_a_folder_of_that_name(node):
    allow(node)
    with node.imap(BOB) as connection:
        connection.create("Held")
    submit(node, [BOB], "held")
    wait_equal(lambda: shown(node, BOB, '"Held by the relay"'), ["held"], "it is in another")
    assert shown(node, BOB) == []


def test_many_are_walked_through(node):
    """More than a look takes, held at once by an administrator long after they came."""
    allow(node)
    submit(node, [BOB], "held")
    (entry,) = node.query("select id, message_id from queue_entry")
    node.query("create temporary table made as select n, "
               f"{entry[0]} - (3600000 + n::bigint << 22) as id from generate_series(1, 1200) n;"  # milliseconds: an hour ago
               " insert into message (cell, id, customer_id, sender, size, received_at, protocol)"
               f" select m.cell, made.id, m.customer_id, m.sender, 10, now(), 'ESMTP' from made, message m where m.id = {entry[1]};"
               " insert into queue_entry (cell, id, message_id, recipient, destination, account_id, due_at, expires_at, sender, customer_id,"
               "   held_until, held_by, held_reason, held_then)"
               " select q.cell, made.id, made.id, q.recipient, q.destination, q.account_id, now(), now() + interval '1 day', q.sender, q.customer_id,"
               f" q.held_until, q.held_by, q.held_reason, q.held_then from made, queue_entry q where q.id = {entry[0]}")

    def count():
        with node.imap(BOB) as connection:
            return int(connection.select("Held")[1][-1] or 0) if "Held" in folders(node, BOB) else 0
    wait_equal(count, 1201, "all are shown", timeout=60)
    node.query("delete from queue_entry returning 1")
    wait_equal(count, 0, "all are gone", timeout=60)
