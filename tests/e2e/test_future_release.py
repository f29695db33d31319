"""FUTURERELEASE (RFC 4865): a submission that waits until its time, for recipients here, behind a primary, and outside."""
import datetime
import email
import email.policy
import smtplib
import urllib.request

import pytest

from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour

ANN, BOB, CAROL, DAN = "ann@future.test", "bob@future.test", "carol@primary.test", "dan@outside.test"


def set_up(node, sink):
    node.start()
    node.api.customer("future")
    node.api.hosted_domain("future.test", "future")
    for address in (ANN, BOB):
        node.api.account(address, "future")
    node.api.relay_domain("primary.test", "future", sink.port)
    node.api.account(CAROL, "future")
    return node


@pytest.fixture
def node(new_posthouse, sink, outside):
    outside.clear()
    outside.behave = Behaviour()
    return set_up(new_posthouse(default_route=outside.port), sink)


def submit(node, recipients, mail, rcpt=(), subject="later"):
    """The id that the reply tells."""
    with node.submission(ANN) as client:
        client.ehlo()
        code, text = client.mail(ANN, list(mail))
        assert code == 250, text
        for recipient in recipients:
            assert client.rcpt(recipient, list(rcpt))[0] == 250
        code, text = client.data(make_message(subject, sender=ANN))
        assert code == 250, text
        return text.split()[4].strip(b",").decode()


def held_until(seconds):
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


def queue(node):
    return {entry["recipient"]: entry for entry in node.api.get("/v1/queue")["items"]}


def kinds(node, message, recipient):
    return [event["kind"] for event in node.api.get(f"/v1/messages/{message}/events")["items"] if event["recipient"] == recipient]


def gone_out(sink):
    return [subject_of(message.data) for message in sink.messages]


def time_comes(node):
    """Instead of waiting for days."""
    node.query("update queue_entry set held_until = now() where held_until is not null returning 1")


def test_offered_for_submission_only(node):
    with node.submission(ANN) as client:
        client.ehlo()
        most, date = client.esmtp_features["futurerelease"].split()
        assert most == str(30 * 24 * 3600)
        then = datetime.datetime.strptime(date, "%Y-%m-%dT%H:%M:%S%z")
        ahead = then - datetime.datetime.now(datetime.timezone.utc)
        assert datetime.timedelta(days=29, hours=23) < ahead <= datetime.timedelta(days=30)
        for wrong in (f"HOLDFOR={30 * 24 * 3600 + 60}", f"HOLDUNTIL={held_until(31 * 24 * 3600)}"):
            assert client.mail(ANN, [wrong])[0] == 501
    with node.smtp() as client:
        client.ehlo()
        assert not client.has_extn("futurerelease")
        assert client.mail(ANN, ["HOLDFOR=5"])[0] == 555


def test_not_offered_when_switched_off(new_posthouse, sink):
    node = set_up(new_posthouse(settings={"smtp.future_release_max": "0s"}), sink)
    with node.submission(ANN) as client:
        client.ehlo()
        assert not client.has_extn("futurerelease")
        assert client.mail(ANN, ["HOLDFOR=5"])[0] == 555


def test_waits_for_everybody(node, sink, outside):
    message = submit(node, [BOB, CAROL, DAN], ["HOLDFOR=86400"])
    entries = queue(node)
    assert set(entries) == {BOB, CAROL, DAN}
    assert entries[BOB]["destination"] == "mailbox"
    for entry in entries.values():
        assert entry["state"] == "held" and entry["held"] is False
        assert entry["hold"] == {"by": "sender", "reason": "HOLDFOR=86400", "until": entry["due_at"], "then": "release",
                                 "approval": False, "quarantine": False}
        assert entry["expires_at"] > entry["due_at"]  # its lifetime counts from then
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{node.ports['admin']}/metrics").read().decode()
    assert 'posthouse_queue_entries{state="held"} 3' in metrics
    # what comes meanwhile passes it
    node.send("joe@client.test", [BOB, CAROL], make_message("now"))
    node.submit(ANN, [DAN], make_message("now", sender=ANN))
    wait_equal(lambda: (gone_out(sink), gone_out(outside)), (["now"], ["now"]), "other mail is delivered")
    assert node.subjects(BOB) == ["now"]
    assert set(queue(node)) == {BOB, CAROL, DAN}
    time_comes(node)
    wait_equal(lambda: (gone_out(sink), gone_out(outside), node.subjects(BOB)),
               (["now", "later"], ["now", "later"], ["now", "later"]), "it is released")
    wait_until(lambda: not queue(node), "the queue is empty")
    assert kinds(node, message, None) == ["accepted"]
    for recipient, end in ((BOB, "filed"), (CAROL, "delivered"), (DAN, "delivered")):
        assert kinds(node, message, recipient) == ["held", "released", end]


def test_comes_at_its_time(node):
    submit(node, [BOB], [f"HOLDUNTIL={held_until(3)}"])
    assert node.subjects(BOB) == []
    assert queue(node)[BOB]["state"] == "held"
    wait_equal(lambda: node.subjects(BOB), ["later"], "it is released")
    ((early,),) = node.query("select count(*) from event f join event h on h.message_id = f.message_id and h.kind = 'held'"
                             " where f.kind = 'filed' and f.at < h.at + interval '1500 ms'")
    assert early == "0"


def test_a_time_that_has_passed_is_now(node):
    submit(node, [BOB], ["HOLDUNTIL=2020-01-01T00:00:00Z"])
    assert node.subjects(BOB) == ["later"]
    assert queue(node) == {}


def test_header_and_parameters_stay_as_they_were(node, outside):
    outside.behave = Behaviour(extensions=Behaviour().extensions + ("DSN", "FUTURERELEASE 1000 2099-01-01T00:00:00Z"))
    submit(node, [DAN], ["HOLDFOR=1000", "ENVID=x"], ["NOTIFY=NEVER"])
    time_comes(node)
    wait_until(lambda: outside.messages, "it is released")
    (message,) = outside.messages
    assert "HOLD" not in message.mail_parameters and "ENVID=x" in message.mail_parameters
    assert message.recipient_parameters == ["NOTIFY=NEVER"]
    header = email.message_from_bytes(message.data, policy=email.policy.default)
    assert header["Date"] == "Mon, 23 Nov 2026 20:25:14 +0000"
    received = email.utils.parsedate_to_datetime(header["Received"].rpartition(";")[2].strip())
    assert abs((received - datetime.datetime.now(datetime.timezone.utc)).total_seconds()) < 600


def test_an_outage_shows_nothing_before_its_time(node, sink):
    sink.stop()
    node.send("joe@client.test", CAROL, make_message("now"))
    wait_equal(lambda: node.subjects(CAROL), ["now"], "the outage is open")
    submit(node, [CAROL], ["HOLDFOR=86400"])
    node.send("joe@client.test", CAROL, make_message("then"))
    wait_equal(lambda: node.subjects(CAROL), ["now", "then"], "other mail is shown")
    sink.start()
    wait_equal(lambda: sorted(gone_out(sink)), ["now", "then"], "the outage is over")
    sink.stop()
    node.send("joe@client.test", CAROL, make_message("again"))
    wait_equal(lambda: node.subjects(CAROL), ["now", "then", "again"], "another outage is open")
    time_comes(node)
    wait_equal(lambda: node.subjects(CAROL), ["now", "then", "again", "later"], "it is shown when it is released")
    assert queue(node)[CAROL]["held"] is True
    sink.clear()
    sink.start()
    wait_equal(lambda: sorted(gone_out(sink)), ["again", "later"], "it is at the primary")


def notices(node):
    return [email.message_from_bytes(text, policy=email.policy.default) for text in node.inbox(ANN)]


def fields(notice):
    return [dict(block.items()) for block in list(notice.iter_parts())[1].get_payload()]


def test_success_is_told_when_it_is_filed(node):
    submit(node, [BOB], ["HOLDFOR=86400"], ["NOTIFY=SUCCESS"])
    assert notices(node) == []
    time_comes(node)
    wait_until(lambda: notices(node), "the sender is told")
    (notice,) = notices(node)
    head, recipient = fields(notice)
    assert head["Future-Release-Request"] == "for; 86400"
    assert recipient["Action"] == "delivered" and recipient["Final-Recipient"] == f"rfc822; {BOB}"
    assert node.subjects(BOB) == ["later"]
    wait_until(lambda: not queue(node), "the queue is empty")


@pytest.mark.parametrize("change", ["delete", "closed"])
def test_the_mailbox_is_gone_by_then(node, change):
    message = submit(node, [BOB, ANN], ["HOLDFOR=86400"])
    if change == "delete":
        node.api.delete(f"/v1/accounts/{BOB}")
    else:
        node.api.patch(f"/v1/accounts/{BOB}", {"state": change})
    time_comes(node)
    wait_until(lambda: len(node.inbox(ANN)) == 2, "the other one is filed, and the sender is told")
    (notice,) = [n for n in notices(node) if n.get_content_type() == "multipart/report"]
    _, recipient = fields(notice)
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.2.1")
    assert kinds(node, message, BOB) == ["held", "released", "bounced"]


def test_lifetime_and_delay_count_from_the_release(new_posthouse, sink):
    settings = {"smtp.queue_lifetime": "1h", "smtp.delay_notice": "30m", "delivery.retry_first": "200ms", "delivery.retry_max": "200ms"}
    node = set_up(new_posthouse(settings=settings), sink)
    node.api.delete(f"/v1/accounts/{CAROL}")
    sink.behave = Behaviour(recipient_replies={CAROL: "451 4.7.1 later"})
    submit(node, [CAROL], ["HOLDFOR=86400"])
    node.query("update message set received_at = received_at - interval '1 day' returning 1")
    node.query("update queue_entry set held_until = now(), due_at = due_at - interval '1 day', delay_at = delay_at - interval '1 day',"
               " expires_at = expires_at - interval '1 day' returning 1")
    wait_until(lambda: queue(node)[CAROL]["attempts"] > 0, "it is released, and put off")
    ((lifetime, delay),) = node.query("select extract(epoch from expires_at - now()) between 3000 and 3600,"
                                      " extract(epoch from delay_at - now()) between 1500 and 1800 from queue_entry")
    assert (lifetime, delay) == ("t", "t")
    assert notices(node) == []


def test_kill_does_not_file_it_twice(node):
    """The process dies again and again while mail is released and filed."""
    count = 40
    for number in range(count):
        submit(node, [BOB, CAROL], ["HOLDFOR=86400"], subject=f"n{number}")
    time_comes(node)
    for _ in range(3):
        wait_until(lambda: node.query("select 1 from event where kind in ('released', 'filed') limit 1"), "it has begun")
        node.kill()
        node.start()
    wait_equal(lambda: sorted(node.subjects(BOB)), sorted(f"n{number}" for number in range(count)), "all are filed", timeout=120)
    ((filed,),) = node.query(f"select count(*) from event where kind = 'filed' and recipient = '{BOB}'")
    assert filed == str(count)
    wait_until(lambda: not queue(node), "the queue is empty", timeout=120)
    assert len(node.subjects(BOB)) == count


def test_smtplib_gets_the_limits(node):
    with node.submission(ANN) as client:
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail(ANN, [BOB], "x", ["HOLDFOR=5", f"HOLDUNTIL={held_until(50)}"])
