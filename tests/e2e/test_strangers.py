"""What strangers are asked by the policy of whom they bring mail for: DNS lists, reverse names, greylisting. Clients are told by XCLIENT."""
import re

import pytest

from harness.dialogue import Dialogue
from harness.names import Names
from harness.posthouse import make_message
from harness.process import wait_until
from harness.requests import must, pages, problem
from harness.sink import Behaviour

BAD, WORSE, GOOD = "bl.lists.example", "worse.lists.example", "wl.lists.example"
CLIENT, SIX = "198.18.0.1", "2001:470::1"


@pytest.fixture(scope="module")
def names():
    with Names() as server:
        yield server


@pytest.fixture(scope="module")
def node(postgres, certificate, names):
    from conftest import _close, _node
    made = _node(postgres, certificate, settings={"smtp.xclient_networks": "127.0.0.1", "daemon.workers": 1,
                                                  "dns.resolver": names.resolver, "clients.dns_wait": "10s"})
    try:
        made.start()
        made.api.customer("strangers")
        made.api.customer("others")
        for domain, customer in (("strangers.test", "strangers"), ("other.test", "others"), ("plain.test", "others")):
            made.api.hosted_domain(domain, customer)
            made.api.account(f"ann@{domain}", customer)
        yield made
    finally:
        _close(made)


@pytest.fixture
def api(node, names):
    """Leaves no policy, no list, no name behind."""
    yield node.api
    names.records.clear()
    for path in ("/v1/client-policies", "/v1/dns-lists", "/v1/allowed-networks"):
        for each in pages(node.api, path):
            node.api.delete(f"{path}/{each['id']}")


def connect(node, client):
    dialogue = Dialogue(node)
    dialogue.hello("proxy.test")
    dialogue.ask(f"XCLIENT ADDR={'IPV6:' if ':' in client else ''}{client}", "220")
    dialogue.ask("EHLO client.test", "250")
    return dialogue


def rcpt(node, client, recipient="ann@strangers.test", sender="joe@outside.test"):
    with connect(node, client) as dialogue:
        dialogue.ask(f"MAIL FROM:<{sender}>", "250")
        return dialogue.ask(f"RCPT TO:<{recipient}>")


def check(node, client, recipient="ann@strangers.test", sender="joe@outside.test"):
    return node.api.post("/v1/relay-checks", {"client": client, "sender": sender, "recipient": recipient})


def known(node, client=CLIENT, code="550", recipient="ann@strangers.test"):
    """A change of policies is known within a second. The dry run and RCPT say the same."""
    wait_until(lambda: rcpt(node, client, recipient).startswith(code), f"{client} is answered {code}")
    reply = rcpt(node, client, recipient)
    dry = check(node, client, recipient)
    text = re.sub(r" \(decision \w{13}\)$", "", reply)
    if dry["why"] != "greylisted":  # there the seconds may have gone on
        assert text == f"{dry['reply']['code']} {dry['reply']['enhanced']} {dry['reply']['text']}"
    return reply, dry


def metric(node, name):
    _, text = must(node, 200, "GET", "/metrics", token="")
    found = re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)
    return int(found.group(1)) if found else None


# ---------------------------------------------------------------------- lists

@pytest.mark.parametrize("client", [CLIENT, SIX])
def test_a_listed_client(node, api, names, client):
    names.listed(client, BAD, text="see https://bl.lists.example/why")
    api.post("/v1/dns-lists", {"zone": "BL.Lists.Example.", "score": 5})
    before = metric(node, 'posthouse_smtp_refused_total{reason="dns-list"}')
    policy = api.post("/v1/client-policies", {"customer": "strangers", "refuse_at": 5})
    reply, dry = known(node, client)
    assert reply.startswith(f"550 5.7.1 <ann@strangers.test>: mail from {client} is refused: it is listed in {BAD} "
                            "(see https://bl.lists.example/why) (decision ")
    assert (dry["verdict"], dry["why"], dry["targets"]) == ("denied", "dns-list", [])
    assert dry["stranger"] == {"exempt": None, "policy": policy["id"], "score": 5, "dns_lists_failed": 0, "reverse_name": "not-asked",
                               "dns_lists": [{"zone": BAD, "score": 5, "text": "see https://bl.lists.example/why"}],
                               "greylist": None, "not_evaluated": ["limits"]}
    decision = "/v1/decisions/" + re.search(r"\(decision (\w+)\)", reply).group(1)
    wait_until(lambda: api.request("GET", decision)[0] == 200, "the refusal can be looked up")
    told = api.get(decision)
    assert (told["why"], told["client"], told["recipient"], told["command"]) == ("dns-list", client, "ann@strangers.test", "RCPT")
    wait_until(lambda: metric(node, 'posthouse_smtp_refused_total{reason="dns-list"}') > before, "it is counted")
    assert "reason=dns-list" in node.log()
    assert rcpt(node, client, "ann@other.test").startswith("250")  # another customer
    assert rcpt(node, client, "nobody@strangers.test").startswith("550 5.1.1")
    assert rcpt(node, "198.18.0.2").startswith("250")


def test_scores_add_up(node, api, names):
    for zone, score in ((BAD, 3), (WORSE, 3), (GOOD, -4)):
        api.post("/v1/dns-lists", {"zone": zone, "score": score})
        names.listed("198.18.1.1", zone)
    names.listed("198.18.1.2", BAD), names.listed("198.18.1.2", WORSE)
    names.listed("198.18.1.3", BAD)
    api.post("/v1/client-policies", {"domain": "strangers.test", "refuse_at": 6})
    reply, dry = known(node, "198.18.1.2")
    assert f"listed in {BAD}, {WORSE} (decision" in reply and dry["stranger"]["score"] == 6
    for client, score in (("198.18.1.1", 2), ("198.18.1.3", 3)):
        assert rcpt(node, client).startswith("250")
        assert check(node, client)["stranger"]["score"] == score


def test_answers_are_told_apart(node, api, names):
    api.post("/v1/dns-lists", {"zone": BAD, "score": 1, "answers": ["127.0.0.2"]})
    api.post("/v1/dns-lists", {"zone": BAD, "score": 9, "answers": ["127.0.0.4/30"]})
    for client, answer in (("198.18.2.1", "127.0.0.2"), ("198.18.2.2", "127.0.0.7"), ("198.18.2.3", "127.0.0.9"),
                           ("198.18.2.4", "127.255.255.254"), ("198.18.2.5", "203.0.113.1")):
        names.listed(client, BAD, answer)
    api.post("/v1/client-policies", {"refuse_at": 5})  # for all
    known(node, "198.18.2.2")
    for client, score in (("198.18.2.1", 1), ("198.18.2.3", 0), ("198.18.2.4", 0), ("198.18.2.5", 0)):
        assert rcpt(node, client).startswith("250")
        assert check(node, client)["stranger"]["score"] == score
    assert check(node, "198.18.2.4")["stranger"]["dns_lists_failed"] == 2


def test_the_most_specific_policy_holds(node, api, names):
    names.listed("198.18.3.1", BAD)
    api.post("/v1/dns-lists", {"zone": BAD, "score": 5})
    api.post("/v1/client-policies", {"refuse_at": 5})
    known(node, "198.18.3.1")
    known(node, "198.18.3.1", recipient="ann@other.test")
    customer = api.post("/v1/client-policies", {"customer": "others"})
    known(node, "198.18.3.1", "250", "ann@other.test")
    domain = api.post("/v1/client-policies", {"domain": "other.test", "refuse_at": 4})
    known(node, "198.18.3.1", "550", "ann@other.test")
    assert rcpt(node, "198.18.3.1", "ann@plain.test").startswith("250")
    api.patch(f"/v1/client-policies/{customer['id']}", {"refuse_at": 5})
    known(node, "198.18.3.1", "550", "ann@plain.test")
    api.patch(f"/v1/client-policies/{domain['id']}", {"refuse_at": None})
    known(node, "198.18.3.1", "250", "ann@other.test")


def test_who_is_no_stranger(node, api, names):
    for number in range(1, 5):
        names.listed(f"198.18.4.{number}", BAD)
    api.post("/v1/dns-lists", {"zone": BAD, "score": 5})
    api.post("/v1/client-policies", {"customer": "strangers", "refuse_at": 5, "reverse_name": "require", "greylist": "always"})
    for number in range(1, 5):
        known(node, f"198.18.4.{number}")
    api.post("/v1/allowed-networks", {"network": "198.18.4.1", "customer": "strangers"})
    api.post("/v1/allowed-networks", {"network": "198.18.4.2", "customer": "others"})
    network = api.post("/v1/networks", {"cidr": "198.18.4.3/32", "customer": "others"})
    grant = api.post("/v1/relay-grants", {"customer": "strangers", "network": "198.18.4.4/32"})
    _, allowed = known(node, "198.18.4.1", "250")
    assert allowed["stranger"]["exempt"] == "allowed"
    for client in ("198.18.4.3", "198.18.4.4"):
        _, permitted = known(node, client, "250")
        assert permitted["stranger"]["exempt"] == "permitted"
    assert rcpt(node, "198.18.4.2").startswith("550")
    assert check(node, "127.0.0.1")["stranger"]["exempt"] == "ours"
    assert check(node, "198.18.4.2", "ann@other.test")["stranger"]["exempt"] == "no-policy"
    alias = api.post("/v1/aliases", {"address": "postmaster@strangers.test", "targets": ["ann@strangers.test"]})
    assert rcpt(node, "198.18.4.2", "Postmaster@strangers.test").startswith("250")  # RFC 5321 4.5.1
    assert check(node, "198.18.4.2", "postmaster@strangers.test")["stranger"]["exempt"] == "postmaster"
    api.delete(f"/v1/aliases/{alias['id']}")
    node.send("joe@outside.test", "ann@strangers.test", make_message("from the machine itself"))
    node.submit("ann@other.test", "ann@strangers.test", make_message("signed in", sender="ann@other.test"))
    api.delete(f"/v1/relay-grants/{grant['id']}"), api.delete(f"/v1/networks/{network['id']}")


def test_a_list_that_is_broken_says_nothing(node, api, names):
    api.post("/v1/dns-lists", {"zone": BAD, "score": 5})
    api.post("/v1/dns-lists", {"zone": WORSE, "score": 5})
    for client in ("198.18.5.1", "198.18.5.2"):
        names.listed(client, BAD)
    names.broken.add("1.5.18.198." + BAD)
    api.post("/v1/client-policies", {"refuse_at": 5})
    known(node, "198.18.5.2")
    failed = metric(node, "posthouse_dns_lists_failed_total")
    assert rcpt(node, "198.18.5.1").startswith("250")
    assert check(node, "198.18.5.1")["stranger"]["dns_lists_failed"] == 1
    assert f"no answer of a DNS list\" zone={BAD} client=198.18.5.1" in node.log()
    wait_until(lambda: metric(node, "posthouse_dns_lists_failed_total") > failed, "it is counted")
    names.broken.clear()


def test_a_list_that_is_silent_is_not_waited_for(new_posthouse):
    with Names() as names:
        node = new_posthouse(settings={"smtp.xclient_networks": "127.0.0.1", "dns.resolver": names.resolver, "clients.dns_wait": "300ms"})
        node.start()
        node.api.customer("silent")
        node.api.hosted_domain("strangers.test", "silent")
        node.api.account("ann@strangers.test", "silent")
        names.silent = (BAD,)
        names.listed(CLIENT, WORSE)
        node.api.post("/v1/dns-lists", {"zone": BAD, "score": 5})
        node.api.post("/v1/client-policies", {"refuse_at": 5, "greylist": "suspects", "greylist_at": -5})
        wait_until(lambda: rcpt(node, CLIENT).startswith("451 4.7.1"), "the policy is known, the list says nothing")
        assert "reason=\"too slow\"" in node.log()
        with connect(node, CLIENT):  # goes while it is asked about
            pass
        assert node.ready()


def test_nobody_is_asked_about_where_nobody_wants_to_know(node, api, names):
    api.post("/v1/dns-lists", {"zone": BAD, "score": 5})
    api.post("/v1/client-policies", {"customer": "strangers", "greylist": "always"})
    known(node, "198.18.6.1", "451")
    with connect(node, "198.18.6.2") as dialogue:
        dialogue.message("joe@outside.test", "ann@other.test", make_message("not asked about"))
    assert not [name for name in names.asked if name.startswith(("1.6.18.198", "2.6.18.198"))]


# ---------------------------------------------------------------------- reverse names

@pytest.mark.parametrize("client, elsewhere", [("198.18.7.%d", "198.18.99.1"), ("2001:470:7::%d", "2001:470::9")])
def test_reverse_names(node, api, names, client, elsewhere):
    confirmed, unconfirmed, nameless, broken = (client % number for number in range(1, 5))
    names.named(confirmed, "mail.client.example")
    names.named(unconfirmed, "liar.client.example", elsewhere)
    names.broken.add((f"{'4.7.18.198.in-addr.arpa'}" if "." in client else
                      "4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.0.0.0.0.7.4.0.1.0.0.2.ip6.arpa"))
    policy = api.post("/v1/client-policies", {"domain": "strangers.test", "reverse_name": "require"})
    reply, dry = known(node, nameless)
    assert reply.startswith(f"550 5.7.25 <ann@strangers.test>: mail from {nameless} is refused: it has no name in DNS (PTR)")
    assert (dry["why"], dry["stranger"]["reverse_name"]) == ("reverse-name", "none")
    reply, dry = known(node, unconfirmed)
    assert reply.startswith("550 5.7.25 ") and "does not lead back to it" in reply and dry["stranger"]["reverse_name"] == "unconfirmed"
    reply, dry = known(node, broken, "451")
    assert reply.startswith("451 4.7.25 ") and dry["stranger"]["reverse_name"] == "failed"
    assert known(node, confirmed, "250")[1]["stranger"]["reverse_name"] == "confirmed"

    api.patch(f"/v1/client-policies/{policy['id']}", {"reverse_name": "score", "reverse_score": 3, "refuse_at": 3})
    known(node, broken, "250")
    reply, dry = known(node, unconfirmed)
    assert reply.startswith("550 5.7.25 ") and dry["stranger"]["score"] == 3
    assert known(node, confirmed, "250")[1]["stranger"]["score"] == 0
    names.broken.clear()

    with connect(node, confirmed) as dialogue:
        dialogue.message("joe@outside.test", "ann@strangers.test", make_message(f"by {confirmed}"))
    message = next(m for m in node.inbox("ann@strangers.test") if f"Subject: by {confirmed}\r\n".encode() in m).decode()
    literal = f"IPv6:{confirmed}" if ":" in confirmed else confirmed
    assert f"Received: from client.test (mail.client.example [{literal}])\r\n" in message


# ---------------------------------------------------------------------- greylisting

def greylist(node):
    return [int(passes) for (passes,) in node.query("select passes from greylist where client = '198.18.8.0/24'")]


def test_greylisting(node, api):
    policy = api.post("/v1/client-policies", {"customer": "strangers", "greylist": "always", "greylist_delay": 3600})
    reply, dry = known(node, "198.18.8.1", "451")
    assert re.match(r"451 4\.7\.1 <ann@strangers.test>: greylisted, try again in \d+ seconds \(decision ", reply)
    wait_until(lambda: check(node, "198.18.8.200")["stranger"]["greylist"] == "waiting", "it was noted, for the network")
    assert (dry["why"], dry["verdict"]) == ("greylisted", "denied")
    assert check(node, "198.18.9.1")["stranger"]["greylist"] == "new"
    assert check(node, "198.18.8.1", sender="jane@outside.test")["stranger"]["greylist"] == "new"
    assert rcpt(node, "198.18.8.1", "nobody@strangers.test").startswith("550 5.1.1")  # is not noted
    assert greylist(node) == [0]
    api.patch(f"/v1/client-policies/{policy['id']}", {"greylist_delay": 1})
    wait_until(lambda: rcpt(node, "198.18.8.77").startswith("250"), "the delay is over")
    wait_until(lambda: greylist(node) == [1], "it has passed")
    api.patch(f"/v1/client-policies/{policy['id']}", {"greylist_delay": 3600})
    for _ in range(2):  # a longer delay is none of its business
        assert rcpt(node, "198.18.8.1", sender="JOE@outside.test").startswith("250")
    wait_until(lambda: metric(node, 'posthouse_smtp_refused_total{reason="greylist"}') > 0, "it is counted")


def test_a_client_that_comes_again_becomes_known(node, api):
    policy = api.post("/v1/client-policies", {"customer": "strangers", "greylist": "always", "greylist_delay": 1, "greylist_passes": 2})
    for number in range(2):
        sender = f"joe{number}@outside.test"
        wait_until(lambda: rcpt(node, "198.18.10.1", sender=sender).startswith("451"), "put off")
        wait_until(lambda: rcpt(node, "198.18.10.1", sender=sender).startswith("250"), "it passes")
    wait_until(lambda: node.query("select passes from greylist_client where client = '198.18.10.0/24'") == [["2"]], "it is counted")
    assert check(node, "198.18.10.9", sender="new@outside.test")["stranger"]["greylist"] == "known"
    assert rcpt(node, "198.18.10.1", sender="new@outside.test").startswith("250")
    api.patch(f"/v1/client-policies/{policy['id']}", {"greylist_passes": 0})
    wait_until(lambda: rcpt(node, "198.18.10.1", sender="newer@outside.test").startswith("451"), "nobody is known")


def test_passes_are_earned_with_a_customer(node, api):
    api.post("/v1/client-policies", {"customer": "strangers", "greylist": "always", "greylist_delay": 3600, "greylist_passes": 2})
    known(node, "198.18.20.1", "451")
    for customer, state in (("others", "new"), ("strangers", "known")):  # as if both had their domains in this cell
        node.query("insert into greylist_client (cell, customer_id, client, passes, last_at)"
                   " select d.cell, c.id, '198.18.20.0/24', 5, now() from domain d, customer c"
                   f" where d.name = 'strangers.test' and c.name = '{customer}'")
        assert check(node, "198.18.20.1", sender="new@outside.test")["stranger"]["greylist"] == state


def test_a_primary_is_asked_only_for_who_has_passed(node, api, names, sink):
    sink.behave = Behaviour(recipient_replies={"bob@primary.test": "250 2.1.5 Ok"}, other_recipients="550 5.1.1 no such user")
    api.post("/v1/dns-lists", {"zone": BAD, "score": 5})
    names.listed("198.18.23.1", BAD)
    api.post("/v1/client-policies", {"customer": "strangers", "refuse_at": 5, "greylist": "always", "greylist_delay": 1})
    known(node, "198.18.23.1", "550")
    api.post("/v1/domains", {"name": "primary.test", "customer": "strangers", "kind": "relay", "recipients": "learned",
                             "next_hops": [{"host": "127.0.0.1", "port": sink.port, "priority": 1}]})
    try:
        known(node, "198.18.23.1", "550", "bob@primary.test")
        assert rcpt(node, "198.18.24.1", "nobody@primary.test").startswith("451 4.7.1")
        assert sink.asked == []
        wait_until(lambda: rcpt(node, "198.18.24.1", "nobody@primary.test").startswith("550 5.1.1"), "it came again")
        assert [address for _, address in sink.asked if not address.startswith("no-such-user-")] == ["nobody@primary.test"]
        wait_until(lambda: api.get("/v1/domains/primary.test/learned-recipients")["items"], "it is learned")
        assert rcpt(node, "198.18.24.1", "nobody@primary.test", "new@outside.test").startswith("550 5.1.1"), "known: no greylisting"
    finally:
        api.delete("/v1/domains/primary.test")


def test_what_one_network_may_put_into_the_greylist(node, api):
    api.post("/v1/client-policies", {"customer": "strangers", "greylist": "always", "greylist_delay": 1})
    node.query("insert into greylist (cell, triple, client, first_at, last_at, passes)"
               " select d.cell, sha256(n::text::bytea), '198.18.21.0/24', now(), now(), 0"
               " from domain d, generate_series(1, 1000) n where d.name = 'strangers.test'")
    wait_until(lambda: rcpt(node, "198.18.22.1").startswith("451"), "the policy is known")
    assert rcpt(node, "198.18.21.1").startswith("451")
    wait_until(lambda: rcpt(node, "198.18.22.1").startswith("250"), "a neighbour is noted and passes")
    assert check(node, "198.18.21.1")["stranger"]["greylist"] == "new", "one more than it may have is not noted"
    node.query("update greylist set passes = 1 where client = '198.18.21.0/24'")
    wait_until(lambda: rcpt(node, "198.18.21.1").startswith("250"), "those that have come again do not count")


def test_suspects_are_greylisted(node, api, names):
    api.post("/v1/dns-lists", {"zone": BAD, "score": 2})
    names.listed("198.18.11.1", BAD)
    api.post("/v1/client-policies", {"customer": "strangers", "greylist": "suspects", "greylist_at": 2, "refuse_at": 5})
    reply, dry = known(node, "198.18.11.1", "451")
    assert dry["stranger"]["score"] == 2
    assert rcpt(node, "198.18.12.1").startswith("250")


def test_nodes_share_the_greylist(node, api, new_posthouse, postgres, names):
    other = new_posthouse(settings={"smtp.xclient_networks": "127.0.0.1", "dns.resolver": names.resolver})
    other.database, other.token = node.database, node.token
    other.write_config(database__conninfo=postgres.conninfo(node.database))
    other.start()
    api.post("/v1/client-policies", {"customer": "strangers", "greylist": "always", "greylist_delay": 1})
    known(node, "198.18.13.1", "451")
    wait_until(lambda: rcpt(other, "198.18.13.1").startswith("250"), "the other node knows since when")


def test_without_the_database_it_is_put_off(new_posthouse, own_postgres):
    node = new_posthouse(postgres=own_postgres, settings={"smtp.xclient_networks": "127.0.0.1", "daemon.workers": 1}).start()
    node.api.customer("away")
    node.api.hosted_domain("strangers.test", "away")
    node.api.account("ann@strangers.test", "away")
    node.api.post("/v1/client-policies", {"greylist": "always", "greylist_delay": 1})
    wait_until(lambda: rcpt(node, CLIENT).startswith("451 4.7.1"), "the policy is known")
    with connect(node, CLIENT) as dialogue:
        dialogue.ask("MAIL FROM:<joe@outside.test>", "250")
        own_postgres.stop()
        try:
            dialogue.ask("RCPT TO:<ann@strangers.test>", "451 4.3.0")
        finally:
            own_postgres.start()
    wait_until(lambda: rcpt(node, CLIENT).startswith("250"), "it goes on")


# ---------------------------------------------------------------------- tarpit

def test_who_collects_refusals_waits(new_posthouse):
    node = new_posthouse(settings={"smtp.xclient_networks": "127.0.0.1", "clients.tarpit_after": 3, "clients.tarpit_max": "500ms",
                                   "daemon.workers": 1}).start()
    for client in (CLIENT, SIX):
        with connect(node, client) as dialogue:
            dialogue.ask("MAIL FROM:<joe@outside.test>", "250")
            dialogue.send("RCPT TO:<nobody@elsewhere.test>\r\n" * 5)  # pipelined ones wait, too
            for _ in range(5):
                assert dialogue.reply().startswith("550 5.7.1")
        assert rcpt(node, client, "nobody@elsewhere.test").startswith("550")  # counted for the address
    assert len(re.findall(r'msg="answer held back" reason=tarpit ms=500', node.log())) == 2 * 2
    assert len(re.findall(r'msg="answer held back" reason=tarpit ms=250', node.log())) == 2
    wait_until(lambda: metric(node, "posthouse_smtp_tarpitted_total") == 6, "it is counted")
    with Dialogue(node) as dialogue:  # loopback
        dialogue.hello()
        dialogue.ask("MAIL FROM:<joe@outside.test>", "250")
        for _ in range(8):
            dialogue.ask("RCPT TO:<nobody@elsewhere.test>", "550")
    assert node.log().count("answer held back") == 6


# ---------------------------------------------------------------------- the resources

def test_dns_lists(posthouse):
    api, path = posthouse.api, "/v1/dns-lists"
    made = api.post(path, {"zone": "Bl.Example.", "score": 5})
    assert made == {"id": made["id"], "zone": "bl.example", "answers": ["127.0.0.0/16"], "score": 5, "label": None,
                    "created_at": made["created_at"]}
    other = api.post(path, {"zone": "bl.example", "score": -5, "answers": ["127.0.0.2", "127.0.1.0/24"], "label": "more"})
    assert other["answers"] == ["127.0.0.2/32", "127.0.1.0/24"]
    status, _, parsed = api.request("POST", path, {"zone": "bl.example", "score": 6})
    assert (status, parsed["existing_id"]) == (409, made["id"])
    assert api.patch(f"{path}/{made['id']}", {"score": 7, "label": "x"})["score"] == 7
    assert api.get(f"{path}/{made['id']}")["label"] == "x"
    assert [each["id"] for each in pages(api, path, limit=1)] == [made["id"], other["id"]]
    for body, field in (({"zone": "one", "score": 1}, "zone"), ({"zone": "a.b"}, "score"), ({"zone": "a.b", "score": 1001}, "score"),
                        ({"zone": "a.b", "score": 1, "answers": []}, "answers"),
                        ({"zone": "a.b", "score": 1, "answers": ["127.0.0.2", "128.0.0.1"]}, "answers[1]")):
        problem(posthouse, 422, "POST", path, body, field=field)
    problem(posthouse, 422, "PATCH", f"{path}/{made['id']}", {"zone": "x.y"}, field="zone")
    for number in range(30):
        api.post(path, {"zone": f"bl{number}.example", "score": 1})
    problem(posthouse, 409, "POST", path, {"zone": "toomany.example", "score": 1})
    for each in pages(api, path):
        api.delete(f"{path}/{each['id']}")
    problem(posthouse, 404, "GET", f"{path}/{made['id']}")
    problem(posthouse, 404, "PATCH", f"{path}/{made['id']}", {"score": 1})
    problem(posthouse, 404, "DELETE", f"{path}/{made['id']}")


def test_client_policies(posthouse):
    api, path = posthouse.api, "/v1/client-policies"
    api.customer("policy")
    domain = api.hosted_domain("policy.test", "policy")
    customer = api.get("/v1/customers/policy")["id"]
    made = api.post(path, {"customer": "policy", "label": "all of policy"})
    assert made == {"id": made["id"], "customer": customer, "domain": None, "label": "all of policy", "refuse_at": None,
                    "reverse_name": "ignore", "reverse_score": 0, "greylist": "never", "greylist_at": None, "greylist_delay": 300,
                    "greylist_passes": 10, "created_at": made["created_at"]}
    given = {"refuse_at": -1, "reverse_name": "score", "reverse_score": 2, "greylist": "suspects", "greylist_at": 0,
             "greylist_delay": 60, "greylist_passes": 0, "label": None}
    of_domain = api.post(path, {"domain": "policy.test", **given})
    assert of_domain["customer"] == customer and {key: of_domain[key] for key in given} == given
    of_all = api.post(path, {})
    assert (of_all["customer"], of_all["domain"]) == (None, None)
    for body, other in (({"customer": "policy"}, made), ({"domain": "policy.test"}, of_domain), ({}, of_all)):
        status, _, parsed = api.request("POST", path, body)
        assert (status, parsed["existing_id"]) == (409, other["id"])
    changed = api.patch(f"{path}/{of_domain['id']}", {"greylist": "always", "greylist_at": None, "refuse_at": None})
    assert (changed["greylist"], changed["greylist_at"], changed["refuse_at"], changed["reverse_score"]) == ("always", None, None, 2)
    assert {each["id"] for each in pages(api, path, customer="policy", limit=1)} == {made["id"], of_domain["id"]}
    assert len(pages(api, path)) == 3
    for body, field in (({"customer": "nobody"}, "customer"), ({"domain": "no.test"}, "domain"),
                        ({"customer": "policy", "domain": "policy.test"}, "domain"), ({"greylist": "maybe"}, "greylist"),
                        ({"greylist_delay": 0}, "greylist_delay"), ({"refuse_at": "x"}, "refuse_at")):
        problem(posthouse, 422, "POST", path, body, field=field)
    problem(posthouse, 422, "PATCH", f"{path}/{of_all['id']}", {"greylist": "suspects"}, field="greylist_at")
    problem(posthouse, 409, "DELETE", "/v1/customers/policy")
    api.delete("/v1/domains/policy.test")
    problem(posthouse, 404, "GET", f"{path}/{of_domain['id']}")  # has gone with it
    for each in pages(api, path):
        api.delete(f"{path}/{each['id']}")
    problem(posthouse, 404, "DELETE", f"{path}/{made['id']}")
    problem(posthouse, 404, "PATCH", f"{path}/{made['id']}", {})
    api.delete("/v1/customers/policy")
    assert domain
