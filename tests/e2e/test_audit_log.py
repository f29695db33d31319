"""GET /v1/audit-log: who changed what, found by actor, action, object and time; and it goes when it is old."""
import pytest

from harness.posthouse import make_message
from harness.process import wait_until
from harness.requests import is_utc_now, pages, problem


@pytest.fixture(scope="module")
def node(posthouse):
    posthouse.api.customer("audit")
    posthouse.api.relay_domain("audit.test", "audit", 9)
    posthouse.api.post("/v1/suspensions", {"kind": "destination", "value": "audit.test", "reason": "x"})
    posthouse.api.patch("/v1/domains/audit.test", {"next_hops": [{"host": "127.0.0.1", "port": 10}]})
    return posthouse


def told(node, **filters):
    return [(row["action"], row["object"], row["status"]) for row in pages(node.api, "/v1/audit-log", limit=2, **filters)]


def test_newest_first_in_pages(node):
    rows = pages(node.api, "/v1/audit-log", limit=2)
    assert [row["id"] for row in rows] == sorted({row["id"] for row in rows}, reverse=True)
    first = rows[0]
    assert is_utc_now(first["at"]) and (first["action"], first["object"], first["status"], first["detail"]) == ("PATCH", "/v1/domains/audit.test", 200, None)
    assert first["token"] and first["label"] == node.query("select label from api_token")[0][0]
    assert [row["object"] for row in rows[:4]] == ["/v1/domains/audit.test", "/v1/suspensions", "/v1/domains", "/v1/customers"]


def test_filters(node):
    row = node.api.get("/v1/audit-log", limit=1)["items"][0]
    everything = told(node)
    assert told(node, actor=row["token"]) == told(node, actor=row["label"]) == everything and told(node, actor="nobody") == []
    assert told(node, action="PATCH") == [("PATCH", "/v1/domains/audit.test", 200)] == told(node, object="/v1/domains/audit.test")
    assert told(node, object="/v1/domains") == [("PATCH", "/v1/domains/audit.test", 200), ("POST", "/v1/domains", 201)]
    assert told(node, object="/v1/dom") == []
    assert told(node, newer_than=3600) == everything and told(node, older_than=3600) == [] == told(node, newer_than="2090-01-01T00:00:00Z")
    assert told(node, older_than="2090-01-01T00:00:00Z", action="POST", object="/v1/suspensions") == [("POST", "/v1/suspensions", 201)]
    for query, field in (("object=queue", "object"), ("action=GET", "action"), ("older_than=soon", "older_than"), ("newer_than=-1", "newer_than")):
        problem(node, 422, "GET", f"/v1/audit-log?{query}", field=field)
    problem(node, 422, "GET", "/v1/audit-log?path=x", field="path")


def test_who_asked_by_smtp(new_posthouse, sink):
    node = new_posthouse().start()
    node.api.customer("audit")
    node.api.relay_domain("etrn.test", "audit", sink.port)
    node.api.post("/v1/networks", {"cidr": "127.0.0.0/8", "customer": "audit"})
    sink.stop()
    node.send("joe@outside.test", "ann@etrn.test", make_message("waits"))
    wait_until(lambda: [e for e in node.api.get("/v1/queue")["items"] if e["last_reply"]], "it waits")
    with node.smtp() as client:
        client.ehlo()
        assert client.docmd("ETRN", "etrn.test")[0] == 253
    row, = node.api.get("/v1/audit-log", action="ETRN")["items"]
    assert (row["token"], row["label"], row["object"]) == (None, None, "/v1/domains/etrn.test") and row["detail"] == "a client at 127.0.0.1"
    assert node.api.get("/v1/audit-log", actor="a client at 127.0.0.1")["items"] == []
    assert node.api.get("/v1/audit-log", object="/v1/domains/etrn.test", actor="joe@outside.test")["items"] == []


def test_many_rows_that_do_not_fit_a_filter(node):
    """A page looks at 5,000; the next goes on behind them."""
    newest = node.query("select max(id) from audit_log")[0][0]
    node.query(f"insert into audit_log (id, token_id, method, path, status) select {newest} + n, 1, 'POST', '/v1/customers', 201 from generate_series(1, 12000) n")
    first = node.api.get("/v1/audit-log", action="PATCH")
    assert first["items"] == [] and first["next_cursor"]
    assert told(node, action="PATCH") == [("PATCH", "/v1/domains/audit.test", 200)]
    node.query(f"delete from audit_log where id > {newest}")


def test_old_rows_go(new_posthouse):
    node = new_posthouse(settings={"daemon.audit_retention": "1h"})
    node.start()
    node.api.customer("audit")
    node.stop()
    node.query("insert into audit_log (id, token_id, method, path, status) select 1000 + n, 1, 'POST', '/v1/customers', 201 from generate_series(1, 6000) n")
    node.start()
    wait_until(lambda: node.query("select count(*) from audit_log where id < 10000") == [["0"]], "the old ones are gone", timeout=90)
    assert [row["object"] for row in node.api.get("/v1/audit-log")["items"]] == ["/v1/customers"]
