"""TLS of the front-ends: certificates by name, reload, resumption, clients' certificates, and what is recorded."""
import hashlib
import re
import shutil
import socket
import ssl

import pytest

from harness.certificate import HOSTNAME
from harness.posthouse import make_message
from harness.process import PATIENCE, run, wait_until


def make_pair(folder, name, hosts):
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
         "-out", certificate, "-days", "30", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)])
    key.chmod(0o644)
    return certificate, key


def context(*trusted, version=None, client=None):
    made = ssl.create_default_context()
    for file in trusted:
        made.load_verify_locations(file)
    if version:
        made.minimum_version = made.maximum_version = version
    if client:
        made.load_cert_chain(*client)
    return made


def connect(node, port, made, name, session=None):
    """Over TLS, and the greeting is read: TLS 1.3 sends its tickets with it."""
    connection = socket.create_connection(("127.0.0.1", node.ports[port]), timeout=30 * PATIENCE)
    secured = made.wrap_socket(connection, server_hostname=name, session=session)
    secured.greeting = secured.recv(1000)
    return secured


def fingerprint(secured):
    return hashlib.sha256(secured.getpeercert(binary_form=True)).hexdigest()


def digest(file):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read_text())).hexdigest()


@pytest.fixture
def pairs(tmp_path):
    tmp_path.chmod(0o755)
    return {"plain": make_pair(tmp_path, "plain", ["imap.customer.test"]),
            "wild": make_pair(tmp_path, "wild", ["*.wild.test"])}


def test_the_name_chooses_the_certificate(new_posthouse, certificate, pairs):
    node = new_posthouse(settings={
        "tls.certificate_file": f"{certificate.certificate} {pairs['plain'][0]} {pairs['wild'][0]}",
        "tls.key_file": f"{certificate.key} {pairs['plain'][1]} {pairs['wild'][1]}"}).start()
    made = context(certificate.certificate, pairs["plain"][0], pairs["wild"][0])
    for port in ("submissions", "imaps", "pop3s"):
        for name, file in ((HOSTNAME, certificate.certificate), ("imap.customer.test", pairs["plain"][0]),
                           ("a.wild.test", pairs["wild"][0])):
            with connect(node, port, made, name) as secured:
                assert fingerprint(secured) == digest(file), (port, name)
        made.check_hostname = False
        for name in (None, "unknown.test", "a.b.wild.test"):
            with connect(node, port, made, name) as secured:
                assert fingerprint(secured) == digest(certificate.certificate), (port, name)
        made.check_hostname = True
    with node.smtp() as client:
        client._host = "b.wild.test"  # what smtplib asks for
        client.starttls(context=made)
        assert fingerprint(client.sock) == digest(pairs["wild"][0])


def test_reload_brings_new_certificates_and_ends_no_session(new_posthouse, certificate, pairs, tmp_path):
    used = tmp_path / "used.pem", tmp_path / "used.key"
    for source, target in zip((certificate.certificate, certificate.key), used):
        shutil.copy(source, target)
        target.chmod(0o644)
    node = new_posthouse(settings={"tls.certificate_file": used[0], "tls.key_file": used[1]}).start()
    made = context(certificate.certificate, pairs["plain"][0])
    made.check_hostname = False
    with connect(node, "submissions", made, HOSTNAME) as old:
        for source, target in zip(pairs["plain"], used):  # as an ACME client does
            shutil.copy(source, target)
        node.reload()

        def renewed():
            with connect(node, "submissions", made, HOSTNAME) as new:
                return fingerprint(new) == digest(pairs["plain"][0])

        wait_until(renewed, "new connections see the new certificate")
        old.sendall(b"NOOP\r\n")
        assert old.recv(1000).startswith(b"250 ")
        used[1].write_text("no key")
        node.reload()
        wait_until(lambda: "cannot be used; nothing was changed" in node.log(), "the bad key was told")
        assert renewed()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_by_whatever_worker_and_after_a_reload(new_posthouse, version):
    node = new_posthouse(settings={"daemon.workers": 3}).start()
    made = context(node.certificate.certificate, version=version)

    def again(session, expected=True):
        with connect(node, "submissions", made, HOSTNAME, session) as secured:
            assert secured.session_reused is expected
            return secured.session

    session = again(None, False)
    for _ in range(12):
        session = again(session)
    old = set(node.family())
    node.reload()
    wait_until(lambda: not old & set(node.family()), "the old processes are gone")
    session = again(session)
    node.stop()
    node.start()
    again(session, False)  # another master, other keys


def test_the_least_version(new_posthouse):
    node = new_posthouse(settings={"tls.min_version": "1.3"}).start()
    for port in ("submissions", "imaps", "pop3s"):
        with connect(node, port, context(node.certificate.certificate), "localhost") as secured:
            assert secured.version() == "TLSv1.3"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            connect(node, port, context(node.certificate.certificate, version=ssl.TLSVersion.TLSv1_2), "localhost")


def test_clients_are_asked_for_a_certificate_and_need_none(new_posthouse, certificate, pairs):
    node = new_posthouse(settings={"tls.client_ca_file": pairs["plain"][0]}).start()
    with connect(node, "submissions", context(certificate.certificate), HOSTNAME) as secured:
        assert secured.greeting.startswith(b"220 ")
    assert "client certificate" not in node.log()
    for name, verified in (("plain", "yes"), ("wild", "no")):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            made = context(certificate.certificate, client=pairs[name], version=version)
            for port in ("submissions", "imaps", "pop3s"):
                with connect(node, port, made, HOSTNAME):
                    pass
        told = re.findall(rf"client certificate.*sha256={digest(pairs[name][0])} name={name} verified={verified}", node.log())
        assert len(told) == 6, node.log()


def test_what_was_used_is_recorded_with_the_message(new_posthouse, certificate):
    node = new_posthouse().start()
    node.api.customer("tls")
    node.api.hosted_domain("tls.test", "tls")
    node.api.account("ann@tls.test", "tls")
    for version, expected in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3"), (None, None)):
        with node.smtp() as client:
            if version:
                client.starttls(context=context(certificate.certificate, version=version))
                suite = {"TLSv1.2": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLSv1.3": "TLS_AES_256_GCM_SHA384"}[expected]
            client.ehlo()
            client.mail("joe@outside.test")
            client.rcpt("ann@tls.test")
            code, reply = client.data(make_message(f"by {expected}"))
            assert code == 250
            message = node.api.get("/v1/messages/" + reply.decode().split()[-1])
        text = next(m for m in node.inbox("ann@tls.test") if f"Subject: by {expected}".encode() in m).decode()
        received = text[text.index("Received:"):text.index("+0000")]
        if version:
            assert message["tls"] == f"{expected} {suite}"
            assert "with ESMTPS\r\n" in received and f"\ttls {suite} ({expected});" in received
        else:
            assert message["tls"] is None
            assert "with ESMTP\r\n" in received and "tls " not in received
