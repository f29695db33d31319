"""Signing in, the same for SMTP, IMAP and POP3: what is refused without TLS, what a stranger can tell apart (nothing), and
what may not be said when. Each mechanism with each client is in test_smtp, test_imap, test_pop3 and test_clients."""
import base64
import hashlib
import hmac
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.dialogue import Dialogue
from harness.posthouse import PASSWORD
from harness.process import run

ANN, EVE, FAY = "ann@signing.test", "eve@signing.test", "fay@halted.test"
NOBODY = "nobody@signing.test"
PROTOCOLS = ["smtp", "imap", "pop3"]
CLEAR = {"smtp": "submission", "imap": "imap", "pop3": "pop3"}
TLS = {"smtp": "submissions", "imap": "imaps", "pop3": "pop3s"}


def encoded(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


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


class Signing(Dialogue):
    """One protocol's way to say AUTH: answers are ("more", challenge), ("yes", text) or ("no", text)."""

    def __init__(self, node, protocol, tls):
        super().__init__(node, (TLS if tls else CLEAR)[protocol])
        self.protocol = protocol
        if protocol == "smtp":
            self.hello()
        else:
            assert self.line().startswith(("* OK", "+OK"))

    def line(self):
        while b"\r\n" not in self.buffer:
            got = self.socket.recv(65536)
            if not got:
                return ""
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode()

    def answer(self):
        if self.protocol == "smtp":
            text = self.reply()
            return {"334": "more", "235": "yes"}.get(text[:3], "no"), text[4:] if text[:3] in ("334", "235") else text
        if self.protocol == "pop3":
            text = self.line()
            return "more" if text.startswith("+ ") else "yes" if text.startswith("+OK") else "no", text.partition(" ")[2]
        while True:
            text = self.line()
            if text.startswith("+ "):
                return "more", text[2:]
            if not text.startswith("*"):
                return "yes" if text.startswith("a OK") else "no", text[2:]

    def say(self, line):
        self.send(line + "\r\n")
        return self.answer()

    def auth(self, mechanism, initial=None):
        verb = "a AUTHENTICATE " if self.protocol == "imap" else "AUTH "
        return self.say(verb + mechanism + ("" if initial is None else f" {initial}"))

    def plain(self, login, password):
        return self.auth("PLAIN", encoded(f"\0{login}\0{password}"))

    def login(self, login, password):
        assert self.auth("LOGIN") == ("more", encoded("Username:"))
        assert self.say(encoded(login)) == ("more", encoded("Password:"))
        return self.say(encoded(password))

    def by_name(self, login, password):
        """LOGIN, and USER and PASS; SMTP has no such thing."""
        if self.protocol == "imap":
            return self.say(f"a LOGIN {login} {password}")
        answer = self.say(f"USER {login}")
        return self.say(f"PASS {password}") if answer[0] == "yes" else answer

    def scram_first(self, login):
        """To the server's first message: its fields, and what is signed so far."""
        nonce = encoded(os.urandom(18))
        bare = f"n={login},r={nonce}"
        kind, challenge = self.auth("SCRAM-SHA-256", encoded("n,," + bare))
        assert kind == "more", challenge
        text = base64.b64decode(challenge).decode()
        fields = dict(field.split("=", 1) for field in text.split(","))
        assert fields["r"].startswith(nonce) and len(fields["r"]) > len(nonce) and int(fields["i"]) >= 4096
        return fields, f"{bare},{text}"

    def scram(self, login, password):
        fields, signed = self.scram_first(login)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = f"c=biws,r={fields['r']}"
        signed = f"{signed},{final}".encode()
        proof = bytes(a ^ b for a, b in zip(key, hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")))
        answer = self.say(encoded(f"{final},p={encoded(proof)}"))
        if answer[0] == "more":
            server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
            assert base64.b64decode(answer[1]).decode() == f"v={encoded(server)}"
            answer = self.say("")
        return answer

    def in_use(self):
        """Is somebody signed in?"""
        command, good = {"smtp": (f"MAIL FROM:<{ANN}>", "250"), "imap": ("b NOOP\r\nb SELECT INBOX", "b OK [READ-WRITE]"),
                         "pop3": ("STAT", "+OK")}[self.protocol]
        self.send(command + "\r\n")
        if self.protocol == "smtp":
            return self.reply().startswith(good)
        lines = [self.line()]
        while self.protocol == "imap" and sum(line.startswith("b ") for line in lines) < 2:
            lines.append(self.line())
        return lines[-1].startswith(good)


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
        for name in ("CRAM-MD5", "ANONYMOUS", "EXTERNAL", "SCRAM-SHA-256-PLUS", "X" * 20):
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
