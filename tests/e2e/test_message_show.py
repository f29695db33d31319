"""GET /v1/messages/{id} and its events: every attempt of every recipient, and what the other side said."""
from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from harness.requests import is_utc_now, pages
from harness.sink import Behaviour

ANN, DAN, EVE, FAY = "ann@shown.test", "dan@outside.test", "eve@outside.test", "fay@outside.test"
REPLIES = ["452 4.2.2 mailbox full", "451 4.3.0 disk", "450 4.7.1 later"]


def message_of(node, recipient):
    entries = [entry for entry in node.api.get("/v1/queue")["items"] if entry["recipient"] == recipient]
    return node.api.get(f"/v1/messages/{entries[0]['message']}") if entries else None


def test_every_attempt_and_reply(posthouse, outside):
    node = posthouse
    node.api.customer("shown")
    node.api.hosted_domain("shown.test", "shown")
    node.api.account(ANN, "shown")
    outside.behave = Behaviour(recipient_replies={FAY: "550 5.1.1 no such user", DAN: REPLIES[0]}, other_recipients="250 2.1.5 Ok")
    node.submit(ANN, [DAN, EVE, FAY], make_message("shown", sender=ANN))
    message = wait_until(lambda: (found := message_of(node, DAN)) and found["queue"][0]["attempts"] == 1 and found, "the first attempt")
    wait_until(lambda: len(message_of(node, DAN)["queue"]) == 1, "the others are done")
    entry, = message_of(node, DAN)["queue"]
    assert (entry["recipient"], entry["last_reply"]) == (DAN, REPLIES[0]) and entry["attempts"] >= 1 and is_utc_now(entry["last_attempt_at"])
    assert message["sender"] == ANN and message["protocol"].startswith("ESMTP") and message["account"]
    path = f"/v1/messages/{message['id']}/events"
    attempts = [step for step in pages(node.api, f"/v1/queue/{entry['id']}/attempts", limit=2)]
    assert [step["detail"] for step in attempts][0] == REPLIES[0] and {step["kind"] for step in attempts} == {"deferred"}
    assert {step["recipient"] for step in attempts} == {DAN}

    def replies():
        return [event["detail"] for event in pages(node.api, path, limit=2) if event["recipient"] == DAN and event["kind"] == "deferred"]
    for count, reply in enumerate(REPLIES[1:], 2):
        outside.behave = Behaviour(other_recipients=reply)
        wait_until(lambda reply=reply: replies()[-1] == reply, f"it is told {reply}", timeout=60)
        assert len(replies()) >= count
    outside.behave = Behaviour()
    wait_equal(lambda: node.api.get("/v1/queue")["items"], [], "all is over", timeout=60)
    steps = pages(node.api, path, limit=3)
    assert [step["id"] for step in steps] == sorted({step["id"] for step in steps}) and all(is_utc_now(step["at"]) for step in steps)
    told = {recipient: [(step["kind"], step["detail"]) for step in steps if step["recipient"] == recipient] for recipient in (DAN, EVE, FAY)}
    assert told[EVE] == [("delivered", "250 2.0.0 stored")]
    assert [kind for kind, _ in told[FAY]] == ["bounced"] and "550 5.1.1 no such user" in told[FAY][0][1]
    assert told[DAN][-1] == ("delivered", "250 2.0.0 stored")
    tried = [step for step in steps if step["kind"] in ("deferred", "delivered", "bounced")]
    assert {(step["remote_host"], step["remote_address"]) for step in tried} == {("127.0.0.1", "127.0.0.1")}
    assert {step["remote_host"] for step in steps if step not in tried} == {None}
    seen = [detail for kind, detail in told[DAN] if kind == "deferred"]
    assert [reply for i, reply in enumerate(seen) if i == 0 or seen[i - 1] != reply] == REPLIES
    assert len(seen) == sum(1 for _, recipient in outside.asked if recipient == DAN) - 1, "as many as it was offered, but for the last"
    classes = {step["detail"]: step["class"] for step in steps if step["recipient"] == DAN}
    assert classes[REPLIES[0]] == "full" and classes["250 2.0.0 stored"] is None
    shown = node.api.get(f"/v1/messages/{message['id']}")
    assert shown["queue"] == [] and shown["id"] == message["id"], "it is known after it has gone"


def test_whom_nobody_could_reach(new_posthouse, sink):
    """The name and the address of the host that does not answer, and of the one of two that did."""
    node = new_posthouse(settings={"delivery.probe_interval": "200ms"}).start()
    sink.stop()
    node.api.customer("reach")
    node.api.relay_domain("reach.test", "reach", sink.port)
    node.send("joe@outside.test", "ann@reach.test", make_message("reach"))
    entry = wait_until(lambda: [e for e in node.api.get("/v1/queue")["items"] if e["last_reply"]], "it was tried")[0]
    first = node.api.get(f"/v1/queue/{entry['id']}/attempts")["items"][0]
    assert (first["kind"], first["class"]) == ("deferred", "connection")
    assert (first["remote_host"], first["remote_address"], first["tls_verified"]) == ("127.0.0.1", "127.0.0.1", None)
    assert entry["uncertain_at"] is None
    sink.start()
    wait_equal(lambda: node.api.get("/v1/queue")["items"], [], "it has come")
    assert node.api.request("GET", f"/v1/queue/{entry['id']}/attempts")[0] == 404
