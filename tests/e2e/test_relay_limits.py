"""Limits of relay grants at the end of data: what many connections had permitted before does not pass a limit together."""
import re

import pytest

from harness.dialogue import Dialogue
from harness.posthouse import PASSWORD, make_message
from harness.process import wait_until

ANN = "ann@limit.test"


@pytest.fixture(scope="module")
def node(posthouse):
    posthouse.api.customer("limit")
    posthouse.api.hosted_domain("limit.test", "limit")
    posthouse.api.account(ANN, "limit")
    return posthouse


@pytest.fixture
def grant(node):
    made = []

    def make(**members):
        made.append(node.api.post("/v1/relay-grants", {"customer": "limit", "account": ANN, **members}))
        return made[-1]

    yield make
    for one in made:
        node.api.delete(f"/v1/relay-grants/{one['id']}")


@pytest.fixture
def ready(node):
    """ready(recipients...): a submission whose recipients were taken."""
    opened = []

    def make(*recipients):
        client = Dialogue(node, "submissions")
        opened.append(client)
        client.hello()
        assert client.plain(ANN, PASSWORD).startswith("235 ")
        client.ask(f"MAIL FROM:<{ANN}>", "250")
        for recipient in recipients or ("joe@outside.test",):
            client.ask(f"RCPT TO:<{recipient}>", "250")
        return client

    yield make
    for client in opened:
        client.close()


def finish(client, body="Hello.\n"):
    client.ask("DATA", "354")
    client.send(make_message("limited", ANN, body=body) + b"\r\n.\r\n")
    return client.reply()


def told(node, reply):
    path = "/v1/decisions/" + re.search(r"\(decision (\w+)\)$", reply).group(1)
    wait_until(lambda: node.api.request("GET", path)[0] == 200, "the decision is written")
    return node.api.get(path)


def test_messages(node, grant, ready):
    one = grant(messages_per_day=2)
    replies = [finish(client) for client in [ready() for _ in range(4)]]
    assert [reply[:3] for reply in replies] == ["250", "250", "451", "451"]
    assert replies[2].startswith(f"451 4.7.1 Limit reached: grant {one['id']} permits 2 messages in a day")
    decision = told(node, replies[2])
    assert (decision["command"], decision["grant"], decision["limit"], decision["why"]) == \
        ("DATA", one["id"], "messages_per_day", "rate-limit")


def test_recipients_are_those_of_the_message(node, grant, ready):
    grant(recipients_per_day=5)
    both = [ready("a@outside.test", "b@outside.test", "c@outside.test"), ready("a@outside.test", "b@outside.test", "c@outside.test")]
    third = ready("a@outside.test", "b@outside.test")
    assert [finish(client)[:3] for client in both] == ["250", "451"]
    assert finish(third)[:3] == "250"


def test_a_size_that_was_not_declared(node, grant, ready):
    grant(bytes_per_day=3000, at_limit="refuse")
    assert finish(ready(), "x" * 3000 + "\n").startswith("550 5.7.1 Limit reached")
    assert finish(ready()).startswith("250 ")


def test_refuse_is_for_good_without_another_grant(node, grant, ready):
    """Which may permit the message at its next RCPT."""
    grant(messages_per_day=1, at_limit="refuse")
    clients = [ready(), ready()]
    assert [finish(client)[:3] for client in clients] == ["250", "550"]
    grant(recipients="domains", recipient_domains=["nowhere.test"])
    grant(messages_per_day=1, at_limit="refuse")
    clients = [ready(), ready()]
    assert [finish(client)[:3] for client in clients] == ["250", "451"]


def test_hold(node, grant, ready):
    grant(messages_per_day=1, at_limit="hold")
    first, second = ready(), ready()
    assert "held" not in finish(first)
    assert "held until it is released: messages_per_day of grant" in finish(second)


def test_at_the_same_moment(node, grant, ready):
    """Each of the two workers sees what it is accepting itself."""
    grant(messages_per_day=2)
    clients = [ready() for _ in range(10)]
    for client in clients:
        client.ask("DATA", "354")
        client.send(make_message("limited", ANN))
    for client in clients:
        client.send(b".\r\n")
    codes = [client.reply()[:3] for client in clients]
    assert 1 <= codes.count("250") <= 4 and set(codes) == {"250", "451"}
