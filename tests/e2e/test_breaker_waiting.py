"""The circuit breaker, and what the account has in the queue when it is opened, or that somebody decides about while it is open."""
from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from test_breaker import ANN, DAN, TOLD, breaker, burst, decide, node, policy, queue, subjects  # noqa: F401: node is a fixture


def holds(node):  # noqa: F811
    return {entry["hold"] and entry["hold"]["by"] for entry in queue(node, account=ANN)}


def looked(node):  # noqa: F811
    """What waits was looked through."""
    return node.query("select count(looked_at) from breaker_open") == [["1"]]


def test_what_is_released_stays_so(node, outside):  # noqa: F811
    """While the breaker is open, and what waits is looked through again: what its next hop does not take yet is not held a second time."""
    policy(node, customer="burst", messages=1)
    outside.stop()
    sent = burst(node)
    wait_until(lambda: holds(node) == {"breaker"} and looked(node), "all is held")
    assert decide(node, "release") == len(sent)
    wait_equal(lambda: holds(node), {None}, "released")
    for _ in range(2):
        node.query("update breaker_open set looked_at = null returning 1")
        wait_until(lambda: looked(node), "it is looked through")
    assert breaker(node)["state"] == "open" and holds(node) == {None}
    # what nobody has decided about is
    node.submit(ANN, DAN, make_message("later", sender=ANN))
    assert [entry["hold"]["by"] for entry in queue(node, account=ANN, held_by="breaker")] == ["breaker"]
    outside.start()
    wait_equal(lambda: sorted(subjects(outside)), sorted(sent), "it goes, once each", timeout=60)
    assert node.subjects(ANN) == [TOLD]


def test_what_its_sender_has_put_off(node, outside):  # noqa: F811
    """FUTURERELEASE: what would go later does not, either."""
    policy(node, customer="burst", messages=3)
    for seconds in (3600, 90 * 86400):
        with node.submission(ANN) as client:
            client.ehlo()
            assert client.docmd("MAIL", f"FROM:<{ANN}> HOLDFOR={min(seconds, int(client.esmtp_features['futurerelease'].split()[0]))}")[0] == 250
            client.rcpt(DAN)
            assert client.data(make_message(f"in {seconds}", sender=ANN))[0] == 250
    until = [entry["hold"]["until"] for entry in queue(node, held_by="sender")]
    assert len(until) == 2
    burst(node)
    wait_equal(lambda: len(queue(node, held_by="sender")), 0, "it is held by the breaker")
    held = queue(node, account=ANN, held_by="breaker")
    assert all(entry["hold"]["approval"] and entry["hold"]["then"] == "reject" for entry in held)
    assert min(entry["hold"]["until"] for entry in held) > min(until), "not as its sender said"
    went = len(subjects(outside))
    assert decide(node, "release") == len(held)
    wait_equal(lambda: len(subjects(outside)), went + len(held), "released, it goes")
    assert {"in 3600", f"in {90 * 86400}"} <= set(subjects(outside)) and len(set(subjects(outside))) == len(subjects(outside))


def test_what_is_suspended_or_at_a_limit(node, outside):  # noqa: F811
    """Nor what would go when that is over; and what is released while its destination is suspended waits for that."""
    node.api.post("/v1/relay-grants", {"customer": "burst", "account": ANN, "at_limit": "hold", "messages_per_day": 1, "hold_then": "release"})
    suspension = node.api.post("/v1/suspensions", {"kind": "destination", "value": "away.test", "reason": "x"})
    policy(node, customer="burst", messages=3)
    node.submit(ANN, "dan@away.test", make_message("suspended", sender=ANN))
    wait_equal(lambda: holds(node), {"suspension"}, "it is suspended")
    node.submit(ANN, DAN, make_message("limit", sender=ANN))
    assert holds(node) == {"suspension", "limit"}
    burst(node)
    wait_equal(lambda: holds(node), {"breaker"}, "it is held by the breaker")
    held = queue(node, account=ANN)
    assert all(entry["hold"]["approval"] for entry in held)
    assert decide(node, "release") == len(held)
    wait_equal(lambda: holds(node), {"suspension"}, "it is suspended again, and the others go")
    assert "suspended" not in subjects(outside)
    node.api.delete(f"/v1/suspensions/{suspension['id']}")
    wait_until(lambda: "suspended" in subjects(outside), "it goes")
    wait_equal(lambda: queue(node, account=ANN), [], "and all is gone")
    assert len(subjects(outside)) == len(held), "once each"
