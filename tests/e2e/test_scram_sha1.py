"""SCRAM-SHA-1: where it is switched on, with keys of its own."""
import ssl
import subprocess

import pytest

from harness.posthouse import PASSWORD, Posthouse
from harness.process import PATIENCE
from harness.signing import PROTOCOLS, Signing

ANN, OLD = "ann@sha1.test", "old@sha1.test"
SHA1, PLUS = "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"


def prepare(node):
    node.start()
    node.api.customer("sha1")
    node.api.hosted_domain("sha1.test", "sha1")
    node.api.account(ANN, "sha1", PASSWORD)
    return node


@pytest.fixture(scope="module")
def node(postgres, certificate):
    made = Posthouse(postgres, certificate, settings={"auth.scram_sha1": "yes", "auth.channel_binding": "yes"})
    try:
        yield prepare(made)
    finally:
        made.close()


def stored(node, address):
    (keys,), = node.query(f"select scram_sha1 from account where address = '{address}'")
    return keys


def attempt(node, protocol, address, way, *arguments, password=PASSWORD):
    with Signing(node, protocol, tls=True, version=ssl.TLSVersion.TLSv1_2) as client:
        return getattr(client, way)(address, password, *arguments)[0] == "yes"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_signs_in(node, protocol):
    with Signing(node, protocol, tls=True) as client:
        assert client.offered() == ["SCRAM-SHA-256-PLUS", PLUS, "SCRAM-SHA-256", SHA1, "PLAIN", "LOGIN"]
    with Signing(node, protocol, tls=False) as client:
        assert client.offered() == ["SCRAM-SHA-256", SHA1]
        assert client.scram(ANN, PASSWORD, SHA1)[0] == "yes" and client.in_use()
    assert attempt(node, protocol, ANN, "scram", SHA1)
    assert attempt(node, protocol, ANN, "scram_plus", PLUS)
    assert attempt(node, protocol, ANN, "scram") and attempt(node, protocol, ANN, "scram_plus")
    assert not attempt(node, protocol, ANN, "scram", SHA1, password="wrong")
    assert not attempt(node, protocol, ANN, "scram", PLUS)  # does not bind


def test_with_gsasl(node):
    for mechanism in (SHA1, PLUS):
        for password, good in ((PASSWORD, True), ("wrong", False)):
            done = subprocess.run(["gsasl", "--imap", "--connect", f"localhost:{node.ports['imap']}", "--mechanism", mechanism,
                                   "--authentication-id", ANN, "--password", password,
                                   f"--x509-ca-file={node.certificate.certificate}", *(["--no-cb"] if mechanism == SHA1 else [])],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30 * PATIENCE)
            assert (done.returncode == 0) is good, done.stdout + done.stderr


def test_salts_tell_nothing(node):
    """Its own one, and who does not exist has one as well."""
    def salt(login, mechanism=SHA1):
        with Signing(node, "imap", tls=True) as client:
            return client.scram_first(login, mechanism)[0]["s"]

    for login in (ANN, "nobody@sha1.test"):
        assert salt(login) == salt(login) != salt(login, "SCRAM-SHA-256")
        assert len(salt(login)) == len(salt(ANN, "SCRAM-SHA-256"))


def test_keys_follow_the_password(node):
    node.api.account(OLD, "sha1", PASSWORD)
    first = stored(node, OLD)
    assert first.startswith("SCRAM-SHA-1$4096:")
    node.api.patch(f"/v1/accounts/{OLD}", {"password": "another one"})
    assert stored(node, OLD) not in (None, "", first)
    assert attempt(node, "imap", OLD, "scram", SHA1, password="another one")
    node.query(f"update account set scram_sha1 = null where address = '{OLD}'")  # from before it was switched on
    assert not attempt(node, "imap", OLD, "scram", SHA1, password="another one")
    assert attempt(node, "imap", OLD, "scram", password="another one") and not stored(node, OLD)
    assert attempt(node, "pop3", OLD, "plain", password="another one")
    assert attempt(node, "imap", OLD, "scram", SHA1, password="another one")
    node.api.patch(f"/v1/accounts/{OLD}", {"password": None})
    assert not stored(node, OLD)


def test_off_unless_switched_on(new_posthouse):
    node = prepare(new_posthouse())
    assert not stored(node, ANN)
    for protocol in PROTOCOLS:
        with Signing(node, protocol, tls=True) as client:
            assert SHA1 not in client.offered()
            assert client.auth(SHA1)[0] == client.auth(PLUS)[0] == "no"
            assert client.plain(ANN, PASSWORD)[0] == "yes"
    assert not stored(node, ANN)
