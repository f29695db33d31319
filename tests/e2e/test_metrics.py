"""/metrics: the queue in numbers, and what deliveries came to; every line as Prometheus reads it."""
import re

import pytest

from harness.names import Names
from harness.posthouse import make_message
from harness.process import wait_until
from harness.sink import Behaviour

ANN, DAN = "ann@numbers.test", "dan@outside.test"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{" + LABEL + "(?:," + LABEL + r")*\})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")


def parse(text):
    """{(name, labels): value}, or an AssertionError: the format 0.0.4, as promtool checks it."""
    assert text.endswith("\n")
    samples, types, helps, closed, current = {}, {}, set(), set(), None
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            assert what in ("HELP", "TYPE") and name not in closed, line
            if name != current and current:
                closed.add(current)
            current = name
            if what == "HELP":
                assert name not in helps and rest, line
                helps.add(name)
            else:
                assert name in helps and name not in types and rest in ("counter", "gauge"), line
                types[name] = rest
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        assert found[1] == current, f"a sample outside its group: {line}"
        assert (types[current] == "counter") == current.endswith("_total"), line
        key = found[1], found[2] or ""
        assert key not in samples, line
        samples[key] = float(found[3])
    return samples


@pytest.fixture
def node(new_posthouse, outside):
    outside.behave = Behaviour()
    node = new_posthouse(default_route=outside.port, settings={"delivery.retry_first": "10m", "delivery.retry_max": "1h"})
    node.start()
    node.api.customer("numbers")
    node.api.hosted_domain("numbers.test", "numbers")
    node.api.account(ANN, "numbers")
    yield node
    outside.behave = Behaviour()


def read(node):
    status, headers, text = node.api.request("GET", "/metrics", token="")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return parse(text)


def value(node, name, **labels):
    text = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return read(node).get((name, f"{{{text}}}" if labels else ""))


def test_attempts_and_deferrals_by_class(node, outside):
    classes = {"full": "452 4.2.2 full", "greylist": "451 4.7.1 greylisted, come again", "temporary": "451 4.3.0 disk"}
    for name, reply in classes.items():
        outside.behave = Behaviour(other_recipients=reply)
        node.submit(ANN, [f"{name}@outside.test"], make_message(name, sender=ANN))
        wait_until(lambda name=name: value(node, "posthouse_deferrals_total", **{"class": name}) == 1, f"{name} is counted")
    outside.behave = Behaviour()
    node.submit(ANN, [DAN], make_message("goes", sender=ANN))
    wait_until(lambda: value(node, "posthouse_delivered_total") == 1, "it is counted")
    assert value(node, "posthouse_delivery_attempts_total") == 4 and value(node, "posthouse_deferred_total") == 3
    assert value(node, "posthouse_next_hop_connections_total") >= 1
    outside.stop()
    try:
        node.submit(ANN, [DAN], make_message("away", sender=ANN))
        wait_until(lambda: (value(node, "posthouse_deferrals_total", **{"class": "connection"}) or 0) >= 1, "nobody answers, and that is counted")
    finally:
        outside.start()


def test_deferrals_that_no_reply_is_behind(new_posthouse, outside):
    """Each has a class: what DNS does not say, what we lack ourselves; and what a host says at its greeting is a reply."""
    with Names() as names:
        names.broken.add("broken.test")
        names.records["there.test", "A"] = ["127.0.0.1"]
        node = new_posthouse(settings={"delivery.retry_first": "10m", "delivery.retry_max": "1h", "daemon.workers": 1,
                                       "dns.resolver": names.resolver, "delivery.mx_port": outside.port}).start()
        for customer in ("numbers", "pooled"):
            node.api.customer(customer)
            node.api.hosted_domain(f"{customer}.test", customer)
            node.api.account(f"ann@{customer}.test", customer)
        node.api.patch("/v1/customers/pooled", {"source_addresses": ["192.0.2.1"]})
        outside.behave = Behaviour(banner="554 5.7.1 blocked using zen.spamhaus.org")
        try:
            for name, sender, domain in (("routing", ANN, "broken.test"), ("local", "ann@pooled.test", "there.test"), ("block-list", ANN, "there.test")):
                node.submit(sender, [f"{name}@{domain}"], make_message(name, sender=sender))
                wait_until(lambda name=name: value(node, "posthouse_deferrals_total", **{"class": name}) == 1, f"{name} is counted")
        finally:
            outside.behave = Behaviour()
        metrics = read(node)
        assert sum(count for (name, _), count in metrics.items() if name == "posthouse_deferrals_total") == metrics["posthouse_deferred_total", ""] == 3
        assert dict(node.query("select split_part(recipient, '@', 1), class from event where kind = 'deferred'")) == {
            name: name for name in ("routing", "local", "block-list")}


def test_the_queue_by_state_and_age(node, outside):
    outside.behave = Behaviour(other_recipients="451 4.7.1 not now")
    for i in range(5):
        node.submit(ANN, [f"user{i}@outside.test"], make_message("waits", sender=ANN))
    wait_until(lambda: len([e for e in node.api.get("/v1/queue")["items"] if e["attempts"]]) == 5, "all are put off")
    ids = sorted(int(row[0]) for row in node.query("select id from queue_entry"))
    for entry, minutes in zip(ids, (5, 30, 120, 3000)):  # an id is made of its time
        node.query(f"update queue_entry set id = id - ({minutes} * 60000::bigint << 22) where id = {entry}")
    node.api.post("/v1/suspensions", {"kind": "destination", "value": "outside.test", "reason": "numbers"})
    metrics = read(node)
    assert sum(count for (name, _), count in metrics.items() if name == "posthouse_queue_entries") == 5
    ages = {labels: count for (name, labels), count in metrics.items() if name == "posthouse_queue_age_entries" and "suspended" in labels}
    assert list(ages.values()) == [1] * 5 and len(ages) == 5
    assert abs(metrics["posthouse_queue_oldest_seconds", '{state="suspended"}'] - 3000 * 60) < 60
    assert metrics["posthouse_queue_oldest_seconds", '{state="held"}'] == 0
    assert metrics["posthouse_destination_entries", '{destination="default"}'] == 5
    assert metrics["posthouse_destination_failures", '{destination="default"}'] == 0


def test_destinations_are_bounded(node):
    node.submit(ANN, [f"user@outside{i}.test" for i in range(30)], make_message("many", sender=ANN))
    wait_until(lambda: not node.api.get("/v1/queue")["items"], "all have gone")
    node.query("insert into message (cell, id, customer_id, sender, size, received_at, protocol) values (0, 7, 1, '', 1, now(), 'SMTP');"
               " insert into destination (cell, key, due_at, failures) select 0, 'mx:d' || n || '.test', now() + interval '1 hour', 3"
               "   from generate_series(1, 30) n;"
               " insert into queue_entry (cell, id, message_id, recipient, destination, due_at, expires_at)"
               " select 0, n * 100 + m, 7, 'x@d' || n || '.test', 'mx:d' || n || '.test', now() + interval '1 day', now() + interval '1 day'"
               "   from generate_series(1, 30) n, generate_series(1, n) m")
    metrics = read(node)
    found = {labels: count for (name, labels), count in metrics.items() if name == "posthouse_destination_entries"}
    assert len(found) == 20 and found['{destination="mx:d30.test"}'] == 30 and '{destination="mx:d10.test"}' not in found
    assert metrics["posthouse_destinations_away", ""] == 30
    assert metrics["posthouse_destination_failures", '{destination="mx:d30.test"}'] == 3
    assert 3500 < metrics["posthouse_destination_retry_seconds", '{destination="mx:d30.test"}'] <= 3600
    node.query("delete from queue_entry")
    assert read(node)["posthouse_destination_entries", '{destination="mx:d30.test"}'] == 30, "it is kept, not counted at each scrape"


def test_without_a_database_nothing_is_told(new_posthouse, own_postgres):
    node = new_posthouse(own_postgres, default_route=9).start()
    assert ("posthouse_queue_entries", '{state="waiting"}') in read(node)
    own_postgres.stop()
    wait_until(lambda: ("posthouse_queue_entries", '{state="waiting"}') not in read(node), "what is kept is over", timeout=60)
    own_postgres.start()
    wait_until(lambda: ("posthouse_queue_entries", '{state="waiting"}') in read(node), "it is told again", timeout=60)
