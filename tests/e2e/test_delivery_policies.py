"""How long, and how often, mail to a domain is tried, where that is not as the configuration says."""

import pytest

from harness.names import Names
from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from harness.requests import problem
from harness.sink import Behaviour

ANN, DAN, EVE = "ann@one.test", "dan@slow.test", "eve@other.test"
LATER = "451 4.2.1 come back later"


@pytest.fixture
def node(new_posthouse, outside):
    outside.behave = Behaviour(other_recipients=LATER)
    return set_up(new_posthouse(default_route=outside.port))


def set_up(node):
    node.start()
    node.api.customer("one")
    node.api.hosted_domain("one.test", "one")
    node.api.account(ANN, "one")
    return node


def policy(node, domain="slow.test", **members):
    made = node.api.post("/v1/delivery-policies", {"domain": domain, **members})
    node.wait_known()
    return made


def submit(node, *recipients, subject="hello"):
    node.submit(ANN, list(recipients), make_message(subject, sender=ANN))


def entries(node):
    return {entry["recipient"]: entry for entry in node.api.get("/v1/queue")["items"]}


def seconds(node, later, earlier, recipient):
    """Between two columns of its entry."""
    rows = node.query(f"select extract(epoch from {later} - {earlier}) from queue_entry q join message m on m.id = q.message_id"
                      f" where q.recipient = '{recipient}'")
    return float(rows[0][0]) if rows and rows[0][0] else None


def put_off(node, recipient):
    """Seconds from the refusal to the next try."""
    wait_until(lambda: recipient in entries(node) and entries(node)[recipient]["attempts"], "it is put off")
    return float(node.query(f"select extract(epoch from due_at - now()) from queue_entry where recipient = '{recipient}'")[0][0])


def test_lifetime(node):
    policy(node, lifetime=3)
    submit(node, DAN, EVE)
    assert round(seconds(node, "q.expires_at", "m.received_at", DAN)) == 3
    assert round(seconds(node, "q.expires_at", "m.received_at", EVE)) == 5 * 86400
    wait_until(lambda: node.subjects(ANN), "it is returned")
    wait_until(lambda: DAN not in entries(node), "it has left the queue")
    assert EVE in entries(node)


def test_the_domain_in_any_form(node):
    policy(node, domain="BÜCHER.Example", lifetime=3000)
    submit(node, "dan@XN--BCHER-KVA.example", "dan@sub.xn--bcher-kva.example")
    found = sorted((seconds(node, "q.expires_at", "m.received_at", recipient), recipient.lower()) for recipient in entries(node))
    assert [(round(life), name) for life, name in found] == [(3000, "dan@xn--bcher-kva.example"),
                                                             (432000, "dan@sub.xn--bcher-kva.example")]


def test_delay_notice(node):
    policy(node, delay_notice=1, retry_first=1, retry_max=1)
    policy(node, domain="other.test", delay_notice=0)
    submit(node, DAN, EVE, "fay@third.test")
    wait_equal(lambda: len(node.subjects(ANN)), 1, "the sender is told once")
    delays = dict(node.query("select recipient, delay_at from queue_entry"))
    assert delays[DAN] == "infinity" and delays[EVE] == "" and delays["fay@third.test"] not in ("", "infinity")
    assert round(seconds(node, "q.delay_at", "m.received_at", "fay@third.test")) == 4 * 3600


def test_times_between_tries(node):
    made = policy(node, retry_first=1000, retry_max=2000)
    submit(node, DAN, EVE)
    assert 780 < put_off(node, DAN) <= 1000  # up to a fifth less, by chance
    assert put_off(node, EVE) <= 2
    node.api.patch("/v1/delivery-policies/slow.test", {"retry_first": None, "retry_max": 1})
    node.wait_known()
    node.api.post(f"/v1/queue/{entries(node)[DAN]['id']}/retry", {})
    wait_until(lambda: entries(node)[DAN]["attempts"] >= 3, "it is tried as the configuration says, a second at most apart")
    node.api.delete(f"/v1/delivery-policies/{made['id']}")
    wait_until(lambda: entries(node)[DAN]["attempts"] >= 5, "and so without a policy")


def test_a_destination_that_is_away(new_posthouse):
    """Its own domain's policy says when it is asked again, whatever waits for it."""
    with Names() as names:
        for domain in ("slow.example", "other.example"):
            names.records[domain, "A"] = ["127.0.0.1"]
        node = set_up(new_posthouse(settings={"dns.resolver": names.resolver, "delivery.retry_first": "200s", "delivery.retry_max": "200s"}))
        policy(node, domain="slow.example", retry_first=5000, retry_max=5000)
        submit(node, "dan@slow.example", "eve@other.example")
        wait = lambda key: [float(value) for (value,) in node.query(  # noqa: E731
            f"select extract(epoch from due_at - now()) from destination where key = '{key}' and failures > 0")]
        wait_until(lambda: wait("mx:slow.example") and wait("mx:other.example"), "both are away")
        assert 3900 < wait("mx:slow.example")[0] <= 5000 and 150 < wait("mx:other.example")[0] <= 200


def test_after_a_restart(node):
    policy(node, lifetime=77)
    node.stop()
    node.start()
    submit(node, DAN)
    assert round(seconds(node, "q.expires_at", "m.received_at", DAN)) == 77


def test_by_id_and_domain(node):
    made = policy(node, lifetime=60, label="slow")
    assert made == node.api.get("/v1/delivery-policies/Slow.Test") == node.api.get(f"/v1/delivery-policies/{made['id']}")
    assert {**made, "id": 0, "created_at": 0} == {"id": 0, "domain": "slow.test", "lifetime": 60, "delay_notice": None, "retry_first": None,
                                                  "retry_max": None, "tls": None, "label": "slow",
                                                  "transaction_recipients": None, "connection_messages": None,
                                                  "created_at": 0}
    changed = node.api.patch("/v1/delivery-policies/slow.test", {"lifetime": None, "delay_notice": 0, "label": None})
    assert (changed["lifetime"], changed["delay_notice"], changed["label"]) == (None, 0, None)
    second = policy(node, domain="b.test")
    page = node.api.get("/v1/delivery-policies", limit=1)
    assert [item["id"] for item in page["items"]] == [made["id"]]
    rest = node.api.get("/v1/delivery-policies", cursor=page["next_cursor"])
    assert [item["id"] for item in rest["items"]] == [second["id"]] and rest["next_cursor"] is None
    node.api.delete("/v1/delivery-policies/slow.test")
    assert node.query("select method, status from audit_log where path like '/v1/delivery-policies%' order by id") == [
        ["POST", "201"], ["PATCH", "200"], ["POST", "201"], ["DELETE", "204"]]
    for method in ("GET", "DELETE"):
        problem(node, 404, method, "/v1/delivery-policies/slow.test")
    problem(node, 404, "PATCH", "/v1/delivery-policies/slow.test", {"lifetime": 1})


def test_refused(node):
    good = {"domain": "slow.test", "lifetime": 60}
    for more, field in (({"domain": "a b"}, "domain"), ({"domain": "*"}, "domain"), ({"lifetime": 0}, "lifetime"),
                        ({"lifetime": 2592001}, "lifetime"), ({"lifetime": "5d"}, "lifetime"), ({"delay_notice": -1}, "delay_notice"),
                        ({"retry_first": 0}, "retry_first"), ({"retry_max": 604801}, "retry_max"), ({"label": ""}, "label"),
                        ({"tls": "dane-ish"}, "tls"), ({"tls": 1}, "tls"), ({"transaction_recipients": 101}, "transaction_recipients"),
                        ({"transaction_recipients": 0}, "transaction_recipients"), ({"connection_messages": 0}, "connection_messages"),
                        ({"retry_first": 20, "retry_max": 10}, "retry_max"), ({"more": 1}, "more")):
        problem(node, 422, "POST", "/v1/delivery-policies", {**good, **more}, field=field)
    problem(node, 422, "POST", "/v1/delivery-policies", {"lifetime": 60}, field="domain")
    made = node.api.post("/v1/delivery-policies", {**good, "retry_first": 20})
    assert problem(node, 409, "POST", "/v1/delivery-policies", good, field="domain")[1]["existing_id"] == made["id"]
    problem(node, 422, "PATCH", "/v1/delivery-policies/slow.test", {"retry_max": 10}, field="retry_max")


# ------------------------------------------------------------------ how much at once

def sizes(sink):
    return sorted(len(message.recipients) for message in sink.messages)


@pytest.mark.parametrize("by", ["the setting", "the policy"])
def test_recipients_of_a_transaction(new_posthouse, sink, by):
    """As many as the setting says, or the policy of the domain; together with others the least holds."""
    settings = {"delivery.transaction_recipients": 4, "daemon.workers": 1}
    node = set_up(new_posthouse(default_route=sink.port, settings=settings if by == "the setting" else None))
    if by == "the policy":
        policy(node, transaction_recipients=4)
    submit(node, *(f"p{number}@slow.test" for number in range(10)))
    wait_equal(lambda: sum(sizes(sink)), 10, "all have come")
    assert sizes(sink) == [2, 4, 4]
    sink.clear()
    submit(node, *(f"p{number}@other.test" for number in range(6)))
    wait_equal(lambda: sum(sizes(sink)), 6, "all have come")
    assert sizes(sink) == ([2, 4] if by == "the setting" else [6])
    sink.clear()
    submit(node, *(f"p{number}@{('slow', 'other')[number % 2]}.test" for number in range(8)))
    wait_equal(lambda: sum(sizes(sink)), 8, "all have come")
    assert sizes(sink) == [4, 4]


@pytest.mark.parametrize("by", ["the setting", "the policy"])
def test_messages_of_a_connection(new_posthouse, sink, by):
    node = set_up(new_posthouse(default_route=sink.port, settings={
        "daemon.workers": 1, "delivery.per_destination_max": 1, "delivery.connection_messages": 2 if by == "the setting" else 0}))
    if by == "the policy":
        policy(node, connection_messages=2)
    for number in range(7):
        submit(node, DAN, subject=f"m{number}")
        wait_equal(lambda number=number: len(sink.messages), number + 1, "it has come")
    sessions = [message.session for message in sink.messages]
    assert max(sessions.count(session) for session in sessions) == 2 and len(set(sessions)) >= 4
    sink.clear()
    submit(node, *(f"p{number}@slow.test" for number in range(250)), subject="more transactions than a connection has")
    wait_equal(lambda: sum(sizes(sink)), 250, "all have come")
    sessions = [message.session for message in sink.messages]
    assert len(sessions) == 3 and max(sessions.count(session) for session in sessions) <= 2
    assert node.query("select count(*) from event where kind in ('deferred', 'bounced')") == [["0"]]
