"""REQUIRETLS and TLS-Required (RFC 8689): what is sent on, to whom, and what becomes of the rest."""
import email
import email.policy
import smtplib

import pytest

from harness.certificate import Certificate
from harness.posthouse import Posthouse, make_message
from harness.process import make_folder, remove_folder, wait_until
from harness.sink import Behaviour, Sink

SENDER = "ann@hosted.test"
CAROL = "carol@relayed.test"


@pytest.fixture(scope="module")
def stranger():
    """A certificate that nobody vouches for."""
    folder = make_folder("stranger")
    yield Certificate(folder)
    remove_folder(folder)


@pytest.fixture
def trusting(certificate, monkeypatch):
    """Programs that are started trust the tests' certificate, as they do the system's authorities."""
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment",
                        lambda self: dict(plain(self), SSL_CERT_FILE=str(certificate.certificate)))


@pytest.fixture
def backup():
    with Sink() as sink:
        yield sink


def set_up(node, *sinks):
    node.start()
    node.api.customer("requiretls")
    node.api.hosted_domain("hosted.test", "requiretls")
    node.api.account(SENDER, "requiretls")
    node.api.relay_domain("relayed.test", "requiretls", *[sink.port for sink in sinks])
    return node


@pytest.fixture
def node(new_posthouse, trusting, sink, backup):
    return set_up(new_posthouse(), sink, backup)


def able(certificate, **more):
    return Behaviour(tls=certificate.server_context(), tls_extensions=("REQUIRETLS",), **more)


def send(node, options=("REQUIRETLS",), sender=SENDER, fields="", to=CAROL):
    message = fields.encode() + make_message("hello", sender=SENDER, to=to)
    with smtplib.SMTP("127.0.0.1", node.ports["smtp"], timeout=30) as connection:
        connection.starttls(context=node.certificate.context())
        connection.ehlo()
        assert connection.has_extn("requiretls")
        connection.sendmail(sender, [to], message, list(options))


def ask(node, sql):
    ((value,),) = node.query(sql)
    return value


def wait_gone(node):
    wait_until(lambda: ask(node, "select count(*) from queue_entry") == "0", "the queue is empty")


def change(sink, behave):
    """For the next connection: one that was kept for a moment ends first."""
    wait_until(lambda: all(message.session.ended_well for message in sink.messages), "the connection is over")
    sink.behave = behave


def reports(node):
    with node.pop3(SENDER) as connection:
        texts = [b"\r\n".join(connection.retr(number + 1)[1]) for number in range(connection.stat()[0])]
    return [email.message_from_bytes(text, policy=email.policy.default) for text in texts]


def wait_report(node):
    wait_until(lambda: reports(node), "a report is in the sender's mailbox")
    (report,) = reports(node)
    return report


def test_good_certificate(node, sink, certificate):
    sink.behave = able(certificate)
    send(node)
    wait_gone(node)
    (message,) = sink.messages
    assert message.tls and "REQUIRETLS" in message.mail_parameters.split()


def test_not_said_where_it_was_not_asked(node, sink, certificate):
    sink.behave = able(certificate)
    send(node, options=())
    wait_gone(node)
    assert "REQUIRETLS" not in sink.messages[0].mail_parameters


def test_the_next_host_is_tried(node, sink, backup, certificate):
    backup.behave = able(certificate)
    send(node)
    wait_gone(node)
    assert not sink.messages and len(backup.messages) == 1


@pytest.mark.parametrize("case, status", [("clear", "5.7.10"), ("broken", "5.7.10"), ("stranger", "5.7.10"),
                                          ("not offered", "5.7.30"), ("offered in clear", "5.7.10")])
def test_no_host_is_able(node, sink, backup, certificate, stranger, case, status):
    behave = {"clear": lambda: Behaviour(),
              "broken": lambda: Behaviour(tls_broken=True),
              "stranger": lambda: able(stranger),
              "not offered": lambda: Behaviour(tls=certificate.server_context()),
              "offered in clear": lambda: Behaviour(extensions=("REQUIRETLS",))}[case]
    sink.behave, backup.behave = behave(), behave()
    send(node, options=("REQUIRETLS", "RET=FULL"))
    report = wait_report(node)
    wait_gone(node)
    text, fields, header = report.iter_parts()
    assert fields.get_payload()[1]["Status"] == status
    assert header.get_content_type() == "text/rfc822-headers"  # section 5, whatever RET said
    assert not sink.messages and not backup.messages


def test_it_waits_for_a_host_that_is_away(node, sink, backup, certificate):
    backup.stop()
    send(node)
    wait_until(lambda: int(ask(node, "select count(*) from event where kind = 'deferred'")) > 0, "it is put off")
    assert not reports(node) and not sink.messages
    backup.behave = able(certificate)
    backup.start()
    wait_gone(node)
    assert len(backup.messages) == 1


def test_other_mail_goes_to_the_same_host_in_clear(node, sink, backup):
    send(node)
    for number in range(3):
        send(node, options=())
    wait_report(node)
    wait_gone(node)
    assert len(sink.messages) == 3


def test_a_report_goes_where_it_is_not_offered(node, sink, backup, certificate):
    """Section 5: the null sender's mail is not lost for it; where it is offered it is said."""
    send(node, sender="")
    wait_gone(node)
    change(sink, able(certificate))
    send(node, sender="")
    wait_gone(node)
    assert sorted("REQUIRETLS" in message.mail_parameters for message in sink.messages) == [False, True], "by two connections, perhaps"


def test_its_report_requires_tls_too(new_posthouse, trusting, sink, backup, certificate):
    node = set_up(new_posthouse(), sink)
    node.api.relay_domain("back.test", "requiretls", backup.port)
    sink.behave = able(certificate, recipient_replies={CAROL: "550 5.1.1 nobody"})
    backup.behave = able(certificate)
    send(node, sender="dave@back.test")
    wait_until(lambda: backup.messages, "the report arrives")
    assert backup.messages[0].sender == "" and "REQUIRETLS" in backup.messages[0].mail_parameters


def test_tls_required_no(new_posthouse, trusting, sink, stranger):
    """verify_tls holds back everything but what says that it shall not; REQUIRETLS wins over that."""
    node = set_up(new_posthouse(settings={"delivery.verify_tls": "yes"}), sink)
    no = "TLS-Required: No\r\n"
    send(node, options=(), fields=no)
    wait_gone(node)
    change(sink, able(stranger))
    send(node, options=(), fields=no)
    wait_gone(node)
    assert [message.tls for message in sink.messages] == ["", "TLSv1.3"]
    send(node, fields=no)
    assert wait_report(node)
    send(node, options=())
    wait_until(lambda: ask(node, "select count(*) from outage where ended_at is null") == "1", "it waits")
    assert len(sink.messages) == 2


def test_verify_tls_and_required(new_posthouse, trusting, sink, certificate):
    node = set_up(new_posthouse(settings={"delivery.verify_tls": "yes"}), sink)
    sink.behave = able(certificate)
    send(node, options=())
    send(node)
    wait_gone(node)
    assert sorted("REQUIRETLS" in message.mail_parameters for message in sink.messages) == [False, True], "by two connections, perhaps"


def test_offered_to_submitters_under_tls_only(node):
    with smtplib.SMTP("127.0.0.1", node.ports["submission"], timeout=30) as connection:
        connection.ehlo()
        assert not connection.has_extn("requiretls")
        connection.starttls(context=node.certificate.context())
        connection.ehlo()
        assert connection.has_extn("requiretls")
