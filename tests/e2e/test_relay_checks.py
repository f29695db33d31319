"""The dry run: what it answers, and that it answers what MAIL and RCPT do."""
import random
import re
import smtplib

import pytest

from harness.api import ApiError
from harness.posthouse import make_message
from harness.process import free_port, wait_until
from harness.sink import Behaviour, Sink

DOMAINS = {"one.test": "first", "two.test": "first", "three.test": "second"}
MORE_DOMAINS = ["relay.test", "learned.test", "frozen.test", "listed.test", "second.one.test", "split.test", "all.test", "outside.test", "y.test"]
STATES = ["active", "active", "active", "suspended", "receive-only", "send-only", "closed"]


@pytest.fixture(scope="module")
def primary():
    with Sink() as sink:
        sink.behave = Behaviour(recipient_replies={"ann@learned.test": "250 2.1.5 Ok", "bob@learned.test": "450 4.2.0 later"},
                                other_recipients="550 5.1.1 nobody")
        yield sink


@pytest.fixture(scope="module")
def node(posthouse, primary):
    for customer in ("first", "second"):
        posthouse.api.customer(customer)
    for domain, customer in DOMAINS.items():
        posthouse.api.hosted_domain(domain, customer)
    hops = [{"host": "127.0.0.1", "port": free_port()}]
    posthouse.api.relay_domain("relay.test", "first", free_port())
    for name, hop in (("learned.test", [{"host": "127.0.0.1", "port": primary.port}]), ("frozen.test", hops)):
        posthouse.api.post("/v1/domains", {"name": name, "customer": "first", "kind": "relay", "next_hops": hop,
                                           "recipients": "learned"})
    posthouse.query("insert into recipient_learned (cell, domain_id, address, valid, learned_at, until) select cell, id,"
                    " 'ann@frozen.test', true, now() - interval '1 hour', now() from domain where name = 'frozen.test'")
    posthouse.api.post("/v1/domains", {"name": "listed.test", "customer": "first", "kind": "relay", "next_hops": hops,
                                       "recipients": "listed"})
    posthouse.api.post("/v1/domains/listed.test/recipients", {"address": "ann@listed.test"})
    posthouse.api.post("/v1/domains", {"name": "second.one.test", "customer": "first", "kind": "alias", "target": "one.test"})
    posthouse.api.post("/v1/domains", {"name": "split.test", "customer": "first", "kind": "hosted", "next_hops": hops})
    posthouse.api.post("/v1/domains", {"name": "all.test", "customer": "second", "kind": "hosted", "catch_all": "bob@one.test"})
    posthouse.api.account("ann@split.test", "first")
    for domain, customer in DOMAINS.items():
        posthouse.api.account(f"ann@{domain}", customer)
        posthouse.api.post("/v1/accounts", {"address": f"bob@{domain}", "customer": customer, "password": "posthouse-demo",
                                            "aliases": [f"sales@{domain}"]})
    return posthouse


def check(node, **question):
    return node.api.post("/v1/relay-checks", question)


# ------------------------------------------------------------------ what it answers


def test_a_mailbox(node):
    assert check(node, sender="x@y.test", recipient="sales@one.test") == {
        "verdict": "mailbox", "why": "hosted", "grant": None, "limit": None, "route": None, "command": "RCPT", "stranger": None,
        "targets": [{"address": "sales@one.test", "verdict": "mailbox", "route": None, "srs_domain": None}],
        "headroom": {"size": 52428800, "recipients": None, "messages": None}, "reply": {"code": 250, "enhanced": "2.1.5", "text": "Ok"}}


def test_a_relay_domain(node):
    hops = node.api.get("/v1/domains/relay.test")
    told = check(node, client="2001:db8::1", sender="<>", recipient="x@relay.test", size=52428000)
    assert (told["verdict"], told["headroom"]["size"]) == ("relay", 800)
    assert told["route"] == {"destination": told["route"]["destination"], "rule": "domain", "route_rule": None, "route": None,
                             "next_hops": [{**hop, "tls": None} for hop in hops["next_hops"]], "problem": None, "outage": None}
    assert told["route"]["destination"].startswith("domain:")


def test_outside(node, outside):
    told = check(node, account="ann@one.test", sender="ann@one.test", recipient="x@outside.test")
    assert told["verdict"] == "outside" and told["why"] == "account"
    assert told["route"] == {"destination": "default", "rule": "default", "route_rule": None, "route": None, "problem": None, "outage": None,
                             "next_hops": [{"host": "127.0.0.1", "port": outside.port, "priority": 0, "tls": None}]}
    told = check(node, client="203.0.113.9", sender="ann@one.test", recipient="x@outside.test")
    assert told["verdict"] == "denied" and told["route"] is None and told["why"] == "relay-denied"
    assert told["reply"] == {"code": 550, "enhanced": "5.7.1", "text": "<x@outside.test>: relaying denied: 203.0.113.9 is not "
                             "in a network that may relay through this server"}


def test_a_grant_its_limit_and_its_time(node):
    grant = node.api.post("/v1/relay-grants", {"customer": "first", "account": "ann@two.test", "size_max": 1000,
                                               "recipients_max": 7, "valid_until": "2100-01-01T00:00:00Z"})
    question = {"account": "ann@two.test", "sender": "ann@two.test", "recipient": "x@outside.test"}
    told = check(node, **question, size=400)
    assert (told["grant"], told["headroom"]) == (grant["id"], {"size": 600, "recipients": 7, "messages": None})
    told = check(node, **question, size=1001)
    assert (told["grant"], told["limit"], told["command"], told["reply"]["code"]) == (grant["id"], "size_max", "MAIL", 552)
    told = check(node, **question, size=1001, at="2100-01-01T00:00:00Z")
    assert (told["grant"], told["reply"]["code"]) == (None, 250)
    node.api.delete(f"/v1/relay-grants/{grant['id']}")


@pytest.mark.parametrize("field, change", [
    ("sender", {"sender": None}),
    ("sender", {"sender": "no address"}),
    ("recipient", {"recipient": "<>"}),
    ("recipient", {"recipient": "a@[192.0.2.256]"}),
    ("recipient", {"recipient": '"a@one.test'}),
    ("recipient", {"recipient": "<a@one.test>"}),
    ("recipient", {"recipient": "@other.test:a@one.test"}),
    ("sender", {"sender": "Postmaster"}),
    ("client", {"client": "localhost"}),
    ("account", {"account": "nobody@one.test"}),
    ("size", {"size": -1}),
    ("at", {"at": "now"}),
    ("tls", {"tls": 1}),
    ("port", {"port": 25}),
])
def test_refusals(node, field, change):
    with pytest.raises(ApiError) as caught:
        check(node, **{"sender": "x@y.test", "recipient": "ann@one.test", **change})
    assert (caught.value.status, caught.value.body["field"]) == (422, field)


# ------------------------------------------------------------------ the same as at the door


def random_grant(dice):
    customer = dice.choice(["first", "second"])
    mine = [domain for domain, owner in DOMAINS.items() if owner == customer]
    who = dice.choice([{}, {"account": f"{dice.choice(['ann', 'bob'])}@{dice.choice(mine)}"}, {"domain": dice.choice(mine)},
                       {"network": "127.0.0.0/8"}, {"network": "127.0.0.1/32"}])
    senders = dice.choice([{"senders": "own"}, {"senders": "any"},
                           {"senders": "domains", "sender_domains": dice.sample(sorted(DOMAINS), 2)}])
    recipients = dice.choice([{"recipients": "any"}, {"recipients": "customer"},
                              {"recipients": "domains", "recipient_domains": ["outside.test", dice.choice(sorted(DOMAINS))]}])
    more = {"tls_required": dice.random() < 0.2, "at_limit": dice.choice(["refuse", "defer", "hold"])}
    if dice.random() < 0.3:
        more["size_max"] = 1000
    if dice.random() < 0.2:
        more["valid_from"] = "2100-01-01T00:00:00Z"
    return {"customer": customer, **who, **senders, **recipients, **more}


def random_address(dice, null=False):
    return dice.choice(([""] if null else []) + [f"{local}@{domain}" for local in ("ann", "bob", "sales", "nobody", "ann+x")
                                                 for domain in (*DOMAINS, *MORE_DOMAINS)])


def as_reply(code, text):
    """A reply of smtplib's, its lines put together again, and the id of the decision that it carries."""
    lines = text.decode().split("\n")
    enhanced = lines[0].split(" ")[0]
    assert all(line.startswith(enhanced + " ") for line in lines)
    words = "".join(line[len(enhanced) + 1:] for line in lines)
    found = re.fullmatch(r"(.*) \(decision ([0-9a-z]{13})\)", words)
    assert (found is not None) == (code != 250)
    return {"code": code, "enhanced": enhanced, "text": found[1] if found else words}, found and found[2]


def at_the_door(client, sender, recipient, size):
    client.rset()
    reply = client.mail(sender, [f"SIZE={size}"] if size else [])
    command = "MAIL"
    if reply[0] == 250:
        reply = client.rcpt(recipient)
        command = "RCPT"
    return command, *as_reply(*reply)


def decision(node, number):
    """It is written a moment after the reply."""
    wait_until(lambda: node.api.request("GET", f"/v1/decisions/{number}")[0] == 200, f"decision {number} can be looked up")
    return node.api.get(f"/v1/decisions/{number}")


@pytest.mark.parametrize("seed", range(4))
def test_the_same_as_mail_and_rcpt(node, seed):
    dice = random.Random(seed)
    accounts = [f"{local}@{domain}" for local in ("ann", "bob") for domain in DOMAINS]
    made = [node.api.post("/v1/relay-grants", random_grant(dice)) for _ in range(8)]
    if dice.random() < 0.5:
        node.api.post("/v1/networks", {"cidr": "127.0.0.0/16", "customer": dice.choice(["first", "second"])})
    submissions = {login: node.submission(login) for login in accounts}
    plain, secure = node.smtp(), node.smtp()
    secure.starttls(context=node.certificate.context())
    seen, refusals = set(), []
    try:
        for client in (plain, secure, *submissions.values()):
            client.ehlo()
        for login in accounts:
            node.api.patch(f"/v1/accounts/{login}", {"state": dice.choice(STATES)})
        for _ in range(100):
            sender, recipient, size = random_address(dice, null=True), random_address(dice), dice.choice([0, 900, 1100, 1 << 40])
            login = dice.choice([None, *accounts])
            tls = login is not None or dice.random() < 0.5
            client = submissions[login] if login else secure if tls else plain
            question = {"client": "127.0.0.1", "sender": sender or "<>", "recipient": recipient, "size": size, "tls": tls}
            if login:
                question["account"] = login
            told = check(node, **question)
            command, reply, number = at_the_door(client, sender, recipient, size)
            assert (told["command"], told["reply"]) == (command, reply), question
            if number:
                refusals.append((question, told, number))
            seen.add(told["why"])
        for question, told, number in refusals:
            kept = decision(node, number)
            assert {key: kept[key] for key in ("verdict", "why", "grant", "limit", "command", "reply")} == \
                {key: told[key] for key in ("verdict", "why", "grant", "limit", "command", "reply")}, question
            assert (kept["client"], kept["tls"], kept["size"] or 0) == ("127.0.0.1", question["tls"], question["size"])
            assert (kept["account"] is not None) == ("account" in question)
            assert (kept["sender"] or "<>") == question["sender"]
            assert kept["recipient"] == (question["recipient"] if told["command"] == "RCPT" else None)
    finally:
        for client in (plain, secure, *submissions.values()):
            client.close()
        for login in accounts:
            node.api.patch(f"/v1/accounts/{login}", {"state": "active"})
        for grant in made:
            node.api.delete(f"/v1/relay-grants/{grant['id']}")
        for network in node.api.get("/v1/networks")["items"]:
            node.api.delete(f"/v1/networks/{network['id']}")
    assert len(seen) >= 5, seen  # it asked about many kinds of cases


def test_a_refusal_at_the_end_of_data_can_be_looked_up(node):
    message = make_message("not mine", sender="bob@one.test", to="bob@one.test")
    with pytest.raises(smtplib.SMTPDataError) as caught, node.submission("ann@one.test") as client:
        client.sendmail("ann@one.test", ["bob@one.test"], message)
    reply, number = as_reply(caught.value.smtp_code, caught.value.smtp_error)
    kept = decision(node, number)
    assert (kept["command"], kept["sender"], kept["recipient"], kept["reply"]) == ("DATA", "ann@one.test", None, reply)


def test_a_decision_that_is_not_known(node):
    for number in ("0" * 13, "x", "04ssdk6pc0h01"):
        status, _, _ = node.api.request("GET", f"/v1/decisions/{number}")
        assert status == 404
