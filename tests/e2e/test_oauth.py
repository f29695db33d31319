"""OAUTHBEARER and XOAUTH2: tokens that are introspected, and JWTs by published keys, over SMTP, IMAP and POP3."""
import base64
import json
import time

import pytest

from harness.oauth import AuthorizationServer, Key, base64url
from harness.posthouse import PASSWORD, Posthouse
from harness.process import make_folder, remove_folder, run
from harness.signing import PROTOCOLS, Signing, encoded

ANN, BOB = "ann@tokens.test", "bob@tokens.test"
MECHANISMS = ["OAUTHBEARER", "XOAUTH2"]
AWAY = {"smtp": "454 4.7.0 ", "imap": "NO [UNAVAILABLE] ", "pop3": "[SYS/TEMP] "}
WRONG = {"smtp": "535 5.7.8 ", "imap": "NO [AUTHENTICATIONFAILED] ", "pop3": "[AUTH] "}
SECRET = "s3cret: with % & blanks"


@pytest.fixture(scope="module")
def folder():
    made = make_folder("oauth")
    yield made
    remove_folder(made)


@pytest.fixture(scope="module")
def key(folder):
    return {"rsa": Key(folder, "rsa-1"), "ec": Key(folder, "ec-1", "ES256"), "other": Key(folder, "other"),
            "more": Key(folder, "ec-2", "ES256"), "most": Key(folder, "ec-3", "ES256")}


@pytest.fixture
def server(folder, key):
    made = AuthorizationServer(folder, SECRET)
    made.keys = [key["rsa"], key["ec"]]
    yield made
    made.stop()


@pytest.fixture
def make_node(new_posthouse, server, folder):
    def make(jwks=True, introspection=True, **more):
        (folder / "secret").write_text(SECRET + "\n")
        settings = {"daemon.workers": 1, "oauth.issuer": server.issuer, "oauth.audience": server.audience, "oauth.scope": "mail",
                    "oauth.timeout": "2s"}
        if jwks:
            settings["oauth.jwks"] = server.url("/keys")
        if introspection:
            settings.update({"oauth.introspection_url": server.url("/introspect"), "oauth.client": "relay",
                             "oauth.secret_file": folder / "secret"})
        node = new_posthouse(settings={**settings, **{name.replace("__", "."): value for name, value in more.items()}}).start()
        node.api.customer("tokens")
        node.api.hosted_domain("tokens.test", "tokens")
        node.api.account(ANN, "tokens", PASSWORD)
        node.api.account(BOB, "tokens", PASSWORD)
        return node

    return make


def message(mechanism, token, account=""):
    if mechanism == "XOAUTH2":
        return f"user={account}\1auth=Bearer {token}\1\1"
    return f"n,{'a=' + account if account else ''},\1host=localhost\1port=1\1auth=Bearer {token}\1\1"


def attempt(node, protocol, mechanism, token, account=ANN, initial=True):
    """("yes", text); ("no", text, what the challenge said)."""
    with Signing(node, protocol, tls=True) as client:
        text = encoded(message(mechanism, token, account))
        if initial and protocol != "pop3":  # whose command lines are short
            answer = client.auth(mechanism, text)
        else:
            assert client.auth(mechanism) == ("more", "")
            answer = client.say(text)
        if answer[0] == "yes":
            assert client.in_use()
        if answer[0] != "more":
            return answer
        told = json.loads(base64.b64decode(answer[1]))
        kind, text = client.say(encoded("\1") if mechanism == "OAUTHBEARER" else "")
        assert kind == "no" and not client.in_use()
        return kind, text, told


def good(*arguments, **options):
    return attempt(*arguments, **options)[0] == "yes"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_introspection(make_node, server, mechanism):
    node = make_node(jwks=False, oauth__answer_lifetime="0s")
    token = "opaque~token/with+all=="
    server.tokens[token] = {"active": True, **server.claims(ANN)}
    for protocol in PROTOCOLS:
        with Signing(node, protocol, tls=True) as client:
            assert client.offered()[-4:] == ["OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"]
        with Signing(node, protocol, tls=False) as client:
            assert not {"OAUTHBEARER", "XOAUTH2"} & set(client.offered())
            assert client.auth(mechanism)[0] == "no"
        assert good(node, protocol, mechanism, token)
        assert good(node, protocol, mechanism, token, initial=False)
        assert good(node, protocol, mechanism, token, account=ANN.upper())
        kind, text, told = attempt(node, protocol, mechanism, token, account=BOB)  # it is ann's
        assert text.startswith(WRONG[protocol])
        assert told == ({"status": "invalid_token", "scope": "mail"} if mechanism == "OAUTHBEARER" else
                        {"status": "401", "schemes": "bearer", "scope": "mail"})
        assert attempt(node, protocol, mechanism, "unknown")[1].startswith(WRONG[protocol])
    if mechanism == "OAUTHBEARER":
        assert good(node, "imap", mechanism, token, account="")  # the token tells
    del server.tokens[token]  # revoked
    assert not good(node, "imap", mechanism, token)
    assert token not in node.log() and encoded(message(mechanism, token, ANN)) not in node.log() and SECRET not in node.log()


def test_what_introspection_must_say(make_node, server):
    node = make_node(jwks=False, oauth__answer_lifetime="0s", auth__exempt="127.0.0.0/8")
    now = int(time.time())
    cases = {
        "good": ({}, True), "list": ({"aud": ["other", "posthouse"]}, True), "no end": ({"exp": None}, True),
        "audience": ({"aud": "other"}, False), "no audience": ({"aud": None}, False), "issuer": ({"iss": "https://other.test"}, False),
        "expired": ({"exp": now - 3600}, False), "future": ({"nbf": now + 3600}, False), "scope": ({"scope": "openid email"}, False),
        "part": ({"scope": "mailbox mails"}, False), "no scope": ({"scope": None}, False), "no account": ({"email": None}, False),
        "number": ({"email": 7}, False), "unverified": ({"email_verified": False}, False), "verified": ({"email_verified": True}, True),
        "time": ({"exp": "soon"}, False), "nobody": ({"email": "nobody@tokens.test"}, False), "inactive": ({"active": False}, False),
    }
    for name, (claims, expected) in cases.items():
        token = name.replace(" ", "-")
        server.tokens[token] = {"active": True, **server.claims(ANN), **claims}
        server.tokens[token] = {member: value for member, value in server.tokens[token].items() if value is not None}
        assert good(node, "smtp", "OAUTHBEARER", token, account="") is expected, name
    for reason in ("for another audience", "of another issuer", "expired", "not valid yet", "without the scope", "names no account",
                   "its address is not verified", "not active"):
        quoted = f'"{reason}"' if " " in reason else reason
        assert f'msg="token refused" reason={quoted}' in node.log(), reason
    node.api.patch(f"/v1/accounts/{ANN}", {"state": "suspended"})
    assert not good(node, "imap", "OAUTHBEARER", "good")


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_jwt(make_node, server, key, kind):
    node = make_node(introspection=False, auth__exempt="127.0.0.0/8")
    now = int(time.time())
    token = key[kind].token(server.claims(ANN))
    for protocol in PROTOCOLS:
        for mechanism in MECHANISMS:
            assert good(node, protocol, mechanism, token)
            assert not good(node, protocol, mechanism, token, account=BOB)
    assert server.asked.count("/keys") == 1  # remembered
    assert good(node, "imap", "OAUTHBEARER", key[kind].token(server.claims(ANN), kid=None), account="")
    head, claims, signature = token.split(".")
    other = base64url(server.claims(BOB))
    wrong = {
        "expired": key[kind].token(server.claims(ANN, exp=now - 3600)), "no end": key[kind].token(server.claims(ANN, exp=None)),
        "audience": key[kind].token(server.claims(ANN, aud=["other"])), "issuer": key[kind].token(server.claims(ANN, iss="x")),
        "future": key[kind].token(server.claims(ANN, nbf=now + 3600)), "scope": key[kind].token(server.claims(ANN, scope="x")),
        "critical": key[kind].token(server.claims(ANN), crit=["exp"]), "stranger's": key["other"].token(server.claims(ANN)),
        "as if ours": key["other"].token(server.claims(ANN), kid=key["rsa"].name),
        "spoilt": f"{head}.{claims}.{('B' if signature[0] == 'A' else 'A') + signature[1:]}", "changed": f"{head}.{other}.{signature}",
        "none": f"{base64url({'alg': 'none'})}.{claims}.", "unsigned": f"{base64url({'alg': 'none'})}.{claims}.AAAA",
        "secret": f"{base64url({'alg': 'HS256', 'kid': key['rsa'].name})}.{claims}.AAAA", "no jwt": "a.b.c", "opaque": "opaque",
        "confused": f"{base64url({'alg': 'ES256' if kind == 'rsa' else 'RS256', 'kid': key[kind].name})}.{claims}.{signature}",
    }
    for name, spoilt in wrong.items():
        assert not good(node, "smtp", "OAUTHBEARER", spoilt, account=""), name
    assert good(node, "imap", "OAUTHBEARER", token)
    assert token not in node.log() and signature not in node.log()


def test_keys_that_change(make_node, server, key):
    node = make_node(introspection=False, auth__exempt="127.0.0.0/8")

    def signs_in(name):
        return attempt(node, "imap", "OAUTHBEARER", key[name].token(server.claims(ANN)))

    assert signs_in("rsa")[0] == "yes"
    server.keys = [key["rsa"], key["more"]]
    assert signs_in("more")[0] == "yes"  # read again for it
    server.keys = [key["most"]]
    count = len(server.asked)
    assert signs_in("most")[0] == "no" and signs_in("other")[0] == "no"  # not twice within a minute
    assert len(server.asked) == count
    server.stop()
    assert signs_in("rsa")[0] == "yes"  # what is known goes on
    server.start()


def test_keys_in_a_file(make_node, server, key, folder):
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}, key["ec"].jwk()]}))
    path.chmod(0o644)
    node = make_node(jwks=False, introspection=False, oauth__jwks=path)
    assert good(node, "pop3", "OAUTHBEARER", key["ec"].token(server.claims(ANN)))
    assert not good(node, "pop3", "OAUTHBEARER", key["rsa"].token(server.claims(ANN)))


@pytest.mark.parametrize("behave", ["stopped", "cut", "silent", 500, 401, 302, "nonsense", "endless"])
def test_the_server_is_away(make_node, server, key, behave):
    """Temporary for the client, who keeps its token, and no failure."""
    node = make_node(auth__address_failures=1)
    server.tokens["opaque"] = {"active": True, **server.claims(ANN)}
    if behave == "stopped":
        server.stop()
    else:
        server.behave = behave
    jwt = key["rsa"].token(server.claims(ANN))
    for token in ("opaque", jwt):
        for protocol in PROTOCOLS:
            answer = attempt(node, protocol, "OAUTHBEARER", token)
            assert answer[0] == "no" and answer[1].startswith(AWAY[protocol]), answer
    if behave == "stopped":
        server.start()
    server.behave = None
    assert good(node, "imap", "OAUTHBEARER", "opaque")


def test_over_https(make_node, folder, certificate, key):
    """Verified, by the authorities of ca_file."""
    server = AuthorizationServer(folder, SECRET, certificate)
    server.keys = [key["ec"]]
    try:
        server.tokens["opaque"] = {"active": True, **server.claims(ANN)}
        for ca_file, good_one in ((certificate.certificate, True), ("/etc/ssl/certs/ca-certificates.crt", False)):
            node = make_node(oauth__jwks=server.url("/keys"), oauth__introspection_url=server.url("/introspect"), oauth__ca_file=ca_file)
            for token in ("opaque", key["ec"].token(server.claims(ANN))):
                answer = attempt(node, "imap", "OAUTHBEARER", token)
                assert answer[0] == "yes" if good_one else answer[1].startswith(AWAY["imap"]), answer
    finally:
        server.stop()


def test_yes_is_remembered_for_a_while(make_node, server):
    node = make_node(oauth__answer_lifetime="1h")
    server.tokens["opaque"] = {"active": True, **server.claims(ANN)}
    for protocol in PROTOCOLS:
        assert good(node, protocol, "OAUTHBEARER", "opaque")
    assert server.asked == ["/introspect"]
    del server.tokens["opaque"]
    assert good(node, "imap", "OAUTHBEARER", "opaque")  # so long does a revoked one go on
    server.tokens["short"] = {"active": True, **server.claims(ANN, exp=int(time.time()) - 30)}
    assert good(node, "imap", "OAUTHBEARER", "short")  # within what is allowed to clocks; not remembered
    server.tokens["short"]["active"] = False
    assert not good(node, "imap", "OAUTHBEARER", "short")
    assert not good(node, "imap", "OAUTHBEARER", "unknown")
    server.tokens["unknown"] = {"active": True, **server.claims(ANN)}
    assert good(node, "imap", "OAUTHBEARER", "unknown")  # no is not remembered


def test_failures_lead_to_a_ban(make_node, server):
    node = make_node(auth__exempt="192.0.2.1", auth__account_failures=3)
    server.tokens["opaque"] = {"active": True, **server.claims(ANN)}
    for number in range(3):
        with Signing(node, "imap", tls=True) as client:  # the challenge counts, whether it is answered or not
            kind, _ = client.auth("OAUTHBEARER", encoded(message("OAUTHBEARER", f"guess{number}", ANN)))
            assert kind == "more"
    for protocol in PROTOCOLS:
        assert attempt(node, protocol, "OAUTHBEARER", "opaque")[1].startswith(AWAY[protocol])
        assert attempt(node, protocol, "OAUTHBEARER", "opaque", account="")[1].startswith(AWAY[protocol])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_messages_that_make_no_sense(make_node, server, protocol):
    node = make_node()
    server.tokens["opaque"] = {"active": True, **server.claims(ANN)}
    with Signing(node, protocol, tls=True) as client:
        for mechanism, texts in {"OAUTHBEARER": ["", "\1", "n,,", "n,,\1\1", "n,,\1auth=Basic x\1\1", "p=tls-unique,,\1auth=Bearer x\1\1"],
                                 "XOAUTH2": ["", "user=\1auth=Bearer x\1\1", f"user={ANN}\1auth=Bearer \1\1"]}.items():
            for text in texts:
                assert client.auth(mechanism)[0] == "more"
                assert client.say(encoded(text))[0] == "no"
        assert client.auth("OAUTHBEARER")[0] == "more"
        assert client.say("*")[0] == "no"
        assert client.auth("OAUTHBEARER")[0] == "more"
        assert client.say(encoded(message("OAUTHBEARER", "opaque", ANN)))[0] == "yes"
    assert not server.asked[1:]


def test_with_curl(make_node, server, key):
    node = make_node()
    for token, expected in ((key["rsa"].token(server.claims(ANN)), 0), ("opaque", 67)):
        for mechanism in MECHANISMS:
            for url in (f"imaps://localhost:{node.ports['imaps']}/", f"pop3s://localhost:{node.ports['pop3s']}/"):
                done = run(["curl", "--silent", "--show-error", "--cacert", node.certificate.certificate, "--user", ANN,
                            "--oauth2-bearer", token, "--login-options", f"AUTH={mechanism}", url], check=False)
                assert done.returncode == expected, (mechanism, url, done.stderr)


def test_the_configuration_is_checked(new_posthouse, server, folder):
    def complaint(**settings):
        node = new_posthouse(settings={f"oauth.{name}": value for name, value in settings.items()})
        return node.command("--check-config", check=False).stderr

    (folder / "nonsense").write_text("{}")
    (folder / "empty").write_text("\n")
    (folder / "secret").write_text(SECRET)
    jwt = {"issuer": "x", "audience": "y"}
    assert "introspection_url must be" in complaint(introspection_url="http://issuer.test/")
    assert "jwks must be" in complaint(jwks="http://127.0.0.1.issuer.test/", **jwt)
    assert "jwks needs issuer and audience" in complaint(jwks="https://issuer.test/keys", issuer="x")
    assert "needs audience or scope" in complaint(introspection_url="https://issuer.test/")
    assert "client and secret_file go together" in complaint(introspection_url="https://issuer.test/", client="x")
    assert "client needs introspection_url" in complaint(client="x", secret_file=folder / "secret")
    assert "scope must be one word" in complaint(scope="a b")
    assert "is no JWK Set" in complaint(jwks=folder / "nonsense", **jwt)
    assert "cannot be read" in complaint(jwks=folder / "nowhere", **jwt)
    assert "no secret that can be read" in complaint(introspection_url="https://issuer.test/", scope="mail", client="x",
                                                    secret_file=folder / "empty")
    assert not complaint(introspection_url="https://issuer.test/", scope="mail", client="x",
                         secret_file=folder / "secret")


def test_not_offered_unless_configured(new_posthouse):
    node = new_posthouse().start()
    for protocol in PROTOCOLS:
        with Signing(node, protocol, tls=True) as client:
            assert not set(MECHANISMS) & set(client.offered())
            assert all(client.auth(mechanism)[0] == "no" for mechanism in MECHANISMS)
