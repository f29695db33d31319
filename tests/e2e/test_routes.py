"""Routes and their rules: who sends, then where it goes, then the default route; the dry run says the same as what happens."""

import pytest

from harness.certificate import Certificate
from harness.posthouse import Posthouse, make_message, subject_of
from harness.process import free_port, make_folder, remove_folder, wait_equal, wait_until
from harness.requests import problem as refused
from harness.sink import Behaviour, Sink

ANN, BOB, CAT = "ann@one.test", "bob@one.test", "cat@two.test"
DAN = "dan@outside.test"


@pytest.fixture
def trusting(certificate, monkeypatch):
    """Programs that are started trust the tests' certificate, as they do the system's authorities."""
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment",
                        lambda self: dict(plain(self), SSL_CERT_FILE=str(certificate.certificate)))


@pytest.fixture
def node(new_posthouse, trusting, outside):
    return set_up(new_posthouse(default_route=outside.port, settings={"daemon.workers": 1}))


def set_up(node):
    node.start()
    for customer, accounts in (("one", (ANN, BOB)), ("two", (CAT,))):
        node.api.customer(customer)
        node.api.hosted_domain(f"{customer}.test", customer)
        for address in accounts:
            node.api.account(address, customer)
    return node


@pytest.fixture
def sinks():
    """Some more next hops."""
    made = [Sink() for _ in range(4)]
    for each in made:
        each.__enter__()
    yield made
    for each in made:
        each.__exit__(None, None, None)


def problem(node, method, path, body, status, field=None):
    return refused(node, status, method, path, body, field)[1]


def key(node, name):
    """Of the destination."""
    return "route:" + str(node.query(f"select id from route where name = '{name}'")[0][0])


def hop(sink, **members):
    return {"host": "127.0.0.1", "port": sink if isinstance(sink, int) else sink.port, **members}


def route(node, name, *hops, **members):
    return node.api.post("/v1/routes", {"name": name, "next_hops": [hop(h) if not isinstance(h, dict) else h for h in hops], **members})


def rule(node, name, **members):
    return node.api.post("/v1/route-rules", {"route": name, **members})


def send(node, sender, recipient, subject):
    node.submit(sender, [recipient], make_message(subject, sender=sender, to=recipient))


def subjects(sink):
    return sorted(subject_of(m.data) for m in sink.messages)


def check(node, sender, recipient):
    return node.api.post("/v1/relay-checks", {"account": sender, "sender": sender, "recipient": recipient})["route"]


def wait_idle(sink):
    """The connection that was kept for the next message is over."""
    wait_until(lambda: all(m.session.ended_well for m in sink.messages), "the last connection is over")


def queue(node):
    return node.api.get("/v1/queue")["items"]


def test_who_sends_goes_before_where_it_goes(node, sinks, outside):
    """Account, sender's domain, customer, recipient's domain of the customer, of everybody, default route."""
    by_account, by_domain, by_customer, by_recipient = sinks
    names = ("of-ann", "of-domain", "of-two", "to-partner")
    for name, sink in zip(names, sinks):
        route(node, name, sink)
    account = rule(node, "of-ann", customer="one", account=ANN)
    rule(node, "of-domain", customer="one", sender_domain="One.Test")
    rule(node, "of-two", customer="two")
    partner = rule(node, "to-partner", recipient_domain="partner.test")
    for sender, recipient, sink, which, word in (
            (ANN, DAN, by_account, "of-ann", "account"),
            (ANN, "x@partner.test", by_account, "of-ann", "account"),
            (BOB, DAN, by_domain, "of-domain", "sender-domain"),
            (CAT, "x@partner.test", by_customer, "of-two", "customer")):
        told = check(node, sender, recipient)
        assert (told["rule"], told["destination"]) == (word, key(node, which))
        assert told["route"] == node.api.get(f"/v1/routes/{which}")["id"]
        assert [h["port"] for h in told["next_hops"]] == [sink.port] and told["problem"] is None
        send(node, sender, recipient, f"{which} {recipient}")
        wait_until(lambda: f"{which} {recipient}" in subjects(sink), "it goes that way")
    assert check(node, ANN, DAN)["route_rule"] == account["id"]
    (customer,) = (r for r in node.api.get("/v1/route-rules", customer="two")["items"])
    node.api.delete(f"/v1/route-rules/{customer['id']}")
    told = check(node, CAT, "x@partner.test")
    assert (told["rule"], told["route_rule"]) == ("recipient-domain", partner["id"])
    send(node, CAT, "x@partner.test", "by recipient")
    wait_until(lambda: "by recipient" in subjects(by_recipient), "it goes that way")
    own = rule(node, "of-ann", customer="two", recipient_domain="partner.test")
    assert check(node, CAT, "x@partner.test")["route_rule"] == own["id"], "the customer's own rule goes before everybody's"
    told = check(node, CAT, DAN)
    assert (told["rule"], told["destination"], told["route_rule"], told["route"]) == ("default", "default", None, None)
    send(node, CAT, DAN, "default")
    wait_until(lambda: "default" in subjects(outside), "it goes by the default route")


def test_domains_of_this_server_are_not_routed_out(node, sinks):
    """Whoever sends: to a mailbox here, and to a relay domain's own next hop, also another customer's."""
    smart, primary = sinks[:2]
    route(node, "smart", smart)
    rule(node, "smart", customer="one")
    node.api.relay_domain("relayed.test", "two", primary.port)
    send(node, ANN, CAT, "to a mailbox")
    assert check(node, ANN, CAT) is None
    wait_until(lambda: node.subjects(CAT) == ["to a mailbox"], "it is here")
    told = check(node, ANN, "x@relayed.test")
    assert (told["rule"], told["route"], [h["port"] for h in told["next_hops"]]) == ("domain", None, [primary.port])
    send(node, ANN, "x@relayed.test", "to a primary")
    wait_equal(lambda: subjects(primary), ["to a primary"], "it is there")
    assert not smart.messages
    node.api.post("/v1/aliases", {"address": "away@one.test", "targets": ["far@outside.test"]})
    send(node, CAT, "away@one.test", "by an alias")
    wait_equal(lambda: subjects(smart), ["by an alias"], "what leaves by an alias is its customer's mail")


def test_a_domain_names_a_route(node, sinks):
    """Its outage and its queue stay its own; the route's hops count from the next try on."""
    first, second = sinks[:2]
    made = route(node, "primaries", hop(first, priority=1), hop(second, priority=2), customer="one")
    problem(node, "POST", "/v1/domains", {"name": "r.test", "customer": "two", "kind": "relay", "route": "primaries"}, 422, "route")
    problem(node, "POST", "/v1/domains", {"name": "r.test", "customer": "one", "kind": "relay", "route": "primaries",
                                          "next_hops": [hop(first)]}, 422, "route")
    domain = node.api.post("/v1/domains", {"name": "r.test", "customer": "one", "kind": "relay", "route": "primaries"})
    assert (domain["route"], domain["next_hops"]) == ("primaries", [])
    told = check(node, ANN, "x@r.test")
    assert (told["rule"], told["route"]) == ("domain", made["id"]) and told["destination"].startswith("domain:")
    send(node, ANN, "x@r.test", "first")
    wait_equal(lambda: subjects(first), ["first"], "the one of the lowest priority")
    first.stop()
    send(node, ANN, "x@r.test", "second")
    wait_equal(lambda: subjects(second), ["second"], "the next one")
    second.stop()
    node.api.account("x@r.test", "one")
    send(node, ANN, "x@r.test", "held")
    wait_until(lambda: node.subjects("x@r.test") == ["held"], "it is held readable")
    first.start()
    wait_until(lambda: "held" in subjects(first), "it is delivered")
    problem(node, "DELETE", "/v1/routes/primaries", None, 409)
    hops = [{"host": "127.0.0.1", "port": second.port, "priority": 1}]
    changed = node.api.patch("/v1/domains/r.test", {"next_hops": hops})
    assert (changed["route"], changed["next_hops"]) == (None, hops)
    changed = node.api.patch("/v1/domains/r.test", {"route": made["id"]})
    assert (changed["route"], changed["next_hops"]) == ("primaries", [])
    problem(node, "PATCH", "/v1/domains/r.test", {"route": None}, 422, "next_hops")
    node.api.patch("/v1/domains/r.test", {"next_hops": hops})
    node.api.delete("/v1/routes/primaries")
    split = node.api.patch("/v1/domains/one.test", {"route": route(node, "elsewhere", second)["id"]})
    second.start()
    assert split["route"] == "elsewhere"
    send(node, CAT, "nobody@one.test", "elsewhere")
    wait_until(lambda: "elsewhere" in subjects(second), "names that are not here are there")
    wait_until(lambda: not node.api.get("/v1/queue?domain=one.test")["items"], "and it is recorded")
    node.api.patch("/v1/domains/one.test", {"route": None})
    assert node.api.post("/v1/relay-checks", {"sender": CAT, "recipient": "nobody@one.test"})["verdict"] == "unknown"


def test_the_default_route_has_a_name(new_posthouse, sinks):
    node = set_up(new_posthouse(settings={"delivery.default_route": "route:the way out"}))
    assert "no such route" in check(node, ANN, DAN)["problem"]
    send(node, ANN, DAN, "waits")
    wait_until(lambda: [e for e in queue(node) if "there is no route the way out" in (e["last_reply"] or "")], "it says why")
    made = route(node, "the way out", sinks[0])
    told = check(node, ANN, DAN)
    assert (told["rule"], told["destination"], told["route"]) == ("default", "default", made["id"])
    wait_equal(lambda: subjects(sinks[0]), ["waits"], "it goes when there is one")
    node.stop()
    node.write_config(delivery__default_route=f"route:{made['id']}")
    node.start()
    send(node, ANN, DAN, "by number")
    wait_until(lambda: [e for e in queue(node) if "there is no route" in (e["last_reply"] or "")], "it is a name that is asked for")
    assert "no such route" in check(node, ANN, DAN)["problem"], "and so the dry run says"


def test_weights_and_priorities(node, sinks):
    """Of equal hops each is the first as often as its weight is of their sum; one that is away is passed over."""
    heavy, light, last, _ = sinks
    route(node, "shared", hop(last, priority=20), hop(heavy, priority=5, weight=9), hop(light, priority=5, weight=1), hop(free_port(), priority=5, weight=1))
    rule(node, "shared", customer="one")
    drawn = [check(node, ANN, DAN)["next_hops"] for _ in range(60)]
    firsts = [hops[0]["port"] for hops in drawn]
    assert all(hops[-1]["port"] == last.port and len(hops) == 4 for hops in drawn)
    assert set(firsts) >= {heavy.port, light.port} and firsts.count(heavy.port) > 30 and last.port not in firsts
    for number in range(10):
        send(node, ANN, DAN, f"n{number}")
    wait_until(lambda: len(heavy.messages) + len(light.messages) == 10, "they go, whichever was the first")
    assert not last.messages


def test_tls_of_a_hop(node, sinks, certificate):
    """The stricter of hop and policy holds, and nothing falls back silently."""
    clear, secure, other, plain = sinks
    secure.behave = Behaviour(tls=certificate.server_context())
    route(node, "strict", hop(clear, tls="encrypt", priority=1), hop(secure, tls="encrypt", priority=2))
    rule(node, "strict", customer="one")
    assert [h["tls"] for h in check(node, ANN, DAN)["next_hops"]] == ["encrypt", "encrypt"]
    send(node, ANN, DAN, "encrypted")
    wait_equal(lambda: subjects(secure), ["encrypted"], "the hop without TLS is passed over")
    assert secure.messages[0].tls and not clear.messages
    folder = make_folder("stranger")
    try:
        other.behave = Behaviour(tls=Certificate(folder).server_context())
        wait_idle(secure)
        node.api.patch("/v1/routes/strict", {"next_hops": [hop(other, tls="verify")]})
        send(node, ANN, DAN, "verified")
        wait_until(lambda: [e for e in queue(node) if (e["last_reply"] or "").endswith("its route requires a certificate, and its own cannot be verified")], "it waits")
        node.api.patch("/v1/routes/strict", {"next_hops": [hop(other, tls="verify", priority=1), hop(secure, tls="verify")]})
        wait_until(lambda: "verified" in subjects(secure), "it goes to whom it should")
    finally:
        remove_folder(folder)
    wait_idle(secure)
    # A hop in clear does not take what must not go in clear.
    node.api.patch("/v1/routes/strict", {"next_hops": [hop(secure, tls="none")]})
    send(node, ANN, DAN, "in clear")
    wait_until(lambda: [m for m in secure.messages if subject_of(m.data) == "in clear" and not m.tls], "by its route")
    wait_idle(secure)
    node.api.post("/v1/delivery-policies", {"domain": "outside.test", "tls": "encrypt", "retry_first": 1, "retry_max": 1})
    node.wait_known()
    send(node, ANN, DAN, "not in clear")
    wait_until(lambda: [e for e in queue(node) if (e["last_reply"] or "").endswith("the message requires TLS, and its route is to send in clear")], "it waits")
    node.api.patch("/v1/routes/strict", {"next_hops": [hop(secure)]})
    wait_until(lambda: [m for m in secure.messages if subject_of(m.data) == "not in clear" and m.tls], "it goes under TLS")
    assert not plain.messages


def test_mail_follows_its_route(node, sinks, outside):
    """New hops are tried at once; from a route that is deleted it goes as it would now."""
    away, new, partner, _ = sinks
    dead = free_port()
    route(node, "changing", dead)
    way = key(node, "changing")
    mine = rule(node, "changing", customer="one")
    for number in range(3):
        send(node, ANN, f"d{number}@outside.test", f"m{number}")
    wait_until(lambda: [e for e in queue(node) if e["destination"] == way and e["last_reply"]], "it waits")
    node.query("update destination set due_at = now() + interval '1 hour' returning 1")
    node.api.patch("/v1/routes/changing", {"next_hops": [hop(new)]})
    wait_equal(lambda: subjects(new), ["m0", "m1", "m2"], "it goes by the new hop at once")
    wait_idle(new)
    node.api.patch("/v1/routes/changing", {"next_hops": [hop(dead)]})
    send(node, ANN, DAN, "to the default")
    send(node, ANN, "x@partner.test", "to the partner")
    wait_until(lambda: len([e for e in queue(node) if e["destination"] == way and e["last_reply"]]) == 2, "they wait")
    problem(node, "DELETE", "/v1/routes/changing", None, 409)
    route(node, "partner", partner)
    rule(node, "partner", recipient_domain="partner.test")
    node.query("update destination set due_at = now() + interval '1 hour' returning 1")
    node.api.delete(f"/v1/route-rules/{mine['id']}")
    assert [e for e in queue(node) if e["destination"] == way], "a rule that goes changes nothing"
    node.api.delete("/v1/routes/changing")
    wait_until(lambda: "to the partner" in subjects(partner) and "to the default" in subjects(outside), "they go as they would now")
    wait_equal(lambda: queue(node), [], "nothing is left")
    wait_equal(lambda: node.query(f"select count(*) from queue_entry where destination = '{way}'"), [["0"]], "nothing")


def test_a_dead_route_is_one_destination(node, sinks, outside):
    """Other routes, and the default, go on; it can be suspended by its key."""
    dead, good = free_port(), sinks[0]
    route(node, "dead", dead)
    route(node, "good", good)
    rule(node, "dead", customer="one")
    rule(node, "good", customer="two")
    send(node, ANN, DAN, "waits")
    wait_until(lambda: [e for e in queue(node) if e["last_reply"]], "it waits")
    send(node, CAT, DAN, "goes")
    wait_equal(lambda: subjects(good), ["goes"], "another route is not away")
    node.api.post("/v1/suspensions", {"kind": "destination", "value": key(node, "good"), "reason": "test"})
    node.wait_known()
    send(node, CAT, DAN, "suspended")
    wait_until(lambda: [e for e in queue(node) if e["state"] == "suspended"], "it waits")
    assert node.api.get("/v1/queue", destination=key(node, "dead"))["items"][0]["sender"] == ANN


def test_notices_take_the_recipients_route_only(node, sinks, outside):
    """What we write ourselves has no sender that a rule is for."""
    smart, back = sinks[:2]
    outside.behave = Behaviour(other_recipients="550 5.1.1 no such user")
    route(node, "smart", smart)
    route(node, "back", back)
    node.api.post("/v1/networks", {"cidr": "127.0.0.0/8", "customer": "one"})
    node.api.post("/v1/relay-grants", {"label": "all", "customer": "one", "network": "127.0.0.0/8", "senders": "any"})
    back_rule = rule(node, "back", recipient_domain="far.test")
    node.send("x@far.test", DAN, make_message("refused", sender="x@far.test", to=DAN))
    wait_until(lambda: back.messages and back.messages[0].sender == "", "the notice goes by its recipient's route")
    rule(node, "smart", customer="one")
    outside.behave = Behaviour()
    node.api.delete(f"/v1/route-rules/{back_rule['id']}")
    smart.behave = Behaviour(other_recipients="550 5.1.1 no such user")
    node.send("x@far.test", DAN, make_message("refused again", sender="x@far.test", to=DAN))
    wait_until(lambda: [m for m in outside.messages if m.sender == "" and m.recipients == ["x@far.test"]], "by the default route")
    assert not smart.messages


def test_the_api(node, sinks):
    api = node.api
    made = route(node, "mine", hop(sinks[0], tls="may", weight=3), customer="one")
    assert made["next_hops"] == [{"host": "127.0.0.1", "port": sinks[0].port, "priority": 10, "weight": 3, "tls": "may"}]
    assert problem(node, "POST", "/v1/routes", {"name": "mine", "next_hops": [hop(25)]}, 409, "name")["existing_id"] == made["id"]
    for body, field in (({"name": "x"}, "next_hops"), ({"name": "x", "next_hops": []}, "next_hops"),
                        ({"next_hops": [hop(25)]}, "name"), ({"name": "x", "next_hops": [hop(25, tls="never")]}, "next_hops[0].tls"),
                        ({"name": "x", "next_hops": [hop(25, weight=0)]}, "next_hops[0].weight"),
                        ({"name": "x", "next_hops": [{"host": "a b"}]}, "next_hops[0].host"),
                        ({"name": "x", "next_hops": [hop(25), hop(25)]}, "next_hops"),
                        ({"name": "x", "next_hops": [hop(25)], "customer": "nobody"}, "customer")):
        problem(node, "POST", "/v1/routes", body, 422, field)
    assert [r["name"] for r in api.get("/v1/routes", customer="one")["items"]] == ["mine"]
    assert api.get("/v1/routes/mine") == api.get(f"/v1/routes/{made['id']}") == made
    for body, field in (({"route": "mine"}, "customer"), ({"route": "none", "customer": "one"}, "route"),
                        ({"route": "mine", "customer": "two"}, "route"), ({"route": "mine", "recipient_domain": "x.test"}, "route"),
                        ({"route": "mine", "customer": "one", "account": CAT}, "account"),
                        ({"route": "mine", "customer": "one", "account": ANN, "sender_domain": "x.test"}, "sender_domain"),
                        ({"route": "mine", "customer": "one", "sender_domain": "nodots"}, "sender_domain")):
        problem(node, "POST", "/v1/route-rules", body, 422, field)
    one = rule(node, "mine", customer="one", account=ANN)
    assert (one["account"], one["route"], one["sender_domain"]) == (ANN, "mine", None)
    assert problem(node, "POST", "/v1/route-rules", {"route": "mine", "customer": "one", "account": ANN}, 409)["existing_id"] == one["id"]
    route(node, "ours", sinks[1])
    assert api.patch(f"/v1/route-rules/{one['id']}", {"route": "ours"})["route"] == "ours"
    problem(node, "PATCH", f"/v1/route-rules/{one['id']}", {"customer": "two"}, 422, "customer")
    problem(node, "DELETE", "/v1/routes/ours", None, 409)
    problem(node, "DELETE", f"/v1/accounts/{ANN}", None, 409)
    api.delete(f"/v1/route-rules/{one['id']}")
    for path in ("/v1/routes/mine", "/v1/routes/ours"):
        api.delete(path)
        problem(node, "GET", path, None, 404)
    assert [row[0] for row in node.query("select method from audit_log where path like '/v1/route%' order by id")][-1] == "DELETE"
