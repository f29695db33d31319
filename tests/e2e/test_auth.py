"""Signing in, the same for SMTP, IMAP and POP3: what is refused without TLS, what a stranger can tell apart (nothing), and
what may not be said when. Each mechanism with each client is in test_smtp, test_imap, test_pop3 and test_clients."""
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.posthouse import PASSWORD
from harness.process import run
from harness.signing import PROTOCOLS, Signing, encoded

ANN, EVE, FAY = "ann@signing.test", "eve@signing.test", "fay@halted.test"
NOBODY = "nobody@signing.test"


@pytest.fixture(scope="module")
def node(posthouse):
    for customer, domain in (("signing", "signing.test"), ("halted", "halted.test")):
        posthouse.api.customer(customer)
        posthouse.api.hosted_domain(domain, customer)
    for address, customer in ((ANN, "signing"), (EVE, "signing"), (FAY, "halted")):
        posthouse.api.account(address, customer, PASSWORD)
    posthouse.api.patch(f"/v1/accounts/{EVE}", {"state": "suspended"})
    posthouse.api.patch("/v1/customers/halted", {"state": "suspended"})
    return posthouse


@pytest.fixture(params=PROTOCOLS)
def protocol(request):
    return request.param


# ------------------------------------------------------------------ what is refused without TLS


def test_passwords_are_not_taken_in_clear(node, protocol):
    """Right or wrong, and before anybody is asked: the answer is the same, and the session goes on."""
    answers = set()
    with Signing(node, protocol, tls=False) as client:
        for login, password in ((ANN, PASSWORD), (ANN, "wrong"), (NOBODY, PASSWORD)):
            answers.add(client.plain(login, password))
        for mechanism in ("PLAIN", "LOGIN", "login"):
            answers.add(client.auth(mechanism))
        assert len(answers) == 1 and answers.pop()[0] == "no"
        if protocol != "smtp":
            assert client.by_name(ANN, PASSWORD)[0] == client.by_name(ANN, "wrong")[0] == "no"
        assert not client.in_use()
        assert client.scram(ANN, PASSWORD)[0] == "yes"
        assert client.in_use()


def test_scram_in_clear_and_over_tls(node, protocol):
    for tls in (False, True):
        with Signing(node, protocol, tls) as client:
            assert client.scram(ANN.upper(), PASSWORD)[0] == "yes"
            assert client.in_use()


# ------------------------------------------------------------------ what a stranger can tell apart


@pytest.mark.parametrize("protocol, way", [(protocol, way) for protocol in PROTOCOLS
                                           for way in ("plain", "login", "scram", "by_name")
                                           if (protocol, way) != ("smtp", "by_name")])
def test_one_answer_to_all_who_may_not(node, protocol, way):
    """A wrong password, nobody's account, a suspended one, one of a suspended customer, somebody else's name: all alike."""
    def attempt(who):
        with Signing(node, protocol, tls=True) as client:
            answer = getattr(client, way)(*who)
            assert not client.in_use()
            return answer

    strangers = [(ANN, "wrong"), (NOBODY, PASSWORD), (EVE, PASSWORD), (FAY, PASSWORD), ("ann", PASSWORD)]
    with ThreadPoolExecutor(len(strangers)) as threads:  # a no is late on purpose
        answers = set(threads.map(attempt, strangers))
    assert len(answers) == 1, answers
    kind, text = answers.pop()
    assert kind == "no"
    code = {"smtp": r"535 5\.7\.8 ", "imap": r"NO \[AUTHENTICATIONFAILED\] ", "pop3": r"\[AUTH\] "}[protocol]
    assert re.match(code, text), text


def test_salts_tell_nothing(node, protocol):
    """Everybody has one, always the same, whichever protocol asks, and of the same form."""
    def salt(login, on):
        with Signing(node, on, tls=True) as client:
            fields = client.scram_first(login)[0]
            return fields["s"], fields["i"]

    salts = {login: salt(login, protocol) for login in (ANN, EVE, FAY, NOBODY)}
    assert {login: salt(login, "smtp") for login in salts} == salts
    assert len({s for s, _ in salts.values()}) == 4
    assert len({(len(s), i) for s, i in salts.values()}) == 1


def test_suspension_is_lifted_at_once(node, protocol):
    login = f"gus-{protocol}@signing.test"
    node.api.account(login, "signing", PASSWORD)
    with Signing(node, protocol, tls=True) as client:
        node.api.patch(f"/v1/accounts/{login}", {"state": "suspended"})
        assert client.plain(login, PASSWORD)[0] == "no"
        node.api.patch(f"/v1/accounts/{login}", {"state": "active"})
        assert client.plain(login, PASSWORD)[0] == "yes"


def test_nobody_signs_in_as_another(node, protocol):
    """PLAIN's authorization identity (RFC 4616) may be one's own, and nobody else's."""
    with Signing(node, protocol, tls=True) as client:
        assert client.auth("PLAIN", encoded(f"{NOBODY}\0{ANN}\0{PASSWORD}"))[0] == "no"
        assert client.auth("PLAIN", encoded(f"{ANN}\0{ANN}\0{PASSWORD}"))[0] == "yes"


def test_a_password_however_it_is_typed(node, protocol):
    """SASLprep (RFC 4013): the letter in one code point or in two, the blank that does not break; SCRAM's clients prepare it."""
    composed, typed, other = "caf\u00e9 ol\u00e9", "cafe\u0301\u00a0ole\u0301", "cafe ole"
    login = f"typed-{protocol}@signing.test"
    node.api.account(login, "signing", typed)
    for way, password, expected in (("plain", composed, "yes"), ("plain", typed, "yes"), ("login", typed, "yes"), ("scram", composed, "yes"),
                                    ("plain", other, "no"), ("scram", other, "no")):
        with Signing(node, protocol, tls=True) as client:
            assert getattr(client, way)(login, password)[0] == expected, (way, password)
    face = "\U0001f600 and more"  # which SASLprep does not know
    node.api.patch(f"/v1/accounts/{login}", {"password": face})
    for password, expected in ((face, "yes"), (face[1:], "no")):
        with Signing(node, protocol, tls=True) as client:
            assert client.plain(login, password)[0] == expected


# ------------------------------------------------------------------ the dialogue


@pytest.mark.parametrize("mechanism, steps", [("PLAIN", 1), ("LOGIN", 1), ("LOGIN", 2), ("SCRAM-SHA-256", 1)])
def test_cancelled_at_any_step(node, protocol, mechanism, steps):
    with Signing(node, protocol, tls=True) as client:
        assert client.auth(mechanism)[0] == "more"
        for _ in range(steps - 1):
            assert client.say(encoded(ANN))[0] == "more"
        kind, text = client.say("*")
        assert kind == "no" and "cancelled" in text
        assert not client.in_use()
        assert client.plain(ANN, PASSWORD)[0] == "yes"


def test_scram_cancelled_before_the_end(node, protocol):
    with Signing(node, protocol, tls=True) as client:
        client.scram_first(ANN)
        assert client.say("*")[0] == "no"
        assert client.scram(ANN, PASSWORD)[0] == "yes"


def test_responses_that_make_no_sense(node, protocol):
    """Not base64, in either place; not what the mechanism wants; too long to be it. Each ends the exchange, not the session."""
    with Signing(node, protocol, tls=True) as client:
        for nonsense in ("***", "AAA", "A===", "AAAA=AAA", "AA AA"):
            if " " not in nonsense:
                assert client.auth("PLAIN", nonsense)[0] == "no"
            assert client.auth("PLAIN")[0] == "more"
            assert client.say(nonsense)[0] == "no"
        for nonsense in (b"no separators", b"\xff\xfe", b"\0", b"\0\0\0\0\0"):
            assert client.auth("SCRAM-SHA-256", encoded(nonsense))[0] == "no"
        assert client.plain(ANN, PASSWORD)[0] == "yes"


def test_an_empty_initial_response(node, protocol):
    """"=" is empty, which no mechanism of ours begins with; it is not the same as none (RFC 4954 4, RFC 5034 4, RFC 4959 3)."""
    with Signing(node, protocol, tls=True) as client:
        assert client.auth("PLAIN", "=")[0] == "no"
        assert not client.in_use()
        assert client.auth("PLAIN") == ("more", "")
        assert client.say(encoded(f"\0{ANN}\0{PASSWORD}"))[0] == "yes"


def test_once_is_enough(node, protocol):
    with Signing(node, protocol, tls=True) as client:
        assert client.plain(ANN, PASSWORD)[0] == "yes"
        for again in (client.plain, client.by_name if protocol != "smtp" else client.plain):
            kind, text = again(ANN, PASSWORD)
            assert kind == "no"
            assert text.startswith({"smtp": "503 5.5.1", "imap": "BAD", "pop3": ""}[protocol]), text
        assert client.in_use()


def test_not_within_a_transaction(node):
    """RFC 4954 section 4. MAIL before AUTH is refused, so only a second AUTH can come within one."""
    with Signing(node, "smtp", tls=True) as client:
        client.ask(f"MAIL FROM:<{ANN}>", "530 5.7.0")
        assert client.plain(ANN, PASSWORD)[0] == "yes"
        client.ask(f"MAIL FROM:<{ANN}>", "250")
        assert client.plain(ANN, PASSWORD)[1].startswith("503 5.5.1")
        client.ask("RCPT TO:<someone@outside.test>", "250")  # the transaction goes on


def test_unknown_mechanisms(node, protocol):
    with Signing(node, protocol, tls=True) as client:
        for name in ("CRAM-MD5", "ANONYMOUS", "EXTERNAL", "SCRAM-SHA-512-PLUS", "X" * 20):
            kind, text = client.auth(name)
            assert kind == "no", (name, text)
        assert client.plain(ANN, PASSWORD)[0] == "yes"


# ------------------------------------------------------------------ clients that are refused say so


def test_clients_report_a_wrong_password(node):
    for scheme in ("imaps", "pop3s"):
        done = run(["curl", "--silent", "--show-error", "--cacert", node.certificate.certificate, "--user", f"{ANN}:wrong",
                    f"{scheme}://localhost:{node.ports[scheme]}/"], check=False)
        assert done.returncode == 67, done.stderr  # CURLE_LOGIN_DENIED
    done = run(["swaks", "--server", "127.0.0.1", "--port", node.ports["submission"], "--auth", "PLAIN", "--auth-user", ANN,
                "--auth-password", PASSWORD, "--from", ANN, "--to", ANN], check=False)
    assert done.returncode == 28, done.stdout + done.stderr  # no mechanism to be had without TLS
