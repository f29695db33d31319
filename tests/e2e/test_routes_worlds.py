"""The dry run and the road that mail takes, held together in random worlds of rules: who sends, by what, to whom, through which alias."""
import random

import pytest

from harness.names import Names
from harness.posthouse import make_message
from harness.process import free_port, wait_until

ACCOUNTS = {"ann@one.test": "one", "bob@one.test": "one", "cat@two.test": "two"}
SENDERS = {**{login: [login, login.replace("@", "+x@")] for login in ACCOUNTS}, None: ["joe@far.test", "ann@one.test", ""]}
RECIPIENTS = ("x@outside.test", "x@sub.outside.test", "y@partner.test", "z@xn--bcher-kva.test", "z@bücher.test", "x@[127.0.0.9]", "x@[IPv6:::1]",
              "out@one.test", "out@two.test", "both@two.test", "chain@one.test", "x@caught.test", "out@second.one.test", "x@relayed.test",
              "x@routed.test", "cat@two.test", "split@one.test")
ROUTES = ("first", "second", "third", "of-one", "of-two")


@pytest.fixture(scope="module")
def names():
    with Names() as server:
        for name in ("outside.test", "sub.outside.test", "partner.test", "xn--bcher-kva.test"):
            server.records[name, "A"] = ["127.0.0.9"]  # they are there, and nobody listens
        yield server


def populate(node, dead):
    api = node.api
    hops = [{"host": "127.0.0.1", "port": dead}]
    for customer in ("one", "two"):
        api.customer(customer)
        api.hosted_domain(f"{customer}.test", customer)
    for account, customer in ACCOUNTS.items():
        api.account(account, customer)
    for name in ROUTES:
        owner = {"customer": name[3:]} if name.startswith("of-") else {}
        api.post("/v1/routes", {"name": name, **owner, "next_hops": [
            {"host": f"127.0.1.{priority}", "port": dead, "priority": priority} for priority in (20, 10)]})
    api.post("/v1/domains", {"name": "second.one.test", "customer": "one", "kind": "alias", "target": "one.test"})
    api.post("/v1/domains", {"name": "caught.test", "customer": "two", "kind": "hosted", "catch_all": "x@outside.test"})
    api.post("/v1/domains", {"name": "relayed.test", "customer": "two", "kind": "relay", "next_hops": hops})
    api.post("/v1/domains", {"name": "routed.test", "customer": "one", "kind": "relay", "route": "of-one"})
    for address, *targets in (("out@one.test", "x@outside.test"), ("out@two.test", "y@partner.test"),
                              ("both@two.test", "x@outside.test", "z@xn--bcher-kva.test", "cat@two.test", "x@relayed.test"),
                              ("chain@one.test", "out@two.test")):
        api.post("/v1/aliases", {"address": address, "targets": targets})
    api.post("/v1/groups", {"address": "split@one.test", "members": ["out@one.test", "both@two.test"], "senders": "anyone"})
    api.post("/v1/networks", {"cidr": "127.0.0.0/8", "customer": "two"})
    api.post("/v1/relay-grants", {"label": "all", "customer": "two", "network": "127.0.0.0/8", "senders": "any"})


@pytest.fixture(params=["mx", "host", "route:third"])
def node(new_posthouse, names, request):
    dead = free_port()
    default = {"mx": None, "host": f"127.0.0.1:{dead}"}.get(request.param, request.param)
    node = new_posthouse(settings={"daemon.workers": 1, "dns.resolver": names.resolver, "smtp.address_literals": "yes", "delivery.mx_port": dead,
                                   "delivery.default_route": default, "delivery.retry_first": "1h", "delivery.retry_max": "1h"}).start()
    populate(node, dead)
    return node


def random_rules(node, dice):
    """Of each kind for some; who has none of his own has everybody's."""
    api = node.api
    for rule in api.get("/v1/route-rules")["items"]:
        api.delete(f"/v1/route-rules/{rule['id']}")
    everybodys, mine = ROUTES[:3], {"one": (*ROUTES[:3], "of-one"), "two": (*ROUTES[:3], "of-two")}
    wanted = [{"recipient_domain": domain} for domain in ("outside.test", "partner.test", "bücher.test")]
    for customer in mine:
        wanted += [{"customer": customer, **more} for more in (
            {}, {"sender_domain": "one.test"}, {"sender_domain": "far.test"}, {"recipient_domain": "partner.test"},
            {"recipient_domain": "outside.test"}, *({"account": login} for login, owner in ACCOUNTS.items() if owner == customer))]
    for rule in wanted:
        if dice.random() < 0.3:
            api.post("/v1/route-rules", {**rule, "route": dice.choice(mine.get(rule.get("customer"), everybodys))})
    node.wait_known()


def accept(node, login, sender, recipient):
    """What is in the queue for it: {recipient: destination}."""
    before = {row[0] for row in node.query("select id from queue_entry")}
    utf8 = [] if recipient.isascii() else ["SMTPUTF8"]
    with (node.submission(login) if login else node.smtp()) as client:
        client.ehlo()
        assert client.mail(sender, utf8)[0] == 250
        assert client.rcpt(recipient)[0] == 250, (login, sender, recipient)
        assert client.data(make_message("which way", sender=sender or "joe@far.test", to="x@outside.test"))[0] == 250
    rows = node.query("select id, recipient, destination from queue_entry")
    return {to.lower(): destination for number, to, destination in rows if number not in before and destination != "mailbox"}


def test_the_dry_run_says_which_way_mail_goes(node):
    """Every destination, of every target; and of a destination that was tried the host that is told last was the last."""
    dice = random.Random(str(node.values["delivery.default_route"]).partition(":")[0])
    rules, tried = set(), 0
    for _ in range(4):
        random_rules(node, dice)
        for recipient in RECIPIENTS:
            for login in dice.sample([*ACCOUNTS, None], 2):
                sender = dice.choice(SENDERS[login])
                told = node.api.post("/v1/relay-checks", {"sender": sender or "<>", "recipient": recipient, "client": "127.0.0.1",
                                                          **({"account": login} if login else {})})
                ways = {target["address"].lower(): target["route"] for target in told["targets"] if target["route"]}
                assert told["reply"]["code"] == 250, told
                assert accept(node, login, sender, recipient) == {to: way["destination"] for to, way in ways.items()}, (login, sender, recipient)
                rules |= {way["rule"] for way in ways.values()}
                for way in ways.values():
                    hop = way["next_hops"][-1]
                    wait_until(lambda: node.query(f"select 1 from destination where key = '{way['destination']}' and failures > 0"), "it was tried")
                    last = node.query(f"select last_error from destination where key = '{way['destination']}'")[0][0]
                    assert last.startswith(f"{hop['host']}:{hop['port']}: "), (last, way)
                    tried += 1
    wanted = {"account", "sender-domain", "customer", "recipient-domain", "domain", "mx" if node.values["delivery.default_route"] is None else "default"}
    assert rules == wanted and tried > 100
