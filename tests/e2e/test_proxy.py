"""Behind a proxy: the PROXY protocol on ports that ask for it. The client's address is what the proxy says, everywhere."""
import re
import shutil
import socket
import struct

import pytest

from harness.dialogue import Dialogue
from harness.posthouse import make_message
from harness.process import run, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(client="192.0.2.7", server="198.51.100.1", port=25):
    return f"PROXY TCP{6 if ':' in client else 4} {client} {server} 40000 {port}\r\n".encode()


def v2(client="192.0.2.7", server="198.51.100.1", command=0x21, extensions=b""):
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    block = (socket.inet_pton(family, client) + socket.inet_pton(family, server) + struct.pack(">HH", 40000, 25) + extensions)
    return SIGNATURE + bytes([command, 0x21 if ":" in client else 0x11]) + struct.pack(">H", len(block)) + block


class Proxied(Dialogue):
    """The header goes first, even before TLS."""

    def __init__(self, node, port, header, pieces=False):
        super().__init__(node, port, tls=False)
        for piece in ([bytes([byte]) for byte in header] if pieces else [header]):
            self.socket.sendall(piece)
        if port.endswith("s"):
            self.start_tls()


@pytest.fixture(scope="module")
def node(postgres, certificate):
    from conftest import _close, _node
    made = _node(postgres, certificate, settings={"daemon.sessions_per_client_max": 2, "daemon.workers": 1,
                                                  "delivery.default_route": "127.0.0.1:9",
                                                  "listen.proxy_networks": "127.0.0.1 192.0.2.128/25"})
    made.write_config(**{f"listen__{name}": f"proxy:127.0.0.1:{port}" for name, port in made.ports.items()
                         if name not in ("admin", "imaps")})  # imaps: for the tests to look into the INBOX
    try:
        made.start()
        made.api.customer("proxy")
        made.api.hosted_domain("proxy.test", "proxy")
        made.api.account("ann@proxy.test", "proxy")
        yield made
    finally:
        _close(made)


@pytest.mark.parametrize("header, client", [
    (v1(), "192.0.2.7"), (v2(), "192.0.2.7"), (v1("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    (v2("2001:db8::7", "2001:db8::1"), "2001:db8::7"), (v2("::ffff:192.0.2.9", "::ffff:192.0.2.1"), "192.0.2.9"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"), (v2(command=0x20), "127.0.0.1"), (v2(extensions=b"\x02\0\1a"), "192.0.2.7")])
@pytest.mark.parametrize("pieces", [False, True])
def test_the_clients_address_is_in_received_and_log(node, header, client, pieces):
    subject = f"from {client} {len(header)} {pieces}"
    with Proxied(node, "smtp", header, pieces) as dialogue:
        dialogue.hello()
        assert dialogue.message("joe@outside.test", "ann@proxy.test", make_message(subject)).startswith("250 ")
    message = next(m for m in node.inbox("ann@proxy.test") if f"Subject: {subject}\r\n".encode() in m).decode()
    literal = f"IPv6:{client}" if ":" in client else client
    assert f"Received: from client.test ([{literal}])\r\n" in message


def test_it_comes_before_tls_and_for_all_protocols(node):
    for port, greeting in (("submissions", "220 "), ("submission", "220 "), ("imap", "* OK"), ("pop3s", "+OK"), ("pop3", "+OK")):
        with Proxied(node, port, v1("192.0.2.77")) as dialogue:
            assert dialogue.socket.recv(1000).decode().startswith(greeting), port
    assert re.search(r"pop3.*peer=192\.0\.2\.77", node.log()), "logs name the client"


def test_headers_that_are_wrong_end_the_connection(node):
    for header in (b"EHLO client.test\r\n", b"PROXY TCP4 1 2 3 4\r\n", b"PROXY " + b"x" * 200,
                   SIGNATURE + b"\x22\x11\0\0"):
        with Proxied(node, "smtp", header) as dialogue:
            assert dialogue.reply() == "", header
    assert "bad header" in node.log()


def test_limits_are_the_clients(node):
    with Proxied(node, "smtp", v1("192.0.2.50")) as one, Proxied(node, "smtp", v1("192.0.2.50")) as two:
        one.hello(), two.hello()
        with Proxied(node, "smtp", v2("192.0.2.50")) as three:
            assert three.reply().startswith("421 ")
        with Proxied(node, "smtp", v1("192.0.2.51")) as other:
            other.hello()


def test_a_network_that_may_relay_is_the_clients(node):
    node.api.post("/v1/networks", {"customer": "proxy", "cidr": "203.0.113.0/24"})
    for client, code in (("203.0.113.5", "250"), ("203.0.114.5", "550")):
        with Proxied(node, "smtp", v2(client)) as dialogue:
            dialogue.hello()
            dialogue.ask("MAIL FROM:<ann@proxy.test>", "250")
            dialogue.ask("RCPT TO:<joe@elsewhere.test>", code)


def test_only_proxies_are_believed(new_posthouse):
    node = new_posthouse(settings={"listen.proxy_networks": "192.0.2.0/24 ::1"})
    node.write_config(listen__smtp=f"proxy:127.0.0.1:{node.ports['smtp']}")
    node.start()
    with Proxied(node, "smtp", v1()) as dialogue:
        assert dialogue.reply() == ""
    wait_until(lambda: "not one of proxy_networks" in node.log(), "the reason is logged")
    node.write_config(listen__smtp=f"127.0.0.1:{node.ports['smtp']}")  # the same port, without the protocol
    node.reload()

    def direct():
        with Dialogue(node) as dialogue:
            return dialogue.reply().startswith("220 ")

    wait_until(direct, "the port is an ordinary one after a reload")
    with Dialogue(node) as dialogue:
        dialogue.hello()
        dialogue.ask(v1().decode().strip(), "500")


@pytest.mark.parametrize("version", ["1", "2"])
def test_swaks(node, version):
    if not shutil.which("swaks"):
        pytest.skip("swaks is not installed")
    run(["swaks", "--server", f"127.0.0.1:{node.ports['smtp']}", "--proxy-version", version, "--proxy-family",
         "TCP4" if version == "1" else "AF_INET", "--proxy-protocol", "STREAM", "--proxy-command", "PROXY",
         "--proxy-source", "192.0.2.99", "--proxy-source-port", "1234", "--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25",
         "--from", "joe@outside.test", "--to", "ann@proxy.test", "--header", f"Subject: swaks {version}"])
    message = next(m for m in node.inbox("ann@proxy.test") if f"Subject: swaks {version}".encode() in m).decode()
    assert "([192.0.2.99])" in message
