"""Aliases and groups: one recipient at RCPT, several for delivery; who may post; what is told of it."""
import pytest

from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from harness.requests import problem
from harness.sink import Sink


@pytest.fixture(scope="module")
def here(posthouse):
    api = posthouse.api
    api.customer("expanded")
    api.customer("expanded too")
    api.hosted_domain("expanded.test", "expanded")
    api.hosted_domain("other.expanded.test", "expanded too")
    for name in ("ann@expanded.test", "bob@expanded.test"):
        api.account(name, "expanded")
    api.account("eve@other.expanded.test", "expanded too")
    return posthouse


def check(node, recipient, sender="joe@outside.test", **more):
    return node.api.post("/v1/relay-checks", {"sender": sender, "recipient": recipient, **more})


def targets(told):
    return {target["address"]: target["verdict"] for target in told["targets"]}


def test_an_alias_goes_to_each_of_its_targets_once(here, outside):
    with Sink() as primary:
        here.api.relay_domain("relayed.expanded.test", "expanded too", primary.port)
        here.api.post("/v1/aliases", {"address": "inner@expanded.test",
                                      "targets": ["bob@expanded.test", "all@expanded.test", "x@relayed.expanded.test"]})
        made = here.api.post("/v1/aliases", {"address": "All@expanded.test", "targets": [
            "ann@expanded.test", "inner@expanded.test", "eve@other.expanded.test", "gone@expanded.test", "Dan@outside.test"]})
        assert made["address"] == "all@expanded.test" and "dan@outside.test" in made["targets"]

        told = check(here, "all@expanded.test")
        assert (told["verdict"], told["why"], told["route"]) == ("expanded", "alias", None)
        assert targets(told) == {"ann@expanded.test": "mailbox", "bob@expanded.test": "mailbox",
                                 "eve@other.expanded.test": "mailbox", "x@relayed.expanded.test": "relay",
                                 "dan@outside.test": "outside"}

        before = len(outside.messages)
        here.send("joe@outside.test", ["all@expanded.test", "bob@expanded.test"], make_message("to all of them"))
        for user in ("ann@expanded.test", "bob@expanded.test", "eve@other.expanded.test"):
            wait_equal(lambda: here.subjects(user).count("to all of them"), 1, f"one copy for {user}")
        wait_until(lambda: [m.recipients for m in primary.messages] == [["x@relayed.expanded.test"]], "one at the primary")
        wait_until(lambda: [m.recipients for m in outside.messages[before:]] == [["dan@outside.test"]], "one outside")
        assert outside.messages[before].sender.endswith("=outside.test=joe@expanded.test")  # test_srs.py

        rows = here.query("select m.customer_id, e.recipient, e.detail from event e join message m on m.id = e.message_id"
                          " where e.kind = 'expanded' and e.recipient = 'all@expanded.test'")
        customers = {name: here.api.get(f"/v1/customers/{name}")["id"] for name in ("expanded", "expanded%20too")}
        assert len(rows) == len(customers) == 2
        named = ", ".join(row[2] for row in rows)
        assert {name for name in named.split(", ")} == {"ann@expanded.test", "bob@expanded.test", "dan@outside.test",
                                                        "eve@other.expanded.test", "x@relayed.expanded.test"}
        here.api.delete("/v1/aliases/inner@expanded.test")
        here.api.delete("/v1/aliases/all@expanded.test")
        assert check(here, "all@expanded.test")["verdict"] == "unknown"


def test_an_alias_follows_what_becomes_of_its_targets(here):
    here.api.post("/v1/aliases", {"address": "one@expanded.test", "targets": ["temp@expanded.test"]})
    with here.smtp() as session:
        session.ehlo("client.test")

        def rcpt():
            session.mail("joe@outside.test")
            code, text = session.rcpt("one@expanded.test")
            session.rset()
            return code, text.split()[0]

        assert rcpt() == (550, b"5.1.1")
        here.api.account("temp@expanded.test", "expanded")
        assert rcpt() == (250, b"2.1.5")
        here.api.patch("/v1/accounts/temp@expanded.test", {"state": "suspended"})
        assert rcpt() == (550, b"5.2.1")
        here.api.delete("/v1/accounts/temp@expanded.test")
        assert rcpt() == (550, b"5.1.1")
        here.api.patch("/v1/aliases/one@expanded.test", {"targets": ["ann@expanded.test"]})
        assert rcpt() == (250, b"2.1.5")
    here.api.delete("/v1/aliases/one@expanded.test")


def test_a_group_asks_who_sends(here):
    here.api.post("/v1/groups", {"address": "group@expanded.test", "members": ["ann@expanded.test", "dan@outside.test"]})
    assert check(here, "group@expanded.test")["why"] == "group"
    here.api.patch("/v1/groups/group@expanded.test", {"senders": "members"})
    assert check(here, "group@expanded.test")["reply"]["enhanced"] == "5.7.2"
    assert check(here, "group@expanded.test", sender="<>")["reply"]["enhanced"] == "5.7.2"
    assert check(here, "group@expanded.test", sender="dan@outside.test")["verdict"] == "expanded"
    here.api.patch("/v1/groups/group@expanded.test", {"senders": "customer"})
    assert check(here, "group@expanded.test", sender="ann@expanded.test")["why"] == "group-closed"
    assert check(here, "group@expanded.test", sender="bob@expanded.test", account="bob@expanded.test")["verdict"] == "expanded"
    assert check(here, "group@expanded.test", sender="eve@other.expanded.test",
                 account="eve@other.expanded.test")["why"] == "group-closed"
    network = here.api.post("/v1/networks", {"cidr": "203.0.113.64/26", "customer": "expanded"})
    assert check(here, "group@expanded.test", client="203.0.113.65")["verdict"] == "expanded"
    here.api.delete(f"/v1/networks/{network['id']}")
    here.submit("bob@expanded.test", ["group@expanded.test"], make_message("for the group", sender="bob@expanded.test"))
    wait_until(lambda: "for the group" in here.subjects("ann@expanded.test"), "a member has it")
    here.api.delete("/v1/groups/group@expanded.test")


def test_a_bounce_for_an_alias_reaches_those_behind_it(here, outside):
    here.api.post("/v1/aliases", {"address": "sender@expanded.test",
                                  "targets": ["ann@expanded.test", "eve@other.expanded.test"]})
    with Sink() as primary:
        primary.behave.recipient_replies["no@bouncing.expanded.test"] = "550 5.1.1 nobody"
        here.api.relay_domain("bouncing.expanded.test", "expanded", primary.port)
        here.send("sender@expanded.test", ["no@bouncing.expanded.test"], make_message("comes back"))
        for user in ("ann@expanded.test", "eve@other.expanded.test"):
            wait_until(lambda: any("eliver" in subject for subject in here.subjects(user)), f"{user} is told")
    here.api.delete("/v1/aliases/sender@expanded.test")


def test_an_address_is_one_thing_only(here):
    api = here.api
    alias = api.post("/v1/aliases", {"address": "taken@expanded.test", "targets": ["ann@expanded.test"]})
    for method, path, body in (
            ("POST", "/v1/aliases", {"address": "taken@expanded.test", "targets": ["x@y.test"]}),
            ("POST", "/v1/groups", {"address": "taken@expanded.test", "members": ["x@y.test"]}),
            ("POST", "/v1/accounts", {"address": "taken@expanded.test", "customer": "expanded"})):
        assert problem(here, 409, method, path, body, field="address")[1]["existing_id"] == alias["id"]
    problem(here, 409, "PATCH", "/v1/accounts/ann@expanded.test", {"aliases": ["taken@expanded.test"]}, field="aliases")
    problem(here, 409, "POST", "/v1/aliases", {"address": "ann@expanded.test", "targets": ["x@y.test"]}, field="address")
    problem(here, 409, "DELETE", "/v1/domains/expanded.test")
    problem(here, 404, "GET", "/v1/groups/taken@expanded.test")
    for field, body in (("address", {"address": "x@nowhere.test", "targets": ["x@y.test"]}),
                        ("address", {"address": "no address", "targets": ["x@y.test"]}),
                        ("targets", {"address": "x@expanded.test"}),
                        ("targets", {"address": "x@expanded.test", "targets": []}),
                        ("targets", {"address": "x@expanded.test", "targets": ["no address"]}),
                        ("targets", {"address": "x@expanded.test", "targets": ["X@expanded.test"]}),
                        ("senders", {"address": "x@expanded.test", "targets": ["x@y.test"], "senders": "members"})):
        problem(here, 422, "POST", "/v1/aliases", body, field=field)
    problem(here, 422, "POST", "/v1/groups", {"address": "x@expanded.test", "members": ["x@y.test"], "senders": "me"},
            field="senders")
    assert [item["id"] for item in api.get("/v1/aliases", domain="expanded.test")["items"]] == [alias["id"]]
    assert api.get("/v1/aliases", customer="expanded too")["items"] == []
    api.delete(f"/v1/aliases/{alias['id']}")
