"""What an administrator does to mail that waits: each action on one entry, its event, and its row of the audit log."""
import collections
import datetime
import email
import email.policy
import itertools

import pytest

from harness.api import ApiError
from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour, Sink

ANN, CAROL, DAN = "ann@acts.test", "carol@primary.test", "dan@outside.test"
LATER = {"settings": {"delivery.retry_first": "10m", "delivery.retry_max": "1h", "delivery.probe_interval": "10m"}}


@pytest.fixture
def node(new_posthouse, sink, outside):
    """What is put off stays so: nothing but an administrator makes it go."""
    outside.clear()
    outside.behave = Behaviour()
    sink.clear()
    sink.behave = Behaviour()
    node = new_posthouse(default_route=outside.port, **LATER)
    node.start()
    node.api.customer("acts")
    node.api.hosted_domain("acts.test", "acts")
    node.api.account(ANN, "acts")
    node.api.relay_domain("primary.test", "acts", sink.port)
    yield node
    sink.behave = outside.behave = Behaviour()


def until_tomorrow():
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def queue(node):
    return {entry["recipient"]: entry for entry in node.api.get("/v1/queue")["items"]}


def act(node, entry, what, body=None):
    return node.api.post(f"/v1/queue/{entry['id']}/{what}", body)


def refused(node, entry, what, body=None):
    with pytest.raises(ApiError) as error:
        act(node, entry, what, body)
    return error.value.status, error.value.body.get("field")


def events(node, entry):
    return [(event["kind"], event["detail"]) for event in node.api.get(f"/v1/messages/{entry['message']}/events")["items"]
            if event["recipient"] == entry["recipient"]]


def audited(node, what):
    return int(node.query(f"select count(*) from audit_log where path like '/v1/queue/%/{what}' and status = 200")[0][0])


def put_off(node, where, *recipients, sender=ANN, reply="451 4.7.1 not now"):
    """Mail that was told to come again, which it does not do by itself for ten minutes."""
    where.behave = Behaviour(other_recipients=reply)
    node.submit(ANN, list(recipients), make_message("put off", sender=sender))
    wait_until(lambda: all(recipient in queue(node) and queue(node)[recipient]["attempts"] and
                           queue(node)[recipient]["state"] == "waiting" for recipient in recipients), "it is put off")
    where.behave = Behaviour()
    return [queue(node)[recipient] for recipient in recipients]


def subjects(where):
    return [subject_of(message.data) for message in where.messages]


def test_retry_now(node, outside):
    entry, = put_off(node, outside, DAN)
    assert act(node, entry, "retry")["id"] == entry["id"]
    wait_equal(lambda: subjects(outside), ["put off"], "it has gone")
    wait_until(lambda: not queue(node), "the queue is empty")
    told = events(node, entry)
    assert [kind for kind, _ in told] == ["deferred", "retried", "delivered"] and "451 4.7.1 not now" in told[0][1]
    assert audited(node, "retry") == 1
    assert refused(node, entry, "retry") == (404, None)


def test_retry_of_a_destination_that_is_away(node, outside):
    outside.stop()
    try:
        node.submit(ANN, [DAN], make_message("away", sender=ANN))
        wait_until(lambda: DAN in queue(node) and queue(node)[DAN]["last_reply"] and queue(node)[DAN]["state"] == "waiting", "it is away")
        entry = queue(node)[DAN]
        assert entry["due_at"] > entry["received_at"]
    finally:
        outside.start()
    act(node, entry, "retry")
    wait_equal(lambda: subjects(outside), ["away"], "it has gone")


def test_retry_during_an_outage_asks_for_a_probe(node, sink):
    node.api.account(CAROL, "acts")
    sink.stop()
    try:
        node.send(DAN, [CAROL], make_message("probed"))
        wait_until(lambda: node.api.get("/v1/outages", open="true")["items"] and CAROL in queue(node)
                   and queue(node)[CAROL]["state"] == "waiting", "there is an outage")
    finally:
        sink.start()
    act(node, queue(node)[CAROL], "retry")
    wait_equal(lambda: subjects(sink), ["probed"], "the primary was probed, and has it")


def test_priority_and_held(node, outside):
    entry, = put_off(node, outside, DAN)
    assert act(node, entry, "priority", {"priority": 7})["priority"] == 7
    assert events(node, entry)[-1] == ("priority", "7") and audited(node, "priority") == 1
    for body, field in (({}, "priority"), ({"priority": 10}, "priority"), ({"priority": "x"}, "priority"),
                        ({"priority": 1, "more": 1}, "more")):
        assert refused(node, entry, "priority", body) == (422, field)
    act(node, entry, "hold", {"until": until_tomorrow(), "then": "release", "reason": "a look"})
    assert refused(node, entry, "retry") == (409, None), "it is held: release it"
    assert act(node, entry, "release")["hold"]["then"] == "release"
    wait_until(lambda: not queue(node) or queue(node)[DAN]["state"] != "held", "it is released")


def test_higher_goes_first(node, outside):
    """Two that wait for one destination; the later one is made urgent."""
    outside.stop()
    try:
        for name in ("first", "second"):
            node.submit(ANN, [f"{name}@outside.test"], make_message(name, sender=ANN))
        wait_until(lambda: len(queue(node)) == 2 and all(e["state"] == "waiting" and e["last_reply"] for e in queue(node).values()), "both wait")
        act(node, queue(node)["second@outside.test"], "priority", {"priority": 5})
    finally:
        outside.start()
    act(node, queue(node)["first@outside.test"], "retry")
    wait_until(lambda: len(subjects(outside)) == 2, "both have gone")
    assert subjects(outside)[0] == "second"


def test_cancel_with_and_without_a_bounce(node, outside):
    with_, without = put_off(node, outside, DAN, "eve@outside.test")
    for body in ({}, {"bounce": "yes"}, {"bounce": None}):
        assert refused(node, with_, "cancel", body) == (422, "bounce")
    assert act(node, without, "cancel", {"bounce": False})["id"] == without["id"]
    assert set(queue(node)) == {DAN} and node.inbox(ANN) == []
    assert events(node, without)[-1][0] == "cancelled"
    act(node, with_, "cancel", {"bounce": True})
    notice, = wait_until(lambda: node.inbox(ANN), "the sender has it back")
    report = list(email.message_from_bytes(notice, policy=email.policy.default).iter_parts())[1].get_payload()
    assert [block["Final-Recipient"] for block in report if block["Final-Recipient"]] == [f"rfc822; {DAN}"]
    assert "decided" in [kind for kind, _ in events(node, with_)] and audited(node, "cancel") == 2
    wait_until(lambda: not queue(node), "the queue is empty")
    assert outside.messages == []
    wait_equal(lambda: node.query(f"select count(*) from message_body b join message m on m.id = b.message_id where m.sender = '{ANN}'"),
               [["0"]], "nothing holds its content any more", timeout=90)


def test_redirect_and_back(node, outside):
    entry, = put_off(node, outside, DAN)
    with Sink() as other:
        there = act(node, entry, "redirect", {"next_hops": [{"host": "127.0.0.1", "port": 9}, {"host": "127.0.0.1", "port": other.port}]})
        assert there["destination"] == f"to:[127.0.0.1]:9,[127.0.0.1]:{other.port}" and there["redirected_from"] == "default"
        wait_equal(lambda: subjects(other), ["put off"], "the first does not answer, the second has it")
    assert outside.messages == [] and audited(node, "redirect") == 1
    wait_until(lambda: not queue(node), "the queue is empty")
    assert [kind for kind, _ in events(node, entry)] == ["deferred", "redirected", "delivered"]


def test_redirect_by_a_route(node, outside, sink):
    """From a route that is deleted then it comes back to where it was."""
    first, = put_off(node, outside, DAN)
    with Sink() as other:
        node.api.post("/v1/routes", {"name": "by hand", "next_hops": [{"host": "127.0.0.1", "port": other.port}]})
        there = act(node, first, "redirect", {"route": "by hand"})
        assert there["destination"].startswith("route:") and there["redirected_from"] == "default"
        wait_equal(lambda: subjects(other), ["put off"], "it goes that way")
    wait_until(lambda: not queue(node), "the queue is empty")
    entry, = put_off(node, sink, CAROL)
    assert refused(node, entry, "redirect", {"route": "nothing"}) == (422, "route")
    assert refused(node, entry, "redirect", {"route": "by hand", "next_hops": [{"host": "h.test"}]}) == (422, "route")
    node.api.post("/v1/routes", {"name": "nowhere", "next_hops": [{"host": "127.0.0.1", "port": 9}]})
    act(node, entry, "redirect", {"route": "nowhere"})
    wait_until(lambda: CAROL in queue(node) and "refused" in (queue(node)[CAROL]["last_reply"] or ""), "nobody answers there")
    node.api.delete("/v1/routes/nowhere")
    wait_equal(lambda: subjects(sink), ["put off"], "its primary has it")


def test_redirect_of_relayed_mail_and_back(node, sink):
    entry, = put_off(node, sink, CAROL)
    there = act(node, entry, "redirect", {"next_hops": [{"host": "127.0.0.1", "port": 9}]})
    assert there["redirected_from"] == entry["destination"]
    wait_until(lambda: CAROL in queue(node) and queue(node)[CAROL]["state"] == "waiting" and "refused" in queue(node)[CAROL]["last_reply"],
               "nobody answers there")
    assert node.api.get("/v1/outages", open="true")["items"] == [], "its primary is not away"
    with pytest.raises(ApiError):
        node.api.delete("/v1/domains/primary.test")
    back = act(node, queue(node)[CAROL], "redirect", {"next_hops": None})
    assert back["destination"] == entry["destination"] and back["redirected_from"] is None
    wait_equal(lambda: subjects(sink), ["put off"], "its primary has it")


@pytest.mark.parametrize("hops, field", [
    ([], "next_hops"), ("x", "next_hops"), ([{}], "next_hops[0].host"), ([{"host": "a b"}], "next_hops[0].host"),
    ([{"host": "[::1]"}], "next_hops[0].host"), ([{"host": "h.test", "port": 0}], "next_hops[0].port"),
    ([{"host": "h.test"}] * 5, "next_hops"), ([{"host": "h.test", "priority": 1}], "next_hops[0].priority"),
])
def test_redirect_refused(node, outside, hops, field):
    entry, = put_off(node, outside, DAN)
    assert refused(node, entry, "redirect", {"next_hops": hops}) == (422, field)


def test_what_is_being_delivered_is_left_alone(node, outside):
    """409: whoever asks looks again; nothing is changed under a worker."""
    outside.hold.clear()
    outside.behave = Behaviour(silent_at="data")
    node.submit(ANN, [DAN], make_message("under way", sender=ANN))
    wait_until(lambda: outside.asked and DAN in queue(node), "it is being delivered")
    entry = queue(node)[DAN]
    assert entry["state"] == "active"
    for what, body in (("retry", None), ("hold", {"until": until_tomorrow(), "then": "release", "reason": "x"}), ("reject", None),
                       ("release", None), ("cancel", {"bounce": False}), ("redirect", {"next_hops": None}), ("priority", {"priority": 1})):
        assert refused(node, entry, what, body) == (409, None), what
    outside.behave = Behaviour()
    outside.hold.set()
    wait_until(lambda: not queue(node), "it has gone")
    assert [kind for kind, _ in events(node, entry)][-1] == "delivered"


def test_what_an_administrator_does_looks_at_no_other_entry(new_posthouse, sink):
    """Nor does what goes on beside it, whatever waits or is held: plans that were made while little waited find an entry by its id."""
    node = new_posthouse(settings={"daemon.workers": 1, "delivery.probe_interval": "1h"}).start()
    node.api.customer("acts")
    node.api.relay_domain("dead.test", "acts", 9)
    numbers = itertools.count()

    def one():
        recipient = f"x{next(numbers)}@dead.test"
        node.send("", [recipient], make_message("x"))
        newest = {"domain": "dead.test", "newer_than": "600", "limit": 1000}
        return wait_until(lambda: [e for e in node.api.get("/v1/queue", **newest)["items"] if (e["recipient"], e["state"]) == (recipient, "waiting")],
                          "it waits", timeout=60)[0]

    def gone(entry):
        wait_equal(lambda: node.api.request("GET", f"/v1/queue/{entry['id']}")[0], 404, "it is gone", timeout=60)

    def everything():
        held = {"until": until_tomorrow(), "reason": "x"}
        entry = one()
        act(node, entry, "priority", {"priority": 1})
        act(node, entry, "hold", {**held, "then": "release"})
        act(node, entry, "expire")
        wait_equal(lambda: node.api.get(f"/v1/queue/{entry['id']}")["state"], "waiting", "it goes on")
        act(node, entry, "cancel", {"bounce": False})
        gone(entry)
        entry = one()
        act(node, entry, "hold", {**held, "then": "discard"})
        act(node, entry, "expire")
        gone(entry)
        entry = one()
        act(node, entry, "reject")
        gone(entry)
        entry = one()
        act(node, entry, "retry")
        assert node.api.get(f"/v1/queue/{entry['id']}")["id"] == entry["id"]

    def numbers_of(what, table):
        return int(node.query(f"select pg_stat_clear_snapshot(), {what} from {table} where relname = 'queue_entry'")[0][1])
    everything()
    node.query("analyze queue_entry, message, destination")
    node.query("create temporary table made as select n, q.cell, q.message_id, q.id - ((n + 10000000)::bigint << 22) as made from"
               " (select * from queue_entry limit 1) q, generate_series(1, 40000) n;"
               " insert into message (cell, id, customer_id, sender, size, received_at, protocol)"
               " select m.cell, made, m.customer_id, m.sender, 10, now(), 'ESMTP' from made join message m on m.id = made.message_id;"
               " insert into queue_entry (cell, id, message_id, recipient, destination, domain_id, due_at, expires_at, sender, customer_id,"
               " held_until, held_by, held_reason, held_then)"
               " select q.cell, made, made, 'user' || n || '@dead.test', q.destination, q.domain_id, q.due_at, q.expires_at, q.sender, q.customer_id,"
               " case when n % 100 = 0 then now() + interval '1 day' end, case when n % 100 = 0 then 'limit' end, case when n % 100 = 0 then 'x' end,"
               " case when n % 100 = 0 then 'release' end from made, (select * from queue_entry limit 1) q")

    def read():
        """By each index, but for those by which pages are looked at on purpose."""
        rows = node.query("select indexrelname, idx_tup_read from pg_stat_user_indexes where relname = 'queue_entry'"
                          " and indexrelname not in ('queue_entry_domain', 'queue_entry_by_domain', 'queue_entry_by_hold')")
        return collections.Counter({name: int(count) for name, count in rows})
    before, changed = read(), numbers_of("n_tup_upd + n_tup_del", "pg_stat_user_tables")
    everything()
    wait_until(lambda: numbers_of("n_tup_upd + n_tup_del", "pg_stat_user_tables") >= changed + 11, "all of it is told", timeout=60)
    counts = read() - before
    assert counts.total() < 20000, f"not even once: {counts}"
