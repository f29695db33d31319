"""Extensions together: what one asks for must not be lost, or undone, by another."""
import email
import email.policy

import pytest

from harness.dialogue import Dialogue
from harness.posthouse import Posthouse, make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour
from test_atrn import Collector
from test_smtputf8 import parts_of

ANN, BOSS, CAROL = "ann@here.test", "boss@turn.test", "carol@primary.test"
PLAIN = Behaviour().extensions


@pytest.fixture
def trusting(certificate, monkeypatch):
    """Programs that are started trust the tests' certificate, as they do the system's authorities."""
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment", lambda self: dict(plain(self), SSL_CERT_FILE=str(certificate.certificate)))


@pytest.fixture
def node(new_posthouse, trusting, sink):
    node = new_posthouse(settings={"smtp.bare_newline": "normalize"}).start()
    for customer, domain in (("here", "here.test"), ("turn", "turn.test")):
        node.api.customer(customer)
        node.api.hosted_domain(domain, customer)
    node.api.account(ANN, "here")
    node.api.account(BOSS, "turn")
    node.api.relay_domain("primary.test", "here", sink.port)
    node.api.account(CAROL, "here")
    node.api.post("/v1/domains", {"name": "collected.test", "customer": "turn", "kind": "relay", "collector": BOSS})
    return node


def send(node, recipient, mail=(), rcpt=(), tls=False, subject="hello", encoding="ascii"):
    with node.smtp() as client:
        if tls:
            client.starttls(context=node.certificate.context())
        client.ehlo()
        client.command_encoding = encoding
        for command in (f"MAIL FROM:<{ANN}> {' '.join(mail)}", f"RCPT TO:<{recipient}> {' '.join(rcpt)}"):
            code, text = client.docmd(command.rstrip())
            assert code == 250, text
        code, text = client.data(make_message(subject, sender=ANN, to="you@here.test"))
        assert code == 250, text


def reports(node):
    return [email.message_from_bytes(text, policy=email.policy.default) for text in node.inbox(ANN)]


def told(node):
    """(Action, Status, recipient) of all that the sender was told."""
    return sorted((block["Action"], block["Status"], block["Final-Recipient"]) for report in reports(node)
                  for block in list(list(report.iter_parts())[1].get_payload())[1:])


def queue(node):
    return node.api.get("/v1/queue")["items"]


def collect(node, extensions=PLAIN):
    collector = Collector(node, extensions=extensions)
    assert collector.atrn("collected.test")[0] == 250
    assert collector.serve()
    return collector


# ------------------------------------------------------------------ REQUIRETLS

def test_requiretls_does_not_go_to_a_collector(node):
    """No certificate tells who that is (RFC 8689 4.2.1): it is returned, and what stands behind it goes."""
    send(node, "joe@collected.test", ["REQUIRETLS"], tls=True, subject="secret")
    send(node, "joe@collected.test", subject="plain")
    wait_equal(lambda: [entry["state"] for entry in queue(node)], ["waiting", "waiting"], "both wait")
    assert collect(node, (*PLAIN, "REQUIRETLS")).subjects() == ["plain"]
    wait_equal(lambda: told(node), [("failed", "5.7.10", "rfc822; joe@collected.test")], "the sender is told")
    assert not queue(node)


@pytest.mark.parametrize("able", [True, False])
def test_requiretls_holds_for_whom_an_alias_names(node, sink, certificate, able):
    node.api.post("/v1/aliases", {"address": "way@here.test", "targets": [CAROL, ANN]})
    sink.behave = Behaviour(tls=certificate.server_context(), tls_extensions=("REQUIRETLS",)) if able else Behaviour()
    send(node, "way@here.test", ["REQUIRETLS"], tls=True)
    if able:
        wait_until(lambda: sink.messages, "it arrives")
        assert sink.messages[0].tls and "REQUIRETLS" in sink.messages[0].mail_parameters.split()
    else:
        wait_until(lambda: len(node.inbox(ANN)) == 2, "the message, and a report")
        failed = [report for report in reports(node) if report.get_content_type() == "multipart/report"]
        assert list(failed[0].iter_parts())[1].get_payload()[1]["Status"] == "5.7.10"
        assert not sink.messages
    assert "hello" in node.subjects(ANN)


# ------------------------------------------------------------------ DELIVERBY

def test_deliver_by_and_a_collector_without_it(node):
    send(node, "joe@collected.test", ["BY=600;R"], subject="in time")
    send(node, "joe@collected.test", subject="whenever")
    wait_equal(lambda: [entry["state"] for entry in queue(node)], ["waiting", "waiting"], "both wait")
    assert collect(node).subjects() == ["whenever"]
    wait_equal(lambda: told(node), [("failed", "5.4.7", "rfc822; joe@collected.test")], "the sender is told")
    assert not queue(node)


def test_deliver_by_and_a_collector_with_it(node):
    send(node, "joe@collected.test", ["BY=600;R"], subject="in time")
    wait_equal(lambda: [entry["state"] for entry in queue(node)], ["waiting"], "it waits")
    assert collect(node, (*PLAIN, "DELIVERBY")).subjects() == ["in time"]
    wait_until(lambda: not queue(node), "the queue is empty")
    assert told(node) == []


def test_deliver_by_and_nobody_collects(node):
    send(node, "joe@collected.test", ["BY=2;R"])
    wait_equal(lambda: told(node), [("failed", "5.4.7", "rfc822; joe@collected.test")], "the sender is told")
    wait_until(lambda: not queue(node), "the queue is empty")
    assert Collector(node).atrn("collected.test")[0] == 453


def test_released_into_an_outage_when_the_time_is_nearly_over(node, sink):
    """FUTURERELEASE, DELIVERBY and an outage: it waits for its time, then for the primary, and comes back when BY is over."""
    sink.stop()
    send(node, "joe@primary.test", subject="opens the outage")
    wait_until(lambda: node.api.get("/v1/outages?open=true")["items"], "the outage is open")
    with node.submission(ANN) as client:
        client.ehlo()
        client.sendmail(ANN, ["dora@primary.test"], make_message("late", sender=ANN), ["HOLDFOR=2", "BY=5;R"])
    assert [entry["state"] for entry in queue(node) if entry["recipient"] == "dora@primary.test"] == ["held"]
    wait_until(lambda: "waiting" in [entry["state"] for entry in queue(node) if entry["recipient"] == "dora@primary.test"], "it is released")
    assert told(node) == []
    wait_equal(lambda: told(node), [("failed", "5.4.7", "rfc822; dora@primary.test")], "the sender is told")
    assert {"Deliver-By-Date", "Future-Release-Request"} <= set(list(reports(node)[0].iter_parts())[1].get_payload()[0].keys())
    sink.start()
    wait_equal(lambda: [subject_of(message.data) for message in sink.messages], ["opens the outage"], "only the other arrives")
    wait_until(lambda: not queue(node), "the queue is empty")


# ------------------------------------------------------------------ SMTPUTF8

DELTA = "\u03b4@primary.test"


def alias_to_delta(node):
    node.api.post("/v1/aliases", {"address": "way@here.test", "targets": [DELTA]})


def test_smtputf8_and_dsn_through_an_alias(node, sink):
    """What was asked for of the alias is asked for of its one target; ORCPT is the address that the sender wrote to."""
    alias_to_delta(node)
    sink.behave = Behaviour(extensions=(*PLAIN, "SMTPUTF8", "DSN"))
    send(node, "way@here.test", ["SMTPUTF8", "RET=HDRS", "ENVID=x1"], ["NOTIFY=SUCCESS,FAILURE", "ORCPT=utf-8;j\\x{FC}rgen@old.test"],
         encoding="utf-8")
    wait_until(lambda: sink.messages, "it arrives")
    (message,) = sink.messages
    assert message.recipients == [DELTA] and {"SMTPUTF8", "RET=HDRS", "ENVID=x1"} <= set(message.mail_parameters.split())
    assert "NOTIFY=SUCCESS,FAILURE" in message.recipient_parameters[0]
    assert message.recipient_parameters[0].split("ORCPT=")[1] in ("utf-8;j\\x{FC}rgen@old.test", "utf-8;j\u00fcrgen@old.test")
    wait_until(lambda: not queue(node), "the queue is empty")
    assert told(node) == []


def test_smtputf8_and_a_failure_behind_an_alias(node, sink):
    """The next hop cannot take the target: the report is RFC 6533's, and names the address as it was."""
    alias_to_delta(node)
    sink.behave = Behaviour(extensions=(*PLAIN, "DSN"))
    send(node, "way@here.test", ["SMTPUTF8", "ENVID=x2"], ["NOTIFY=FAILURE", "ORCPT=rfc822;way@here.test"], encoding="utf-8")
    wait_until(lambda: len(reports(node)) == 1, "the sender is told")
    kinds, texts = zip(*parts_of(node.inbox(ANN)[0]))
    assert kinds[1] == "message/global-delivery-status"
    for line in ("Original-Recipient: rfc822; way@here.test\r\n", f"Final-Recipient: utf-8; {DELTA}\r\n", "Status: 5.6.7\r\n"):
        assert line in texts[1], texts[1]
    assert not sink.messages


# ------------------------------------------------------------------ ETRN behind a proxy

def test_etrn_is_for_the_client_behind_the_proxy(new_posthouse, sink):
    """A next hop asks for its mail through the proxy; the proxy's own address, which is a next hop's, too, gives nobody the right."""
    node = new_posthouse(settings={"delivery.probe_interval": "1h", "delivery.retry_first": "1h", "delivery.retry_max": "1h", "listen.proxy_networks": "127.0.0.1"})
    node.write_config(listen__smtp=f"proxy:127.0.0.1:{node.ports['smtp']}")
    node.start()
    node.api.customer("turn")
    node.api.hosted_domain("here.test", "turn")
    node.api.relay_domain("turn.test", "turn", sink.port)
    node.api.post("/v1/networks", {"cidr": "192.0.2.0/29", "customer": "turn"})
    sink.stop()

    def ask(source, *commands):
        with Dialogue(node) as dialogue:
            dialogue.send(f"PROXY TCP4 {source} 198.51.100.1 40000 25\r\n")
            dialogue.hello()
            return [dialogue.ask(command)[:3] for command in commands]

    with Dialogue(node) as dialogue:
        dialogue.send("PROXY TCP4 203.0.113.5 198.51.100.1 40000 25\r\n")
        dialogue.hello()
        assert dialogue.message("joe@outside.test", "carol@turn.test", make_message("hello")).startswith("250")
    wait_until(lambda: node.api.get("/v1/outages?open=true")["items"], "the outage is open")
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is not null"), [["0"]], "it waits")
    assert ask("203.0.113.5", "ETRN turn.test") == ["459"]
    assert ask("192.0.2.9", "ETRN turn.test") == ["459"]
    sink.start()
    assert ask("192.0.2.1", "ETRN turn.test", "ETRN nowhere.test") == ["253", "459"]
    wait_until(lambda: sink.messages, "it is sent")


# ------------------------------------------------------------------ BDAT and repaired lines

@pytest.mark.parametrize("chunks, expected", [
    ([b"Subject: a\r", b"\n\r\nx\r", b"\ny\r\n"], b"Subject: a\r\n\r\nx\r\ny\r\n"),         # CR LF that two chunks share is one end of line
    ([b"Subject: b\n\nx\n", b".\n", b"\ny\r\n"], b"Subject: b\r\n\r\nx\r\n.\r\n\r\ny\r\n"),  # a dot is content
    ([b"Subject: c\r\n\r\nx\r", b"y\r", b"\r\n"], b"Subject: c\r\n\r\nx y \r\n"),
    ([b"Subject: d\r\n\r\nx\r", b"", b"\ny\n"], b"Subject: d\r\n\r\nx\r\ny\r\n"),           # an empty chunk between them
])
@pytest.mark.parametrize("pieces", [False, True])
def test_chunks_are_repaired_as_one_message(node, chunks, expected, pieces):
    with Dialogue(node) as client:
        client.hello()
        client.ask("MAIL FROM:<joe@outside.test>", "250")
        client.ask(f"RCPT TO:<{ANN}>", "250")
        for number, chunk in enumerate(chunks):
            data = f"BDAT {len(chunk)}{' LAST' if number == len(chunks) - 1 else ''}\r\n".encode() + chunk
            for piece in ([data[i:i + 1] for i in range(len(data))] if pieces else [data]):
                client.send(piece)
            assert client.reply().startswith("250 2.0.0 ")
    (stored,) = node.inbox(ANN)
    assert stored.endswith(b"+0000\r\n" + expected), stored
