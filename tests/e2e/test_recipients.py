"""Addresses that are somebody's without being listed: subaddresses, catch-alls, second names of domains, split domains."""
import email
import smtplib
import socket

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


# ------------------------------------------------------------------ valid recipients, listed


@pytest.fixture
def listed(here, sink):
    here.api.post("/v1/domains", {"name": "listed.test", "customer": "names", "kind": "relay", "recipients": "listed",
                                  "next_hops": [{"host": "127.0.0.1", "port": sink.port}]})
    yield here
    wait_equal(lambda: here.query("select count(*) from queue_entry"), [["0"]], "nothing waits")
    for account in here.api.get("/v1/accounts", domain="listed.test")["items"]:
        here.api.delete(f"/v1/accounts/{account['id']}")
    for alias in here.api.get("/v1/aliases", domain="listed.test")["items"]:
        here.api.delete(f"/v1/aliases/{alias['id']}")
    here.api.delete("/v1/domains/listed.test")


LIST = "/v1/domains/listed.test/recipients"


def addresses(node, **query):
    return [item["address"] for item in node.api.get(LIST, **query)["items"]]


def test_only_who_is_listed(listed, sink):
    assert rcpt(listed, "ann@listed.test") == (550, "5.1.1")
    assert check(listed, "ann@listed.test")["why"] == "not-listed"
    assert listed.api.post(LIST, {"address": "Ann@Listed.test"})["address"] == "ann@listed.test"
    assert rcpt(listed, "ann@listed.test") == (250, "2.1.5")
    assert rcpt(listed, "ann+x@listed.test") == (250, "2.1.5")
    listed.api.account("reader@listed.test", "names")
    listed.api.post("/v1/aliases", {"address": "both@listed.test", "targets": ["ann@listed.test", "gone@listed.test"]})
    assert rcpt(listed, "reader@listed.test") == rcpt(listed, "both@listed.test") == (250, "2.1.5")
    assert [t["address"] for t in check(listed, "both@listed.test")["targets"]] == ["ann@listed.test"]
    listed.api.patch("/v1/accounts/reader@listed.test", {"state": "suspended"})  # closes the reading, not the mail
    assert rcpt(listed, "reader@listed.test") == (250, "2.1.5")
    listed.api.patch("/v1/accounts/reader@listed.test", {"state": "closed"})
    assert rcpt(listed, "reader@listed.test") == (550, "5.1.1")
    listed.send("joe@outside.test", "Ann+x@listed.test", make_message("for the primary"))
    wait_equal(lambda: [m.recipients for m in sink.messages], [["Ann+x@listed.test"]], "as it was written")
    listed.api.delete(f"{LIST}/ann@listed.test")
    assert rcpt(listed, "ann@listed.test") == (550, "5.1.1")
    change(listed, "listed.test", recipients="any")
    assert rcpt(listed, "ann@listed.test") == (250, "2.1.5")


def test_a_list_is_replaced(listed):
    listed.api.post(LIST, {"address": "old@listed.test"})
    listed.api.post(LIST, {"address": "stays@listed.test"})
    since = listed.api.get(f"{LIST}/stays@listed.test")["created_at"]
    listed.api._must("PUT", LIST, {"addresses": ["stays@listed.test", "New@listed.test", "new@listed.test"]})
    assert addresses(listed) == ["new@listed.test", "stays@listed.test"]
    assert listed.api.get(f"{LIST}/stays@listed.test")["created_at"] == since
    assert (rcpt(listed, "new@listed.test"), rcpt(listed, "old@listed.test")) == ((250, "2.1.5"), (550, "5.1.1"))
    listed.api._must("PUT", LIST, {"addresses": []})
    assert addresses(listed) == []


def test_a_hundred_thousand(listed):
    names = [f"user-with-a-usual-name{number:06}@listed.test" for number in range(100000)]
    listed.api._must("PUT", LIST, {"addresses": names})
    listed.api._must("PUT", LIST, {"addresses": names[:-1] + ["one-more@listed.test"]})
    assert listed.query("select count(*) from recipient_listed") == [["100000"]]
    assert rcpt(listed, names[77777]) == rcpt(listed, "one-more@listed.test") == (250, "2.1.5")
    assert rcpt(listed, names[-1]) == (550, "5.1.1")
    page = listed.api.get(LIST, limit=3)
    assert [item["address"] for item in page["items"]] == ["one-more@listed.test", *names[:2]]
    assert addresses(listed, limit=2, cursor=page["next_cursor"]) == names[2:4]
    problem(listed, 413, "PUT", LIST, {"addresses": ["x" * 240 + "@listed.test"] * 40000})


def test_what_a_list_cannot_hold(listed):
    listed.api.post(LIST, {"address": "ann@listed.test"})
    problem(listed, 409, "POST", LIST, {"address": "ANN@listed.test"}, field="address")
    problem(listed, 422, "POST", LIST, {"address": "ann@names.test"}, field="address")
    problem(listed, 422, "POST", LIST, {"address": "ann"}, field="address")
    problem(listed, 422, "PUT", LIST, {"addresses": ["a@listed.test", "b@names.test"]}, field="addresses[1]")
    problem(listed, 422, "PUT", LIST, {}, field="addresses")
    problem(listed, 404, "GET", f"{LIST}/nobody@listed.test")
    problem(listed, 404, "DELETE", f"{LIST}/nobody@listed.test")
    problem(listed, 404, "POST", "/v1/domains/nowhere.test/recipients", {"address": "x@nowhere.test"})
    problem(listed, 422, "GET", f"{LIST}?cursor=", field="cursor")
    problem(listed, 422, "GET", f"{LIST}?limit=0", field="limit")
    problem(listed, 422, "PATCH", "/v1/domains/listed.test", {"recipients": "some"}, field="recipients")


def test_a_list_for_the_rest_of_a_split_domain(here, sink):
    here.api.post("/v1/domains", {"name": "rest.test", "customer": "names", "kind": "hosted", "recipients": "listed",
                                  "next_hops": [{"host": "127.0.0.1", "port": sink.port}]})
    here.api.account("ann@rest.test", "names")
    here.api.post("/v1/domains/rest.test/recipients", {"address": "bob@rest.test"})
    assert [check(here, f"{name}@rest.test")["why"] for name in ("ann", "bob", "eve")] == ["hosted", "elsewhere", "not-listed"]
    here.api.delete("/v1/accounts/ann@rest.test")
    here.api.delete("/v1/domains/rest.test")


def test_no_notice_to_who_is_not_valid(listed, sink):
    sink.behave.recipient_replies["no@listed.test"] = "550 5.1.1 nobody"
    listed.api.post(LIST, {"address": "no@listed.test"})
    listed.send("forged@listed.test", "no@listed.test", make_message("refused"))
    wait_until(lambda: listed.query("select 1 from event where kind = 'bounced' and recipient = 'no@listed.test'"), "it is refused")
    assert not sink.messages


def test_a_list_counts_within_a_second_on_all_nodes(listed):
    listed.api.post(LIST, {"address": "ann@listed.test"})
    with listed.smtp() as session:
        session.ehlo("client.test")
        session.mail("joe@outside.test")
        assert session.rcpt("bob@listed.test")[0] == 550
        listed.query("insert into recipient_listed (domain_id, address) select id, 'bob@listed.test' from domain"
                     " where name = 'listed.test'")  # as another node does
        wait_until(lambda: session.rcpt("bob@listed.test")[0] == 250, "it counts", timeout=2)


def test_few_long_bodies_at_once(listed):
    head = (f"PUT {LIST} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {listed.api.token}\r\nContent-Type: application/json\r\n"
            "Content-Length: 3000000\r\n\r\n").encode()
    body = {"addresses": [f"user-with-a-usual-name{number:06}@listed.test" for number in range(40000)]}
    slow = []
    try:
        for _ in range(4):
            slow.append(socket.create_connection(("127.0.0.1", listed.ports["admin"]), timeout=30))
            slow[-1].sendall(head + b" " * 2000000)
        wait_until(lambda: listed.api.request("PUT", LIST, body)[0] == 503, "there is no room for another")
        assert listed.api.request("PUT", LIST, {"addresses": []})[0] == 204
    finally:
        for connection in slow:
            connection.close()
    wait_until(lambda: listed.api.request("PUT", LIST, body)[0] == 204, "there is room again")
