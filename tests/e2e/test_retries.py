"""What a next hop's answers do to the message, to its other recipients, and to those that wait behind it."""
import email
import email.policy

import pytest

from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour

ANN = "ann@one.test"
DAN, EVE, FAY, GUS = "dan@outside.test", "eve@outside.test", "fay@outside.test", "gus@outside.test"
LATER = {"delivery.retry_first": "1h", "delivery.retry_max": "1h"}  # nothing is tried again unless the test says so


@pytest.fixture
def node(new_posthouse, outside):
    outside.clear()
    outside.behave = Behaviour()
    return set_up(new_posthouse(settings=LATER, default_route=outside.port))


def set_up(node):
    node.start()
    node.api.customer("one")
    node.api.hosted_domain("one.test", "one")
    node.api.account(ANN, "one")
    return node


def submit(node, *recipients, subject="hello"):
    node.submit(ANN, list(recipients), make_message(subject, sender=ANN))


def entries(node):
    return {entry["recipient"]: entry for entry in node.api.get("/v1/queue")["items"]}


def attempts(node):
    return {recipient: entry["attempts"] for recipient, entry in entries(node).items()}


def failures(node):
    rows = node.query("select failures from destination where key = 'default'")
    return max([int(value) for (value,) in rows], default=0)


def retry(node, recipient):
    """Due now; again while it is being delivered (409), until it waits or is gone."""
    def asked():
        waiting = entries(node).get(recipient)
        return not waiting or node.api.request("POST", f"/v1/queue/{waiting['id']}/retry", {})[0] in (200, 204, 404)
    wait_until(asked, "it is due")


def notices(node):
    with node.pop3(ANN) as connection:
        texts = [b"\r\n".join(connection.retr(number + 1)[1]) for number in range(connection.stat()[0])]
    return [email.message_from_bytes(text, policy=email.policy.default) for text in texts]


def told(notice):
    """Of each recipient: action, status, and the next hop's words."""
    assert notice["Return-Path"] == "<>" and notice.get_param("report-type") == "delivery-status"
    blocks = list(notice.iter_parts())[1].get_payload()[1:]
    return {block["Final-Recipient"].partition("; ")[2]: (block["Action"], block["Status"], block["Diagnostic-Code"].partition("; ")[2])
            for block in blocks}


# ------------------------------------------------------------------ 421: the server closes the channel (RFC 5321 3.8)

CLOSING = "421 4.3.2 closing down"


@pytest.mark.parametrize("behave, charged", [
    (Behaviour(banner=CLOSING), 0), (Behaviour(ehlo_reply=CLOSING), 0), (Behaviour(mail_reply=CLOSING), 0),
    (Behaviour(recipient_replies={DAN: CLOSING}), 1), (Behaviour(data_reply=CLOSING), 1), (Behaviour(end_reply=CLOSING), 1),
], ids=["greeting", "ehlo", "mail", "rcpt", "data", "end"])
def test_421_is_about_the_server(node, outside, behave, charged):
    """The destination backs off. What waits for it is not tried, and its attempts are not counted."""
    outside.behave = behave
    submit(node, DAN)
    wait_until(lambda: failures(node) == 1, "the destination is away")
    wait_until(lambda: attempts(node) == {DAN: charged}, "what it was sending is charged from RCPT on")
    seen, asked = outside.connections, len(outside.asked)
    submit(node, EVE, FAY, subject="behind it")
    wait_until(lambda: attempts(node) == {DAN: charged, EVE: 0, FAY: 0}, "they wait")
    assert outside.connections == seen and len(outside.asked) == asked
    assert node.subjects(ANN) == [] and outside.messages == []
    outside.behave = Behaviour()
    retry(node, EVE)
    wait_equal(lambda: sorted(subject_of(message.data) for message in outside.messages if DAN not in message.recipients), ["behind it"],
               "they are sent")
    if DAN in entries(node):
        retry(node, DAN)
    wait_until(lambda: not entries(node), "the queue is empty")
    assert sorted(recipient for message in outside.messages for recipient in message.recipients) == [DAN, EVE, FAY]


def test_421_to_the_second_recipient(node, outside):
    """Nothing of the transaction was accepted, so nothing is lost and nothing is sent twice."""
    outside.behave = Behaviour(recipient_replies={EVE: CLOSING})
    submit(node, DAN, EVE)
    wait_until(lambda: failures(node) == 1, "the destination is away")
    assert outside.messages == [] and set(entries(node)) == {DAN, EVE}
    outside.behave = Behaviour()
    for recipient in (DAN, EVE):
        if recipient in entries(node):
            retry(node, recipient)
    wait_until(lambda: not entries(node), "the queue is empty")
    assert sorted(recipient for message in outside.messages for recipient in message.recipients) == [DAN, EVE]


@pytest.mark.parametrize("behave", [Behaviour(banner="554 5.3.2 no mail here"), Behaviour(banner="450 4.3.2 busy")], ids=["554", "450"])
def test_a_greeting_that_refuses_is_about_the_server(node, outside, behave):
    outside.behave = behave
    submit(node, DAN)
    wait_until(lambda: failures(node) == 1, "the destination is away")
    assert attempts(node) == {DAN: 0} and node.subjects(ANN) == []


def test_it_is_found_back_by_who_did_not_see_it_go(node, outside):
    """The process that delivers the probe is another one than that which found the destination away: the others follow at once."""
    outside.behave = Behaviour(banner=CLOSING)
    submit(node, DAN)
    wait_until(lambda: failures(node) == 1, "the destination is away")
    submit(node, EVE)
    submit(node, FAY)
    node.stop()
    outside.behave = Behaviour()
    node.start()
    assert set(entries(node)) == {DAN, EVE, FAY}
    retry(node, DAN)
    wait_until(lambda: not entries(node), "the queue is empty")
    assert sorted(recipient for message in outside.messages for recipient in message.recipients) == [DAN, EVE, FAY]


# ------------------------------------------------------------------ by recipient, by message

def test_each_recipient_by_its_own_answer(node, outside):
    outside.behave = Behaviour(recipient_replies={EVE: "450 4.2.2 mailbox full", FAY: "550 5.1.1 no such user", GUS: "551 5.7.1 not for you"})
    submit(node, DAN, EVE, FAY, GUS)
    wait_until(lambda: attempts(node) == {EVE: 1} and notices(node), "one waits, the others are done with")
    assert [message.recipients for message in outside.messages] == [[DAN]]
    (notice,) = notices(node)  # one for both
    assert told(notice) == {FAY: ("failed", "5.1.1", "550 5.1.1 no such user"), GUS: ("failed", "5.7.1", "551 5.7.1 not for you")}
    assert failures(node) == 0
    submit(node, DAN, subject="another")
    wait_until(lambda: len(outside.messages) == 2, "the one that waits holds up nobody")
    outside.behave = Behaviour()
    retry(node, EVE)
    wait_until(lambda: not entries(node), "the queue is empty")
    assert outside.messages[-1].recipients == [EVE] and len(notices(node)) == 1


@pytest.mark.parametrize("at", ["mail_reply", "data_reply", "end_reply"])
def test_put_off_as_a_whole(node, outside, at):
    outside.behave = Behaviour(**{at: "451 4.3.0 later"})
    submit(node, DAN, EVE)
    wait_until(lambda: attempts(node) == {DAN: 1, EVE: 1}, "both are put off, by themselves")
    assert failures(node) == 0 and notices(node) == []
    outside.behave = Behaviour()
    for recipient in (DAN, EVE):
        if recipient in entries(node):
            retry(node, recipient)
    wait_until(lambda: not entries(node), "the queue is empty")
    assert sorted(recipient for message in outside.messages for recipient in message.recipients) == [DAN, EVE]


@pytest.mark.parametrize("at", ["mail_reply", "data_reply", "end_reply"])
def test_refused_as_a_whole(node, outside, at):
    """One report for all recipients; what waits behind it goes on."""
    outside.behave = Behaviour(**{at: "554 5.6.0 not this one"})
    submit(node, DAN, EVE)
    wait_until(lambda: not entries(node) and notices(node), "it is returned")
    (notice,) = notices(node)
    assert told(notice) == {recipient: ("failed", "5.6.0", "554 5.6.0 not this one") for recipient in (DAN, EVE)}
    outside.behave = Behaviour()
    submit(node, FAY, subject="another")
    wait_equal(lambda: [message.recipients for message in outside.messages], [[FAY]], "the next one goes")


# ------------------------------------------------------------------ a real server

def test_what_postfix_says(new_posthouse, postfix):
    with open(postfix.config / "main.cf", "a") as file:
        file.write("smtpd_recipient_restrictions = check_recipient_access inline:{"
                   " {eve@relayed.test = 450 4.2.0 Greylisted} {fay@relayed.test = 550 5.1.1 gone} }, reject_unauth_destination\n")
    postfix.start()
    node = set_up(new_posthouse(settings=LATER))
    node.api.relay_domain("relayed.test", "one", postfix.port)
    submit(node, "dan@relayed.test", "eve@relayed.test", "fay@relayed.test")
    wait_until(lambda: attempts(node) == {"eve@relayed.test": 1} and notices(node), "one is put off, one is returned")
    (notice,) = notices(node)
    action, status, words = told(notice)["fay@relayed.test"]
    assert (action, status) == ("failed", "5.1.1") and words.startswith("550 5.1.1") and "gone" in words
    number = entries(node)["eve@relayed.test"]["message"]
    found = {event["recipient"]: (event["kind"], event["class"]) for event in node.api.get(f"/v1/messages/{number}/events")["items"]
             if event["kind"] in ("delivered", "deferred", "bounced")}
    assert found == {"dan@relayed.test": ("delivered", None), "eve@relayed.test": ("deferred", "greylist"),
                     "fay@relayed.test": ("bounced", "unknown-user")}
    wait_until(lambda: len(postfix.messages()) == 1, "Postfix has delivered it")
