"""Health of a primary at its borders: what answers once is not up, who is full is not the primary, and what meets what."""
import datetime
import time

import pytest

from harness.faults import FaultyPostgres
from harness.process import wait_equal, wait_until
from harness.receiver import Receiver
from harness.requests import pages
from harness.sink import Behaviour, Sink
from test_health import CAROL, DAVE, DOMAIN, HEALTH, SETTINGS, delivered, health, held, in_seconds, outages, send, state_is


@pytest.fixture
def node(new_posthouse, sink):
    node = new_posthouse(settings=SETTINGS).start()
    node.api.customer("one")
    node.api.relay_domain(DOMAIN, "one", sink.port)
    for address in (CAROL, DAVE):
        node.api.account(address, "one")
    return node


def policy(node, **members):
    node.api.put(f"/v1/domains/{DOMAIN}/continuity-policy", members)
    node.wait_known()


def changes(node):
    """Of its health, the first first."""
    return [event["detail"].split(":")[0] for event in reversed(pages(node.api, f"{HEALTH}/events")) if event["type"] == "health.changed"]


def test_who_answers_once_is_not_up(node, sink):
    """With nothing to be delivered each answer is a probe's: so many in a row, or it is the same outage still."""
    policy(node, check_interval=1, down_after=1, up_after=6)
    sink.stop()
    wait_until(lambda: outages(node, state="open"), "an outage is open")
    for _ in range(2):
        before = sink.connections
        sink.start()
        state_is(node, "recovering")
        sink.stop()
        state_is(node, "down")
        assert sink.connections - before < 6
    assert len(outages(node)) == 1 and outages(node, state="open")
    before = sink.connections
    sink.start()
    state_is(node, "up")
    assert sink.connections - before >= 6
    assert changes(node)[-2:] == ["down -> recovering", "recovering -> up"] and len(outages(node)) == 1


def test_deliveries_count_as_answers(node, sink):
    policy(node, up_after=20)
    sink.stop()
    send(node, *[f"{number:02d}" for number in range(30)])
    wait_until(lambda: len(held(node)) == 30, "all is readable")
    before = sink.connections
    sink.start()
    state_is(node, "up")
    assert sink.connections - before < 10 and len(delivered(sink)) == 30


def test_who_is_found_down_has_an_outage_at_once(node, sink):
    """Of what probes find: not only after the three seconds that are for an outage's end."""
    policy(node, check_interval=1, down_after=2)
    wait_until(lambda: health(node)["last_probe_at"], "it is probed")
    sink.stop()
    wait_until(lambda: outages(node), "an outage is open")
    (outage,) = outages(node)
    (change,) = [event for event in pages(node.api, f"{HEALTH}/events") if event["type"] == "health.changed"]
    said, begun = (datetime.datetime.fromisoformat(when) for when in (change["at"], outage["started_at"]))
    assert outage["detection"] == "probe" and change["detail"].startswith("up -> down") and (begun - said).total_seconds() < 3


@pytest.mark.parametrize("way, after", [("451", "degraded"), ("cut", "up")])
def test_who_is_back_and_takes_nothing(new_posthouse, sink, way, after):
    """It greets, so it is back; what it puts off has its back-off. It is not well because of that, nor is there another outage at once."""
    node = new_posthouse(settings={**SETTINGS, "delivery.retry_first": "1h", "delivery.retry_max": "1h"}).start()
    node.api.customer("one")
    node.api.relay_domain(DOMAIN, "one", sink.port)
    node.api.account(CAROL, "one"), node.api.account(DAVE, "one")
    sink.stop()
    send(node, "one", "two", "three")
    send(node, "four", "five", to=DAVE)
    wait_until(lambda: len(held(node)) == 3 and len(held(node, DAVE)) == 2, "all is readable")
    sink.behave = Behaviour(end_reply="451 4.3.0 no") if way == "451" else Behaviour(cut_at="end", store=False)
    sink.start()
    wait_until(lambda: not health(node)["outage"], "the outage is over", timeout=60)
    state_is(node, after)
    wait_until(lambda: outages(node)[0]["counted_at"], "its report is there")
    (over,) = outages(node)
    assert [over[name] for name in ("held", "drained", "remaining", "lost")] == [5, 0, 5, 0]
    time.sleep(1)  # two ticks, in which another one would be opened
    assert len(outages(node)) == 1 and len(held(node)) == 3


@pytest.mark.parametrize("way", ["silent", "cut"])
def test_who_says_nothing_to_the_end_of_a_message(new_posthouse, sink, way):
    """It greets, and takes all but the end: once may be the message's fault; thrice in a row, and it is down, and all of it readable."""
    node = new_posthouse(settings={**SETTINGS, "delivery.data_timeout": "2s"}).start()
    node.api.customer("one")
    node.api.relay_domain(DOMAIN, "one", sink.port)
    node.api.account(CAROL, "one")
    sink.behave = Behaviour(silent_at="end", store=False) if way == "silent" else Behaviour(cut_at="end", store=False)
    send(node, "one")
    wait_until(lambda: health(node)["failures"], "it is met")
    assert health(node)["state"] == "up" and not outages(node) and held(node) == []
    send(node, "two", "three")
    wait_until(lambda: outages(node), "an outage is open")
    assert outages(node)[0]["detection"] == "delivery" and "after the final dot" in outages(node)[0]["reason"]
    wait_until(lambda: held(node) == ["one", "two", "three"], "all is readable")
    sink.behave = Behaviour()
    sink.hold.set()
    wait_until(lambda: not node.query("select 1 from queue_entry"), "all is delivered", timeout=60)
    wait_until(lambda: not health(node)["outage"], "the outage is over", timeout=60)
    assert set(delivered(sink)) == {"one", "two", "three"}


def test_a_reader_who_is_full_is_not_the_primary(node, sink):
    """4.2.x is about the mailbox (RFC 3463)."""
    policy(node, down_after=2)
    sink.behave = Behaviour(recipient_replies={CAROL: "452 4.2.2 mailbox full", DAVE: "451 4.3.0 busy"})
    send(node, "one", "two", "three")
    wait_equal(lambda: [entry["attempts"] > 0 for entry in node.api.get("/v1/queue")["items"]], [True] * 3, "all are put off")
    assert health(node)["state"] == "up" and not health(node)["weak"]
    send(node, "four", "five", to=DAVE)
    state_is(node, "degraded")


def test_a_drill_waits_for_an_outage_to_end(node, sink):
    """Nobody's mail waits longer than the primary is away because somebody pretends that it is."""
    sink.stop()
    send(node, "real")
    wait_until(lambda: held(node) == ["real"], "it is readable")
    drill = f"/v1/drills/{node.api.post('/v1/drills', {'domain': DOMAIN, 'seconds': 3600})['id']}"
    (real,) = outages(node)
    node.wait_known()
    sink.start()
    wait_until(lambda: delivered(sink) == ["real"], "it is delivered")
    wait_until(lambda: node.api.get(drill)["outage"], "and the drill begins")
    over, begun = node.api.get(f"/v1/outages/{real['id']}"), node.api.get(drill)["report"]
    assert (over["detection"], begun["detection"]) == ("delivery", "drill") and over["ended_at"] <= begun["started_at"]
    node.wait_known()
    send(node, "pretended")
    wait_until(lambda: held(node) == ["real", "pretended"], "it is readable")
    node.api.delete(drill)
    wait_equal(lambda: node.api.get(drill)["state"], "done", "it is over")
    assert delivered(sink) == ["real", "pretended"] and node.api.get(drill)["report"]["held"] == 1


def test_an_outage_during_a_drill(node, sink):
    """The primary dies while it is pretended to be away: the drill goes on as the outage that it has become."""
    drill = f"/v1/drills/{node.api.post('/v1/drills', {'domain': DOMAIN, 'seconds': 3600})['id']}"
    wait_until(lambda: node.api.get(drill)["outage"], "it is on")
    node.wait_known()
    send(node, "hello")
    sink.stop()
    node.api.delete(drill)
    state_is(node, "down")
    assert node.api.get(drill)["state"] == "draining" and held(node) == ["hello"]
    sink.start()
    wait_equal(lambda: node.api.get(drill)["state"], "done", "it is over")
    wait_until(lambda: delivered(sink) == ["hello"], "it is delivered, once")
    assert len(outages(node)) == 1 and node.api.get(drill)["report"]["lost"] == 0


def test_a_planned_outage_is_detected_from_its_time_on(node, sink):
    """Whoever tells of it tells the same: the drill, the outage, the list, and webhooks."""
    receiver = Receiver()
    try:
        receiver.secrets["/"] = node.api.post("/v1/webhooks", {"url": receiver.url + "/", "customer": "one"})["secret"]
        sink.stop()
        policy(node, check_interval=1, down_after=100)
        wait_until(lambda: health(node)["failing_since"], "that probes fail is no outage, and not why there is one")
        sink.start()
        drill = node.api.post("/v1/drills", {"domain": DOMAIN, "starts_at": in_seconds(1), "seconds": 2})
        path = f"/v1/drills/{drill['id']}"
        wait_equal(lambda: node.api.get(path)["state"], "done", "it is over", timeout=60)
        wait_until(lambda: "outage.closed" in receiver.types(), "it is told")
        (told,) = [told.data for told in receiver.told if told.type == "outage.closed"]
        report, (listed,) = node.api.get(path)["report"], outages(node)
        spans = [of["time_to_detect_ms"] for of in (report, node.api.get(f"/v1/outages/{report['id']}"), listed, told)]
        since = [datetime.datetime.fromisoformat(of) for of in (drill["starts_at"], report["started_at"])]
        assert spans == [spans[0]] * 4 and abs(spans[0] - (since[1] - since[0]).total_seconds() * 1000) <= 1
    finally:
        receiver.close()


def test_a_force_that_ends_by_itself_is_told_of(node, sink):
    receiver = Receiver()
    try:
        receiver.secrets["/"] = node.api.post("/v1/webhooks", {"url": receiver.url + "/", "customer": "one"})["secret"]
        node.api.put(HEALTH, {"force": "up", "reason": "known", "until": in_seconds(2)})
        wait_until(lambda: len(receiver.told) == 2, "that it is over is told, too")
        assert [(told.type, told.data["force"]) for told in receiver.told] == [("health.forced", "up"), ("health.forced", None)]
        assert [event["detail"] for event in pages(node.api, f"{HEALTH}/events")] == ["not forced any more: its time is over", "forced up: known"]
        now = health(node)
        assert (now["force"], now["force_reason"], now["force_until"]) == (None, None, None)
        assert not receiver.bad
    finally:
        receiver.close()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["refused", "lost"])
def test_the_end_of_a_force_and_a_database_that_fails(new_posthouse, own_postgres, sink, mode):
    faulty = FaultyPostgres(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, settings={**SETTINGS, "database.statement_timeout": "500ms"}).start()
        node.api.customer("one")
        node.api.relay_domain(DOMAIN, "one", sink.port)
        fault = faulty.arm("health_unforce", mode)
        node.api.put(HEALTH, {"force": "up", "reason": "known", "until": in_seconds(1)})
        wait_until(lambda: fault.struck, "it is struck")
        wait_equal(lambda: node.query("select forced from domain_health"), [[""]], "it is done a tick later")
        assert [event["type"] for event in pages(node.api, f"{HEALTH}/events")] == ["health.forced"] * 2, "told once"
        node.close()
    finally:
        faulty.close()


def test_whatever_name_it_was_sent_to(node, sink):
    """A second name of the domain, another spelling, a subaddress and an alias: all of it is counted."""
    node.api.post("/v1/domains", {"name": "second.test", "customer": "one", "kind": "alias", "target": DOMAIN})
    node.api.patch(f"/v1/accounts/{CAROL}", {"aliases": [f"cee@{DOMAIN}"]})
    sink.stop()
    names = [CAROL, "carol@second.test", "Carol@RELAYED.Test", f"carol+x@{DOMAIN}", "carol+y@SECOND.test", f"cee@{DOMAIN}"]
    for number, name in enumerate(names):
        send(node, f"{number}", to=name)
    wait_equal(lambda: len(held(node)), len(names), "all is readable")
    (outage,) = outages(node)
    assert [each["id"] for each in node.api.get("/v1/outages?domain=second.test")["items"]] == [outage["id"]], "the alias stands for it"
    for of in ("health", "health/events", "maintenance-windows"):
        status, _, problem = node.api.request("GET", f"/v1/domains/second.test/{of}")
        assert (status, problem["detail"]) == (409, "the domain is an alias: its target has the primary"), "it is not up"
    status, _, problem = node.api.request("POST", "/v1/drills", {"domain": "second.test"})
    assert (status, problem["detail"]) == (409, "the domain is an alias: its target has the primary"), "nor is it without one"
    now = node.api.get(f"/v1/outages/{outage['id']}")
    assert [now[name] for name in ("held", "drained", "remaining", "lost")] == [len(names), 0, len(names), 0]
    sink.start()
    state_is(node, "up")
    wait_until(lambda: node.api.get(f"/v1/outages/{outage['id']}")["counted_at"], "its report is there")
    over = node.api.get(f"/v1/outages/{outage['id']}")
    assert [over[name] for name in ("held", "drained", "remaining", "lost")] == [len(names), len(names), 0, 0]
    assert len(delivered(sink)) == len(names)


def test_many_that_do_not_answer_keep_nobody_away(new_posthouse, sink):
    """More domains than are probed at once have a primary that hangs; one that is back is found all the same."""
    with Sink() as silent:
        silent.behave = Behaviour(silent_at="banner")
        node = new_posthouse(settings={"delivery.probe_interval": "100ms", "delivery.connect_timeout": "2s", "daemon.workers": 1}).start()
        node.api.customer("one")
        node.api.relay_domain(DOMAIN, "one", sink.port)
        node.api.account(CAROL, "one")
        sink.stop()
        send(node, "hello")
        wait_until(lambda: held(node) == ["hello"], "the first outage is open")
        for number in range(140):
            node.api.relay_domain(f"d{number}.test", "one", silent.port)
        node.query("insert into outage (cell, id, domain_id, customer_id, domain, started_at, reason, detection)"
                   " select cell, id, id, customer_id, name, now(), 'away', 'delivery' from domain where name like 'd%.test'")
        wait_until(lambda: silent.connections >= 140, "they are probed", timeout=60)
        sink.start()
        at = time.monotonic()
        wait_until(lambda: delivered(sink) == ["hello"], "it is delivered", timeout=30)
        print(f"found after {time.monotonic() - at:.1f} s")
        silent.hold.set()


def test_a_maintenance_window_in_an_outage_is_told_of(node, sink):
    """It opens no outage, as one is open, nor closes one; and one that is ended before its time is told as ended then."""
    receiver = Receiver()
    path = f"/v1/domains/{DOMAIN}/maintenance-windows"

    def told():
        return [(each.type, each.data["window"], each.data["reason"]) for each in receiver.told if each.type.startswith("maintenance")]
    try:
        receiver.secrets["/"] = node.api.post("/v1/webhooks", {"url": receiver.url + "/", "customer": "one"})["secret"]
        sink.stop()
        send(node, "hello")
        state_is(node, "down")
        never = node.api.post(path, {"starts_at": in_seconds(3600), "ends_at": in_seconds(7200), "reason": "never"})
        window = node.api.post(path, {"starts_at": in_seconds(1), "ends_at": in_seconds(3000), "reason": "new disks"})
        expected = [("maintenance.started", window["id"], "new disks")]
        wait_equal(told, expected, "that it has begun is told")
        node.api.delete(f"{path}/{never['id']}")
        node.api.delete(f"{path}/{window['id']}")
        expected.append(("maintenance.ended", window["id"], "new disks"))
        wait_equal(told, expected, "and that it is over")
        (over,) = [each for each in receiver.told if each.type == "maintenance.ended"]
        assert over.data["ends_at"] == node.api.get(f"{path}/{window['id']}")["ends_at"] and over.data["domain"] == DOMAIN
        sink.start()
        state_is(node, "up")
        types = [event["type"] for event in reversed(pages(node.api, f"{HEALTH}/events"))]
        assert [each for each in types if not each.startswith("health")] == [
            "outage.opened", "maintenance.started", "maintenance.ended", "outage.closed"]
        assert len(told()) == 2 and not receiver.bad
    finally:
        receiver.close()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["refused", "lost"])
def test_a_maintenance_window_and_a_database_that_fails(new_posthouse, own_postgres, sink, mode):
    faulty = FaultyPostgres(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, settings={**SETTINGS, "database.statement_timeout": "500ms"}).start()
        node.api.customer("one")
        node.api.relay_domain(DOMAIN, "one", sink.port)
        fault = faulty.arm("health_tell_window", mode)
        node.api.post(f"/v1/domains/{DOMAIN}/maintenance-windows", {"starts_at": in_seconds(0), "ends_at": in_seconds(3), "reason": "new disks"})
        wait_until(lambda: fault.struck, "it is struck")
        wait_equal(lambda: node.query("select told from absence"), [["2"]], "both are told", timeout=30)
        types = [event["type"] for event in reversed(pages(node.api, f"{HEALTH}/events"))]
        assert [each for each in types if each.startswith("maintenance")] == ["maintenance.started", "maintenance.ended"], "once"
        node.close()
    finally:
        faulty.close()
