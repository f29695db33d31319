"""The server's side of AUTH for a Sink: `auth` of its Behaviour. Good ones, and some that are not."""
import base64
import hashlib
import hmac
import os


def encode(data):
    return base64.b64encode(data).decode()


def ask(session, challenge):
    """The client's answer, decoded; None: it gave up."""
    if session.at("challenge"):
        raise OSError  # which ends the session
    session.say(("334 " + encode(challenge)).rstrip() if challenge is not None else "334 ")
    line = session.rfile.readline(20000).strip()
    return None if line == b"*" or not line and challenge is None else base64.b64decode(line)


def give_up(session):
    session.say("501 5.7.0 given up")


class Passwords:
    """PLAIN, LOGIN, SCRAM-SHA-1 and SCRAM-SHA-256 with one name and password."""

    def __init__(self, user, password, iterations=4096):
        self.user, self.password, self.iterations = user, password, iterations
        self.refusal = "535 5.7.8 bad name or password"
        self.spoil = None  # "signature": the server cannot prove that it knows the password; "early": does not try

    def __call__(self, session, mechanism, initial):
        good = self.scram(session, mechanism, initial) if mechanism.startswith("SCRAM-") else self.plain(session, mechanism, initial)
        if good is not None:
            session.say("235 2.7.0 welcome" if good else self.refusal)

    def plain(self, session, mechanism, initial):
        if mechanism == "LOGIN":
            user = ask(session, b"Username:") if initial is None else base64.b64decode(initial)
            return (user.decode(), ask(session, b"Password:").decode()) == (self.user, self.password)
        message = ask(session, None) if initial is None else base64.b64decode(initial)
        return message.decode() == f"\0{self.user}\0{self.password}"

    def scram(self, session, mechanism, initial):
        digest = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}[mechanism]
        message = (ask(session, None) if initial is None else base64.b64decode(initial)).decode()
        header, bare = message[:3], message[3:]
        fields = dict(part.split("=", 1) for part in bare.split(","))
        if header != "n,," or fields["n"] != self.user:
            return False
        salt, nonce = os.urandom(16), fields["r"] + encode(os.urandom(18))
        first = f"r={nonce},s={encode(salt)},i={self.iterations}"
        final = ask(session, first.encode())
        if final is None:
            give_up(session)
            return None
        if self.spoil == "early":
            return True
        without, _, proof = final.decode().rpartition(",p=")
        salted = hashlib.pbkdf2_hmac(digest, self.password.encode(), salt, self.iterations)
        signed = f"{bare},{first},{without}".encode()
        client = hmac.digest(salted, b"Client Key", digest)
        wanted = hmac.digest(hashlib.new(digest, client).digest(), signed, digest)
        if bytes(a ^ b for a, b in zip(base64.b64decode(proof), wanted)) != client:
            return False
        signature = hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest)
        if self.spoil == "signature":
            signature = bytes(len(signature))
        if ask(session, b"v=" + encode(signature).encode()) is None:
            give_up(session)
            return None
        return True


def says(*replies):
    """Each in its turn, whatever comes in between."""
    def auth(session, mechanism, initial):
        for place, reply in enumerate(replies):
            if place:
                session.rfile.readline(20000)
            session.say(reply)
    return auth


def asks_for_ever(session, mechanism, initial):
    line = b""
    while line.strip() != b"*":
        session.say("334 ")
        line = session.rfile.readline(20000)
        if not line:
            return
    give_up(session)


class Tokens:
    """OAUTHBEARER and XOAUTH2: takes the tokens that `good()` gives for one user."""

    def __init__(self, user, good):
        self.user, self.good = user, good
        self.seen = []  # tokens
        self.ends = []  # what a refusal was answered with

    def __call__(self, session, mechanism, initial):
        message = (ask(session, None) if initial is None else base64.b64decode(initial)).decode()
        head = f"n,a={self.user},\1" if mechanism == "OAUTHBEARER" else f"user={self.user}\1"
        assert message.startswith(head + "auth=Bearer ") and message.endswith("\1\1"), message
        token = message[len(head) + 12:-2]
        self.seen.append(token)
        if token in self.good():
            session.say("235 2.7.0 welcome")
            return
        session.say("334 " + encode(b'{"status":"401","schemes":"bearer","scope":"mail"}'))
        self.ends.append(session.rfile.readline(20000).strip())
        session.say("535 5.7.8 that token is not taken")
