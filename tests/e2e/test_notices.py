"""Reports, line by line: RFC 3461 (5.2, 6), 3464, 6522, 3834, 5321 (4.5.5, 6.1). What test_dsn.py has of them is not repeated here."""
import email
import email.policy
import email.utils
import smtplib

import pytest

from harness.faults import FaultyPostgres
from harness.posthouse import make_message
from harness.process import wait_until
from harness.sink import Behaviour

SENDER, CAROL = "ann@hosted.test", "carol@relayed.test"
QUICK = {"delivery.retry_first": "300ms", "delivery.retry_max": "300ms", "delivery.probe_interval": "300ms"}
PER_MESSAGE = ["Original-Envelope-Id", "Reporting-MTA", "Received-From-MTA", "Arrival-Date"]


def set_up(node, sink):
    node.start()
    node.api.customer("dsn")
    node.api.hosted_domain("hosted.test", "dsn")
    for name in ("ann", "bob"):
        node.api.account(f"{name}@hosted.test", "dsn")
    node.api.relay_domain("relayed.test", "dsn", sink.port)
    return node


@pytest.fixture
def node(new_posthouse, sink):
    return set_up(new_posthouse(), sink)


def send(node, *recipients, mail=(), rcpt=(), sender=SENDER):
    with node.smtp() as connection:
        connection.sendmail(sender, list(recipients), make_message("hello", sender=sender), list(mail), list(rcpt))


def notices(node, login=SENDER):
    with node.pop3(login) as connection:
        texts = [b"\r\n".join(connection.retr(number + 1)[1]) for number in range(connection.stat()[0])]
    return [email.message_from_bytes(text, policy=email.policy.default) for text in texts]


def wait_notice(node, number=1):
    wait_until(lambda: len(notices(node)) >= number, "a notice is in the sender's mailbox")
    return notices(node)[number - 1]


def blocks(notice):
    return [dict(block.items()) for block in list(notice.iter_parts())[1].get_payload()]


def people(notice):
    return list(notice.iter_parts())[0].get_content()


def is_date(text):
    return email.utils.parsedate_to_datetime(text) is not None


# ------------------------------------------------------------------ the fields


def test_a_refusal_has_every_field(node, sink):
    sink.behave = Behaviour(recipient_replies={CAROL: "550 5.7.1 not from you"})
    send(node, CAROL, mail=["RET=HDRS", "ENVID=QQ+2B7"], rcpt=["NOTIFY=FAILURE", "ORCPT=rfc822;Carol+2Bx@old.test"])
    notice = wait_notice(node)
    head, recipient = blocks(notice)
    # RFC 3464 2.2, RFC 3461 6.3 (a) to (c)
    assert list(head) == PER_MESSAGE and head["Original-Envelope-Id"] == "QQ+7" and head["Reporting-MTA"] == "dns; mail.posthouse.test"
    assert is_date(head["Arrival-Date"])
    # RFC 3464 2.3, RFC 3461 6.3 (d) to (i)
    assert list(recipient) == ["Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date"]
    assert (recipient["Original-Recipient"], recipient["Final-Recipient"]) == ("rfc822; Carol+x@old.test", f"rfc822; {CAROL}")
    assert (recipient["Action"], recipient["Status"], recipient["Remote-MTA"]) == ("failed", "5.7.1", "dns; 127.0.0.1")
    assert recipient["Diagnostic-Code"] == "smtp; 550 5.7.1 not from you" and is_date(recipient["Last-Attempt-Date"])
    # RFC 6522 section 3, RFC 3834 section 5, RFC 5321 4.5.5
    assert (notice.get_content_type(), notice.get_param("report-type")) == ("multipart/report", "delivery-status")
    assert [part.get_content_type() for part in notice.iter_parts()] == ["text/plain", "message/delivery-status", "text/rfc822-headers"]
    assert (notice["Auto-Submitted"], notice["Return-Path"], notice["To"]) == ("auto-replied", "<>", SENDER)
    assert notice["From"] == "Mail Delivery System <MAILER-DAEMON@mail.posthouse.test>" and notice["Message-ID"] and is_date(notice["Date"])


def test_what_was_not_given_is_not_made_up(node, sink):
    """RFC 3461 6.3 (a), (d): no ENVID, no ORCPT, no such fields; an alias is no ORCPT."""
    sink.behave = Behaviour(other_recipients="550 5.1.1 nobody")
    node.api.post("/v1/aliases", {"address": "way@hosted.test", "targets": [CAROL]})
    send(node, "way@hosted.test")
    head, recipient = blocks(wait_notice(node))
    assert list(head) == PER_MESSAGE[1:]
    assert "Original-Recipient" not in recipient and recipient["Final-Recipient"] == f"rfc822; {CAROL}"


def test_what_a_server_lacks_is_no_reply_of_it(node, sink):
    """RFC 3461 9.2: diagnostics of type smtp are replies."""
    sink.behave = Behaviour(extensions=("SIZE 70000",))
    with node.smtp() as connection:
        connection.ehlo()
        connection.mail(SENDER)
        connection.rcpt(CAROL)
        connection.rcpt("bob@hosted.test")
        assert connection.data(b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 2000)[0] == 250
    _, recipient = blocks(wait_notice(node))
    assert (recipient["Status"], recipient["Remote-MTA"]) == ("5.3.4", "dns; 127.0.0.1")
    assert recipient["Diagnostic-Code"].startswith("x-posthouse; 127.0.0.1 takes messages up to 70000")


# ------------------------------------------------------------------ late, and over


def test_after_the_lifetime_the_last_reply_is_told(new_posthouse, sink):
    sink.behave = Behaviour(recipient_replies={CAROL: "451 4.2.2 its box is full"})
    # What is late is looked for each second, and what is being tried then is passed over: so it is not tried each second.
    slow = {**QUICK, "delivery.retry_first": "4s", "delivery.retry_max": "4s"}
    node = set_up(new_posthouse(settings={**slow, "smtp.queue_lifetime": "5s", "smtp.delay_notice": "500ms"}), sink)
    send(node, CAROL, mail=["ENVID=e1"])
    delayed = wait_notice(node)
    head, recipient = blocks(delayed)
    assert (head["Original-Envelope-Id"], recipient["Action"], recipient["Status"]) == ("e1", "delayed", "4.2.2")
    assert (recipient["Remote-MTA"], recipient["Diagnostic-Code"]) == ("dns; 127.0.0.1", "smtp; 451 4.2.2 its box is full")
    assert is_date(recipient["Last-Attempt-Date"]) and is_date(recipient["Will-Retry-Until"])
    failed = wait_notice(node, 2)
    head, recipient = blocks(failed)
    assert (head["Original-Envelope-Id"], recipient["Action"], recipient["Status"]) == ("e1", "failed", "4.4.7")
    assert (recipient["Remote-MTA"], recipient["Diagnostic-Code"]) == ("dns; 127.0.0.1", "smtp; 451 4.2.2 its box is full")
    assert is_date(recipient["Last-Attempt-Date"]) and "Will-Retry-Until" not in recipient
    assert "Reason: delivery time expired" in people(failed) and "Last answer: 451 4.2.2 its box is full" in people(failed)
    assert node.query("select detail from event where kind = 'bounced'") == [["delivery time expired"]]


def test_after_the_lifetime_of_what_nobody_answered(new_posthouse, sink):
    sink.stop()
    node = set_up(new_posthouse(settings={**QUICK, "smtp.queue_lifetime": "2s"}), sink)
    send(node, CAROL)
    failed = wait_notice(node)
    _, recipient = blocks(failed)
    assert (recipient["Status"], recipient["Remote-MTA"]) == ("4.4.7", "dns; 127.0.0.1")
    assert recipient["Diagnostic-Code"].startswith("x-posthouse; ") and "refused" in recipient["Diagnostic-Code"]
    assert "Reason: delivery time expired" in people(failed) and "Host: 127.0.0.1" in people(failed)


def test_a_report_goes_without_what_cannot_be_asked(new_posthouse, own_postgres, sink):
    faulty = FaultyPostgres(own_postgres)
    try:
        sink.behave = Behaviour(recipient_replies={CAROL: "451 4.2.2 its box is full"})
        node = set_up(new_posthouse(postgres=faulty, settings={**QUICK, "smtp.queue_lifetime": "2s", "daemon.workers": 1}), sink)
        fault = faulty.arm("event_last_attempts", "refused")
        send(node, CAROL)
        _, recipient = blocks(wait_notice(node))
        assert fault.struck and recipient["Diagnostic-Code"] == "x-posthouse; delivery time expired"
        node.close()
    finally:
        faulty.close()


# ------------------------------------------------------------------ who is told, and of what


def test_success_of_an_alias(node, sink):
    """RFC 3461 5.2.7.2: with one target all is passed on; 5.2.7.3 (c): with several "expanded", and SUCCESS is taken from them."""
    sink.behave = Behaviour(extensions=Behaviour().extensions + ("DSN",))
    node.api.post("/v1/aliases", {"address": "one@hosted.test", "targets": [CAROL]})
    node.api.post("/v1/aliases", {"address": "two@hosted.test", "targets": [CAROL, "dave@relayed.test"]})
    send(node, "one@hosted.test", mail=["ENVID=e1"], rcpt=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;one@hosted.test"])
    wait_until(lambda: len(sink.messages) == 1, "it is passed on")
    assert sink.messages[0].recipient_parameters == ["NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;one@hosted.test"]
    assert notices(node) == []
    send(node, "two@hosted.test", mail=["ENVID=e2"], rcpt=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;two@hosted.test"])
    wait_until(lambda: len(sink.messages) == 2, "it is passed on")
    assert sink.messages[1].recipient_parameters == ["NOTIFY=FAILURE ORCPT=rfc822;two@hosted.test"] * 2
    head, recipient = blocks(wait_notice(node))
    assert (head["Original-Envelope-Id"], recipient["Action"], recipient["Status"]) == ("e2", "expanded", "2.1.5")
    assert (recipient["Original-Recipient"], recipient["Final-Recipient"]) == ("rfc822; two@hosted.test",) * 2
    assert list(wait_notice(node).iter_parts())[2].get_content_type() == "text/rfc822-headers"
    send(node, "two@hosted.test", rcpt=["NOTIFY=SUCCESS"])
    wait_until(lambda: len(sink.messages) == 3, "it is passed on")
    assert sink.messages[2].recipient_parameters == ["NOTIFY=NEVER"] * 2  # absent would be more than was asked for


def test_never_a_bounce_of_a_bounce(new_posthouse, sink, outside):
    """RFC 5321 6.1: a notice that cannot be delivered ends there; the events and the log tell."""
    outside.behave = Behaviour(other_recipients="550 5.1.1 nobody")
    sink.behave = Behaviour(other_recipients="550 5.1.1 nobody")
    node = set_up(new_posthouse(default_route=outside.port), sink)
    send(node, CAROL, sender="joe@outside.test")
    wait_until(lambda: len(node.query("select 1 from event where kind = 'bounced'")) == 2, "the message and its notice are given up")
    assert node.query("select count(*) from message") == [["2"]]
    assert node.query("select sender from message where protocol = 'LOCAL'") == [[""]]


def test_a_notice_asks_for_none_and_returns_nothing_by_itself(new_posthouse, sink, outside):
    """RFC 3461 6.1: no RET, and NOTIFY only as NEVER."""
    outside.behave = Behaviour(extensions=Behaviour().extensions + ("DSN",))
    outside.clear()
    sink.behave = Behaviour(other_recipients="550 5.1.1 nobody")
    node = set_up(new_posthouse(default_route=outside.port), sink)
    send(node, CAROL, sender="joe@outside.test", mail=["RET=FULL", "ENVID=e1"])
    wait_until(lambda: outside.messages, "the notice goes out")
    (notice,) = outside.messages
    assert notice.sender == "" and "RET" not in notice.mail_parameters and notice.recipient_parameters in ([""], ["NOTIFY=NEVER"])
    assert b"Content-Type: message/rfc822" in notice.data  # what was asked for of the message


@pytest.mark.parametrize("reply,word", [
    ("550 5.1.1 no such user", "unknown-user"), ("552 5.2.2 its box is full", "full"), ("550 5.7.1 listed by zen.example", "block-list"),
    ("550 5.7.26 SPF failed", "policy"), ("550 no", "refused"), ("451 4.7.1 greylisted, come back later", "greylist"),
    ("451 4.3.0 trouble here", "temporary"), ("452 4.2.2 over quota", "full")])
def test_the_class_of_a_reply_is_kept_with_its_event(posthouse, outside, reply, word):
    """GET /v1/messages/ID/events"""
    outside.behave = Behaviour(recipient_replies={"x@out.test": reply})
    if not posthouse.query("select 1 from customer where name = 'classes'"):
        posthouse.api.customer("classes")
        posthouse.api.hosted_domain("classes.test", "classes")
        posthouse.api.account("ann@classes.test", "classes")
    posthouse.submit("ann@classes.test", ["x@out.test"], make_message("hello", sender="ann@classes.test"))
    ((id,),) = posthouse.query("select max(id) from message where sender = 'ann@classes.test'")
    kind = "bounced" if reply.startswith("5") else "deferred"

    rows = lambda: posthouse.query(f"select class from event where message_id = {id} and kind = '{kind}'")  # noqa: E731
    wait_until(rows, "the event is written")
    text = text_id(int(id))
    events = [event for event in posthouse.api.get(f"/v1/messages/{text}/events")["items"] if event["kind"] == kind]
    assert (events[0]["detail"], events[0]["class"]) == (reply, word)
    outside.behave = Behaviour()


def text_id(number):
    """As the API writes ids: thirteen digits of base 32 (Crockford)."""
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(digits[number >> shift & 31] for shift in range(60, -1, -5))
