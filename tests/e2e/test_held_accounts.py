"""Accounts that are thought to be compromised: what they send is held, what they receive is not."""
import os
import subprocess

import pytest

from harness.posthouse import PROGRAM, make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.requests import problem

ANN, BOB, DAN = "ann@taken.test", "bob@taken.test", "dan@outside.test"
REASON = "its password is for sale"


@pytest.fixture
def node(new_posthouse, outside):
    outside.clear()
    node = new_posthouse(default_route=outside.port)
    node.start()
    node.api.customer("taken")
    node.api.hosted_domain("taken.test", "taken")
    for address in (ANN, BOB):
        node.api.account(address, "taken")
    return node


def mark(node, address=ANN, **members):
    return node.api.post("/v1/held-accounts", {"account": address, "reason": REASON, "then": "discard", **members})


def send(client, recipients, subject, sender=ANN):
    client.mail(sender)
    for recipient in recipients:
        assert client.rcpt(recipient)[0] == 250
    code, text = client.data(make_message(subject, sender=sender))
    assert code == 250, text
    return text.decode()


def submit(node, recipients, subject, sender=ANN):
    with node.submission(sender) as client:
        client.ehlo()
        return send(client, recipients, subject, sender)


def queue(node, **filter):
    return {entry["recipient"]: entry for entry in node.api.get("/v1/queue", **filter)["items"]}


def known(node):
    """Until all workers know, as a sender sees it."""
    def held():
        before = len(node.api.get("/v1/queue")["items"])
        for _ in range(3):
            submit(node, [BOB], "probe")
        return len(node.api.get("/v1/queue")["items"]) == before + 3
    wait_until(held, "all workers hold it")
    node.query("delete from queue_entry returning 1")


def test_what_it_sends_is_held_and_it_still_reads(node, outside):
    with node.submission(ANN) as client:  # open before the mark is made
        client.ehlo()
        send(client, [DAN], "before")
        made = mark(node)
        assert (made["address"], made["by"], made["reason"], made["then"], made["hold_seconds"]) == (
            ANN, "administrator", REASON, "discard", 30 * 86400)
        wait_until(lambda: send(client, [BOB, DAN], "after") and BOB in queue(node), "the open session is held")
    reply = submit(node, [DAN], "new session")
    assert "held" not in reply, "the client is not told"
    for entry in queue(node).values():
        told = entry["hold"]
        assert (told["by"], told["reason"], told["approval"], told["then"]) == ("compromised", REASON, True, "discard")
    submit(node, [ANN, BOB], "to her", sender=BOB)
    wait_until(lambda: node.subjects(ANN) == ["to her"] and node.subjects(BOB)[-1:] == ["to her"], "what others send is not held")
    assert "before" in [subject_of(message.data) for message in outside.messages]


def test_decided_together(node, outside):
    mark(node)
    known(node)
    for number in range(3):
        submit(node, [DAN], f"n{number}")
    node.api.delete(f"/v1/held-accounts/{ANN}")
    node.wait_known()
    submit(node, [BOB], "after")
    wait_equal(lambda: node.subjects(BOB)[-1:], ["after"], "what comes later goes")
    made = node.api.post("/v1/queue-actions", {"action": "release", "account": ANN, "held_by": "compromised"})
    assert made["count"] == 3 and made["filter"]["account"] and not outside.messages
    node.api.post(f"/v1/queue-actions/{made['id']}/start", {"count": 3})
    wait_equal(lambda: sorted(subject_of(message.data) for message in outside.messages), ["n0", "n1", "n2"], "they are released")
    assert node.query("select count(*) from audit_log where path like '/v1/held-accounts%' and status < 300") == [["2"]]


def test_a_hold_by_its_sender_is_one_by_the_account(node):
    """FUTURERELEASE does not get round it."""
    mark(node)
    known(node)
    with node.submission(ANN) as client:
        client.ehlo()
        assert client.mail(ANN, ["HOLDFOR=60"])[0] == 250
        client.rcpt(DAN)
        client.data(make_message("later", sender=ANN))
    assert queue(node)[DAN]["hold"]["by"] == "compromised"


def test_what_waits_already(node, outside):
    outside.stop()
    submit(node, [DAN], "waits")
    submit(node, [DAN], "another's", sender=BOB)
    wait_equal(lambda: {entry["state"] for entry in node.api.get("/v1/queue")["items"]}, {"waiting"}, "both wait")
    made = node.api.post("/v1/queue-actions", {"action": "hold", "account": ANN, "approval": True, "then": "reject", "reason": REASON})
    assert made["count"] == 1
    assert len(node.api.get("/v1/queue", account=ANN)["items"]) == 1
    outside.start()


def test_the_resource(node):
    problem(node, 422, "POST", "/v1/held-accounts", {"account": "nobody@taken.test", "reason": REASON, "then": "reject"}, field="account")
    for missing in ("account", "reason", "then"):
        body = {"account": ANN, "reason": REASON, "then": "reject"}
        del body[missing]
        problem(node, 422, "POST", "/v1/held-accounts", body, field=missing)
    problem(node, 422, "POST", "/v1/held-accounts", {"account": ANN, "reason": REASON, "then": "burn"}, field="then")
    problem(node, 422, "POST", "/v1/held-accounts", {"account": ANN, "reason": REASON, "then": "reject", "hold_seconds": 1}, field="hold_seconds")
    made = mark(node, hold_seconds=600)
    problem(node, 409, "POST", "/v1/held-accounts", {"account": ANN, "reason": REASON, "then": "reject"}, field="account")
    assert node.api.get(f"/v1/held-accounts/{made['account']}") == made == node.api.get(f"/v1/held-accounts/{ANN}")
    assert node.api.get("/v1/held-accounts")["items"] == [made]
    for path in (f"/v1/held-accounts/{BOB}", "/v1/held-accounts/nobody@taken.test"):
        problem(node, 404, "GET", path, None)
        problem(node, 404, "DELETE", path, None)
    node.api.delete(f"/v1/accounts/{ANN}")
    assert node.api.get("/v1/held-accounts")["items"] == [], "the mark goes with the account"


def test_the_command_line(node):
    environment = dict(os.environ, POSTHOUSE_URL=f"http://127.0.0.1:{node.ports['admin']}", POSTHOUSE_TOKEN=node.token)

    def run(*words):
        done = subprocess.run([PROGRAM.parent / "posthouse", *words], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout
    run("held-accounts", "create", ANN, "--reason", REASON, "--then", "reject", "--hold-seconds", "600")
    assert REASON in run("held-accounts", "list") and ANN in run("held-accounts", "show", ANN)
    assert run("queue", "list", "--account", ANN) is not None
    run("held-accounts", "delete", ANN)
    assert ANN not in run("held-accounts", "list")
