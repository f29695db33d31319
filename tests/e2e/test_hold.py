"""Mail that waits until somebody decides: at a relay grant's limit, or held by an administrator."""
import datetime
import email
import email.policy
import os
import subprocess

import pytest

from harness.api import ApiError
from harness.posthouse import PROGRAM, make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour

ANN, BOB, CAROL, DAN = "ann@hold.test", "bob@hold.test", "carol@primary.test", "dan@outside.test"
NEVER = "2020-01-01T00:00:00Z"
SOON, LATE = ((datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
              for days in (20, 400))


@pytest.fixture
def node(new_posthouse, sink, outside):
    outside.clear()
    node = new_posthouse(default_route=outside.port)
    node.start()
    node.api.customer("hold")
    node.api.hosted_domain("hold.test", "hold")
    for address in (ANN, BOB):
        node.api.account(address, "hold")
    node.api.relay_domain("primary.test", "hold", sink.port)
    return node


def grant(node, **members):
    return node.api.post("/v1/relay-grants", {"customer": "hold", "account": ANN, "at_limit": "hold", "messages_per_day": 1, **members})


def submit(node, recipients, subject="held", mail=(), rcpt=()):
    """Replies to RCPT and at the end of data."""
    with node.submission(ANN) as client:
        client.ehlo()
        assert client.mail(ANN, list(mail))[0] == 250
        replies = [client.rcpt(recipient, list(rcpt)) for recipient in recipients]
        assert all(code == 250 for code, _ in replies), replies
        code, text = client.data(make_message(subject, sender=ANN))
        assert code == 250, text
        return [text.decode() for _, text in replies], text.decode()


def queue(node):
    return {entry["recipient"]: entry for entry in node.api.get("/v1/queue")["items"]}


def decide(node, entry, what, body=None):
    return node.api.post(f"/v1/queue/{entry['id']}/{what}", body)


def refused(node, entry, what, body=None):
    with pytest.raises(ApiError) as error:
        decide(node, entry, what, body)
    return error.value.status


def events(node, entry):
    return [event["kind"] for event in node.api.get(f"/v1/messages/{entry['message']}/events")["items"]
            if event["recipient"] == entry["recipient"]]


def gone_out(sink):
    return [subject_of(message.data) for message in sink.messages]


def notices(node):
    return [email.message_from_bytes(text, policy=email.policy.default) for text in node.inbox(ANN)]


def fields(notice):
    return [dict(block.items()) for block in list(notice.iter_parts())[1].get_payload()]


def at_the_limit(node, recipients, **members):
    """Its first message of the day has gone; the second is held."""
    limit = grant(node, **members)
    submit(node, [BOB], "first")
    return limit, submit(node, recipients)


def test_a_limit_holds_what_exceeds_it(node, sink, outside):
    limit, (replies, reply) = at_the_limit(node, [BOB, CAROL, DAN])
    assert replies == [f"2.1.5 Ok, to be held: grant {limit['id']} permits 1 messages in a day"] * 3
    assert reply.endswith(f", held until it is released: messages_per_day of grant {limit['id']} is reached")
    assert set(queue(node)) == {BOB, CAROL, DAN}
    for entry in queue(node).values():
        hold = entry["hold"]
        assert entry["state"] == "held" and hold["then"] == "reject" and hold["by"] == "limit"
        assert hold["reason"] == f"messages_per_day of grant {limit['id']} is reached"
        assert entry["expires_at"] == hold["until"] == entry["due_at"]
    assert node.subjects(BOB) == ["first"] and not sink.messages and not outside.messages
    entries = queue(node)
    for entry in entries.values():
        decided = decide(node, entry, "release")
        assert decided["id"] == entry["id"] and decided["hold"]["then"] == "release"
    wait_equal(lambda: (node.subjects(BOB), gone_out(sink), gone_out(outside)), (["first", "held"], ["held"], ["held"]),
               "all have it")
    wait_until(lambda: not queue(node), "the queue is empty")
    assert events(node, entries[BOB]) == ["held", "decided", "released", "filed"]
    assert events(node, entries[DAN]) == ["held", "decided", "released", "delivered"]
    assert node.query("select count(*) from audit_log where path like '/v1/queue/%/release' and status = 200") == [["3"]]
    assert notices(node) == []


def test_rejected(node, outside):
    at_the_limit(node, [BOB, DAN])
    entries = queue(node)
    decide(node, entries[DAN], "reject")
    decide(node, entries[BOB], "reject")
    wait_until(lambda: not queue(node), "the queue is empty")
    told = [block for notice in notices(node) for block in fields(notice)[1:]]
    assert sorted((block["Action"], block["Status"], block["Final-Recipient"]) for block in told) == [
        ("failed", "5.7.1", f"rfc822; {BOB}"), ("failed", "5.7.1", f"rfc822; {DAN}")]
    assert events(node, entries[DAN]) == ["held", "decided", "bounced"]
    assert node.subjects(BOB) == ["first"] and not outside.messages


@pytest.mark.parametrize("then", ["release", "reject"])
def test_nobody_decides(node, then):
    at_the_limit(node, [BOB], hold_seconds=60, hold_then=then)
    (entry,) = queue(node).values()
    assert entry["hold"]["then"] == then
    node.query("update queue_entry set held_until = now() returning 1")
    wait_until(lambda: not queue(node), "the queue is empty")
    assert node.subjects(BOB) == (["first", "held"] if then == "release" else ["first"])
    assert len(notices(node)) == (then == "reject")
    assert events(node, entry) == ["held", "released", "filed"] if then == "release" else ["held", "bounced"]


def test_another_grant_that_permits_it_comes_first(node):
    grant(node)
    grant(node, messages_per_day=2)
    for number in range(4):
        submit(node, [BOB], f"n{number}")
    assert node.subjects(BOB) == ["n0", "n1", "n2"]  # one by the first grant, two by the other
    assert len(queue(node)) == 1


def test_other_limits_are_as_with_defer(node):
    grant(node, messages_per_day=None, recipients_max=1, size_max=10000)
    with node.submission(ANN) as client:
        client.ehlo()
        assert client.mail(ANN, ["SIZE=20000"])[0] == 552
        client.mail(ANN)
        assert client.rcpt(BOB)[0] == 250
        assert client.rcpt(DAN)[0] == 452


def test_relay_checks_say_held(node):
    limit, _ = at_the_limit(node, [BOB])
    checked = node.api.post("/v1/relay-checks", {"account": ANN, "sender": ANN, "recipient": DAN})
    assert (checked["verdict"], checked["grant"], checked["limit"]) == ("held", limit["id"], "messages_per_day")
    (reply,), _ = submit(node, [DAN])
    assert f"{checked['reply']['enhanced']} {checked['reply']['text']}" == reply
    assert checked["route"]["destination"] == "default"


def test_success_is_told_when_it_is_filed(node):
    at_the_limit(node, [BOB], hold_then="release")
    submit(node, [BOB], "asked", rcpt=["NOTIFY=SUCCESS"])
    assert notices(node) == []
    for entry in node.api.get("/v1/queue")["items"]:
        decide(node, entry, "release")
    wait_until(lambda: notices(node), "the sender is told")
    assert [fields(notice)[1]["Action"] for notice in notices(node)] == ["delivered"]
    assert sorted(node.subjects(BOB)) == ["asked", "first", "held"]


def test_its_own_time_still_holds(node):
    """FUTURERELEASE and a limit: whoever decides about the limit does not make it come early."""
    grant(node)
    submit(node, [BOB], "first")
    submit(node, [BOB], "later", mail=["HOLDFOR=86400"])
    (entry,) = queue(node).values()
    assert entry["hold"]["by"] == "limit"
    decide(node, entry, "release")
    wait_equal(lambda: queue(node)[BOB]["state"], "waiting", "it is released")
    assert node.subjects(BOB) == ["first"]
    node.query("update queue_entry set due_at = now() returning 1")
    node.query("update destination set due_at = now() returning 1")
    wait_equal(lambda: node.subjects(BOB), ["first", "later"], "its time has come")


def test_an_administrator_holds(node, sink):
    sink.behave = Behaviour(recipient_replies={CAROL: "451 4.7.1 come back later"})
    node.send("joe@outside.test", CAROL, make_message("waits"))
    wait_equal(lambda: queue(node)[CAROL]["state"], "waiting", "it is put off")
    body = {"until": SOON, "then": "reject", "reason": "a virus?"}
    for wrong in ({"until": NEVER}, {"then": "explode"}, {"reason": ""}, {"more": 1}, {"until": LATE}):
        assert refused(node, queue(node)[CAROL], "hold", {**body, **wrong}) == 422
    for missing in body:
        assert refused(node, queue(node)[CAROL], "hold", {k: v for k, v in body.items() if k != missing}) == 422
    assert refused(node, queue(node)[CAROL], "release") == 409  # it is not held
    lifetime = "select round(extract(epoch from expires_at - coalesce(held_until, now())) / 100) from queue_entry"
    before = node.query(lifetime)
    entry = wait_for_the_lane(node, "hold", body)
    assert node.query(lifetime) == before  # it stands still
    assert entry["state"] == "held" and entry["hold"]["by"] == "administrator" and entry["hold"]["reason"] == "a virus?"
    sink.behave = Behaviour()
    assert node.api.get(f"/v1/queue/{entry['id']}") == queue(node)[CAROL]
    node.send("joe@outside.test", CAROL, make_message("passes"))
    wait_equal(lambda: gone_out(sink), ["passes"], "other mail is delivered")
    assert decide(node, entry, "hold", {**body, "then": "release"})["hold"]["then"] == "release"
    decide(node, entry, "release", {})
    wait_equal(lambda: gone_out(sink), ["passes", "waits"], "it is delivered")
    assert refused(node, entry, "release") == 404
    assert refused(node, {"id": "nonsense"}, "release") == 404
    assert events(node, entry)[-5:] == ["held", "held", "decided", "released", "delivered"]


def wait_for_the_lane(node, what, body=None):
    """It may be under way at this moment: 409, and again."""
    decided = []

    def again():
        try:
            decided.append(decide(node, queue(node)[CAROL], what, body))
        except ApiError as error:
            assert error.status == 409
        return decided
    wait_until(again, "it is decided")
    return decided[0]


def test_reject_what_waits(node, sink):
    sink.stop()
    node.send("joe@outside.test", CAROL, make_message("waits"))
    wait_equal(lambda: queue(node)[CAROL]["state"], "waiting", "the outage is open")
    entry = wait_for_the_lane(node, "reject")
    wait_until(lambda: CAROL not in queue(node), "it is gone")
    assert events(node, entry)[-2:] == ["decided", "bounced"]


def test_the_command_line(node):
    at_the_limit(node, [BOB, DAN])
    client = PROGRAM.parent / "posthouse"
    environment = dict(os.environ, POSTHOUSE_URL=f"http://127.0.0.1:{node.ports['admin']}", POSTHOUSE_TOKEN=node.token)

    def run(*words):
        return subprocess.run([client, *words], env=environment, capture_output=True, text=True, timeout=60)
    entries = queue(node)
    assert entries[BOB]["id"] in run("queue", "list").stdout
    assert entries[BOB]["hold"]["reason"] in run("--json", "queue", "show", entries[BOB]["id"]).stdout
    held = run("queue", "hold", entries[BOB]["id"], "--until", SOON, "--then", "release", "--reason", "look at it")
    assert held.returncode == 0, held.stderr
    assert queue(node)[BOB]["hold"]["reason"] == "look at it"
    assert run("queue", "release", entries[BOB]["id"]).returncode == 0
    assert run("queue", "reject", entries[DAN]["id"]).returncode == 0
    wait_until(lambda: not queue(node), "the queue is empty")
    assert node.subjects(BOB) == ["first", "held"]
    assert run("queue", "release", entries[BOB]["id"]).returncode == 1
