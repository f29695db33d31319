"""BDAT to a next hop that offers CHUNKING: the same mail, the same outcomes, wherever it breaks off."""
import email
import random

import pytest

from harness.posthouse import make_message
from harness.process import wait_until
from harness.sink import Behaviour

SENDER = "ann@hosted.test"
OFFERS = ("PIPELINING", "8BITMIME", "SIZE 104857600", "ENHANCEDSTATUSCODES", "CHUNKING")
PIECE, BUFFER = 16 * 1024, 256 * 1024
LARGE = "".join(f"line {number:08d} of a long message\n" for number in range(50000))  # 1.8 MB
TRUNK = LARGE.replace("\n", "\r\n").encode()


def behave(**what):
    return Behaviour(**{"extensions": OFFERS, **what})


@pytest.fixture
def node(new_posthouse, sink):
    sink.behave = behave()
    return set_up(new_posthouse(settings={"delivery.chunking": "yes"}), sink)


def set_up(node, sink):
    node.start()
    node.api.customer("chunking")
    node.api.hosted_domain("hosted.test", "chunking")
    node.api.account(SENDER, "chunking")
    node.api.relay_domain("relayed.test", "chunking", sink.port)
    return node


def send(node, *recipients, subject="hello", body="Hello.\n"):
    node.send(SENDER, list(recipients), make_message(subject, sender=SENDER, to=recipients[0], body=body))


def ask(node, sql):
    ((value,),) = node.query(sql)
    return value


def wait_empty(node):
    wait_until(lambda: ask(node, "select count(*) from queue_entry") == "0", "the queue is empty")


def wait_events(node, *kinds):
    text = "','".join(kinds)
    wait_until(lambda: int(ask(node, f"select count(*) from event where kind in ('{text}')")) > 0, f"an event of {kinds}")


def body_of(message):
    return message.data.partition(b"\r\n\r\n")[2]


# ------------------------------------------------------------------ what arrives


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_message_of_one_chunk(node, sink, pipelining):
    sink.behave = behave(extensions=OFFERS if pipelining else OFFERS[1:])
    body = ".one dot\n..two\n.\nlast line with dots...\n" + "x" * 900 + "\n"
    send(node, "carol@relayed.test", "dave@relayed.test", body=body)
    wait_empty(node)
    (message,) = sink.messages
    assert message.recipients == ["carol@relayed.test", "dave@relayed.test"]
    assert message.chunks == [len(message.data)] and body_of(message) == body.replace("\n", "\r\n").encode()
    assert b"return-path:" not in message.data.lower()
    assert ask(node, "select min(detail) from event where kind = 'delivered'") == "250 2.0.0 stored"


def test_a_large_message_is_one_chunk_too(node, sink):
    send(node, "carol@relayed.test", body=LARGE)
    wait_empty(node)
    (message,) = sink.messages
    assert body_of(message) == TRUNK
    assert message.chunks == [len(message.data)]


@pytest.mark.parametrize("extra", [-2, -1, 0, 1, 2])
def test_sizes_around_the_edges(node, sink, extra):
    """What a piece and the stream's buffer hold, more or less; the last line has no end."""
    head = b"Subject: edge\r\n\r\n"
    for size in (PIECE + extra, BUFFER + extra):
        content = random.Random(size).randbytes(size).hex().encode()[:size - len(head)]
        with node.smtp() as connection:
            connection.ehlo()
            connection.docmd(f"MAIL FROM:<{SENDER}>")
            connection.docmd("RCPT TO:<carol@relayed.test>")
            connection.send(b"BDAT %d LAST\r\n" % size + head + content)
            assert connection.getreply()[0] == 250
        wait_empty(node)
        assert body_of(sink.messages[-1]) == content + b"\r\n", "a last line gets its end, as by DATA"
    assert len(sink.messages) == 2


def test_several_messages_over_one_connection(node, sink):
    for number in range(20):
        send(node, "carol@relayed.test", subject=f"number {number}")
    wait_empty(node)
    subjects = [email.message_from_bytes(message.data)["Subject"] for message in sink.messages]
    assert sorted(subjects) == sorted(f"number {number}" for number in range(20))
    assert all(message.chunks for message in sink.messages)


def test_over_tls(node, sink, certificate):
    sink.behave = behave(extensions=OFFERS[:-1], tls=certificate.server_context(), tls_extensions=("CHUNKING",))
    send(node, "carol@relayed.test", body=LARGE)
    wait_empty(node)
    (message,) = sink.messages
    assert message.tls and message.chunks and body_of(message) == TRUNK


def test_what_was_offered_in_clear_does_not_count_under_tls(node, sink, certificate):
    """RFC 3207 section 4.2; the sink repeats what it offers, and so must be told not to."""
    sink.behave = Behaviour(tls=certificate.server_context())
    send(node, "carol@relayed.test")
    wait_empty(node)
    assert sink.messages[0].tls and not sink.messages[0].chunks


def test_it_is_for_those_who_want_it(new_posthouse, sink):
    sink.behave = behave()
    node = set_up(new_posthouse(), sink)
    send(node, "carol@relayed.test")
    wait_empty(node)
    assert len(sink.messages) == 1 and not sink.messages[0].chunks


# ------------------------------------------------------------------ refused and put off


def test_refused_recipient_and_another(node, sink):
    sink.behave = behave(recipient_replies={"bad@relayed.test": "550 5.1.1 who"})
    send(node, "bad@relayed.test", "carol@relayed.test")
    wait_empty(node)
    assert [message.recipients for message in sink.messages] == [["carol@relayed.test"]]


def test_no_content_without_a_recipient(node, sink):
    """It goes by the same connection: RSET, and the next message."""
    sink.behave = behave(recipient_replies={"bad@relayed.test": "550 5.1.1 who"})
    send(node, "bad@relayed.test")
    wait_events(node, "bounced")
    send(node, "carol@relayed.test", subject="next")
    wait_until(lambda: sink.messages, "the next arrives")
    assert email.message_from_bytes(sink.messages[0].data)["Subject"] == "next"


@pytest.mark.parametrize("what, body", [
    ({"mail_reply": "550 5.7.1 no"}, "x\n"), ({"data_reply": "554 5.6.0 no"}, "x\n"), ({"end_reply": "554 5.6.0 no"}, LARGE),
], ids=["mail", "chunk", "end"])
def test_refused_transaction_bounces(node, sink, what, body):
    sink.behave = behave(**what)
    send(node, "carol@relayed.test", body=body)
    wait_events(node, "bounced")
    assert sink.messages == []
    sink.behave = behave()
    send(node, "carol@relayed.test", subject="next")
    wait_empty(node)
    assert [email.message_from_bytes(message.data)["Subject"] for message in sink.messages] == ["next"]


@pytest.mark.parametrize("what, body", [
    ({"data_reply": "451 4.3.0 later"}, "x\n"), ({"end_reply": "451 4.3.0 later"}, "x\n"), ({"end_reply": "421 4.3.2 bye"}, LARGE),
    ({"end_reply": "354 what"}, LARGE),
], ids=["chunk", "end", "421", "354"])
def test_put_off_and_delivered_later_once(node, sink, what, body):
    sink.behave = behave(**what)
    send(node, "carol@relayed.test", body=body)
    wait_events(node, "deferred")
    assert sink.messages == []
    sink.behave = behave()
    wait_empty(node)
    assert len(sink.messages) == 1


# ------------------------------------------------------------------ broken off


@pytest.mark.parametrize("place, body", [("mail", "x\n"), ("rcpt", "x\n"), ("data", "x\n"), ("body", "x\n"), ("data", LARGE),
                                         ("body", LARGE)],
                         ids=["mail", "rcpt", "command", "content", "command-large", "content-large"])
def test_cut_connection_loses_nothing_and_doubles_nothing(node, sink, place, body):
    sink.behave = behave(cut_at=place)
    send(node, "carol@relayed.test", body=body)
    wait_events(node, "deferred", "uncertain")
    sink.behave = behave()
    wait_empty(node)
    assert len(sink.messages) == 1


def test_cut_after_the_last_chunk_is_sent_again(node, sink):
    """The one place where a message may be at the next hop twice."""
    sink.behave = behave(cut_at="end", store=True)
    send(node, "carol@relayed.test", body=LARGE)
    wait_events(node, "uncertain")
    sink.behave = behave()
    wait_empty(node)
    assert len(sink.messages) >= 2
    assert {message.data for message in sink.messages} == {sink.messages[0].data}


@pytest.mark.slow
def test_stop_in_the_middle_loses_nothing(new_posthouse, sink):
    """The server reads none of it, so its end is not sent, however the process ends; the lease runs out at last."""
    sink.behave = behave(silent_at="data")
    node = set_up(new_posthouse(settings={"delivery.chunking": "yes", "daemon.drain_limit": "1s"}), sink)
    send(node, "carol@relayed.test", body=5 * LARGE)
    wait_until(lambda: sink.connections, "a delivery is at work")
    node.stop()
    sink.behave = behave()
    sink.hold.set()
    node.start()
    wait_until(lambda: ask(node, "select count(*) from queue_entry") == "0", "the queue is empty", timeout=120)
    assert len(sink.messages) == 1 and body_of(sink.messages[0]) == 5 * TRUNK


@pytest.mark.slow
def test_nothing_is_sent_on_a_lease_that_another_took_over(new_posthouse, sink):
    """Asked before the last piece, as before the final dot."""
    sink.behave = behave(silent_at="mail")
    node = set_up(new_posthouse(settings={"delivery.chunking": "yes", "daemon.workers": 1}), sink)
    for subject in ("lost", "kept"):
        send(node, "carol@relayed.test", subject=subject)
    lost, kept = (entry for (entry,) in node.query("select id from queue_entry order by id"))
    node.query(f"update queue_entry set worker = 1000, lease_until = now() + interval '1 hour' where id = {lost}")
    lease = f"select lease_until from queue_entry where id = {kept}"
    before = ask(node, lease)
    wait_until(lambda: ask(node, lease) > before, "the leases are renewed", timeout=60)
    sink.behave = behave()
    sink.hold.set()
    wait_until(lambda: sink.messages, "what is still ours is sent")
    wait_until(lambda: ask(node, "select string_agg(id::text, ' ') from queue_entry") == lost, "the other one stays")
    node.stop()
    assert [email.message_from_bytes(message.data)["Subject"] for message in sink.messages] == ["kept"]
    assert sink.messages[0].chunks


# ------------------------------------------------------------------ a real server


def test_postfix_takes_it(node, postfix):
    postfix.serve("postfixed.test")
    postfix.start()
    node.api.relay_domain("postfixed.test", "chunking", postfix.port)
    send(node, "carol@postfixed.test", subject="large", body=LARGE)
    send(node, "carol@postfixed.test", subject="small", body=".\n..\n")
    wait_until(lambda: len(postfix.messages()) == 2, "Postfix has delivered them", timeout=60)
    bodies = sorted((message.partition(b"\n\n")[2] for message in postfix.messages()), key=len)
    assert bodies == [b".\n..\n", LARGE.encode()]
    node.stop()
    wait_until(lambda: "bdat=2" in postfix.maillog() or postfix.maillog().count("bdat=1") == 2, "it came by BDAT")
