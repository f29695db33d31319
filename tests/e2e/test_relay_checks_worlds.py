"""The dry run and the door, held together in random worlds: grants that hold, for certificates and networks, used up or not; policies,
lists and reverse names of strangers; account states; groups; what a primary said, and what is frozen in its outage."""
import random
import re
import smtplib

import pytest

from conftest import _close, _node
from harness.authority import Authority, fingerprint
from harness.dialogue import Dialogue
from harness.names import Names
from harness.posthouse import make_message
from harness.process import free_port, make_folder, remove_folder, wait_until
from harness.requests import pages
from harness.sink import Behaviour, Sink

CUSTOMERS = ("first", "second")
HOSTED = {"one.test": "first", "two.test": "first", "three.test": "second"}
LOCALS = ("ann", "bob", "nobody", "ann+x", "group", "alias", "postmaster")
ELSEWHERE = ("ann@learned.test", "bob@learned.test", "carl@learned.test", "ann@frozen.test", "bob@frozen.test", "carl@frozen.test",
             "ann@listed.test", "bob@listed.test", "x@outside.test", "x@second.one.test", "ann@second.one.test",
             "srs0=aaaaaa=aa=outside.test=x@one.test", "srs1=aaaaaa=a.test==b=c=d.test=x@learned.test")
# As RCPT takes them; all of them are asked for in each world.
UNUSUAL = ('"ann"@one.test', '"a\\nn"@ONE.test', '"x y"@one.test', '"x y"@outside.test', '"a@b"@second.one.test', "Postmaster", "postMASTER",
           "x@[192.0.2.1]", "x@[IPv6:2001:db8::1]", "x@[127.0.0.1]", f"{'l' * 100}@one.test", f"{'l' * 300}@outside.test", "ann@xn--nxasmq6b.test",
           "ann@host-of-the_one.test", "ann@localhost")
STATES = ("active", "active", "active", "suspended", "receive-only", "send-only", "closed")
ZONES = ("a.lists.example", "b.lists.example")
WATCH = "watch.lists.example"
WORLDS = range(10)


def strangers(seed):
    """Each world has its own: what DNS said of them in another is remembered for a while."""
    return [f"198.18.0.{seed + 1}", f"198.18.0.{seed + 101}", f"198.18.1.{seed + 1}", f"198.18.2.{seed + 1}", f"2001:470::{seed + 1}"]


@pytest.fixture(scope="module")
def names():
    with Names() as server:
        server.records["outside.test", "A"] = ["127.0.0.9"]  # it is there: what is not, is refused for that
        yield server


@pytest.fixture(scope="module")
def primary():
    with Sink() as sink:
        sink.behave = Behaviour(recipient_replies={"ann@learned.test": "250 2.1.5 Ok", "bob@learned.test": "450 4.2.0 later"},
                                other_recipients="550 5.1.1 nobody")
        yield sink


@pytest.fixture(scope="module")
def cards():
    folder = make_folder("cards")
    authority = Authority(folder)
    yield authority, [authority.client(), authority.client()]
    remove_folder(folder)


def populate(node, primary):
    api = node.api
    for customer in (*CUSTOMERS, "watch"):
        api.customer(customer)
    for domain, customer in HOSTED.items():
        api.hosted_domain(domain, customer)
        for local in ("ann", "bob"):
            api.account(f"{local}@{domain}", customer)
        api.post("/v1/groups", {"address": f"group@{domain}", "members": [f"ann@{domain}", "x@outside.test"], "senders": "customer"})
        api.post("/v1/aliases", {"address": f"alias@{domain}", "targets": [f"group@{domain}", f"bob@{domain}"]})
    api.hosted_domain("watch.test", "watch")
    api.account("ann@watch.test", "watch")
    api.post("/v1/domains", {"name": "second.one.test", "customer": "first", "kind": "alias", "target": "one.test"})
    for name, port, recipients in (("learned.test", primary.port, "learned"), ("frozen.test", free_port(), "learned"),
                                   ("listed.test", free_port(), "listed")):
        api.post("/v1/domains", {"name": name, "customer": "first", "kind": "relay", "recipients": recipients,
                                 "next_hops": [{"host": "127.0.0.1", "port": port}]})
    api.post("/v1/domains/listed.test/recipients", {"address": "ann@listed.test"})
    node.query("insert into recipient_learned (cell, domain_id, address, valid, learned_at, until)"
               " select cell, id, local || '@frozen.test', local = 'ann', now() - interval '1 hour', now() from domain, (values ('ann'), ('bob')) as known (local)"
               " where name = 'frozen.test'")
    node.send("joe@outside.test", "ann@frozen.test", make_message("it is away"))
    wait_until(lambda: api.get("/v1/outages?open=true")["items"], "an outage freezes what was learned")


@pytest.fixture(scope="module")
def node(postgres, certificate, names, primary, cards):
    made = _node(postgres, certificate, settings={
        "smtp.xclient_networks": "127.0.0.1", "daemon.workers": 1, "dns.resolver": names.resolver, "clients.dns_wait": "10s",
        "clients.tarpit_max": "0s", "clients.connections_per_minute": 0, "clients.network_connections_per_minute": 0,
        "tls.client_ca_file": cards[0].certificate})
    try:
        made.start()
        populate(made, primary)
        yield made
    finally:
        _close(made)


# ------------------------------------------------------------------ a world

def random_grant(dice, cards):
    customer = dice.choice(CUSTOMERS)
    mine = [domain for domain, owner in HOSTED.items() if owner == customer]
    who = dice.choice([{}, {"account": f"{dice.choice(['ann', 'bob'])}@{dice.choice(mine)}"}, {"domain": dice.choice(mine)},
                       {"network": dice.choice(["127.0.0.1/32", "198.18.1.0/24", "2001:470::/32"])},
                       {"certificate": fingerprint(dice.choice(cards))}, {"certificate": fingerprint(dice.choice(cards))}])
    senders = dice.choice([{"senders": "own"}, {"senders": "any"}, {"senders": "any"},
                           {"senders": "domains", "sender_domains": dice.sample(sorted(HOSTED), 2)}])
    recipients = dice.choice([{"recipients": "any"}, {"recipients": "any"}, {"recipients": "customer"},
                              {"recipients": "domains", "recipient_domains": ["outside.test", dice.choice(sorted(HOSTED))]}])
    more = {"tls_required": dice.random() < 0.4, "at_limit": dice.choice(["refuse", "defer", "hold", "hold"])}
    if more["at_limit"] == "hold":
        more.update(hold_seconds=dice.choice([60, 3600]), hold_then=dice.choice(["release", "reject"]))
    if dice.random() < 0.2:
        more["size_max"] = 1000
    if dice.random() < 0.2:
        more["valid_until"] = dice.choice(["2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"])
    for limit, most in (("messages_per_day", 5), ("recipients_per_day", 5), ("bytes_per_day", 2000)):
        if dice.random() < 0.4:
            more[limit] = most
    return {"customer": customer, **who, **senders, **recipients, **more}


def use_up(node, dice, grant):
    """Below its limits, past them, or so far past that nothing is held any more; of windows that do not turn meanwhile."""
    times = dice.choice([0, 1, 1, 2, 20])
    if not any(grant[limit] for limit in ("messages_per_day", "recipients_per_day", "bytes_per_day")):
        return
    node.query("insert into relay_usage (cell, grant_id, account_id, worker, minute, hour, day, minute_messages, hour_messages,"
               " day_messages, minute_recipients, hour_recipients, day_recipients, day_bytes)"
               " select c.cell, g.id, 0, 1023, date_trunc('minute', now(), 'UTC'),"
               f" date_trunc('hour', now(), 'UTC'), date_trunc('day', now(), 'UTC'), 0, 0, {5 * times}, 0, 0, {5 * times}, {2000 * times}"
               " from relay_grant g join customer c on c.id = g.customer_id order by g.created_at desc, g.id desc limit 1 returning 1")


def random_policy(dice):
    policy = {"greylist": dice.choice(["never", "never", "always", "suspects"]), "greylist_delay": 300,
              "reverse_name": dice.choice(["ignore", "score", "require"])}
    if dice.random() < 0.6:
        policy["refuse_at"] = dice.choice([3, 5, 8])
    if policy["greylist"] == "suspects":
        policy["greylist_at"] = dice.choice([2, 4])
    if policy["reverse_name"] == "score":
        policy["reverse_score"] = dice.choice([2, 4])
    return policy


def make_strangers(node, dice, names, seed):
    """Lists, names and policies; known when the last of each kind is."""
    clients, (seen, exempt) = strangers(seed), (f"198.18.9.{seed + 1}", f"198.18.9.{seed + 101}")
    for zone in ZONES:
        node.api.post("/v1/dns-lists", {"zone": zone, "score": dice.choice([-3, 2, 3, 6])})
        for client in dice.sample(clients, 3):
            names.listed(client, zone, text=dice.choice([None, "see there"]))
    for client in dice.sample(clients, 3):
        names.named(client, f"host-{clients.index(client)}-{seed}.client.example")
    scopes = [{}, *({"customer": customer} for customer in CUSTOMERS), *({"domain": domain} for domain in (*HOSTED, "learned.test"))]
    for scope in dice.sample(scopes, 4):
        node.api.post("/v1/client-policies", {**scope, **random_policy(dice)})
    if dice.random() < 0.7:
        node.api.post("/v1/allowed-networks", {"network": "198.18.2.0/24", **dice.choice([{}, {"customer": "first"}])})
    for client in (seen, exempt):
        names.listed(client, WATCH)
    node.api.post("/v1/dns-lists", {"zone": WATCH, "score": 50})
    node.api.post("/v1/client-policies", {"domain": "watch.test", "refuse_at": 50})
    wait_until(lambda: watched(node, seen) == [550, 550], "the policies are known")
    node.api.post("/v1/allowed-networks", {"network": exempt})
    wait_until(lambda: watched(node, exempt) == [250, 250], "the allow-list is known")


def watched(node, client):
    with Door(node, client=client) as door:
        _, reply, _ = door.ask("joe@outside.test", "ann@watch.test", 0)
    question = {"client": client, "sender": "joe@outside.test", "recipient": "ann@watch.test"}
    return [reply["code"], node.api.post("/v1/relay-checks", question)["reply"]["code"]]


def clear(node):
    for path in ("/v1/client-policies", "/v1/dns-lists", "/v1/allowed-networks", "/v1/relay-grants", "/v1/networks"):
        for each in pages(node.api, path):
            node.api.delete(f"{path}/{each['id']}")
    for domain in HOSTED:
        for local in ("ann", "bob"):
            node.api.patch(f"/v1/accounts/{local}@{domain}", {"state": "active"})


# ------------------------------------------------------------------ the door

class Door:
    """Port 25: as a client that a proxy tells of, or as this machine, with TLS and a certificate or not."""

    def __init__(self, node, client=None, tls=False, card=None):
        self.dialogue = Dialogue(node, "smtp", client=card)
        self.dialogue.hello()
        if tls:
            self.dialogue.ask("STARTTLS", "220")
            self.dialogue.start_tls()
            self.dialogue.ask("EHLO client.test", "250")
        if client:
            self.dialogue.ask(f"XCLIENT ADDR={'IPV6:' if ':' in client else ''}{client}", "220")
            self.dialogue.ask("EHLO client.test", "250")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.dialogue.close()

    def ask(self, sender, recipient, size):
        command, reply = "MAIL", self.dialogue.ask(f"MAIL FROM:<{sender}>" + (f" SIZE={size}" if size else ""))
        if reply.startswith("250"):
            command, reply = "RCPT", self.dialogue.ask(f"RCPT TO:<{recipient}>")
        return command, *as_reply(reply.split("\n"))


class Submission(Door):
    def __init__(self, node, login):
        self.dialogue = Dialogue(node, "submissions")
        self.dialogue.hello()
        self.signed_in = self.dialogue.plain(login, "posthouse-demo").startswith("235")


def as_reply(lines):
    code, enhanced = int(lines[0][:3]), lines[0][4:].split(" ")[0]
    words = "".join(line[4 + len(enhanced) + 1:] for line in lines)
    found = re.fullmatch(r"(.*) \(decision ([0-9a-z]{13})\)", words)
    return {"code": code, "enhanced": enhanced, "text": found[1] if found else words}, found and found[2]


def comparable(reply):
    """The seconds that a greylisted client is told go on between two questions."""
    return {**reply, "text": re.sub(r"try again in \d+ seconds", "try again", reply["text"])}


def random_visit(node, dice, submissions, cards, clients):
    """Who comes, and how the dry run is told of him."""
    kind = dice.choice(["stranger", "stranger", "stranger", "here", "card", "account", "account"])
    if kind == "account" and submissions:
        login = dice.choice(sorted(submissions))
        return submissions[login], {"client": "127.0.0.1", "account": login, "tls": True}
    if kind == "stranger":
        client = dice.choice(clients)
        return Door(node, client=client), {"client": client, "tls": False}
    if kind == "card":
        card = dice.choice(cards)
        return Door(node, tls=True, card=card), {"client": "127.0.0.1", "tls": True, "certificate": fingerprint(card)}
    tls = dice.random() < 0.5
    return Door(node, tls=tls), {"client": "127.0.0.1", "tls": tls}


def random_address(dice, null=False):
    """Outside often enough: that is what grants are for."""
    ours = [f"{local}@{domain}" for local in LOCALS for domain in HOSTED]
    return dice.choice(([""] if null else []) + ["x@outside.test"] * 8 + [*ELSEWHERE] + ours)


SEEN = {}


@pytest.mark.parametrize("seed", WORLDS)
def test_the_dry_run_says_what_the_door_says(node, names, cards, seed):
    dice = random.Random(seed)
    clear(node)
    logins = [f"{local}@{domain}" for domain in HOSTED for local in ("ann", "bob")]
    submissions = {login: Submission(node, login) for login in logins}
    refusals, seen = [], SEEN.setdefault(seed, set())
    for _ in range(14):
        use_up(node, dice, node.api.post("/v1/relay-grants", random_grant(dice, cards[1])))
    if dice.random() < 0.5:
        node.api.post("/v1/networks", {"cidr": dice.choice(["127.0.0.0/16", "198.18.1.0/24"]), "customer": dice.choice(CUSTOMERS)})
    for login in logins:
        node.api.patch(f"/v1/accounts/{login}", {"state": dice.choice(STATES)})
    make_strangers(node, dice, names, seed)
    try:
        for unusual in (*[None] * 120, *UNUSUAL):
            door, question = random_visit(node, dice, submissions, cards[1], strangers(seed))
            sender, recipient, size = random_address(dice, null=True), random_address(dice), dice.choice([0, 0, 900, 1100, 1 << 40])
            if unusual:
                recipient, size = unusual, 0
                sender = dice.choice([sender, '"x y"@one.test', '"ann"@one.test', "x@[192.0.2.1]"])
            question = {**question, "sender": sender or "<>", "recipient": recipient, "size": size}
            told = node.api.post("/v1/relay-checks", question)
            door.dialogue.ask("RSET", "250")
            command, reply, number = door.ask(sender, recipient, size)
            assert (told["command"], comparable(told["reply"])) == (command, comparable(reply)), question
            seen.add("held" if told["reply"]["text"].startswith("Ok, to be held") else told["why"])
            if number:
                refusals.append((question, told, number))
            if door not in submissions.values():
                door.dialogue.close()
        for question, told, number in refusals:
            wait_until(lambda number=number: node.api.request("GET", f"/v1/decisions/{number}")[0] == 200, "the decision is written")
            kept = node.api.get(f"/v1/decisions/{number}")
            for key in ("verdict", "why", "grant", "limit", "command"):
                assert kept[key] == told[key], (key, question)
            assert (kept["client"], kept["tls"], kept["certificate"]) == (question["client"], question["tls"], question.get("certificate"))
    finally:
        for door in submissions.values():
            door.dialogue.close()
        clear(node)
    assert len(seen) >= 8, seen


def test_the_worlds_had_everything(node):
    """What the test above is for; the seeds are fixed, so that it is always the same."""
    if len(SEEN) < len(WORLDS):
        pytest.skip("not all worlds were made")
    seen = set().union(*SEEN.values())
    wanted = {"held", "rate-limit", "dns-list", "reverse-name", "greylisted", "group-closed", "grant", "unknown-user", "size-limit",
              "sender-not-granted", "recipient-not-granted", "tls-required", "recipient-suspended", "account-suspended", "frozen"}
    assert wanted - seen == set(), seen
