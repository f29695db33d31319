"""Mail by MX, through an authoritative server with signed zones and its own trust anchor, given to libunbound."""
import pytest

from harness.nameserver import Nameserver, unavailable
from harness.posthouse import make_message
from harness.process import free_port, wait_until
from harness.sink import Sink

SENDER = "ann@hosted.test"


@pytest.fixture(scope="module")
def dns():
    if unavailable():
        pytest.skip(unavailable())
    with Nameserver() as server:
        server.domain("good.test")
        server.domain("plain.test", signed=False)
        server.domain("forged.test", bogus=True)
        for name in ("good.test", "plain.test", "forged.test"):
            server.set(name, "MX", f"10 mx.{name}.", f"20 backup.{name}.")
            server.set(f"mx.{name}", "A", "127.0.0.2")
            server.set(f"backup.{name}", "A", "127.0.0.3")
        yield server.start()


@pytest.fixture
def hosts():
    """The MX hosts: first and backup."""
    port = free_port()
    with Sink("127.0.0.2", port) as first, Sink("127.0.0.3", port) as backup:
        yield first, backup


@pytest.fixture
def node(new_posthouse, dns, hosts):
    made = new_posthouse(settings={"delivery.mx_port": hosts[0].port, "daemon.workers": 1, **dns.settings}).start()
    made.api.customer("dnssec")
    made.api.hosted_domain("hosted.test", "dnssec")
    made.api.account(SENDER, "dnssec")
    return made


def submit(node, recipient):
    node.submit(SENDER, [recipient], make_message("hello", sender=SENDER, to=recipient))


@pytest.mark.parametrize("domain", ["good.test", "plain.test"])
def test_by_mx(node, hosts, domain):
    first, backup = hosts
    submit(node, f"carol@{domain}")
    wait_until(lambda: first.messages, "it is delivered")
    assert not backup.messages
    first.stop()
    submit(node, f"dave@{domain}")
    wait_until(lambda: backup.messages, "the next host gets it")


def test_forged(node, hosts):
    """Neither diverted nor bounced."""
    submit(node, "carol@forged.test")
    wait_until(lambda: node.query("select 1 from event where kind = 'deferred'"), "it is put off")
    (item,) = node.api.get("/v1/queue")["items"]
    assert item["last_reply"] == "the domain's MX could not be looked up"
    assert not any(host.messages for host in hosts)


def test_another_trust_anchor(new_posthouse, dns, hosts):
    """A world that is signed by somebody else is believed nothing."""
    with Nameserver() as other:
        settings = {**dns.settings, "dns.trust_anchor_file": other.trust_anchor, "delivery.mx_port": hosts[0].port}
        node = new_posthouse(settings=settings).start()
        node.api.customer("dnssec")
        node.api.hosted_domain("hosted.test", "dnssec")
        node.api.account(SENDER, "dnssec")
        submit(node, "carol@good.test")
        wait_until(lambda: node.query("select 1 from event where kind = 'deferred'"), "it is put off")
        assert not any(host.messages for host in hosts)
