"""Content rules: what a customer wants held, quarantined or refused for what it is, before 250."""
import os
import subprocess
import time

import pytest

from harness.posthouse import PROGRAM, make_message, subject_of
from harness.process import hurry, wait_equal, wait_until
from harness.requests import problem

ANN, BOB, OTHER, DAN, OUTSIDER = "ann@rule.test", "bob@second.test", "olga@other.test", "dan@outside.test", "joe@outside.test"
ATTACHED = ("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n",
            "--b\n\nHello.\n--b\nContent-Type: application/zip; name=\"x.zip\"\n"
            "Content-Disposition: attachment; filename*=utf-8''Rechnung%20%E2%82%AC.EXE\n\nUEs=\n--b--\n")


@pytest.fixture
def node(new_posthouse, outside):
    outside.clear()
    node = new_posthouse(default_route=outside.port)
    node.start()
    for customer, domains in (("rule", ("rule.test", "second.test")), ("other", ("other.test",))):
        node.api.customer(customer)
        for domain in domains:
            node.api.hosted_domain(domain, customer)
    for address, customer in ((ANN, "rule"), (BOB, "rule"), (OTHER, "other")):
        node.api.account(address, customer)
    return node


def rule(node, **members):
    made = node.api.post("/v1/content-rules", {"customer": "rule", "direction": "in", "action": "refuse", "reason": "We do not want that",
                                               "then": "reject", **members})
    node.wait_known()
    return made


def deliver(node, recipients, subject="plain", sender=OUTSIDER, headers="", body="Hello.\n"):
    with node.smtp() as client:
        client.ehlo()
        client.mail(sender)
        for recipient in recipients:
            assert client.rcpt(recipient)[0] == 250
        code, text = client.data(make_message(subject, sender=sender or OUTSIDER, headers=headers, body=body))
        return code, text.decode()


def submit(node, login, recipients, subject="plain"):
    with node.submission(login) as client:
        client.ehlo()
        client.mail(login)
        for recipient in recipients:
            assert client.rcpt(recipient)[0] == 250
        return client.data(make_message(subject, sender=login))[0]


def queue(node):
    return {entry["recipient"]: entry for entry in node.api.get("/v1/queue")["items"]}


def test_refused_before_250(node):
    rule(node, header="Subject", header_pattern="casino")
    code, text = deliver(node, [ANN], "=?utf-8?q?Best_Cas=69no?=")
    assert (code, text) == (550, "5.7.1 We do not want that")
    assert deliver(node, [ANN], "plain")[0] == 250
    assert deliver(node, [OTHER], "casino")[0] == 250, "another customer has no rules"
    assert node.subjects(ANN) == ["plain"] and node.subjects(OTHER) == ["casino"]
    assert deliver(node, [ANN, OTHER], "casino")[0] == 550, "one reply for all recipients"
    assert node.subjects(OTHER) == ["casino"]


@pytest.mark.parametrize("action, quarantine", [("hold", False), ("quarantine", True)])
def test_held_until_approval(node, action, quarantine):
    rule(node, action=action, sender_pattern="@outside\\.test$", then="discard", hold_seconds=3600)
    assert deliver(node, [ANN], "held")[0] == 250
    entry = queue(node)[ANN]
    told = entry["hold"]
    assert (told["by"], told["reason"], told["approval"], told["quarantine"], told["then"]) == (
        "rule", "We do not want that", True, quarantine, "discard")
    assert node.query("select round(extract(epoch from held_until - now()) / 600) from queue_entry") == [["6"]]
    node.api.post(f"/v1/queue/{entry['id']}/release", None)
    wait_equal(lambda: node.subjects(ANN), ["held"], "it is released")


def test_quarantine_is_seen_and_released_by_its_owner(node):
    node.api.patch("/v1/domains/rule.test/continuity-policy", {"show_quarantine": True, "owner_may_release": "quarantine"})
    rule(node, action="quarantine", attachment_name_pattern="\\.exe$")
    assert deliver(node, [ANN], "invoice", headers=ATTACHED[0], body=ATTACHED[1])[0] == 250

    def shown():
        with node.imap(ANN) as connection:
            return connection.select("Quarantine") == ("OK", [b"1"])
    wait_until(shown, "it is in Quarantine")
    with node.imap(ANN) as connection:
        connection.select("Quarantine")
        assert connection._simple_command("UID", "MOVE", "1", "INBOX")[0] == "OK"
    wait_until(lambda: not queue(node), "it is released")
    assert node.subjects(ANN) == ["invoice"]


@pytest.mark.parametrize("condition, fits", [
    ({"attachment_name_pattern": "^Rechnung .*exe$"}, True), ({"attachment_type_pattern": "^application/zip$"}, True),
    ({"attachment_name_pattern": "exe$", "attachment_type_pattern": "pdf"}, False), ({"size_over": 100}, True), ({"size_over": 100000}, False),
    ({"recipient_pattern": "^ann@"}, True), ({"recipient_pattern": "^bob@"}, False), ({"sender_pattern": "^$"}, False),
    ({"header": "from", "header_pattern": "OUTSIDE"}, True), ({"header": "X-None", "header_pattern": ""}, None),
    ({"header": "X-None", "header_pattern": ".?"}, False), ({"size_over": 100, "sender_pattern": "nobody"}, False),
])
def test_conditions(node, condition, fits):
    if fits is None:
        problem(node, 422, "POST", "/v1/content-rules", {"customer": "rule", "direction": "in", "action": "refuse", "reason": "x", **condition},
                field="header_pattern")
        return
    rule(node, **condition)
    assert deliver(node, [ANN], headers=ATTACHED[0], body=ATTACHED[1])[0] == (550 if fits else 250)


def test_for_one_domain_and_the_null_sender(node):
    rule(node, domain="second.test", sender_pattern="^$")
    assert deliver(node, [ANN], sender="")[0] == 250
    assert deliver(node, [BOB], sender="")[0] == 550
    assert deliver(node, [BOB])[0] == 250


def test_what_goes_out(node, outside):
    rule(node, direction="out", domain="rule.test", header="Subject", header_pattern="^secret")
    assert submit(node, ANN, [DAN], "Secret plan") == 550
    assert submit(node, ANN, [BOB], "secret plan") == 550, "also within the house"
    assert submit(node, BOB, [DAN], "secret plan") == 250, "another domain"
    assert deliver(node, [ANN], "secret plan")[0] == 250, "it comes in"
    wait_equal(lambda: [subject_of(message.data) for message in outside.messages], ["secret plan"], "one went out")


def held(node, login):
    """Subjects in its folder Held."""
    with node.imap(login) as connection:
        if connection.select("Held") == ("OK", [b"0"]) or connection.state != "SELECTED":
            return []
        return sorted(subject_of(part[1]) for part in connection.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(part, tuple))


def test_what_is_not_to_go_out_is_not_the_recipients(node):
    """He neither sees nor ends what its sender's customer has held; nor does a rule of his own hide that it is refused."""
    for domain in ("rule.test", "second.test", "other.test"):
        node.api.patch(f"/v1/domains/{domain}/continuity-policy", {"show_held": True, "owner_may_release": "both"})
    rule(node, direction="out", header="Subject", header_pattern="^secret", action="hold", priority=2)
    rule(node, direction="out", header="Subject", header_pattern="^never", priority=1)
    rule(node, customer="other", action="hold", size_over=1)
    rule(node, direction="in", action="hold", header="Subject", header_pattern="^(secret|marker)")
    assert submit(node, ANN, [OTHER, BOB, DAN], "secret plan") == 250
    assert {entry["hold"]["by"] for entry in queue(node).values()} == {"outgoing-rule"} and len(queue(node)) == 3
    assert submit(node, ANN, [OTHER], "never") == 550, "though its recipient's rule would hold it"
    for recipient in (OTHER, BOB):
        assert deliver(node, [recipient], "marker")[0] == 250
        wait_equal(lambda recipient=recipient: held(node, recipient), ["marker"], "what came for him is shown, and nothing else")
    wait_equal(lambda: set(held(node, ANN)), {"secret plan"}, "who sent it sees it; twice, if both customers are in one cell")
    with node.imap(ANN) as connection:
        connection.select("Held")
        answer, text = connection._simple_command("UID", "MOVE", "1", "INBOX")
        assert answer == "NO" and b"NOPERM" in text[0]
    made = node.api.post("/v1/queue-actions", {"action": "release", "held_by": "outgoing-rule"})
    assert made["count"] == 3
    node.api.post(f"/v1/queue-actions/{made['id']}/start", {"count": 3})
    wait_equal(lambda: (node.subjects(OTHER), node.subjects(BOB), held(node, ANN)), (["secret plan"], ["secret plan"], []), "an administrator lets it go")


def test_the_first_that_fits_decides(node):
    rule(node, priority=10, size_over=1, action="hold")
    rule(node, priority=5, sender_pattern="joe", recipient_pattern="ann")
    assert deliver(node, [ANN])[0] == 550
    assert deliver(node, [BOB])[0] == 250
    assert queue(node)[BOB]["hold"]["by"] == "rule"


def test_a_pattern_that_takes_for_ever_is_given_up(node):
    """And neither the message nor the server suffers."""
    for number in range(5):
        node.api.post("/v1/content-rules", {"customer": "rule", "direction": "in", "action": "refuse", "reason": "slow", "header": "Subject",
                                            "header_pattern": f"^(a|aa|a{{3}}a?)+[^a]c?{number}?$", "then": "reject"})
    node.wait_known()
    with hurry(os.getpid(), *node.family()):
        began = time.monotonic()
        assert deliver(node, [ANN], "a" * 900 + "!!")[0] == 250
        assert time.monotonic() - began < 5
    assert "took too long" in node.log()


def test_recipients_of_two_customers_in_turn(node):
    """The message is looked at once for each customer, however they alternate."""
    for customer in ("rule", "other"):
        for number in range(5):
            node.api.post("/v1/content-rules", {"customer": customer, "direction": "in", "action": "refuse", "reason": "slow", "then": "reject",
                                                "header": "Subject", "header_pattern": f"^(a|aa|a{{3}}a?)+[^a]c?{number}?$"})
    node.api.account("olaf@other.test", "other")
    node.wait_known()
    assert deliver(node, [ANN, OTHER, BOB, "olaf@other.test"], "a" * 900 + "!!")[0] == 250
    assert node.log().count("took too long") == 2


def test_dry_run(node):
    made = rule(node, header="Subject", header_pattern="casino", action="quarantine")
    body = {"customer": "rule", "direction": "in", "sender": "<>", "recipient": ANN, "headers": [{"name": "subject", "value": "a CASINO"}]}
    found = node.api.post("/v1/content-rules/check", body)
    assert (found["rule"]["id"], found["action"], found["rules"], found["given_up"]) == (made["id"], "quarantine", 1, 0)
    assert node.api.post("/v1/content-rules/check", {**body, "headers": []})["rule"] is None
    assert node.api.post("/v1/content-rules/check", {**body, "direction": "out"})["rules"] == 0
    node.api.patch(f"/v1/content-rules/{made['id']}", {"header": None, "header_pattern": None, "attachment_name_pattern": "zip$"})
    parts = {"attachments": [{"name": "a.txt", "type": "text/plain"}, {"name": "b.zip", "type": "application/zip"}]}
    assert node.api.post("/v1/content-rules/check", {**body, **parts})["action"] == "quarantine", "a change is known at once"
    for wrong, field in (({"customer": "nobody"}, "customer"), ({"direction": "up"}, "direction"), ({"recipient": "nobody"}, "recipient"),
                         ({"attachments": [{"name": "x"}]}, "attachments[0].type")):
        problem(node, 422, "POST", "/v1/content-rules/check", {**body, **wrong}, field=field)
    assert node.query("select count(*) from queue_entry") == [["0"]]


@pytest.mark.parametrize("members, field", [
    ({"header_pattern": "(", "header": "Subject"}, "header_pattern"), ({"header_pattern": "x"}, "header"), ({"header": "a b"}, "header"),
    ({"size_over": -1}, "size_over"), ({"direction": "up", "size_over": 1}, "direction"), ({"action": "burn", "size_over": 1}, "action"),
    ({"sender_pattern": "((a{99}){99}){99}"}, "sender_pattern"), ({"sender_pattern": "x" * 501}, "sender_pattern"),
    ({"domain": "other.test", "size_over": 1}, "domain"), ({"priority": 1001, "size_over": 1}, "priority"), ({"sender_pattern": r"\C"}, "sender_pattern"),
    ({"action": "hold", "size_over": 1, "then": "burn"}, "then"), ({}, None)])
def test_refused(node, members, field):
    body = {"customer": "rule", "direction": "in", "action": "refuse", "reason": "x", **members}
    status, _, answer = node.api.request("POST", "/v1/content-rules", body)
    assert status == 422 and answer.get("field") == field, answer
    assert node.api.get("/v1/content-rules")["items"] == []


def test_the_resource(node):
    made = rule(node, size_over=5, label="big", domain="rule.test")
    path = f"/v1/content-rules/{made['id']}"
    assert node.api.get(path) == made and node.api.get("/v1/content-rules", customer="rule")["items"] == [made]
    assert node.api.get("/v1/content-rules", customer="other")["items"] == []
    changed = node.api.patch(path, {"size_over": None, "sender_pattern": "x", "domain": None, "label": None, "action": "hold", "then": "release"})
    assert (changed["size_over"], changed["sender_pattern"], changed["domain"], changed["label"]) == (None, "x", None, None)
    problem(node, 422, "PATCH", path, {"sender_pattern": None})
    problem(node, 409, "DELETE", "/v1/customers/rule", None)
    node.api.delete(path)
    problem(node, 404, "GET", path, None)
    assert node.query("select count(*) from audit_log where path like '/v1/content-rules%' and status < 300") == [["3"]]


def test_the_command_line(node):
    environment = dict(os.environ, POSTHOUSE_URL=f"http://127.0.0.1:{node.ports['admin']}", POSTHOUSE_TOKEN=node.token)

    def run(*words):
        done = subprocess.run([PROGRAM.parent / "posthouse", *words], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout
    run("content-rules", "create", "big", "--customer", "rule", "--direction", "in", "--action", "quarantine", "--reason", "too big",
        "--size-over", "1000", "--then", "release", "--domain", "rule.test")
    (made,) = node.api.get("/v1/content-rules")["items"]
    assert (made["label"], made["size_over"], made["domain"]) == ("big", 1000, "rule.test")
    run("content-rules", "change", made["id"], "--header", "Subject", "--header-pattern", "x", "--size-over", "")
    assert node.api.get("/v1/content-rules")["items"][0]["size_over"] is None
    assert "too big" in run("content-rules", "list")
    run("content-rules", "delete", made["id"])
