"""RFC 5321 section 5 and RFC 7505, with an authoritative name server: which hosts mail by MX goes to, and which it does not."""
import smtplib
import socket

import pytest

from harness.nameserver import Nameserver, unavailable
from harness.posthouse import make_message
from harness.process import free_port, wait_equal, wait_until
from harness.sink import Behaviour, Sink

ANN = "ann@hosted.test"


@pytest.fixture(scope="module")
def dns():
    if unavailable():
        pytest.skip(unavailable())
    with Nameserver() as server:
        server.domain("mx.test")
        server.domain("null.test")
        server.set("null.test", "MX", "0 .")
        server.set("null.test", "A", "127.0.0.2")
        server.domain("broken.test", bogus=True)
        server.set("first.mx.test", "A", "127.0.0.2")
        server.set("second.mx.test", "A", "127.0.0.3")
        server.set("third.mx.test", "A", "127.0.0.4")
        yield server.start()


@pytest.fixture
def hosts():
    """first, second and third.mx.test."""
    port = free_port()
    with Sink("127.0.0.2", port) as first, Sink("127.0.0.3", port) as second, Sink("127.0.0.4", port) as third:
        yield first, second, third


@pytest.fixture
def node(new_posthouse, dns, hosts):
    return set_up(new_posthouse, dns, hosts[0].port)


def set_up(new_posthouse, dns, port, **settings):
    made = new_posthouse(settings={"delivery.mx_port": port, "daemon.workers": 1, "smtp.xclient_networks": "127.0.0.1",
                                   **dns.settings, **settings}).start()
    made.api.customer("mx")
    made.api.hosted_domain("hosted.test", "mx")
    made.api.account(ANN, "mx")
    return made


def send(node, recipient):
    node.submit(ANN, [recipient], make_message("hello", sender=ANN, to=recipient))


def check(node, recipient, **who):
    return node.api.post("/v1/relay-checks", {"recipient": recipient, **(who or {"account": ANN, "sender": ANN})})


def way(node, recipient):
    return check(node, recipient)["route"]


def bounced(node, status):
    wait_until(lambda: node.query("select 1 from event where kind = 'bounced'"), "it is returned")
    wait_until(lambda: node.subjects(ANN), "its sender is told")
    with node.imap(ANN) as box:
        box.select()
        report = box.fetch("1", "(RFC822)")[1][0][1].decode()
    assert f"Status: {status}" in report
    return report


def count(sink):
    return len(sink.messages)


def test_without_mx_the_domain_itself(node, dns, hosts):
    dns.set("plain.mx.test", "A", "127.0.0.3")
    send(node, "x@plain.mx.test")
    wait_until(lambda: count(hosts[1]), "it is delivered to its address")
    assert way(node, "x@plain.mx.test")["next_hops"] == [{"host": "plain.mx.test", "port": hosts[0].port, "priority": 0, "tls": None}]


def test_neither_mx_nor_address(node):
    """Refused at once (test_door.py); to one of several whom an alias leads to it is returned."""
    node.api.post("/v1/aliases", {"address": "away@hosted.test", "targets": ["x@nothing.mx.test", "y@nothing.mx.test"]})
    send(node, "away@hosted.test")
    bounced(node, "5.1.2")


def test_preference_and_chance(node, dns, hosts):
    """The most preferred first; among equals each comes first sometimes."""
    dns.set("equal.mx.test", "MX", "10 first.mx.test.", "10 second.mx.test.", "20 third.mx.test.")
    told = [[hop["host"] for hop in way(node, "x@equal.mx.test")["next_hops"]] for _ in range(30)]
    assert {each[0] for each in told} == {"first.mx.test", "second.mx.test"} and {each[2] for each in told} == {"third.mx.test"}

    def both():
        for host in hosts[:2]:
            host.behave = Behaviour(cut_at="after", cut_how="fin")  # a connection for each message
        send(node, "x@equal.mx.test")
        wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "it is delivered")
        return count(hosts[0]) and count(hosts[1])

    wait_until(both, "both are used", timeout=60)
    assert not count(hosts[2])
    hosts[0].stop()
    hosts[1].stop()
    send(node, "x@equal.mx.test")
    wait_until(lambda: count(hosts[2]), "the less preferred one gets it")


def test_an_alias_as_mx(node, dns, hosts):
    """Not allowed (RFC 5321 5.1), and delivered."""
    dns.set("alias.mx.test", "CNAME", "second.mx.test.")
    dns.set("lenient.mx.test", "MX", "10 alias.mx.test.")
    send(node, "x@lenient.mx.test")
    wait_until(lambda: count(hosts[1]), "it is delivered")


def test_an_alias_without_mx(node, dns, hosts):
    """The domain itself is an alias: it has the MX of what it leads to, or its address (RFC 5321 5.1)."""
    dns.set("target.mx.test", "A", "127.0.0.3")
    dns.set("away.mx.test", "CNAME", "target.mx.test.")
    send(node, "x@away.mx.test")
    wait_until(lambda: count(hosts[1]), "it is delivered to the address")
    assert [hop["host"] for hop in way(node, "x@away.mx.test")["next_hops"]] == ["away.mx.test"]
    dns.set("target-with.mx.test", "MX", "10 third.mx.test.")
    dns.set("away-with.mx.test", "CNAME", "target-with.mx.test.")
    send(node, "x@away-with.mx.test")
    wait_until(lambda: count(hosts[2]), "it is delivered to the MX")


@pytest.mark.parametrize("dead", [1, 6])
def test_many_addresses_that_are_dead(node, dns, hosts, dead):
    """Preferred hosts of more addresses than are tried do not keep the last one from its turn, however often it is tried."""
    name = f"many{dead}.mx.test"
    for host in range(dead):
        dns.set(f"large{host}.mx.test", "A", *[f"127.0.{90 + host}.{number}" for number in range(1, 13)])
    dns.set(name, "MX", *[f"{host} large{host}.mx.test." for host in range(dead)], "20 second.mx.test.")
    send(node, f"x@{name}")
    wait_until(lambda: count(hosts[1]), "the other host has it")
    assert node.query("select count(*) from event where kind = 'deferred'") == [["0"]], "in the first attempt"


def test_our_own_name(node, dns, hosts):
    """It goes, with all that are no better: who is left is tried, and nobody else."""
    own = "mail.posthouse.test"
    dns.set("backup.mx.test", "MX", "5 first.mx.test.", f"10 {own}.", "10 second.mx.test.", "20 third.mx.test.")
    assert [hop["host"] for hop in way(node, "x@backup.mx.test")["next_hops"]] == ["first.mx.test"]
    hosts[0].stop()
    send(node, "x@backup.mx.test")
    wait_until(lambda: node.query("select 1 from event where kind = 'deferred'"), "it waits")
    hosts[0].start()
    wait_until(lambda: count(hosts[0]), "it is delivered")
    assert not count(hosts[1]) and not count(hosts[2])
    dns.set("ours.mx.test", "MX", f"10 {own}.", "20 first.mx.test.")
    assert way(node, "x@ours.mx.test")["problem"] == "the domain's MX points back to this server"
    send(node, "x@ours.mx.test")
    bounced(node, "5.4.6")


def test_our_own_address(new_posthouse, dns):
    """The same by another name."""
    node = new_posthouse(settings={**dns.settings, "daemon.workers": 1})
    port = node.ports["smtp"]
    node.write_config(delivery__mx_port=port)
    with Sink("127.0.0.2", port) as first, Sink("127.0.0.3", port) as second:
        node.start()
        node.api.customer("mx")
        node.api.hosted_domain("hosted.test", "mx")
        node.api.account(ANN, "mx")
        dns.set("another-name.mx.test", "A", "127.0.0.1")
        dns.set("loop.mx.test", "MX", "5 first.mx.test.", "10 another-name.mx.test.", "10 second.mx.test.")
        assert [hop["host"] for hop in way(node, "x@loop.mx.test")["next_hops"]] == ["first.mx.test"]
        first.stop()
        send(node, "x@loop.mx.test")
        wait_until(lambda: node.query("select 1 from event where kind = 'deferred'"), "it waits")
        first.start()
        wait_until(lambda: count(first), "it is delivered")
        assert not count(second)
        for number, (kind, address) in enumerate((("A", "0.0.0.0"), ("AAAA", "::ffff:127.0.0.1"), ("AAAA", "::ffff:0.0.0.0"))):
            dns.set(f"disguised{number}.mx.test", kind, address)
            assert way(node, f"x@disguised{number}.mx.test")["problem"] == "the domain's MX points back to this server", address
        dns.set("worse.mx.test", "MX", "10 another-name.mx.test.", "20 second.mx.test.")
        assert way(node, "x@worse.mx.test")["problem"] == "the domain's MX points back to this server"
        send(node, "x@worse.mx.test")
        bounced(node, "5.4.6")


# ---------------------------------------------------------------------- RFC 8305


class Silent:
    """Somebody whose kernel drops what comes, as its queue is full."""

    def __init__(self, host, port):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.server = socket.create_server((host, port), family=family, backlog=0)
        self.fill = []
        for _ in range(4):
            self.fill.append(socket.socket(family, socket.SOCK_STREAM))
            self.fill[-1].setblocking(False)
            self.fill[-1].connect_ex((host, port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in [self.server, *self.fill]:
            each.close()


def test_a_family_that_leads_nowhere(new_posthouse, dns, hosts):
    """IPv6 and IPv4 are raced: whoever answers gets it, long before a connection attempt is over."""
    port = hosts[0].port
    node = set_up(new_posthouse, dns, port, **{"delivery.connect_timeout": "10m"})
    dns.set("both.mx.test", "AAAA", "::1")
    dns.set("both.mx.test", "A", "127.0.0.2")
    with Silent("::1", port):
        send(node, "x@both.mx.test")
        wait_until(lambda: count(hosts[0]), "by IPv4")
    with Sink("::1", port) as six, Silent("127.0.0.5", port):
        dns.set("other.mx.test", "AAAA", "::1")
        dns.set("other.mx.test", "A", "127.0.0.5")
        send(node, "x@other.mx.test")
        wait_until(lambda: count(six), "by IPv6")


def test_an_address_that_does_not_serve(new_posthouse, dns, hosts):
    """It is connected to, and says no: the host's other address is next."""
    port = hosts[0].port
    node = set_up(new_posthouse, dns, port)
    hosts[0].behave = Behaviour(banner="554 5.3.2 not today")
    dns.set("two.mx.test", "A", "127.0.0.2", "127.0.0.3")
    for number in range(6):
        send(node, f"x{number}@two.mx.test")
        wait_until(lambda: count(hosts[1]) == number + 1, "the other address has it")


# ---------------------------------------------------------------------- RFC 7505


def test_a_recipient_with_a_null_mx(node, hosts):
    """Refused at once; to one of several whom an alias leads to it is returned."""
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(node, "x@null.test")
    code, text = refused.value.recipients["x@null.test"]
    assert (code, text.split()[0]) == (556, b"5.1.10")
    told = check(node, "x@null.test")
    assert (told["verdict"], told["why"], told["reply"]["code"], told["reply"]["enhanced"]) == ("denied", "recipient-null-mx", 556, "5.1.10")
    node.api.post("/v1/aliases", {"address": "away@hosted.test", "targets": ["x@null.test", "y@null.test"]})
    send(node, "away@hosted.test")
    bounced(node, "5.1.10")
    assert not any(count(host) for host in hosts)
    node.api.post("/v1/routes", {"name": "knows-better", "next_hops": [{"host": "127.0.0.3", "port": hosts[1].port}]})
    node.api.post("/v1/route-rules", {"route": "knows-better", "recipient_domain": "null.test"})
    send(node, "x@null.test")
    wait_until(lambda: count(hosts[1]), "a route is another way than MX")


def stranger(node, sender, recipient):
    with node.smtp() as client:
        client.ehlo("proxy.test")
        client.docmd("XCLIENT", "ADDR=198.18.0.1")
        client.ehlo("client.test")
        assert client.mail(sender)[0] == 250
        code, text = client.rcpt(recipient)
        return code, text.decode()


def test_a_sender_with_a_null_mx(node, dns):
    """Nobody could answer him. What cannot be looked up is no reason."""
    code, text = stranger(node, "joe@null.test", ANN)
    assert (code, text.split()[0]) == (550, "5.7.27")
    told = check(node, ANN, client="198.18.0.1", sender="joe@null.test")
    assert (told["why"], told["reply"]["code"], told["reply"]["enhanced"]) == ("sender-null-mx", 550, "5.7.27")
    for sender in ("joe@mx.test", "joe@nothing.mx.test", "joe@broken.test", "<>"):
        assert stranger(node, sender, ANN)[0] == 250, sender
    node.api.account("postmaster@hosted.test", "mx")
    assert stranger(node, "joe@null.test", "postmaster@hosted.test")[0] == 250
    node.api.post("/v1/networks", {"cidr": "198.18.0.0/15", "customer": "mx"})
    assert stranger(node, "joe@null.test", ANN)[0] == 250, "a customer's network is no stranger"
    wait_until(lambda: 'posthouse_smtp_refused_total{reason="null-mx"} 1\n' in node.api.get("/metrics"), "it is counted")
    dns.set("null.test", "MX", "0 .", "10 first.mx.test.")
    try:
        node.api.delete("/v1/networks/198.18.0.0%2F15")
        assert stranger(node, "joe@null.test", ANN)[0] == 250, "beside others it is a mistake (section 3)"
    finally:
        dns.set("null.test", "MX", "0 .")


def test_senders_with_a_null_mx_by_setting(new_posthouse, dns):
    node = set_up(new_posthouse, dns, free_port(), **{"smtp.refuse_null_mx_senders": "no"})
    assert stranger(node, "joe@null.test", ANN)[0] == 250


# ---------------------------------------------------------------------- address literals


def test_address_literals(new_posthouse, node, dns, hosts):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(node, "x@[127.0.0.3]")
    assert refused.value.recipients["x@[127.0.0.3]"][1].startswith(b"5.1.2")
    other = set_up(new_posthouse, dns, hosts[0].port, **{"smtp.address_literals": "yes"})
    with Sink("::1", hosts[0].port) as six:
        for recipient, host in (("x@[127.0.0.3]", "127.0.0.3"), ("y@[IPv6:::1]", "::1")):
            told = other.api.post("/v1/relay-checks", {"client": "127.0.0.1", "account": ANN, "sender": ANN, "recipient": recipient})
            assert (told["reply"]["code"], [(hop["host"], hop["port"]) for hop in told["route"]["next_hops"]]) == (250, [(host, hosts[0].port)])
            send(other, recipient)
        wait_until(lambda: count(hosts[1]) and count(six), "they go to these very addresses")
    assert [m.messages[0].recipients[0].lower() for m in (hosts[1], six)] == ["x@[127.0.0.3]", "y@[ipv6:::1]"]
    own = new_posthouse(settings={**dns.settings, "smtp.address_literals": "yes"})
    own.write_config(delivery__mx_port=own.ports["smtp"])
    own.start()
    own.api.customer("mx")
    own.api.hosted_domain("hosted.test", "mx")
    own.api.account(ANN, "mx")
    told = own.api.post("/v1/relay-checks", {"client": "127.0.0.1", "account": ANN, "sender": ANN, "recipient": "x@[127.0.0.1]"})
    assert told["route"]["problem"].endswith("points back to this server")
    send(own, "x@[127.0.0.1]")
    bounced(own, "5.4.6")
