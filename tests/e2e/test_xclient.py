"""XCLIENT: a proxy tells whose mail it brings. Syntax and order are in the transcripts; here it is what follows from it."""
import re
import shutil

import pytest

from harness.dialogue import Dialogue
from harness.posthouse import PASSWORD, make_message
from harness.process import run


@pytest.fixture(scope="module")
def node(postgres, certificate):
    from conftest import _close, _node
    made = _node(postgres, certificate, settings={"daemon.sessions_per_client_max": 1, "daemon.workers": 1,
                                                  "delivery.default_route": "127.0.0.1:9", "smtp.xclient_networks": "127.0.0.1"})
    try:
        made.start()
        made.api.customer("xclient")
        made.api.hosted_domain("xclient.test", "xclient")
        made.api.account("ann@xclient.test", "xclient")
        made.api.post("/v1/networks", {"customer": "xclient", "cidr": "203.0.113.0/24"})
        yield made
    finally:
        _close(made)


def received(node, subject):
    message = next(m for m in node.inbox("ann@xclient.test") if f"Subject: {subject}\r\n".encode() in m).decode()
    return message[message.index("Received:"):message.index("+0000")]


def test_received_names_the_client(node):
    with Dialogue(node) as dialogue:
        dialogue.hello("proxy.test")
        dialogue.ask("XCLIENT NAME=client.outside.test ADDR=198.51.100.7 PROTO=SMTP HELO=me.outside.test", "220")
        dialogue.ask("EHLO proxy.test", "250")
        assert dialogue.message("joe@outside.test", "ann@xclient.test", make_message("one")).startswith("250")
        dialogue.ask("XCLIENT ADDR=IPV6:2001:db8::7", "220")
        dialogue.ask("EHLO proxy.test", "250")
        assert dialogue.message("joe@outside.test", "ann@xclient.test", make_message("two")).startswith("250")
    first, second = received(node, "one"), received(node, "two")
    assert first.startswith("Received: from me.outside.test (client.outside.test [198.51.100.7])\r\n"), first
    assert "with SMTP\r\n" in first
    assert second.startswith("Received: from proxy.test ([IPv6:2001:db8::7])\r\n"), second
    assert "with ESMTP\r\n" in second
    assert re.search(r"peer=198\.51\.100\.7 .*message accepted", node.log())


def test_what_the_client_may_is_decided_by_its_address(node):
    for client, code in (("203.0.113.5", "250"), ("203.0.114.5", "550")):
        with Dialogue(node) as dialogue:
            dialogue.hello()
            dialogue.ask(f"XCLIENT ADDR={client}", "220")
            dialogue.ask("EHLO proxy.test", "250")
            dialogue.ask("MAIL FROM:<ann@xclient.test>", "250")
            dialogue.ask("RCPT TO:<joe@elsewhere.test>", code)


def test_limits_are_the_clients(node):
    with Dialogue(node) as one, Dialogue(node) as two:
        one.hello(), two.hello()
        one.ask("XCLIENT ADDR=198.51.100.9", "220")
        two.ask("XCLIENT ADDR=198.51.100.9", "421 4.7.0")
        assert two.reply() == ""
        one.ask("XCLIENT ADDR=198.51.100.10", "220")
        with Dialogue(node) as three:
            three.hello()
            three.ask("XCLIENT ADDR=198.51.100.9", "220")


def test_mistakes_are_the_clients(node):
    """A proxy that keeps its connection is not hung up on for what all of its clients together have done."""
    with Dialogue(node) as dialogue:
        dialogue.hello()
        for number in range(4):
            dialogue.ask(f"XCLIENT ADDR=198.51.100.{number + 20}", "220")
            for _ in range(15):  # errors_max is 20
                dialogue.ask("WHAT", "500 5.5.2")


def test_a_sign_in_is_forgotten(node):
    with Dialogue(node, "submissions") as dialogue:
        dialogue.hello()
        assert dialogue.plain("ann@xclient.test", PASSWORD).startswith("235 ")
        dialogue.ask("XCLIENT ADDR=198.51.100.7", "220")
        dialogue.ask("EHLO proxy.test", "250")
        dialogue.ask("MAIL FROM:<ann@xclient.test>", "530")


def test_swaks(node):
    if not shutil.which("swaks"):
        pytest.skip("swaks is not installed")
    run(["swaks", "--server", f"127.0.0.1:{node.ports['smtp']}", "--xclient-addr", "198.51.100.77", "--xclient-name",
         "swaks.outside.test", "--xclient-helo", "helo.outside.test", "--tls", "--tls-protocol", "tlsv1_2", "--from",
         "joe@outside.test", "--to", "ann@xclient.test", "--header", "Subject: swaks"])
    line = received(node, "swaks")
    assert line.startswith("Received: from helo.outside.test (swaks.outside.test [198.51.100.77])\r\n"), line
    assert "ESMTPS" in line
