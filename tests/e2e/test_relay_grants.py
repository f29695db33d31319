"""Relay grants: who may send as whom, where to, how much, and when; by the API and at the door."""
import datetime
import imaplib
import poplib
import re
import smtplib

import pytest

from harness.api import ApiError
from harness.dialogue import Dialogue
from harness.posthouse import PASSWORD, make_message, subject_of
from harness.process import free_port, wait_until

ALICE, BOB, CAROL = "alice@grant.test", "bob@grant.test", "carol@other.test"
OUTSIDE = "joe@outside.test"
LIMITS = ["messages_per_minute", "messages_per_hour", "messages_per_day", "recipients_per_minute", "recipients_per_hour",
          "recipients_per_day", "bytes_per_day"]


@pytest.fixture(scope="module")
def node(posthouse):
    posthouse.api.customer("granted")
    posthouse.api.customer("other")
    posthouse.api.hosted_domain("grant.test", "granted")
    posthouse.api.hosted_domain("second.test", "granted")
    posthouse.api.hosted_domain("other.test", "other")
    posthouse.api.relay_domain("relay.test", "granted", free_port())
    for address, customer in ((ALICE, "granted"), (BOB, "granted"), (CAROL, "other")):
        posthouse.api.account(address, customer)
    return posthouse


@pytest.fixture
def grant(node):
    """grant(**members) makes one; all are gone after the test."""
    made = []

    def make(**members):
        made.append(node.api.post("/v1/relay-grants", {"customer": "granted", **members}))
        return made[-1]

    yield make
    for one in made:
        node.api.request("DELETE", f"/v1/relay-grants/{one['id']}")


def ask_submission(node, login, sender, recipient, size=None):
    """The replies to MAIL and RCPT of a submission; RCPT's is None if MAIL was refused."""
    with node.submission(login) as client:
        mail = client.mail(sender, [f"SIZE={size}"] if size else [])
        return decoded(mail), decoded(client.rcpt(recipient)) if mail[0] == 250 else None


def ask_mx(node, sender, recipient, tls=False):
    with node.smtp() as client:
        if tls:
            client.starttls(context=node.certificate.context())
        client.ehlo("client.test")
        assert client.mail(sender)[0] == 250
        return decoded(client.rcpt(recipient))


def decoded(reply):
    """Without the id of the decision: test_relay_checks.py looks after that."""
    return reply[0], re.sub(r" \(decision \w{13}\)$", "", reply[1].decode())


def refused(node, status, field, method="POST", path="/v1/relay-grants", **members):
    with pytest.raises(ApiError) as caught:
        if method == "POST":
            node.api.post(path, {"customer": "granted", **members})
        else:
            node.api.patch(path, members)
    assert (caught.value.status, caught.value.body.get("field")) == (status, field), caught.value.body


# ------------------------------------------------------------------ the resource


def test_resource(node, grant):
    plain = grant(label="plain")
    assert plain == {**plain, "account": None, "domain": None, "network": None, "senders": "own", "sender_domains": [],
                     "recipients": "any", "recipient_domains": [], "size_max": None, "recipients_max": None,
                     "at_limit": "defer", "hold_seconds": 432000, "hold_then": "reject", "tls_required": False, "counted_by": "grant", **dict.fromkeys(LIMITS), "valid_from": None, "valid_until": None}
    assert plain["customer"] == node.api.get("/v1/customers/granted")["id"]
    full = grant(domain="grant.test", senders="domains", sender_domains=["Grant.TEST.", "second.test"], recipients="domains",
                 recipient_domains=["outside.test"], size_max=1000, recipients_max=3, at_limit="refuse", tls_required=True,
                 counted_by="account", **{name: 10 + place for place, name in enumerate(LIMITS)}, valid_from="2026-01-01T01:00:00+01:00", valid_until="2100-01-01T00:00:00Z")
    assert full["sender_domains"] == ["grant.test", "second.test"]
    assert full["valid_from"] == "2026-01-01T00:00:00.000Z"
    path = f"/v1/relay-grants/{full['id']}"
    assert node.api.get(path) == full
    assert [one["id"] for one in node.api.get("/v1/relay-grants", customer="granted")["items"]] == [plain["id"], full["id"]]
    assert node.api.get("/v1/relay-grants", customer="other")["items"] == []

    changed = node.api.patch(path, {"size_max": None, "senders": "any", "sender_domains": [], "valid_from": None})
    assert changed == {**full, "size_max": None, "senders": "any", "sender_domains": [], "valid_from": None}
    refused(node, 422, "valid_until", "PATCH", path, valid_until="2020-01-01T00:00:00Z", valid_from="2021-01-01T00:00:00Z")
    refused(node, 422, "recipient_domains", "PATCH", path, recipients="any")
    refused(node, 422, "account", "PATCH", path, account=ALICE)
    assert node.api.get(path) == changed


@pytest.mark.parametrize("field, members", [
    ("account", {"account": "nobody@grant.test"}),
    ("account", {"account": CAROL}),
    ("domain", {"domain": "other.test"}),
    ("domain", {"account": ALICE, "domain": "grant.test"}),
    ("network", {"network": "192.0.2.1/24"}),
    ("network", {"network": "192.0.2.0/24", "account": ALICE}),
    ("senders", {"senders": "all"}),
    ("sender_domains", {"senders": "domains"}),
    ("sender_domains", {"sender_domains": ["grant.test"]}),
    ("sender_domains[1]", {"senders": "domains", "sender_domains": ["grant.test", "a b"]}),
    ("recipient_domains", {"recipients": "domains", "recipient_domains": []}),
    ("size_max", {"size_max": 0}),
    ("recipients_max", {"recipients_max": "3"}),
    ("at_limit", {"at_limit": "explode"}),
    ("counted_by", {"counted_by": "customer"}),
    ("bytes_per_day", {"bytes_per_day": 0}),
    ("tls_required", {"tls_required": "yes"}),
    ("valid_until", {"valid_until": "tomorrow"}),
    ("customer", {"customer": "nobody"}),
    ("colour", {"colour": "red"}),
])
def test_refusals(node, field, members):
    refused(node, 422, field, **members)


def test_goes_with_what_it_names_but_keeps_the_customer(node):
    node.api.customer("leaving")
    node.api.hosted_domain("leaving.test", "leaving")
    node.api.account("x@leaving.test", "leaving")
    mine = {"customer": "leaving"}
    node.api.post("/v1/relay-grants", {**mine, "account": "x@leaving.test"})
    node.api.post("/v1/relay-grants", {**mine, "domain": "leaving.test"})
    last = node.api.post("/v1/relay-grants", mine)
    node.api.delete("/v1/accounts/x@leaving.test")
    node.api.delete("/v1/domains/leaving.test")
    assert [one["id"] for one in node.api.get("/v1/relay-grants", customer="leaving")["items"]] == [last["id"]]
    with pytest.raises(ApiError) as caught:
        node.api.delete("/v1/customers/leaving")
    assert caught.value.status == 409
    node.api.delete(f"/v1/relay-grants/{last['id']}")
    node.api.delete("/v1/customers/leaving")


# ------------------------------------------------------------------ submission


def test_senders(node, grant):
    assert ask_submission(node, ALICE, "sales@second.test", OUTSIDE)[0][0] == 550
    one = grant(account=ALICE, senders="domains", sender_domains=["second.test"])
    assert ask_submission(node, ALICE, "sales@Second.test", OUTSIDE)[1][0] == 250
    assert ask_submission(node, ALICE, "", OUTSIDE)[1][0] == 250
    code, text = ask_submission(node, ALICE, ALICE, OUTSIDE)[0]  # it replaces the implicit rule
    assert code == 550 and text == (f"5.7.1 {ALICE} may not send as <{ALICE}>: grant {one['id']} permits addresses in the "
                                    "domains that it lists"), text
    assert ask_submission(node, BOB, "sales@second.test", OUTSIDE)[0][0] == 550  # the other account has its own rule
    assert ask_submission(node, BOB, BOB, OUTSIDE)[1][0] == 250
    grant(account=ALICE)
    assert ask_submission(node, ALICE, ALICE, OUTSIDE)[1][0] == 250  # each of several may permit
    node.api.patch(f"/v1/relay-grants/{one['id']}", {"senders": "any", "sender_domains": []})
    assert ask_submission(node, ALICE, "president@elsewhere.test", OUTSIDE)[1][0] == 250


def test_recipients(node, grant):
    grant(account=ALICE, recipients="customer")
    assert [ask_submission(node, ALICE, ALICE, to)[1][0] for to in (BOB, "any@relay.test", CAROL, OUTSIDE)] == \
        [250, 250, 550, 550]
    grant(account=ALICE, recipients="domains", recipient_domains=["outside.test"])
    assert [ask_submission(node, ALICE, ALICE, to)[1][0] for to in (BOB, CAROL, OUTSIDE, "x@y.test")] == \
        [250, 550, 250, 550]
    code, text = ask_submission(node, ALICE, ALICE, "nobody@grant.test")[1]
    assert code == 550 and text.startswith("5.1.1 ")  # permitted, and yet unknown


def test_the_most_specific_kind_counts(node, grant):
    grant(recipients="customer")
    assert ask_submission(node, ALICE, ALICE, OUTSIDE)[1][0] == 550
    grant(domain="grant.test", recipients="domains", recipient_domains=["outside.test"])
    assert ask_submission(node, ALICE, ALICE, OUTSIDE)[1][0] == 250
    assert ask_submission(node, ALICE, ALICE, BOB)[1][0] == 550
    grant(account=ALICE, recipients="customer")
    assert ask_submission(node, ALICE, ALICE, OUTSIDE)[1][0] == 550
    assert ask_submission(node, BOB, BOB, OUTSIDE)[1][0] == 250
    assert ask_submission(node, CAROL, CAROL, OUTSIDE)[1][0] == 250


def test_only_in_its_time(node, grant):
    def moment(hours):
        when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
        return when.isoformat().replace("+00:00", "Z")

    one = grant(account=ALICE, recipients="customer", valid_from=moment(-2), valid_until=moment(-1))
    assert ask_submission(node, ALICE, ALICE, OUTSIDE)[1][0] == 250
    path = f"/v1/relay-grants/{one['id']}"
    node.api.patch(path, {"valid_until": moment(1)})
    assert ask_submission(node, ALICE, ALICE, OUTSIDE)[1][0] == 550
    node.api.patch(path, {"valid_from": moment(0.5)})
    assert ask_submission(node, ALICE, ALICE, OUTSIDE)[1][0] == 250


def test_size(node, grant):
    one = grant(account=ALICE, size_max=2000)
    code, text = ask_submission(node, ALICE, ALICE, OUTSIDE, size=2001)[0]
    assert code == 552 and text == f"5.3.4 Message too big: grant {one['id']} permits 2000 octets"
    assert ask_submission(node, ALICE, ALICE, OUTSIDE, size=2000)[1][0] == 250
    node.submit(ALICE, OUTSIDE, make_message("small enough", ALICE))
    with Dialogue(node, "submissions") as client:
        client.hello()
        assert client.plain(ALICE, PASSWORD).startswith("235 ")
        reply = client.message(ALICE, OUTSIDE, make_message("too big", ALICE, body="x" * 2000 + "\n"))
    found = re.fullmatch(rf"552 (5\.3\.4 Message too big: grant {one['id']} permits 2000 octets) \(decision ([0-9a-z]+)\)", reply)
    assert found, reply
    wait_until(lambda: node.api.request("GET", f"/v1/decisions/{found[2]}")[0] == 200, "the decision is written")
    decision = node.api.get(f"/v1/decisions/{found[2]}")
    assert (decision["grant"], decision["limit"], decision["command"]) == (one["id"], "size_max", "DATA") and decision["size"] > 2000


def test_recipients_of_a_message(node, grant, outside):
    one = grant(account=ALICE, recipients_max=2)
    for action, expected in (("defer", (452, "4.5.3")), ("refuse", (550, "5.5.3"))):
        node.api.patch(f"/v1/relay-grants/{one['id']}", {"at_limit": action})
        subject = f"three {action}"
        with node.submission(ALICE) as client:
            given = client.sendmail(ALICE, ["a@outside.test", "b@outside.test", "c@outside.test"], make_message(subject, ALICE))
        code, text = given["c@outside.test"]
        assert (code, text.decode().split()[0]) == expected and len(given) == 1
        arrived = wait_until(lambda: [m for m in outside.messages if subject_of(m.data) == subject], "it arrives")
        assert [m.recipients for m in arrived] == [["a@outside.test", "b@outside.test"]]


def test_the_event_names_the_grant(node, grant):
    one = grant(account=ALICE)
    with node.submission(ALICE) as client:
        client.mail(ALICE)
        client.rcpt(BOB)
        reply = client.data(make_message("named", ALICE))[1].decode()
    events = node.api.get(f"/v1/messages/{reply.split()[-1]}/events")["items"]
    assert events[0]["kind"] == "accepted" and events[0]["detail"].endswith(f" by grant {one['id']}")


# ------------------------------------------------------------------ From and Sender


def send_header(node, login, header, sender=None, recipient=OUTSIDE):
    with node.submission(login) as client:
        client.ehlo()
        assert client.mail(login if sender is None else sender)[0] == 250
        assert client.rcpt(recipient)[0] == 250
        code, text = client.data(header.encode() + b"Subject: author\r\n\r\nFrom: <president@body.test>\r\n")
        return code, text.decode()


@pytest.mark.parametrize("header, expected", [
    ("From: <alice@grant.test>\r\n", 250),
    ("From: Alice <Alice@Grant.test>\r\nSender: sales@second.test\r\n", 250),
    ("FROM : \"president@y.test\" <sales@second.test>\r\n", 250),
    ("", 250),
    ("From: Nobody:;\r\n", 250),
    ("\r\nFrom: boss@y.test\r\n", 250),
    ("From: bob@grant.test\r\n", "<bob@grant.test> (From)"),
    ("From: alice@grant.test, Boss <boss@y.test>\r\n", "<boss@y.test> (From)"),
    ("From: alice@grant.test\r\nFrom: boss@y.test\r\n", "<boss@y.test> (From)"),
    ("From: alice@grant.test\r\nSender: boss@y.test\r\n", "<boss@y.test> (Sender)"),
    ("From: us: alice@grant.test, boss@y.test;\r\n", "<boss@y.test> (From)"),
    ("from:\r\n (a comment)\r\n boss@y.test\r\n", "<boss@y.test> (From)"),
    ("From: alice@grant.test," + "\r\n" + " \r\n " * 6000 + "boss@y.test\r\n", "5.6.0"),
    ("From: " + ", ".join(["alice@grant.test"] * 21) + "\r\n", "5.6.0"),
    ("From:\r\n", "5.6.0"),
    ("X-Long: " + ("x" * 900 + "\r\n ") * 1200 + "x\r\nFrom: boss@y.test\r\n", "552 5.3.4"),
], ids=lambda value: str(value)[:40])
def test_authors(node, header, expected):
    node.api.patch(f"/v1/accounts/{ALICE}", {"aliases": ["sales@second.test"]})
    code, text = send_header(node, ALICE, header)
    if expected == 250:
        assert code == 250, text
    else:
        assert code in (550, 552) and expected in f"{code} {text}", (code, text)
    node.api.patch(f"/v1/accounts/{ALICE}", {"aliases": []})


def test_authors_as_granted(node, grant):
    one = grant(account=ALICE, senders="domains", sender_domains=["second.test"])
    assert send_header(node, ALICE, "From: anybody@second.test\r\n", sender="x@second.test")[0] == 250
    code, text = send_header(node, ALICE, f"From: {ALICE}\r\n", sender="")
    assert code == 550 and f"grant {one['id']}" in text
    node.api.patch(f"/v1/relay-grants/{one['id']}", {"senders": "any", "sender_domains": []})
    assert send_header(node, ALICE, "From: president@y.test\r\n", sender="x@z.test")[0] == 250
    with node.smtp() as client:  # from outside mail comes in everybody's name
        client.sendmail("x@y.test", [BOB], make_message("outside", ALICE))


# ------------------------------------------------------------------ windows


def submit(node, login, *recipients, size=100):
    """The code of the first refusal, or 250."""
    message = make_message("counted", login, body="x" * size + "\n")
    with node.submission(login) as client:
        client.ehlo()
        code = client.mail(login, [f"SIZE={len(message)}"])[0]
        for recipient in recipients:
            code = client.rcpt(recipient)[0] if code == 250 else code
        return client.data(message)[0] if code == 250 else code


def headroom(node, login):
    return node.api.post("/v1/relay-checks", {"account": login, "sender": login, "recipient": OUTSIDE})["headroom"]


def test_windows_count_what_was_accepted(node, grant):
    one = grant(domain="grant.test", recipients_per_day=5, messages_per_day=3)
    assert submit(node, ALICE, OUTSIDE, "b@outside.test", CAROL) == 250
    assert (headroom(node, BOB)["recipients"], headroom(node, BOB)["messages"]) == (2, 2)  # counted for all together
    assert submit(node, BOB, OUTSIDE, "b@outside.test", "c@outside.test") == 451
    assert submit(node, BOB, "nobody@grant.test") == 550  # what is refused does not count
    assert headroom(node, ALICE)["recipients"] == 2
    assert submit(node, BOB, OUTSIDE) == 250
    assert submit(node, ALICE, OUTSIDE) == 250
    code, text = ask_submission(node, ALICE, ALICE, OUTSIDE)[0]
    assert code == 451 and text == f"4.7.1 Limit reached: grant {one['id']} permits 3 messages in a day"
    node.api.patch(f"/v1/relay-grants/{one['id']}", {"messages_per_day": None, "recipients_per_day": 6, "at_limit": "refuse"})
    assert submit(node, ALICE, OUTSIDE, "b@outside.test") == 550
    assert submit(node, ALICE, OUTSIDE) == 250
    assert headroom(node, ALICE)["recipients"] == 0


def test_windows_of_each_account(node, grant):
    grant(counted_by="account", messages_per_day=1)
    assert [submit(node, login, OUTSIDE) for login in (ALICE, ALICE, BOB, BOB)] == [250, 451, 250, 451]


def test_bytes_of_a_day(node, grant):
    grant(account=ALICE, bytes_per_day=5000)
    assert submit(node, ALICE, OUTSIDE, size=3000) == 250
    assert submit(node, ALICE, OUTSIDE, size=3000) == 451
    left = headroom(node, ALICE)["size"]
    assert 0 < left < 2000
    assert ask_submission(node, ALICE, ALICE, OUTSIDE, size=left)[1][0] == 250
    assert ask_submission(node, ALICE, ALICE, OUTSIDE, size=left + 1)[0][0] == 451


def test_a_window_is_over(node, grant):
    grant(account=ALICE, messages_per_hour=1)
    assert [submit(node, ALICE, OUTSIDE) for _ in range(2)] == [250, 451]
    node.query("update relay_usage set minute = minute - interval '1 hour', hour = hour - interval '1 hour'")
    assert [submit(node, ALICE, OUTSIDE) for _ in range(2)] == [250, 451]
    id_ = node.query(f"select g.id from relay_grant g join account a on a.id = g.account_id where a.address = '{ALICE}'")[0][0]
    rows = node.query("select sum(hour_messages) filter (where hour = date_trunc('hour', now(), 'UTC')), sum(day_messages)"
                      f" from relay_usage where grant_id = {id_}")
    assert [int(number) for number in rows[0]] == [1, 2]


def test_windows_hold_across_nodes(new_posthouse, postgres, outside):
    first = new_posthouse(default_route=outside.port)
    first.start()
    second = new_posthouse(default_route=outside.port)
    second.database = first.database
    second.write_config(database__conninfo=postgres.conninfo(first.database))
    second.start()
    first.api.customer("both")
    first.api.hosted_domain("both.test", "both")
    first.api.account("ann@both.test", "both")
    first.api.post("/v1/relay-grants", {"customer": "both", "messages_per_day": 5})
    answers = [submit(node, "ann@both.test", OUTSIDE) for node in (first, second) * 4]
    assert answers == [250] * 5 + [451] * 3


# ------------------------------------------------------------------ port 25


def test_network(node, grant, outside):
    assert ask_mx(node, ALICE, OUTSIDE)[0] == 550
    one = grant(network="127.0.0.0/8")
    assert ask_mx(node, "any@second.test", OUTSIDE)[0] == 250
    code, text = ask_mx(node, "x@elsewhere.test", OUTSIDE)
    assert code == 550 and text == (f"5.7.1 127.0.0.1 may not send as <x@elsewhere.test>: grant {one['id']} permits addresses "
                                    "in its customer's domains")
    assert ask_mx(node, "x@elsewhere.test", CAROL)[0] == 250  # to us as anybody may
    smaller = grant(network="127.0.0.1/32", senders="any", tls_required=True)
    assert ask_mx(node, "x@elsewhere.test", OUTSIDE)[0] == 530
    assert ask_mx(node, "x@elsewhere.test", OUTSIDE, tls=True)[0] == 250
    node.api.delete(f"/v1/relay-grants/{smaller['id']}")
    assert ask_mx(node, "x@elsewhere.test", OUTSIDE, tls=True)[0] == 550
    grant(network="127.0.0.1/32", senders="any")

    node.send("x@elsewhere.test", OUTSIDE, make_message("granted network"))
    wait_until(lambda: [m for m in outside.messages if subject_of(m.data) == "granted network"], "it arrives")
    customer = node.api.get("/v1/customers/granted")
    rows = node.query("select distinct customer_id, cell from message where sender = 'x@elsewhere.test'")
    assert rows == node.query(f"select id, cell from customer where name = '{customer['name']}'")

    node.api.patch("/v1/customers/granted", {"state": "suspended"})
    try:
        assert ask_mx(node, "x@elsewhere.test", OUTSIDE)[0] == 550
    finally:
        node.api.patch("/v1/customers/granted", {"state": "active"})


def test_customers_networks(node, grant):
    network = node.api.post("/v1/networks", {"cidr": "127.0.0.1/32", "customer": "granted"})
    try:
        assert ask_mx(node, ALICE, OUTSIDE)[0] == 250  # by the implicit rule
        grant(senders="domains", sender_domains=["elsewhere.test"])
        assert ask_mx(node, ALICE, OUTSIDE)[0] == 550
        assert ask_mx(node, "x@elsewhere.test", OUTSIDE)[0] == 250
    finally:
        node.api.delete(f"/v1/networks/{network['id']}")


def test_unauthenticated_submission_gains_nothing(node, grant):
    grant(network="127.0.0.0/8", senders="any")
    with node.submission() as client:
        client.ehlo()
        assert client.mail(ALICE)[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(ALICE, "wrong")


# ------------------------------------------------------------------ states of an account


def signs_in(node, login, how):
    try:
        with getattr(node, how)(login):
            return True
    except (smtplib.SMTPAuthenticationError, imaplib.IMAP4.error, poplib.error_proto):
        return False


@pytest.mark.parametrize("state, submits, mail, rcpt, reads", [
    ("active", True, 250, "250 2.1.5", True),
    ("suspended", False, None, "550 5.2.1", False),
    ("receive-only", True, 550, "250 2.1.5", True),
    ("send-only", True, 250, "550 5.2.1", False),
    ("closed", False, None, "550 5.1.1", False),
])
def test_states(node, state, submits, mail, rcpt, reads):
    login = f"{state}@grant.test"
    node.api.account(login, "granted")
    assert node.api.patch(f"/v1/accounts/{login}", {"state": state})["state"] == state
    assert signs_in(node, login, "submission") == submits
    assert signs_in(node, login, "imap") == signs_in(node, login, "pop3") == reads
    code, text = ask_mx(node, "x@elsewhere.test", login)
    assert f"{code} {text}".startswith(rcpt)
    if submits:
        assert ask_submission(node, login, login, OUTSIDE)[0][0] == mail


def test_a_state_counts_in_open_sessions(node):
    login = "turning@grant.test"
    node.api.account(login, "granted")
    with node.submission(login) as client:
        assert client.mail(login)[0] == 250
        client.rset()
        node.api.patch(f"/v1/accounts/{login}", {"state": "closed"})
        code, text = decoded(client.mail(login))
        assert code == 550 and text == f"5.7.1 {login} may not send: the account is closed"
