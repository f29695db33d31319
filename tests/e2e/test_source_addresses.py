"""From which of our addresses mail goes out: a customer's, or a route's; from no other, if there is none of them."""
import pytest

from harness.names import Names
from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.requests import problem
from harness.sink import Behaviour, Sink

ANN, BOB = "ann@one.test", "bob@two.test"
DAN = "dan@outside.test"
TWO = ["127.0.0.2", "127.0.0.3"]
NOBODYS = "192.0.2.1"  # RFC 5737


@pytest.fixture
def node(new_posthouse, sink):
    made = new_posthouse(default_route=sink.port, settings={"daemon.workers": 1}).start()
    for customer, address in (("one", ANN), ("two", BOB)):
        made.api.customer(customer)
        made.api.hosted_domain(f"{customer}.test", customer)
        made.api.account(address, customer)
    return made


def pool(node, *addresses, customer="one"):
    return node.api.patch(f"/v1/customers/{customer}", {"source_addresses": list(addresses)})


def send(node, sender, subject, recipient=DAN):
    node.submit(sender, [recipient], make_message(subject, sender=sender, to=recipient))


def peers(sink, sender):
    return [m.session.client_address[0] for m in sink.messages if m.sender == sender]


def queue(node):
    return node.api.get("/v1/queue")["items"]


def test_a_customers_pool(node, sink):
    """Each connection from another one; another customer's mail from none of them."""
    assert pool(node, *TWO)["source_addresses"] == TWO
    sink.behave = Behaviour(cut_at="after")
    for number in range(6):
        send(node, ANN, f"a{number}")
        send(node, BOB, f"b{number}")
        wait_until(lambda: len(sink.messages) == 2 * (number + 1), "both are there")
    assert set(peers(sink, ANN)) == set(TWO) and set(peers(sink, BOB)) == {"127.0.0.1"}
    pool(node)
    send(node, ANN, "last")
    wait_until(lambda: len(sink.messages) == 13, "it is there")
    assert peers(sink, ANN)[-1] == "127.0.0.1"


def test_a_connection_is_used_again_for_the_same_pool_only(node, sink):
    pool(node, "127.0.0.2")
    for sender in (ANN, ANN, BOB, BOB, ANN):
        send(node, sender, "hello")
        wait_equal(lambda: queue(node), [], "it is delivered")
    assert [m.session.client_address[0] for m in sink.messages] == ["127.0.0.2", "127.0.0.2", "127.0.0.1", "127.0.0.1", "127.0.0.2"]
    assert sink.connections == 3
    pool(node, "127.0.0.3")
    send(node, ANN, "changed")
    wait_until(lambda: peers(sink, ANN)[-1] == "127.0.0.3", "a change counts at once")


def test_a_routes_pool_goes_before(node, sink):
    pool(node, "127.0.0.2")
    made = node.api.post("/v1/routes", {"name": "from-three", "next_hops": [{"host": "127.0.0.1", "port": sink.port}],
                                        "source_addresses": ["127.0.0.3"]})
    assert made["source_addresses"] == ["127.0.0.3"]
    node.api.post("/v1/route-rules", {"route": "from-three", "customer": "one"})
    send(node, ANN, "by the route")
    wait_until(lambda: peers(sink, ANN) == ["127.0.0.3"], "from the route's")
    wait_until(lambda: sink.messages[-1].session.ended_well, "the connection is over")
    assert node.api.patch("/v1/routes/from-three", {"source_addresses": []})["next_hops"] == made["next_hops"]
    send(node, ANN, "by the customer")
    wait_until(lambda: peers(sink, ANN) == ["127.0.0.3", "127.0.0.2"], "from the customer's")


def test_an_address_of_nobody(node, sink):
    """Mail waits, and says why; nobody else's does. One that is another node's is passed over."""
    pool(node, NOBODYS)
    send(node, ANN, "waits")
    wait_until(lambda: [e for e in queue(node) if e["last_reply"]], "it waits")
    (entry,) = queue(node)
    why = f"127.0.0.1:{sink.port}: none of the source addresses is this machine's ({NOBODYS})"
    assert entry["last_reply"] == why
    events = node.api.get(f"/v1/messages/{entry['message']}/events")["items"]
    assert {(each["detail"], each["class"]) for each in events if each["kind"] == "deferred"} == {(why, "local")}
    assert "none of the source addresses is this machine's" in node.log()
    send(node, BOB, "goes")
    wait_until(lambda: [m for m in sink.messages if subject_of(m.data) == "goes"], "the destination is not away for it")
    pool(node, NOBODYS, "127.0.0.3")
    wait_until(lambda: peers(sink, ANN) == ["127.0.0.3"], "it goes from what there is")


def test_the_other_family(node, sink):
    pool(node, "::1")
    send(node, ANN, "waits")
    wait_until(lambda: [e for e in queue(node) if (e["last_reply"] or "").endswith("none of the source addresses is of its family (::1)")], "it waits")
    pool(node, "::1", "127.0.0.2")
    wait_until(lambda: peers(sink, ANN) == ["127.0.0.2"], "it goes")


def test_the_pools_family_is_the_hosts(node, sink):
    """Of a host with both, the one that the pool has is used, whichever would be first."""
    with Names() as names, Sink("::1", sink.port) as six:
        names.records["both.test", "AAAA"], names.records["both.test", "A"] = ["::1"], ["127.0.0.1"]
        node.stop()
        node.write_config(dns__resolver=names.resolver, delivery__default_route=f"both.test:{sink.port}")
        node.start()
        pool(node, "127.0.0.2")
        send(node, ANN, "four")
        wait_until(lambda: peers(sink, ANN) == ["127.0.0.2"], "by IPv4")
        wait_until(lambda: sink.messages[-1].session.ended_well, "the connection is over")
        pool(node, "::1")
        send(node, ANN, "six")
        wait_until(lambda: [peer[0] for peer in (m.session.client_address for m in six.messages)] == ["::1"], "by IPv6")
        assert len(sink.messages) == 1


def test_primaries_are_probed_from_there(node, sink):
    """What a firewall lets in is the pool."""
    pool(node, *TWO)
    node.api.post("/v1/domains", {"name": "relayed.test", "customer": "one", "kind": "relay", "recipients": "learned",
                                  "next_hops": [{"host": "127.0.0.1", "port": sink.port}]})
    node.api.account("reader@relayed.test", "one")
    send(node, BOB, "asked", "reader@relayed.test")
    wait_until(lambda: "asked" in [subject_of(m.data) for m in sink.messages], "it is delivered")
    node.send("joe@far.test", "new@relayed.test", make_message("probed", sender="joe@far.test", to="new@relayed.test"))
    wait_until(lambda: "probed" in [subject_of(m.data) for m in sink.messages], "it is delivered")
    assert "new@relayed.test" in [recipient for _, recipient in sink.asked]
    sink.stop()
    send(node, BOB, "held", "reader@relayed.test")
    wait_until(lambda: node.subjects("reader@relayed.test") == ["held"], "it is held")
    sink.start()
    wait_until(lambda: "held" in [subject_of(m.data) for m in sink.messages], "it is delivered")
    assert sink.peers and set(sink.peers) <= set(TWO)


def test_the_api(node):
    for value in ("127.0.0.2", ["mail.example.test"], ["0.0.0.0"], ["::"], ["127.0.0.0/8"], ["127.0.0.2"] * 65):
        problem(node, 422, "PATCH", "/v1/customers/one", {"source_addresses": value}, "source_addresses")
    assert pool(node, "2001:DB8::0001", "127.0.0.2")["source_addresses"] == ["2001:db8::1", "127.0.0.2"]
    assert node.api.patch("/v1/customers/one", {"state": "active"})["source_addresses"] == ["2001:db8::1", "127.0.0.2"]
    problem(node, 422, "POST", "/v1/routes", {"name": "x", "next_hops": [{"host": "a.test"}], "source_addresses": ["x"]}, "source_addresses")
