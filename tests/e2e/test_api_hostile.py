"""The administration API under hostile requests: bodies, names, rubbish on the wire, clients that vanish, many at once, and a
database that is away."""
import http.client
import json
import socket
import ssl
import threading

import pytest

from harness.api import ApiError
from harness.process import wait_until
from harness.requests import ask, must, pages, problem

HOSTILE = {
    "empty": b"",
    "blanks": b"   ",
    "cut": b'{"name":"hostile',
    "deep list": b"[" * 500000,
    "deep object": b'{"a":' * 100000,
    "raw nul": b'{"name":"hostile\0"}',
    "bad utf-8": b'{"name":"hostile\xff"}',
    "utf-16": '{"name":"hostile"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"name":"hostile"}',
    "member twice": b'{"name":"hostile","name":"hostile 2"}',
    "two values": b'{"name":"hostile"}{"name":"hostile 2"}',
    "nan": b"NaN",
    "a number": b"1" * 100000,
    "a text": b'"hostile"',
    "binary": bytes(range(256)) * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_malformed_bodies(posthouse, name):
    problem(posthouse, 400, "POST", "/v1/customers", HOSTILE[name])
    assert posthouse.query("select count(*) from customer where name like 'hostile%'") == [["0"]]


@pytest.mark.parametrize("value", ["", "x" * 201, "a\u0000b", "a\nb", "\u007f", 1, 1.5, True, None, [], {}, ["a"], 10**400])
def test_bad_names(posthouse, value):
    problem(posthouse, 422, "POST", "/v1/customers", {"name": value}, field="name")


def test_a_lone_surrogate_is_no_text(posthouse):
    status, _, parsed = ask(posthouse, "POST", "/v1/customers", b'{"name":"hostile \\ud800"}')
    assert status in (400, 422) or parsed["name"] == "hostile \ufffd"


def test_a_body_that_is_too_long(posthouse):
    problem(posthouse, 413, "POST", "/v1/customers", b'{"name":"' + b"x" * (1 << 20) + b'"}')

    def chunks():
        for _ in range(40):
            yield b"x" * 65536
    connection = http.client.HTTPConnection("127.0.0.1", posthouse.ports["admin"], timeout=60)
    connection.request("POST", "/v1/customers", body=chunks(), encode_chunked=True,
                       headers={"Authorization": f"Bearer {posthouse.token}", "Content-Type": "application/json",
                                "Transfer-Encoding": "chunked"})
    reply = connection.getresponse()
    assert reply.status == 413 and json.loads(reply.read())["status"] == 413
    connection.close()


def test_the_content_type_counts(posthouse):
    problem(posthouse, 415, "POST", "/v1/customers", {"name": "typed"}, headers={"Content-Type": "text/plain"})
    problem(posthouse, 415, "POST", "/v1/customers", {"name": "typed"},
            headers={"Content-Type": "application/x-www-form-urlencoded"})


def test_sql_is_only_text(posthouse):
    name = "'; drop table customer; --\\\" $1 %s"
    made = posthouse.api.customer(name)
    assert posthouse.api.get(f"/v1/customers/{made['id']}")["name"] == name


RUBBISH = {
    "nul": b"\0\0\0\0\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "wrong version": b"GET / HTTP/9.9\r\n\r\n",
    "long path": b"GET " + b"/" * 100000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "many headers": b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
    "negative length": b"POST /v1/customers HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "huge length": b"POST /v1/customers HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "bad chunk": b"POST /v1/customers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_on_the_wire(posthouse, name):
    """Nothing comes of it, and others are served while it stands there."""
    before = posthouse.query("select count(*) from audit_log")
    with socket.create_connection(("127.0.0.1", posthouse.ports["admin"]), timeout=60) as client:
        try:
            client.sendall(RUBBISH[name])
        except OSError:
            pass  # hung up on already
        must(posthouse, 200, "GET", "/healthz")
    must(posthouse, 200, "GET", "/healthz")
    assert posthouse.query("select count(*) from audit_log") == before


def test_a_client_that_vanishes_while_it_is_answered(posthouse):
    head = (f"GET /v1/customers HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {posthouse.token}\r\n\r\n").encode()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", posthouse.ports["admin"])) as client:
            client.sendall(head)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    must(posthouse, 200, "GET", "/v1/customers")


def test_the_same_thing_made_by_many_at_once(posthouse):
    """One gets 201, the others 409, whatever the order; nothing else."""
    posthouse.api.customer("crowd")
    posthouse.api.hosted_domain("crowd.test", "crowd")
    results = []

    def create(number):
        own = f"user{number}@crowd.test"
        body = {"address": own, "customer": "crowd", "aliases": ["shared@crowd.test"]}
        results.append(ask(posthouse, "POST", "/v1/accounts", body)[0])
    threads = [threading.Thread(target=create, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [201] + [409] * 11
    assert posthouse.query("select count(*) from account where address like '%@crowd.test'") == [["1"]]


def test_the_database_goes_and_comes_back(new_posthouse, own_postgres):
    posthouse = new_posthouse(postgres=own_postgres).start()
    posthouse.api.customer("before")
    own_postgres.stop()
    wait_until(lambda: not posthouse.ready(), "readiness ends")
    headers, _ = problem(posthouse, 503, "GET", "/readyz", token="")
    assert int(headers["Retry-After"]) > 0
    problem(posthouse, 503, "POST", "/v1/customers", {"name": "meanwhile"})
    must(posthouse, 200, "GET", "/healthz", token="")
    own_postgres.start()
    wait_until(posthouse.ready, "readiness is back")
    posthouse.api.customer("after")
    names = {item["name"] for item in pages(posthouse.api, "/v1/customers")}
    assert {"before", "after"} <= names
    with pytest.raises(ApiError, match="404"):
        posthouse.api.get("/v1/customers/meanwhile")


def test_https(new_posthouse, certificate):
    """With a certificate the API speaks HTTPS only; the key is read before privileges are dropped."""
    posthouse = new_posthouse(settings={"admin.certificate_file": certificate.certificate,
                                        "admin.key_file": certificate.key}).start(wait=False)

    def get(path):
        connection = http.client.HTTPSConnection("localhost", posthouse.ports["admin"], timeout=30,
                                                 context=certificate.context())
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {posthouse.token}"})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        except OSError:
            return None, None
        finally:
            connection.close()

    wait_until(lambda: get("/readyz")[0] == 200, "the API is ready", timeout=60)
    assert get("/v1/customers") == (200, {"items": [], "next_cursor": None})
    with pytest.raises((OSError, http.client.HTTPException)):
        posthouse.api.request("GET", "/healthz")
    assert tls_version(posthouse, certificate, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert tls_version(posthouse, certificate, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    for old in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1):
        with pytest.raises(OSError):
            tls_version(posthouse, certificate, old)


def tls_version(posthouse, certificate, version):
    """What a client that speaks only this one comes to speak; its own library must not be what refuses the old ones."""
    context = certificate.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    context.minimum_version = version
    with socket.create_connection(("127.0.0.1", posthouse.ports["admin"]), timeout=30) as connection:
        with context.wrap_socket(connection, server_hostname="localhost") as client:
            return client.version()
