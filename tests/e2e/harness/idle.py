"""An IMAP client that waits to be told (RFC 2177).

    idle = Idle(node, "carol@x.test")
    count, when = idle.exists()         the next number of messages, and the time.monotonic() at which it was told
"""
import re
import socket
import time

from .posthouse import PASSWORD


class Idle:
    def __init__(self, node, login):
        raw = socket.create_connection(("localhost", node.ports["imaps"]))
        self.socket = node.certificate.context().wrap_socket(raw, server_hostname="localhost")
        self.socket.settimeout(120)
        self.buffer = b""
        self.line()
        for command in (f"LOGIN {login} {PASSWORD}", "SELECT INBOX"):
            self.say(f"a {command}")
            while not (line := self.line()).startswith("a "):
                pass
            assert line.startswith("a OK"), line
        self.say("a IDLE")
        assert self.line().startswith("+")

    def close(self):
        self.socket.close()

    def say(self, text):
        self.socket.sendall(text.encode() + b"\r\n")

    def line(self):
        while b"\r\n" not in self.buffer:
            got = self.socket.recv(65536)
            if not got:
                raise ConnectionError("the server has closed the connection")
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode()

    def exists(self):
        while True:
            found = re.fullmatch(r"\* (\d+) EXISTS", self.line())
            if found:
                return int(found[1]), time.monotonic()
