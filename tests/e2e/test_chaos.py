"""A next hop that breaks at every state of the protocol, in every way: once where SMTP allows that, at least once everywhere.

SMTP does not allow it in one place: the final dot, or the last chunk, was sent, the next hop has the message, and its reply does not
arrive (RFC 5321 6.1, RFC 1047). Such an attempt is told as uncertain; so is one that broke in the content when all of it had left us.
"""
import collections
import random

import pytest

from harness.posthouse import Posthouse, make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.sasl_server import Passwords
from harness.sink import Behaviour

PLAIN = ("8BITMIME", "SIZE 104857600", "ENHANCEDSTATUSCODES")
TOGETHER = (*PLAIN, "PIPELINING")
DIALOGUES = {  # what the next hop offers, and where it may break then; what is the same in each is broken in the first
    "pipelined": (TOGETHER, ("banner", "ehlo", "starttls", "handshake", "ehlo-tls", "mail", "rcpt", "rcpt-2", "data", "body", "end",
                             "after", "rset", "quit")),
    "stepwise": (PLAIN, ("mail", "rcpt", "rcpt-2", "data", "end")),
    "chunked": ((*TOGETHER, "CHUNKING"), ("mail", "rcpt", "rcpt-2", "data", "body", "end", "after", "rset")),
    "signed-in": (TOGETHER, ("auth", "challenge", "mail", "data", "end")),
}
WAYS = ("fin", "rst", "garbage", "flood", "silence", "421")
FEW_WAYS = ("fin", "garbage", "421")  # where only the dialogue before it differs
UNDER_TLS = ("starttls", "handshake", "ehlo-tls", "auth", "challenge")
CLIENT, SIGNER = "client@outside.test", ("relay", "a password")


@pytest.fixture(scope="module")
def module_node(postgres, certificate):
    from conftest import _close, _node
    patch = pytest.MonkeyPatch()
    plain = Posthouse.environment
    patch.setattr(Posthouse, "environment", lambda self: dict(plain(self), SSL_CERT_FILE=str(certificate.certificate)))
    made = _node(postgres, certificate, settings={
        "delivery.probe_interval": "100ms", "delivery.retry_first": "100ms", "delivery.retry_max": "200ms", "delivery.chunking": "yes",
        "delivery.connect_timeout": "1s", "delivery.reply_timeout": "1s", "delivery.data_timeout": "1s"})
    try:
        made.write_config(secrets__key_file=made.folder / "keys")
        made.command("--add-secret-key")
        made.start()
        made.api.customer("chaos")
        made.api.post("/v1/credentials", {"name": "chaos", "user": SIGNER[0], "password": SIGNER[1]})
        yield made
    finally:
        _close(made)
        patch.undo()


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


def told_uncertain(node):
    """Message and recipient of each attempt of which nobody knows how it ended."""
    return [tuple(row) for row in node.query("select message_id, recipient from event where kind = 'uncertain'")]


def allowed(place, stored):
    """How many copies may be there after one break."""
    return {1, 2} if place == "end" and stored else {1}


def times_told(dialogue, place, how):
    """How many recipients' attempts may be told as uncertain after one break."""
    if place == "end":
        return {0} if how == "421" else {2}  # 421 is a reply: it was not taken
    # All of it has left us before the break is seen, its end, too.
    return {0, 2} if place == "body" or (dialogue, place) == ("chunked", "data") else {0}


def behaviour(certificate, dialogue, place, how, **members):
    tls = certificate.server_context() if place in UNDER_TLS or dialogue == "signed-in" else None
    auth = ("AUTH PLAIN SCRAM-SHA-256",) if dialogue == "signed-in" else ()
    replies = {"full@chaos.test": "452 4.2.2 full"} if place == "rset" else {}
    return Behaviour(cut_at=place, cut_how=how, cut_times=1, extensions=DIALOGUES[dialogue][0], tls=tls, tls_extensions=auth,
                     auth=Passwords(*SIGNER) if auth else None, recipient_replies=replies, **members)


@pytest.mark.parametrize("dialogue, place, how", [
    (dialogue, place, how) for dialogue, (_, places) in DIALOGUES.items() for place in places
    for how in (WAYS if dialogue == "pipelined" or place in ("end", "auth", "challenge") else FEW_WAYS)])
def test_one_break(node, sink, certificate, dialogue, place, how):
    """Of a message to two, over one connection before that another message went."""
    if dialogue == "signed-in":
        node.api.patch("/v1/domains/chaos.test", {"next_hops": [{"host": "127.0.0.1", "port": sink.port, "credential": "chaos"}]})
    for stored in ((True, False) if place == "end" else (True,)):
        sink.behave = behaviour(certificate, dialogue, place, how, store=stored)
        before = len(told_uncertain(node))
        if place == "rset":  # a recipient who is put off leaves a transaction open
            node.send(CLIENT, "full@chaos.test", make_message("full"))
        names = [f"{dialogue} {place} {how} {stored} {number}" for number in range(3)]
        for name in names:
            node.send(CLIENT, ["ann@chaos.test", "bob@chaos.test"], make_message(name))
        wanted = {(name, f"{local}@chaos.test") for name in names for local in ("ann", "bob")}
        wait_until(lambda: wanted <= set(arrived(sink)), "all have come")
        wait_until(lambda: sink.behave.cut_times == 0, "it broke; before QUIT a connection is kept for a moment")
        sink.behave.recipient_replies = {}
        wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "the queue is empty")
        copies = {key: count for key, count in arrived(sink).items() if key in wanted}
        assert set(copies) == wanted
        twice = {key[0] for key, count in copies.items() if count > 1}
        assert all(count in allowed(place, stored) for count in copies.values()), copies
        assert len(twice) <= 1, "one break brings one message again"
        assert node.query("select count(*) from event where kind = 'bounced'") == [["0"]]
        uncertain = told_uncertain(node)[before:]
        assert len(uncertain) in times_told(dialogue, place, how) and len({message for message, _ in uncertain}) <= 1, uncertain


@pytest.mark.parametrize("seed", range(3))
def test_breaks_at_random(node, sink, certificate, seed):
    """Messages to one to three, while connections break somewhere, again and again."""
    dice = random.Random(seed)
    people = [f"{name}@chaos.test" for name in ("ann", "bob", "carol")]
    wanted = set()
    before = len(told_uncertain(node))
    for number in range(60):
        if number % 2 == 0:
            dialogue = dice.choice(["pipelined", "stepwise", "chunked"])
            place, how = dice.choice(DIALOGUES[dialogue][1]), dice.choice([way for way in WAYS if way != "silence"])
            sink.behave = behaviour(certificate, dialogue, place, how)
        name, to = f"m{number} of {seed}", dice.sample(people, dice.randint(1, 3))
        node.send(CLIENT, to, make_message(name))
        wanted |= {(name, recipient) for recipient in to}
    wait_until(lambda: wanted <= set(arrived(sink)), f"all have come, seed {seed}")
    wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "the queue is empty")
    found = arrived(sink)
    assert set(found) == wanted, seed
    uncertain = len(told_uncertain(node)) - before
    again = sum(count - 1 for count in found.values())
    assert again <= uncertain, (seed, again, uncertain)


@pytest.mark.parametrize("dialogue", ["pipelined", "chunked"])
def test_uncertain_is_told(node, sink, certificate, dialogue):
    """Where it was sent, and that it may be there, as long as it is tried again, and as a step of the message."""
    sink.behave = Behaviour(cut_at="end", extensions=DIALOGUES[dialogue][0])
    node.send(CLIENT, "ann@chaos.test", make_message("doubt"))
    entry = wait_until(lambda: [e for e in node.api.get("/v1/queue")["items"] if e["uncertain_at"]], "it says that it may be there")[0]
    assert "it may have been taken" in entry["last_reply"] and entry["attempts"] >= 1
    path = f"/v1/messages/{entry['message']}/events"
    event = [step for step in node.api.get(path)["items"] if step["kind"] == "uncertain"][0]
    assert (event["recipient"], event["class"]) == ("ann@chaos.test", "connection")
    assert (event["remote_host"], event["remote_address"]) == ("127.0.0.1", "127.0.0.1")
    sink.behave = Behaviour()
    wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "the queue is empty")
    assert [step["kind"] for step in node.api.get(path)["items"]][-1] == "delivered"
