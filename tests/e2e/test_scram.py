"""SCRAM's -PLUS forms: what is proven is proven to this connection only (RFC 5802, RFC 5929, RFC 9266)."""
import ssl
import subprocess

import pytest

from harness.posthouse import PASSWORD, Posthouse
from harness.process import PATIENCE
from harness.signing import PROTOCOLS, Signing

ANN = "ann@bound.test"
PLUS = "SCRAM-SHA-256-PLUS"
pytestmark = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture(scope="module")
def node(postgres, certificate):
    made = Posthouse(postgres, certificate, settings={"smtp.xclient_networks": "127.0.0.1", "auth.channel_binding": "yes"})
    try:
        made.start()
        made.api.customer("bound")
        made.api.hosted_domain("bound.test", "bound")
        made.api.account(ANN, "bound", PASSWORD)
        yield made
    finally:
        made.close()


def signing(node, protocol, tls=True):
    """Python knows tls-unique, and not tls-exporter."""
    return Signing(node, protocol, tls=tls, version=ssl.TLSVersion.TLSv1_2)


def test_it_is_offered_over_tls(node, protocol):
    with signing(node, protocol) as client:
        assert client.offered() == [PLUS, "SCRAM-SHA-256", "PLAIN", "LOGIN"]
        assert client.scram_plus(ANN, PASSWORD, PLUS)[0] == "yes" and client.in_use()
    with signing(node, protocol, tls=False) as client:
        assert client.offered() == ["SCRAM-SHA-256"]
        assert client.auth(PLUS)[0] == "no"


def test_what_is_refused(node, protocol):
    def answer(mechanism, header, binding=b"", password=PASSWORD):
        with signing(node, protocol) as client:
            return client.scram(ANN, password, mechanism, header, binding)[0]

    assert answer(PLUS, "p=tls-unique,,", b"x" * 12) == "no"
    assert answer(PLUS, "p=tls-unique,,") == "no"
    assert answer(PLUS, "p=tls-exporter,,", b"x" * 32) == "no"
    assert answer(PLUS, "n,,") == "no"  # it chose to bind, and does not
    assert answer("SCRAM-SHA-256", "y,,") == "no"  # somebody has told it that we do not offer it
    assert answer("SCRAM-SHA-256", "n,,") == "yes"
    with signing(node, protocol) as client:
        assert client.scram_plus(ANN, "wrong", PLUS)[0] == "no"
    with signing(node, protocol) as one, signing(node, protocol) as other:
        name, value = other.channel_binding()
        assert one.scram(ANN, PASSWORD, PLUS, f"p={name},,", value)[0] == "no"


def test_in_a_session_that_is_resumed(node, protocol):
    """tls-unique is the server's Finished message then."""
    with signing(node, protocol) as client:
        assert client.scram_plus(ANN, PASSWORD, PLUS)[0] == "yes"
        session, context = client.socket.session, client.socket.context

    class Again(Signing):
        def start_tls(self):
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost", session=session)

    with Again(node, protocol, tls=True) as client:
        assert client.socket.session_reused
        assert client.scram_plus(ANN, PASSWORD, PLUS)[0] == "yes"


def test_not_behind_xclient(node, protocol):
    if protocol != "smtp":
        pytest.skip("XCLIENT is SMTP's")
    with signing(node, protocol) as client:
        client.ask("XCLIENT ADDR=192.0.2.9", "220")
        assert "AUTH SCRAM-SHA-256 PLAIN LOGIN" in client.ask("EHLO client.test", "250")
        client.ask(f"AUTH {PLUS}", "504")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_with_gsasl(node, protocol, version):
    """Which is a client of its own making, with GnuTLS; it knows tls-unique and tls-exporter."""
    if protocol == "pop3":
        pytest.skip("gsasl does not speak POP3")

    def sign_in(password):
        port = node.ports["submission" if protocol == "smtp" else "imap"]
        return subprocess.run(["gsasl", f"--{protocol}", "--connect", f"localhost:{port}", "--mechanism", PLUS, "--authentication-id",
                               ANN, "--password", password, f"--x509-ca-file={node.certificate.certificate}", "--priority",
                               f"NORMAL:-VERS-ALL:+VERS-TLS{version}"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=30 * PATIENCE)

    done = sign_in(PASSWORD)
    assert done.returncode == 0 and "server trusted" in done.stderr, done.stdout + done.stderr
    assert "AUTH SCRAM-SHA-256-PLUS" in done.stdout or "AUTHENTICATE SCRAM-SHA-256-PLUS" in done.stdout
    assert sign_in("wrong").returncode != 0
