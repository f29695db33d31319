"""Webhooks: who is told, with which signature, how often, and who must not be."""
import re
import time

import pytest

from harness.faults import MODES, FaultyPostgres
from harness.process import wait_equal, wait_until
from harness.receiver import Receiver
from harness.requests import pages, problem

NOBODY = "whsec_" + "A" * 32
LOOPBACK = {"webhooks.networks": "127.0.0.0/8", "webhooks.retry_first": "200ms", "webhooks.retry_max": "400ms"}


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()
    assert not receiver.bad


@pytest.fixture
def node(new_posthouse):
    node = new_posthouse(settings=LOOPBACK)
    node.start()
    node.api.customer("one")
    node.api.customer("two")
    return node


def make(node, receiver, path="/hook", **members):
    made = node.api.post("/v1/webhooks", {"url": receiver.url + path, **members})
    receiver.secrets[path] = made["secret"] or members["secret"]
    return made


def test(node, made):
    return node.api.post(f"/v1/webhooks/{made['id']}/test", {})["event"]


test.__test__ = False


def state(node, made):
    return node.api.get(f"/v1/webhooks/{made['id']}")


def emit(node, kind, customer=None):
    """As a transaction of ours does it."""
    node.query("select webhook_emit((extract(epoch from clock_timestamp()) * 1000000)::bigint,"
               f" '{kind}', (select id from customer where name = '{customer}'), '{{\"n\": 1}}')")


def test_one_is_told(node, receiver):
    made = make(node, receiver)
    assert re.fullmatch("whsec_[A-Za-z0-9+/]{43}=", made["secret"]) and made["enabled"] and made["events"] is None
    assert "secret" not in state(node, made), "it is shown once"
    event = test(node, made)
    wait_until(lambda: receiver.told, "it is told")
    (told,) = receiver.told
    assert (told.id, told.type, told.data) == (event, "webhook.test", {"webhook": made["id"]})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.timestamp)
    wait_equal(lambda: state(node, made)["pending"], 0, "it is gone")
    now = state(node, made)
    assert now["last_success_at"] and not now["failures"] and now["last_error"] is None
    time.sleep(1.5)
    assert len(receiver.told) == 1, "once"
    metrics = node.api.request("GET", "/metrics")[2]
    assert re.search(r"^posthouse_webhooks_sent_total 1$", metrics, re.M)


def test_ones_own_secret_and_another(node, receiver):
    made = make(node, receiver, secret=NOBODY)
    assert made["secret"] is None
    test(node, made)
    wait_until(lambda: len(receiver.told) == 1, "it is told")
    other = node.api.patch(f"/v1/webhooks/{made['id']}", {"secret": None})["secret"]
    receiver.secrets["/hook"] = other
    test(node, made)
    wait_until(lambda: len(receiver.told) == 2, "it is told with the other")
    assert node.query(f"select count(*) from webhook where encode(secret, 'escape') like '%{other[6:20]}%'") == [["0"]]
    assert other[6:] not in node.process.log() and NOBODY not in node.process.log()


def test_who_wants_what(node, receiver):
    make(node, receiver, "/all")
    make(node, receiver, "/one", customer="one")
    make(node, receiver, "/two", customer="two", events=["webhook.test"])
    off = make(node, receiver, "/off", enabled=False)
    emit(node, "thing.happened", "one")
    emit(node, "thing.happened", "two")
    emit(node, "webhook.test", "two")
    emit(node, "thing.happened")
    wait_until(lambda: len(receiver.told) == 6, "all are told")
    time.sleep(1.2)
    assert sorted((told.path, told.type) for told in receiver.told) == sorted(
        [("/all", "thing.happened")] * 3 + [("/all", "webhook.test"), ("/one", "thing.happened"), ("/two", "webhook.test")])
    assert state(node, off)["pending"] == 0
    problem(node, 409, "POST", f"/v1/webhooks/{off['id']}/test", {})
    assert [item["url"] for item in pages(node.api, "/v1/webhooks", customer="two")] == [receiver.url + "/two"]
    assert len(pages(node.api, "/v1/webhooks", limit=1)) == 4


def test_what_is_not_taken_is_told_again(node, receiver):
    made = make(node, receiver)
    receiver.behave = (500, {})
    event = test(node, made)
    wait_until(lambda: state(node, made)["failures"] >= 3, "it is tried several times")
    assert state(node, made)["last_error"] == "HTTP status 500" and state(node, made)["pending"] == 1
    receiver.behave = "cut"
    wait_until(lambda: "HTTP" not in state(node, made)["last_error"], "no answer is another error")
    receiver.behave = None
    wait_until(lambda: receiver.told, "it is told")
    assert [told.id for told in receiver.told] == [event]
    wait_equal(lambda: (state(node, made)["failures"], state(node, made)["last_error"]), (0, None), "all is well")


def test_one_that_is_refused_does_not_hold_up_the_others(node, receiver):
    made = make(node, receiver)
    receiver.behave = (500, {})
    test(node, made)
    node.api.patch(f"/v1/webhooks/{made['id']}", {"label": "x"})
    wait_until(lambda: state(node, made)["failures"], "it is refused")
    node.query("update webhook_delivery set due_at = 'infinity'")
    receiver.behave = None
    second = test(node, made)
    wait_until(lambda: receiver.told, "the other is told")
    assert receiver.told[0].id == second and state(node, made)["pending"] == 1


def test_given_up_and_no_room(node, new_posthouse, receiver):
    made = make(node, receiver)
    receiver.behave = (500, {})
    test(node, made)
    node.query("update webhook_delivery set created_at = now() - interval '25 hours'")
    node.query("insert into webhook_delivery (webhook_id, event_id, type, body, due_at) select id, n, 'x', '{}', 'infinity'"
               " from webhook, generate_series(1, 10000) n")
    emit(node, "thing.happened")
    found = state(node, made)
    assert found["dropped"] == 1 and found["pending"] + found["given_up"] == 10001
    node.query("delete from webhook_delivery where due_at = 'infinity'")
    node.stop()
    node.start()  # it looks for what is old at once, and then each half minute
    wait_equal(lambda: (state(node, made)["given_up"], state(node, made)["pending"]), (1, 0), "it is given up", timeout=60)


def test_410_switches_it_off(node, receiver):
    made = make(node, receiver)
    receiver.behave = (410, {})
    test(node, made)
    wait_until(lambda: not state(node, made)["enabled"], "it is switched off")
    assert state(node, made)["last_error"] == "HTTP status 410"


def test_a_redirection_is_not_followed(node, receiver):
    made = make(node, receiver)
    receiver.behave = (302, {"Location": receiver.url + "/other"})
    test(node, made)
    wait_until(lambda: state(node, made)["last_error"] == "HTTP status 302", "that is no success")


def test_https_and_its_certificate(new_posthouse, certificate):
    receiver = Receiver(tls=certificate.server_context())
    node = new_posthouse(settings={**LOOPBACK, "webhooks.networks": "127.0.0.0/8 ::1", "webhooks.ca_file": certificate.certificate})
    node.start()
    made = make(node, receiver)
    test(node, made)
    wait_until(lambda: receiver.told, "it is told")
    node.write_config(webhooks__ca_file=None)
    node.stop()
    node.start()
    test(node, made)
    wait_until(lambda: state(node, made)["failures"], "the certificate is nobody's")
    assert "certificate" in state(node, made)["last_error"].lower() and len(receiver.told) == 1
    receiver.close()


def test_networks_that_are_not_public_are_not_told(new_posthouse, certificate):
    """Judged where it is connected to: a name that leads there is refused, too, and a number in any spelling."""
    receiver = Receiver(tls=certificate.server_context())
    node = new_posthouse(settings={**LOOPBACK, "webhooks.networks": None, "webhooks.ca_file": certificate.certificate})
    node.start()
    for host in ("localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):
        made = node.api.post("/v1/webhooks", {"url": f"https://{host}:{receiver.port}/hook"})
        test(node, made)
        wait_until(lambda made=made: state(node, made)["failures"], f"{host} is refused")
        assert "network" in state(node, made)["last_error"], host
    assert receiver.tries == 0
    problem(node, 422, "POST", "/v1/webhooks", {"url": "http://example.test/"}, field="url")
    node.api.post("/v1/webhooks", {"url": f"http://localhost:{receiver.port}/"})
    receiver.close()


def test_nothing_goes_in_clear_to_others(node, new_posthouse):
    other = new_posthouse(settings={**LOOPBACK, "webhooks.networks": "192.0.2.0/24"})
    other.start()
    plain = Receiver()
    made = make(other, plain)
    test(other, made)
    wait_until(lambda: state(other, made)["failures"], "it is refused")
    assert "network" in state(other, made)["last_error"] and not plain.tries
    plain.close()


def test_two_nodes_tell_once(node, new_posthouse, receiver):
    second = new_posthouse(settings={**LOOPBACK, "database.conninfo": node.values["database.conninfo"],
                                     "secrets.key_file": node.values["secrets.key_file"]})
    second.token = node.token
    second.start()
    make(node, receiver)
    for _ in range(30):
        emit(node, "thing.happened")
    wait_until(lambda: len(receiver.told) >= 30, "all are told")
    time.sleep(1.2)
    assert len(receiver.told) == 30 and len({told.id for told in receiver.told}) == 30


def test_a_node_that_was_killed_while_it_told(node, new_posthouse, receiver):
    make(node, receiver)
    receiver.behave = (500, {})
    for _ in range(5):
        emit(node, "thing.happened")
    wait_until(lambda: receiver.tries, "it tells")
    node.kill()
    receiver.behave = None
    node.query("update webhook set lease_until = now()")  # instead of the two minutes
    node.start()
    wait_until(lambda: len({told.id for told in receiver.told}) == 5, "all are told")


@pytest.mark.parametrize("members, field", [
    ({"url": "ftp://x.test/"}, "url"), ({"url": "https://"}, "url"), ({"url": "https://a:b@x.test/"}, "url"), ({"url": "https://x.test/#a"}, "url"),
    ({"url": "https://x.test/a b"}, "url"), ({"url": "https://:443/"}, "url"), ({}, "url"), ({"url": "https://x.test/" + "a" * 1000}, "url"),
    ({"url": "https://x.test", "events": []}, "events"), ({"url": "https://x.test", "events": ["never.happens"]}, "events[0]"),
    ({"url": "https://x.test", "secret": "short"}, "secret"), ({"url": "https://x.test", "customer": "nobody"}, "customer"),
    ({"url": "https://x.test", "enabled": "yes"}, "enabled"), ({"url": "https://x.test", "more": 1}, "more")])
def test_what_is_refused_names_the_field(posthouse, members, field):
    problem(posthouse, 422, "POST", "/v1/webhooks", members, field=field)


def test_without_keys_none_can_be_made(node, receiver):
    made = make(node, receiver)
    node.write_config(secrets__key_file=None)
    node.stop()
    node.start()
    problem(node, 409, "POST", "/v1/webhooks", {"url": "https://x.test/"})
    test(node, made)
    wait_until(lambda: state(node, made)["failures"], "its secret cannot be read")
    assert "key_file" in state(node, made)["last_error"]


def test_keys_change(node, receiver):
    made = make(node, receiver)
    keys = node.values["secrets.key_file"]
    old = keys.read_text()
    node.command("--add-secret-key")
    lines = keys.read_text().strip().split("\n")
    first = [line for line in lines if not line.startswith("#")]
    keys.write_text("\n".join(reversed(first)) + "\n")
    node.stop()
    node.start()
    assert not state(node, made)["key_current"]
    assert node.api.post("/v1/credential-reseals", {})["resealed"] == 1
    assert state(node, made)["key_current"]
    keys.write_text("\n".join(line for line in first if line not in old) + "\n")
    node.stop()
    node.start()
    test(node, made)
    wait_until(lambda: receiver.told, "it is told with the same secret")


def test_a_customer_with_webhooks_stays(node, receiver):
    made = make(node, receiver, customer="one")
    problem(node, 409, "DELETE", "/v1/customers/one")
    node.api.delete(f"/v1/webhooks/{made['id']}")
    problem(node, 404, "GET", f"/v1/webhooks/{made['id']}")
    node.api.delete("/v1/customers/one")


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["webhook_claim", "webhook_messages", "webhook_remove", "webhook_succeeded", "webhook_put_off",
                                       "webhook_failed", "webhook_release"])
def test_a_database_that_fails(new_posthouse, own_postgres, receiver, statement):
    """At least once, whatever is lost."""
    faulty = FaultyPostgres(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, settings={**LOOPBACK, "daemon.workers": 1, "database.statement_timeout": "500ms"})
        node.start()
        made = make(node, receiver)
        for mode in MODES:
            fault = faulty.arm(statement, mode)
            receiver.behave = (500, {}) if statement in ("webhook_put_off", "webhook_failed") else None
            event = test(node, made)
            wait_until(lambda fault=fault: fault.struck, f"{statement} {mode} is met", timeout=60)
            receiver.behave = None

            def told(event=event):
                node.query("update webhook set lease_until = now()")  # instead of the two minutes
                return event in {told.id for told in receiver.told} and state(node, made)["pending"] == 0
            wait_until(told, f"it is told all the same: {statement} {mode}", timeout=60, interval=0.5)
        node.close()
    finally:
        faulty.close()
