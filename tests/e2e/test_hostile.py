"""What strangers send: each front-end answers clearly, in bounded memory, and serves the others meanwhile."""
import contextlib
import random
import re
import smtplib
import socket
import ssl
import threading

import pytest

from harness.memory import bounded
from harness.posthouse import make_message
from harness.process import PATIENCE, alive, wait_until

DOMAIN = "hostile.test"
USER = f"ann@{DOMAIN}"
MIB = 1024 * 1024

ALLOWANCE = 8  # MiB that any of these may cost


@contextlib.contextmanager
def may_end():
    """The server may hang up at any moment; that it hangs is another matter."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError:
        pass


class Front:
    """One front-end as a hostile client sees it."""

    def __init__(self, port, greeting, ping, pong, error, bye):
        self.port = port
        self.greeting = greeting.encode()
        self.ping = ping.encode()
        self.pong = re.compile(pong.encode())    # the line that answers ping
        self.error = re.compile(error.encode())  # a line that refuses a command
        self.bye = re.compile(bye.encode())      # last words; pop3 has none when a client is silent


FRONTS = [
    Front("smtp", "220 ", "NOOP\r\n", r"250 ", r"50\d ", r"421 "),
    Front("submission", "220 ", "NOOP\r\n", r"250 ", r"50\d ", r"421 "),
    Front("imap", "* OK", "ping NOOP\r\n", r"ping OK", r"(\S+|\*) BAD", r"\* BYE"),
    Front("pop3", "+OK", "CAPA\r\n", r"\.\r\n", r"-ERR", r"-ERR"),
]
TLS_PORTS = ["submissions", "imaps", "pop3s"]
every_front = pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.port)


class Client:
    def __init__(self, node, front):
        self.front = front
        self.socket = socket.create_connection(("127.0.0.1", node.ports[front.port]), timeout=30 * PATIENCE)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        """The next line; b"" when the server has closed."""
        try:
            return self.file.readline()
        except ConnectionResetError:
            return b""

    def greeted(self):
        line = self.line()
        assert line.startswith(self.front.greeting), line
        return self

    def until(self, pattern):
        """Lines up to the first that matches, which is the last of them."""
        lines = []
        while not lines or not pattern.match(lines[-1]):
            lines.append(self.line())
            assert lines[-1], f"closed after {lines}"
        return lines

    def works(self):
        self.send(self.front.ping)
        return self.until(self.front.pong)

    def rest(self):
        return b"".join(iter(self.line, b""))


@pytest.fixture(scope="module")
def node(posthouse):
    return prepare(posthouse)


def prepare(node):
    node.api.customer("hostile")
    node.api.hosted_domain(DOMAIN, "hostile")
    node.api.account(USER, "hostile")
    for front in FRONTS:  # what is allocated once is not what these tests look for
        with Client(node, front) as client:
            client.greeted().works()
    return node


def assert_serves(node, subject):
    """A message goes in and is collected."""
    node.send("someone@outside.test", USER, make_message(subject, to=USER))
    with node.pop3(USER) as connection:
        last = connection.stat()[0]
        assert f"Subject: {subject}".encode() in connection.retr(last)[1]


@every_front
def test_line_without_an_end(node, front):
    """64 MiB of one line: swallowed, then refused."""
    with Client(node, front) as client, bounded(node, ALLOWANCE):
        client.greeted()
        block = b"x" * MIB
        for place in range(64):
            client.send(block)
            if place == 32:
                assert_serves(node, f"beside a long line to {front.port}")
        client.send(b"\r\n")
        refusal = client.line()
        if front.bye.match(refusal) and not front.error.match(refusal):
            assert client.line() == b""  # IMAP: without its tag there is nothing to answer
        else:
            assert front.error.match(refusal), refusal
            client.works()


@every_front
def test_lines_that_are_too_long_are_counted(node, front):
    """A client that sends nothing else is hung up on."""
    with Client(node, front) as client, bounded(node, ALLOWANCE):
        client.greeted()
        with may_end():
            for _ in range(40):
                client.send(b"A1 " + b"y" * 100000 + b"\r\n")
        lines = client.rest().splitlines()
        assert 1 <= len(lines) <= 40, lines
        assert front.bye.match(lines[-1]) or front.error.match(lines[-1])


@every_front
def test_nul_and_control_characters(node, front):
    with Client(node, front) as client:
        client.greeted()
        client.send(b"a NO\0OP\r\n")
        assert front.error.match(client.line())
        client.send(b"a \x1b[2J\x07\r\n")
        assert front.error.match(client.line())
        client.works()


def test_bare_line_ends_before_the_dot(node):
    """RFC 5321 section 2.3.8: none of these ends a message, so nothing behind them is a command."""
    with Client(node, FRONTS[0]) as client:
        client.greeted()
        client.send(b"EHLO client.test\r\n")
        client.until(re.compile(b"250 "))
        for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n\r.\r\n", b"\r\n\0.\r\n",
                    b"\r\n.\0\r\n"):
            client.send(b"MAIL FROM:<someone@outside.test>\r\nRCPT TO:<" + USER.encode() + b">\r\nDATA\r\n")
            assert [client.line()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
            client.send(b"Subject: first" + end + b"MAIL FROM:<smuggled@outside.test>\r\nRCPT TO:<" + USER.encode() +
                        b">\r\nDATA\r\nSubject: smuggled\r\n.\r\n")
            assert client.line().startswith(b"554"), end
            client.send(b"NOOP\r\n")
            assert client.line().startswith(b"250"), end
    assert "smuggled" not in node.query("select coalesce(string_agg(sender, ' '), '') from message")[0][0]


@every_front
@pytest.mark.parametrize("seed", range(6))
def test_binary_junk(node, front, seed):
    """Errors until it is hung up on, or until the junk has no more to say."""
    junk = random.Random(seed).randbytes(200000)
    if seed % 2:  # many short lines
        junk = junk.replace(b"\x20", b"\r\n")
    with Client(node, front) as client, bounded(node, ALLOWANCE):
        client.greeted()
        with may_end():
            client.send(junk + b"\r\n")
            client.socket.shutdown(socket.SHUT_WR)
        client.rest()
    with Client(node, front) as client:
        client.greeted().works()


@pytest.mark.parametrize("port", TLS_PORTS)
def test_junk_instead_of_tls(node, port):
    for seed in range(5):
        with socket.create_connection(("127.0.0.1", node.ports[port]), timeout=30 * PATIENCE) as client:
            with may_end():
                client.sendall(random.Random(seed).randbytes(5000))
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
    with socket.create_connection(("127.0.0.1", node.ports[port]), timeout=30 * PATIENCE) as client:
        with node.certificate.context().wrap_socket(client, server_hostname="localhost") as secure:
            assert secure.recv(100)[:1] in b"2*+"


@pytest.mark.parametrize("port", ["smtp", "imap", "pop3"])
def test_junk_after_starttls(node, port):
    front = next(front for front in FRONTS if front.port == port)
    command = {"smtp": b"STARTTLS\r\n", "imap": b"a STARTTLS\r\n", "pop3": b"STLS\r\n"}[port]
    with Client(node, front) as client:
        client.greeted()
        if port == "smtp":
            client.send(b"EHLO client.test\r\n")
            client.until(re.compile(b"250 "))
        client.send(command)
        client.until(re.compile(rb"220 |a OK|\+OK"))
        with may_end():
            client.send(b"NOOP\r\n" * 100)
        client.rest()  # a TLS alert, perhaps, and the end
    with Client(node, front) as client:
        client.greeted().works()


@every_front
def test_commands_whose_replies_nobody_reads(node, front):
    """The server stops reading when its replies pile up: the client blocks, not the server's memory."""
    with Client(node, front) as client, bounded(node, ALLOWANCE):
        client.greeted()
        client.socket.settimeout(2 * PATIENCE)
        block = front.ping * 20000
        with may_end(), pytest.raises(TimeoutError):
            for _ in range(1000):
                client.send(block)
        assert_serves(node, f"beside a flood to {front.port}")


@every_front
def test_half_closed_client_is_answered(node, front):
    with Client(node, front) as client:
        client.send(front.ping * 3)
        client.socket.shutdown(socket.SHUT_WR)
        received = client.rest()
    assert len([line for line in received.splitlines(True) if front.pong.match(line)]) == 3


@every_front
def test_clients_that_vanish(node, front):
    """In the middle of a line, with replies unread, by reset: nothing stays."""
    with bounded(node, ALLOWANCE):
        for number in range(100):
            client = Client(node, front)
            client.send(front.ping * (number % 5) + b"HALF A LI")
            if number % 2:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
    with Client(node, front) as client:
        client.greeted().works()


def test_message_that_breaks_off(node):
    """A megabyte of DATA and no end: nothing is stored."""
    count = node.query("select count(*) from message")
    for _ in range(5):
        with Client(node, FRONTS[0]) as client:
            client.greeted()
            client.send(b"EHLO client.test\r\nMAIL FROM:<a@outside.test>\r\nRCPT TO:<" + USER.encode() + b">\r\nDATA\r\n")
            client.until(re.compile(b"354 "))
            client.send(b"Subject: half\r\n\r\n" + (b"x" * 70 + b"\r\n") * 15000)
    with Client(node, FRONTS[0]) as client:
        client.greeted().works()
    assert node.query("select count(*) from message") == count


def test_groups_in_groups(node):
    """Addresses that a reader could follow deeper than a stack goes end nobody's session, nor anybody else's."""
    groups = "a:" * 4000
    before = node.family()
    node.send("joe@outside.test", USER, f"Subject: groups in groups\r\nFrom: {groups}\r\nTo: {groups}\r\n\r\nhello\r\n")

    def envelope():
        with node.imap(USER) as connection:
            connection.select()
            numbers = connection.search(None, 'SUBJECT "groups in groups"')[1][0].split()
            return connection.fetch(numbers[-1], "(ENVELOPE)") if numbers else None
    wait_until(envelope, "the message is in the INBOX")
    status, data = envelope()
    assert status == "OK" and b"groups in groups" in data[0]
    with pytest.raises(smtplib.SMTPDataError) as refused:
        node.submit(USER, USER, f"From: {groups}\r\n\r\nhello\r\n")
    assert refused.value.smtp_code // 100 == 5
    assert node.family() == before


def test_a_thousand_connections(node):
    """All open at once, idle, on all ports; mail flows meanwhile; each still works afterwards."""
    clients = []
    try:
        with bounded(node, 1000 * 0.05 + ALLOWANCE):
            for number in range(1000):
                clients.append(Client(node, FRONTS[number % len(FRONTS)]))
            for client in clients:
                client.greeted()
            assert_serves(node, "among a thousand")
            for client in clients:
                client.works()
    finally:
        for client in clients:
            client.close()
    assert_serves(node, "after a thousand")


def test_a_thousand_handshakes_at_once(node):
    """TLS from the beginning; eight threads, so that many are under way at the same time."""
    context = node.certificate.context()
    problems = []

    def shake(place):
        for number in range(125):
            try:
                with socket.create_connection(("127.0.0.1", node.ports[TLS_PORTS[(place + number) % len(TLS_PORTS)]]),
                                              timeout=60 * PATIENCE) as client:
                    if number % 10 == 9:  # leaves in the middle
                        client.sendall(b"\x16\x03\x01")
                        continue
                    with context.wrap_socket(client, server_hostname="localhost") as secure:
                        if not secure.recv(100):
                            problems.append("no greeting")
            except (OSError, ssl.SSLError) as error:
                problems.append(repr(error))

    threads = [threading.Thread(target=shake, args=(place,)) for place in range(8)]
    with bounded(node, 4 * ALLOWANCE):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not problems, problems[:5]
    assert_serves(node, "after the handshakes")


@pytest.fixture(scope="module")
def hasty(postgres, certificate):
    """A daemon with the shortest time limits and few sessions."""
    from harness.posthouse import Posthouse
    node = Posthouse(postgres, certificate, settings={
        "daemon.workers": 1, "daemon.sessions_max": 20, "smtp.timeout": "1s", "mailbox.login_timeout": "1s"})
    try:
        yield prepare(node.start())
    finally:
        node.close()


@every_front
def test_silent_client_is_hung_up_on(hasty, front):
    with Client(hasty, front) as client:
        client.greeted()
        client.send(front.ping[:3])
        rest = client.rest()
    assert rest == b"" or front.bye.match(rest), rest


@pytest.mark.parametrize("port", TLS_PORTS)
def test_silence_instead_of_tls(hasty, port):
    with socket.create_connection(("127.0.0.1", hasty.ports[port]), timeout=30 * PATIENCE) as client:
        assert client.recv(100) == b""


@every_front
def test_trickling_is_silence(hasty, front):
    """A client that sends a line a byte at a time and never ends it."""
    with Client(hasty, front) as client:
        client.greeted()
        client.socket.settimeout(0.05)
        received = b""
        with may_end():
            while True:
                client.send(b"N")
                try:
                    part = client.socket.recv(65536)
                except TimeoutError:
                    continue
                if not part:
                    break
                received += part
    assert received == b"" or front.bye.search(received), received


@pytest.mark.parametrize("front", [front for front in FRONTS if front.port in ("imap", "pop3")],
                         ids=lambda front: front.port)
def test_talking_is_not_logging_in(hasty, front):
    """A client that always says something, but not who it is, is ended, too."""
    with Client(hasty, front) as client:
        client.greeted()
        line = last = b"none"
        while line:
            with may_end():
                client.send(front.ping)
            while (line := client.line()) and not front.pong.match(line):
                last = line
        assert front.bye.match(last), last


@every_front
def test_too_many_sessions_are_refused_politely(hasty, front):
    clients = []
    try:
        while True:
            client = Client(hasty, front)
            clients.append(client)
            greeting = client.line()
            if not greeting.startswith(front.greeting):
                break
            assert len(clients) <= 20, "no limit"
        assert front.bye.match(greeting), greeting
        assert client.line() == b""
    finally:
        for client in clients:
            client.close()

    def again():
        with Client(hasty, front) as one:
            return one.line().startswith(front.greeting)

    wait_until(again, "there is room again")
    assert all(alive(pid) for pid in hasty.family())
