"""REQUIRETLS (RFC 8689 4.2.1) to MX hosts: DNSSEC or an MTA-STS policy must vouch for the record that names the host."""
import email

import pytest
from test_sts import (alone, authority, dns, domain, folder, good, hosts, node, number, port, record, settings,  # noqa: F401 (fixtures)
                      stranger, wait_gone, web)

from harness.authority import tlsa
from harness.posthouse import make_message
from harness.process import wait_until
from harness.sink import Behaviour

SENDER = "ann@hosted.test"
NOBODY_VOUCHES = "the sender requires TLS, and neither DNSSEC nor MTA-STS vouches for the MX record that names it"


@pytest.fixture
def signed(dns, number):  # noqa: F811
    name = f"q{next(number)}.test"
    dns.domain(name)
    dns.set(name, "MX", f"10 mx.{name}.")
    dns.set(f"mx.{name}", "A", "127.0.0.2")
    return name


def send(node, domain):  # noqa: F811
    with node.submission(SENDER) as connection:
        connection.sendmail(SENDER, [f"carol@{domain}"], make_message("hello", sender=SENDER), ["REQUIRETLS"])


def able(behave):
    behave.tls_extensions = ("REQUIRETLS",)
    return behave


def wait_report(node, status, words):  # noqa: F811
    (report,) = wait_until(lambda: node.inbox(SENDER), "a report is in the sender's mailbox")
    fields = email.message_from_bytes(report).get_payload()[1].get_payload()[1]
    assert fields["Status"] == status and words in "".join(fields["Diagnostic-Code"].split("\r\n")).replace("\n", "")


def test_dnssec_and_a_certificate(node, signed, hosts, authority):  # noqa: F811
    hosts[0].behave = able(good(authority, f"mx.{signed}"))
    send(node, signed)
    wait_gone(node)
    assert "REQUIRETLS" in hosts[0].messages[0].mail_parameters


def test_dnssec_and_dane(node, dns, signed, hosts, port, stranger):  # noqa: F811
    context, file = stranger.server("x.test")
    dns.tlsa(f"mx.{signed}", tlsa(file), port=port)
    hosts[0].behave = able(Behaviour(tls=context))
    send(node, signed)
    wait_gone(node)
    assert "REQUIRETLS" in hosts[0].messages[0].mail_parameters


def test_dnssec_and_dane_that_does_not_match(node, dns, signed, hosts, port, authority):  # noqa: F811
    """A certificate that the system would take does not help."""
    dns.tlsa(f"mx.{signed}", "3 1 1 " + "00" * 32, port=port)
    hosts[0].behave = able(good(authority, f"mx.{signed}"))
    send(node, signed)
    wait_report(node, "5.7.10", "its certificate cannot be verified")
    assert not hosts[0].messages


def test_records_that_are_forged(node, dns, signed, hosts, port, authority):  # noqa: F811
    """Not the host's lack: it waits."""
    dns.domain(f"_tcp.mx.{signed}", bogus=True)
    dns.tlsa(f"mx.{signed}", "3 1 1 " + "00" * 32, port=port)
    hosts[0].behave = able(good(authority, f"mx.{signed}"))
    send(node, signed)
    wait_until(lambda: node.query("select 1 from event where kind = 'deferred' and class = 'tls'"), "it is put off")
    assert not hosts[0].messages and not node.inbox(SENDER)


@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_sts(node, dns, domain, hosts, web, authority, mode):  # noqa: F811
    alone(dns, domain)
    web.publish(domain, f"mx.{domain}", mode=mode)
    hosts[0].behave = able(good(authority, f"mx.{domain}"))
    send(node, domain)
    wait_gone(node)
    assert "REQUIRETLS" in hosts[0].messages[0].mail_parameters


@pytest.mark.parametrize("case", ["no record", "not named", "not named, testing"])
def test_nobody_vouches(node, dns, domain, hosts, web, authority, case):  # noqa: F811
    alone(dns, domain)
    web.publish(domain, f"other.{domain}", mode="testing" if "testing" in case else "enforce")
    if case == "no record":
        dns.set(f"_mta-sts.{domain}", "TXT")
    hosts[0].behave = able(good(authority, f"mx.{domain}"))
    send(node, domain)
    wait_report(node, "5.7.30", "MTA-STS: the domain's policy does not name it" if case == "not named" else NOBODY_VOUCHES)
    assert not hosts[0].messages
