"""SMTP TLS reporting (RFC 8460): what is counted, and the report, by mail and by HTTPS."""
import datetime
import email
import email.policy
import gzip
import json
import re

import pytest
from test_sts import (alone, authority, dns, domain, folder, good, hosts, number, port, record, stranger, web)  # noqa: F401 (fixtures)
from test_sts import settings as sts_settings  # noqa: F401

from harness.authority import tlsa
from harness.faults import MODES, FaultyPostgres
from harness.posthouse import Posthouse, make_message
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour

SENDER, CONTACT = "ann@hosted.test", "tls@hosted.test"
RESULTS = {"starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", "validation-failure",
           "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"}


@pytest.fixture
def settings(sts_settings):  # noqa: F811
    return {**sts_settings, "delivery.tls_report_contact": CONTACT, "delivery.tls_report_organization": 'The "Post" House'}


@pytest.fixture
def trusting(authority, monkeypatch):  # noqa: F811
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment", lambda self: dict(plain(self), SSL_CERT_FILE=str(authority.certificate)))


def set_up(node):
    node.start()
    node.api.customer("reports")
    node.api.hosted_domain("hosted.test", "reports")
    node.api.account(SENDER, "reports")
    node.api.account(CONTACT, "reports")
    return node


@pytest.fixture
def node(new_posthouse, settings, trusting):
    return set_up(new_posthouse(settings=settings))


def wants(dns, domain, *to):  # noqa: F811
    dns.set(f"_smtp._tls.{domain}", "TXT", f'"v=TLSRPTv1; rua={",".join(to)}"')


def submit(node, domain, name="carol"):  # noqa: F811
    node.submit(SENDER, [f"{name}@{domain}"], make_message("hello", sender=SENDER, to=f"{name}@{domain}"))


def counted(node, domain):  # noqa: F811
    """{(policy type, result, reason): sessions}"""
    rows = node.query(f"select policy_type, result, reason, sum(sessions) from tls_report where domain = '{domain}' group by 1, 2, 3")
    return {tuple(row[:3]): int(row[3]) for row in rows}


def wait_counted(node, domain, expected):  # noqa: F811
    def seen():
        found = counted(node, domain)
        return {key: found.get(key, 0) > 0 for key in expected}
    wait_equal(seen, {key: True for key in expected}, "it is counted")


def make_due(node):
    node.query("update tls_report_domain set due_at = now()")


def check_report(node, report, domain):  # noqa: F811
    """As section 4.4 has it."""
    assert set(report) == {"organization-name", "date-range", "contact-info", "report-id", "policies"}
    assert report["organization-name"] == 'The "Post" House' and report["contact-info"] == CONTACT
    begin, end = (datetime.datetime.strptime(report["date-range"][f"{which}-datetime"], "%Y-%m-%dT%H:%M:%SZ") for which in ("start", "end"))
    assert (begin.hour, begin.minute, begin.second) == (0, 0, 0) and (end - begin).total_seconds() == 86399
    for policy in report["policies"]:
        assert set(policy) <= {"policy", "summary", "failure-details"}
        what = policy["policy"]
        assert what["policy-type"] in ("tlsa", "sts", "no-policy-found") and what["policy-domain"] == domain
        assert all(isinstance(line, str) for name in ("policy-string", "mx-host") for line in what.get(name, []))
        summary = policy["summary"]
        assert set(summary) == {"total-successful-session-count", "total-failure-session-count"}
        failures = policy.get("failure-details", [])
        assert summary["total-failure-session-count"] == sum(each["failed-session-count"] for each in failures)
        assert all(each["result-type"] in RESULTS for each in failures)
    return {policy["policy"]["policy-type"]: policy for policy in report["policies"]}


def opened(file):
    return json.loads(gzip.decompress(file))


# ------------------------------------------------------------------ what is counted


def test_without_a_policy(node, dns, domain, hosts, authority):  # noqa: F811
    dns.set(f"_mta-sts.{domain}", "TXT")
    alone(dns, domain)
    wants(dns, domain, f"mailto:reports@{domain}")
    submit(node, domain)
    wait_counted(node, domain, [("no-policy-found", "starttls-not-supported", "")])
    for behave, result in ((Behaviour(tls_broken=True), "validation-failure"), (good(authority, "whoever.test"), "")):
        wait_until(lambda: all(message.session.ended_well for message in hosts[0].messages), "the connection is over")
        hosts[0].behave = behave
        submit(node, domain)
        wait_counted(node, domain, [("no-policy-found", result, "")])
    rows = node.query(f"select distinct mx, receiving, sending <> '' from tls_report where domain = '{domain}' and result <> ''")
    assert rows == [[f"mx.{domain}", "127.0.0.2", "t"]]


@pytest.mark.parametrize("case, result", [("name", "certificate-host-mismatch"), ("date", "certificate-expired"),
                                          ("stranger", "certificate-not-trusted"), ("clear", "starttls-not-supported"), ("good", "")])
@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_sts(node, dns, domain, hosts, web, authority, stranger, mode, case, result):  # noqa: F811
    alone(dns, domain)
    wants(dns, domain, f"mailto:reports@{domain}")
    web.publish(domain, f"mx.{domain}", mode=mode)
    hosts[0].behave = {"name": lambda: good(authority, "other.test"), "stranger": lambda: good(stranger, f"mx.{domain}"),
                       "date": lambda: Behaviour(tls=authority.server(f"mx.{domain}", days=-1)[0]),
                       "good": lambda: good(authority, f"mx.{domain}"), "clear": Behaviour}[case]()
    submit(node, domain)
    wait_counted(node, domain, [("sts", result, "")])
    assert bool(hosts[0].messages) == (mode == "testing" or case == "good")


@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_sts_and_a_host_that_is_not_named(node, dns, domain, hosts, web, mode):  # noqa: F811
    alone(dns, domain)
    wants(dns, domain, f"mailto:reports@{domain}")
    web.publish(domain, f"other.{domain}", mode=mode)
    hosts[0].behave = Behaviour(tls_broken=True) if mode == "enforce" else Behaviour(tls=web.context(f"mx.{domain}"))
    submit(node, domain)
    wait_counted(node, domain, [("sts", "validation-failure", "mx-not-in-policy")])


@pytest.mark.parametrize("case, result", [("404", "sts-policy-fetch-error"), ("invalid", "sts-policy-invalid"), ("untrusted", "sts-webpki-invalid")])
def test_sts_that_cannot_be_had(node, dns, domain, hosts, web, case, result):  # noqa: F811
    wants(dns, domain, f"mailto:reports@{domain}")
    if case == "invalid":
        web.publish(domain, text="version: STSv1\n")
    if case == "untrusted":
        web.publish(domain, f"mx.{domain}")
        web.untrusted.add(f"mta-sts.{domain}")
    submit(node, domain)
    wait_counted(node, domain, [("sts", result, ""), ("no-policy-found", "starttls-not-supported", "")])


@pytest.mark.parametrize("case, expected", [("good", ""), ("other", "validation-failure"), ("clear", "starttls-not-supported"),
                                            ("unusable", "tlsa-invalid"), ("forged", "dnssec-invalid"), ("required", "dane-required")])
def test_dane(node, dns, number, hosts, port, authority, case, expected):  # noqa: F811
    domain = f"t{next(number)}.test"  # noqa: F811
    dns.domain(domain)
    alone(dns, domain)
    dns.set(f"mx.{domain}", "A", "127.0.0.2")
    wants(dns, domain, f"mailto:reports@{domain}")
    context, file = authority.server("x.test")
    hosts[0].behave = Behaviour() if case == "clear" else Behaviour(tls=context)
    if case == "forged":
        dns.domain(f"_tcp.mx.{domain}", bogus=True)
    if case == "required":
        node.api.post("/v1/delivery-policies", {"domain": domain, "tls": "dane"})
    else:
        dns.tlsa(f"mx.{domain}", {"other": "3 1 1 " + "00" * 32, "unusable": "1 1 1 " + "00" * 32}.get(case, tlsa(file)), port=port)

    def seen():
        if case == "required":
            submit(node, domain)  # until the policy is known
        return ("no-policy-found" if case == "required" else "tlsa", expected, "") in counted(node, domain)
    if case != "required":
        submit(node, domain)
    wait_until(seen, "it is counted", interval=0.5)


def test_nobody_wants_it(new_posthouse, settings, trusting, dns, domain, hosts):  # noqa: F811
    """Neither for a domain without a record, nor with the setting off."""
    node = set_up(new_posthouse(settings=settings))
    wants(dns, f"other-{domain}", "mailto:x@y.test")
    for name in (f"other-{domain}",):
        dns.set(name, "MX", f"10 mx.{domain}.")
    submit(node, domain)
    submit(node, f"other-{domain}")
    wait_counted(node, f"other-{domain}", [("no-policy-found", "starttls-not-supported", "")])
    assert not counted(node, domain)
    off = set_up(new_posthouse(settings={**settings, "delivery.tls_report_contact": None}))
    off.query("insert into tls_report_domain (day, domain, due_at) values ('2026-01-01', 'x.test', now())")
    wants(dns, domain, "mailto:x@y.test")
    submit(off, domain)
    wait_equal(lambda: off.api.get("/v1/queue")["items"], [], "it is delivered")
    assert off.query("select tries from tls_report_domain") == [["0"]]


# ------------------------------------------------------------------ the report


def test_by_mail(node, dns, domain, hosts, port, web, authority):  # noqa: F811
    """To a domain whose TLS is what it tells of: it gets through, and is not counted."""
    alone(dns, domain)
    wants(dns, domain, f"mailto:reports@{domain}?subject=x")
    web.publish(domain, f"mx.{domain}", f"*.{domain}")
    hosts[0].behave = Behaviour()
    submit(node, domain)
    wait_counted(node, domain, [("sts", "starttls-not-supported", "")])
    due = node.query("select due_at - ((day + 1)::timestamp at time zone 'utc') between interval '0' and interval '4 hours',"
                     " day = (now() at time zone 'utc')::date from tls_report_domain")
    assert due == [["t", "t"]]
    make_due(node)
    wait_until(lambda: hosts[0].messages, "the report arrives", timeout=60)
    (received,) = hosts[0].messages
    assert received.sender == CONTACT and received.recipients == [f"reports@{domain}"] and not received.tls
    message = email.message_from_bytes(received.data, policy=email.policy.default)
    assert message["TLS-Report-Domain"] == domain and message["TLS-Report-Submitter"] == "mail.posthouse.test"
    assert message["TLS-Required"] == "No" and (message["From"], message["To"]) == (CONTACT, f"reports@{domain}")
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "tlsrpt"
    assert re.fullmatch(f"Report Domain: {domain} *Submitter: mail.posthouse.test *Report-ID: <[^ <>]+@[^ <>]+>", message["Subject"])
    text, file = message.iter_parts()
    assert text.get_content_type() == "text/plain" and file.get_content_type() == "application/tlsrpt+gzip"
    name = file.get_filename().split("!")
    assert name[:2] == ["mail.posthouse.test", domain] and int(name[3]) - int(name[2]) == 86399 and name[4] == "001.json.gz"
    policies = check_report(node, opened(file.get_content()), domain)
    assert policies["sts"]["policy"]["policy-string"] == ["version: STSv1", "mode: enforce", f"mx: mx.{domain}", f"mx: *.{domain}", "max_age: 86400"]
    assert policies["sts"]["policy"]["mx-host"] == [f"mx.{domain}", f"*.{domain}"]
    (failure,) = policies["sts"]["failure-details"]
    assert (failure["result-type"], failure["receiving-mx-hostname"], failure["receiving-ip"]) == ("starttls-not-supported", f"mx.{domain}", "127.0.0.2")
    wait_equal(lambda: node.query("select count(*) from tls_report_domain where tries > 0"), [["0"]], "it is over")


def test_by_https(node, dns, domain, hosts, port, web, authority):  # noqa: F811
    dns.domain(f"signed-{domain}")
    dns.set(f"signed-{domain}", "MX", f"10 mx.signed-{domain}.")
    dns.set(f"mx.signed-{domain}", "A", "127.0.0.2")
    context, file = authority.server("x.test")
    dns.tlsa(f"mx.signed-{domain}", tlsa(file), port=port)
    dns.set(f"reports.{domain}", "A", "127.0.0.1")
    wants(dns, f"signed-{domain}", f"https://reports.{domain}:{web.port}/v1/tlsrpt?x=1", f"https://nobody.{domain}/")
    hosts[0].behave = Behaviour(tls=context)
    for count in range(3):
        submit(node, f"signed-{domain}")
        wait_until(lambda: len(hosts[0].messages) == count + 1 and hosts[0].messages[-1].session.ended_well, "the connection is over")
    wait_until(lambda: counted(node, f"signed-{domain}") == {("tlsa", "", ""): 3}, "all are counted")
    make_due(node)
    (path, media_type, body) = wait_until(lambda: web.posted, "the report arrives", timeout=60)[0]
    assert (path, media_type) == ("/v1/tlsrpt?x=1", "application/tlsrpt+gzip")
    policies = check_report(node, opened(body), f"signed-{domain}")
    assert policies["tlsa"]["policy"]["policy-string"] == [tlsa(file)]
    assert policies["tlsa"]["summary"] == {"total-successful-session-count": 3, "total-failure-session-count": 0}
    wait_equal(lambda: node.query("select count(*) from tls_report"), [["0"]], "it is over")
    wait_until(lambda: "posthouse_tls_reports_total 1" in node.api.request("GET", "/metrics")[2], "it is in the metrics")
    assert len(web.posted) == 1


def test_it_is_tried_again(node, dns, domain, hosts, web):  # noqa: F811
    dns.set(f"_mta-sts.{domain}", "TXT")
    dns.set(f"reports.{domain}", "A", "127.0.0.1")
    wants(dns, domain, f"https://reports.{domain}:{web.port}/")
    web.post_status = 500
    submit(node, domain)
    wait_counted(node, domain, [("no-policy-found", "starttls-not-supported", "")])
    make_due(node)
    wait_equal(lambda: node.query("select tries, due_at > now() + interval '25 minutes' from tls_report_domain"), [["1", "t"]], "it was tried", timeout=60)
    wait_until(lambda: len(web.posted) == 1, "it was tried")
    node.query("update tls_report_domain set tries = 47")
    web.untrusted.add(f"reports.{domain}")
    make_due(node)
    wait_equal(lambda: node.query("select count(*) from tls_report_domain"), [["0"]], "it is given up after a day", timeout=60)
    assert len(web.posted) == 1
    wait_until(lambda: "posthouse_tls_reports_failed_total 1" in node.api.request("GET", "/metrics")[2], "it is in the metrics")


def test_one_node_sends(new_posthouse, node, settings, dns, domain, hosts, web):  # noqa: F811
    other = new_posthouse(settings={**settings, "database.conninfo": node.values["database.conninfo"], "daemon.hostname": "second.posthouse.test"})
    other.token = node.token
    other.start()
    dns.set(f"reports.{domain}", "A", "127.0.0.1")
    names = [f"n{count}-{domain}" for count in range(6)]
    for name in names:
        wants(dns, name, f"https://reports.{domain}:{web.port}/{name}")
    for name in names:
        node.query(f"insert into tls_report_domain values ('2026-01-01', '{name}', now() + interval '1 hour');"
                   f"insert into tls_report values ('2026-01-01', '{name}', 'k', 'no-policy-found', '', '', '', '', '', '', '', 7)")
    make_due(node)
    wait_equal(lambda: node.query("select count(*) from tls_report_domain"), [["0"]], "all are sent", timeout=60)
    assert sorted(path for path, _, _ in web.posted) == sorted(f"/{name}" for name in names)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("statement", ["tls_report_add_rows", "tls_report_take", "tls_report_read", "tls_report_end"])
def test_a_database_that_fails(new_posthouse, own_postgres, settings, trusting, dns, domain, hosts, web, statement, mode):  # noqa: F811
    """Counts may be lost; a report goes once at least."""
    faulty = FaultyPostgres(own_postgres)
    try:
        node = set_up(new_posthouse(postgres=faulty, settings={**settings, "database.statement_timeout": "500ms"}))
        dns.set(f"_mta-sts.{domain}", "TXT")
        dns.set(f"reports.{domain}", "A", "127.0.0.1")
        wants(dns, domain, f"https://reports.{domain}:{web.port}/")
        fault = faulty.arm(statement, mode)
        submit(node, domain)
        if statement == "tls_report_add_rows":
            wait_until(lambda: fault.struck, "the fault struck")
            wait_until(lambda: all(message.session.ended_well for message in hosts[0].messages), "the connection is over")
            submit(node, domain)
        wait_counted(node, domain, [("no-policy-found", "starttls-not-supported", "")])

        def over():
            make_due(node)
            return fault.struck and web.posted and node.query("select count(*) from tls_report_domain") == [["0"]]
        wait_until(over, "it is sent", timeout=90, interval=1)
        node.close()
    finally:
        faulty.close()
