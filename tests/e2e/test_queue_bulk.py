"""An action on all entries that a filter finds: counted first, started by who names the count, carried out in the background."""
import datetime
import itertools

import pytest

from harness.api import ApiError
from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.requests import problem

SENDERS = ["ann@many.test", "bob@many.test"]
MANY = 1300  # entries: more than two batches
FILLS = itertools.count()


@pytest.fixture(scope="module")
def node(posthouse, outside):
    """Two customers with a dead primary each."""
    for name in ("many", "few"):
        posthouse.api.customer(name)
        posthouse.api.relay_domain(f"{name}.test", name, 9)
    return posthouse


@pytest.fixture(autouse=True)
def empty(node):
    yield
    node.query("delete from queue_entry")


def fill(node, count=MANY):
    """Rows as of mail that waits; one message for each, of a time of its own: what was made before may still be there."""
    ago = 100_000 * next(FILLS)
    node.send(SENDERS[0], ["first@many.test"], make_message("first"))
    wait_until(lambda: [e for e in node.api.get("/v1/queue")["items"] if e["state"] == "waiting"], "the first waits")
    entry, = node.query("select id, message_id from queue_entry")
    node.query("create temporary table made as select n, "
               f"{entry[0]} - ((n + {ago})::bigint << 22) as id from generate_series(1, {count - 1}) n;"
               " insert into message (cell, id, customer_id, sender, size, received_at, protocol)"
               f" select m.cell, made.id, m.customer_id, '{SENDERS[1]}', 10, now(), 'ESMTP' from made, message m where m.id = {entry[1]};"
               " insert into queue_entry (cell, id, message_id, recipient, destination, domain_id, due_at, expires_at, sender, customer_id)"
               f" select q.cell, made.id, made.id, 'user' || n || '@many.test', q.destination, q.domain_id, now() + interval '1 hour',"
               f" now() + interval '1 day', '{SENDERS[1]}', q.customer_id from made, queue_entry q where q.id = {entry[0]}")


def make(node, **members):
    return node.api.post("/v1/queue-actions", members)


def start(node, action, count=None):
    return node.api.post(f"/v1/queue-actions/{action['id']}/start", {"count": action["count"] if count is None else count})


def over(node, action):
    return wait_until(lambda: (now := node.api.get(f"/v1/queue-actions/{action['id']}"))["state"] not in ("previewed", "running") and now,
                      "it is over", timeout=60)


def status_of(call, *arguments):
    with pytest.raises(ApiError) as error:
        call(*arguments)
    return error.value.status, error.value.body.get("field")


def until_tomorrow():
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_counted_then_done(node):
    fill(node)
    action = make(node, action="hold", sender=SENDERS[1], domain="many.test", until=until_tomorrow(), then="release", reason="a look")
    assert (action["state"], action["count"], action["done"]) == ("previewed", MANY - 1, 0)
    assert action["filter"]["sender"] == SENDERS[1] and action["filter"]["customer"] is None
    assert node.api.get("/v1/queue", state="held")["items"] == [], "nothing is done yet"
    assert status_of(start, node, action, 3) == (422, "count")
    assert start(node, action)["state"] in ("running", "done")
    done = over(node, action)
    assert (done["state"], done["done"], done["skipped"]) == ("done", MANY - 1, 0) and done["ended_at"]
    assert node.query("select count(*) from queue_entry where held_by = 'administrator' and held_reason = 'a look'") == [[str(MANY - 1)]]
    assert node.query("select count(*), count(distinct message_id) from event where kind = 'held' and detail like '%a look'") == [
        [str(MANY - 1)] * 2], "one event for each message"
    assert node.query(f"select count(*) from audit_log where path like '/v1/queue-actions/{action['id']}/start' and status = 200") == [["1"]]
    assert status_of(start, node, action) == (409, None), "once"
    assert status_of(node.api.post, f"/v1/queue-actions/{action['id']}/stop", None) == (409, None)
    assert action["id"] in [item["id"] for item in node.api.get("/v1/queue-actions")["items"]]

    released = make(node, action="release", state="held", customer="many")
    assert released["count"] == MANY - 1
    start(node, released)
    assert over(node, released)["done"] == MANY - 1
    wait_equal(lambda: node.api.get("/v1/queue", state="held")["items"], [], "they are released", timeout=60)


def test_cancel_many(node):
    fill(node)
    action = make(node, action="cancel", bounce=False, older_than="0")
    assert action["count"] == MANY
    start(node, action)
    assert over(node, action)["done"] + over(node, action)["skipped"] == MANY
    assert node.query("select count(*) from event where kind = 'cancelled'") == [[str(over(node, action)["done"])]]


def test_what_comes_after_the_count_is_left_alone(node):
    fill(node, 3)
    action = make(node, action="cancel", bounce=False, domain="many.test")
    node.send(SENDERS[0], ["late@many.test"], make_message("late"))
    start(node, action)
    assert over(node, action)["done"] == action["count"] == 3
    assert [entry["recipient"] for entry in node.api.get("/v1/queue")["items"]] == ["late@many.test"]


def test_what_does_not_fit_is_skipped(node):
    fill(node, 5)
    entries = node.api.get("/v1/queue")["items"]
    node.api.post(f"/v1/queue/{entries[0]['id']}/hold", {"until": until_tomorrow(), "then": "release", "reason": "one"})
    node.query("update queue_entry set worker = 1023, lease_until = now() + interval '1 hour'"
               f" where recipient = '{entries[1]['recipient']}'")  # as of a worker that has it
    action = make(node, action="release", customer="many")
    start(node, action)
    done = over(node, action)
    assert (done["count"], done["done"], done["skipped"]) == (5, 1, 4)


def test_stopped(node):
    fill(node, 3)
    action = make(node, action="priority", priority=4)
    assert node.api.post(f"/v1/queue-actions/{action['id']}/stop", None)["state"] == "stopped"
    assert status_of(start, node, action) == (409, None)
    assert {entry["priority"] for entry in node.api.get("/v1/queue")["items"]} == {0}


def test_redirect_and_retry_many(node, outside):
    outside.clear()
    fill(node, 2)
    action = make(node, action="redirect", next_hops=[{"host": "127.0.0.1", "port": outside.port}], sender=SENDERS[0])
    start(node, action)
    assert over(node, action)["done"] == 1
    wait_equal(lambda: [subject_of(message.data) for message in outside.messages], ["first"], "it went there")
    action = make(node, action="retry", domain="many.test")
    start(node, action)
    assert over(node, action)["done"] == 1


def test_a_killed_process_goes_on(new_posthouse, outside):
    """kill -9 of everything in the middle: what is done is done once, the rest is done after the start."""
    node = new_posthouse(default_route=9)
    node.start()
    for name in ("many", "few"):
        node.api.customer(name)
        node.api.relay_domain(f"{name}.test", name, 9)
    fill(node, 4000)
    action = make(node, action="priority", priority=-3)
    with node.locked("event"):  # the first batch waits
        start(node, action)
        node.kill()
    node.start()
    done = over(node, action)
    assert (done["state"], done["done"] + done["skipped"]) == ("done", 4000)
    assert node.query("select count(*), count(distinct message_id) from event where kind = 'priority'") == [[str(done["done"])] * 2]


@pytest.mark.parametrize("members, field", [
    ({}, "action"), ({"action": "burn"}, "action"), ({"action": "hold"}, "reason"), ({"action": "cancel"}, "bounce"),
    ({"action": "retry", "state": "asleep"}, "state"), ({"action": "retry", "customer": "nobody"}, "customer"),
    ({"action": "retry", "older_than": "soon"}, "older_than"), ({"action": "retry", "priority": 1}, "priority"),
    ({"action": "redirect", "next_hops": []}, "next_hops"), ({"action": "priority"}, "priority"),
    *(({"action": "cancel", "bounce": False, name: "0000000000000"}, name) for name in ("message", "group")),
])
def test_refused(node, members, field):
    problem(node, 422, "POST", "/v1/queue-actions", members, field=field)


def test_unknown(node):
    for method, path, body in (("GET", "", None), ("POST", "/start", {"count": 1}), ("POST", "/stop", None)):
        problem(node, 404, method, "/v1/queue-actions/0000000000000" + path, body)
