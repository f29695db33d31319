"""TLS reports by mail are signed (RFC 8460 section 3): checked by dkimpy, which finds the key in the name server."""
import base64
import subprocess

import dkim
import pytest
from test_sts import (alone, authority, dns, domain, folder, hosts, number, port, record, stranger, web)  # noqa: F401 (fixtures)
from test_sts import settings as sts_settings  # noqa: F401
from test_tlsrpt import CONTACT, make_due, set_up, submit, trusting, wait_counted, wants  # noqa: F401

from harness.process import wait_until
from harness.sink import Behaviour

KEYS = {"rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ed25519": ["-algorithm", "ED25519"]}


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


@pytest.fixture
def make_key(tmp_path):
    def make(kind, arguments=None):
        """The file, and what stands in DNS."""
        file = tmp_path / f"{kind}.pem"
        openssl("genpkey", *(arguments or KEYS[kind]), "-out", str(file))
        public = openssl("pkey", "-in", str(file), "-pubout", "-outform", "DER")
        text = f"v=DKIM1; s=tlsrpt; k={kind}; p={base64.b64encode(public[-32:] if kind == 'ed25519' else public).decode()}"
        return file, " ".join(f'"{text[at:at + 200]}"' for at in range(0, len(text), 200))
    return make


def asks(dns):  # noqa: F811
    def ask(name, timeout=5):
        name = name.decode() if isinstance(name, bytes) else name
        shown = subprocess.run(["kdig", "@127.0.0.1", "-p", str(dns.port), "+short", "TXT", name], check=True, capture_output=True, text=True).stdout
        return "".join(part.strip('"') for part in shown.strip().split('" "')).encode()
    return ask


@pytest.mark.parametrize("kind", KEYS)
def test_a_report_is_signed(new_posthouse, sts_settings, trusting, make_key, dns, domain, hosts, kind):  # noqa: F811
    file, published = make_key(kind)
    dns.set(f"reports1._domainkey.{domain}", "TXT", published)
    node = set_up(new_posthouse(settings={**sts_settings, "delivery.tls_report_contact": CONTACT, "delivery.tls_report_dkim_key": file,
                                          "delivery.tls_report_dkim_selector": "reports1", "delivery.tls_report_dkim_domain": domain}))
    dns.set(f"_mta-sts.{domain}", "TXT")
    alone(dns, domain)
    wants(dns, domain, f"mailto:reports@{domain}")
    hosts[0].behave = Behaviour()
    submit(node, domain)
    wait_counted(node, domain, [("no-policy-found", "starttls-not-supported", "")])
    wait_until(lambda: hosts[0].messages, "the message arrives")
    make_due(node)
    wait_until(lambda: len(hosts[0].messages) == 2, "the report arrives", timeout=60)
    report = hosts[0].messages[1].data
    fields = report.partition(b"\r\n\r\n")[0].decode()
    assert f"a={kind}-sha256; c=relaxed/relaxed;" in fields and f"d={domain}; s=reports1;" in fields
    assert dkim.verify(report, dnsfunc=asks(dns), tlsrpt=True)
    assert not dkim.verify(report.replace(b"aggregate TLS report", b"aggregate tls report"), dnsfunc=asks(dns), tlsrpt=True)
    assert not dkim.verify(report.replace(b"TLS-Report-Domain: ", b"TLS-Report-Domain: x"), dnsfunc=asks(dns), tlsrpt=True)
    assert dkim.verify(report.replace(b"Subject: Report Domain: ", b"Subject:   Report  Domain:\t"), dnsfunc=asks(dns), tlsrpt=True)


def test_the_domain_is_the_contacts_and_without_a_key_nothing_is_signed(new_posthouse, sts_settings, trusting, make_key, dns, domain, hosts):  # noqa: F811
    file, _ = make_key("ed25519")
    node = set_up(new_posthouse(settings={**sts_settings, "delivery.tls_report_contact": CONTACT, "delivery.tls_report_dkim_key": file,
                                          "delivery.tls_report_dkim_selector": "reports1"}))
    dns.set(f"_mta-sts.{domain}", "TXT")
    alone(dns, domain)
    wants(dns, domain, f"mailto:reports@{domain}")

    def report():
        before = len(hosts[0].messages)
        submit(node, domain)
        wait_counted(node, domain, [("no-policy-found", "starttls-not-supported", "")])
        make_due(node)
        wait_until(lambda: len(hosts[0].messages) == before + 2, "the report arrives", timeout=60)
        return hosts[0].messages[-1].data
    assert b"d=hosted.test; s=reports1;" in report()
    node.write_config(**{"delivery.tls_report_dkim_key": None})
    node.stop()
    node.start()
    assert b"DKIM-Signature" not in report()


def test_what_the_configuration_says(new_posthouse, make_key):
    node = new_posthouse(settings={"delivery.tls_report_contact": CONTACT})
    done = node.command("--check-config")
    assert "warning: reports by mail are not signed" in done.stderr and "no errors" in done.stdout
    file, _ = make_key("rsa")
    node.write_config(**{"delivery.tls_report_dkim_key": file})
    assert "a key needs tls_report_dkim_selector" in node.command("--check-config", check=False).stderr
    node.write_config(**{"delivery.tls_report_dkim_selector": "a b"})
    assert 'tls_report_dkim_selector: "a b" is no name' in node.command("--check-config", check=False).stderr
    node.write_config(**{"delivery.tls_report_dkim_selector": "s1", "delivery.tls_report_dkim_domain": "no domain"})
    assert 'tls_report_dkim_domain: "no domain" is not a domain' in node.command("--check-config", check=False).stderr
    node.write_config(**{"delivery.tls_report_dkim_domain": None})
    done = node.command("--check-config")
    assert "warning" not in done.stderr and "no errors" in done.stdout
    for name, arguments, why in (("small", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "neither an RSA key of 2048 bits"),
                                 ("curve", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "neither an RSA key")):
        node.write_config(**{"delivery.tls_report_dkim_key": make_key(name, arguments)[0]})
        assert why in node.command("--check-config", check=False).stderr
    node.write_config(**{"delivery.tls_report_dkim_key": "/nowhere.pem"})
    assert "cannot be read" in node.command("--check-config", check=False).stderr
