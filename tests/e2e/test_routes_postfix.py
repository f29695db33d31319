"""Named routes with credentials, to a server of another make: Postfix with Cyrus SASL, which takes nothing without AUTH under TLS."""
import email
import re

import pytest

from harness.postfix import Postfix, unavailable
from harness.posthouse import Posthouse, make_message, subject_of
from harness.process import free_port, wait_equal, wait_until

ANN, USER, PASSWORD = "ann@one.test", "relay@smart.test", "s3cret pass, with commas = and dots."


@pytest.fixture
def server(certificate):
    if reason := unavailable():
        pytest.skip(reason)
    made = Postfix("outside.test", "elsewhere.test")
    try:
        made.require_sign_in(certificate, USER, PASSWORD)
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def node(new_posthouse, certificate, monkeypatch):
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment", lambda self: dict(plain(self), SSL_CERT_FILE=str(certificate.certificate)))
    node = new_posthouse(settings={"daemon.workers": 1, "delivery.retry_first": "300ms", "delivery.retry_max": "300ms"})
    node.write_config(secrets__key_file=node.folder / "keys")
    node.command("--add-secret-key")
    node.start()
    node.api.customer("one")
    node.api.hosted_domain("one.test", "one")
    node.api.account(ANN, "one")
    return node


def send(node, subject, *recipients):
    node.submit(ANN, list(recipients or ["dan@outside.test"]), make_message(subject, sender=ANN))


def arrived(server):
    return sorted(subject_of(message) for message in server.messages())


def make_route(node, server, *hops):
    node.api.post("/v1/routes", {"name": "smart", "next_hops": [*hops, {"host": "localhost", "port": server.port, "priority": 20,
                                                                          "credential": "smart"}]})
    node.api.post("/v1/route-rules", {"route": "smart", "customer": "one"})


def test_each_mechanism_is_taken(node, server):
    """By a route whose first host is away; Postfix says who signed in, and each connection has several messages."""
    node.api.post("/v1/credentials", {"name": "smart", "user": USER, "password": PASSWORD})
    make_route(node, server, {"host": "localhost", "port": free_port(), "priority": 10})
    for mechanism in ("scram-sha-256", "scram-sha-1", "plain", "login", None):
        node.api.patch("/v1/credentials/smart", {"mechanism": mechanism})
        names = [f"{mechanism} {number}" for number in range(3)]
        for name in names:
            send(node, name, "dan@outside.test", "eve@elsewhere.test")
        # virtual(8) delivers once for each recipient
        wait_until(lambda names=names: set(names) <= set(arrived(server)), "all have come", timeout=60)
    message = email.message_from_bytes(server.messages()[0])
    assert f"(Authenticated sender: {USER})" in message["Received"]
    used = re.findall(r"sasl_method=([\w-]+), sasl_username=(\S+)", server.maillog())
    assert {method for method, _ in used} == {"SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"} and {user for _, user in used} == {USER}
    assert len(used) == 15, "one transaction for each message, to both"
    assert server.maillog().count(": disconnect from") <= 10
    wait_equal(lambda: node.api.get("/v1/queue")["items"], [], "nothing is left")
    for (tls,) in node.query("select tls_verified from event where kind = 'delivered'"):
        assert tls == "pkix"
    assert node.query("select distinct remote_host from event where kind = 'delivered'") == [["localhost"]]


def test_a_wrong_password_waits(node, server, certificate):
    node.api.post("/v1/credentials", {"name": "smart", "user": USER, "password": "another"})
    make_route(node, server)
    send(node, "one")
    wait_until(lambda: [e for e in node.api.get("/v1/queue")["items"] if "535" in (e["last_reply"] or "")], "it waits", timeout=60)
    assert arrived(server) == []
    node.api.patch("/v1/credentials/smart", {"password": PASSWORD})
    wait_equal(lambda: arrived(server), ["one"], "it is there", timeout=60)
    assert node.query("select count(*) from event where kind = 'bounced'") == [["0"]]


def test_without_a_credential(node, server):
    """530 and 554 of a server that wants one: nobody hears of a failure that is ours."""
    node.api.post("/v1/credentials", {"name": "smart", "user": USER, "password": PASSWORD})
    make_route(node, server)
    hops = node.api.get("/v1/routes/smart")["next_hops"]
    node.api.patch("/v1/routes/smart", {"next_hops": [dict(hops[0], credential=None, tls="none")]})
    send(node, "one")
    wait_until(lambda: [e for e in node.api.get("/v1/queue")["items"] if "530" in (e["last_reply"] or "")], "it waits", timeout=60)
    node.api.patch("/v1/routes/smart", {"next_hops": [dict(hops[0], credential="smart")]})
    wait_equal(lambda: arrived(server), ["one"], "it is there", timeout=60)
