"""A next hop that breaks at every state of the protocol, in every way: once where SMTP allows that, at least once everywhere.

SMTP does not allow it in one place: the final dot was sent, the next hop has the message, and its reply does not arrive
(RFC 5321 6.1, RFC 1047).
"""
import collections
import random

import pytest

from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour

PLACES = ("banner", "ehlo", "starttls", "handshake", "mail", "rcpt", "data", "body", "end", "after", "quit")
WAYS = ("fin", "rst", "garbage", "flood", "silence", "421")
CLIENT = "client@outside.test"


@pytest.fixture(scope="module")
def module_node(postgres, certificate):
    from conftest import _close, _node
    made = _node(postgres, certificate, settings={
        "delivery.probe_interval": "100ms", "delivery.retry_first": "100ms", "delivery.retry_max": "200ms",
        "delivery.connect_timeout": "1s", "delivery.reply_timeout": "1s", "delivery.data_timeout": "1s"})
    try:
        made.start()
        made.api.customer("chaos")
        yield made
    finally:
        _close(made)


@pytest.fixture
def node(module_node, sink):
    module_node.api.relay_domain("chaos.test", "chaos", sink.port)
    yield module_node
    sink.behave = Behaviour()
    wait_equal(lambda: module_node.query("select count(*) from queue_entry"), [["0"]], "the queue is empty")
    module_node.api.delete("/v1/domains/chaos.test")


def arrived(sink):
    """How often each recipient got what."""
    return collections.Counter((subject_of(message.data), recipient) for message in sink.messages for recipient in message.recipients)


def allowed(place, stored):
    """How many copies may be there after one break."""
    return {1, 2} if place == "end" and stored else {1}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("place", PLACES)
def test_one_break(node, sink, certificate, place, how):
    """Of a message to two, over one connection before that another message went."""
    tls = certificate.server_context() if place in ("starttls", "handshake") else None
    for stored in ((True, False) if place == "end" else (True,)):
        sink.behave = Behaviour(cut_at=place, cut_how=how, cut_times=1, store=stored, tls=tls)
        names = [f"{place} {how} {stored} {number}" for number in range(3)]
        for name in names:
            node.send(CLIENT, ["ann@chaos.test", "bob@chaos.test"], make_message(name))
        wanted = {(name, f"{local}@chaos.test") for name in names for local in ("ann", "bob")}
        wait_until(lambda: wanted <= set(arrived(sink)), "all have come")
        wait_until(lambda: sink.behave.cut_times == 0, "it broke; before QUIT a connection is kept for a moment")
        wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "the queue is empty")
        copies = {key: count for key, count in arrived(sink).items() if key in wanted}
        assert set(copies) == wanted
        twice = {key[0] for key, count in copies.items() if count > 1}
        assert all(count in allowed(place, stored) for count in copies.values()), copies
        assert len(twice) <= 1, "one break brings one message again"
        assert node.query("select count(*) from event where kind = 'bounced'") == [["0"]]


@pytest.mark.parametrize("seed", range(3))
def test_breaks_at_random(node, sink, certificate, seed):
    """Messages to one to three, while connections break somewhere, again and again."""
    dice = random.Random(seed)
    people = [f"{name}@chaos.test" for name in ("ann", "bob", "carol")]
    wanted = set()
    before = node.log().count("no reply to the final dot")
    for number in range(60):
        if number % 2 == 0:
            place, how = dice.choice(PLACES), dice.choice([way for way in WAYS if way != "silence"])
            tls = certificate.server_context() if place in ("starttls", "handshake") else None
            sink.behave = Behaviour(cut_at=place, cut_how=how, cut_times=1, tls=tls)
        name, to = f"m{number} of {seed}", dice.sample(people, dice.randint(1, 3))
        node.send(CLIENT, to, make_message(name))
        wanted |= {(name, recipient) for recipient in to}
    wait_until(lambda: wanted <= set(arrived(sink)), f"all have come, seed {seed}")
    wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "the queue is empty")
    found = arrived(sink)
    assert set(found) == wanted, seed
    uncertain = node.log().count("no reply to the final dot") - before  # told for each recipient
    again = sum(count - 1 for count in found.values())
    assert again <= uncertain, (seed, again, uncertain)
