"""Protection of connections by the policy of the recipient's domain: /v1/delivery-policies, `tls`."""
import pytest

from harness.certificate import Certificate
from harness.posthouse import Posthouse, make_message
from harness.process import make_folder, remove_folder, wait_equal, wait_until
from harness.sink import Behaviour

SENDER = "ann@hosted.test"
CAROL, DAVE = "carol@strict.test", "dave@other.test"
PATH = "/v1/delivery-policies"


@pytest.fixture
def trusting(certificate, monkeypatch):
    """Programs that are started trust the tests' certificate, as they do the system's authorities."""
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment",
                        lambda self: dict(plain(self), SSL_CERT_FILE=str(certificate.certificate)))


@pytest.fixture
def node(new_posthouse, trusting, sink):
    """Two domains of others behind one next hop, the default route."""
    made = new_posthouse(default_route=sink.port, settings={"daemon.workers": 1})
    made.start()
    made.api.customer("policies")
    made.api.hosted_domain("hosted.test", "policies")
    made.api.account(SENDER, "policies")
    return made


def policy(node, **members):
    """Known to the worker within a second."""
    return node.api.post(PATH, {"domain": "strict.test", **members})


def submit(node, *recipients, subject="hello"):
    node.submit(SENDER, list(recipients), make_message(subject, sender=SENDER, to=recipients[0]))


def queue(node):
    return {item["recipient"]: item for item in node.api.get("/v1/queue")["items"]}


def wait_policy(node, sink):
    """What is sent to strict.test is put off."""
    def put_off():
        submit(node, CAROL)
        wait_until(lambda: all(item["attempts"] for item in queue(node).values()), "it was tried")
        return queue(node)
    wait_until(put_off, "the policy is known")
    return queue(node)[CAROL]


def test_not_without_tls(node, sink, certificate):
    policy(node, tls="encrypt", retry_first=1, retry_max=1)
    item = wait_policy(node, sink)
    assert item["last_reply"] == (f"127.0.0.1:{sink.port}: the policy for the domain requires TLS, which does not come about with it")
    submit(node, DAVE, CAROL, subject="both")
    wait_until(lambda: [m for m in sink.messages if m.recipients == [DAVE]], "nobody else waits for it")
    event = [each for each in node.api.get(f"/v1/messages/{item['message']}/events")["items"] if each["kind"] == "deferred"][0]
    assert event["detail"] == item["last_reply"]
    count = len(sink.messages)
    sink.behave = Behaviour(tls_broken=True)
    submit(node, DAVE, subject="broken")
    wait_until(lambda: len(sink.messages) > count, "others fall back to clear")
    assert not sink.messages[-1].tls and not [m for m in sink.messages[count:] if CAROL in m.recipients]
    sink.behave = Behaviour(tls=certificate.server_context())
    wait_equal(lambda: queue(node), {}, "it goes when there is TLS")
    assert all(m.tls for m in sink.messages if CAROL in m.recipients and "both" in m.data.decode())


def test_not_without_a_certificate(node, sink, certificate):
    folder = make_folder("stranger")
    try:
        sink.behave = Behaviour(tls=Certificate(folder).server_context())
        policy(node, tls="verify", retry_first=1, retry_max=1)
        item = wait_policy(node, sink)
        assert item["last_reply"].endswith("the policy for the domain requires a certificate, and its own cannot be verified")
        submit(node, DAVE, subject="other")
        wait_until(lambda: [m for m in sink.messages if m.recipients == [DAVE]], "others do not ask who it is")
        sink.behave = Behaviour(tls=certificate.server_context())
        wait_equal(lambda: queue(node), {}, "it goes to whom it should")
        events = node.api.get(f"/v1/messages/{item['message']}/events")["items"]
        put_off, done = ([event for event in events if event["kind"] == kind and event["recipient"] == CAROL][0] for kind in ("deferred", "delivered"))
        assert (put_off["class"], put_off["tls_version"], put_off["tls_verified"]) == ("tls", "TLSv1.3", "opportunistic")
        assert (done["class"], done["tls_version"], done["tls_verified"]) == (None, "TLSv1.3", "pkix")
    finally:
        remove_folder(folder)


def test_in_clear(node, sink, certificate):
    """A server whose TLS is worse than none. Whoever shares its connection does not share that."""
    sink.behave = Behaviour(tls=certificate.server_context())
    policy(node, tls="none")

    def clear():
        submit(node, CAROL, DAVE)
        wait_equal(lambda: queue(node), {}, "it is delivered")
        return [m for m in sink.messages if m.recipients == [CAROL] and not m.tls]

    wait_until(clear, "in clear")
    submit(node, CAROL)
    submit(node, DAVE)
    wait_equal(lambda: queue(node), {}, "both are delivered")
    assert all(m.tls for m in sink.messages if DAVE in m.recipients)


def test_many_messages_cost_one_connection(node, sink, certificate):
    """What nobody there may have is put off with what was found for the first of them; others go meanwhile."""
    policy(node, tls="encrypt", retry_first=6, retry_max=6)
    item = wait_policy(node, sink)
    before = sink.connections
    people = [f"p{number}@strict.test" for number in range(40)]
    for person in people:
        submit(node, person, subject=person)
    wait_until(lambda: all(queue(node)[person]["attempts"] for person in people), "all are put off")
    assert {queue(node)[person]["last_reply"] for person in people} == {item["last_reply"]}
    assert sink.connections - before < len(people) / 4
    steps = node.query("select distinct class, remote_host, remote_address, tls_verified from event where kind = 'deferred'")
    assert steps == [["tls", "127.0.0.1", "127.0.0.1", "none"]]
    submit(node, DAVE, subject="goes")
    wait_until(lambda: [message for message in sink.messages if message.recipients == [DAVE]], "another's mail goes")
    sink.behave = Behaviour(tls=certificate.server_context())
    wait_until(lambda: set(people) <= {message.recipients[0] for message in sink.messages}, "all have come, in TLS", timeout=60)
