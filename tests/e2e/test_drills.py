"""Drills of one account: its mail is held, readable and drained, as in an outage; that of the rest of its domain flows."""
import contextlib
import email
import imaplib
import os
import poplib
import signal
import smtplib

import pytest

from harness.faults import FaultyPostgres
from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from harness.receiver import Receiver
from harness.requests import pages, problem
from harness.sink import Behaviour
from test_health import in_seconds

DOMAIN = "relayed.test"
CAROL, ALIAS, DAVE = f"carol@{DOMAIN}", f"cee@{DOMAIN}", f"dave@{DOMAIN}"
HEALTH = f"/v1/domains/{DOMAIN}/health"
SETTINGS = {"delivery.probe_interval": "300ms", "webhooks.networks": "127.0.0.0/8"}


def provide(node, sink):
    node.start()
    node.api.customer("one")
    node.api.relay_domain(DOMAIN, "one", sink.port)
    for address in (CAROL, DAVE):
        node.api.account(address, "one")
    node.api.patch(f"/v1/accounts/{CAROL}", {"aliases": [ALIAS]})
    return node


@pytest.fixture
def node(new_posthouse, sink, outside):
    return provide(new_posthouse(settings=SETTINGS, default_route=outside.port), sink)


def send(node, subject, to=CAROL):
    with node.smtp() as connection:
        connection.sendmail("joe@outside.test", [to], make_message(subject, to=to))


def arrived(sink, *recipients):
    """Subjects of what came for these, in the order in which it came."""
    return [email.message_from_bytes(message.data)["Subject"] for message in sink.messages if set(message.recipients) & set(recipients)]


def held(node, login=CAROL):
    with node.imap(login) as connection:
        count = int(connection.select("INBOX", readonly=True)[1][-1])
        found = connection.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1] if count else []
        return [part[1].decode().partition(":")[2].strip() for part in found if isinstance(part, tuple)]


def begin(node, **members):
    drill = node.api.post("/v1/drills", {"seconds": 3600, **members})
    wait_until(lambda: node.api.get(f"/v1/drills/{drill['id']}")["outage"], "it is on")
    wait_until(lambda: node.query("select 1 from outage where shown_at is null") == [], "what waited is readable")
    node.wait_known()
    return f"/v1/drills/{drill['id']}"


def end(node, path):
    node.api.delete(path)
    return over(node, path)


def over(node, path):
    """Its report."""
    wait_equal(lambda: node.api.get(path)["state"], "done", "it is over", timeout=60)
    return node.api.get(path)["report"]


def test_what_is_released_meanwhile_is_the_drills(node, sink):
    """A rule had held it before: to let it go is no way past the drill."""
    node.api.post("/v1/content-rules", {"customer": "one", "direction": "in", "label": "a look", "header": "Subject", "header_pattern": "rule",
                                        "action": "quarantine", "then": "reject", "reason": "a look"})
    node.wait_known()
    send(node, "by a rule")
    entry = node.api.get("/v1/queue")["items"][0]["id"]
    path = begin(node, account=CAROL)
    assert held(node) == []
    node.api.post(f"/v1/queue/{entry}/release", None)
    wait_equal(lambda: held(node), ["by a rule"], "it is readable")
    shown = node.api.get(f"/v1/queue/{entry}")
    assert (shown["state"], shown["hold"]["by"], shown["hold"]["quarantine"], shown["hold"]["approval"]) == ("held", "drill", False, False)
    assert not arrived(sink, CAROL) and node.api.get(path)["report"]["held"] == 1
    report = end(node, path)
    assert (arrived(sink, CAROL), report["held"], report["drained"], report["lost"]) == (["by a rule"], 1, 1, 0)


def test_an_accounts_mail_is_held_and_the_rest_flows(node, sink):
    receiver = Receiver()
    with contextlib.closing(receiver):
        receiver.secrets["/"] = node.api.post("/v1/webhooks", {"url": receiver.url + "/", "customer": "one"})["secret"]
        sink.behave = Behaviour(recipient_replies={CAROL: "452 4.2.2 full"})
        send(node, "0 waited")
        wait_until(lambda: node.api.get("/v1/queue")["items"][0]["attempts"], "it is put off")
        path = begin(node, account=CAROL)
        sink.behave = Behaviour()
        shown = node.api.get(path)
        assert (shown["account"], shown["domain"], shown["state"]) == (CAROL, DOMAIN, "running")
        for number, to in enumerate((CAROL, ALIAS, DAVE, CAROL, DAVE), 1):
            send(node, f"{number} to {to.split('@')[0]}", to=to)
        expected = ["0 waited", "1 to carol", "2 to cee", "4 to carol"]
        wait_equal(lambda: held(node), expected, "all of hers is readable, in order")
        wait_equal(lambda: sorted(arrived(sink, DAVE)), ["3 to dave", "5 to dave"], "his flows")
        assert not arrived(sink, CAROL, ALIAS) and not held(node, DAVE)
        entries = node.api.get("/v1/queue")["items"]
        assert [(entry["state"], entry["hold"]["by"], entry["hold"]["then"]) for entry in entries] == [("held", "drill", "release")] * 4
        health = node.api.get(HEALTH)
        assert (health["outage"], health["absence"]) == (None, None) and not pages(node.api, "/v1/outages"), "its domain is not away"
        with node.imap(CAROL) as connection:
            connection.select("INBOX")
            connection.store("1:2", "+FLAGS", r"(\Seen)")
            connection.store("1", "+FLAGS", r"(\Answered)")
        answer = make_message("answer", sender=CAROL, to="joe@outside.test")
        node.submit(CAROL, "joe@outside.test", answer)
        with node.imap(CAROL) as connection:
            connection.append("Sent", r"(\Seen)", None, answer)  # as a client does that files its own copy
            assert connection.select("Sent")[1] == [b"1"], "it is in Sent, once"
        counted = node.api.get(path)["report"]
        assert [counted[name] for name in ("held", "drained", "remaining", "read", "answered", "lost")] == [4, 0, 4, 2, 1, 0]
        report = end(node, path)
        assert (arrived(sink, CAROL)[:3], arrived(sink, ALIAS)) == (["0 waited", "1 to carol", "4 to carol"], ["2 to cee"]), "in order for each"
        assert [report[name] for name in ("held", "drained", "remaining", "read", "answered", "uncertain", "lost")] == [4, 4, 0, 2, 1, 0, 0]
        assert (report["account"], report["detection"]) == (CAROL, "drill")
        assert all(report[name] is not None for name in ("time_to_detect_ms", "time_to_readable_ms", "time_to_drain_ms", "duration_ms", "ended_at"))
        assert report == node.api.get(f"/v1/outages/{report['id']}")
        wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "nothing waits")
        wait_until(lambda: "answer" in arrived(sink, CAROL), "what she has sent meanwhile is brought to her, as there is no way into her mailboxes", timeout=60)
        wait_until(lambda: {"outage.opened", "outage.closed"} <= set(receiver.types()), "it is told")
        (told,) = [told for told in receiver.told if told.type == "outage.closed"]
        assert (told.data["account"], told.data["domain_id"], told.data["held"], told.data["lost"]) == (CAROL, report["domain_id"], 4, 0)
        assert not receiver.bad
    send(node, "after")
    wait_until(lambda: "after" in arrived(sink, CAROL), "hers flows again")
    assert "after" not in held(node)


@pytest.mark.parametrize("whose", ["domain", "account"])
def test_it_begins_and_ends_at_its_time(node, sink, whose):
    drill = node.api.post("/v1/drills", {whose: {"domain": DOMAIN, "account": CAROL}[whose], "starts_at": in_seconds(2), "seconds": 4})
    path = f"/v1/drills/{drill['id']}"
    assert node.api.get(path)["state"] == "scheduled" and node.api.get(path)["report"] is None
    send(node, "before")
    wait_until(lambda: arrived(sink, CAROL) == ["before"], "mail flows before its time")
    wait_until(lambda: node.api.get(path)["outage"], "it is on")
    assert node.api.get(path)["report"]["started_at"] >= drill["starts_at"]
    sent = 0

    def is_held():
        nonlocal sent
        sent += 1
        send(node, f"during {sent}")
        return held(node)

    wait_until(is_held, "it is held", interval=0.2)
    report = over(node, path)
    assert report["ended_at"] >= drill["ends_at"] and report["lost"] == 0 and report["held"] == report["drained"] >= 1
    wait_until(lambda: sorted(arrived(sink, CAROL)[1:]) == sorted(f"during {number + 1}" for number in range(sent)), "all of it is there, once")


def test_two_at_once_and_what_is_refused(node, sink):
    carols, daves = begin(node, account=CAROL), begin(node, account=node.api.get(f"/v1/accounts/{DAVE}")["id"])
    for body in ({"account": CAROL}, {"domain": DOMAIN}):
        problem(node, 409, "POST", "/v1/drills", body)
    for body, field in (({}, "domain"), ({"domain": DOMAIN, "account": CAROL}, "account"), ({"account": f"nobody@{DOMAIN}"}, "account")):
        problem(node, 422, "POST", "/v1/drills", body, field=field)
    node.api.hosted_domain("hosted.test", "one")
    node.api.account("ann@hosted.test", "one")
    problem(node, 409, "POST", "/v1/drills", {"account": "ann@hosted.test"})
    problem(node, 404, "PATCH", f"/v1/outages/{node.api.get(carols)['outage']}/drain", {"pace": "fast"})
    with node.smtp() as connection:
        connection.sendmail("joe@outside.test", [CAROL, DAVE], make_message("to both"))
    wait_until(lambda: held(node) == held(node, DAVE) == ["to both"], "both read it")
    assert end(node, carols)["held"] == 1 and arrived(sink, CAROL) == ["to both"] and not arrived(sink, DAVE)
    assert end(node, daves)["drained"] == 1 and arrived(sink, DAVE) == ["to both"]
    assert [item["account"] for item in pages(node.api, "/v1/drills", domain=DOMAIN)] == [CAROL, DAVE]
    made = node.api.post("/v1/drills", {"account": CAROL, "starts_at": in_seconds(600)})
    begin(node, account=DAVE)
    for address in (CAROL, DAVE):
        node.api.delete(f"/v1/accounts/{address}")
    problem(node, 404, "GET", f"/v1/drills/{made['id']}")
    wait_equal(lambda: node.query("select end_reason from outage where ended_at is not null order by id desc limit 1"), [["the account is deleted"]], "it ends")


def test_what_its_reader_deletes(node, sink):
    """As in any outage: what his domain wants."""
    node.api.put(f"/v1/domains/{DOMAIN}/continuity-policy", {"deleted_mail": "unless-deleted"})
    path = begin(node, account=CAROL)
    send(node, "deleted")
    send(node, "kept")
    wait_until(lambda: held(node) == ["deleted", "kept"], "they are readable")
    with node.pop3(CAROL) as connection:
        connection.dele(1)
    report = end(node, path)
    assert (arrived(sink, CAROL), report["held"], report["drained"], report["lost"]) == (["kept"], 2, 1, 0)


CROWD = """
insert into event (cell, id, at, message_id, recipient, kind, detail)
select o.cell, ((extract(epoch from now()) * 1000)::bigint - 1704067200000 << 22) + n, now(), n, 'dave@relayed.test',
       case n % 2 when 0 then 'delivered' else 'held' end, 'readable in INBOX'
  from outage o, generate_series(1, 300000) n where o.account = 'carol@relayed.test' on conflict do nothing
"""


def test_a_cell_in_which_very_much_happens(new_posthouse, sink, outside):
    """What else happened in its time is gone through in pages, each of which a statement has time for."""
    node = provide(new_posthouse(settings={**SETTINGS, "database.statement_timeout": "250ms"}, default_route=outside.port), sink)
    path = begin(node, account=CAROL)
    send(node, "one")
    send(node, "two", to=ALIAS)
    wait_until(lambda: held(node) == ["one", "two"], "they are readable")
    node.query(CROWD)
    send(node, "three")
    wait_until(lambda: held(node) == ["one", "two", "three"], "that is, too")
    with node.imap(CAROL) as connection:
        connection.select("INBOX")
        connection.store("1", "+FLAGS", r"(\Seen)")
        connection.store("2", "+FLAGS", r"(\Seen \Answered)")
    report = end(node, path)
    assert sorted(arrived(sink, CAROL, ALIAS)) == ["one", "three", "two"]
    counts = ("held", "drained", "remaining", "read", "answered", "uncertain", "lost")
    wait_equal(lambda: [node.api.get(path)["report"][name] for name in counts], [3, 3, 0, 2, 1, 0, 0], "it is counted", timeout=60)
    wait_until(lambda: node.query("select 1 from outage_report where counted_to is not null") == [], "the report is made", timeout=60)
    assert [node.api.get(path)["report"][name] for name in counts] == [3, 3, 0, 2, 1, 0, 0]


def test_who_dies_meanwhile(node, sink):
    """Workers are killed while it is on, and while it drains: each message comes once."""
    path = begin(node, account=CAROL)

    def kill_workers():
        for pid in node.family()[1:]:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: patiently(lambda: send(node, "noticed", to=DAVE)) is None, "there are others")

    with node.smtp() as connection:  # one worker: what two of them accept within a millisecond has no order
        for number in range(20):
            connection.sendmail("joe@outside.test", [CAROL], make_message(f"{number:02d}", to=CAROL))
    kill_workers()
    wait_equal(lambda: held(node), [f"{number:02d}" for number in range(20)], "all is readable", timeout=60)
    node.api.delete(path)
    wait_until(lambda: arrived(sink, CAROL), "it drains")
    kill_workers()
    report = over(node, path)
    assert (report["held"], report["drained"], report["lost"]) == (20, 20, 0)
    found = arrived(sink, CAROL)
    assert sorted(set(found)) == [f"{number:02d}" for number in range(20)] and len(found) <= 20 + report["uncertain"] + 2


def patiently(action):
    """Its value, once a worker and the database are there for it."""
    def attempt():
        try:
            return [action()]
        except (smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto) as error:
            raise AssertionError(error) from error
    return wait_until(attempt, "it is done", interval=0.1)[0]


CYCLES = (("drill_due", "drill_open", "drill_note_back", "drill_is_even"), ("drill_begin", "drill_waiting", "drill_release", "drill_end"),
          ("drill_hold", "drill_unshown", "drill_is_even", "drill_end"), ("drill_note_shown", "drill_due", "drill_open", "drill_release"))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["refused", "lost"])
def test_a_database_that_fails(new_posthouse, own_postgres, sink, mode):
    """Whatever of it fails is done a tick later; mail is held before and delivered after, once. Each cycle has four blows."""
    faulty = FaultyPostgres(own_postgres)
    try:
        node = provide(new_posthouse(postgres=faulty, settings={**SETTINGS, "daemon.workers": 1, "database.statement_timeout": "2s"}), sink)

        def struck(fault, statement):
            wait_until(lambda: fault.struck, f"{statement} is met")

        for number, (first, second, third, fourth) in enumerate(CYCLES):
            sink.behave = Behaviour(recipient_replies={CAROL: "452 4.2.2 full"})
            patiently(lambda number=number: send(node, f"{number} before"))
            wait_until(lambda: node.query("select 1 from queue_entry where attempts > 0"), "it is put off")
            fault = faulty.arm(first, mode)
            drill = node.api.post("/v1/drills", {"account": CAROL, "seconds": 3600})
            struck(fault, first)
            wait_until(lambda number=number: patiently(lambda: held(node)) == [f"{number} before"], "it is readable")
            node.wait_known()
            sink.behave = Behaviour()
            patiently(lambda number=number: send(node, f"{number} during"))
            struck(faulty.arm(second, mode), second)
            wait_until(lambda number=number: patiently(lambda: held(node)) == [f"{number} before", f"{number} during"], "that, too")
            fault = faulty.arm(third, mode)
            node.api.delete(f"/v1/drills/{drill['id']}")
            struck(fault, third)
            struck(faulty.arm(fourth, mode), fourth)
            wait_equal(lambda drill=drill: node.api.get(f"/v1/drills/{drill['id']}")["state"], "done", "it is over", timeout=60)
            report = node.api.get(f"/v1/drills/{drill['id']}")["report"]
            assert (report["held"], report["drained"], report["lost"]) == (2, 2, 0)
            with node.pop3(CAROL) as connection:
                connection.dele(1), connection.dele(2)
        assert arrived(sink, CAROL) == [f"{number} {when}" for number in range(len(CYCLES)) for when in ("before", "during")]
        node.close()
    finally:
        faulty.close()
