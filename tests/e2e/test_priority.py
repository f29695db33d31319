"""MT-PRIORITY (RFC 6710): kept, passed on, and the order in which mail for one destination goes."""
import pytest

from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour

ANN, CAROL, DAN = "ann@urgent.test", "carol@primary.test", "dan@outside.test"
OFFERED = Behaviour().extensions + ("MT-PRIORITY",)


@pytest.fixture
def node(new_posthouse, sink, outside):
    outside.clear()
    node = new_posthouse(default_route=outside.port)
    node.start()
    node.api.customer("urgent")
    node.api.hosted_domain("urgent.test", "urgent")
    node.api.account(ANN, "urgent")
    node.api.relay_domain("primary.test", "urgent", sink.port)
    return node


def send(node, client, priority, subject="hello", recipient=CAROL):
    """The reply to MAIL."""
    parameters = [f"MT-PRIORITY={priority}"] if priority is not None else []
    reply = client.mail(ANN, parameters)
    assert client.rcpt(recipient)[0] == 250
    assert client.data(make_message(subject, sender=ANN))[0] == 250
    return reply[0], reply[1].decode()


def submit(node, priorities, recipient=CAROL):
    with node.submission(ANN) as client:
        client.ehlo()
        assert client.has_extn("mt-priority")
        for priority in priorities:
            assert send(node, client, priority, f"p{priority}", recipient) == (250, "2.1.0 Ok")


def given(message):
    return [word for word in message.mail_parameters.split() if word.startswith("MT-PRIORITY")]


def test_passed_on(node, sink):
    sink.behave = Behaviour(extensions=OFFERED)
    submit(node, [9, -9, 0, None])
    wait_until(lambda: len(sink.messages) == 4, "they arrive")
    told = {subject_of(message.data): (given(message), b"\tPRIORITY " in message.data) for message in sink.messages}
    assert told == {"p9": (["MT-PRIORITY=9"], True), "p-9": (["MT-PRIORITY=-9"], True), "p0": (["MT-PRIORITY=0"], True),
                    "pNone": (["MT-PRIORITY=0"], False)}
    assert b"\r\n\tPRIORITY -9;\r\n" in next(m.data for m in sink.messages if subject_of(m.data) == "p-9")


def test_not_to_who_does_not_know(node, sink):
    submit(node, [9])
    wait_until(lambda: sink.messages, "it arrives")
    assert given(sink.messages[0]) == []


def test_a_stranger_does_not_go_first(node, sink):
    sink.behave = Behaviour(extensions=OFFERED)
    with node.smtp() as client:
        client.ehlo()
        code, text = send(node, client, 5, "p5")
        assert code == 250 and text.startswith("2.3.6 0 ")
        assert send(node, client, -5, "p-5") == (250, "2.1.0 Ok")
    wait_until(lambda: len(sink.messages) == 2, "they arrive")
    assert sorted(given(message)[0] for message in sink.messages) == ["MT-PRIORITY=-5", "MT-PRIORITY=0"]


@pytest.mark.parametrize("how", ["network", "grant"])
def test_a_client_that_is_known_may(node, outside, how):
    outside.behave = Behaviour(extensions=OFFERED)
    if how == "network":
        node.api.post("/v1/networks", {"cidr": "127.0.0.0/8", "customer": "urgent"})
    else:
        node.api.post("/v1/relay-grants", {"customer": "urgent", "network": "127.0.0.0/8", "senders": "any"})
    with node.smtp() as client:
        client.ehlo()
        assert send(node, client, 5, recipient=DAN) == (250, "2.1.0 Ok")
    wait_until(lambda: outside.messages, "it arrives")
    assert given(outside.messages[0]) == ["MT-PRIORITY=5"]
    node.api.patch("/v1/customers/urgent", {"state": "suspended"})
    with node.smtp() as client:
        client.ehlo()
        assert client.mail(ANN, ["MT-PRIORITY=5"])[1].startswith(b"2.3.6 0 ")


def test_who_goes_first(node, sink):
    """After an outage: by priority, and within one in order of acceptance; also where one claim does not bring all."""
    sink.stop()
    submit(node, [-1])
    wait_until(lambda: node.api.get("/v1/outages?open=true")["items"], "the outage is open")
    submit(node, [-1] * 110 + [0, 5, -3, 9, None])
    entries = node.api.get("/v1/queue?limit=1000")["items"]
    assert sorted({entry["priority"] for entry in entries}) == [-3, -1, 0, 5, 9]
    sink.start()
    wait_until(lambda: len(sink.messages) == 116, "all arrive")
    assert [subject_of(message.data) for message in sink.messages] == ["p9", "p5", "p0", "pNone"] + ["p-1"] * 111 + ["p-3"]


def test_a_report_has_its_message_s_priority(node, sink):
    sink.behave = Behaviour(recipient_replies={CAROL: "550 5.1.1 no such user"})
    submit(node, [4])
    wait_until(lambda: node.subjects(ANN), "the sender is told")
    wait_equal(lambda: node.query("select parameters from message where protocol = 'LOCAL'"), [["MT-PRIORITY=4"]],
               "it is kept with the report")
