"""The administration API when it is told to end: what has begun is answered, for a while."""
import contextlib
import http.client
import json
import signal
import socket

import pytest

from harness.process import alive, wait_until
from harness.requests import must


def end(posthouse, how):
    """Tells the processes of now to end; returns their pids."""
    family = posthouse.family()
    if how == "reload":
        posthouse.write_config(smtp__message_size_max=123456)
        posthouse.reload()
        wait_until(lambda: "configuration reloaded" in posthouse.log(), "the new processes are started")
    else:
        posthouse.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "module=master" in posthouse.log() and "stopping" in posthouse.log(), "it is told to stop")
    return family


class Upload:
    """POST /v1/customers, a piece at a time."""

    def __init__(self, posthouse, name):
        self.body = json.dumps({"name": name}).encode()
        self.socket = socket.create_connection(("127.0.0.1", posthouse.ports["admin"]), timeout=60)
        self.socket.sendall((f"POST /v1/customers HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {posthouse.token}\r\n"
                             f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n").encode())
        self.sent = 0
        self.send(1)

    def send(self, count):
        self.socket.sendall(self.body[self.sent:self.sent + count])
        self.sent += count

    def finish(self):
        """The status, and whether the connection ended with the answer."""
        self.send(len(self.body))
        return self.answer()

    def answer(self):
        reply = http.client.HTTPResponse(self.socket, method="POST")
        reply.begin()
        reply.read()
        closing = reply.getheader("Connection", "").lower() == "close" and self.socket.recv(1) == b""
        self.socket.close()
        return reply.status, closing


def waiting(posthouse):
    return posthouse.query("select count(*) from pg_locks where not granted") != [["0"]]


@pytest.mark.parametrize("how", ["reload", "stop"])
def test_a_slow_upload_is_answered(new_posthouse, how):
    posthouse = new_posthouse().start()
    upload = Upload(posthouse, "slow")
    must(posthouse, 200, "GET", "/healthz")  # after it, so the first one was taken, too
    family = end(posthouse, how)
    for _ in range(5):
        upload.send(1)
    assert upload.finish() == (201, True)
    assert posthouse.query("select name from customer") == [["slow"]]
    wait_until(lambda: not any(map(alive, family)), "the old processes are gone")
    if how == "reload":
        wait_until(posthouse.ready, "the new processes answer")
        posthouse.api.get("/v1/customers/slow")
    posthouse.stop()


@pytest.mark.parametrize("how", ["reload", "stop"])
def test_a_request_that_waits_for_the_database_is_answered(new_posthouse, how):
    posthouse = new_posthouse().start()
    upload = Upload(posthouse, "patient")
    with posthouse.locked("customer"):
        upload.send(len(upload.body))
        wait_until(lambda: waiting(posthouse), "the request waits for the lock")
        family = end(posthouse, how)
        if how == "reload":
            wait_until(posthouse.ready, "the new processes answer")
    assert upload.answer() == (201, True)
    wait_until(lambda: not any(map(alive, family)), "the old processes are gone")
    posthouse.stop()


@pytest.mark.parametrize("how", ["reload", "stop"])
def test_a_request_that_never_ends_is_ended(new_posthouse, how):
    posthouse = new_posthouse(settings={"daemon.drain_limit": "1s"}).start()
    upload = Upload(posthouse, "endless")
    must(posthouse, 200, "GET", "/healthz")
    family = end(posthouse, how)
    wait_until(lambda: not any(map(alive, family)), "the old processes are gone")
    assert upload.socket.recv(1) == b""
    upload.socket.close()
    assert "requests did not end in time" in posthouse.log()
    assert posthouse.query("select count(*) from customer") == [["0"]]
    posthouse.stop()


@pytest.mark.parametrize("begin", [b"", b"GET /hea"])
def test_an_idle_connection_holds_nothing_up(new_posthouse, begin):
    """Kept alive after an answer, or with half a request line: no request has begun."""
    posthouse = new_posthouse(settings={"daemon.drain_limit": "1h"}).start()
    with socket.create_connection(("127.0.0.1", posthouse.ports["admin"]), timeout=60) as idle:
        if not begin:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert idle.recv(4096).startswith(b"HTTP/1.1 200 ")
        else:
            idle.sendall(begin)
        must(posthouse, 200, "GET", "/healthz")
        family = end(posthouse, "reload")
        wait_until(lambda: not any(map(alive, family)), "the old processes are gone")


def test_one_address_cannot_take_all_connections(new_posthouse):
    posthouse = new_posthouse(settings={"admin.connections_max": 8, "admin.connections_per_client_max": 4}).start()
    with contextlib.ExitStack() as stack:
        def connect(address):
            client = stack.enter_context(socket.socket())
            client.settimeout(60)
            client.bind((address, 0))
            client.connect(("127.0.0.1", posthouse.ports["admin"]))
            return client

        def served(client, rest):
            client.sendall(rest)
            return client.recv(4096).startswith(b"HTTP/1.1 200 ")

        def admitted():
            client = connect("127.0.0.1")
            with contextlib.suppress(ConnectionError):
                if served(client, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"):
                    return client
            return None  # a connection of those that asked for readiness is not over yet

        slow = [wait_until(admitted, "a client is let in") for _ in range(4)]
        for client in slow:
            client.sendall(b"GET /hea")
        for _ in range(8):
            with contextlib.suppress(ConnectionError):
                assert connect("127.0.0.1").recv(1) == b"", "one too many is hung up on"
        assert served(connect("127.0.0.2"), b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert all(served(client, b"lthz HTTP/1.1\r\nHost: a\r\n\r\n") for client in slow)
