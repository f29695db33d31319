"""Delivery status notifications (RFC 3461): what a sender asks for is passed on, or done here."""
import email
import email.policy
import smtplib

import pytest

from harness.posthouse import make_message
from harness.process import wait_until
from harness.sink import Behaviour

SENDER = "ann@hosted.test"
CAROL = "carol@relayed.test"
ORCPT = "ORCPT=rfc822;Carol+2Bx@old.test"
WITH_DSN = Behaviour().extensions + ("DSN",)


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


def send(node, *recipients, mail=(), rcpt=(), sender=SENDER, body="Hello.\n"):
    with node.smtp() as connection:
        connection.sendmail(sender, list(recipients), make_message("hello", sender=sender, body=body), list(mail), list(rcpt))


def ask(node, sql):
    ((value,),) = node.query(sql)
    return value


def wait_gone(node):
    wait_until(lambda: ask(node, "select count(*) from queue_entry") == "0", "the queue is empty")


def notices(node):
    with node.pop3(SENDER) as connection:
        texts = [b"\r\n".join(connection.retr(number + 1)[1]) for number in range(connection.stat()[0])]
    return [email.message_from_bytes(text, policy=email.policy.default) for text in texts]


def wait_notice(node):
    wait_until(lambda: notices(node), "a notice is in the sender's mailbox")
    (notice,) = notices(node)
    return notice


def fields(notice):
    """The blocks of its message/delivery-status: of the message, and of each recipient."""
    assert notice.get_content_type() == "multipart/report"
    assert notice.get_param("report-type") == "delivery-status"
    assert notice["Return-Path"] == "<>"
    assert [part.get_content_type() for part in notice.iter_parts()][:2] == ["text/plain", "message/delivery-status"]
    return [dict(block.items()) for block in list(notice.iter_parts())[1].get_payload()]


# ------------------------------------------------------------------ success


def test_passed_on_to_a_server_with_dsn(node, sink):
    sink.behave = Behaviour(extensions=WITH_DSN)
    send(node, CAROL, mail=["RET=HDRS", "ENVID=QQ+2B1"], rcpt=["NOTIFY=SUCCESS,DELAY", ORCPT])
    wait_until(lambda: sink.messages, "the message arrives")
    wait_gone(node)
    (message,) = sink.messages
    assert message.mail_parameters.split()[1:] == ["RET=HDRS", "ENVID=QQ+2B1"]
    assert message.recipient_parameters == [f"NOTIFY=SUCCESS,DELAY {ORCPT}"]
    assert notices(node) == []  # to tell of success is the next hop's duty now


def test_nothing_is_added(node, sink):
    sink.behave = Behaviour(extensions=WITH_DSN)
    send(node, CAROL)
    wait_until(lambda: sink.messages, "the message arrives")
    assert sink.messages[0].recipient_parameters == [""]
    assert "RET" not in sink.messages[0].mail_parameters and "ENVID" not in sink.messages[0].mail_parameters


def test_relayed_to_a_server_without_dsn(node, sink):
    send(node, CAROL, mail=["RET=FULL", "ENVID=QQ+2B1"], rcpt=["NOTIFY=SUCCESS", ORCPT])
    notice = wait_notice(node)
    wait_gone(node)
    (message,) = sink.messages
    assert "ENVID" not in message.mail_parameters and message.recipient_parameters == [""]
    head, recipient = fields(notice)
    assert head["Original-Envelope-Id"] == "QQ+1"
    assert head["Reporting-MTA"] == "dns; mail.posthouse.test"
    assert recipient["Original-Recipient"] == "rfc822; Carol+x@old.test"
    assert recipient["Final-Recipient"] == f"rfc822; {CAROL}"
    assert recipient["Action"] == "relayed"
    assert recipient["Status"].startswith("2.")
    assert recipient["Remote-MTA"] == "dns; 127.0.0.1"
    assert recipient["Diagnostic-Code"] == "smtp; 250 2.0.0 stored"
    assert list(notice.iter_parts())[2].get_content_type() == "text/rfc822-headers"  # nothing failed (4.3)


def test_success_is_not_told_unasked(node, sink):
    for rcpt in ([], ["NOTIFY=FAILURE,DELAY"], ["NOTIFY=NEVER"]):
        send(node, CAROL, "bob@hosted.test", rcpt=rcpt)
    wait_gone(node)
    assert len(sink.messages) == 3
    assert node.subjects("bob@hosted.test") == ["hello"] * 3
    assert notices(node) == []


def test_delivered_into_a_mailbox(node):
    send(node, "bob@hosted.test", mail=["ENVID=x"], rcpt=["NOTIFY=SUCCESS", "ORCPT=rfc822;bob@hosted.test"])
    (notice,) = notices(node)  # with the 250, not later
    head, recipient = fields(notice)
    assert head["Original-Envelope-Id"] == "x"
    assert (recipient["Action"], recipient["Original-Recipient"]) == ("delivered", "rfc822; bob@hosted.test")
    assert node.subjects("bob@hosted.test") == ["hello"]


def test_delivered_tells_an_outside_sender(new_posthouse, sink):
    node = set_up(new_posthouse(default_route=sink.port), sink)
    send(node, "bob@hosted.test", rcpt=["NOTIFY=SUCCESS"], sender="joe@outside.test")
    wait_until(lambda: sink.messages, "the notice arrives")
    (notice,) = sink.messages
    assert (notice.sender, notice.recipients) == ("", ["joe@outside.test"])
    assert b"\r\nAction: delivered\r\n" in notice.data


def test_no_notice_to_the_null_sender(node, sink):
    sink.behave = Behaviour(recipient_replies={"dave@relayed.test": "550 5.1.1 no"})
    send(node, CAROL, "dave@relayed.test", "bob@hosted.test", rcpt=["NOTIFY=SUCCESS,FAILURE,DELAY"], sender="")
    wait_gone(node)
    assert ask(node, "select count(*) from message where protocol = 'LOCAL'") == "0"


# ------------------------------------------------------------------ failure


def transaction(node, recipients):
    """One message to {address: parameters of RCPT}."""
    with node.smtp() as connection:
        connection.ehlo()
        connection.mail(SENDER, ["ENVID=QQ1"])
        for address, parameters in recipients.items():
            assert connection.rcpt(address, parameters)[0] == 250
        assert connection.data(b"Subject: hello\r\n\r\nHello.\r\n")[0] == 250


def recipients_of(notice):
    return {block["Final-Recipient"].partition("; ")[2].partition("@")[0] for block in fields(notice)[1:]}


def test_failure(node, sink):
    recipients = {"absent@relayed.test": [ORCPT], "failure@relayed.test": ["NOTIFY=FAILURE"],
                  "both@relayed.test": ["NOTIFY=SUCCESS,FAILURE"], "never@relayed.test": ["NOTIFY=NEVER"],
                  "success@relayed.test": ["NOTIFY=SUCCESS"], "delay@relayed.test": ["NOTIFY=DELAY"]}
    sink.behave = Behaviour(recipient_replies=dict.fromkeys(recipients, "550 5.1.1 no such user"))
    transaction(node, recipients)
    wait_gone(node)
    assert ask(node, "select count(*) from event where kind = 'bounced'") == "6"
    (notice,) = notices(node)
    assert recipients_of(notice) == {"absent", "failure", "both"}
    head, *blocks = fields(notice)
    assert head["Original-Envelope-Id"] == "QQ1"
    assert all(block["Action"] == "failed" for block in blocks)
    assert [block.get("Original-Recipient") for block in blocks] == ["rfc822; Carol+x@old.test", None, None]


def test_nobody_asked_to_hear_of_failure(node, sink):
    sink.behave = Behaviour(recipient_replies={CAROL: "550 5.1.1 no such user"})
    transaction(node, {CAROL: ["NOTIFY=NEVER"]})
    wait_gone(node)
    assert ask(node, "select count(*) from event where kind = 'bounced'") == "1"
    assert notices(node) == []


def test_what_is_returned(node, sink):
    sink.behave = Behaviour(recipient_replies={CAROL: "550 5.1.1 no"})
    for ret in (["RET=FULL"], ["RET=HDRS"], []):
        send(node, CAROL, mail=ret, body="The body is here.\n.\nto its end\n")
        wait_gone(node)
    full, *headers = [list(notice.iter_parts())[2] for notice in notices(node)]
    assert full.get_content_type() == "message/rfc822"
    (original,) = full.get_payload()
    assert original["Subject"] == "hello" and original["Return-Path"] is None
    assert original.get_payload().replace("\r\n", "\n") == "The body is here.\n.\nto its end\n"
    assert len(headers) == 2
    for part in headers:
        assert part.get_content_type() == "text/rfc822-headers"
        assert "Subject: hello" in part.as_string() and "The body" not in part.as_string()


# ------------------------------------------------------------------ delay

LATE = {"smtp.delay_notice": "300ms", "delivery.retry_first": "200ms", "delivery.retry_max": "200ms"}


def late_node(new_posthouse, sink, **more):
    return set_up(new_posthouse(settings={**LATE, **more}), sink)


def attempts(node):
    return min(int(value) for (value,) in node.query("select attempts from queue_entry"))


def test_delay_is_told_once(new_posthouse, sink):
    recipients = {"absent@relayed.test": [], "delay@relayed.test": ["NOTIFY=DELAY"],
                  "failure@relayed.test": ["NOTIFY=FAILURE"], "never@relayed.test": ["NOTIFY=NEVER"]}
    sink.behave = Behaviour(recipient_replies=dict.fromkeys(recipients, "451 4.7.1 come back later"))
    node = late_node(new_posthouse, sink)
    transaction(node, recipients)
    told = lambda: set().union(*map(recipients_of, notices(node)))  # noqa: E731
    wait_until(lambda: told() == {"absent", "delay"}, "the sender is told of both")
    head, recipient = fields(notices(node)[0])[:2]
    assert head["Original-Envelope-Id"] == "QQ1"
    assert recipient["Action"] == "delayed"
    assert recipient["Status"].startswith("4.")
    assert "come back later" in recipient["Diagnostic-Code"]
    assert "Will-Retry-Until" in recipient
    before = attempts(node)
    wait_until(lambda: attempts(node) > before + 3, "all are tried on")
    sink.behave = Behaviour()
    wait_gone(node)
    assert sum(len(fields(notice)) - 1 for notice in notices(node)) == 2
    assert told() == {"absent", "delay"}


def test_mail_that_is_readable_here_is_late_only_for_who_asks(new_posthouse, sink):
    sink.stop()
    node = late_node(new_posthouse, sink)
    node.api.account(CAROL, "dsn")
    send(node, CAROL)
    wait_until(lambda: node.subjects(CAROL) == ["hello"], "the message is readable")
    send(node, CAROL, mail=["ENVID=asked"], rcpt=["NOTIFY=DELAY"])
    head, _ = fields(wait_notice(node))
    assert head["Original-Envelope-Id"] == "asked"
    delays = node.query("select q.delay_at from queue_entry q join message m on m.id = q.message_id order by m.id")
    assert delays == [[""], ["infinity"]]  # null: not to be told


# ------------------------------------------------------------------ what survives


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_parameters_survive_a_restart(new_posthouse, sink, how):
    sink.behave = Behaviour(extensions=WITH_DSN, recipient_replies={CAROL: "451 4.7.1 come back later"})
    node = late_node(new_posthouse, sink, **{"smtp.delay_notice": "0s", "delivery.retry_first": "1s", "delivery.retry_max": "1s"})
    send(node, CAROL, mail=["RET=FULL", "ENVID=QQ1"], rcpt=["NOTIFY=SUCCESS", ORCPT])
    wait_until(lambda: ask(node, "select count(*) from queue_entry where worker is null and attempts > 0") == "1",
               "it is put off")
    getattr(node, how)()
    sink.behave = Behaviour(extensions=WITH_DSN)
    node.start()
    wait_until(lambda: sink.messages, "the message arrives")
    assert sink.messages[0].mail_parameters.split()[1:] == ["RET=FULL", "ENVID=QQ1"]
    assert sink.messages[0].recipient_parameters == [f"NOTIFY=SUCCESS {ORCPT}"]


def test_postfix_takes_over(new_posthouse, postfix):
    """It offers DSN, is told, and tells of the delivery itself."""
    postfix.start()
    node = set_up(new_posthouse(), postfix)
    send(node, CAROL, mail=["ENVID=QQ1"], rcpt=["NOTIFY=SUCCESS", f"ORCPT=rfc822;{CAROL}"])
    wait_until(lambda: "sender delivery status notification" in postfix.maillog(), "Postfix writes the notice")
    wait_gone(node)
    assert notices(node) == []


def test_smtplib_sees_the_offer(node):
    with node.smtp() as connection:
        connection.ehlo()
        assert connection.has_extn("dsn")
        with pytest.raises(smtplib.SMTPSenderRefused):
            connection.sendmail(SENDER, [CAROL], "x", ["RET=MAYBE"])
