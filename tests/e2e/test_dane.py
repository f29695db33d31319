"""DANE (RFC 7672) by MX, with a signed zone: records that are good, wrong, absent, unusable, forged."""
import pytest

from harness.authority import Authority, tlsa
from harness.nameserver import Nameserver, unavailable
from harness.posthouse import make_message
from harness.process import free_port, make_folder, remove_folder, wait_equal, wait_until
from harness.sasl_server import Passwords
from harness.sink import Behaviour, Sink

SENDER = "ann@hosted.test"
NO_MATCH = "DANE: its certificate is not one that its TLSA records mean"
NO_TLS = "DANE: it has TLSA records, so TLS is required, which does not come about with it"
NO_RECORDS = "the policy for the domain requires DANE, and it has no TLSA records that DNSSEC vouches for"


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def dns():
    if unavailable():
        pytest.skip(unavailable())
    with Nameserver() as server:
        yield server.start()


@pytest.fixture(scope="module")
def authority():
    folder = make_folder("authority")
    yield Authority(folder)
    remove_folder(folder)


@pytest.fixture
def hosts(port):
    """The MX hosts of a domain: first and backup."""
    with Sink("127.0.0.2", port) as first, Sink("127.0.0.3", port) as backup:
        yield first, backup


@pytest.fixture(scope="module")
def number():
    """Each test has a domain of its own: what libunbound remembers is not another's."""
    return iter(range(1000))


@pytest.fixture
def domain(dns, number):
    name = f"d{next(number)}.test"
    dns.domain(name)
    dns.set(name, "MX", f"10 mx.{name}.", f"20 backup.{name}.")
    dns.set(f"mx.{name}", "A", "127.0.0.2")
    dns.set(f"backup.{name}", "A", "127.0.0.3")
    return name


@pytest.fixture
def node(new_posthouse, dns, port):
    made = new_posthouse(settings={"delivery.mx_port": port, "daemon.workers": 1, **dns.settings}).start()
    made.api.customer("dane")
    made.api.hosted_domain("hosted.test", "dane")
    made.api.account(SENDER, "dane")
    return made


def submit(node, domain, name="carol"):
    node.submit(SENDER, [f"{name}@{domain}"], make_message("hello", sender=SENDER, to=f"{name}@{domain}"))


def deferred(node):
    return [row[0] for row in node.query("select detail from event where kind = 'deferred' order by id")]


def wait_refused(node, port, host, why, verified="opportunistic"):
    """verified: how the connection was protected that was not good enough; None: there was none."""
    wait_equal(lambda: deferred(node)[:1], [f"{host}:{port}: {why}"], "it is put off")
    (item,) = node.api.get("/v1/queue")["items"]
    assert item["last_reply"] == f"{host}:{port}: {why}"
    events = node.api.get(f"/v1/messages/{item['message']}/events")["items"]
    event = next(event for event in events if event["kind"] == "deferred")
    assert (event["detail"], event["class"]) == (f"{host}:{port}: {why}", "tls")
    assert event["tls_verified"] == verified
    return events_of(node, item["message"])


def events_of(node, message):
    return lambda kind: next(event for event in node.api.get(f"/v1/messages/{message}/events")["items"] if event["kind"] == kind)


def secured(node):
    """How the events say that deliveries were protected."""
    return [tuple(row) for row in node.query("select distinct tls_version, tls_cipher, tls_verified from event where kind = 'delivered'")]


BY_DANE = [("TLSv1.3", "TLS_AES_256_GCM_SHA384", "dane")]


def alone(dns, domain):
    """One MX host."""
    dns.set(domain, "MX", f"10 mx.{domain}.")


def wait_gone(node):
    wait_equal(lambda: node.api.get("/v1/queue")["items"], [], "it is delivered")


# ------------------------------------------------------------------ good


@pytest.mark.parametrize("selector, matching", [(1, 1), (1, 2), (0, 0), (0, 1)])
def test_the_certificate_itself(node, dns, domain, hosts, port, authority, selector, matching):
    """DANE-EE(3): names and dates do not matter (RFC 7672 3.1.1)."""
    context, file = authority.server("somebody.else.test", days=-1)
    hosts[0].behave = Behaviour(tls=context)
    dns.tlsa(f"mx.{domain}", tlsa(file, 3, selector, matching), port=port)
    submit(node, domain)
    wait_gone(node)
    assert hosts[0].messages[0].tls and secured(node) == BY_DANE


@pytest.mark.parametrize("name", ["mx.{}", "{}", "*.{}"])
def test_its_authority(node, dns, domain, hosts, port, authority, name):
    """DANE-TA(2): for the host's name, or the domain's (3.2.2)."""
    context, _ = authority.server(name.format(domain))
    hosts[0].behave = Behaviour(tls=context)
    dns.tlsa(f"mx.{domain}", tlsa(authority.certificate, 2, 0, 1), port=port)
    submit(node, domain)
    wait_gone(node)
    assert hosts[0].messages[0].tls and secured(node) == BY_DANE


def test_a_domain_without_mx(node, dns, domain, hosts, port, authority):
    """It is its own host (2.2.1)."""
    context, file = authority.server("x.test")
    hosts[0].behave = Behaviour(tls=authority.server(domain)[0])
    dns.set(domain, "MX")
    dns.set(domain, "A", "127.0.0.2")
    dns.tlsa(domain, tlsa(file), port=port)
    submit(node, domain)
    wait_refused(node, port, domain, NO_MATCH)
    hosts[0].behave = Behaviour(tls=context)
    wait_gone(node)
    assert secured(node) == BY_DANE


def test_a_host_that_is_configured(new_posthouse, dns, domain, hosts, port, authority):
    """A smart host may have records, too (2.2.3), and a policy of the recipient's domain that requires them is met by them."""
    context, file = authority.server("x.test")
    hosts[0].behave = Behaviour(tls=context)
    dns.tlsa(f"mx.{domain}", tlsa(file), port=port)
    node = new_posthouse(settings={"delivery.default_route": f"mx.{domain}:{port}", "daemon.workers": 1, **dns.settings}).start()
    node.api.customer("dane")
    node.api.hosted_domain("hosted.test", "dane")
    node.api.account(SENDER, "dane")
    policy(node, "elsewhere.test", "dane")
    submit(node, "elsewhere.test")
    submit(node, "other.test")
    wait_gone(node)
    assert secured(node) == BY_DANE
    wait_until(lambda: all(message.session.ended_well for message in hosts[0].messages), "the connections are over")
    hosts[0].behave = Behaviour(tls=authority.server(f"mx.{domain}")[0])
    submit(node, "other.test")
    wait_refused(node, port, f"mx.{domain}", NO_MATCH)


def test_nobody_signs_in_at_a_host_that_is_not_the_one(node, dns, domain, hosts, port, authority):
    """A credential that asks for no certificate does not lower what the host's records say."""
    context, file = authority.server("x.test")
    asked, login = [], Passwords("relay", "a secret")

    def auth(session, mechanism, initial):
        asked.append(mechanism)
        login(session, mechanism, initial)
    hosts[0].behave = Behaviour(tls=authority.server("other.test")[0], tls_extensions=("AUTH PLAIN",), auth=auth)
    dns.tlsa(f"mx.{domain}", tlsa(file), port=port)
    node.api.post("/v1/credentials", {"name": "login", "user": "relay", "password": "a secret", "tls": "encrypt"})
    node.api.post("/v1/routes", {"name": "smart", "next_hops": [{"host": f"mx.{domain}", "port": port, "credential": "login"}]})
    node.api.post("/v1/route-rules", {"customer": "dane", "route": "smart"})
    submit(node, "elsewhere.test")
    wait_refused(node, port, f"mx.{domain}", NO_MATCH)
    assert asked == [], "the password is not for whoever that is"
    hosts[0].behave = Behaviour(tls=context, tls_extensions=("AUTH PLAIN",), auth=auth)
    wait_gone(node)
    assert asked == ["PLAIN"] and secured(node) == BY_DANE


def test_behind_an_alias(node, dns, domain, hosts, port, authority):
    """The records are at the end of signed aliases, or where they begin (2.2.2); SNI says which."""
    asked = []
    context, file = authority.server("x.test")
    context.sni_callback = lambda connection, name, _: asked.append(name)
    hosts[0].behave = Behaviour(tls=context)
    dns.domain("elsewhere.test")
    dns.set(f"mx.{domain}", "A")
    dns.set(f"mx.{domain}", "CNAME", "box.elsewhere.test.")
    dns.set("box.elsewhere.test", "A", "127.0.0.2")
    dns.tlsa("box.elsewhere.test", tlsa(file), port=port)
    alone(dns, domain)
    submit(node, domain)
    wait_gone(node)
    assert asked == ["box.elsewhere.test"]
    dns.tlsa("box.elsewhere.test", port=port)
    dns.set(f"_{port}._tcp.mx.{domain}", "CNAME", f"_dane.{domain}.")
    dns.set(f"_dane.{domain}", "TLSA", tlsa(file))
    wait_until(lambda: hosts[0].messages[0].session.ended_well, "its connection is over")
    submit(node, domain)
    wait_gone(node)
    assert asked == ["box.elsewhere.test", f"mx.{domain}"]


def test_an_alias_to_a_zone_that_is_not_signed(node, dns, domain, hosts, port, authority):
    """The records at the alias itself count (2.2.2)."""
    dns.domain(f"u-{domain}", signed=False)
    dns.set(f"mx.{domain}", "A")
    dns.set(f"mx.{domain}", "CNAME", f"box.u-{domain}.")
    dns.set(f"box.u-{domain}", "A", "127.0.0.2")
    alone(dns, domain)
    context, file = authority.server("x.test")
    hosts[0].behave = Behaviour(tls=authority.server("y.test")[0])
    dns.tlsa(f"mx.{domain}", tlsa(file), port=port)
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NO_MATCH)
    hosts[0].behave = Behaviour(tls=context)
    wait_gone(node)


def test_a_certificate_that_is_rolled_over(node, dns, domain, hosts, port, authority):
    """The old and the next are both there; unusable ones beside them do no harm."""
    context, file = authority.server("x.test")
    hosts[0].behave = Behaviour(tls=context)
    dns.tlsa(f"mx.{domain}", "3 1 1 " + "00" * 32, "1 1 1 " + "11" * 32, "3 7 9 abcd", tlsa(file), port=port)
    submit(node, domain)
    wait_gone(node)
    assert hosts[0].messages[0].tls


# ------------------------------------------------------------------ wrong


def test_another_certificate(node, dns, domain, hosts, port, authority):
    """The next host is tried; when there is none it waits, and nothing is sent in clear."""
    context, file = authority.server(f"mx.{domain}")
    hosts[0].behave = Behaviour(tls=context)
    hosts[1].behave = Behaviour(tls=context)
    dns.tlsa(f"mx.{domain}", "3 1 1 " + "00" * 32, port=port)
    dns.tlsa(f"backup.{domain}", tlsa(file), port=port)
    submit(node, domain)
    wait_gone(node)
    assert not hosts[0].messages and hosts[1].messages[0].tls
    alone(dns, domain)
    wait_until(lambda: hosts[1].messages[0].session.ended_well, "the connection is over")
    submit(node, domain, "dave")
    event = wait_refused(node, port, f"mx.{domain}", NO_MATCH)
    dns.tlsa(f"mx.{domain}", tlsa(file), port=port)
    wait_gone(node)
    event = event("delivered")
    assert (event["tls_version"], event["tls_cipher"], event["tls_verified"], event["class"]) == BY_DANE[0] + (None,)
    assert [message.recipients for message in hosts[0].messages] == [[f"dave@{domain}"]]


@pytest.mark.parametrize("names", [["other.test"], ["sub.mx.{}"]])
def test_an_authority_but_another_name(node, dns, domain, hosts, port, authority, names):
    context, _ = authority.server(*(name.format(domain) for name in names))
    hosts[0].behave = Behaviour(tls=context)
    dns.tlsa(f"mx.{domain}", tlsa(authority.certificate, 2, 0, 1), port=port)
    alone(dns, domain)
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NO_MATCH)


def test_an_authority_and_a_date_that_is_over(node, dns, domain, hosts, port, authority):
    context, _ = authority.server(f"mx.{domain}", days=-1)
    hosts[0].behave = Behaviour(tls=context)
    dns.tlsa(f"mx.{domain}", tlsa(authority.certificate, 2, 0, 1), port=port)
    alone(dns, domain)
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NO_MATCH)


@pytest.mark.parametrize("behave", [Behaviour(), Behaviour(tls_broken=True), Behaviour(cut_at="starttls", tls_broken=True)])
def test_no_tls_where_there_are_records(node, dns, domain, hosts, port, authority, behave):
    hosts[0].behave = behave
    context, file = authority.server("x.test")
    dns.tlsa(f"mx.{domain}", tlsa(file), port=port)
    alone(dns, domain)
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NO_TLS, "none")
    assert not hosts[0].asked
    hosts[0].behave = Behaviour(tls=context)
    wait_gone(node)
    assert hosts[0].messages[0].tls


def test_records_that_are_forged(node, dns, domain, hosts, port, authority):
    """The host is not used (2.1.2), not even with TLS; another is."""
    hosts[0].behave = Behaviour(tls=authority.server("x.test")[0])
    dns.domain(f"_tcp.mx.{domain}", bogus=True)
    dns.tlsa(f"mx.{domain}", "3 1 1 " + "00" * 32, port=port)
    submit(node, domain)
    wait_gone(node)
    assert not hosts[0].messages and hosts[1].messages
    alone(dns, domain)
    wait_until(lambda: hosts[1].messages[0].session.ended_well, "the connection is over")
    submit(node, domain, "dave")
    wait_refused(node, port, f"mx.{domain}", "DANE: its TLSA records could not be looked up, or are forged", None)
    assert not hosts[0].asked


# ------------------------------------------------------------------ unusable, absent


@pytest.mark.parametrize("records", [["1 1 1 " + "00" * 32], ["3 7 9 abcd"], ["3 1 1 abcd", "0 0 1 " + "00" * 32]])
def test_records_that_cannot_be_used(node, dns, domain, hosts, port, authority, records):
    """TLS is required, whoever it is (2.2)."""
    dns.tlsa(f"mx.{domain}", *records, port=port)
    alone(dns, domain)
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NO_TLS, "none")
    hosts[0].behave = Behaviour(tls=authority.server("x.test")[0])
    wait_gone(node)
    assert hosts[0].messages[0].tls and secured(node)[0][2] == "opportunistic"


@pytest.mark.parametrize("where", ["nowhere", "zone", "mx"])
def test_absent(node, dns, domain, hosts, port, where):
    """Nobody vouches for anything: opportunistic, in clear if need be."""
    if where == "zone":
        domain = f"u-{domain}"
        dns.domain(domain, signed=False)
        dns.set(domain, "MX", f"10 mx.{domain}.")
        dns.set(f"mx.{domain}", "A", "127.0.0.2")
        dns.tlsa(f"mx.{domain}", "3 1 1 " + "00" * 32, port=port)
    if where == "mx":  # signed, but named by who is not
        dns.tlsa(f"mx.{domain}", "3 1 1 " + "00" * 32, port=port)
        dns.domain(f"u-{domain}", signed=False)
        dns.set(f"u-{domain}", "MX", f"10 mx.{domain}.")
        domain = f"u-{domain}"
    hosts[0].behave = Behaviour(tls_broken=True)
    submit(node, domain)
    wait_gone(node)
    assert hosts[0].messages and not hosts[0].messages[0].tls
    assert node.query("select tls_version is null and tls_cipher is null, tls_verified from event where kind = 'delivered'") == [["t", "none"]]


# ------------------------------------------------------------------ policies


def policy(node, domain, tls):
    made = node.api.post("/v1/delivery-policies", {"domain": domain, "tls": tls})
    assert made["tls"] == tls


def test_the_policy_requires_it(node, dns, domain, hosts, port, authority):
    policy(node, domain, "dane")
    context, file = authority.server("x.test")
    hosts[0].behave = Behaviour(tls=context)
    alone(dns, domain)

    def put_off():
        submit(node, domain)
        wait_until(lambda: all(item["attempts"] for item in node.api.get("/v1/queue")["items"]), "it was tried")
        return deferred(node)
    wait_until(put_off, "the policy is known")
    wait_refused(node, port, f"mx.{domain}", NO_RECORDS)
    before = len(hosts[0].messages)
    dns.tlsa(f"mx.{domain}", "1 1 1 " + "00" * 32, port=port)
    reason = f"mx.{domain}:{port}: the policy for the domain requires DANE, and none of its TLSA records can be used"
    wait_until(lambda: deferred(node)[-1] == reason, "unusable ones are not enough")
    dns.tlsa(f"mx.{domain}", tlsa(file), port=port)
    wait_gone(node)
    assert len(hosts[0].messages) > before and all(message.tls for message in hosts[0].messages[before:])


def test_the_policy_requires_it_of_an_unsigned_domain(node, dns, domain, hosts, port):
    domain = f"u-{domain}"
    dns.domain(domain, signed=False)
    dns.set(domain, "MX", f"10 mx.{domain}.")
    dns.set(f"mx.{domain}", "A", "127.0.0.2")
    policy(node, domain, "dane")
    reason = (f"mx.{domain}:{port}: the policy for the domain requires DANE, and DNSSEC does not vouch for the MX record that "
              "names it")

    def put_off():
        submit(node, domain)
        return reason in deferred(node)
    wait_until(put_off, "it is put off", interval=0.3)


def test_a_route_requires_it(new_posthouse, dns, domain, hosts, port, authority):
    """Of a smart host, whatever the recipient's domain is: without records, with others, and with a certificate that is another."""
    node = new_posthouse(settings={"delivery.default_route": "route:guarded", "daemon.workers": 1, "delivery.retry_first": "300ms",
                                   "delivery.retry_max": "300ms", **dns.settings})
    context, file = authority.server("x.test")
    hosts[0].behave = Behaviour(tls=authority.server(f"mx.{domain}")[0])
    node.start()
    node.api.customer("dane")
    node.api.hosted_domain("hosted.test", "dane")
    node.api.account(SENDER, "dane")
    hops = [{"host": f"mx.{domain}", "port": port, "tls": "dane"}]
    assert node.api.post("/v1/routes", {"name": "guarded", "next_hops": hops})["next_hops"][0]["tls"] == "dane"
    node.api.post("/v1/delivery-policies", {"domain": "plain.test", "tls": "none"})
    submit(node, "elsewhere.test")
    wait_refused(node, port, f"mx.{domain}", "its route requires DANE, and it has no TLSA records that DNSSEC vouches for and that can be used")
    dns.tlsa(f"mx.{domain}", tlsa(file), port=port)
    wait_until(lambda: deferred(node)[-1] == f"mx.{domain}:{port}: {NO_MATCH}", "a certificate that they do not mean")
    assert not hosts[0].messages
    hosts[0].behave = Behaviour(tls=context)
    submit(node, "plain.test")
    wait_gone(node)
    assert len(hosts[0].messages) == 2 and secured(node) == BY_DANE


@pytest.mark.parametrize("tls", ["encrypt", "none"])
def test_a_policy_that_goes_round_it(node, dns, domain, hosts, port, authority, tls):
    """An administrator's word on a domain whose records are wrong."""
    hosts[0].behave = Behaviour(tls=authority.server("x.test")[0])
    dns.tlsa(f"mx.{domain}", "3 1 1 " + "00" * 32, port=port)
    alone(dns, domain)
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NO_MATCH)
    policy(node, domain, tls)
    wait_gone(node)
    assert bool(hosts[0].messages[0].tls) == (tls == "encrypt")
    assert secured(node)[0][2] == {"encrypt": "opportunistic", "none": "none"}[tls]


def test_tls_required_no(node, dns, domain, hosts, port):
    """RFC 8689 section 3: the sender wants it delivered. A connection in clear is not used for what needs better."""
    dns.tlsa(f"mx.{domain}", "3 1 1 " + "00" * 32, port=port)
    alone(dns, domain)
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NO_TLS, "none")
    for name in ("dave", "eve"):
        node.submit(SENDER, [f"{name}@{domain}"], b"TLS-Required: No\r\n" + make_message("hello", sender=SENDER))
        wait_until(lambda: [m for m in hosts[0].messages if m.recipients == [f"{name}@{domain}"]], "it is delivered")
    wait_until(lambda: len(node.api.get("/v1/queue")["items"]) == 1, "the other still waits")
    assert not [m for m in hosts[0].messages if m.recipients == [f"carol@{domain}"]]
