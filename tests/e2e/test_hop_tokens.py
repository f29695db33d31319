"""Next hops that are signed in at with tokens: XOAUTH2 and OAUTHBEARER, fetched from a token server, shared, renewed."""
import pytest

from harness.posthouse import Posthouse, make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.requests import problem as refused
from harness.sasl_server import Tokens
from harness.sink import Behaviour
from harness.token_server import TokenServer

ANN, DAN = "ann@one.test", "dan@outside.test"
USER = "relay@smart.test"


@pytest.fixture
def tokens():
    server = TokenServer()
    yield server
    server.close()


@pytest.fixture
def node(new_posthouse, certificate, monkeypatch):
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment", lambda self: dict(plain(self), SSL_CERT_FILE=str(certificate.certificate)))
    node = new_posthouse(settings={"daemon.workers": 2, "delivery.probe_interval": "300ms", "delivery.retry_first": "300ms",
                                   "delivery.retry_max": "300ms"})
    node.start()
    node.api.customer("one")
    node.api.hosted_domain("one.test", "one")
    node.api.account(ANN, "one")
    return node


@pytest.fixture
def hop(node, sink, certificate, tokens):
    """The sink takes the tokens that the server gives; all of the customer's mail to outside goes by it."""
    sink.behave = Behaviour(tls=certificate.server_context(), tls_extensions=("AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER",),
                            auth=Tokens(USER, lambda: tokens.good))
    return sink


def credential(node, tokens, sink, **members):
    made = node.api.post("/v1/credentials", {"name": "smart", "kind": "oauth", "user": USER, "token_url": tokens.url, "client_id": tokens.client_id,
                                             "client_secret": tokens.secret, **members})
    node.api.post("/v1/routes", {"name": "smart", "next_hops": [{"host": "127.0.0.1", "port": sink.port, "credential": "smart"}]})
    node.api.post("/v1/route-rules", {"route": "smart", "customer": "one"})
    return made


def send(node, subject):
    node.submit(ANN, [DAN], make_message(subject, sender=ANN, to=DAN))


def subjects(sink):
    return sorted(subject_of(m.data) for m in sink.messages)


def arrives(sink, subject):
    wait_until(lambda: subject in subjects(sink), "it is there")


def waits(node, why):
    wait_until(lambda: [e for e in node.api.get("/v1/queue")["items"] if why in (e["last_reply"] or "")], f"it waits: {why}")


def idle_over(sink):
    wait_until(lambda: all(m.session.ended_well for m in sink.messages), "the last connection is over")


def nothing_told(node, tokens):
    told = node.log() + str(node.api.get("/v1/credentials/smart")) + str(node.query("select * from audit_log")) + \
        str(node.query("select * from event")) + str(node.query("select failure from hop_token"))
    assert not [s for s in (tokens.secret, tokens.refresh, "first-refresh", *tokens.good) if s in told]


@pytest.mark.parametrize("mechanism", [None, "xoauth2", "oauthbearer"])
@pytest.mark.parametrize("length", [20, 7900])
def test_client_credentials(node, hop, tokens, mechanism, length):
    tokens.length = length
    made = credential(node, tokens, hop, mechanism=mechanism, scope="https://outlook.office365.com/.default")
    assert (made["kind"], made["grant"], made["token_expires_at"], made["token_failure"]) == ("oauth", "client_credentials", None, None)
    send(node, "one")
    arrives(hop, "one")
    idle_over(hop)
    send(node, "two")
    arrives(hop, "two")
    assert [m for m, _ in hop.signed_in] == [(mechanism or "oauthbearer").upper()] * 2
    assert tokens.asked == [{"grant_type": "client_credentials", "client_id": "relay", "client_secret": tokens.secret,
                             "scope": "https://outlook.office365.com/.default"}], "one for both connections"
    assert node.api.get("/v1/credentials/smart")["token_expires_at"]
    nothing_told(node, tokens)


def test_refresh_tokens_that_change(node, hop, tokens):
    """Each is kept, sealed, and used once; a token is renewed before it is over, while it is used."""
    tokens.rotates, tokens.lifetime = True, 8
    made = credential(node, tokens, hop, refresh_token=tokens.refresh)
    assert made["grant"] == "refresh_token"
    for number in range(20):
        send(node, str(number))
        arrives(hop, str(number))
        idle_over(hop)
        if len(tokens.asked) >= 3:
            break
    used = [form["refresh_token"] for form in tokens.asked]
    assert len(used) >= 3 and len(set(used)) == len(used) and used[0] == "first-refresh"
    assert not hop.behave.auth.ends, "none was refused"
    assert node.query("select count(*) from hop_token where refresh_token is not null and access_token is not null") == [["1"]]
    nothing_told(node, tokens)


def test_one_asks_for_all(node, hop, tokens):
    """Many messages, two workers, a slow server."""
    tokens.delay = 1
    credential(node, tokens, hop, refresh_token=tokens.refresh)
    names = [str(number) for number in range(10)]
    for name in names:
        node.submit(ANN, [f"{name}@outside.test"], make_message(name, sender=ANN, to=DAN))
    wait_equal(lambda: subjects(hop), sorted(names), "all are there")
    assert len(tokens.asked) == 1


def test_a_token_that_is_refused(node, hop, tokens):
    """It is dropped and another is fetched, once; if that is not taken either mail waits and the host is left alone."""
    credential(node, tokens, hop)
    send(node, "one")
    arrives(hop, "one")
    idle_over(hop)
    tokens.good.clear()  # revoked
    send(node, "two")
    arrives(hop, "two")
    assert len(tokens.asked) == 2 and hop.behave.auth.ends == [b"AQ=="]
    idle_over(hop)
    taken, hop.behave.auth.good = hop.behave.auth.good, lambda: []
    send(node, "three")
    waits(node, "535 5.7.8 that token is not taken")
    waits(node, "it has refused credential smart")
    assert len(tokens.asked) in (3, 4), "by each worker once"
    hop.behave.auth.good = taken
    node.api.patch("/v1/credentials/smart", {"mechanism": "xoauth2"})
    arrives(hop, "three")
    nothing_told(node, tokens)


def test_token_servers_that_answer_badly(node, hop, tokens):
    """Mail waits and is told why; the server is not asked again at once; what is changed is tried at once."""
    credential(node, tokens, hop)
    tokens.behave = 503, b"<html>away</html>"
    send(node, "one")
    waits(node, "the token server answers with status 503 and no JSON object")
    count = len(tokens.asked)
    assert node.api.get("/v1/credentials/smart")["token_failure"].startswith("the token server answers")
    for behave, why in (("cut", "the token server cannot be asked"),
                        ((400, {"error": "invalid_scope", "error_description": tokens.secret}), "the token server says invalid_scope (400)"),
                        ((400, {"error": "client s3cret &="}), "the token server answers with status 400"),
                        ((200, {"access_token": "x y", "token_type": "Bearer"}), "a token that cannot be used"),
                        ((200, {"access_token": "x" * 8001, "token_type": "Bearer"}), "a token that cannot be used"),
                        ((200, {"access_token": "x\1auth=", "token_type": "Bearer"}), "a token that cannot be used"),
                        ((200, {"access_token": "x", "token_type": "mac"}), "not of type Bearer"),
                        ((200, []), "no JSON object"), ((200, b" " * 100000), "the token server cannot be asked"),
                        ((302, {}), "status 302")):
        tokens.behave = behave
        node.api.patch("/v1/credentials/smart", {})
        waits(node, why)
    assert len(tokens.asked) <= count + 3 * 10, "it backs off"
    assert not hop.messages and not hop.signed_in
    tokens.behave = None
    node.api.patch("/v1/credentials/smart", {"client_secret": "wrong"})
    waits(node, "the token server says invalid_client (401)")
    node.api.patch("/v1/credentials/smart", {"client_secret": tokens.secret})
    arrives(hop, "one")
    nothing_told(node, tokens)


def test_what_is_refused(node, tokens):
    good = {"name": "x", "kind": "oauth", "user": "u", "token_url": "https://login.test/token", "client_id": "c", "client_secret": "s"}
    for change, field in (({"token_url": "http://login.test/"}, "token_url"), ({"token_url": None}, "token_url"), ({"client_id": None}, "client_id"),
                          ({"client_secret": None}, "client_secret"), ({"mechanism": "plain"}, "mechanism"), ({"password": "p"}, "password"),
                          ({"refresh_token": "x" * 8001}, "refresh_token")):
        body = {k: v for k, v in {**good, **change}.items() if v is not None}
        refused(node, 422, "POST", "/v1/credentials", body, field)
    refused(node, 422, "POST", "/v1/credentials", {"name": "x", "user": "u", "password": "p", "token_url": "https://a.test/"}, "token_url")
    refused(node, 422, "POST", "/v1/credentials", {"name": "x", "user": "u", "password": "p", "mechanism": "xoauth2"}, "mechanism")
    node.api.post("/v1/credentials", {**{k: v for k, v in good.items() if k != "client_secret"}, "refresh_token": "r"})
    shown = node.api.get("/v1/credentials/x")
    assert shown["key"] and shown["key_current"] and "client_secret" not in shown and "refresh_token" not in shown
    node.api.delete("/v1/credentials/x")
    assert node.query("select count(*) from hop_token") == [["0"]]
