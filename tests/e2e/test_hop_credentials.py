"""Credentials of next hops: /v1/credentials, the file of keys, and AUTH towards servers good and bad."""
import base64
import os
import socket
import stat

import pytest

from harness.authority import Authority
from harness.certificate import Certificate
from harness.posthouse import Posthouse, make_message, subject_of
from harness.process import Process, make_folder, remove_folder, wait_equal, wait_until
from harness.requests import problem as refused
from harness.sasl_server import Passwords, asks_for_ever, says
from harness.sink import Behaviour

ANN, DAN = "ann@one.test", "dan@outside.test"
USER, PASSWORD = "relay@smart.test", "s3cret pass, with commas = and ünïcode"
BEST = "AUTH CRAM-MD5 LOGIN PLAIN SCRAM-SHA-1 SCRAM-SHA-256"


@pytest.fixture
def trusting(certificate, monkeypatch):
    """Programs that are started trust the tests' certificate, as they do the system's authorities."""
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment", lambda self: dict(plain(self), SSL_CERT_FILE=str(certificate.certificate)))


@pytest.fixture
def make_node(new_posthouse, trusting):
    def make(**settings):
        node = new_posthouse(settings={"daemon.workers": 1, "delivery.probe_interval": "300ms", **settings})
        node.write_config(secrets__key_file=node.folder / "keys")
        node.key = node.command("--add-secret-key").stdout.strip()
        node.start()
        node.api.customer("one")
        node.api.hosted_domain("one.test", "one")
        node.api.account(ANN, "one")
        return node
    return make


@pytest.fixture
def node(make_node):
    return make_node()


def restart(node):
    node.stop()
    node.start()


def credential(node, name="smart", **members):
    return node.api.post("/v1/credentials", {"name": name, "user": USER, "password": PASSWORD, **members})


def route(node, sink, name="smart", **members):
    """All of the customer's mail to outside goes by it."""
    made = node.api.post("/v1/routes", {"name": name, "next_hops": [{"host": "127.0.0.1", "port": sink.port, "credential": "smart", **members}]})
    node.api.post("/v1/route-rules", {"route": name, "customer": "one"})
    return made


def behaviour(certificate, auth, offers=BEST, **members):
    return Behaviour(tls=certificate.server_context(), tls_extensions=(offers,), auth=auth, **members)


def send(node, subject):
    node.submit(ANN, [DAN], make_message(subject, sender=ANN, to=DAN))


def subjects(sink):
    return sorted(subject_of(m.data) for m in sink.messages)


def queue(node):
    return node.api.get("/v1/queue")["items"]


def waits(node, why):
    """Somebody waits, and is told so."""
    wait_until(lambda: [e for e in queue(node) if why in (e["last_reply"] or "")], f"it waits: {why}")


def secrets_of(password=PASSWORD):
    return [password, base64.b64encode(password.encode()).decode(), base64.b64encode(f"\0{USER}\0{password}".encode()).decode()]


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "scram-sha-1", "plain", "login"])
def test_each_mechanism(node, sink, certificate, mechanism):
    """The only one that is offered, or the one that is asked for; and the best without a word."""
    sink.behave = behaviour(certificate, Passwords(USER, PASSWORD), f"AUTH CRAM-MD5 {mechanism.upper()}")
    credential(node)
    route(node, sink)
    send(node, "offered")
    wait_equal(lambda: subjects(sink), ["offered"], "it is there")
    assert sink.signed_in == [(mechanism.upper(), "TLSv1.3")]
    assert sink.messages[0].mail_parameters.split()[0] == "AUTH=<>", "RFC 4954 5"
    sink.behave = behaviour(certificate, Passwords(USER, PASSWORD))
    for wanted, used in ((mechanism, mechanism), (None, "scram-sha-256")):
        node.api.patch("/v1/credentials/smart", {"mechanism": wanted})
        send(node, f"wanted {wanted}")
        wait_until(lambda: f"wanted {wanted}" in subjects(sink), "it is there")
        assert sink.signed_in[-1][0] == used.upper()
    log = node.log()
    assert not [s for s in secrets_of() if s in log]


def test_what_is_told_of_a_credential(node, sink, certificate):
    made = credential(node)
    assert made == node.api.get("/v1/credentials/smart") == node.api.get(f"/v1/credentials/{made['id']}")
    assert {k: made[k] for k in ("name", "kind", "user", "mechanism", "tls", "key", "key_current")} == {
        "name": "smart", "kind": "password", "user": USER, "mechanism": None, "tls": "verify", "key": node.key, "key_current": True}
    assert node.api.get("/v1/credentials")["items"] == [made]
    (row,) = node.query("select encode(secret, 'hex') from hop_credential")
    assert b"s3cret".hex() not in row[0] and row[0].startswith("01" + node.key)
    assert "s3cret" not in str(node.query("select * from audit_log"))
    made = route(node, sink)
    assert made["next_hops"][0]["credential"] == node.api.get("/v1/credentials/smart")["id"]
    refused(node, 409, "DELETE", "/v1/credentials/smart", None)
    node.api.post("/v1/domains", {"name": "r.test", "customer": "one", "kind": "relay",
                                  "next_hops": [{"host": "127.0.0.1", "port": sink.port, "credential": "smart"}]})
    hops = node.api.get("/v1/domains/r.test")["next_hops"]
    assert hops == node.api.patch("/v1/domains/r.test", {"next_hops": hops})["next_hops"] and hops[0]["credential"]
    refused(node, 422, "PATCH", "/v1/domains/r.test", {"next_hops": [dict(hops[0], credential="nobody")]}, "next_hops[0].credential")
    refused(node, 422, "PATCH", "/v1/routes/smart", {"next_hops": [dict(hops[0], credential="nobody")]}, "next_hops[0].credential")
    node.api.patch("/v1/routes/smart", {"next_hops": [dict(hops[0], credential=None)]})
    refused(node, 409, "DELETE", "/v1/credentials/smart", None)
    node.api.delete("/v1/domains/r.test")
    for body, field in (({"name": "x", "user": "u"}, "password"), ({"name": "x", "password": "p"}, "user"),
                        ({"name": "x", "user": "u", "password": "p", "kind": "kerberos"}, "kind"),
                        ({"name": "x", "user": "u", "password": "p", "tls": "none"}, "tls"),
                        ({"name": "x", "user": "u", "password": "p" * 1025}, "password"),
                        ({"name": "x", "user": "u", "password": "p", "mechanism": "cram-md5"}, "mechanism")):
        refused(node, 422, "POST", "/v1/credentials", body, field)
    refused(node, 409, "POST", "/v1/credentials", {"name": "smart", "user": "u", "password": "p"}, "name")
    node.api.delete("/v1/credentials/smart")
    refused(node, 404, "GET", "/v1/credentials/smart", None)


def test_never_without_protection(node, sink, certificate):
    """Neither in clear nor to whom no certificate is for; with `tls` encrypt to whoever speaks TLS."""
    credential(node)
    route(node, sink)
    sink.behave = Behaviour(extensions=("PIPELINING", BEST), auth=Passwords(USER, PASSWORD))
    send(node, "one")
    waits(node, "its credential is not used without TLS")
    folder = make_folder("other")
    sink.behave = behaviour(Certificate(folder), Passwords(USER, PASSWORD))
    waits(node, "its credential is not used without a certificate for its name")
    sink.behave = Behaviour(tls_broken=True, extensions=(BEST,), auth=Passwords(USER, PASSWORD))
    waits(node, "TLS handshake failed")
    assert sink.signed_in == []
    node.api.patch("/v1/routes/smart", {"next_hops": [{"host": "127.0.0.1", "port": sink.port, "credential": "smart", "tls": "none"}]})
    sink.behave = behaviour(certificate, Passwords(USER, PASSWORD))
    waits(node, "its credential is not used without TLS")
    node.api.patch("/v1/routes/smart", {"next_hops": [{"host": "127.0.0.1", "port": sink.port, "credential": "smart"}]})
    sink.behave = behaviour(Certificate(folder), Passwords(USER, PASSWORD))
    node.api.patch("/v1/credentials/smart", {"tls": "encrypt"})
    wait_equal(lambda: subjects(sink), ["one"], "it is there")
    remove_folder(folder)


def test_a_refused_credential_waits(node, sink, certificate):
    """Nothing bounces, it is said why, the server is not asked again at once, and a change is tried at once."""
    sink.behave = behaviour(certificate, Passwords(USER, "another"))
    credential(node)
    route(node, sink)
    send(node, "one")
    waits(node, "535 5.7.8 bad name or password")
    waits(node, "it has refused credential smart")
    message = queue(node)[0]["message"]
    events = node.api.get(f"/v1/messages/{message}/events")["items"]
    assert [e for e in events if e["kind"] == "deferred"] and not [e for e in events if e["kind"] == "bounced"]
    assert len(sink.signed_in) == 1, "it was not tried again"
    node.api.patch("/v1/credentials/smart", {"password": "another"})
    wait_equal(lambda: subjects(sink), ["one"], "it is there")
    log = node.log()
    assert not [s for s in secrets_of() + secrets_of("another")[1:] if s in log]


def test_servers_that_answer_badly(node, sink, certificate):
    """Each is a deferral with a reason, and the next good answer delivers."""
    credential(node)
    route(node, sink)
    send(node, "one")
    hard, early, forger = (Passwords(USER, PASSWORD, n) for n in (2_000_000_000, 4096, 4096))
    early.spoil, forger.spoil = "early", "signature"
    for auth, offers, why in (
            (None, "8BITMIME", "does not offer AUTH"),
            (None, "AUTH CRAM-MD5 X-OTHER", "does not offer AUTH"),
            (says("454 4.7.0 try later"), BEST, "454 4.7.0 try later"),
            (says("334 !!", "501 oh"), BEST, "its challenge is not one"),
            (says("334-cmFuZG9t\r\n334 cmFuZG9t", "501 oh"), BEST, "its challenge is not one"),
            (says("334 " + "QUJD" * 2900, "501 oh"), BEST, "its challenge is not one"),
            (says("235 2.7.0 come in"), "AUTH SCRAM-SHA-256", "said yes without proving"),
            (asks_for_ever, "AUTH PLAIN", "asks on when all is said"),
            (asks_for_ever, "AUTH LOGIN", "asks on when all is said"),
            (asks_for_ever, "AUTH SCRAM-SHA-256", "its challenge is not one"),
            (hard, BEST, "its challenge is not one"),
            (early, BEST, "said yes without proving"),
            (forger, BEST, "does not know the password"),
            (lambda session, mechanism, initial: session.say(f"500 unknown command AUTH {mechanism} {initial}"), "AUTH PLAIN",
             "signing in: 500, and what we had sent"),
            (says("250 what?"), BEST, "250 what?"),
            (lambda session, *_: session.connection.shutdown(socket.SHUT_RDWR), BEST, "connection broken while signing in"),
            (says("nonsense"), BEST, "not an SMTP reply")):
        sink.behave = behaviour(certificate, auth, offers)
        waits(node, why)
        node.api.patch("/v1/credentials/smart", {})  # what was refused is tried again at once
    assert not sink.messages
    log = node.log() + str(queue(node))
    assert not [s for s in secrets_of() if s in log or s[:20] in log]
    sink.behave = behaviour(certificate, Passwords(USER, PASSWORD))
    wait_equal(lambda: subjects(sink), ["one"], "it is there")


def test_a_server_that_wants_it_and_is_not_given_one(node, sink, certificate):
    """530 of a configured host is an administrator's slip: mail waits."""
    sink.behave = behaviour(certificate, None, mail_reply="530 5.7.0 Authentication required")
    credential(node)
    route(node, sink, credential=None)
    send(node, "one")
    waits(node, "530 5.7.0")
    sink.behave = behaviour(certificate, Passwords(USER, PASSWORD))
    node.api.patch("/v1/routes/smart", {"next_hops": [{"host": "127.0.0.1", "port": sink.port, "credential": "smart"}]})
    wait_equal(lambda: subjects(sink), ["one"], "it is there")


@pytest.mark.parametrize("way", ["a rule", "the default route", "a domain", "a domain's route"])
def test_connections_are_not_shared(make_node, sink, certificate, way):
    """One that is kept is given up when the credential, or which one it is, is another."""
    node = make_node(**({"delivery.default_route": "route:smart"} if way == "the default route" else {}))
    sink.behave = behaviour(certificate, Passwords(USER, PASSWORD))
    credential(node)
    credential(node, "other", mechanism="plain")
    path, hop, to = "/v1/routes/smart", {"host": "127.0.0.1", "port": sink.port, "credential": "smart"}, DAN
    if way == "a rule":
        route(node, sink)
    elif way == "a domain":
        path, to = "/v1/domains/r.test", "dan@r.test"
        node.api.post("/v1/domains", {"name": "r.test", "customer": "one", "kind": "relay", "next_hops": [hop]})
    else:
        node.api.post("/v1/routes", {"name": "smart", "next_hops": [hop]})
    if way == "a domain's route":
        to = "dan@r.test"
        node.api.post("/v1/domains", {"name": "r.test", "customer": "one", "kind": "relay", "route": "smart"})

    def arrives(subject):
        node.submit(ANN, [to], make_message(subject, sender=ANN, to=to))
        wait_until(lambda: subject in subjects(sink), "it is there")

    for subject in ("1", "2"):
        arrives(subject)
    assert len(sink.signed_in) == 1, "the connection was kept"
    node.api.patch("/v1/credentials/smart", {"mechanism": "login"})
    arrives("3")
    node.api.patch(path, {"next_hops": [dict(hop, credential="other")]})
    arrives("4")
    assert [m for m, _ in sink.signed_in] == ["SCRAM-SHA-256", "LOGIN", "PLAIN"]
    node.api.patch(path, {"next_hops": [dict(hop, credential=None)]})
    arrives("5")
    assert "AUTH=" not in sink.messages[-1].mail_parameters and len(sink.signed_in) == 3


def test_questions_for_recipients_sign_in(node, sink, certificate):
    """A primary that is asked which recipients exist is signed in at, too."""
    sink.behave = behaviour(certificate, Passwords(USER, PASSWORD), recipient_replies={"nobody@r.test": "550 5.1.1 no such user"})
    credential(node)
    node.api.post("/v1/domains", {"name": "r.test", "customer": "one", "kind": "relay", "recipients": "learned",
                                  "next_hops": [{"host": "127.0.0.1", "port": sink.port, "credential": "smart"}]})
    with node.smtp() as client:
        client.ehlo("client.test")
        client.mail("joe@client.test")
        assert client.rcpt("nobody@r.test")[0] == 550
    assert sink.asked[0][1] == "nobody@r.test" and sink.signed_in[0] == ("SCRAM-SHA-256", "TLSv1.3")


def test_keys_come_and_go(node, sink, certificate):
    """A second key opens, then seals; what the first has sealed is sealed anew; then the first may go."""
    sink.behave = behaviour(certificate, Passwords(USER, PASSWORD))
    credential(node)
    route(node, sink)
    keys = node.folder / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    young = node.command("--add-secret-key").stdout.strip()
    first, second = (f"# {name}\n{line}\n" for name, line in
                     zip((node.key, young), (l for l in keys.read_text().splitlines() if not l.startswith("#"))))
    keys.write_text(second + first)
    restart(node)
    assert not node.api.get("/v1/credentials/smart")["key_current"]
    assert node.api.post("/v1/credential-reseals", None) == {"key": young, "resealed": 1, "unopened": 0}
    assert node.api.post("/v1/credential-reseals", None) == {"key": young, "resealed": 0, "unopened": 0}
    shown = node.api.get("/v1/credentials/smart")
    assert (shown["key"], shown["key_current"]) == (young, True)
    keys.write_text(second)
    restart(node)
    send(node, "one")
    wait_equal(lambda: subjects(sink), ["one"], "it is there")
    keys.write_text(first)
    restart(node)
    assert node.api.post("/v1/credential-reseals", None) == {"key": node.key, "resealed": 0, "unopened": 1}
    send(node, "two")
    waits(node, "the key of its secret is not in [secrets] key_file")
    node.write_config(secrets__key_file=None)
    restart(node)
    waits(node, "key_file is not set")
    refused(node, 409, "POST", "/v1/credentials", {"name": "new", "user": "u", "password": "p"})
    refused(node, 409, "POST", "/v1/credential-reseals", None)
    node.write_config(secrets__key_file=keys)
    keys.write_text(second)
    restart(node)
    credential(node, "other")
    node.query("update hop_credential c set secret = o.secret, version = 99 from hop_credential o where c.name = 'smart' and o.name = 'other'")
    waits(node, "its secret was altered in the database")
    node.api.patch("/v1/credentials/smart", {"password": PASSWORD})
    wait_until(lambda: "two" in subjects(sink), "it is there")


def test_a_file_of_keys_is_nobody_elses(node):
    keys = node.folder / "keys"
    good = node.command("--check-config")
    assert good.returncode == 0
    for text, mode, why in ((None, 0o640, "may be used by others"), ("", 0o600, "there is no key in it"), ("short\n", 0o600, "line 1 is not a key")):
        if text is not None:
            keys.write_text(text)
        os.chmod(keys, mode)
        bad = node.command("--check-config", check=False)
        assert bad.returncode == 78 and why in bad.stderr and "key_file" in bad.stderr
        os.chmod(keys, 0o600)
    node.write_config(secrets__key_file=None)
    assert node.command("--add-secret-key", check=False).returncode == 78


DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols =
ssl = no
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
auth_mechanisms = plain login scram-sha-1 scram-sha-256
disable_plaintext_auth = no
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  unix_listener {queue}/private/auth {{
    mode = 0666
  }}
}}
"""

SASL = """
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_delay_reject = yes
"""


@pytest.fixture
def signed_postfix(postfix, certificate):
    """Postfix that takes mail of those only who sign in, by Dovecot's SASL."""
    folder = make_folder("dovecot")
    os.chmod(folder, 0o755)
    (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD_OF_DOVECOT}\n")
    os.chmod(folder / "users", 0o644)
    (folder / "dovecot.conf").write_text(DOVECOT.format(folder=folder, queue=postfix.folder / "queue"))
    with open(postfix.config / "main.cf", "a") as file:
        file.write(SASL.format(certificate=certificate.certificate, key=certificate.key))
    postfix.start()
    dovecot = Process("dovecot", ["/usr/sbin/dovecot", "-F", "-c", folder / "dovecot.conf"], folder / "log")
    try:
        wait_until(lambda: (postfix.folder / "queue/private/auth").exists(), "Dovecot answers")
        yield postfix
    finally:
        dovecot.stop()
        remove_folder(folder)


PASSWORD_OF_DOVECOT = "another s3cret = ünd lang"


@pytest.mark.parametrize("mechanism", [None, "scram-sha-1", "plain", "login"])
def test_postfix_with_dovecot(node, signed_postfix, mechanism):
    """A real server takes mail by each mechanism, and none without; a wrong password waits until it is right."""
    credential(node, mechanism=mechanism)
    node.api.post("/v1/domains", {"name": "relayed.test", "customer": "one", "kind": "relay", "next_hops": [
        {"host": "127.0.0.1", "port": signed_postfix.port, "credential": "smart"}]})
    node.submit(ANN, ["bob@relayed.test"], make_message("signed", sender=ANN, to="bob@relayed.test"))
    waits(node, "535 5.7.8")
    assert not signed_postfix.messages()
    node.api.patch("/v1/credentials/smart", {"password": PASSWORD_OF_DOVECOT})
    wait_until(lambda: signed_postfix.messages(), "it is there")
    assert f"sasl_method={(mechanism or 'scram-sha-256').upper()}, sasl_username={USER}" in signed_postfix.maillog()


def test_a_probe_tells_nobody_the_password_who_may_not_have_the_mail(node, sink):
    """The domain's policy wants a certificate for the host; the credential alone would be content without."""
    asked, login = [], Passwords(USER, PASSWORD)

    def auth(session, mechanism, initial):
        asked.append(mechanism)
        login(session, mechanism, initial)
    folder = make_folder("authority")
    context, _ = Authority(folder).server("other.test")
    remove_folder(folder)
    sink.behave = Behaviour(tls=context, tls_extensions=("AUTH PLAIN",), auth=auth)
    credential(node, tls="encrypt")
    node.api.post("/v1/domains", {"name": "probed.test", "customer": "one", "kind": "relay",
                                  "next_hops": [{"host": "127.0.0.1", "port": sink.port, "credential": "smart"}]})
    node.api.put("/v1/domains/probed.test/continuity-policy", {"check_interval": 1})
    wait_until(lambda: asked, "a probe signs in")
    node.api.post("/v1/delivery-policies", {"domain": "probed.test", "tls": "verify"})
    since = [0, 0]  # connections and sign-ins when a probe signed in last

    def unasked():
        if len(asked) != since[1]:
            since[:] = [sink.connections, len(asked)]
        return sink.connections >= since[0] + 3
    wait_until(unasked, "once the policy is known probes do not")
