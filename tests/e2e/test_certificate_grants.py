"""Relay grants for clients that show a certificate on port 25."""
import json

import pytest

from harness.authority import Authority, fingerprint
from harness.dialogue import Dialogue
from harness.posthouse import PROGRAM, SANITIZERS, Posthouse, make_message, subject_of
from harness.process import make_folder, remove_folder, run, wait_until
from harness.requests import problem
from harness.sink import Sink

OUTSIDE = "dan@outside.test"


@pytest.fixture(scope="module")
def authorities():
    folder = make_folder("authorities")
    yield Authority(folder), Authority(folder, "stranger")
    remove_folder(folder)


@pytest.fixture(scope="module")
def sink_outside():
    with Sink() as server:
        yield server


@pytest.fixture(scope="module")
def node(postgres, certificate, authorities, sink_outside):
    made = Posthouse(postgres, certificate, default_route=sink_outside.port, settings={
        "tls.client_ca_file": authorities[0].certificate, "smtp.xclient_networks": "127.0.0.1"})
    try:
        made.start()
        made.api.customer("carded")
        made.api.hosted_domain("carded.test", "carded")
        made.api.account("ann@carded.test", "carded")
        yield made
    finally:
        made.close()


@pytest.fixture
def grant(node):
    made = []

    def make(**fields):
        made.append(node.api.post("/v1/relay-grants", {"customer": "carded", **fields}))
        return made[-1]

    yield make
    for one in made:
        node.api.request("DELETE", f"/v1/relay-grants/{one['id']}")


def secured(node, client):
    session = Dialogue(node, "smtp", client=client)
    session.hello()
    session.ask("STARTTLS", "220")
    session.start_tls()
    session.ask("EHLO client.test", "250")
    return session


def ask(node, client, sender="x@elsewhere.test", recipient=OUTSIDE):
    """The reply to RCPT; and relay-checks say the same."""
    with secured(node, client) as session:
        session.ask(f"MAIL FROM:<{sender}>", "250")
        reply = session.ask(f"RCPT TO:<{recipient}>")
    question = {"client": "127.0.0.1", "sender": sender, "recipient": recipient}
    told = node.api.post("/v1/relay-checks", {**question, **({"certificate": fingerprint(client)} if client else {})})["reply"]
    assert reply.split(" (decision")[0] == f"{told['code']} {told['enhanced']} {told['text']}"
    return reply


def test_the_client_with_the_certificate(node, authorities, grant, sink_outside):
    mine, other = authorities[0].client(), authorities[0].client()
    assert ask(node, mine).startswith("550 5.7.1 ")
    made = grant(certificate=":".join(fingerprint(mine)[i:i + 2] for i in range(0, 64, 2)), senders="any")
    assert made["certificate"] == fingerprint(mine) and made["network"] is None and made["account"] is None
    assert node.api.get(f"/v1/relay-grants/{made['id']}") == made
    assert ask(node, mine) == "250 2.1.5 Ok"
    for client in (other, None):
        assert ask(node, client).startswith("550 5.7.1 ")
    with Dialogue(node, "smtp") as clear:  # in clear nobody shows one
        clear.hello()
        clear.ask("MAIL FROM:<x@elsewhere.test>", "250")
        clear.ask(f"RCPT TO:<{OUTSIDE}>", "550 5.7.1")
    with secured(node, mine) as session:
        assert session.message("x@elsewhere.test", OUTSIDE, make_message("by card")).startswith("250 ")
    wait_until(lambda: [m for m in sink_outside.messages if subject_of(m.data) == "by card"], "it arrives")
    node.api.delete(f"/v1/relay-grants/{made['id']}")
    assert ask(node, mine).startswith("550 5.7.1 ")


def test_nobody_need_vouch_for_it(node, authorities, grant):
    """The grant names this very one, and the handshake has proven its key."""
    stranger, over = authorities[1].client(), authorities[0].client(days=-1)
    for client in (stranger, over):
        grant(certificate=fingerprint(client), senders="any")
        assert ask(node, client) == "250 2.1.5 Ok"


def test_it_goes_before_networks(node, authorities, grant):
    mine = authorities[0].client()
    grant(network="127.0.0.1/32", senders="any")
    assert ask(node, mine).startswith("250 ")
    narrow = grant(certificate=fingerprint(mine), recipients="customer", senders="any")
    assert narrow["id"] in ask(node, mine)
    grant(certificate=fingerprint(mine), senders="domains", sender_domains=["elsewhere.test"])
    assert ask(node, mine).startswith("250 ")  # one of several of a kind
    assert ask(node, mine, sender="x@third.test").startswith("550 5.7.1 ")
    assert ask(node, None).startswith("250 ")


def test_own_senders_are_its_customers(node, authorities, grant):
    mine = authorities[0].client()
    grant(certificate=fingerprint(mine))
    assert ask(node, mine, sender="anybody@carded.test").startswith("250 ")
    assert ask(node, mine).startswith("550 5.7.1 ")


def test_the_decision_shows_it(node, authorities, grant):
    mine = authorities[0].client()
    made = grant(certificate=fingerprint(mine), recipients="customer", senders="any")
    number = ask(node, mine).split("(decision ")[1].rstrip(")")
    wait_until(lambda: node.api.request("GET", f"/v1/decisions/{number}")[0] == 200, "it is noted")
    kept = node.api.get(f"/v1/decisions/{number}")
    assert kept["certificate"] == fingerprint(mine) and kept["grant"] == made["id"] and kept["tls"] is True
    number = ask(node, None, sender="x@third.test").split("(decision ")[1].rstrip(")")
    wait_until(lambda: node.api.request("GET", f"/v1/decisions/{number}")[0] == 200, "it is noted")
    assert node.api.get(f"/v1/decisions/{number}")["certificate"] is None


def test_limits(node, authorities, grant):
    mine = authorities[0].client()
    grant(certificate=fingerprint(mine), senders="any", messages_per_day=1, at_limit="defer")
    with secured(node, mine) as session:
        assert session.message("x@elsewhere.test", OUTSIDE, make_message("the one")).startswith("250 ")
    assert ask(node, mine).startswith("451 4.7.1 ")


def test_it_opens_the_groups_of_its_customer(node, authorities, grant):
    """Also by way of an alias; a certificate of another customer's, and none, do not."""
    mine, other = authorities[0].client(), authorities[0].client()
    node.api.customer("uncarded")
    node.api.post("/v1/groups", {"address": "users@carded.test", "members": ["ann@carded.test"], "senders": "customer"})
    node.api.post("/v1/aliases", {"address": "way@carded.test", "targets": ["users@carded.test"]})
    grant(certificate=fingerprint(mine), senders="any")
    grant(certificate=fingerprint(other), senders="any", customer="uncarded")
    for recipient in ("users@carded.test", "way@carded.test"):
        assert ask(node, mine, recipient=recipient) == "250 2.1.5 Ok"
        for client in (other, None):
            assert ask(node, client, recipient=recipient).startswith("550 5.7.2 ")


def test_not_behind_xclient(node, authorities, grant):
    mine = authorities[0].client()
    grant(certificate=fingerprint(mine), senders="any")
    with secured(node, mine) as session:
        session.ask("XCLIENT ADDR=192.0.2.9", "220")
        session.ask("EHLO client.test", "250")
        session.ask("MAIL FROM:<x@elsewhere.test>", "250")
        session.ask(f"RCPT TO:<{OUTSIDE}>", "550 5.7.1")


def test_requests_that_are_refused(node, authorities):
    digest = fingerprint(authorities[0].client())
    for fields in ({"certificate": digest[:-1]}, {"certificate": "x" * 64}, {"certificate": digest, "network": "192.0.2.0/24"},
                   {"certificate": digest, "account": "ann@carded.test"}, {"certificate": digest, "domain": "carded.test"}):
        problem(node, 422, "POST", "/v1/relay-grants", {"customer": "carded", **fields}, field="certificate")
    question = {"sender": "<>", "recipient": OUTSIDE}
    problem(node, 422, "POST", "/v1/relay-checks", {**question, "certificate": "00"}, field="certificate")
    problem(node, 422, "POST", "/v1/relay-checks", {**question, "certificate": digest, "tls": False}, field="certificate")


def test_by_the_command_line(node, authorities):
    def line(*arguments):
        return run([PROGRAM.parent / "posthouse", "--url", f"http://127.0.0.1:{node.ports['admin']}", *arguments],
                   env={"POSTHOUSE_TOKEN": node.token, **SANITIZERS}).stdout

    digest = fingerprint(authorities[0].client())
    made = json.loads(line("relay-grants", "create", "by card", "--customer", "carded", "--certificate", digest, "--senders", "any",
                           "--json"))
    assert made["certificate"] == digest
    assert digest in line("relay-grants", "list", "--customer", "carded")
    told = json.loads(line("relay-checks", "create", OUTSIDE, "--sender", "x@elsewhere.test", "--certificate", digest, "--json"))
    assert (told["verdict"], told["grant"]) == ("outside", made["id"])
    line("relay-grants", "delete", made["id"])
