"""Hostile input to the SMTP ports: a clear error, bounded memory, and others are served meanwhile."""
import contextlib
import random
import socket

import pytest

from harness.dialogue import Dialogue
from harness.memory import bounded
from harness.posthouse import make_message
from harness.process import wait_until

BOB = "bob@hostile.test"


@pytest.fixture(scope="module")
def node(posthouse):
    posthouse.api.customer("hostile")
    posthouse.api.hosted_domain("hostile.test", "hostile")
    posthouse.api.account(BOB, "hostile")
    return posthouse


def serves(node, subject):
    """Somebody else's mail gets through."""
    node.send("joe@outside.test", BOB, make_message(subject))
    wait_until(lambda: subject in node.subjects(BOB), f"{subject} is in the INBOX")


def open_transaction(client):
    client.hello()
    client.ask("MAIL FROM:<joe@outside.test>", "250")
    client.ask(f"RCPT TO:<{BOB}>", "250")
    client.ask("DATA", "354")


def test_smuggling_leaves_nothing(node):
    """Every way to end DATA that other servers were found to accept; a smuggled message would be in the INBOX."""
    ends = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n",
            b"\n\n.\r\n", b"\r\r\n.\r\r\n"]
    for end in ends:
        with Dialogue(node) as client:
            open_transaction(client)
            client.send(b"Subject: outer\r\n\r\ntext" + end)
            client.send(f"MAIL FROM:<evil@outside.test>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
                        .encode())
            assert client.reply().startswith("554 5.6.0"), end
            client.ask("NOOP", "250")
    serves(node, "after smuggling")
    assert not {"outer", "smuggled"} & set(node.subjects(BOB))


def test_endless_line(node):
    with Dialogue(node) as client:
        client.hello()
        with bounded(node, 20):
            for _ in range(200):
                client.send(b"x" * 65536)
            client.send(b"\r\n")
            assert client.reply().startswith("500 5.5.2")
        client.ask("NOOP", "250")


def test_message_without_end_is_hung_up_on(new_posthouse):
    node = new_posthouse(settings={"smtp.message_size_max": 100000}).start()
    node.api.customer("hostile")
    node.api.hosted_domain("hostile.test", "hostile")
    node.api.account(BOB, "hostile")
    with Dialogue(node) as client:
        open_transaction(client)
        sent = 0
        try:
            while sent < 100_000_000:
                client.send(b"x" * 65536)
                sent += 65536
        except OSError:
            pass
        assert sent < 100_000_000
    serves(node, "after the flood")


@pytest.mark.parametrize("port", ["smtp", "submission"])
def test_binary_junk(node, port):
    rng = random.Random(1)
    for _ in range(20):
        with Dialogue(node, port) as client:
            assert client.reply().startswith("220")
            try:
                client.send(rng.randbytes(20000) + b"\r\nQUIT\r\n")
                while True:
                    reply = client.reply()
                    if reply[:3] in ("", "221", "421"):
                        break
                    assert reply.startswith("50"), reply
            except OSError:
                pass
    serves(node, f"after junk on {port}")


def test_junk_instead_of_tls(node):
    with socket.create_connection(("127.0.0.1", node.ports["submissions"]), timeout=30) as raw:
        raw.sendall(b"EHLO client.test\r\n" * 10)
        try:
            while raw.recv(4096):
                pass
        except ConnectionResetError:
            pass
    with Dialogue(node) as client:
        client.hello()
        client.ask("STARTTLS", "220")
        client.send(b"MAIL FROM:<x@y>\r\n" * 10)
        assert not client.reply().startswith("250")
    serves(node, "after junk for TLS")


def test_client_that_does_not_read(node):
    """Its replies are bounded: we stop reading from it."""
    with Dialogue(node) as client:
        client.hello()
        client.socket.settimeout(5)
        sent = 0
        with bounded(node, 20):
            with contextlib.suppress(OSError):
                while sent < 50_000_000:
                    sent += client.socket.send(b"HELP\r\n" * 10000)
            assert sent < 50_000_000
        serves(node, "while another does not read")


def test_thousand_connections(node):
    """Half-open, idle, and in the middle of DATA; one more is served at once."""
    crowd = []
    with contextlib.ExitStack() as stack:
        with bounded(node, 200):
            for number in range(1000):
                client = stack.enter_context(Dialogue(node))
                crowd.append(client)
                if number % 3 == 1:
                    client.send("EHLO cl")
                elif number % 3 == 2:
                    client.send(f"EHLO client.test\r\nMAIL FROM:<joe@outside.test>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nSubject: n")
            for number, client in enumerate(crowd):
                assert client.reply().startswith("220")
                if number % 3 == 2:
                    for expected in ("250", "250", "250", "354"):
                        assert client.reply().split("\n")[-1].startswith(expected)
            serves(node, "among a thousand")
        for client in crowd[2::300]:
            client.send("\r\n\r\n.\r\n")
            assert client.reply().startswith("250 2.0.0")
    serves(node, "after a thousand")


def test_too_many_connections_of_one_process(new_posthouse):
    node = new_posthouse(settings={"daemon.workers": 1, "daemon.sessions_max": 10}).start()
    crowd = [Dialogue(node) for _ in range(10)]
    for client in crowd:
        assert client.reply().startswith("220")
    with Dialogue(node) as late:
        assert late.reply().startswith("421 ")
        assert late.reply() == ""
    crowd.pop().close()

    def served():
        with Dialogue(node) as client:
            return client.reply().startswith("220")
    wait_until(served, "a place is free again")
    for client in crowd:
        client.close()


def test_silence_is_421(new_posthouse):
    node = new_posthouse(settings={"smtp.timeout": "1s"}).start()
    with Dialogue(node) as client:
        client.hello()
        assert client.reply().startswith("421 4.4.2")
        assert client.reply() == ""
