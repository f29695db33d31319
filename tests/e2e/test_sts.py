"""MTA-STS (RFC 8461) by MX: policies that are good, wrong, absent, and those that are remembered."""
import pytest

from harness.authority import Authority, tlsa
from harness.faults import MODES, FaultyPostgres
from harness.nameserver import Nameserver, unavailable
from harness.policies import PolicyServer
from harness.posthouse import Posthouse, make_message
from harness.process import free_port, make_folder, remove_folder, wait_equal, wait_until
from harness.sink import Behaviour, Sink

SENDER = "ann@hosted.test"
NO_TLS = "MTA-STS: the domain's policy requires TLS, which does not come about with it"
NO_CERTIFICATE = "MTA-STS: the domain's policy requires a certificate, and its own cannot be verified"
NOT_NAMED = "MTA-STS: the domain's policy does not name it"
REQUIRED = "the policy for the domain requires MTA-STS, and the domain has none: "


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
def folder():
    made = make_folder("authority")
    made.chmod(0o755)
    yield made
    remove_folder(made)


@pytest.fixture(scope="module")
def authority(folder):
    return Authority(folder)


@pytest.fixture(scope="module")
def stranger(folder):
    return Authority(folder, "stranger")


@pytest.fixture
def web(authority, stranger):
    server = PolicyServer(authority, stranger)
    yield server
    server.stop()


@pytest.fixture
def hosts(port):
    with Sink("127.0.0.2", port) as first, Sink("127.0.0.3", port) as backup:
        yield first, backup


@pytest.fixture(scope="module")
def number():
    return iter(range(1000))


@pytest.fixture
def domain(dns, number):
    """Not signed, as most are: MX, policy host and record."""
    name = f"s{next(number)}.test"
    dns.domain(name, signed=False)
    dns.set(name, "MX", f"10 mx.{name}.", f"20 backup.{name}.")
    dns.set(f"mx.{name}", "A", "127.0.0.2")
    dns.set(f"backup.{name}", "A", "127.0.0.3")
    dns.set(f"mta-sts.{name}", "A", "127.0.0.1")
    record(dns, name, "1")
    return name


def record(dns, domain, number):
    dns.set(f"_mta-sts.{domain}", "TXT", f'"v=STSv1; id={number};"')


@pytest.fixture
def settings(dns, port, web, authority):
    return {"delivery.mx_port": port, "delivery.sts_port": web.port, "delivery.sts_ca_file": authority.certificate, "daemon.workers": 1,
            **dns.settings}


@pytest.fixture
def node(new_posthouse, settings, authority, monkeypatch):
    """MX hosts' certificates are of whom the system trusts."""
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment", lambda self: dict(plain(self), SSL_CERT_FILE=str(authority.certificate)))
    made = new_posthouse(settings=settings).start()
    made.api.customer("sts")
    made.api.hosted_domain("hosted.test", "sts")
    made.api.account(SENDER, "sts")
    return made


def submit(node, domain, name="carol", **more):
    node.submit(SENDER, [f"{name}@{domain}"], make_message("hello", sender=SENDER, to=f"{name}@{domain}", **more))


def deferred(node):
    return [row[0] for row in node.query("select detail from event where kind = 'deferred' order by id")]


def wait_refused(node, port, host, why):
    wait_equal(lambda: deferred(node)[:1], [f"{host}:{port}: {why}"], "it is put off")
    assert node.query("select distinct class from event where kind = 'deferred'") == [["tls"]]


def wait_gone(node):
    wait_equal(lambda: node.api.get("/v1/queue")["items"], [], "it is delivered")


def alone(dns, domain):
    dns.set(domain, "MX", f"10 mx.{domain}.")


def verified(node):
    return [row[0] for row in node.query("select distinct tls_verified from event where kind = 'delivered'")]


def good(authority, *names):
    return Behaviour(tls=authority.server(*names)[0])


# ------------------------------------------------------------------ good, wrong, absent


@pytest.mark.parametrize("pattern, name", [("mx.{}", "mx.{}"), ("*.{}", "*.{}")])
def test_good(node, dns, domain, hosts, web, authority, pattern, name):
    web.publish(domain, pattern.format(domain))
    hosts[0].behave = good(authority, name.format(domain))
    submit(node, domain)
    wait_gone(node)
    assert hosts[0].messages[0].tls and verified(node) == ["sts"] and web.asked == [f"mta-sts.{domain}"]
    wait_until(lambda: hosts[0].messages[0].session.ended_well, "the connection is over")
    submit(node, domain)
    wait_gone(node)
    assert len(hosts[0].messages) == 2 and len(web.asked) == 1, "it is remembered"


@pytest.mark.parametrize("case", ["clear", "broken", "stranger", "name", "date"])
def test_a_host_that_does_not_keep_to_it(node, dns, domain, hosts, port, web, authority, stranger, case):
    web.publish(domain, f"*.{domain}")
    alone(dns, domain)
    hosts[0].behave = {"clear": lambda: Behaviour(),
                       "broken": lambda: Behaviour(tls_broken=True),
                       "stranger": lambda: good(stranger, f"mx.{domain}"),
                       "name": lambda: good(authority, f"other.{domain}"),
                       "date": lambda: Behaviour(tls=authority.server(f"mx.{domain}", days=-1)[0])}[case]()
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NO_TLS if case in ("clear", "broken") else NO_CERTIFICATE)
    assert not hosts[0].asked
    hosts[0].behave = good(authority, f"mx.{domain}")
    wait_gone(node)
    assert verified(node) == ["sts"]


def test_a_host_that_is_not_named(node, dns, domain, hosts, port, web, authority):
    """Whoever can forge the MX record leads nobody to himself."""
    web.publish(domain, f"backup.{domain}")
    hosts[0].behave = hosts[1].behave = good(authority, f"*.{domain}")
    submit(node, domain)
    wait_gone(node)
    assert not hosts[0].connections and hosts[1].messages[0].tls
    wait_until(lambda: hosts[1].messages[0].session.ended_well, "the connection is over")
    alone(dns, domain)
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NOT_NAMED)
    web.publish(domain, f"mx.{domain}")
    record(dns, domain, "2")
    wait_gone(node)
    assert len(web.asked) == 2, "another id is fetched at once"


@pytest.mark.parametrize("mode", ["testing", "none"])
def test_a_policy_that_does_not_enforce(node, dns, domain, hosts, web, mode):
    web.publish(domain, f"other.{domain}", mode=mode)
    submit(node, domain)
    wait_gone(node)
    assert hosts[0].messages and verified(node) == ["none"] and web.asked


@pytest.mark.parametrize("case", ["404", "html", "invalid", "untrusted", "redirect", "endless", "no address", "no record", "two records"])
def test_no_policy_can_be_had(node, dns, domain, hosts, web, case):
    """Without one that was there before, it is as without MTA-STS."""
    web.publish(domain, f"other.{domain}")
    if case == "404":
        web.pages.clear()
    elif case == "html":
        web.publish(domain, f"other.{domain}", media_type="text/html")
    elif case == "invalid":
        web.publish(domain, text="version: STSv1\nmode: enforce\nmax_age: 1000\n")
    elif case == "untrusted":
        web.untrusted.add(f"mta-sts.{domain}")
    elif case == "no address":
        dns.set(f"mta-sts.{domain}", "A")
    elif case == "no record":
        dns.set(f"_mta-sts.{domain}", "TXT")
    elif case == "two records":
        dns.set(f"_mta-sts.{domain}", "TXT", '"v=STSv1; id=1;"', '"v=STSv1; id=2;"')
    else:
        web.behave = case
    submit(node, domain)
    wait_gone(node)
    assert hosts[0].messages and verified(node) == ["none"]
    assert len(web.asked) == (0 if case in ("untrusted", "no address", "no record", "two records") else 1)
    assert len(node.query("select 1 from sts_policy where mode is null")) == (0 if case in ("no record", "two records") else 1)
    wait_until(lambda: hosts[0].messages[0].session.ended_well, "the connection is over")
    asked = len(web.asked)
    submit(node, domain)
    wait_gone(node)
    assert len(web.asked) == asked, "it is not tried again at once"


def test_a_policy_host_in_a_private_network(new_posthouse, settings, dns, domain, hosts):
    """Port 443: no stranger's domain makes us talk to ourselves."""
    node = new_posthouse(settings={**settings, "delivery.sts_port": 443}).start()
    node.api.customer("sts")
    node.api.hosted_domain("hosted.test", "sts")
    node.api.account(SENDER, "sts")
    submit(node, domain)
    wait_gone(node)
    assert "its host has no public address" in node.log()


# ------------------------------------------------------------------ remembered


def test_it_outlives_its_sources(node, dns, domain, hosts, port, web):
    """What was fetched counts until it expires, whatever DNS and the policy host say (section 5.1)."""
    web.publish(domain, f"mx.{domain}")
    alone(dns, domain)
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NO_TLS)
    dns.set(f"_mta-sts.{domain}", "TXT")
    web.pages.clear()
    node.stop()
    node.start()
    attempts = len(deferred(node))
    wait_until(lambda: len(deferred(node)) > attempts + 1, "it is tried again")
    record(dns, domain, "2")
    wait_until(lambda: len(web.asked) == 2, "another id is asked for")
    attempts = len(deferred(node))
    wait_until(lambda: len(deferred(node)) > attempts + 1, "the old policy counts")
    assert set(deferred(node)) == {f"mx.{domain}:{port}: {NO_TLS}"} and len(web.asked) == 2
    node.query("update sts_policy set expires_at = now()")
    wait_gone(node)
    assert verified(node) == ["none"]


def test_it_is_fetched_again_before_it_expires(node, dns, domain, hosts, web, authority):
    web.publish(domain, f"mx.{domain}", max_age=1000000)
    hosts[0].behave = good(authority, f"mx.{domain}")
    submit(node, domain)
    wait_gone(node)
    assert node.query("select refresh_at - now() between '23 hours' and '24 hours', expires_at - now() > '11 days' from sts_policy") == [["t", "t"]]
    web.publish(domain, f"mx.{domain}", f"new.{domain}", max_age=600)
    node.query("update sts_policy set refresh_at = now()")
    wait_until(lambda: node.query("select 1 from sts_policy where mx like '%new%' and refresh_at > now()"), "it is fetched without mail", timeout=60)
    assert len(web.asked) == 2
    node.query("update sts_policy set refresh_at = now(), asked_at = now() - interval '31 days'")
    wait_until(lambda: hosts[0].messages[0].session.ended_well, "the connection is over")
    submit(node, domain)
    wait_gone(node)
    assert len(web.asked) == 3, "mail comes upon one that is stale"


def test_nodes_share_it(new_posthouse, settings, node, dns, domain, hosts, web, authority):
    web.publish(domain, f"mx.{domain}")
    hosts[0].behave = good(authority, f"mx.{domain}")
    submit(node, domain)
    wait_gone(node)
    other = new_posthouse(settings={**settings, "database.conninfo": node.values["database.conninfo"], "daemon.hostname": "second.posthouse.test"})
    other.token = node.token
    other.start()
    node.stop()
    submit(other, domain)
    wait_until(lambda: len(hosts[0].messages) == 2, "the other node delivers")
    assert len(web.asked) == 1


def test_many_ask_at_once(node, dns, domain, hosts, port, web, authority):
    web.publish(domain, f"mx.{domain}")
    hosts[0].behave = good(authority, f"mx.{domain}")
    with node.submission(SENDER) as connection:
        for count in range(20):
            connection.sendmail(SENDER, [f"carol{count}@{domain}"], make_message("hello", sender=SENDER))
    wait_gone(node)
    assert len(hosts[0].messages) == 20 and len(web.asked) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("statement", ["sts_policy_find", "sts_policy_put", "sts_policy_failed"])
def test_a_database_that_fails(new_posthouse, own_postgres, settings, dns, domain, hosts, port, web, statement, mode):
    """What cannot be read holds mail back, what cannot be written is fetched again."""
    faulty = FaultyPostgres(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, settings={**settings, "database.statement_timeout": "500ms"}).start()
        node.api.customer("sts")
        node.api.hosted_domain("hosted.test", "sts")
        node.api.account(SENDER, "sts")
        if statement != "sts_policy_failed":
            web.publish(domain, f"mx.{domain}", mode="testing")
        alone(dns, domain)
        fault = faulty.arm(statement, mode)
        submit(node, domain)
        wait_until(lambda: fault.struck, "the fault struck")
        wait_gone(node)
        if statement == "sts_policy_find":
            assert deferred(node) == [f"mx.{domain}:{port}: MTA-STS: the domain's policy could not be looked up"] or mode in ("cut", "lost")
        assert len(hosts[0].messages) == 1
        node.close()
    finally:
        faulty.close()


def test_a_database_that_fails_for_what_comes_by_time(new_posthouse, own_postgres, settings):
    """When it starts a node looks at what is to be fetched anew, and what is over; what cannot be done then is done later."""
    faulty = FaultyPostgres(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, settings={**settings, "database.statement_timeout": "500ms"}).migrate()
        node.query("insert into sts_policy (domain, refresh_at, tried_id, tried_at, tried_why)"
                   " values ('over.test', now() - interval '2 days', '1', now() - interval '2 days', 'none')")
        for statement, mode in [("sts_policy_forget", "refused"), ("sts_policy_forget", "cut")] + [("sts_policy_due", mode) for mode in MODES]:
            fault = faulty.arm(statement, mode)
            node.start()
            wait_until(lambda fault=fault: fault.struck, f"{statement} {mode}")
            assert statement == "sts_policy_due" or node.query("select count(*) from sts_policy") == [["1"]]
            node.stop()
        node.start()
        wait_equal(lambda: node.query("select count(*) from sts_policy"), [["0"]], "what is over goes")
        node.close()
    finally:
        faulty.close()


# ------------------------------------------------------------------ with DANE, and policies of ours


def test_dane_goes_first(node, dns, number, hosts, port, web, authority, stranger):
    """A certificate that DANE means is good enough, one that only MTA-STS would take is not (RFC 8461 section 2)."""
    domain = f"s{next(number)}.test"
    dns.domain(domain)
    dns.set(domain, "MX", f"10 mx.{domain}.")
    dns.set(f"mx.{domain}", "A", "127.0.0.2")
    dns.set(f"mta-sts.{domain}", "A", "127.0.0.1")
    record(dns, domain, "1")
    web.publish(domain, f"mx.{domain}")
    context, file = stranger.server("x.test")
    hosts[0].behave = good(authority, f"mx.{domain}")
    dns.tlsa(f"mx.{domain}", tlsa(file), port=port)
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", "DANE: its certificate is not one that its TLSA records mean")
    hosts[0].behave = Behaviour(tls=context)
    wait_gone(node)
    assert verified(node) == ["dane"]


def policy(node, domain, tls):
    assert node.api.post("/v1/delivery-policies", {"domain": domain, "tls": tls})["tls"] == tls


def wait_put_off(node, domain, why):
    def put_off():
        submit(node, domain)
        return why in deferred(node)
    wait_until(put_off, "it is put off", interval=0.3)


@pytest.mark.parametrize("case, why", [("record", "it has no record in DNS"), ("page", "its policy could not be fetched: HTTP status 404"),
                                       ("none", "its policy has the mode none"), ("invalid", "its policy is not valid")])
def test_required_and_absent(node, dns, domain, hosts, port, web, authority, case, why):
    hosts[0].behave = good(authority, f"mx.{domain}")
    alone(dns, domain)
    policy(node, domain, "sts")
    web.publish(domain, f"mx.{domain}", mode="none" if case == "none" else "enforce")
    if case == "record":
        dns.set(f"_mta-sts.{domain}", "TXT")
    elif case == "page":
        web.pages.clear()
    elif case == "invalid":
        web.publish(domain, text="version: STSv1\n")
    wait_put_off(node, domain, f"mx.{domain}:{port}: {REQUIRED}{why}")
    before = len(hosts[0].messages)
    web.publish(domain, f"mx.{domain}")
    record(dns, domain, "2")
    wait_gone(node)
    assert len(hosts[0].messages) > before and "sts" in verified(node)


def test_required_of_a_domain_that_is_testing(node, dns, domain, hosts, port, web, authority):
    web.publish(domain, f"mx.{domain}", mode="testing")
    alone(dns, domain)
    policy(node, domain, "sts")
    wait_put_off(node, domain, f"mx.{domain}:{port}: {NO_TLS}")
    hosts[0].behave = good(authority, f"mx.{domain}")
    wait_gone(node)


def test_required_of_mail_with_a_route(new_posthouse, settings, sink):
    node = new_posthouse(settings=settings, default_route=sink.port).start()
    node.api.customer("sts")
    node.api.hosted_domain("hosted.test", "sts")
    node.api.account(SENDER, "sts")
    policy(node, "routed.test", "sts")
    wait_put_off(node, "routed.test", f"127.0.0.1:{sink.port}: {REQUIRED}its mail has a route of its own, not its MX")


def test_a_policy_that_goes_round_it(node, dns, domain, hosts, port, web, authority, stranger):
    web.publish(domain, f"mx.{domain}")
    alone(dns, domain)
    hosts[0].behave = good(stranger, f"mx.{domain}")
    submit(node, domain)
    wait_refused(node, port, f"mx.{domain}", NO_CERTIFICATE)
    node.submit(SENDER, [f"dave@{domain}"], b"TLS-Required: No\r\n" + make_message("hello", sender=SENDER))
    wait_until(lambda: [m for m in hosts[0].messages if m.recipients == [f"dave@{domain}"]], "a sender's wish goes before")
    policy(node, domain, "encrypt")
    wait_gone(node)
    assert verified(node) == ["opportunistic"]
