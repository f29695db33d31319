"""ETRN (RFC 1985): who is entitled has waiting mail sent at once; others are not told whether there is any."""
import smtplib

import pytest

from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until

CAROL, DEAN = "carol@turn.test", "dean@low.turn.test"
PATIENCE = {"delivery.probe_interval": "1h", "delivery.retry_first": "1h", "delivery.retry_max": "1h"}


@pytest.fixture
def node(new_posthouse, sink):
    node = new_posthouse(settings={**PATIENCE, "smtp.xclient_networks": "127.0.0.1"}).start()
    node.api.customer("turn")
    node.api.customer("other")
    node.api.relay_domain("turn.test", "turn", sink.port)
    node.api.relay_domain("low.turn.test", "turn", sink.port)
    node.api.hosted_domain("here.test", "turn")
    node.api.account("boss@here.test", "turn")
    node.api.hosted_domain("there.test", "other")
    node.api.account("eve@there.test", "other")
    return node


def from_elsewhere(node):
    connection = node.smtp()
    connection.ehlo()
    assert connection.docmd("XCLIENT", "ADDR=192.0.2.7")[0] == 220
    connection.ehlo()
    return connection


def etrn(connection, name):
    code, text = connection.docmd("ETRN", name)
    return code, text.decode()


def audited(node):
    return node.query("select path, status, detail from audit_log where method = 'ETRN' order by path")


def subjects(sink):
    return sorted(subject_of(message.data) for message in sink.messages)


def away(node, sink, *recipients):
    sink.stop()
    for number, recipient in enumerate(recipients):
        node.send("joe@outside.test", recipient, make_message(f"m{number}", to=recipient))
    domains = len({recipient.partition("@")[2] for recipient in recipients})
    wait_equal(lambda: node.query("select count(*) from outage where ended_at is null"), [[str(domains)]],
               "the outages are open")
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is not null"), [["0"]], "all waits")


def test_a_primary_that_is_back_asks_for_its_mail(node, sink):
    """Its address entitles it; the probe that would come in an hour comes now."""
    away(node, sink, CAROL, CAROL)
    sink.start()
    with node.smtp() as connection:
        connection.ehlo()
        assert connection.has_extn("etrn")
        code, text = etrn(connection, "turn.test")
        assert (code, "2 pending messages" in text) == (253, True), text
    wait_equal(lambda: subjects(sink), ["m0", "m1"], "both are at the primary")
    wait_equal(lambda: node.query("select count(*) from outage where ended_at is null"), [["0"]], "the outage is over", timeout=30)
    with node.smtp() as connection:
        connection.ehlo()
        assert etrn(connection, "turn.test")[0] == 251
    assert audited(node) == [["/v1/domains/turn.test", "250", "a client at 127.0.0.1"]], "asking in vain does nothing"
    told = node.query("select recipient, detail, count(*) from event where kind = 'etrn' group by message_id, 1, 2")
    assert told == [[CAROL, "a client at 127.0.0.1", "1"]] * 2, "each message tells of it, once in a minute"


def test_who_is_entitled(node, sink):
    away(node, sink, CAROL)
    with from_elsewhere(node) as connection:
        stranger = etrn(connection, "turn.test")
        assert stranger[0] == 459
        assert etrn(connection, "nowhere.test") == (459, stranger[1].replace("turn.test", "nowhere.test")), "nothing is told"
    with node.submission("eve@there.test") as connection:
        assert etrn(connection, "@turn.test")[0] == 251, "nothing below it is hers"
    with node.submission("boss@here.test") as connection:
        assert etrn(connection, "turn.test")[0] == 253
        assert etrn(connection, "here.test")[0] == 251
    node.api.post("/v1/networks", {"cidr": "192.0.2.0/24", "customer": "turn"})
    with from_elsewhere(node) as connection:
        wait_until(lambda: etrn(connection, "turn.test")[0] == 253, "the customer's network is known")
    assert not sink.messages
    assert "192.0.2.7" not in str(audited(node)[0]), "a stranger who was refused did nothing"


def test_subdomains_too(node, sink):
    away(node, sink, CAROL, DEAN)
    with node.submission("boss@here.test") as connection:  # while it is away: a probe that comes first finds nothing to say
        code, text = etrn(connection, "@turn.test")
        assert (code, "2 pending messages" in text) == (253, True), text
    sink.start()
    wait_equal(lambda: subjects(sink), ["m0", "m1"], "both are at their primary")
    wait_equal(lambda: audited(node), [[f"/v1/domains/{name}", "250", "boss@here.test from 127.0.0.1"] for name in ("low.turn.test", "turn.test")],
               "both are in the audit log")


def test_a_back_off_without_an_outage_is_over(node, sink):
    """The destination is put off for long, and nobody probes: due at once."""
    away(node, sink, CAROL)
    node.query("update outage set ended_at = now()")
    sink.start()
    with node.smtp() as connection:
        connection.ehlo()
        assert etrn(connection, "turn.test")[0] == 253
    wait_equal(lambda: subjects(sink), ["m0"], "it is at the primary")


def test_the_database_is_away(new_posthouse, own_postgres):
    node = new_posthouse(postgres=own_postgres).start()
    with node.smtp() as connection:
        connection.ehlo()
        own_postgres.stop()
        assert etrn(connection, "turn.test")[0] == 458
