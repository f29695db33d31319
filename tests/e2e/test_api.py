"""The administration API: resources, mail, access, and the OpenAPI document against what is served."""
import json
import poplib
import re

import pytest

from harness.posthouse import make_message
from harness.process import wait_until
from harness.requests import ask, is_utc_now, must, pages, problem

ID = re.compile(r"^[0-9a-hjkmnp-tv-z]{13}$")


# ---------------------------------------------------------------------- resources


def test_customer(posthouse):
    headers, made = must(posthouse, 201, "POST", "/v1/customers", {"name": "Bäckerei Süß / Filiale 1"})
    assert ID.match(made["id"]) and made["state"] == "active" and is_utc_now(made["created_at"])
    assert headers["Location"] == f"/v1/customers/{made['id']}"
    assert must(posthouse, 200, "GET", headers["Location"])[1] == made
    by_name = "/v1/customers/B%C3%A4ckerei%20S%C3%BC%C3%9F%20%2F%20Filiale%201"
    assert must(posthouse, 200, "GET", by_name)[1] == made

    taken = problem(posthouse, 409, "POST", "/v1/customers", {"name": made["name"]}, field="name")[1]
    assert taken["existing_id"] == made["id"]

    changed = must(posthouse, 200, "PATCH", by_name, {"name": "baker", "state": "suspended"})[1]
    assert changed == {**made, "name": "baker", "state": "suspended"}
    problem(posthouse, 404, "GET", by_name)
    problem(posthouse, 422, "PATCH", "/v1/customers/baker", {"state": "asleep"}, field="state")
    assert must(posthouse, 204, "DELETE", "/v1/customers/baker")[1] == ""
    problem(posthouse, 404, "DELETE", "/v1/customers/baker")


def test_domain(posthouse):
    api = posthouse.api
    customer = api.customer("domains")
    hosted = api.hosted_domain("Hosted.Domains.TEST.", "domains")
    assert hosted["name"] == "hosted.domains.test" and hosted["kind"] == "hosted" and hosted["next_hops"] == []
    assert hosted["customer"] == customer["id"] and hosted["outage"] is None

    relay = api.post("/v1/domains", {"name": "relay.domains.test", "customer": customer["id"], "kind": "relay",
                                     "next_hops": [{"host": "MX2.test.", "port": 2525, "priority": 20},
                                                   {"host": "2001:DB8::1"}]})
    assert relay["next_hops"] == [{"host": "2001:db8::1", "port": 25, "priority": 10},
                                  {"host": "mx2.test", "port": 2525, "priority": 20}]
    assert api.get("/v1/domains/RELAY.domains.test") == relay
    changed = api.patch(f"/v1/domains/{relay['id']}", {"next_hops": [{"host": "192.0.2.7", "port": 26}]})
    assert changed["next_hops"] == [{"host": "192.0.2.7", "port": 26, "priority": 10}]
    assert api.patch("/v1/domains/relay.domains.test", {}) == changed

    base = {"name": "x.domains.test", "customer": "domains", "kind": "relay", "next_hops": [{"host": "a.test"}]}

    def refused(field, status=422, **changes):
        body = {name: value for name, value in {**base, **changes}.items() if value is not None}
        return problem(posthouse, status, "POST", "/v1/domains", body, field=field)[1]

    assert refused("name", status=409, name="HOSTED.domains.test")["existing_id"] == hosted["id"]
    refused("name", name="localhost")
    refused("name", name="a_b.test")
    refused("name", name="bücher .test")
    refused("name", name="192.0.2.1")
    refused("customer", customer="nobody of this name")
    refused("customer", customer=None)
    refused("kind", kind="other")
    refused("next_hops", next_hops=None)
    refused("next_hops", next_hops=[])
    refused("catch_all", kind="hosted", catch_all="x@y.test")
    refused("catch_all", catch_all="x@y.test")
    refused("target", target="domains")
    refused("next_hops", next_hops=[{"host": "a.test"}, {"host": "A.test"}])
    refused("next_hops[1].host", next_hops=[{"host": "a.test"}, {"port": 25}])
    refused("next_hops[0].host", next_hops=[{"host": "[2001:db8::1]"}])
    refused("next_hops[0].port", next_hops=[{"host": "a.test", "port": 65536}])
    refused("next_hops[0].priority", next_hops=[{"host": "a.test", "priority": -1}])
    refused("next_hops[0].weight", next_hops=[{"host": "a.test", "weight": 1}])
    refused("next_hops[0]", next_hops=["a.test"])
    refused("next_hops", next_hops="a.test")
    refused("next_hops", next_hops=[{"host": f"h{number}.test"} for number in range(33)])
    problem(posthouse, 422, "PATCH", "/v1/domains/hosted.domains.test", {"catch_all": "nobody"}, field="catch_all")
    problem(posthouse, 422, "PATCH", "/v1/domains/relay.domains.test", {"kind": "hosted"}, field="kind")

    problem(posthouse, 409, "DELETE", "/v1/customers/domains")
    assert [item["name"] for item in pages(api, "/v1/domains", customer="domains", limit=1)] == [
        "hosted.domains.test", "relay.domains.test"]
    api.delete("/v1/domains/hosted.domains.test")
    api.delete(f"/v1/domains/{relay['id']}")
    api.delete("/v1/customers/domains")


def test_account(posthouse):
    api = posthouse.api
    customer, other = api.customer("accounts"), api.customer("other accounts")
    domain = api.hosted_domain("accounts.test", "accounts")
    api.hosted_domain("other-accounts.test", "other accounts")
    ann = api.post("/v1/accounts", {"address": "Ann@Accounts.TEST", "customer": "accounts", "password": "posthouse-demo",
                                    "aliases": ["Info@accounts.test", "a.smith@accounts.test"]})
    assert ann["address"] == "ann@accounts.test" and ann["customer"] == customer["id"]
    assert ann["domain"] == domain["id"] and ann["login"] is True and ann["state"] == "active"
    assert ann["aliases"] == ["a.smith@accounts.test", "info@accounts.test"]
    assert ann["password_scheme"] == "yescrypt"
    assert "posthouse-demo" not in json.dumps(ann) and not {"password", "password_hash"} & set(ann)
    assert api.get("/v1/accounts/ANN@accounts.test") == ann
    names = [row[0] for row in posthouse.query("select m.name from mailbox m join account a on a.id = m.account_id"
                                               " where a.address = 'ann@accounts.test' order by m.name")]
    assert names == ["Drafts", "INBOX", "Junk", "Sent", "Trash"]

    base = {"address": "bob@accounts.test", "customer": "accounts", "password": "posthouse-demo"}

    def refused(field, status=422, **changes):
        return problem(posthouse, status, "POST", "/v1/accounts", {**base, **changes}, field=field)[1]

    assert refused("address", status=409, address="ann@ACCOUNTS.test")["existing_id"] == ann["id"]
    assert refused("address", status=409, address="info@accounts.test")["existing_id"] == ann["id"]
    refused("aliases", status=409, aliases=["ann@accounts.test"])
    refused("aliases", status=409, aliases=["info@accounts.test"])
    refused("aliases", aliases=["bob@elsewhere.test"])
    refused("aliases", aliases=["bob@other-accounts.test"])
    refused("aliases[1]", aliases=["b@accounts.test", "B@accounts.test"])
    refused("aliases[0]", aliases=["bob@accounts.test"])
    refused("aliases[0]", aliases=["no address"])
    refused("aliases[0]", aliases=[None])
    refused("address", address="bob")
    refused("address", address='"a b"@accounts.test')
    refused("address", address="bob@other-accounts.test")
    refused("address", address="bob@elsewhere.test")
    refused("password", password="short")
    refused("password", password="x" * 513)
    refused("password", password="posthouse\ndemo")
    refused("password", password=None)
    refused("quota", quota=1)
    assert posthouse.query("select count(*) from account where address like 'bob@%'") == [["0"]]

    path = f"/v1/accounts/{ann['id']}"
    changed = api.patch(path, {"aliases": ["post@accounts.test", "info@accounts.test"], "state": "suspended"})
    assert changed == {**ann, "aliases": ["info@accounts.test", "post@accounts.test"], "state": "suspended"}
    assert api.patch(path, {"aliases": [], "state": "active"})["aliases"] == []
    problem(posthouse, 409, "PATCH", path, {"aliases": ["ann@accounts.test"]}, field="aliases")
    assert api.patch(path, {"password": None})["login"] is False
    assert api.patch(path, {"password": "another-password"})["login"] is True

    api.account("alice@other-accounts.test", other["id"])
    assert [item["address"] for item in pages(api, "/v1/accounts", customer="accounts")] == ["ann@accounts.test"]
    assert [item["address"] for item in pages(api, "/v1/accounts", domain="other-accounts.test")] == [
        "alice@other-accounts.test"]
    assert pages(api, "/v1/accounts", domain="other-accounts.test", customer="accounts") == []
    problem(posthouse, 422, "GET", "/v1/accounts?domain=elsewhere.test", field="domain")

    problem(posthouse, 409, "DELETE", "/v1/domains/accounts.test")
    api.delete(path)
    problem(posthouse, 404, "GET", path)
    api.delete("/v1/domains/accounts.test")


def test_the_password_of_an_account_counts_at_once(posthouse):
    api = posthouse.api
    api.customer("logins")
    api.hosted_domain("logins.test", "logins")
    api.account("ann@logins.test", "logins", "first password")
    with posthouse.pop3("ann@logins.test", "first password"):
        pass
    api.patch("/v1/accounts/ann@logins.test", {"password": "second password"})
    with posthouse.pop3("ann@logins.test", "second password"):
        pass
    with pytest.raises(poplib.error_proto):
        with posthouse.pop3("ann@logins.test", "first password"):
            pass
    api.patch("/v1/accounts/ann@logins.test", {"state": "suspended"})
    with pytest.raises(poplib.error_proto):
        with posthouse.pop3("ann@logins.test", "second password"):
            pass


def test_an_account_is_deleted_with_its_mail(posthouse):
    api = posthouse.api
    api.customer("leaving")
    api.hosted_domain("leaving.test", "leaving")
    account = api.account("ann@leaving.test", "leaving")
    for number in range(3):
        posthouse.send("joe@outside.test", "ann@leaving.test", make_message(f"message {number}"))
    with posthouse.pop3("ann@leaving.test") as mailbox:
        assert mailbox.stat()[0] == 3
    api.delete(f"/v1/accounts/{account['id']}")
    api.delete("/v1/domains/leaving.test")
    api.delete("/v1/customers/leaving")
    assert posthouse.query("select count(*) from mailbox m left join account a on a.id = m.account_id"
                           " where a.id is null") == [["0"]]
    assert posthouse.query("select count(*) from mailbox_message i left join mailbox m on m.id = i.mailbox_id"
                           " where m.id is null") == [["0"]]


def test_network(posthouse):
    api = posthouse.api
    customer = api.customer("networks")
    made = api.post("/v1/networks", {"cidr": "198.51.100.0/24", "customer": "networks"})
    assert made["cidr"] == "198.51.100.0/24" and made["customer"] == customer["id"]
    assert api.get("/v1/networks/198.51.100.0%2F24") == made
    assert api.post("/v1/networks", {"cidr": "2001:DB8:5::/48", "customer": "networks"})["cidr"] == "2001:db8:5::/48"
    assert api.post("/v1/networks", {"cidr": "198.51.100.7", "customer": "networks"})["cidr"] == "198.51.100.7/32"
    taken = problem(posthouse, 409, "POST", "/v1/networks", {"cidr": "198.51.100.0/24", "customer": "networks"},
                    field="cidr")[1]
    assert taken["existing_id"] == made["id"]
    for cidr in ("198.51.100.1/24", "198.51.100.0/33", "example.test", "2001:db8::1/32", "198.51.100.0/"):
        problem(posthouse, 422, "POST", "/v1/networks", {"cidr": cidr, "customer": "networks"}, field="cidr")
    other = api.customer("other networks")
    assert api.patch(f"/v1/networks/{made['id']}", {"customer": "other networks"})["customer"] == other["id"]
    problem(posthouse, 404, "GET", "/v1/networks/nothing")
    assert len(pages(api, "/v1/networks", customer="networks", limit=1)) == 2
    problem(posthouse, 409, "DELETE", "/v1/customers/networks")
    for network in pages(api, "/v1/networks"):
        api.delete(f"/v1/networks/{network['id']}")
    api.delete("/v1/customers/networks")


def test_lists_are_read_in_pages(posthouse):
    names = {f"page {number:02}" for number in range(25)}
    for name in names:
        posthouse.api.customer(name)
    seen = [item["name"] for item in pages(posthouse.api, "/v1/customers", limit=7)]
    assert names <= set(seen) and len(seen) == len(set(seen))
    for query in ("limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1.5"):
        problem(posthouse, 422, "GET", f"/v1/customers?{query}", field="limit")
    for cursor in ("x", "uuuuuuuuuuuuu", "00000000000000", ""):
        problem(posthouse, 422, "GET", f"/v1/customers?cursor={cursor}", field="cursor")
    problem(posthouse, 422, "GET", "/v1/customers?nmae=x", field="nmae")
    problem(posthouse, 422, "GET", "/v1/customers?limit=1&limit=2", field="limit")
    problem(posthouse, 400, "GET", "/v1/customers?limit=%zz")
    problem(posthouse, 400, "GET", "/v1/customers?" + "&".join(f"a{number}=1" for number in range(100)))


# ---------------------------------------------------------------------- mail


def test_queue_message_events_and_outage(posthouse, sink):
    api = posthouse.api
    api.customer("queued")
    sink.stop()
    api.relay_domain("queued.test", "queued", sink.port)
    api.account("carol@queued.test", "queued")
    posthouse.send("joe@outside.test", "carol@queued.test", make_message("where is it"))

    entry, = wait_until(lambda: [item for item in pages(api, "/v1/queue", domain="queued.test") if item["held"]],
                        "the message is held")
    assert entry["recipient"] == "carol@queued.test" and entry["sender"] == "joe@outside.test"
    assert ID.match(entry["id"]) and entry["size"] > 0 and is_utc_now(entry["received_at"])
    assert entry["id"] in [item["id"] for item in pages(api, "/v1/queue", limit=1)]
    assert pages(api, "/v1/queue", domain="unknown.test") == []
    problem(posthouse, 422, "GET", "/v1/queue?domain=not_a_domain", field="domain")
    problem(posthouse, 409, "DELETE", "/v1/domains/queued.test")

    message = api.get(f"/v1/messages/{entry['message']}")
    assert message["id"] == entry["message"] and message["sender"] == "joe@outside.test"
    assert message["in_mailboxes"] == 1 and message["client"] == "127.0.0.1"
    assert [item["id"] for item in message["queue"]] == [entry["id"]]

    outage, = pages(api, "/v1/outages", domain="queued.test", open="true")
    assert outage["domain"] == "queued.test" and outage["ended_at"] is None and outage["reason"]
    assert api.get("/v1/domains/queued.test")["outage"] == outage["id"]

    kinds = [event["kind"] for event in pages(api, f"/v1/messages/{entry['message']}/events", limit=1)]
    assert kinds[0] == "accepted" and len(kinds) >= 2, kinds

    sink.start()
    wait_until(lambda: pages(api, "/v1/queue", domain="queued.test") == [], "the queue drains")
    kinds = [event["kind"] for event in pages(api, f"/v1/messages/{entry['message']}/events")]
    assert "delivered" in kinds, kinds
    wait_until(lambda: pages(api, "/v1/outages", domain="queued.test", open="true") == [], "the outage closes")
    closed, = pages(api, "/v1/outages", domain="queued.test")
    assert closed["id"] == outage["id"] and is_utc_now(closed["ended_at"])


def test_a_deleted_account_leaves_its_queue(posthouse, sink):
    api = posthouse.api
    api.customer("gone")
    sink.stop()
    api.relay_domain("gone.test", "gone", sink.port)
    api.account("carol@gone.test", "gone")
    posthouse.send("joe@outside.test", "carol@gone.test", make_message("for the primary"))
    wait_until(lambda: [item for item in pages(api, "/v1/queue", domain="gone.test") if item["held"]], "it is held")
    api.delete("/v1/accounts/carol@gone.test")
    entry, = pages(api, "/v1/queue", domain="gone.test")
    assert not entry["held"] and api.get(f"/v1/messages/{entry['message']}")["in_mailboxes"] == 0
    sink.start()
    wait_until(lambda: len(sink.messages) == 1, "the primary has it")


def test_unknown_messages(posthouse):
    for key in ("0000000000000", "zzzzzzzzzzzzz", "x", "ann@example.test"):
        problem(posthouse, 404, "GET", f"/v1/messages/{key}")
        problem(posthouse, 404, "GET", f"/v1/messages/{key}/events")


# ---------------------------------------------------------------------- access and protocol


def test_tokens(posthouse):
    for token in ("", "x", "phs_", "phs_" + "A" * 43, posthouse.token[:-1], posthouse.token + "x", posthouse.token.upper()):
        headers, _ = problem(posthouse, 401, "GET", "/v1/customers", token=token)
        assert headers["WWW-Authenticate"].startswith("Bearer")
    problem(posthouse, 401, "POST", "/v1/customers", {"name": "nobody"}, token="")
    problem(posthouse, 401, "GET", "/v1/customers", token="", headers={"Authorization": "Basic Zm9vOmJhcg=="})
    must(posthouse, 200, "GET", "/v1/customers", token="", headers={"Authorization": f"bearer {posthouse.token}"})
    assert posthouse.query("select count(*) from customer where name = 'nobody'") == [["0"]]
    stored = posthouse.query("select encode(token_sha256, 'escape') || label from api_token")[0][0]
    assert posthouse.token not in stored and posthouse.token[4:] not in posthouse.log()


def test_open_paths(posthouse):
    assert must(posthouse, 200, "GET", "/healthz", token="")[1] == {"status": "alive"}
    ready = must(posthouse, 200, "GET", "/readyz", token="")[1]
    assert ready["status"] == "ready" and ready["workers"] == 2
    headers, text = must(posthouse, 200, "GET", "/metrics", token="")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    names = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            names.add(line.split()[2])
        elif not line.startswith("#"):
            assert re.fullmatch(r'[a-z0-9_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.e+]+', line), line
            assert re.match(r"[a-z0-9_]+", line).group() in names, line
    assert {"posthouse_queue_entries", "posthouse_api_requests_total"} <= names
    assert len(text.splitlines()) == len(set(text.splitlines()))


def test_changes_are_audited(posthouse):
    posthouse.api.customer("audited")
    posthouse.api.delete("/v1/customers/audited")
    problem(posthouse, 404, "DELETE", "/v1/customers/audited")
    rows = posthouse.query("select l.method, l.path, l.status, t.label from audit_log l join api_token t on t.id = l.token_id"
                           " where l.id >= (select id from audit_log where path = '/v1/customers/audited') order by l.id")
    assert rows == [["DELETE", "/v1/customers/audited", "204", "test"]]


def test_a_domain_is_found_in_any_spelling(posthouse):
    posthouse.api.customer("spelt")
    made = posthouse.api.hosted_domain("spelt.test", "spelt")
    for name in ("SPELT.test", "spelt.test.", "Spelt.Test."):
        assert posthouse.api.get(f"/v1/domains/{name}")["id"] == made["id"]
        assert posthouse.api.get("/v1/accounts", domain=name)["items"] == []


def test_a_query_that_is_not_taken_is_refused(posthouse):
    posthouse.api.customer("queried")
    for method, body in (("GET", None), ("PATCH", {"state": "suspended"}), ("DELETE", None)):
        problem(posthouse, 422, method, "/v1/customers/queried?dry_run=true", body, field="dry_run")
    problem(posthouse, 422, "POST", "/v1/customers?dry_run=true", {"name": "queried too"}, field="dry_run")
    assert posthouse.api.get("/v1/customers/queried")["state"] == "active"
    problem(posthouse, 404, "GET", "/v1/customers/queried%20too")
    must(posthouse, 200, "GET", "/healthz?from=probe", token="")


def test_methods_and_paths(posthouse):
    headers, _ = problem(posthouse, 405, "PUT", "/v1/customers")
    assert set(headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
    headers, _ = problem(posthouse, 405, "POST", "/healthz", {})
    assert set(headers["Allow"].split(", ")) == {"GET", "HEAD"}
    for path in ("/", "/v1", "/v1/", "/v1/customers/", "/v1/customers/a/b", "/v2/customers", "//v1/customers", "/v1/../healthz"):
        problem(posthouse, 404, "GET", path)
    for path in ("/v1/customers/%", "/v1/customers/%00", "/v1/customers/%ff", "/v1/customers/%2"):
        problem(posthouse, 400, "GET", path)
    status, headers, body = ask(posthouse, "HEAD", "/v1/customers")
    assert status == 200 and body == "" and headers["Content-Type"] == "application/json"


def test_the_document_describes_what_is_served(posthouse):
    document = must(posthouse, 200, "GET", "/v1/openapi.json", token="")[1]
    assert document["openapi"].startswith("3.1.")
    for path, operations in document["paths"].items():
        concrete = re.sub(r"\{\w+\}", "0000000000000", path)
        headers, _ = problem(posthouse, 405, "TRACE", concrete)
        served = set(headers["Allow"].split(", ")) - {"HEAD"}
        assert served == {method.upper() for method in operations}, path
        for method, operation in operations.items():
            if operation.get("security", document["security"]) == [{"token": []}]:
                problem(posthouse, 401, method.upper(), concrete, token="")


def test_replies_have_the_members_that_the_document_requires(posthouse):
    document = posthouse.api.get("/v1/openapi.json")
    api = posthouse.api
    api.customer("described")
    api.hosted_domain("described.test", "described")
    api.account("ann@described.test", "described")
    api.post("/v1/networks", {"cidr": "203.0.113.0/24", "customer": "described"})
    for path, name in (("/v1/customers", "Customer"), ("/v1/domains", "Domain"), ("/v1/accounts", "Account"),
                       ("/v1/networks", "Network")):
        schema = document["components"]["schemas"][name]
        for item in pages(api, path):
            assert set(item) == set(schema["required"]) == set(schema["properties"]), name
