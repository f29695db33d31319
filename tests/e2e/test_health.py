"""Health of a primary: what it is found to be, forcing, planned absences, what an outage came to, and drills."""
import datetime
import email
import imaplib
import poplib
import re
import smtplib
import threading
import time

import pytest

from harness.faults import FaultyPostgres
from harness.posthouse import PASSWORD, make_message
from harness.process import wait_equal, wait_until
from harness.receiver import Receiver
from harness.requests import pages, problem
from harness.sink import Behaviour

DOMAIN, CAROL, DAVE = "relayed.test", "carol@relayed.test", "dave@relayed.test"
HEALTH = f"/v1/domains/{DOMAIN}/health"
SETTINGS = {"delivery.probe_interval": "300ms", "webhooks.networks": "127.0.0.0/8"}


@pytest.fixture
def node(new_posthouse, sink):
    node = new_posthouse(settings=SETTINGS)
    node.start()
    node.api.customer("one")
    node.api.relay_domain(DOMAIN, "one", sink.port)
    for address in (CAROL, DAVE):
        node.api.account(address, "one")
    return node


@pytest.fixture
def receiver(node):
    receiver = Receiver()
    made = node.api.post("/v1/webhooks", {"url": receiver.url + "/", "customer": "one"})
    receiver.secrets["/"] = made["secret"]
    yield receiver
    receiver.close()
    assert not receiver.bad


def policy(node, **members):
    node.api.put(f"/v1/domains/{DOMAIN}/continuity-policy", members)
    node.wait_known()


def health(node):
    return node.api.get(HEALTH)


def state_is(node, state, timeout=30):
    wait_until(lambda: health(node)["state"] == state, f"it is {state}", timeout=timeout)


def send(node, *subjects, to=CAROL):
    with node.smtp() as connection:
        for subject in subjects:
            connection.sendmail("joe@outside.test", [to], make_message(subject, to=to))


def delivered(sink):
    return [email.message_from_bytes(message.data)["Subject"] for message in sink.messages]


def held(node, login=CAROL):
    with node.pop3(login) as connection:
        return [email.message_from_bytes(b"\r\n".join(connection.top(number + 1, 0)[1]))["Subject"] for number in range(connection.stat()[0])]


def outages(node, **query):
    return pages(node.api, "/v1/outages", domain=DOMAIN, **query)


def in_seconds(seconds):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_an_outage_from_up_to_up(node, sink, receiver):
    first = health(node)
    assert (first["state"], first["since"], first["outage"]) == ("up", None, None)
    send(node, "before")
    wait_until(lambda: delivered(sink) == ["before"], "mail flows")
    sink.stop()
    send(node, "one", "two")
    send(node, "three", to=DAVE)
    wait_until(lambda: sorted(held(node)) == ["one", "two"] and held(node, DAVE) == ["three"], "all is readable")
    now = health(node)
    (outage,) = outages(node, state="open")
    assert (now["state"], now["outage"]) == ("down", outage["id"]) and now["why"] and now["failing_since"]
    assert (outage["detection"], outage["domain"], outage["ended_at"], outage["held"]) == ("delivery", DOMAIN, None, None)
    with imaplib.IMAP4_SSL("localhost", node.ports["imaps"], ssl_context=node.certificate.context()) as reader:
        reader.login(CAROL, PASSWORD)
        reader.select()
        reader.store("1", "+FLAGS", r"(\Seen \Answered)")
        reader.store("2", "+FLAGS", r"(\Seen)")
    counted = node.api.get(f"/v1/outages/{outage['id']}")
    assert [counted[name] for name in ("held", "drained", "remaining", "read", "answered", "uncertain", "lost")] == [3, 0, 3, 2, 1, 0, 0]
    assert counted["time_to_readable_ms"] is not None and counted["time_to_drain_ms"] is None
    wait_until(lambda: health(node)["last_probe_at"], "it is probed")
    sink.start()
    state_is(node, "up")
    assert sorted(delivered(sink)) == ["before", "one", "three", "two"]
    (over,) = outages(node, state="closed", customer="one")
    assert [over[name] for name in ("held", "drained", "remaining", "read", "answered", "uncertain", "lost")] == [3, 3, 0, 2, 1, 0, 0]
    assert over["end_reason"] and over["ended_at"] and over["time_to_detect_ms"] < 2000 and over["time_to_readable_ms"] < 2000
    assert over["time_to_drain_ms"] is not None and over["duration_ms"] >= over["time_to_drain_ms"]
    assert not outages(node, state="open") and node.api.get(f"/v1/outages/{over['id']}") == {**over, "carrying": 0}, "which lists do not count"
    events = pages(node.api, f"{HEALTH}/events", limit=2)
    kinds = [event["type"] for event in events]
    assert sorted(kinds) == ["health.changed"] * 3 + ["outage.closed", "outage.opened"]
    assert [event["detail"].split(":")[0] for event in reversed(events) if event["type"] == "health.changed"] == [
        "up -> down", "down -> recovering", "recovering -> up"]
    wait_until(lambda: sorted(receiver.types()) == sorted(kinds), "the webhook is told the same")
    (told,) = [told for told in receiver.told if told.type == "outage.closed"]
    assert (told.data["domain"], told.data["held"], told.data["drained"], told.data["lost"]) == (DOMAIN, 3, 3, 0)
    log = node.process.log()
    assert re.search(rf'msg="outage opened" domain={DOMAIN} ', log)
    metric = lambda name: float(re.search(rf"^{name} (\d+)$", node.api.request("GET", "/metrics")[2], re.M)[1])  # noqa: E731
    wait_until(lambda: metric("posthouse_health_changes_total") == 3 and metric("posthouse_health_probes_total"), "it is counted")


def test_degraded_by_temporary_refusals(node, sink):
    policy(node, down_after=3, up_after=2)
    sink.behave = Behaviour(other_recipients="451 4.3.0 busy")
    send(node, "one", "two", "three", "four")
    state_is(node, "degraded")
    assert "busy" in health(node)["why"] and not outages(node)
    sink.behave = Behaviour()
    state_is(node, "up")
    assert not outages(node) and "degraded -> up" in pages(node.api, f"{HEALTH}/events")[0]["detail"]


def test_probes_while_it_is_well(node, sink):
    """Without any mail: failures in a row open an outage, so that mail is readable at once when it comes."""
    policy(node, check_interval=1, down_after=2, up_after=1)
    wait_until(lambda: health(node)["last_probe_at"], "it is probed")
    assert health(node)["state"] == "up" and not sink.messages
    sink.stop()
    wait_until(lambda: health(node)["failures"] == 1, "once is not enough")
    assert not outages(node)
    state_is(node, "down")
    wait_until(lambda: outages(node, state="open"), "an outage is open")
    assert outages(node)[0]["detection"] == "probe"
    send(node, "hello")
    wait_until(lambda: held(node) == ["hello"], "it is readable, without a delivery that fails first")
    sink.start()
    state_is(node, "up")
    wait_until(lambda: delivered(sink) == ["hello"], "it is delivered")


def test_slow(node, sink):
    policy(node, check_interval=1, down_after=1, up_after=1, slow_after=1)
    sink.behave = Behaviour(delay=0.2)
    state_is(node, "degraded")
    assert "ms to answer" in health(node)["why"]
    sink.behave = Behaviour()
    policy(node, check_interval=1, down_after=1, up_after=1, slow_after=60000)
    state_is(node, "up")


def test_a_probe_address(node, sink):
    """It is not back before it takes that."""
    policy(node, probe_address=f"probe@{DOMAIN}")
    sink.stop()
    send(node, "hello")
    state_is(node, "down")
    sink.behave = Behaviour(recipient_replies={f"probe@{DOMAIN}": "451 4.3.0 no store"})
    sink.start()
    before = sink.connections
    wait_until(lambda: sink.connections >= before + 3, "it is probed")
    assert "no store" in health(node)["last_probe"] and health(node)["state"] == "down" and not delivered(sink)
    sink.behave = Behaviour()
    state_is(node, "up")
    assert delivered(sink) == ["hello"]


def test_forced_down_and_let_be(node, sink, receiver):
    send(node, "before")
    wait_until(lambda: delivered(sink) == ["before"], "mail flows")
    node.api.put(HEALTH, {"force": "down", "reason": "moving"})
    wait_until(lambda: health(node)["outage"], "an outage is open")
    assert outages(node)[0]["detection"] == "forced" and outages(node)[0]["reason"] == "moving"
    time.sleep(1)
    send(node, "one", "two")
    wait_until(lambda: sorted(held(node)) == ["one", "two"], "it is readable")
    before = sink.connections
    time.sleep(2)
    assert sink.connections == before and delivered(sink) == ["before"], "nobody goes there"
    assert (health(node)["force"], health(node)["force_reason"]) == ("down", "moving")
    node.api.put(HEALTH, {"force": "none"})
    wait_until(lambda: sorted(delivered(sink)) == ["before", "one", "two"], "it is drained")
    wait_until(lambda: not health(node)["outage"], "the outage closes")
    assert health(node)["force"] is None
    wait_until(lambda: "outage.closed" in receiver.types(), "it is told")
    assert receiver.types().count("health.forced") == 2


def test_forced_down_for_a_time(node, sink):
    node.api.put(HEALTH, {"force": "down", "reason": "short", "until": in_seconds(3)})
    wait_until(lambda: health(node)["outage"], "an outage is open")
    send(node, "hello")
    wait_until(lambda: not health(node)["outage"], "it ends by itself")
    wait_until(lambda: delivered(sink) == ["hello"], "and is drained")


def test_forced_up(node, sink):
    """No outage: mail is tried again as anywhere else."""
    node.api.put(HEALTH, {"force": "up", "reason": "known"})
    sink.stop()
    send(node, "hello")
    wait_until(lambda: health(node)["failures"], "it is met")
    time.sleep(2)
    assert not outages(node) and held(node) == []
    sink.start()
    wait_until(lambda: delivered(sink) == ["hello"], "it is tried again")


def test_a_maintenance_window(node, sink):
    path = f"/v1/domains/{DOMAIN}/maintenance-windows"
    later = node.api.post(path, {"starts_at": in_seconds(3600), "ends_at": in_seconds(7200), "reason": "later"})
    window = node.api.post(path, {"starts_at": in_seconds(1), "ends_at": in_seconds(6), "reason": "new disks"})
    problem(node, 409, "POST", path, {"starts_at": in_seconds(2), "ends_at": in_seconds(3), "reason": "again"})
    assert not outages(node)
    wait_until(lambda: outages(node), "an outage is open")
    (outage,) = outages(node)
    assert (outage["detection"], outage["reason"]) == ("maintenance", "new disks")
    assert node.api.get(f"{path}/{window['id']}")["outage"] == outage["id"] and health(node)["absence"] == "maintenance"
    before = sink.connections
    send(node, "hello")
    wait_until(lambda: held(node) == ["hello"], "it is readable")
    time.sleep(1)
    assert sink.connections <= before + 1 and not delivered(sink)
    wait_until(lambda: not health(node)["outage"], "it ends by itself")
    wait_until(lambda: delivered(sink) == ["hello"], "and is drained")
    node.api.delete(f"{path}/{later['id']}")
    assert [item["id"] for item in pages(node.api, path)] == [window["id"]]


def test_two_nodes_know_the_same(node, sink, new_posthouse):
    second = new_posthouse(settings={**SETTINGS, "database.conninfo": node.values["database.conninfo"]})
    second.token = node.token
    second.start()
    sink.stop()
    send(second, "hello")
    state_is(node, "down")
    assert health(second)["state"] == "down" and len(outages(node)) == 1
    sink.start()
    state_is(node, "up")
    assert health(second)["state"] == "up"
    changes = [event for event in pages(second.api, f"{HEALTH}/events") if event["type"] == "health.changed"]
    assert len(changes) == 3, "each change is told once"


def test_a_drill_while_mail_flows(node, sink, receiver):
    sent, over = [], threading.Event()

    def keep_sending():
        while not over.is_set():
            subject = f"number {len(sent):04d}"
            send(node, subject, to=(CAROL, DAVE)[len(sent) % 2])
            sent.append(subject)
            over.wait(0.02)

    stream = threading.Thread(target=keep_sending)
    stream.start()
    try:
        wait_until(lambda: len(delivered(sink)) > 10, "mail flows")
        drill = node.api.post("/v1/drills", {"domain": DOMAIN, "seconds": 6})
        wait_equal(lambda: node.api.get(f"/v1/drills/{drill['id']}")["state"], "running", "it is on")
        wait_until(lambda: health(node)["outage"], "an outage is open")
        time.sleep(1.5)
        count, at = len(delivered(sink)), len(held(node))
        time.sleep(2)
        assert len(delivered(sink)) == count, "nothing goes there"
        assert len(held(node)) > at, "what comes is readable"
        wait_equal(lambda: node.api.get(f"/v1/drills/{drill['id']}")["state"], "done", "it is over", timeout=60)
    finally:
        over.set()
        stream.join()
    wait_until(lambda: sorted(delivered(sink)) == sorted(sent), "everything is there, exactly once", timeout=60)
    report = node.api.get(f"/v1/drills/{drill['id']}")["report"]
    assert report["detection"] == "drill" and report["lost"] == 0 and report["uncertain"] == 0
    assert report["held"] >= 50 and report["drained"] + report["remaining"] >= report["held"]
    assert report["time_to_detect_ms"] < 2000 and report["time_to_readable_ms"] < 2000 and report["time_to_drain_ms"] < 30000
    assert report["duration_ms"] >= 5000
    assert [item["id"] for item in pages(node.api, "/v1/drills", domain=DOMAIN)] == [drill["id"]]


def test_a_drill_that_is_planned_and_one_that_is_ended(node, sink):
    planned = node.api.post("/v1/drills", {"domain": DOMAIN, "starts_at": in_seconds(3600), "seconds": 60, "reason": "quarterly"})
    assert node.api.get(f"/v1/drills/{planned['id']}")["state"] == "scheduled"
    node.api.delete(f"/v1/drills/{planned['id']}")
    problem(node, 404, "GET", f"/v1/drills/{planned['id']}")
    drill = node.api.post("/v1/drills", {"domain": DOMAIN, "seconds": 3600})
    wait_until(lambda: health(node)["outage"], "an outage is open")
    node.api.delete(f"/v1/drills/{drill['id']}")
    wait_equal(lambda: node.api.get(f"/v1/drills/{drill['id']}")["state"], "done", "it is over")
    assert node.api.get(f"/v1/drills/{drill['id']}")["report"]["lost"] == 0


@pytest.mark.parametrize("path, body, field", [
    (HEALTH, {}, "force"), (HEALTH, {"force": "sideways"}, "force"), (HEALTH, {"force": "down"}, "reason"),
    (HEALTH, {"force": "down", "reason": "x", "until": "2001-01-01T00:00:00Z"}, "until"),
    (f"/v1/domains/{DOMAIN}/maintenance-windows", {"starts_at": "2099-01-01T00:00:00Z", "ends_at": "2098-01-01T00:00:00Z", "reason": "x"}, "ends_at"),
    (f"/v1/domains/{DOMAIN}/maintenance-windows", {"starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-03-01T00:00:00Z", "reason": "x"}, "ends_at"),
    (f"/v1/domains/{DOMAIN}/maintenance-windows", {"ends_at": "2099-03-01T00:00:00Z", "reason": "x"}, "starts_at"),
    ("/v1/drills", {"domain": "nowhere.test"}, "domain"), ("/v1/drills", {"domain": DOMAIN, "seconds": 0}, "seconds"),
    ("/v1/drills", {"domain": DOMAIN, "starts_at": "2001-01-01T00:00:00Z"}, "starts_at")])
def test_what_is_refused_names_the_field(node, path, body, field):
    problem(node, 422, "PUT" if path == HEALTH else "POST", path, body, field=field)


def test_a_domain_without_a_primary(node):
    node.api.hosted_domain("hosted.test", "one")
    assert node.api.get("/v1/domains/hosted.test/health")["state"] == "up"
    problem(node, 409, "PUT", "/v1/domains/hosted.test/health", {"force": "down", "reason": "x"})
    problem(node, 409, "POST", "/v1/drills", {"domain": "hosted.test"})


def test_a_domain_that_goes(node, sink, receiver):
    """Its outage ends as any other, and is still told of."""
    node.api.put(HEALTH, {"force": "down", "reason": "x"})
    wait_until(lambda: health(node)["outage"], "an outage is open")
    for address in (CAROL, DAVE):
        node.api.delete(f"/v1/accounts/{address}")
    node.api.delete(f"/v1/domains/{DOMAIN}")
    wait_until(lambda: "outage.closed" in receiver.types(), "it is told")
    (outage,) = pages(node.api, "/v1/outages", customer="one")
    assert (outage["domain"], outage["end_reason"]) == (DOMAIN, "the domain is deleted")


def patiently(action):
    """As clients do that are told to come later: others' units were on the connection that was cut."""
    for _ in range(50):
        try:
            return action()
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException, poplib.error_proto) as error:
            if b"4.3.0" not in str(error).encode() and "[SYS/TEMP]" not in str(error):
                raise
            time.sleep(0.1)
    raise AssertionError("still told to come later")


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["health_read", "health_write", "health_tasks", "outage_note_back", "outage_note_shown", "outage_planned"])
def test_a_database_that_fails(new_posthouse, own_postgres, sink, statement):
    """What is known of a primary may come late; its mail does not wait for it."""
    faulty = FaultyPostgres(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, settings={**SETTINGS, "daemon.workers": 1, "database.cache_size": 0,
                                                        "database.statement_timeout": "500ms"})
        node.start()
        node.api.customer("one")
        node.api.relay_domain(DOMAIN, "one", sink.port)
        node.api.account(CAROL, "one")
        for mode in ("refused", "cut", "lost"):
            fault = faulty.arm(statement, mode)
            sink.stop()
            patiently(lambda mode=mode: send(node, mode))
            wait_until(lambda mode=mode: mode in patiently(lambda: held(node)), "it is readable")
            sink.start()
            wait_until(lambda mode=mode: mode in delivered(sink), "it is delivered")
            for _ in range(3):  # outage_planned is asked half a second after the last answer
                time.sleep(0.6)
                patiently(lambda mode=mode: send(node, f"after {mode}"))
            wait_until(lambda fault=fault: fault.struck, f"{statement} {mode} is met")
            state_is(node, "up", timeout=60)
        assert node.query("select count(*) from queue_entry") == [["0"]] or wait_until(
            lambda: node.query("select count(*) from queue_entry") == [["0"]], "all is delivered")
        assert len([subject for subject in delivered(sink) if subject in ("refused", "cut", "lost")]) == 3, "once each"
        node.close()
    finally:
        faulty.close()
