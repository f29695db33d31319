"""A raw SMTP client: sends exactly what it is told to, reads one reply at a time."""
import base64
import hashlib
import hmac
import os
import socket
import ssl

from .process import PATIENCE


class Dialogue:
    def __init__(self, node, port="smtp", tls=None, source=None, client=None, version=None):
        """client: certificate and key that are shown when asked for; version: of TLS, that one only."""
        self.node = node
        self.client, self.version = client, version
        self.buffer = b""
        self.socket = socket.create_connection(("127.0.0.1", node.ports[port]), timeout=30 * PATIENCE,
                                               source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if port.endswith("s") if tls is None else tls:
            self.start_tls()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start_tls(self):
        assert not self.buffer, f"sent before TLS: {self.buffer!r}"
        context = self.node.certificate.context()
        if self.client:
            context.load_cert_chain(*self.client)
        if self.version:
            context.minimum_version = context.maximum_version = self.version
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def reply(self):
        """One reply: "250-first\\n250 second"; "" when the server closed the connection."""
        lines = []
        while not lines or lines[-1][3:4] == "-":
            while b"\r\n" not in self.buffer:
                try:
                    got = self.socket.recv(65536)
                except (ConnectionResetError, ssl.SSLError):
                    got = b""
                if not got:
                    return "\n".join(lines)
                self.buffer += got
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            lines.append(line.decode("latin-1"))
        return "\n".join(lines)

    def ask(self, command, expected=""):
        self.send(command + "\r\n")
        reply = self.reply()
        assert reply.split("\n")[-1].startswith(expected), f"{command[:60]}: {reply}"
        return reply

    def hello(self, name="client.test"):
        greeting = self.reply()
        assert greeting.startswith("220 "), greeting
        return self.ask(f"EHLO {name}", "250")

    def plain(self, login, password):
        return self.ask("AUTH PLAIN " + base64.b64encode(f"\0{login}\0{password}".encode()).decode())

    def scram(self, login, password, initial=True):
        """SCRAM-SHA-256 (RFC 5802, 7677); returns the last reply. Checks that the server knows the password, too."""
        def encode(text):
            return base64.b64encode(text.encode()).decode()

        def decode(reply):
            assert reply.startswith("334 "), reply
            return base64.b64decode(reply[4:]).decode()

        nonce = base64.b64encode(os.urandom(18)).decode()
        first_bare = f"n={login},r={nonce}"
        if initial:
            reply = self.ask("AUTH SCRAM-SHA-256 " + encode("n,," + first_bare))
        else:
            assert self.ask("AUTH SCRAM-SHA-256").strip() == "334"
            reply = self.ask(encode("n,," + first_bare))
        if not reply.startswith("334 "):
            return reply
        server_first = decode(reply)
        fields = dict(field.split("=", 1) for field in server_first.split(","))
        assert fields["r"].startswith(nonce)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        final_bare = f"c=biws,r={fields['r']}"
        message = f"{first_bare},{server_first},{final_bare}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        reply = self.ask(encode(f"{final_bare},p={base64.b64encode(proof).decode()}"))
        if not reply.startswith("334 "):
            return reply
        expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        assert decode(reply) == "v=" + base64.b64encode(expected).decode()
        return self.ask("")

    def message(self, sender, recipients, content):
        """MAIL to the end of data; the reply to it."""
        self.ask(f"MAIL FROM:<{sender}>", "250")
        for recipient in [recipients] if isinstance(recipients, str) else recipients:
            self.ask(f"RCPT TO:<{recipient}>", "250")
        self.ask("DATA", "354")
        self.send(content)
        self.send(b"\r\n.\r\n" if not content.endswith(b"\r\n" if isinstance(content, bytes) else "\r\n")
                  else b".\r\n")
        return self.reply()

    def close(self):
        self.socket.close()
