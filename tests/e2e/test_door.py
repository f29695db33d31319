"""What can be refused at the door is: recipients' domains that take no mail, and messages that no next hop takes. Nothing of it is returned."""
import email
import email.policy
import smtplib
import time

import pytest

from harness.faults import FaultyPostgres
from harness.names import Names
from harness.nameserver import Nameserver, unavailable
from harness.posthouse import make_message
from harness.process import free_port, wait_until
from harness.sink import Behaviour, Sink

ANN, BOB = "ann@hosted.test", "bob@hosted.test"
LIMITED = Behaviour().extensions[:2] + ("SIZE 100000",)


@pytest.fixture(scope="module")
def dns():
    if unavailable():
        pytest.skip(unavailable())
    with Nameserver() as server:
        server.domain("there.test")
        server.set("there.test", "MX", "10 mx.there.test.")
        server.set("mx.there.test", "A", "127.0.0.2")
        server.set("address.there.test", "A", "127.0.0.2")
        server.set("text.there.test", "TXT", '"no mail here"')
        server.domain("null.test")
        server.set("null.test", "MX", "0 .")
        server.domain("broken.test", bogus=True)
        yield server.start()


def set_up(node):
    node.start()
    node.api.customer("door")
    node.api.hosted_domain("hosted.test", "door")
    for account in (ANN, BOB):
        node.api.account(account, "door")
    return node


@pytest.fixture
def node(new_posthouse, dns):
    return set_up(new_posthouse(settings={"delivery.mx_port": free_port(), "daemon.workers": 1, **dns.settings}))


def check(node, recipient, **more):
    return node.api.post("/v1/relay-checks", {"account": ANN, "sender": ANN, "recipient": recipient, **more})


def rcpt(node, recipient, parameters=()):
    with node.submission(ANN) as client:
        client.ehlo_or_helo_if_needed()
        assert client.mail(ANN, list(parameters))[0] == 250
        code, text = client.rcpt(recipient)
        return f"{code} {text.decode().split()[0]}", text.decode()


# ------------------------------------------------------------------ domains


def test_domains_that_take_no_mail(node):
    for domain, code, why in (("nowhere.test", "550 5.1.2", "recipient-domain"), ("gone.there.test", "550 5.1.2", "recipient-domain"),
                              ("text.there.test", "550 5.1.2", "recipient-domain"), ("null.test", "556 5.1.10", "recipient-null-mx"),
                              ("there.test", "250 2.1.5", None), ("address.there.test", "250 2.1.5", None),
                              ("broken.test", "250 2.1.5", None)):
        reply, text = rcpt(node, f"x@{domain}")
        assert reply == code, (domain, text)
        told = check(node, f"x@{domain}")
        assert f"{told['reply']['code']} {told['reply']['enhanced']}" == code and why in (None, told["why"])
    # On port 25, for who may relay there, too.
    node.api.post("/v1/networks", {"cidr": "127.0.0.0/8", "customer": "door"})
    with node.smtp() as client:
        client.ehlo("client.test")
        client.mail(ANN)
        code, text = client.rcpt("x@nowhere.test")
        assert (code, text.split()[0]) == (550, b"5.1.2") and b"does not exist" in text


def test_what_an_alias_leads_to(node):
    node.api.post("/v1/aliases", {"address": "lost@hosted.test", "targets": ["x@nowhere.test"]})
    node.api.post("/v1/aliases", {"address": "null@hosted.test", "targets": ["x@null.test"]})
    node.api.post("/v1/aliases", {"address": "both@hosted.test", "targets": ["x@nowhere.test", BOB]})
    assert rcpt(node, "lost@hosted.test")[0] == "550 5.1.2"
    assert rcpt(node, "null@hosted.test")[0] == "556 5.1.10"
    assert check(node, "lost@hosted.test")["why"] == "recipient-domain"
    node.submit(ANN, ["both@hosted.test"], make_message("for two", sender=ANN))  # one of them can have it
    wait_until(lambda: node.subjects(BOB) == ["for two"], "who is there has it")
    wait_until(lambda: node.subjects(ANN), "the other's copy is returned")


def test_a_route_knows_better(node, dns):
    with Sink() as sink:
        node.api.post("/v1/routes", {"name": "inside", "next_hops": [{"host": "127.0.0.1", "port": sink.port}]})
        node.api.post("/v1/route-rules", {"route": "inside", "recipient_domain": "nowhere.test"})
        node.submit(ANN, ["x@nowhere.test"], make_message("by a route", sender=ANN))
        wait_until(lambda: sink.messages, "it goes by the route")


def test_the_default_route_knows_better(new_posthouse, dns, outside):
    node = set_up(new_posthouse(default_route=outside.port, settings=dns.settings))
    assert rcpt(node, "x@nowhere.test")[0] == "250 2.1.5"


def test_dns_is_asked_for_a_bounded_time_and_once(new_posthouse):
    with Names() as names:
        names.records["address.example", "A"] = ["127.0.0.9"]
        names.silent = ("silent.example",)
        node = set_up(new_posthouse(settings={"dns.resolver": names.resolver, "clients.dns_wait": "500ms", "daemon.workers": 1}))
        assert rcpt(node, "x@missing.example")[0] == "550 5.1.2"
        asked = names.asked["missing.example"]
        assert asked
        for _ in range(3):
            assert rcpt(node, "y@missing.example")[0] == "550 5.1.2"
        assert names.asked["missing.example"] == asked, "it is remembered"
        assert rcpt(node, "x@address.example")[0] == "250 2.1.5"
        begun = time.monotonic()
        assert rcpt(node, "x@silent.example")[0] == "250 2.1.5", "what is not known refuses nobody"
        assert time.monotonic() - begun < 5
        names.broken.add("broken.example")
        assert rcpt(node, "x@broken.example")[0] == "250 2.1.5"


# ------------------------------------------------------------------ sizes


def big(size):
    return make_message("large", sender=ANN, body=("x" * 70 + "\r\n") * (size // 72))


def submit(node, recipients, message, parameters=()):
    with node.submission(ANN) as client:
        client.ehlo_or_helo_if_needed()
        client.does_esmtp, client.esmtp_features = True, {k: v for k, v in client.esmtp_features.items() if k != "size"}  # SIZE is not said
        return client.sendmail(ANN, recipients, message, parameters)


def wait_over(hop):
    """Also those over which nothing came."""
    wait_until(lambda: not hop.open_connections, "its connections are over")


def learn(node, recipient, sink, subject):
    before = len(sink.messages)
    node.submit(ANN, [recipient], make_message(subject, sender=ANN))
    wait_until(lambda: len(sink.messages) > before, "it is connected to")


def known(node, size):
    wait_until(lambda: node.query("select size_max from hop_size") == [[str(size)]], f"{size} is known")


def limited(node, recipient, code="552 5.3.4"):
    """Within the time that an answer is remembered."""
    wait_until(lambda: rcpt(node, recipient, ["SIZE=200000"])[0] == code, f"{code} at RCPT", timeout=30)
    told = check(node, recipient, size=200000)
    assert f"{told['reply']['code']} {told['reply']['enhanced']}" == code
    return told


@pytest.mark.parametrize("way", ["relayed", "default", "route"])
def test_a_next_hops_limit_is_learned(new_posthouse, sink, outside, way):
    hop = outside if way == "default" else sink
    hop.clear()
    hop.behave = Behaviour(extensions=LIMITED)
    node = set_up(new_posthouse(default_route=outside.port, settings={"daemon.workers": 1}))
    recipient = {"relayed": "x@relayed.test", "default": "x@out.test", "route": "x@routed.test"}[way]
    if way == "relayed":
        node.api.relay_domain("relayed.test", "door", sink.port)
    if way == "route":
        node.api.post("/v1/routes", {"name": "there", "next_hops": [{"host": "127.0.0.1", "port": sink.port}]})
        node.api.post("/v1/route-rules", {"route": "there", "recipient_domain": "routed.test"})
    assert rcpt(node, recipient, ["SIZE=200000"])[0] == "250 2.1.5", "nothing is known"
    learn(node, recipient, hop, "small")
    known(node, 100000)
    told = limited(node, recipient)
    assert told["why"] == "next-hop-size" and "100000 octets" in told["reply"]["text"]
    assert check(node, recipient, size=1000)["headroom"]["size"] == 99000
    assert rcpt(node, recipient, ["SIZE=99000"])[0] == "250 2.1.5"
    # Without SIZE it is found out at the end.
    with pytest.raises(smtplib.SMTPDataError) as refused:
        submit(node, [recipient], big(150000))
    assert (refused.value.smtp_code, refused.value.smtp_error.split()[0]) == (552, b"5.3.4")
    # Who can have it has it; the others' copy is returned.
    submit(node, [recipient, BOB], big(150000))
    wait_until(lambda: node.subjects(BOB) == ["large"] and node.subjects(ANN), "it is taken for one, and returned for the other")
    with node.pop3(ANN) as connection:
        notice = email.message_from_bytes(b"\r\n".join(connection.retr(1)[1]), policy=email.policy.default)
    assert "Status: 5.3.4" in str(notice)
    # It takes more now: known with the next connection.
    hop.behave = Behaviour(extensions=LIMITED[:2] + ("SIZE 300000",))
    wait_over(hop)  # the connection that is kept has the old one
    learn(node, recipient, hop, "another")
    known(node, 300000)
    limited(node, recipient, "250 2.1.5")
    # It has no limit any more.
    hop.behave = Behaviour(extensions=LIMITED[:2] + ("SIZE",))
    wait_over(hop)
    learn(node, recipient, hop, "a third")
    known(node, 0)


def test_of_several_hosts_the_one_that_takes_most_counts_and_an_hour_ends_it(new_posthouse, sink):
    sink.behave = Behaviour(extensions=LIMITED)
    node = set_up(new_posthouse(settings={"daemon.workers": 1}))
    node.api.relay_domain("relayed.test", "door", sink.port)
    ((id,),) = node.query("select id from domain where name = 'relayed.test'")
    node.query(f"insert into hop_size (destination, size_max) values ('domain:{id}', 150000) returning 1")
    learn(node, "x@relayed.test", sink, "small")
    limited(node, "x@relayed.test")
    assert rcpt(node, "x@relayed.test", ["SIZE=140000"])[0] == "250 2.1.5", "another host took as much"
    node.query("update hop_size set learned_at = now() - interval '61 minutes' returning 1")
    limited(node, "x@relayed.test", "250 2.1.5")


def test_a_database_that_cannot_be_asked(new_posthouse, own_postgres, sink):
    faulty = FaultyPostgres(own_postgres)
    try:
        node = set_up(new_posthouse(postgres=faulty, settings={"daemon.workers": 1, "database.cache_size": 0}))
        node.api.relay_domain("relayed.test", "door", sink.port)
        faulty.arm("hop_size_find", "refused")
        assert rcpt(node, "x@relayed.test", ["SIZE=200000"])[0] == "451 4.3.0"
        faulty.arm("hop_size_find", "refused")
        with pytest.raises(smtplib.SMTPDataError) as later:
            submit(node, ["x@relayed.test"], big(150000))
        assert later.value.smtp_code == 451
        faulty.arm("hop_size_put", "refused")
        sink.behave = Behaviour(extensions=LIMITED)
        learn(node, "x@relayed.test", sink, "it goes all the same")
        node.close()
    finally:
        faulty.close()
