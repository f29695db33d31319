"""Hostile and broken clients at each front-end: a clear answer or a closed connection, bounded memory, others served."""
import contextlib
import os
import resource
import socket
import struct
from pathlib import Path

import pytest

from harness.posthouse import FINDINGS, PROGRAM, make_message
from harness.process import PATIENCE, wait_until

PORTS = ("smtp", "submission", "imap", "pop3")
GREETINGS = {"smtp": b"220 ", "submission": b"220 ", "imap": b"* OK ", "pop3": b"+OK "}
PROBES = {"smtp": (b"NOOP\r\n", b"250 "), "submission": (b"NOOP\r\n", b"250 "), "imap": (b"p NOOP\r\n", b"p OK"),
          "pop3": (b"CAPA\r\n", b"+OK")}
# AddressSanitizer keeps freed memory and shadows: there memory is not judged.
SANITIZED = b"__asan_init" in PROGRAM.read_bytes() if PROGRAM.exists() else False
BAD_LINES = {
    "long": b"A" * 200_000 + b"\r\n",
    "long-with-spaces": b"NOOP " + b"x " * 100_000 + b"\r\n",
    "nul": b"\0\0\0NOOP\0\r\n",
    "nul-inside": b"NO\0OP\r\n",
    "eight-bit": bytes(range(128, 256)) * 4 + b"\r\n",
    "blank": b"\r\n",
    "tls-hello": bytes.fromhex("16030100c8010000c40303") + bytes(189) + b"\r\n",
    "http": b"GET / HTTP/1.1\r\n",
}
ENDS = {"LF.LF": b"\n.\n", "LF.CRLF": b"\n.\r\n", "CRLF.LF": b"\r\n.\n", "CR.CR": b"\r.\r", "NUL": b"\r\n\0.\r\n"}
BAD_IMAP = {
    "literal of 4 GB": b"a APPEND INBOX {4294967296}",
    "number too large": b"a LOGIN {99999999999999999999}",
    "literal without waiting": b"a LOGIN {100000000+}",
    "nested": b"a LOGIN " + b"(" * 20000,
    "long set": b"a UID FETCH " + b"1," * 4000 + b"1 (FLAGS)",
    "literal for a tag": b"{1}",
    "long tag": b"a" * 5000 + b" NOOP",
}
MEMORY = 96 * 1024 * 1024


@pytest.fixture(scope="module")
def node(posthouse):
    posthouse.api.customer("hostile")
    posthouse.api.hosted_domain("hostile.test", "hostile")
    posthouse.api.account("mia@hostile.test", "hostile")
    return posthouse


@pytest.fixture(autouse=True)
def unharmed(node):
    """After each test: no process died, no sanitizer spoke, memory is bounded, and everybody else is served."""
    family = node.family()
    before = memory(node)
    yield
    assert node.family() == family, "a process died"
    assert not FINDINGS.search(node.log())
    if not SANITIZED:
        assert memory(node) < before + MEMORY
    for port in PORTS:
        with client(node, port) as peer:
            probe(peer, port)


def memory(node):
    total = 0
    for pid in node.family():
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


class Peer:
    def __init__(self, node, port):
        self.socket = socket.create_connection(("127.0.0.1", node.ports[port]), timeout=20 * PATIENCE)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        """All of it, or as much as the server takes before it hangs up."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def line(self):
        """The next line; b"" when the connection is closed."""
        try:
            return self.file.readline()
        except ConnectionError:
            return b""

    def rest(self):
        try:
            return self.file.read()
        except ConnectionError:
            return b""

    def close(self):
        self.file.close()
        self.socket.close()


@contextlib.contextmanager
def client(node, port):
    peer = Peer(node, port)
    try:
        greeting = peer.line()
        assert greeting.startswith(GREETINGS[port]), greeting
        yield peer
    finally:
        peer.close()


def probe(peer, port):
    command, answer = PROBES[port]
    peer.send(command)
    line = peer.line()
    assert line.startswith(answer), line


def is_refusal(line):
    """A permanent or temporary error of SMTP, IMAP or POP3, or a closed connection."""
    return line == b"" or line[:1] in b"45" or b" BAD" in line or b" NO" in line or b"BYE" in line or line.startswith(b"-ERR")


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("name", BAD_LINES)
def test_one_bad_line(node, port, name):
    """It is refused; the session goes on or is closed."""
    with client(node, port) as peer:
        peer.send(BAD_LINES[name])
        line = peer.line()
        assert is_refusal(line), line


@pytest.mark.parametrize("port", PORTS)
def test_endless_line(node, port):
    """30 MB without a line end: nothing of it is kept."""
    with client(node, port) as peer:
        for _ in range(30):
            peer.send(b"x" * 1024 * 1024)
        peer.send(b"\r\n")
        assert is_refusal(peer.line())


@pytest.mark.parametrize("port", PORTS)
def test_many_bad_commands(node, port):
    """At some point the server hangs up; it does not answer a million times."""
    with client(node, port) as peer:
        peer.send(b"nonsense\r\n" * 5000)
        answer = peer.rest()
        assert 0 < len(answer.splitlines()) < 500


@pytest.mark.parametrize("port", PORTS)
def test_commands_without_reading_replies(node, port):
    """20 MB of commands by a client that reads nothing: replies are not piled up without limit."""
    command = PROBES[port][0]
    with client(node, port) as peer:
        peer.socket.settimeout(2 * PATIENCE)
        with contextlib.suppress(OSError):
            for _ in range(20):
                peer.socket.sendall(command * (1024 * 1024 // len(command)))
        if not SANITIZED:
            assert memory(node) < 1024 * 1024 * 1024


@pytest.mark.parametrize("port", PORTS)
def test_junk(node, port):
    import random
    source = random.Random(port)
    for _ in range(20):
        with client(node, port) as peer:
            peer.send(source.randbytes(20_000))
            peer.socket.shutdown(socket.SHUT_WR)
            peer.rest()


@pytest.mark.parametrize("port", PORTS + ("submissions", "imaps", "pop3s", "admin"))
def test_reset_connections(node, port):
    """200 connections that are reset, some after a few bytes."""
    for number in range(200):
        peer = socket.create_connection(("127.0.0.1", node.ports[port]))
        if number % 2:
            with contextlib.suppress(ConnectionError):
                peer.sendall(b"\x16\x03\x01\x00"[: number % 5] or b"EHL")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()


def test_a_thousand_connections(node):
    """1,000 silent clients, a quarter at each front-end; one more is served at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    peers = []
    try:
        for number in range(1000):
            peers.append(socket.create_connection(("127.0.0.1", node.ports[PORTS[number % 4]]), timeout=20 * PATIENCE))
        for number, peer in enumerate(peers):
            assert peer.recv(4) == GREETINGS[PORTS[number % 4]][:4]
        subject = f"served {os.urandom(4).hex()}"
        node.send("joe@outside.test", "mia@hostile.test", make_message(subject))
        wait_until(lambda: subject in node.subjects("mia@hostile.test"), "somebody else is served")
        if not SANITIZED:
            assert memory(node) < 600 * 1024 * 1024
    finally:
        for peer in peers:
            peer.close()


def test_slow_clients_hold_nobody_up(node):
    """200 clients in the middle of DATA, which then say nothing; another one gets its 250."""
    peers = []
    try:
        for _ in range(200):
            peer = Peer(node, "smtp")
            peers.append(peer)
            peer.send(b"EHLO slow.test\r\n")
        for peer in peers:
            peer.line()
            while peer.line()[3:4] == b"-":
                pass
            peer.send(b"MAIL FROM:<slow@outside.test>\r\nRCPT TO:<mia@hostile.test>\r\nDATA\r\n")
        for peer in peers:
            assert [peer.line()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
            peer.send(b"Subject: never ends\r\n\r\nx")
        subject = f"beside {os.urandom(4).hex()}"
        node.send("joe@outside.test", "mia@hostile.test", make_message(subject))
        wait_until(lambda: subject in node.subjects("mia@hostile.test"), "somebody else is served")
    finally:
        for peer in peers:
            peer.close()
    assert "never ends" not in node.subjects("mia@hostile.test")


@pytest.mark.parametrize("end", ENDS)
def test_false_ends_of_data(node, end):
    """Only CRLF.CRLF ends a message: what stands after another end is never taken as commands (SMTP smuggling)."""
    with client(node, "smtp") as peer:
        for command, answer in ((b"HELO h.test", b"250"), (b"MAIL FROM:<a@outside.test>", b"250"),
                                (b"RCPT TO:<mia@hostile.test>", b"250"), (b"DATA", b"354")):
            peer.send(command + b"\r\n")
            assert peer.line().startswith(answer)
        inner = b"MAIL FROM:<smuggled@outside.test>\r\nRCPT TO:<mia@hostile.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
        peer.send(b"Subject: outer\r\n\r\nx" + ENDS[end] + inner + b"QUIT\r\n")
        answers = peer.rest().splitlines()
    assert len(answers) <= 2 or not any(line.startswith(b"354") for line in answers), answers
    assert "smuggled" not in node.subjects("mia@hostile.test")


@pytest.mark.parametrize("what", BAD_IMAP)
def test_imap_literals_and_nesting(node, what):
    with client(node, "imap") as peer:
        peer.send(BAD_IMAP[what] + b"\r\n")
        answer = peer.line()
        assert is_refusal(answer), answer
