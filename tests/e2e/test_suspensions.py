"""Destinations, senders and customers whose mail waits, for a reason, until a time or until somebody resumes it."""
import datetime
import time

import pytest

from harness.api import ApiError
from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.requests import problem
from harness.sink import Behaviour

ANN, BOB, CAROL, DAN = "ann@one.test", "bob@two.test", "carol@primary.test", "dan@outside.test"


def in_seconds(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.fixture(scope="module")
def node(posthouse):
    for name, address in (("one", ANN), ("two", BOB)):
        posthouse.api.customer(name)
        posthouse.api.hosted_domain(f"{name}.test", name)
        posthouse.api.account(address, name)
    return posthouse


@pytest.fixture(autouse=True)
def clean(node, outside):
    outside.clear()
    outside.behave = Behaviour()
    yield
    for suspension in node.api.get("/v1/suspensions")["items"]:
        node.api.delete(f"/v1/suspensions/{suspension['id']}")
    wait_until(lambda: not queue(node), "the queue is empty", timeout=60)


def queue(node):
    return {(entry["sender"], entry["recipient"]): entry for entry in node.api.get("/v1/queue")["items"]}


def suspend(node, kind, value, **members):
    made = node.api.post("/v1/suspensions", {"kind": kind, "value": value, "reason": "abuse desk", **members})
    node.wait_known()
    return made


def submit(node, sender, *recipients, subject="suspended"):
    node.submit(sender, list(recipients), make_message(subject, sender=sender))


def gone_out(sink):
    return sorted(subject_of(message.data) for message in sink.messages)


def events(node, entry):
    return [(event["kind"], event["detail"]) for event in node.api.get(f"/v1/messages/{entry['message']}/events")["items"]
            if event["recipient"] == entry["recipient"]]


def parked(node, *pairs):
    return wait_until(lambda: all(queue(node).get(pair, {"hold": None})["hold"] for pair in pairs) and [queue(node)[pair] for pair in pairs],
                      "it is held")


@pytest.mark.parametrize("kind, value, waits", [
    ("sender", "ANN@one.test", (ANN, DAN)),
    ("customer", "one", (ANN, DAN)),
])
def test_a_sender_or_a_customer(node, outside, kind, value, waits):
    made = suspend(node, kind, value)
    submit(node, ANN, DAN)
    submit(node, BOB, DAN, subject="of another")
    wait_equal(lambda: gone_out(outside), ["of another"], "the other's mail goes")
    entry, = parked(node, waits)
    assert entry["state"] == "suspended" and entry["suspension"] == {"id": made["id"], "reason": "abuse desk", "until": None}
    assert entry["hold"]["by"] == "suspension" and entry["hold"]["until"] is entry["due_at"] is entry["expires_at"] is None
    assert [e["id"] for e in node.api.get("/v1/queue", state="suspended")["items"]] == [entry["id"]]
    assert node.api.get("/v1/queue", state="held")["items"] == []
    assert events(node, entry) == [("suspended", "suspended: abuse desk")]
    node.api.delete(f"/v1/suspensions/{made['id']}")
    wait_equal(lambda: gone_out(outside), ["of another", "suspended"], "it goes on")
    wait_equal(lambda: [kind for kind, _ in events(node, entry)], ["suspended", "released", "delivered"], "all is told")
    assert node.query(f"select count(*) from audit_log where status = 204 and path = '/v1/suspensions/{made['id']}'") == [["1"]]
    assert int(node.query("select count(*) from audit_log where status = 201 and path = '/v1/suspensions'")[0][0]) >= 1
    wait_equal(lambda: node.query("select count(*) from suspension where ended_at is null"), [["0"]], "nothing is suspended any more")


@pytest.mark.parametrize("value", ["default", "outside.test"])
def test_a_destination(node, outside, value):
    made = suspend(node, "destination", value)
    submit(node, ANN, DAN, BOB)
    assert made["kind"] == "destination"
    parked(node, (ANN, DAN))
    wait_until(lambda: "suspended" in node.subjects(BOB), "a mailbox here is no destination")
    assert outside.messages == []


def test_a_domain_among_others(node, outside):
    suspend(node, "destination", "outside.test")
    submit(node, ANN, DAN, "eve@elsewhere.test")
    parked(node, (ANN, DAN))
    wait_until(lambda: [message.recipients for message in outside.messages] == [["eve@elsewhere.test"]], "the others go")


def test_the_null_sender(node, outside):
    suspend(node, "sender", "<>")
    node.api.relay_domain("primary.test", "two", outside.port)
    node.send("", [CAROL], make_message("a bounce"))
    parked(node, ("", CAROL))
    submit(node, ANN, CAROL, subject="no bounce")
    wait_equal(lambda: gone_out(outside), ["no bounce"], "others go")


def test_it_expires_by_itself(node, outside):
    until = in_seconds(4)
    suspend(node, "sender", ANN, expires_at=until)
    submit(node, ANN, DAN)
    entry, = parked(node, (ANN, DAN))
    assert entry["suspension"]["until"] and not outside.messages
    wait_equal(lambda: gone_out(outside), ["suspended"], "it goes on by itself")
    assert datetime.datetime.now(datetime.timezone.utc) >= datetime.datetime.fromisoformat(until.replace("Z", "+00:00"))
    assert node.api.get("/v1/suspensions")["items"] == []
    node.api.delete("/v1/suspensions/" + node.api.post("/v1/suspensions", {"kind": "sender", "value": ANN, "reason": "again"})["id"])


def test_what_waits_in_memory_or_is_put_off(node, outside):
    """It was in the queue before: what is due is held when it comes up."""
    outside.behave = Behaviour(other_recipients="451 4.7.1 not now")
    submit(node, ANN, DAN)
    wait_until(lambda: (ANN, DAN) in queue(node) and queue(node)[ANN, DAN]["attempts"], "it is put off")
    suspend(node, "customer", "one")
    entry, = parked(node, (ANN, DAN))
    asked = len(outside.asked)
    outside.behave = Behaviour()
    time.sleep(2.5)  # longer than any back-off of this node
    assert len(outside.asked) == asked and not outside.messages


def test_many_do_not_hinder_others(node, outside):
    """A suspended customer's mail is held in groups, and then costs nobody anything."""
    outside.stop()
    try:
        for i in range(40):
            submit(node, ANN, DAN, f"eve{i}@outside.test", subject=f"many {i}")
        suspend(node, "sender", ANN)
    finally:
        outside.start()
    submit(node, BOB, DAN, subject="of another")
    wait_equal(lambda: gone_out(outside), ["of another"], "the other's mail goes", timeout=60)
    wait_until(lambda: node.query("select count(*) from queue_entry where suspension_id is null") == [["0"]], "all are held", timeout=60)
    states = [entry["state"] for entry in node.api.get("/v1/queue", limit=1000)["items"]]
    assert states == ["suspended"] * 80


@pytest.mark.parametrize("kind, value", [("sender", ANN), ("customer", "one"), ("destination", "default"), ("destination", "outside.test")])
def test_what_waits_in_memory_behind_a_slow_next_hop(new_posthouse, sink, kind, value):
    """It is held though its turn does not come, and then it can be cancelled; what is being sent is finished."""
    node = new_posthouse(default_route=sink.port, settings={"daemon.workers": 1}).start()
    node.api.customer("one")
    node.api.hosted_domain("one.test", "one")
    node.api.account(ANN, "one")
    sink.behave = Behaviour(silent_at="data")
    sink.hold.clear()
    people = [f"p{number}@outside.test" for number in range(150)]
    for person in people:
        submit(node, ANN, person, subject=person)
    wait_until(lambda: sink.asked and len(node.api.get("/v1/queue", state="active", limit=1000)["items"]) == len(people), "all are in memory")
    node.api.post("/v1/suspensions", {"kind": kind, "value": value, "reason": "abuse desk"})

    def states():
        entries = node.api.get("/v1/queue", limit=1000)["items"]
        return {state: sum(entry["state"] == state for entry in entries) for state in ("active", "suspended", "waiting")}
    wait_until(lambda: states()["suspended"] >= 140 and states()["active"] + states()["suspended"] == 150, "what has no turn is held")
    under_way, held = states()["active"], states()["suspended"]
    action = node.api.post("/v1/queue-actions", {"action": "cancel", "bounce": False, "state": "suspended"})
    assert action["count"] == held
    node.api.post(f"/v1/queue-actions/{action['id']}/start", {"count": held})
    wait_until(lambda: node.api.get(f"/v1/queue-actions/{action['id']}")["state"] == "done", "it is done")
    told = node.api.get(f"/v1/queue-actions/{action['id']}")
    assert (told["done"], told["skipped"]) == (held, 0)
    sink.behave = Behaviour()
    sink.hold.set()
    wait_until(lambda: not node.api.get("/v1/queue", state="active")["items"] and len(sink.messages) == under_way, "what was under way is finished")
    assert node.query("select kind, count(*) from event where kind in ('suspended', 'cancelled', 'delivered') group by 1 order by 1") == [
        ["cancelled", str(held)], ["delivered", str(under_way)], ["suspended", str(held)]]


@pytest.mark.parametrize("kind, value", [
    ("sender", ANN), ("customer", "one"), ("destination", "Outside.test"), ("destination", "default"),
])
def test_what_waits_for_long(new_posthouse, sink, kind, value):
    """Nobody comes upon it for an hour; it does not grow old meanwhile, and its messages tell of it."""
    node = new_posthouse(default_route=sink.port, settings={"delivery.retry_first": "1h", "delivery.retry_max": "1h"}).start()
    node.api.customer("one")
    node.api.hosted_domain("one.test", "one")
    node.api.account(ANN, "one")
    sink.behave = Behaviour(other_recipients="451 4.3.0 later")
    people = [f"p{number}@outside.test" for number in range(30)]
    submit(node, ANN, *people)
    wait_until(lambda: [e["attempts"] for e in queue(node).values()] == [1] * 30, "all are put off for an hour")
    before = queue(node)[ANN, people[0]]
    made = node.api.post("/v1/suspensions", {"kind": kind, "value": value, "reason": "abuse desk"})
    entry, *_ = parked(node, *((ANN, person) for person in people))
    assert (entry["state"], entry["expires_at"], entry["due_at"]) == ("suspended", None, None) and before["expires_at"]
    assert [kind for kind, _ in events(node, entry)] == ["deferred", "suspended"]
    node.api.delete(f"/v1/suspensions/{made['id']}")
    wait_until(lambda: {e["state"] for e in queue(node).values()} == {"waiting"}, "it waits as before")
    after = queue(node)[ANN, people[0]]
    assert after["due_at"] == before["due_at"] and after["expires_at"] > before["expires_at"]
    assert [kind for kind, _ in events(node, after)] == ["deferred", "suspended", "released"]
    assert node.query("select count(*) from event where kind = 'suspended'") == [["30"]]
    wait_equal(lambda: node.query("select count(*) from suspension_pass"), [["0"]], "its passes are forgotten", timeout=60)


def test_two_nodes(new_posthouse, own_postgres, outside):
    """Made at one node, obeyed by the other."""
    first = new_posthouse(own_postgres, default_route=outside.port)
    first.start()
    second = new_posthouse(own_postgres, default_route=outside.port)
    second.database = first.database
    second.write_config(database__conninfo=own_postgres.conninfo(first.database))
    second.token = first.token
    second.start()
    first.api.customer("one")
    first.api.hosted_domain("one.test", "one")
    first.api.account(ANN, "one")
    made = suspend(first, "sender", ANN)
    second.wait_known()
    for node in (first, second):
        submit(node, ANN, DAN, subject="two nodes")
    wait_equal(lambda: first.query("select count(*) from queue_entry where held_by = 'suspension'"), [["2"]], "both are held")
    assert outside.messages == []
    second.api.delete(f"/v1/suspensions/{made['id']}")
    wait_equal(lambda: gone_out(outside), ["two nodes"] * 2, "both go on")


def test_destinations_as_people_write_them(node):
    """What waits for mx:NAME is found, and suspended, by the name in any form."""
    node.query("insert into message (cell, id, customer_id, sender, size, received_at, protocol) select 0, 7, id, '', 1, now(), 'SMTP'"
               " from customer where name = 'one';"
               " insert into queue_entry (cell, id, message_id, recipient, destination, due_at, expires_at, sender, customer_id)"
               " select 0, 7, 7, 'x@alias.test', 'mx:xn--bcher-kva.test', now() + interval '1 hour', now() + interval '1 day', '', customer_id"
               " from message where id = 7")
    made = suspend(node, "destination", "MX:B\u00fccher.test")
    assert made["value"] == "mx:xn--bcher-kva.test"
    entry, = parked(node, ("", "x@alias.test"))
    assert entry["state"] == "suspended"
    assert [e["id"] for e in node.api.get("/v1/queue", destination="Mx:B\u00fccher.test")["items"]] == [entry["id"]]
    node.query("delete from queue_entry where id = 7")
    for value in ("mx:[IPv6:::1]", "to:[h.test]:25", "domain:7"):
        made = node.api.post("/v1/suspensions", {"kind": "destination", "value": value, "reason": "abuse desk"})
        assert made["value"] == value.replace("IPv6", "ipv6")


def test_refused(node):
    good = {"kind": "sender", "value": "x@y.test", "reason": "x"}
    for body, field in (({**good, "kind": "host"}, "kind"), ({**good, "value": "nobody"}, "value"), ({**good, "reason": ""}, "reason"),
                        ({"kind": "sender", "value": "x@y.test"}, "reason"), ({**good, "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
                        ({**good, "kind": "customer"}, "value"), ({**good, "kind": "destination", "value": "mailbox"}, "value"),
                        ({**good, "kind": "destination", "value": "a b"}, "value"), ({**good, "more": 1}, "more")):
        problem(node, 422, "POST", "/v1/suspensions", body, field=field)
    made = node.api.post("/v1/suspensions", good)
    assert problem(node, 409, "POST", "/v1/suspensions", good, field="value")[1]["existing_id"] == made["id"]
    node.api.delete(f"/v1/suspensions/{made['id']}")
    for method in ("GET", "DELETE"):
        problem(node, 404, method, f"/v1/suspensions/{made['id']}")
    with pytest.raises(ApiError):
        node.api.get("/v1/queue", state="asleep")
