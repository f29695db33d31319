"""The story that this program is for: the primary goes away, its mail is read here, the primary comes back and gets it.

Once with Postfix as the primary, and then with a sink for each way in which a primary can be away. What is asked of the
order is that of delivery: in the INBOX a message that another worker is still trying may appear after a later one.
"""
import re

import pytest

from harness.postfix import unavailable
from harness.posthouse import make_message, subject_of
from harness.process import free_port, wait_equal, wait_until

OUTSIDER = "someone@outside.test"


@pytest.fixture(scope="module")
def customer(posthouse):
    posthouse.api.customer("held")
    return "held"


def relay(posthouse, customer, name, port, *users):
    """A relay domain and its accounts; their addresses."""
    posthouse.api.relay_domain(name, customer, port)
    addresses = [f"{user}@{name}" for user in users]
    for address in addresses:
        posthouse.api.account(address, customer)
    return addresses[0] if len(addresses) == 1 else addresses


def queued(posthouse, domain):
    return posthouse.api.get("/v1/queue", domain=domain)["items"]


def outages(posthouse, domain, is_open):
    return [outage for outage in posthouse.api.get("/v1/outages")["items"]
            if outage["domain"] == domain and (outage["ended_at"] is None) == is_open]


def message_to(address, subject):
    return make_message(subject, sender=OUTSIDER, to=address)


def pop3_subjects(posthouse, login):
    with posthouse.pop3(login) as connection:
        count, _ = connection.stat()
        return [subject_of(b"\r\n".join(connection.retr(number + 1)[1])) for number in range(count)]


def sent_ids(*subjects):
    """The Message-IDs that make_message gave to these subjects, without what makes a run unique."""
    return [re.sub(r"[^A-Za-z0-9]+", ".", subject) for subject in subjects]


# ------------------------------------------------------------------ Postfix


@pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-")
def test_postfix_is_the_primary(posthouse, customer, postfix):
    """Up, down, up again: every message once at Postfix, in order; held mail read by IMAP and POP3 in between."""
    carol = relay(posthouse, customer, "relayed.test", postfix.port, "carol")

    def at_primary(*subjects):
        return [identity.rsplit(".", 1)[0] for identity in
                [found.split("@")[0] for found in postfix.accepted()]] == sent_ids(*subjects)

    postfix.start()
    posthouse.send(OUTSIDER, carol, message_to(carol, "while up"))
    wait_until(lambda: at_primary("while up"), "Postfix has the first message")
    assert posthouse.subjects(carol) == [], "mail for a primary that answers is not held"

    postfix.stop()
    held = [f"while down {number}" for number in range(1, 6)]
    for subject in held:
        posthouse.send(OUTSIDER, carol, message_to(carol, subject))
    wait_equal(lambda: sorted(posthouse.subjects(carol)), held, "what waits is in the INBOX")
    order = posthouse.subjects(carol)
    assert pop3_subjects(posthouse, carol) == order
    assert len(outages(posthouse, "relayed.test", is_open=True)) == 1
    entries = queued(posthouse, "relayed.test")
    assert [entry["recipient"] for entry in entries] == [carol] * 5
    assert all(entry["held"] for entry in entries)

    # Reading and deleting the copy does not cancel delivery.
    with posthouse.imap(carol) as connection:
        connection.select("INBOX")
        connection.store("1", "+FLAGS", r"(\Seen)")
        connection.store("2", "+FLAGS", r"(\Deleted)")
        connection.expunge()
    assert posthouse.subjects(carol) == order[:1] + order[2:]

    postfix.start()
    wait_until(lambda: at_primary("while up", *held), "Postfix has the rest, in order, each once")
    wait_equal(lambda: queued(posthouse, "relayed.test"), [], "the queue is empty")
    wait_equal(lambda: outages(posthouse, "relayed.test", is_open=True), [], "the outage is closed")
    posthouse.send(OUTSIDER, carol, message_to(carol, "after"))
    wait_until(lambda: at_primary("while up", *held, "after"), "new mail goes to Postfix again")
    wait_until(lambda: len(postfix.messages()) == 7, "all of it is in the Maildir")
    assert "after" not in posthouse.subjects(carol)
    bodies = {subject_of(message): message for message in postfix.messages()}
    assert b"Hello." in bodies["while down 2"]
    assert bodies["while up"].count(b"\nReceived:") >= 2  # ours and Postfix's


@pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-")
def test_postfix_killed(posthouse, customer, postfix):
    """kill -9 instead of an orderly stop."""
    dora = relay(posthouse, customer, "killed.relayed.test", postfix.port, "dora")
    postfix.serve("killed.relayed.test")
    postfix.start()
    posthouse.send(OUTSIDER, dora, message_to(dora, "before"))
    wait_until(lambda: len(postfix.messages()) == 1, "Postfix has the first message")
    postfix.kill()
    posthouse.send(OUTSIDER, dora, message_to(dora, "killed"))
    wait_equal(lambda: posthouse.subjects(dora), ["killed"], "it is in the INBOX")
    postfix.start()
    wait_until(lambda: len(postfix.messages()) == 2, "Postfix has both")
    wait_equal(lambda: queued(posthouse, "killed.relayed.test"), [], "the queue is empty")
    assert sorted(subject_of(message) for message in postfix.messages()) == ["before", "killed"]


# ------------------------------------------------------------------ each way of being away


@pytest.mark.parametrize("way", ["refused", "421 greeting", "554 greeting and closes", "cut at the greeting", "421 to MAIL"])
def test_ways_of_being_away(posthouse, customer, sink, way):
    name = "away-" + re.sub("[^a-z0-9]+", "-", way.lower()) + ".test"
    erin = relay(posthouse, customer, name, sink.port, "erin")
    if way == "refused":
        sink.stop()
    elif way == "421 greeting":
        sink.behave.banner = "421 4.3.2 closing down"
    elif way == "554 greeting and closes":
        sink.behave.banner = "554 5.3.2 no mail here"
    elif way == "cut at the greeting":
        sink.behave.cut_at = "banner"
    else:
        sink.behave.mail_reply = "421 4.3.2 closing down"
    posthouse.send(OUTSIDER, erin, message_to(erin, "one"))
    posthouse.send(OUTSIDER, erin, message_to(erin, "two"))
    wait_equal(lambda: sorted(posthouse.subjects(erin)), ["one", "two"], "both are in the INBOX")
    assert len(outages(posthouse, name, is_open=True)) == 1
    assert sink.messages == []

    sink.behave = type(sink.behave)()
    if way == "refused":
        sink.start()
    wait_equal(lambda: [subject_of(message.data) for message in sink.messages], ["one", "two"],
               "both are delivered, in order")
    wait_equal(lambda: queued(posthouse, name), [], "the queue is empty")
    wait_equal(lambda: outages(posthouse, name, is_open=True), [], "the outage is closed")
    assert len(outages(posthouse, name, is_open=False)) == 1
    assert len(sink.messages) == 2


def test_silent_primary(new_posthouse, sink):
    """It accepts connections and says nothing: the greeting's time runs out."""
    node = new_posthouse(settings={"delivery.connect_timeout": "1s"}).start()
    node.api.customer("silent")
    sink.behave.silent_at = "banner"
    node.api.relay_domain("silent.test", "silent", sink.port)
    node.api.account("fay@silent.test", "silent")
    node.send(OUTSIDER, "fay@silent.test", message_to("fay@silent.test", "quiet"))
    wait_equal(lambda: node.subjects("fay@silent.test"), ["quiet"], "it is in the INBOX")
    sink.behave.silent_at = ""
    sink.hold.set()
    wait_until(lambda: len(sink.messages) == 1, "it is delivered")


def test_second_next_hop_stands_in(posthouse, customer, sink):
    """With a next hop that answers nothing is away: no outage, no copy."""
    posthouse.api.relay_domain("standin.test", customer, free_port(), sink.port)
    posthouse.api.account("gil@standin.test", customer)
    posthouse.send(OUTSIDER, "gil@standin.test", message_to("gil@standin.test", "aside"))
    wait_until(lambda: len(sink.messages) == 1, "the second next hop has it")
    wait_equal(lambda: queued(posthouse, "standin.test"), [], "the queue is empty")
    assert outages(posthouse, "standin.test", is_open=True) == []
    assert posthouse.subjects("gil@standin.test") == []


def test_a_refused_recipient_is_no_outage(posthouse, customer, sink):
    """4xx to one recipient is put off, 5xx bounces; the others get their mail, and nothing is held."""
    later, never, fine = relay(posthouse, customer, "picky.test", sink.port, "later", "never", "fine")
    posthouse.api.customer("sender")
    posthouse.api.hosted_domain("sender.test", "sender")
    posthouse.api.account("hal@sender.test", "sender")
    sink.behave.recipient_replies = {later: "450 4.2.1 come back", never: "550 5.1.1 nobody of that name"}
    posthouse.submit("hal@sender.test", [later, never, fine], make_message("picky", "hal@sender.test", fine))
    wait_equal(lambda: [message.recipients for message in sink.messages], [[fine]], "the good one is delivered")
    wait_until(lambda: len(posthouse.inbox("hal@sender.test")) == 1, "the bounce is in the sender's INBOX")
    bounce = posthouse.inbox("hal@sender.test")[0]
    assert b"multipart/report" in bounce and b"550 5.1.1 nobody of that name" in bounce and never.encode() in bounce
    assert [entry["recipient"] for entry in queued(posthouse, "picky.test")] == [later]
    assert outages(posthouse, "picky.test", is_open=True) == []
    sink.behave.recipient_replies = {}
    wait_equal(lambda: [message.recipients for message in sink.messages], [[fine], [later]], "the put off one follows")


def test_mail_that_waits_when_the_outage_opens(new_posthouse, sink):
    """Mail already queued, not only new mail, appears when the outage opens; a restart in between changes nothing."""
    node = new_posthouse().start()
    node.api.customer("waiting")
    sink.stop()
    node.api.relay_domain("waiting.test", "waiting", sink.port)
    node.api.account("ida@waiting.test", "waiting")
    for number in range(10):
        node.send(OUTSIDER, "ida@waiting.test", message_to("ida@waiting.test", f"m{number}"))
    expected = [f"m{number}" for number in range(10)]
    wait_equal(lambda: sorted(node.subjects("ida@waiting.test")), expected, "all ten are in the INBOX")
    order = node.subjects("ida@waiting.test")
    node.stop()
    node.start()
    assert node.subjects("ida@waiting.test") == order
    sink.start()
    wait_equal(lambda: [subject_of(message.data) for message in sink.messages], expected, "all ten, in order, once")
    wait_equal(lambda: queued(node, "waiting.test"), [], "the queue is empty")


def test_events_tell_the_story(posthouse, customer, sink):
    sink.stop()
    kit = relay(posthouse, customer, "story.test", sink.port, "kit")
    posthouse.send(OUTSIDER, kit, message_to(kit, "story"))
    wait_equal(lambda: posthouse.subjects(kit), ["story"], "it is held")
    message = queued(posthouse, "story.test")[0]["message"]
    sink.start()
    wait_equal(lambda: queued(posthouse, "story.test"), [], "it is delivered")
    kinds = [event["kind"] for event in posthouse.api.get(f"/v1/messages/{message}/events")["items"]]
    assert kinds[0] == "accepted" and kinds[-1] == "delivered" and "held" in kinds, kinds
    assert posthouse.api.get(f"/v1/messages/{message}")["sender"] == OUTSIDER
