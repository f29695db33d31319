"""Holds until approval, what becomes of them by themselves, and deciding about many by filter."""
import os
import subprocess

import pytest

from harness.posthouse import PROGRAM, make_message
from harness.process import wait_equal, wait_until
from harness.requests import problem

ANN, BOB, DAN, EVE = "ann@policy.test", "bob@policy.test", "dan@outside.test", "eve@outside.test"
REASON = "a virus?"


@pytest.fixture
def node(new_posthouse, outside):
    outside.clear()
    node = new_posthouse(default_route=outside.port)
    node.start()
    node.api.customer("policy")
    node.api.hosted_domain("policy.test", "policy")
    for address in (ANN, BOB):
        node.api.account(address, "policy")
    return node


def submit(node, recipients, subject="held"):
    with node.submission(ANN) as client:
        client.ehlo()
        client.mail(ANN)
        for recipient in recipients:
            assert client.rcpt(recipient)[0] == 250
        code, text = client.data(make_message(subject, sender=ANN))
        assert code == 250, text


def held(node, recipients, subject="held", **members):
    """Held by a limit of the account's grant: none may be sent."""
    grants = node.api.get("/v1/relay-grants")["items"]
    if not grants:
        node.api.post("/v1/relay-grants", {"customer": "policy", "account": ANN, "at_limit": "hold", "recipients_per_day": 1, **members})
        submit(node, [BOB], "first")
    submit(node, recipients, subject)
    return {recipient: queue(node)[recipient] for recipient in recipients}


def queue(node, **filter):
    return {entry["recipient"]: entry for entry in node.api.get("/v1/queue", **filter)["items"]}


def kinds(node, entry):
    return [event["kind"] for event in node.api.get(f"/v1/messages/{entry['message']}/events")["items"]
            if event["recipient"] == entry["recipient"]]


def hold(node, entry, **members):
    return node.api.post(f"/v1/queue/{entry['id']}/hold", {"then": "reject", "reason": REASON, **members})


def act(node, action, **filter):
    made = node.api.post("/v1/queue-actions", {"action": action, **filter})
    assert made["state"] == "previewed"
    node.api.post(f"/v1/queue-actions/{made['id']}/start", {"count": made["count"]})
    done = wait_until(lambda: (now := node.api.get(f"/v1/queue-actions/{made['id']}"))["state"] == "done" and now, "it is done")
    return made["count"], done["done"]


def test_a_limit_holds_until_approval(node):
    entries = held(node, [DAN])
    told = entries[DAN]["hold"]
    assert (told["by"], told["approval"], told["quarantine"], told["then"]) == ("limit", True, False, "reject")


@pytest.mark.parametrize("quarantine", [False, True])
def test_an_administrator_holds_until_approval(node, quarantine):
    """No time: 30 days at most, and what then is said."""
    entry = held(node, [DAN])[DAN]
    problem(node, 422, "POST", f"/v1/queue/{entry['id']}/hold", {"then": "reject", "reason": REASON}, field="until")
    problem(node, 422, "POST", f"/v1/queue/{entry['id']}/hold", {"approval": True, "reason": REASON}, field="then")
    told = hold(node, entry, approval=True, quarantine=quarantine, then="discard")["hold"]
    assert (told["by"], told["approval"], told["quarantine"], told["then"], told["reason"]) == (
        "administrator", True, quarantine, "discard", REASON)
    days = node.query("select round(extract(epoch from held_until - now()) / 86400) from queue_entry")
    assert days == [["30"]]
    detail = node.api.get(f"/v1/messages/{entry['message']}/events")["items"][-1]["detail"]
    assert detail.startswith("in quarantine, for approval, until " if quarantine else "for approval, until ")
    node.api.post(f"/v1/queue/{entry['id']}/release", None)
    wait_until(lambda: not queue(node), "it has gone")
    assert kinds(node, entry)[-4:] == ["held", "decided", "released", "delivered"]


def test_discarded_when_its_time_has_come(node, outside):
    entries = held(node, [BOB, DAN], hold_then="discard")
    assert entries[DAN]["hold"]["then"] == "discard" and entries[DAN]["expires_at"] == entries[DAN]["hold"]["until"]
    node.query("update queue_entry set held_until = now() returning 1")
    wait_until(lambda: not queue(node), "both are gone")
    assert node.subjects(BOB) == ["first"] and node.subjects(ANN) == [] and not outside.messages, "nobody is told"
    for entry in entries.values():
        assert kinds(node, entry) == ["held", "discarded"]
    assert node.query(f"select count(*) from message_release where message_id in (select message_id from event where kind = 'discarded')") == [
        ["1"]], "nothing needs the message any more"


@pytest.mark.parametrize("then, last, told", [("release", "delivered", 0), ("reject", "bounced", 1), ("discard", "discarded", 0)])
def test_expire_one(node, then, last, told):
    """What its hold says, now."""
    entry = held(node, [DAN], hold_then=then)[DAN]
    assert node.api.post(f"/v1/queue/{entry['id']}/expire", None)["hold"]["then"] == then
    wait_until(lambda: not queue(node), "it is over")
    events = kinds(node, entry)
    assert events[:2] == ["held", "decided"] and events[-1] == last
    assert len(node.subjects(ANN)) == told
    assert node.query("select count(*) from audit_log where path like '/v1/queue/%/expire' and status = 200") == [["1"]]


def test_not_held(node, outside):
    outside.stop()
    submit(node, [DAN])
    wait_equal(lambda: queue(node)[DAN]["state"], "waiting", "it waits")
    problem(node, 409, "POST", f"/v1/queue/{queue(node)[DAN]['id']}/expire", None)
    outside.start()


def test_many_by_what_holds_them(node, outside):
    """Release, reject, expire by filter: counted first."""
    entries = held(node, [DAN, EVE], "one")
    held(node, [BOB], "two")
    hold(node, entries[EVE], approval=True, quarantine=True, then="discard")
    assert set(queue(node, held_by="administrator")) == {EVE} == set(queue(node, quarantined="true"))
    assert set(queue(node, held_by="limit")) == {BOB, DAN} == set(queue(node, quarantined="false"))
    assert set(queue(node, message=entries[DAN]["message"])) == {DAN, EVE}
    assert set(queue(node, message=entries[DAN]["message"], held_by="limit")) == {DAN}
    assert act(node, "expire", quarantined=True) == (1, 1)
    wait_until(lambda: EVE not in queue(node), "it is discarded")
    assert kinds(node, entries[EVE])[-2:] == ["decided", "discarded"]
    assert act(node, "release", message=entries[DAN]["message"]) == (1, 1)
    wait_until(lambda: DAN not in queue(node), "it is released")
    assert act(node, "reject", held_by="limit", quarantined=False) == (1, 1)
    wait_until(lambda: not queue(node), "it is rejected")
    assert len(outside.messages) == 1 and node.subjects(BOB) == ["first"]
    (action,) = [item for item in node.api.get("/v1/queue-actions")["items"] if item["action"] == "reject"]
    assert (action["filter"]["held_by"], action["filter"]["quarantined"], action["filter"]["message"]) == ("limit", False, None)


def test_all_recipients_of_a_message_are_held(node, outside):
    outside.stop()
    submit(node, [DAN, EVE], "both")
    wait_equal(lambda: {entry["state"] for entry in queue(node).values()}, {"waiting"}, "both wait")
    message = queue(node)[DAN]["message"]
    assert act(node, "hold", message=message, approval=True, then="reject", reason=REASON, quarantine=True) == (2, 2)
    assert {(entry["hold"]["by"], entry["hold"]["quarantine"]) for entry in queue(node).values()} == {("administrator", True)}
    outside.start()


@pytest.mark.parametrize("name, value", [("held_by", "nobody"), ("quarantined", "perhaps"), ("message", "!")])
def test_wrong_words(node, name, value):
    problem(node, 422, "GET", f"/v1/queue?{name}={value}", None, field=name)


def test_the_command_line(node):
    entries = held(node, [DAN, EVE])
    environment = dict(os.environ, POSTHOUSE_URL=f"http://127.0.0.1:{node.ports['admin']}", POSTHOUSE_TOKEN=node.token)

    def run(*words):
        done = subprocess.run([PROGRAM.parent / "posthouse", *words], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout
    run("queue", "hold", entries[DAN]["id"], "--approval", "--quarantine", "--then", "discard", "--reason", REASON)
    assert entries[DAN]["id"] in run("queue", "list", "--quarantined")
    assert entries[DAN]["id"] not in run("queue", "list", "--held-by", "limit", "--not-quarantined")
    run("queue", "expire", entries[DAN]["id"])
    wait_equal(lambda: set(queue(node)), {EVE}, "it is discarded")
    assert entries[EVE]["id"] in run("queue", "list", "--message", entries[EVE]["message"])
