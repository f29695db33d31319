"""Addresses that are somebody's without being listed: subaddresses, catch-alls, second names of domains, split domains."""
import email
import smtplib

import pytest

from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from harness.requests import problem
from harness.sink import Sink


@pytest.fixture(scope="module")
def here(posthouse):
    api = posthouse.api
    api.customer("names")
    api.customer("names too")
    api.hosted_domain("names.test", "names")
    api.hosted_domain("other.names.test", "names too")
    for user in ("ann@names.test", "bob@names.test"):
        api.account(user, "names")
    api.account("eve@other.names.test", "names too")
    return posthouse


def check(node, recipient, **question):
    return node.api.post("/v1/relay-checks", {"sender": "joe@outside.test", "recipient": recipient, **question})


def rcpt(node, recipient):
    """The same by SMTP: code and enhanced code."""
    with node.smtp() as session:
        session.ehlo("client.test")
        session.mail("joe@outside.test")
        code, text = session.rcpt(recipient)
        return code, text.split()[0].decode()


def change(node, domain, **fields):
    return node.api.patch(f"/v1/domains/{domain}", fields)



# ------------------------------------------------------------------ subaddressing


def test_a_subaddress_is_the_users(here):
    assert here.api.get("/v1/domains/names.test")["subaddress_separator"] == "+"
    assert check(here, "ann+shop@names.test")["why"] == "hosted"
    here.send("joe@outside.test", "Ann+Shop+2@names.test", make_message("for a detail"))
    wait_until(lambda: "for a detail" in here.subjects("ann@names.test"), "it is in the user's INBOX")
    with here.pop3("ann@names.test") as box:
        texts = [b"\r\n".join(box.retr(n + 1)[1]) for n in range(box.stat()[0])]
    assert any(b"for <Ann+Shop+2@names.test>" in text for text in texts), "Received tells the address that was used"


def test_what_exists_comes_first(here):
    here.api.post("/v1/aliases", {"address": "ann+bob@names.test", "targets": ["bob@names.test"]})
    assert [t["address"] for t in check(here, "ann+bob@names.test")["targets"]] == ["bob@names.test"]
    here.api.post("/v1/groups", {"address": "team@names.test", "members": ["ann@names.test", "bob@names.test"]})
    assert len(check(here, "team+x@names.test")["targets"]) == 2
    here.api.delete("/v1/aliases/ann+bob@names.test")
    here.api.delete("/v1/groups/team@names.test")
    assert check(here, "ann+bob@names.test")["targets"][0]["verdict"] == "mailbox"


@pytest.mark.parametrize("separator, good, bad", [
    ("+", "ann+x", "ann-x"), ("-", "ann-x", "ann+x"), ("+-", "ann-x+y", "ann_x"), (None, "ann", "ann+x"), ("_", "ann_", "_ann")])
def test_separators(here, separator, good, bad):
    change(here, "names.test", subaddress_separator=separator)
    try:
        assert rcpt(here, f"{good}@names.test") == (250, "2.1.5")
        assert rcpt(here, f"{bad}@names.test") == (550, "5.1.1")
    finally:
        change(here, "names.test", subaddress_separator="+")


@pytest.mark.parametrize("separator", ["", "a", "++", "+-_", "@", 1])
def test_no_separators(here, separator):
    problem(here, 422, "PATCH", "/v1/domains/names.test", {"subaddress_separator": separator}, field="subaddress_separator")


def test_an_account_sends_as_its_subaddresses(here, outside):
    before = len(outside.messages)
    here.submit("ann@names.test", "x@outside.test", make_message("from a detail", sender="ann+shop@names.test"),
                sender="ann+shop@names.test")
    wait_until(lambda: outside.messages[before:], "it went")
    assert outside.messages[before].sender == "ann+shop@names.test"
    with pytest.raises(smtplib.SMTPSenderRefused):
        here.submit("ann@names.test", "x@outside.test", make_message("no"), sender="bob+shop@names.test")
    with pytest.raises(smtplib.SMTPDataError):
        here.submit("ann@names.test", "x@outside.test", make_message("no", sender="bob+x@names.test"), sender="ann@names.test")
    here.api.post("/v1/aliases", {"address": "ann+own@names.test", "targets": ["bob@names.test"]})
    with pytest.raises(smtplib.SMTPSenderRefused):
        here.submit("ann@names.test", "x@outside.test", make_message("no"), sender="ann+own@names.test")
    here.api.delete("/v1/aliases/ann+own@names.test")


# ------------------------------------------------------------------ catch-all


def test_a_catch_all_takes_what_no_other_name_takes(here, outside):
    change(here, "names.test", catch_all="bob@names.test")
    assert here.api.get("/v1/domains/names.test")["catch_all"] == "bob@names.test"
    told = check(here, "anything@names.test")
    assert (told["verdict"], told["why"]) == ("expanded", "catch-all")
    assert [t["address"] for t in told["targets"]] == ["bob@names.test"]
    assert check(here, "ann@names.test")["why"] == check(here, "ann+x@names.test")["why"] == "hosted"
    here.send("joe@outside.test", ["anything@names.test", "else@names.test", "bob@names.test"], make_message("caught"))
    wait_equal(lambda: here.subjects("bob@names.test").count("caught"), 1, "one copy")
    assert ["anything@names.test", "bob@names.test"] in here.query("select recipient, detail from event where kind = 'expanded'")
    with pytest.raises(smtplib.SMTPSenderRefused):  # what it catches is not its own to send as
        here.submit("bob@names.test", "x@outside.test", make_message("no"), sender="anything@names.test")

    before = len(outside.messages)
    change(here, "names.test", catch_all="dan@outside.test")
    here.send("joe@outside.test", "anything@names.test", make_message("caught outside"))
    wait_equal(lambda: [m.recipients for m in outside.messages[before:]], [["dan@outside.test"]], "it went outside")

    change(here, "names.test", catch_all="nobody@names.test")  # itself what no name takes: circles end
    assert check(here, "anything@names.test")["verdict"] == "unknown"
    change(here, "names.test", catch_all=None)
    assert rcpt(here, "anything@names.test") == (550, "5.1.1")


def test_a_closed_account_is_not_caught(here):
    here.api.account("closed@names.test", "names")
    here.api.patch("/v1/accounts/closed@names.test", {"state": "closed"})
    change(here, "names.test", catch_all="bob@names.test")
    assert rcpt(here, "closed@names.test") == (550, "5.1.1")
    change(here, "names.test", catch_all=None)
    here.api.delete("/v1/accounts/closed@names.test")


# ------------------------------------------------------------------ domain aliases


@pytest.fixture
def second(here):
    here.api.post("/v1/domains", {"name": "second.names.test", "customer": "names", "kind": "alias", "target": "names.test"})
    yield here
    here.api.delete("/v1/domains/second.names.test")


def test_each_address_of_a_second_name(second, outside):
    domain = second.api.get("/v1/domains/second.names.test")
    assert (domain["kind"], domain["target"], domain["next_hops"]) == ("alias", "names.test", [])
    told = check(second, "ann@second.names.test")
    assert [t["address"] for t in told["targets"]] == ["ann@names.test"]
    assert rcpt(second, "nobody@second.names.test") == (550, "5.1.1")
    second.send("joe@outside.test", ["ann@second.names.test", "ann+x@second.names.test", "ann@names.test"], make_message("twice"))
    wait_equal(lambda: second.subjects("ann@names.test").count("twice"), 1, "one copy")
    assert ["ann@second.names.test", "ann@names.test"] in second.query("select recipient, detail from event where kind = 'expanded'")
    second.api.post("/v1/aliases", {"address": "postmaster@names.test", "targets": ["ann@names.test"]})
    assert rcpt(second, "postmaster@second.names.test") == (250, "2.1.5")
    second.api.delete("/v1/aliases/postmaster@names.test")

    before = len(outside.messages)
    second.submit("ann@names.test", "x@outside.test", make_message("by my second name", sender="ann@second.names.test"),
                  sender="ann@second.names.test")
    wait_until(lambda: outside.messages[before:], "it went")
    with pytest.raises(smtplib.SMTPSenderRefused):
        second.submit("ann@names.test", "x@outside.test", make_message("no"), sender="bob@second.names.test")


def test_a_second_name_of_a_relay_domain(second):
    with Sink() as primary:
        second.api.relay_domain("primary.names.test", "names", primary.port)
        change(second, "second.names.test", target="primary.names.test")
        second.send("joe@outside.test", ["x@second.names.test", "x@primary.names.test"], make_message("on its way"))
        wait_equal(lambda: [m.recipients for m in primary.messages], [["x@primary.names.test"]], "the primary's own name, once")
        problem(second, 409, "DELETE", "/v1/domains/primary.names.test")
        change(second, "second.names.test", target="names.test")
        wait_equal(lambda: second.query("select count(*) from queue_entry"), [["0"]], "nothing waits")
        second.api.delete("/v1/domains/primary.names.test")


def test_what_a_second_name_cannot_be(second):
    def make(**fields):
        return {"name": "third.names.test", "customer": "names", "kind": "alias", **fields}

    path = "/v1/domains"
    problem(second, 422, "POST", path, make(), field="target")
    problem(second, 422, "POST", path, make(target="second.names.test"), field="target")  # no alias of an alias
    problem(second, 422, "POST", path, make(target="third.names.test"), field="target")
    problem(second, 422, "POST", path, make(target="other.names.test"), field="target")  # another customer's
    problem(second, 422, "POST", path, make(target="names.test", catch_all="ann@names.test"), field="catch_all")
    problem(second, 422, "POST", path, make(target="names.test", next_hops=[{"host": "127.0.0.1"}]), field="next_hops")
    problem(second, 422, "POST", path, {**make(target="names.test"), "kind": "hosted"}, field="target")
    problem(second, 422, "PATCH", path + "/second.names.test", {"target": "second.names.test"}, field="target")
    problem(second, 422, "PATCH", path + "/names.test", {"target": "names.test"}, field="target")
    problem(second, 409, "DELETE", path + "/names.test")
    problem(second, 422, "POST", "/v1/accounts", {"address": "x@second.names.test", "customer": "names"}, field="address")
    problem(second, 422, "POST", "/v1/aliases", {"address": "x@second.names.test", "targets": ["x@y.test"]}, field="address")
    problem(second, 422, "PATCH", "/v1/accounts/ann@names.test", {"aliases": ["x@second.names.test"]}, field="aliases")


# ------------------------------------------------------------------ split delivery


def test_some_are_here_and_the_rest_elsewhere(here):
    api = here.api
    with Sink() as primary:
        hops = [{"host": "127.0.0.1", "port": primary.port, "priority": 10}]
        api.post("/v1/domains", {"name": "split.test", "customer": "names", "kind": "hosted", "next_hops": hops})
        api.account("ann@split.test", "names")
        api.post("/v1/aliases", {"address": "both@split.test", "targets": ["ann@split.test", "rest@split.test"]})
        assert [check(here, f"{name}@split.test")["why"] for name in ("ann", "ann+x", "rest", "both")] == \
            ["hosted", "hosted", "elsewhere", "alias"]
        here.send("joe@outside.test", ["ann@split.test", "rest@split.test", "more@split.test"], make_message("to the three"))
        here.send("joe@outside.test", "both@split.test", make_message("to both"))
        wait_equal(lambda: sorted(sorted(m.recipients) for m in primary.messages),
                   [["more@split.test", "rest@split.test"], ["rest@split.test"]], "the rest is elsewhere")
        wait_equal(lambda: sorted(here.subjects("ann@split.test")), ["to both", "to the three"], "one is here")
        api.patch("/v1/accounts/ann@split.test", {"state": "suspended"})
        assert rcpt(here, "ann@split.test") == (550, "5.2.1")
        api.patch("/v1/accounts/ann@split.test", {"state": "closed"})
        assert rcpt(here, "ann@split.test") == (550, "5.1.1")
        problem(here, 422, "PATCH", "/v1/domains/split.test", {"catch_all": "ann@split.test"}, field="catch_all")

        primary.stop()  # an outage like that of a relay domain
        here.send("joe@outside.test", "rest@split.test", make_message("waits"))
        wait_until(lambda: api.get("/v1/domains/split.test")["outage"], "there is an outage")
        assert rcpt(here, "rest@split.test") == (250, "2.1.5")
        problem(here, 409, "PATCH", "/v1/domains/split.test", {"next_hops": []})
        primary.start()
        wait_until(lambda: [email.message_from_bytes(m.data)["Subject"] for m in primary.messages].count("waits") == 1,
                   "it is delivered", timeout=60)
        wait_until(lambda: not api.get("/v1/domains/split.test")["outage"], "the outage is over", timeout=60)
    change(here, "split.test", next_hops=[])
    assert rcpt(here, "rest@split.test") == (550, "5.1.1")
    change(here, "split.test", catch_all="ann@split.test")
    problem(here, 422, "PATCH", "/v1/domains/split.test", {"next_hops": hops}, field="catch_all")
