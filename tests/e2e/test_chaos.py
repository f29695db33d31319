"""A next hop that breaks at every state of the protocol, in every way: once where SMTP allows that, at least once everywhere.

SMTP does not allow it in one place: the final dot, or the last chunk, was sent, the next hop has the message, and its reply does not
arrive (RFC 5321 6.1, RFC 1047). Such an attempt is told as uncertain; so is one that broke in the content when all of it had left us.
"""
import collections
import itertools
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


_numbers = itertools.count(1)


class Domain:
    """A domain whose mail goes to the test's sink. What another test has left in the queue, or in the history, is not its own."""

    def __init__(self, node, port):
        self.node, self.name = node, f"chaos{next(_numbers)}.test"
        node.api.relay_domain(self.name, "chaos", port)

    def address(self, name):
        return f"{name}@{self.name}"

    def send(self, names, subject):
        self.node.send(CLIENT, [self.address(name) for name in names], make_message(subject))

    def sign_in(self, port):
        self.node.api.patch(f"/v1/domains/{self.name}", {"next_hops": [{"host": "127.0.0.1", "port": port, "credential": "chaos"}]})

    def wait_empty(self):
        wait_equal(lambda: self.node.query(f"select count(*) from queue_entry where recipient like '%@{self.name}'"), [["0"]],
                   "the queue is empty")

    def told(self, kind):
        """Message and recipient of each event of a kind, and which."""
        return {(row[0], row[1], row[2]) for row in self.node.query(
            f"select message_id, recipient, id from event where kind = '{kind}' and recipient like '%@{self.name}'")}

    def uncertain(self):
        """Attempts of which nobody knows how they ended."""
        return self.told("uncertain")


@pytest.fixture
def domain(module_node, sink):
    made = Domain(module_node, sink.port)
    yield made
    sink.behave.cut_at = ""  # and no other behaviour: a connection that was offered AUTH may be about to use it
    try:
        made.wait_empty()
    finally:
        module_node.api.request("DELETE", f"/v1/domains/{made.name}")


def arrived(sink):
    """How often each recipient got what."""
    return collections.Counter((subject_of(message.data), recipient) for message in sink.messages for recipient in message.recipients)


def allowed(place, stored):
    """How many copies may be there after one break."""
    return {1, 2} if place == "end" and stored else {1}


def times_told(dialogue, place, how):
    """How many recipients' attempts may be told as uncertain after one break."""
    if place == "end":
        return {0} if how == "421" else {2}  # 421 is a reply: it was not taken
    # All of it has left us before the break is seen, its end, too.
    return {0, 2} if place == "body" or (dialogue, place) == ("chunked", "data") else {0}


def behaviour(certificate, domain, dialogue, place, how, **members):
    tls = certificate.server_context() if place in UNDER_TLS or dialogue == "signed-in" else None
    auth = ("AUTH PLAIN SCRAM-SHA-256",) if dialogue == "signed-in" else ()
    replies = {domain.address("full"): "452 4.2.2 full"} if place == "rset" else {}
    return Behaviour(cut_at=place, cut_how=how, cut_times=1, extensions=DIALOGUES[dialogue][0], tls=tls, tls_extensions=auth,
                     auth=Passwords(*SIGNER) if auth else None, recipient_replies=replies, **members)


@pytest.mark.parametrize("dialogue, place, how", [
    (dialogue, place, how) for dialogue, (_, places) in DIALOGUES.items() for place in places
    for how in (WAYS if dialogue == "pipelined" or place in ("end", "auth", "challenge") else FEW_WAYS)])
def test_one_break(domain, sink, certificate, dialogue, place, how):
    """Of a message to two, over one connection before that another message went."""
    if dialogue == "signed-in":
        domain.sign_in(sink.port)
    for stored in ((True, False) if place == "end" else (True,)):
        sink.behave = behaviour(certificate, domain, dialogue, place, how, store=stored)
        before = domain.uncertain()
        if place == "rset":  # a recipient who is put off leaves a transaction open
            domain.send(["full"], "full")
        names = [f"{dialogue} {place} {how} {stored} {number}" for number in range(3)]
        for name in names:
            domain.send(["ann", "bob"], name)
        wanted = {(name, domain.address(local)) for name in names for local in ("ann", "bob")}
        wait_until(lambda: wanted <= set(arrived(sink)), "all have come")
        wait_until(lambda: sink.behave.cut_times == 0, "it broke; before QUIT a connection is kept for a moment")
        sink.behave.recipient_replies = {}
        domain.wait_empty()
        copies = {key: count for key, count in arrived(sink).items() if key in wanted}
        assert set(copies) == wanted
        twice = {key[0] for key, count in copies.items() if count > 1}
        assert all(count in allowed(place, stored) for count in copies.values()), copies
        assert len(twice) <= 1, "one break brings one message again"
        assert not domain.told("bounced")
        uncertain = domain.uncertain() - before
        assert len(uncertain) in times_told(dialogue, place, how) and len({message for message, _, _ in uncertain}) <= 1, uncertain


@pytest.mark.parametrize("seed", range(3))
def test_breaks_at_random(domain, sink, certificate, seed):
    """Messages to one to three, while connections break somewhere, again and again."""
    dice = random.Random(seed)
    people = ["ann", "bob", "carol"]
    wanted = set()
    for number in range(60):
        if number % 2 == 0:
            dialogue = dice.choice(["pipelined", "stepwise", "chunked"])
            place, how = dice.choice(DIALOGUES[dialogue][1]), dice.choice([way for way in WAYS if way != "silence"])
            # who answers 421 to the end has not taken it: what it stored would come again, and nobody could call that uncertain
            sink.behave = behaviour(certificate, domain, dialogue, place, how, store=how != "421")
        name, to = f"m{number} of {seed}", dice.sample(people, dice.randint(1, 3))
        domain.send(to, name)
        wanted |= {(name, domain.address(recipient)) for recipient in to}
    wait_until(lambda: wanted <= set(arrived(sink)), f"all have come, seed {seed}")
    domain.wait_empty()
    found = arrived(sink)
    assert set(found) == wanted, seed
    uncertain = len(domain.uncertain())
    again = sum(count - 1 for count in found.values())
    assert again <= uncertain, (seed, again, uncertain)


@pytest.mark.parametrize("dialogue", ["pipelined", "chunked"])
def test_uncertain_is_told(domain, sink, dialogue):
    """Where it was sent, and that it may be there, as long as it is tried again, and as a step of the message."""
    sink.behave = Behaviour(cut_at="end", extensions=DIALOGUES[dialogue][0])
    domain.send(["ann"], "doubt")
    node, queue = domain.node, f"/v1/queue?domain={domain.name}"
    entry = wait_until(lambda: [e for e in node.api.get(queue)["items"] if e["uncertain_at"]], "it says that it may be there")[0]
    assert "it may have been taken" in entry["last_reply"] and entry["attempts"] >= 1
    path = f"/v1/messages/{entry['message']}/events"
    event = [step for step in node.api.get(path)["items"] if step["kind"] == "uncertain"][0]
    assert (event["recipient"], event["class"]) == (domain.address("ann"), "connection")
    assert (event["remote_host"], event["remote_address"]) == ("127.0.0.1", "127.0.0.1")
    sink.behave = Behaviour()
    domain.wait_empty()
    assert [step["kind"] for step in node.api.get(path)["items"]][-1] == "delivered"
