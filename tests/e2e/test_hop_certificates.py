"""Next hops that ask for a certificate, and credentials that are one."""
import ssl

import pytest

from harness.authority import Authority, fingerprint
from harness.posthouse import Posthouse, make_message, subject_of
from harness.process import make_folder, remove_folder, wait_equal, wait_until
from harness.requests import problem as refused
from harness.sink import Behaviour

ANN, DAN = "ann@one.test", "dan@outside.test"


@pytest.fixture
def authority():
    folder = make_folder("authority")
    yield Authority(folder)
    remove_folder(folder)


@pytest.fixture
def node(new_posthouse, certificate, monkeypatch):
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment", lambda self: dict(plain(self), SSL_CERT_FILE=str(certificate.certificate)))
    node = new_posthouse(settings={"daemon.workers": 1, "delivery.probe_interval": "300ms", "delivery.retry_first": "300ms",
                                   "delivery.retry_max": "300ms"})
    node.start()
    node.api.customer("one")
    node.api.hosted_domain("one.test", "one")
    node.api.account(ANN, "one")
    return node


def members(pair):
    return {"certificate": pair[0].read_text(), "private_key": pair[1].read_text()}


def asking(certificate, authority, required=True):
    """A server's context that asks for a certificate of the authority."""
    context = certificate.server_context()
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    context.load_verify_locations(authority.certificate)
    return context


def shown(sink):
    """Common names of who has sent, "" for nobody."""
    return [dict(part[0] for part in (m.session.peer or {}).get("subject", ())).get("commonName", "") for m in sink.messages]


def credential(node, sink, pair, **more):
    made = node.api.post("/v1/credentials", {"name": "card", "kind": "certificate", **members(pair), **more})
    node.api.post("/v1/routes", {"name": "smart", "next_hops": [{"host": "127.0.0.1", "port": sink.port, "credential": "card"}]})
    node.api.post("/v1/route-rules", {"route": "smart", "customer": "one"})
    return made


def send(node, subject):
    node.submit(ANN, [DAN], make_message(subject, sender=ANN, to=DAN))


def subjects(sink):
    return sorted(subject_of(m.data) for m in sink.messages)


def waits(node, why):
    wait_until(lambda: [e for e in node.api.get("/v1/queue")["items"] if why in (e["last_reply"] or "")], f"it waits: {why}")


def test_it_is_shown_to_who_asks(node, sink, certificate, authority):
    """In each version of TLS; whoever does not ask gets mail without; a change is shown at once."""
    made = credential(node, sink, authority.client(name="card one"))
    assert (made["kind"], made["user"], made["certificate_expires_at"] > "2026") == ("certificate", None, True)
    assert "private_key" not in made and "PRIVATE" not in str(node.query("select * from audit_log"))
    for version, name in ((ssl.TLSVersion.TLSv1_3, "3"), (ssl.TLSVersion.TLSv1_2, "2")):
        context = asking(certificate, authority)
        context.maximum_version = version
        sink.behave = Behaviour(tls=context)
        send(node, name)
        wait_until(lambda: name in subjects(sink), "it is there")
        wait_until(lambda: all(m.session.ended_well for m in sink.messages), "the connection is over")
    assert shown(sink) == ["card one", "card one"] and not sink.messages[0].mail_parameters.count("AUTH=")
    sink.behave = Behaviour(tls=certificate.server_context())
    send(node, "not asked")
    wait_until(lambda: "not asked" in subjects(sink), "it is there")
    sink.behave = Behaviour(tls=asking(certificate, authority))
    pair = authority.client(name="card two")
    changed = node.api.patch("/v1/credentials/card", members(pair))
    assert changed["fingerprint"] == fingerprint(pair) != made["fingerprint"]
    send(node, "changed")
    wait_until(lambda: "changed" in subjects(sink), "it is there")
    assert shown(sink)[2:] == ["", "card two"]
    assert "PRIVATE KEY" not in node.log()


def test_one_that_is_not_taken(node, sink, certificate, authority):
    """Mail waits until there is one that is; in clear it does not go."""
    folder = make_folder("strange")
    credential(node, sink, Authority(folder, "strange").client())
    sink.behave = Behaviour(tls=asking(certificate, authority))
    send(node, "one")
    waits(node, "while")
    sink.behave = Behaviour()
    waits(node, "its credential is not used without TLS")
    sink.behave = Behaviour(tls=asking(certificate, authority))
    assert not sink.messages
    node.api.patch("/v1/credentials/card", members(authority.client(name="good")))
    wait_equal(lambda: subjects(sink), ["one"], "it is there")
    assert shown(sink) == ["good"]
    remove_folder(folder)


def test_what_is_refused(node, authority):
    pair, other = authority.client(), authority.client()
    good = members(pair)
    for change, field in (({"certificate": "x"}, "certificate"), ({"certificate": None}, "certificate"), ({"private_key": None}, "private_key"),
                          ({"private_key": "-----BEGIN PRIVATE KEY-----\n"}, "private_key"), ({"private_key": 7}, "private_key"),
                          ({"private_key": other[1].read_text()}, "private_key"), ({"certificate": good["certificate"] * 12}, "certificate"),
                          ({"certificate": "x" * 32769}, "certificate"), ({"user": "u"}, "user"), ({"tls": "none"}, "tls")):
        body = {k: v for k, v in {"name": "x", "kind": "certificate", **good, **change}.items() if v is not None}
        refused(node, 422, "POST", "/v1/credentials", body, field)
    node.api.post("/v1/credentials", {"name": "x", "kind": "certificate", **good})
    refused(node, 422, "PATCH", "/v1/credentials/x", {"certificate": good["certificate"]}, "private_key")
    refused(node, 422, "PATCH", "/v1/credentials/x", {"user": "u"}, "user")


ASKING = """
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_CAfile = {authority}
smtpd_tls_security_level = may
smtpd_tls_ask_ccert = yes
smtpd_tls_received_header = yes
smtpd_relay_restrictions = permit_tls_all_clientcerts, reject
smtpd_recipient_restrictions = permit_tls_all_clientcerts, reject
"""


def test_postfix_that_asks(node, postfix, certificate, authority):
    """A real server that takes mail of those only who show a certificate of its authority."""
    with open(postfix.config / "main.cf", "a") as file:
        file.write(ASKING.format(certificate=certificate.certificate, key=certificate.key, authority=authority.certificate))
    postfix.start()
    node.api.post("/v1/credentials", {"name": "card", "kind": "certificate", **members(authority.client(name="posthouse"))})
    node.api.post("/v1/domains", {"name": "relayed.test", "customer": "one", "kind": "relay",
                                  "next_hops": [{"host": "127.0.0.1", "port": postfix.port, "credential": "card"}]})
    node.submit(ANN, ["bob@relayed.test"], make_message("shown", sender=ANN, to="bob@relayed.test"))
    wait_until(lambda: postfix.messages(), "it is there")
    assert b'Client CN "posthouse"' in postfix.messages()[0] and b"verified OK" in postfix.messages()[0]
