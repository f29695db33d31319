"""Delivery to a next hop: what it may answer, where it may break off, and what becomes of the mail."""
import email
import email.policy
import os
import signal

import pytest

from harness.faults import FaultyPostgres
from harness.posthouse import make_message
from harness.process import alive, wait_equal, wait_until
from harness.sink import Behaviour, Sink

SENDER = "ann@hosted.test"


@pytest.fixture
def node(new_posthouse, sink):
    """A posthoused of its own: hosted.test with ann, relayed.test behind `sink`."""
    return set_up(new_posthouse(), sink)


def set_up(posthouse, *sinks):
    posthouse.start()
    posthouse.api.customer("delivery")
    posthouse.api.hosted_domain("hosted.test", "delivery")
    posthouse.api.account(SENDER, "delivery")
    posthouse.api.relay_domain("relayed.test", "delivery", *[sink.port for sink in sinks])
    return posthouse


def send(node, *recipients, subject="hello", body="Hello.\n", sender=SENDER):
    node.send(sender, list(recipients), make_message(subject, sender=sender, to=recipients[0], body=body))


def subjects(sink):
    return [email.message_from_bytes(message.data)["Subject"] for message in sink.messages]


def ask(node, sql):
    """The one value that the query gives."""
    ((value,),) = node.query(sql)
    return value


def queue_length(node):
    return int(ask(node, "select count(*) from queue_entry"))


def wait_empty(node):
    wait_until(lambda: queue_length(node) == 0, "the queue is empty")


def wait_events(node, *kinds):
    text = "','".join(kinds)
    wait_until(lambda: int(ask(node, f"select count(*) from event where kind in ('{text}')")) > 0, f"an event of {kinds}")


def bounces(node, login=SENDER):
    with node.pop3(login) as connection:
        texts = [b"\r\n".join(connection.retr(number + 1)[1]) for number in range(connection.stat()[0])]
    return [email.message_from_bytes(text, policy=email.policy.default) for text in texts]


# ------------------------------------------------------------------ what arrives


def test_content_arrives_as_it_was(node, sink):
    body = ".one dot\n..two\n.\nlast line with dots...\n" + "x" * 900 + "\n"
    send(node, "carol@relayed.test", body=body)
    wait_until(lambda: sink.messages, "the message arrives")
    (message,) = sink.messages
    assert message.sender == SENDER
    assert message.recipients == ["carol@relayed.test"]
    head, _, text = message.data.partition(b"\r\n\r\n")
    assert text == body.replace("\n", "\r\n").encode()
    assert head.lower().startswith(b"received:"), "Return-Path is for the last server, not for the next"
    assert b"return-path:" not in head.lower()
    wait_empty(node)
    assert ask(node, "select detail from event where kind = 'delivered'") == "250 2.0.0 stored"


def test_large_message(node, sink):
    body = "".join(f"line {number:08d} of a long message\n" for number in range(40000))
    send(node, "carol@relayed.test", body=body)
    wait_until(lambda: sink.messages, "the message arrives")
    assert sink.messages[0].data.partition(b"\r\n\r\n")[2] == body.replace("\n", "\r\n").encode()
    wait_empty(node)


def test_recipients_of_one_message_go_in_one_transaction(node, sink):
    send(node, "carol@relayed.test", "dave@relayed.test", "erin@relayed.test")
    wait_until(lambda: sink.messages, "the message arrives")
    wait_empty(node)
    assert [sorted(message.recipients) for message in sink.messages] == [
        ["carol@relayed.test", "dave@relayed.test", "erin@relayed.test"]]


@pytest.mark.parametrize("extensions", [(), ("PIPELINING",), ("8BITMIME",), ("SIZE 1000000", "PIPELINING", "8BITMIME")])
def test_extensions(node, sink, extensions):
    sink.behave = Behaviour(extensions=extensions)
    send(node, "carol@relayed.test", "dave@relayed.test")
    wait_until(lambda: sink.messages, "the message arrives")
    wait_empty(node)
    (message,) = sink.messages
    assert len(message.recipients) == 2
    assert ("SIZE=" in message.mail_parameters) == any(name.startswith("SIZE") for name in extensions)


def test_many_messages_arrive_once_over_few_connections(node, sink):
    with node.smtp() as connection:
        for number in range(50):
            connection.sendmail(SENDER, ["carol@relayed.test"], make_message(f"number {number}"))
    wait_empty(node)
    assert sorted(subjects(sink)) == sorted(f"number {number}" for number in range(50))
    assert sink.connections <= 20


def test_helo_when_ehlo_is_refused(node, sink):
    sink.behave = Behaviour(ehlo_reply="502 5.5.1 what is that")
    send(node, "carol@relayed.test")
    wait_empty(node)
    (message,) = sink.messages
    assert message.helo and message.mail_parameters == ""


def test_tls_when_it_is_offered(node, sink, certificate):
    """Opportunistic: the certificate is nobody's, and the mail is encrypted all the same (RFC 7435)."""
    sink.behave = Behaviour(tls=certificate.server_context())
    send(node, "carol@relayed.test", "dave@relayed.test")
    send(node, "carol@relayed.test")
    wait_empty(node)
    assert [message.tls for message in sink.messages] == ["TLSv1.3", "TLSv1.3"]


def test_clear_when_tls_is_broken(node, sink):
    sink.behave = Behaviour(tls_broken=True)
    send(node, "carol@relayed.test")
    wait_empty(node)
    assert [message.tls for message in sink.messages] == [""]


def test_no_mail_in_clear_when_tls_is_required(new_posthouse, sink, certificate):
    node = set_up(new_posthouse(settings={"delivery.verify_tls": "yes"}), sink)
    send(node, "carol@relayed.test")
    wait_events(node, "deferred")
    assert "TLS is required" in ask(node, "select detail from event where kind = 'deferred' limit 1")
    sink.behave = Behaviour(tls=certificate.server_context())  # which nobody has signed
    wait_until(lambda: ask(node, "select count(*) from outage where ended_at is null") == "1", "it is held")
    assert sink.messages == []


def test_eight_bit_message_needs_8bitmime(node, sink):
    """RFC 6152 section 3: what was declared as 8-bit and is, is not sent to a server that does not take it."""
    sink.behave = Behaviour(extensions=())
    declared = make_message("declared", sender=SENDER, to="carol@relayed.test") + "sch\u00f6n\r\n".encode()
    plain = make_message("plain", sender=SENDER, to="carol@relayed.test")
    with node.smtp() as connection:
        for message in (declared, plain):
            connection.sendmail(SENDER, ["carol@relayed.test"], message, mail_options=["BODY=8BITMIME"])
    wait_until(lambda: bounces(node), "the bounce arrives")
    wait_empty(node)
    assert "5.6.3" in str(bounces(node)[0])
    assert subjects(sink) == ["plain"]


# ------------------------------------------------------------------ refusals


def test_refused_recipient_bounces_and_the_other_is_delivered(node, sink):
    sink.behave = Behaviour(recipient_replies={"dave@relayed.test": "550 5.1.1 no such user here"})
    send(node, "carol@relayed.test", "dave@relayed.test", subject="two")
    wait_until(lambda: sink.messages, "the message arrives")
    wait_until(lambda: bounces(node), "the bounce arrives")
    wait_empty(node)
    assert sink.messages[0].recipients == ["carol@relayed.test"]
    (report,) = bounces(node)
    assert report["Return-Path"] == "<>"
    assert report["Auto-Submitted"] == "auto-replied"
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    text, status, header = report.iter_parts()
    assert "dave@relayed.test" in text.get_content() and "no such user here" in text.get_content()
    about_message, about_dave = status.get_payload()
    assert about_message["Reporting-MTA"].startswith("dns;")
    assert about_message["Arrival-Date"]
    assert about_dave["Final-Recipient"] == "rfc822; dave@relayed.test"
    assert about_dave["Action"] == "failed"
    assert about_dave["Status"] == "5.1.1"
    assert about_dave["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user here"
    assert about_dave["Remote-MTA"] == "dns; 127.0.0.1"
    assert about_dave["Last-Attempt-Date"]
    assert header.get_content_type() == "text/rfc822-headers"
    assert email.message_from_string(header.get_payload(decode=True).decode())["Subject"] == "two"


@pytest.mark.parametrize("behave", [Behaviour(mail_reply="550 5.7.1 not you"), Behaviour(data_reply="554 5.6.0 no data"),
                                    Behaviour(end_reply="554 5.7.1 looks like spam")], ids=["mail", "data", "end"])
def test_refused_transaction_bounces(node, sink, behave):
    sink.behave = behave
    send(node, "carol@relayed.test")
    wait_until(lambda: bounces(node), "the bounce arrives")
    wait_empty(node)
    assert sink.messages == []


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("refusal", ["554 5.7.1 no", "451 4.3.0 later"])
def test_a_server_that_goes_on_with_what_it_has_refused(node, sink, refusal, chunking):
    """Its transaction is open yet, after the end of data: RFC 5321 4.1.1.4 has it over. The next message must not be refused for that."""
    sink.behave = Behaviour(end_reply=refusal, leaves_open=True, extensions=Behaviour().extensions + ("CHUNKING",) * chunking)
    with node.smtp() as connection:  # one session, and so one worker, which has one connection
        connection.sendmail("joe@outside.test", ["carol@relayed.test"], make_message("first", to="carol@relayed.test"))
        wait_events(node, "bounced", "deferred")
        sink.behave.end_reply = "250 2.0.0 stored"
        connection.sendmail("joe@outside.test", ["dave@relayed.test"], make_message("second", to="dave@relayed.test"))
    wait_empty(node)
    assert sink.connections == 1 or refusal.startswith("4"), "over the same connection"
    assert sorted(subjects(sink)) == (["second"] if refusal.startswith("5") else ["first", "second"])


def test_out_of_step_is_no_refusal(node, sink):
    """503 to MAIL is about the session."""
    sink.behave = Behaviour(mail_reply="503 5.5.1 Error: nested MAIL command")
    send(node, "carol@relayed.test")
    wait_events(node, "deferred")
    sink.behave.mail_reply = "250 2.1.0 Ok"
    wait_empty(node)
    assert subjects(sink) == ["hello"]


def test_no_bounce_for_a_bounce(node, sink):
    sink.behave = Behaviour(end_reply="554 5.7.1 no")
    send(node, "carol@relayed.test", sender="")
    wait_events(node, "bounced")
    wait_empty(node)
    assert bounces(node) == []
    assert int(ask(node, "select count(*) from message")) == 1


def test_bounce_goes_outside_by_the_default_route(new_posthouse, sink, outside):
    node = set_up(new_posthouse(default_route=outside.port), sink)
    sink.behave = Behaviour(end_reply="554 5.7.1 no")
    outside.clear()
    send(node, "carol@relayed.test", sender="joe@outside.test")
    wait_until(lambda: outside.messages, "the bounce arrives")
    (message,) = outside.messages
    assert message.sender == "" and message.recipients == ["joe@outside.test"]
    assert email.message_from_bytes(message.data).get_content_type() == "multipart/report"
    wait_empty(node)


def test_message_over_the_size_limit_is_refused_without_sending(node, sink):
    sink.behave = Behaviour(extensions=("SIZE 500",))
    send(node, "carol@relayed.test", body="x" * 70 + "\n" + "y" * 500 + "\n")
    wait_until(lambda: bounces(node), "the bounce arrives")
    assert "5.3.4" in str(bounces(node)[0])
    assert sink.messages == []


# ------------------------------------------------------------------ put off


@pytest.mark.parametrize("behave", [
    Behaviour(mail_reply="451 4.3.0 later"), Behaviour(data_reply="451 4.3.0 later"), Behaviour(end_reply="451 4.3.0 later"),
    Behaviour(recipient_replies={"carol@relayed.test": "450 4.2.0 greylisted"}),
    Behaviour(recipient_replies={"carol@relayed.test": "552 too many"}),
], ids=["mail", "data", "end", "rcpt", "552"])
def test_put_off_and_delivered_later_once(node, sink, behave):
    sink.behave = behave
    send(node, "carol@relayed.test")
    wait_events(node, "deferred")
    assert queue_length(node) == 1
    assert ask(node, "select count(*) from outage") == "0", "a server that answers is not away"
    sink.behave = Behaviour()
    wait_until(lambda: sink.messages, "the message arrives")
    wait_empty(node)
    assert len(sink.messages) == 1
    assert bounces(node) == []


def test_what_a_refusal_is_about(node, sink):
    """The class is kept with the event, and counted."""
    said = {"full": "452 4.2.2 over quota", "greylist": "451 4.7.1 Greylisting in action, please come back in 00:05:00",
            "block-list": "554 5.7.1 blocked using zen.spamhaus.org", "unknown-user": "550 5.1.1 no such user"}
    sink.behave = Behaviour(recipient_replies={f"{word}@relayed.test": reply for word, reply in said.items()})
    send(node, "ok@relayed.test", *(f"{word}@relayed.test" for word in said))
    wait_until(lambda: ask(node, "select count(*) from event where kind in ('delivered', 'deferred', 'bounced')") == "5", "all are told")
    number = node.api.get("/v1/queue")["items"][0]["message"]
    told = {event["recipient"].split("@")[0]: (event["kind"], event["class"], event["detail"])
            for event in node.api.get(f"/v1/messages/{number}/events")["items"]
            if event["kind"] in ("delivered", "deferred", "bounced")}
    assert told.pop("ok")[:2] == ("delivered", None)
    assert told == {word: ("deferred" if reply[0] == "4" else "bounced", word, reply) for word, reply in said.items()}
    for family, word in (("deferrals", "greylist"), ("bounces", "block-list")):
        wait_until(lambda: f'posthouse_{family}_total{{class="{word}"}} 1' in node.api.request("GET", "/metrics")[2], "it is counted")


def test_one_recipient_put_off_does_not_hold_the_other(node, sink):
    sink.behave = Behaviour(recipient_replies={"dave@relayed.test": "450 4.2.2 mailbox full"})
    send(node, "carol@relayed.test", "dave@relayed.test")
    wait_until(lambda: sink.messages, "carol's arrives")
    assert sink.messages[0].recipients == ["carol@relayed.test"]
    sink.behave = Behaviour()
    wait_until(lambda: len(sink.messages) == 2, "dave's arrives")
    assert sink.messages[1].recipients == ["dave@relayed.test"]
    wait_empty(node)


@pytest.mark.parametrize("place", ["banner", "mail", "rcpt", "data", "body"])
def test_cut_connection_loses_nothing(node, sink, place):
    sink.behave = Behaviour(cut_at=place)
    send(node, "carol@relayed.test")
    wait_events(node, "deferred", "uncertain")
    sink.behave = Behaviour()
    wait_until(lambda: sink.messages, "the message arrives")
    wait_empty(node)
    assert len(sink.messages) == 1


def test_cut_after_the_final_dot_is_sent_again(node, sink):
    """The one place where a message may be at the next hop twice."""
    sink.behave = Behaviour(cut_at="end", store=True)
    send(node, "carol@relayed.test")
    wait_events(node, "uncertain")
    sink.behave = Behaviour()
    wait_empty(node)
    assert len(sink.messages) >= 2
    assert {message.data for message in sink.messages} == {sink.messages[0].data}


def test_hop_that_answers_nonsense_is_away(node, sink):
    sink.behave = Behaviour(banner="HTTP/1.1 400 Bad Request")
    send(node, "carol@relayed.test")
    wait_events(node, "deferred")
    sink.behave = Behaviour()
    wait_empty(node)
    assert len(sink.messages) == 1


# ------------------------------------------------------------------ lifetime


def test_bounce_after_the_lifetime(new_posthouse, sink):
    sink.stop()
    node = set_up(new_posthouse(settings={"smtp.queue_lifetime": "2s"}), sink)
    send(node, "carol@relayed.test", subject="too late")
    wait_until(lambda: bounces(node), "the bounce arrives")
    wait_empty(node)
    (report,) = bounces(node)
    _, status, header = report.iter_parts()
    assert status.get_payload()[1]["Status"] == "4.4.7"
    assert status.get_payload()[1]["Diagnostic-Code"].startswith("x-posthouse; ")  # nobody answered: test_notices.py
    assert "too late" in header.get_payload(decode=True).decode()


# ------------------------------------------------------------------ several hops, several workers


def test_second_hop_takes_what_the_first_cannot(new_posthouse, sink):
    with Sink() as second:
        sink.stop()
        node = set_up(new_posthouse(), sink, second)
        for number in range(3):
            send(node, "carol@relayed.test", subject=f"number {number}")
        wait_empty(node)
        assert sorted(subjects(second)) == ["number 0", "number 1", "number 2"]
        assert ask(node, "select count(*) from outage") == "0", "a domain that is served has no outage"


def test_second_hop_takes_over_in_mid_transaction(new_posthouse, sink):
    with Sink() as second:
        sink.behave = Behaviour(cut_at="data")
        node = set_up(new_posthouse(), sink, second)
        send(node, "carol@relayed.test")
        wait_empty(node)
        assert len(second.messages) == 1 and sink.messages == []


def test_orderly_stop_gives_mail_back(new_posthouse, sink):
    sink.behave = Behaviour(silent_at="mail")
    node = set_up(new_posthouse(settings={"daemon.drain_limit": "20s"}), sink)
    for number in range(5):
        send(node, "carol@relayed.test", subject=f"number {number}")
    node.stop()
    sink.behave = Behaviour()
    sink.hold.set()
    node.start()
    wait_until(lambda: len(set(subjects(sink))) == 5, "all arrive", timeout=90)
    wait_empty(node)
    assert sorted(subjects(sink)) == [f"number {number}" for number in range(5)]


@pytest.mark.faults
@pytest.mark.parametrize("how_often", [1, 2])
def test_claim_whose_answer_is_lost(new_posthouse, own_postgres, sink, how_often):
    """What it leased is asked for again, and is not left until the lease runs out."""
    faulty = FaultyPostgres(own_postgres)
    try:
        node = set_up(new_posthouse(postgres=faulty, settings={"daemon.workers": 1}), sink)
        sink.behave.recipient_replies = {"carol@relayed.test": "450 4.2.1 later"}
        send(node, "carol@relayed.test")
        wait_until(lambda: ask(node, "select count(*) from queue_entry where worker is null") == "1", "it waits")
        fault = faulty.arm("queue_claim_write", "lost")
        sink.behave.recipient_replies = {}
        wait_until(lambda: fault.struck, "it is claimed")
        if how_often == 2:
            again = faulty.arm("queue_claim_again", "lost")
            wait_until(lambda: again.struck, "it is claimed again")
        wait_until(lambda: subjects(sink) == ["hello"], "it is delivered")
        wait_empty(node)
        assert "took back what another worker left" not in node.log()
        node.stop()
    finally:
        faulty.close()


def test_outcome_that_cannot_be_recorded_stops_no_other(node, sink):
    """What became of the mail is recorded without the event that the database refuses."""
    node.query("alter table event add constraint poison"
               " check (kind <> 'delivered' or recipient not like 'bad@%') not valid")
    send(node, "bad@relayed.test", subject="bad")
    wait_until(lambda: subjects(sink) == ["bad"], "the first is delivered")
    send(node, "good@relayed.test", subject="good")
    wait_empty(node)
    assert subjects(sink) == ["bad", "good"]
    assert node.query("select recipient from event where kind = 'delivered'") == [["good@relayed.test"]]


@pytest.mark.slow
def test_nothing_is_sent_on_a_lease_that_another_took_over(new_posthouse, sink):
    """As after a minute without the database: a renewal that finds the entry in other hands does not renew it."""
    sink.behave = Behaviour(silent_at="mail")
    node = set_up(new_posthouse(settings={"daemon.workers": 1}), sink)
    for subject in ("lost", "kept"):
        send(node, "carol@relayed.test", subject=subject)
    lost, kept = (entry for (entry,) in node.query("select id from queue_entry order by id"))
    node.query(f"update queue_entry set worker = 1000, lease_until = now() + interval '1 hour' where id = {lost}")
    lease = f"select lease_until from queue_entry where id = {kept}"
    before = ask(node, lease)
    wait_until(lambda: ask(node, lease) > before, "the leases are renewed", timeout=60)
    sink.behave = Behaviour()
    sink.hold.set()
    wait_until(lambda: "kept" in subjects(sink), "what is still ours is sent")
    wait_equal(lambda: ask(node, "select string_agg(id::text, ' ') from queue_entry"), lost, "the other one stays")
    node.stop()
    assert subjects(sink) == ["kept"]


@pytest.mark.slow
def test_killed_worker_is_taken_over(node, sink):
    sink.behave = Behaviour(silent_at="mail")
    for number in range(5):
        send(node, "carol@relayed.test", subject=f"number {number}")
    workers = {int(pid) for (pid,) in node.query("select pid from worker where delivers")}
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in workers), "the workers end")
    sink.behave = Behaviour()
    sink.hold.set()
    # Their successors free what they held; `delivers` would stay true where a lease merely ran out.
    listed = ", ".join(str(pid) for pid in workers)
    wait_equal(lambda: node.query(f"select count(*) from worker where delivers and pid in ({listed})"), [["0"]],
               "their successors know that they are dead")
    wait_until(lambda: len(set(subjects(sink))) == 5, "all arrive", timeout=120)
    wait_empty(node)
    assert sorted(subjects(sink)) == [f"number {number}" for number in range(5)]
