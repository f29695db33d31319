"""Each way to turn a stranger away is a counter in /metrics, a word in the log, and a decision that can be looked up."""
import re

import pytest

from conftest import _close, _node
from harness.dialogue import Dialogue
from harness.names import Names
from harness.process import wait_until
from harness.requests import must

ZONE = "bl.lists.example"


@pytest.fixture(scope="module")
def names():
    with Names() as server:
        yield server


@pytest.fixture(scope="module")
def node(postgres, certificate, names):
    made = _node(postgres, certificate, settings={
        "smtp.xclient_networks": "127.0.0.1", "daemon.workers": 1, "dns.resolver": names.resolver, "clients.dns_wait": "10s",
        "clients.tarpit_after": 0, "clients.tarpit_max": "50ms", "clients.messages_per_minute": 2, "daemon.sessions_max": 12})
    try:
        made.start()
        made.api.customer("seen")
        for domain, policy in (("listed.test", {"refuse_at": 5}), ("named.test", {"reverse_name": "require"}),
                               ("vouched.test", {"refuse_at": 0}), ("grey.test", {"greylist": "always"})):
            made.api.hosted_domain(domain, "seen")
            made.api.account(f"ann@{domain}", "seen")
            made.api.post("/v1/client-policies", {"domain": domain, **policy})
        made.api.post("/v1/dns-lists", {"zone": ZONE, "score": 5})
        names.listed("198.18.0.1", ZONE)
        names.broken.add("3.0.18.198.in-addr.arpa")
        others = (f"198.18.1.{number}" for number in range(1, 255))
        wait_until(lambda: "greylisted" in visit(made, next(others), "ann@grey.test"), "the policies are known")
        yield made
    finally:
        _close(made)


def visit(node, client, *recipients):
    """The last reply."""
    reply = ""
    with Dialogue(node) as dialogue:
        dialogue.hello("proxy.test")
        dialogue.ask(f"XCLIENT ADDR={client}", "220")
        dialogue.ask("EHLO client.test", "250")
        for recipient in recipients:
            reply = dialogue.ask("MAIL FROM:<joe@outside.test>")
            if not reply.startswith("250"):
                return reply
            reply = dialogue.ask(f"RCPT TO:<{recipient}>")
            dialogue.ask("RSET", "250")
    return reply


def decided(node, reply):
    """What the decision says whose id is in the reply."""
    path = "/v1/decisions/" + re.search(r"\(decision (\w+)\)", reply).group(1)
    wait_until(lambda: node.api.request("GET", path)[0] == 200, "the decision is written")
    return node.api.get(path)


def metric(node, name):
    _, text = must(node, 200, "GET", "/metrics", token="")
    return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.M).group(1))


@pytest.mark.parametrize("client, recipients, code, why, counter", [
    ("198.18.0.1", ["ann@listed.test"], "550 5.7.1", "dns-list", "dns-list"),
    ("198.18.0.2", ["ann@named.test"], "550 5.7.25", "reverse-name", "reverse-name"),
    ("198.18.0.3", ["ann@named.test"], "451 4.7.25", "reverse-name-unknown", "reverse-name"),
    ("198.18.0.4", ["ann@vouched.test"], "550 5.7.1", "score", "score"),
    ("198.18.0.5", ["ann@grey.test"], "451 4.7.1", "greylisted", "greylist"),
    ("198.18.0.6", ["x@nobodys.test"] * 3, "451 4.7.1", "client-rate", "client-rate"),
])
def test_a_client_that_is_refused(node, client, recipients, code, why, counter):
    name = f'posthouse_smtp_refused_total{{reason="{counter}"}}'
    before = metric(node, name)
    reply = visit(node, client, *recipients)
    assert reply.startswith(code), reply
    decision = decided(node, reply)
    assert (decision["why"], decision["client"], decision["tarpit_ms"] > 0) == (why, client, code[0] == "5")
    wait_until(lambda: metric(node, name) > before, "it is counted")
    assert re.search(rf'msg="client refused" .*reason={why}\b', node.log())


def test_a_client_that_is_made_to_wait(node):
    before = metric(node, "posthouse_smtp_tarpitted_total")
    reply = visit(node, "198.18.0.7", "x@nobodys.test")
    assert reply.startswith("550 5.7.1") and decided(node, reply)["tarpit_ms"] == 50
    wait_until(lambda: metric(node, "posthouse_smtp_tarpitted_total") > before, "it is counted")
    assert "reason=tarpit" in node.log()


@pytest.mark.parametrize("commands, times, why, limit", [
    (["FROB"], 2, "errors", "errors_max"),
    (["MAIL FROM:<joe@outside.test>", "RCPT TO:<x@nobodys.test>", "RSET"], 100, "refused-recipients", "recipients_max"),
])
def test_a_session_that_ends(new_posthouse, commands, times, why, limit):
    node = new_posthouse(settings={
        "smtp.xclient_networks": "127.0.0.1", "smtp.errors_max": 2, "smtp.recipients_max": 100, "clients.tarpit_max": "0s",
        "clients.messages_per_minute": 0, "clients.recipients_per_minute": 0}).start()
    name = f'posthouse_smtp_refused_total{{reason="{why}"}}'
    with Dialogue(node) as dialogue:
        dialogue.hello("proxy.test")
        dialogue.ask("XCLIENT ADDR=198.18.0.8", "220")
        dialogue.ask("EHLO client.test", "250")
        refusals = [reply for _ in range(times) for reply in map(dialogue.ask, commands) if reply[0] != "2"]
        assert len(refusals) == times and all(reply.startswith("5") for reply in refusals), refusals
        last = next(reply for reply in map(dialogue.ask, commands) if reply[0] != "2")
        assert last.startswith("421 4.7.0"), last
    decision = decided(node, last)
    assert (decision["command"], decision["why"], decision["limit"], decision["client"]) == ("CONNECT", why, limit, "198.18.0.8")
    wait_until(lambda: metric(node, name) == 1, "it is counted")


def test_a_server_that_is_full(node):
    crowd = []
    while len(crowd) < 20 and (not crowd or crowd[-1].greeting.startswith("220")):
        crowd.append(Dialogue(node))
        crowd[-1].greeting = crowd[-1].reply()
    assert crowd[-1].greeting.startswith("421 4.7.0") and "decision" not in crowd[-1].greeting  # it is not about the client
    wait_until(lambda: metric(node, 'posthouse_connections_refused_total{reason="sessions"}') >= 1, "it is counted")
    assert 'msg="connection refused" ' in node.log() and 'reason="too many connections"' in node.log()
    for dialogue in crowd:
        dialogue.close()
