"""DELIVERBY (RFC 2852): passed on with the time that is left, returned or told of when the time is over."""
import email
import email.policy

import pytest

from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour

ANN, BOB, CAROL, DAVE = "ann@by.test", "bob@by.test", "carol@primary.test", "dave@primary.test"
PLAIN = Behaviour().extensions
WITH_BY = PLAIN + ("DELIVERBY",)
LATER = dict.fromkeys((CAROL, DAVE), "451 4.7.1 come back later")
QUICK = {"delivery.retry_first": "200ms", "delivery.retry_max": "200ms"}


@pytest.fixture
def node(new_posthouse, sink, outside):
    node = new_posthouse(default_route=outside.port, settings=QUICK)
    node.start()
    node.api.customer("by")
    node.api.hosted_domain("by.test", "by")
    for address in (ANN, BOB):
        node.api.account(address, "by")
    node.api.relay_domain("primary.test", "by", sink.port)
    return node


def send(node, recipients, mail, sender=ANN):
    """recipients: {address: parameters of RCPT}"""
    with node.smtp() as client:
        client.ehlo()
        assert client.has_extn("deliverby")
        assert client.mail(sender, list(mail))[0] == 250
        for recipient, parameters in recipients.items():
            assert client.rcpt(recipient, parameters)[0] == 250
        assert client.data(make_message("by", sender=ANN))[0] == 250


def notices(node):
    return [email.message_from_bytes(text, policy=email.policy.default) for text in node.inbox(ANN)]


def fields(notice):
    return [dict(block.items()) for block in list(notice.iter_parts())[1].get_payload()]


def told(node):
    """(Action, Status, recipient) of all that the sender was told."""
    return sorted((block["Action"], block["Status"], block["Final-Recipient"].partition("; ")[2])
                  for notice in notices(node) for block in fields(notice)[1:])


def queue(node):
    return node.api.get("/v1/queue")["items"]


def by_of(message):
    (parameter,) = [word for word in message.mail_parameters.split() if word.startswith("BY=")]
    return parameter


def test_passed_on_with_the_time_that_is_left(node, sink):
    sink.behave = Behaviour(extensions=WITH_BY, recipient_replies=LATER)
    send(node, {CAROL: []}, ["BY=600;R"])
    wait_until(lambda: queue(node) and queue(node)[0]["attempts"], "it is put off")
    assert queue(node)[0]["deliver_by"] < queue(node)[0]["expires_at"]
    node.query("update message set received_at = received_at - interval '100 s' returning 1")
    node.stop()
    node.start()  # what is in memory knows the time from before
    sink.behave = Behaviour(extensions=WITH_BY)
    wait_until(lambda: sink.messages, "it arrives")
    seconds, mode = by_of(sink.messages[0]).removeprefix("BY=").split(";")
    assert 300 < int(seconds) < 500 and mode == "R"
    wait_until(lambda: not queue(node), "the queue is empty")
    assert told(node) == []


def test_in_time_is_like_any_other(node, sink):
    sink.behave = Behaviour(extensions=WITH_BY)
    send(node, {CAROL: [], BOB: []}, ["BY=+100;n"])
    wait_until(lambda: sink.messages, "it arrives")
    assert by_of(sink.messages[0]) in ("BY=100;N", "BY=99;N", "BY=98;N")
    assert node.subjects(BOB) == ["by"]
    assert told(node) == []


def test_returned_when_the_time_is_over(node, sink):
    sink.behave = Behaviour(extensions=WITH_BY, recipient_replies=LATER)
    send(node, {CAROL: [], DAVE: ["NOTIFY=NEVER"]}, ["BY=2;R", "ENVID=x"])
    wait_equal(lambda: told(node), [("failed", "5.4.7", CAROL)], "the sender is told")
    (notice,) = notices(node)
    assert "Deliver-By-Date" in fields(notice)[0]
    wait_until(lambda: not queue(node), "the queue is empty")
    ((early, kinds),) = node.query("select count(*) filter (where b.at < m.received_at + interval '1900 ms'), count(*)"
                                   " from event b join message m on m.id = b.message_id where b.kind = 'bounced'")
    assert (early, kinds) == ("0", "2")
    assert sink.messages == []


def test_nothing_goes_on_when_the_time_is_over(node, sink):
    """The next hop keeps us waiting at DATA beyond the time: the final dot is not sent."""
    sink.behave = Behaviour(extensions=WITH_BY, silent_at="data")
    send(node, {CAROL: []}, ["BY=2;R"])
    wait_until(lambda: node.query("select deliver_by < now() from queue_entry") == [["t"]], "the time is over")
    sink.behave = Behaviour(extensions=WITH_BY)
    sink.hold.set()
    wait_equal(lambda: told(node), [("failed", "5.4.7", CAROL)], "the sender is told")
    assert sink.messages == []


def test_told_once_and_goes_on(node, sink):
    sink.behave = Behaviour(extensions=WITH_BY, recipient_replies=LATER)
    send(node, {CAROL: ["NOTIFY=FAILURE"], DAVE: ["NOTIFY=NEVER"]}, ["BY=1;N"])
    wait_equal(lambda: told(node), [("delayed", "4.4.7", CAROL)], "the sender is told")
    (notice,) = notices(node)
    assert {"Deliver-By-Date"} < set(fields(notice)[0]) and "Will-Retry-Until" in fields(notice)[1]
    tries = queue(node)[0]["attempts"]
    wait_until(lambda: queue(node)[0]["attempts"] > tries + 5, "it is tried on")
    assert [entry["deliver_by"] for entry in queue(node)] == [None, None]
    sink.behave = Behaviour(extensions=WITH_BY)
    wait_until(lambda: sink.messages, "it arrives")
    seconds, mode = by_of(sink.messages[0]).removeprefix("BY=").split(";")
    assert int(seconds) <= 0 and mode == "N"
    wait_until(lambda: not queue(node), "the queue is empty")
    assert told(node) == [("delayed", "4.4.7", CAROL)]


def test_its_sender_knows_already(node, sink):
    sink.behave = Behaviour(extensions=WITH_BY, recipient_replies=LATER)
    send(node, {CAROL: []}, ["BY=-5;N"])
    wait_until(lambda: queue(node) and queue(node)[0]["attempts"] > 5, "it is tried on")
    assert queue(node)[0]["deliver_by"] is None
    assert told(node) == []


@pytest.mark.parametrize("offer, seconds", [(PLAIN, 600), (PLAIN + ("DELIVERBY 700",), 600)], ids=["none", "slower"])
def test_not_given_to_who_does_not_keep_it(node, sink, offer, seconds):
    sink.behave = Behaviour(extensions=offer)
    send(node, {CAROL: []}, [f"BY={seconds};R"])
    wait_equal(lambda: told(node), [("failed", "5.4.7", CAROL)], "the sender is told")
    assert sink.messages == []


def test_relayed_to_who_does_not_know(node, sink):
    sink.behave = Behaviour(extensions=PLAIN + ("DSN",))
    send(node, {CAROL: [], DAVE: ["NOTIFY=NEVER"]}, ["BY=600;N"])
    wait_until(lambda: sink.messages, "it arrives")
    assert "BY=" not in sink.messages[0].mail_parameters
    wait_until(lambda: told(node), "the sender is told")
    assert [(action, recipient) for action, _, recipient in told(node)] == [("relayed", CAROL)]
    wait_until(lambda: not queue(node), "the queue is empty")


def test_trace(node, sink):
    sink.behave = Behaviour(extensions=WITH_BY + ("DSN",))
    send(node, {CAROL: ["NOTIFY=FAILURE"], DAVE: ["NOTIFY=NEVER"]}, ["BY=600;RT"])
    wait_until(lambda: sink.messages, "it arrives")
    assert by_of(sink.messages[0]).endswith(";RT")
    wait_until(lambda: told(node), "the sender is told")
    assert [(action, recipient) for action, _, recipient in told(node)] == [("relayed", CAROL)]
    assert node.query("select count(*) from message where protocol = 'LOCAL'") == [["1"]]


def test_in_an_outage_and_while_it_is_held(node, sink):
    """Nobody tries it meanwhile; the time is looked at all the same."""
    sink.stop()
    send(node, {DAVE: []}, [])
    wait_until(lambda: node.api.get("/v1/outages?open=true")["items"], "the outage is open")
    send(node, {CAROL: []}, ["BY=2;R"])
    wait_equal(lambda: told(node), [("failed", "5.4.7", CAROL)], "the sender is told")
    with node.submission(ANN) as client:
        client.ehlo()
        assert client.mail(ANN, ["HOLDFOR=100", "BY=50;R"])[0] == 501
        client.sendmail(ANN, [BOB], make_message("held", sender=ANN), ["HOLDFOR=100", "BY=2;N"])
    wait_equal(lambda: told(node), [("delayed", "4.4.7", BOB), ("failed", "5.4.7", CAROL)], "the sender is told of that, too")
    (held,) = [entry for entry in queue(node) if entry["recipient"] == BOB]
    assert held["state"] == "held"


def test_behind_others_in_memory(node, sink):
    """A lane is busy with another message; the time of the one behind it is looked at."""
    sink.behave = Behaviour(extensions=WITH_BY, silent_at="mail")
    for number in range(6):
        send(node, {DAVE: []}, ["BY=600;N"])
    wait_until(lambda: sink.connections, "one is under way")
    send(node, {CAROL: []}, ["BY=2;R"])
    wait_equal(lambda: told(node), [("failed", "5.4.7", CAROL)], "the sender is told")
    sink.behave = Behaviour(extensions=WITH_BY)
    sink.hold.set()
    wait_until(lambda: len(sink.messages) >= 6, "the others arrive")
    assert all(message.recipients == [DAVE] for message in sink.messages)
