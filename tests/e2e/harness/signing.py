"""Signing in by hand, the same for SMTP, IMAP and POP3."""
import base64
import hashlib
import hmac
import os

from .dialogue import Dialogue

PROTOCOLS = ["smtp", "imap", "pop3"]
CLEAR = {"smtp": "submission", "imap": "imap", "pop3": "pop3"}
TLS = {"smtp": "submissions", "imap": "imaps", "pop3": "pop3s"}


def encoded(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


class Signing(Dialogue):
    """One protocol's way to say AUTH: answers are ("more", challenge), ("yes", text) or ("no", text)."""

    def __init__(self, node, protocol, tls, source=None, **options):
        super().__init__(node, (TLS if tls else CLEAR)[protocol], source=source, **options)
        self.protocol = protocol
        if protocol == "smtp":
            self.offer = self.hello()
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

    def offered(self):
        """The mechanisms that it lists."""
        if self.protocol == "smtp":
            return next(line for line in self.offer.split("\n") if line[4:].startswith("AUTH "))[9:].split()
        self.send("a CAPABILITY\r\n" if self.protocol == "imap" else "CAPA\r\n")
        lines = [self.line()]
        while not lines[-1].startswith("a OK") and lines[-1] != ".":
            lines.append(self.line())
        if self.protocol == "imap":
            return [word[5:] for line in lines for word in line.split() if word.startswith("AUTH=")]
        return next(line for line in lines if line.startswith("SASL ")).split()[1:]

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

    def channel_binding(self):
        """Name and value: Python knows tls-unique; tls-exporter is for TLS 1.3, which openssl's s_client would show."""
        return "tls-unique", self.socket.get_channel_binding("tls-unique")

    def scram_first(self, login, mechanism="SCRAM-SHA-256", header="n,,"):
        """To the server's first message: its fields, and what is signed so far."""
        nonce = encoded(os.urandom(18))
        bare = f"n={login},r={nonce}"
        kind, challenge = self.auth(mechanism, encoded(header + bare))
        if kind == "no":
            return None, challenge
        text = base64.b64decode(challenge).decode()
        fields = dict(field.split("=", 1) for field in text.split(","))
        assert fields["r"].startswith(nonce) and len(fields["r"]) > len(nonce) and int(fields["i"]) >= 4096
        return fields, f"{bare},{text}"

    def scram(self, login, password, mechanism="SCRAM-SHA-256", header="n,,", binding=b""):
        digest = "sha1" if "SHA-1" in mechanism else "sha256"
        fields, signed = self.scram_first(login, mechanism, header)
        if not fields:
            return "no", signed
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", digest)
        final = f"c={encoded(header.encode() + binding)},r={fields['r']}"
        signed = f"{signed},{final}".encode()
        proof = bytes(a ^ b for a, b in zip(key, hmac.digest(hashlib.new(digest, key).digest(), signed, digest)))
        answer = self.say(encoded(f"{final},p={encoded(proof)}"))
        if answer[0] == "more":
            server = hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest)
            assert base64.b64decode(answer[1]).decode() == f"v={encoded(server)}"
            answer = self.say("")
        return answer

    def scram_plus(self, login, password, mechanism="SCRAM-SHA-256-PLUS"):
        name, value = self.channel_binding()
        return self.scram(login, password, mechanism, f"p={name},,", value)

    def in_use(self):
        """Is somebody signed in?"""
        command, good = {"smtp": ("MAIL FROM:<>", "250"), "imap": ("b NOOP\r\nb SELECT INBOX", "b OK [READ-WRITE]"),
                         "pop3": ("STAT", "+OK")}[self.protocol]
        self.send(command + "\r\n")
        if self.protocol == "smtp":
            return self.reply().startswith(good)
        lines = [self.line()]
        while self.protocol == "imap" and sum(line.startswith("b ") for line in lines) < 2:
            lines.append(self.line())
        return lines[-1].startswith(good)
