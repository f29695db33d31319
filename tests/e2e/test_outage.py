"""A relay domain's primary goes away and comes back: held, readable, delivered once and in order.

The story with Postfix as primary is in test_held_mail.py; here are its corners.
"""
import email
import os
import signal
import threading

import pytest

from harness.posthouse import make_message
from harness.process import alive, wait_until
from harness.sink import Behaviour

CAROL = "carol@relayed.test"


@pytest.fixture
def node(new_posthouse, sink):
    return set_up(new_posthouse(settings={"delivery.probe_interval": "300ms"}), sink)


def set_up(posthouse, sink):
    posthouse.start()
    posthouse.api.customer("outage")
    posthouse.api.relay_domain("relayed.test", "outage", sink.port)
    posthouse.api.account(CAROL, "outage")
    return posthouse


def ask(node, sql):
    ((value,),) = node.query(sql)
    return value


def open_outages(node):
    return int(ask(node, "select count(*) from outage where ended_at is null"))


def all_outages(node):
    return int(ask(node, "select count(*) from outage"))


def send(node, *subjects, to=CAROL, body="Hello.\n"):
    with node.smtp() as connection:
        for subject in subjects:
            connection.sendmail("joe@outside.test", [to], make_message(subject, to=to, body=body))


def delivered(sink):
    return [email.message_from_bytes(message.data)["Subject"] for message in sink.messages]


def held(node):
    with node.pop3(CAROL) as connection:
        return [email.message_from_bytes(b"\r\n".join(connection.retr(number + 1)[1]))["Subject"]
                for number in range(connection.stat()[0])]


def numbers(count, start=0):
    return [f"number {number:03d}" for number in range(start, start + count)]


def wait_closed(node):
    wait_until(lambda: all_outages(node) > 0 and open_outages(node) == 0, "the outage closes", timeout=40)


# How a primary can be away; each is set, and later taken back.
WAYS = {
    "refused": None,
    "421-greeting": Behaviour(banner="421 4.3.2 closing"),
    "554-greeting": Behaviour(banner="554 5.3.2 no service here"),
    "cut-greeting": Behaviour(cut_at="banner"),
    "421-mail": Behaviour(mail_reply="421 4.3.2 shutting down"),
    "421-data": Behaviour(data_reply="421 4.3.2 shutting down"),
    "421-end": Behaviour(end_reply="421 4.3.2 shutting down"),
    "421-rcpt": Behaviour(recipient_replies={CAROL: "421 4.3.2 shutting down"}),
    "cut-mail": Behaviour(cut_at="mail"),
    "cut-rcpt": Behaviour(cut_at="rcpt"),
    "cut-data": Behaviour(cut_at="data"),
    "cut-body": Behaviour(cut_at="body"),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_of_being_away(node, sink, way):
    if WAYS[way] is None:
        sink.stop()
    else:
        sink.behave = WAYS[way]
    # Long, so that the final dot is not on its way already when the body is cut off.
    send(node, "hello", body="a line of a long message\n" * (100000 if way == "cut-body" else 1))
    wait_until(lambda: held(node) == ["hello"], "the message is readable")
    assert all_outages(node) == 1
    if WAYS[way] is None:
        sink.start()
    sink.behave = Behaviour()
    wait_closed(node)
    # What was cut may have been put off by itself, and then comes a little after the outage has closed.
    wait_until(lambda: sink.messages, "it is delivered")
    wait_until(lambda: ask(node, "select count(*) from queue_entry") == "0", "that is recorded")
    assert delivered(sink) == ["hello"]
    assert all_outages(node) == 1, "one outage, not many"
    assert held(node) == ["hello"], "the copy stays"


def test_drain_is_in_order_and_once(node, sink):
    sink.stop()
    send(node, *numbers(1))
    wait_until(lambda: held(node) == numbers(1), "the first is readable")
    send(node, *numbers(149, 1))
    wait_until(lambda: sorted(held(node)) == numbers(150), "all are readable")
    sink.start()
    wait_closed(node)
    assert delivered(sink) == numbers(150)
    assert ask(node, "select count(*) from queue_entry") == "0"
    send(node, "after")
    wait_until(lambda: delivered(sink)[-1] == "after", "mail flows again")
    assert held(node) == sorted(held(node)) and "after" not in held(node)


def test_421_to_mail_for_long_keeps_the_order(node, sink):
    """Each probe finds a server that greets and then takes nothing; no message is put off by itself for that."""
    sink.behave = Behaviour(mail_reply="421 4.3.2 shutting down")
    send(node, *numbers(5))
    before = sink.connections
    wait_until(lambda: sink.connections >= before + 30, "it was tried many times", timeout=60)
    sink.behave = Behaviour()
    wait_closed(node)
    assert delivered(sink) == numbers(5)
    assert ask(node, "select count(*) from queue_entry") == "0"
    assert all_outages(node) == 1


def test_mail_that_never_pauses_does_not_keep_the_outage_open(node, sink):
    """While there is an outage new mail goes through the queue, which on a busy domain is never empty."""
    sink.stop()
    send(node, *numbers(5))
    wait_until(lambda: sorted(held(node)) == numbers(5), "all are readable")
    sent, over = [], threading.Event()

    def keep_sending():
        """Some mail is always on its way, but no more comes than the primary can take."""
        while not over.is_set():
            if 5 + len(sent) - len(delivered(sink)) > 50:
                over.wait(0.01)
                continue
            subjects = numbers(10, 100 + len(sent))
            send(node, *subjects)
            sent.extend(subjects)

    stream = threading.Thread(target=keep_sending)
    stream.start()
    try:
        sink.start()
        wait_closed(node)
    finally:
        over.set()
        stream.join()
    wait_until(lambda: ask(node, "select count(*) from queue_entry") == "0", "all is delivered")
    assert sorted(delivered(sink)) == sorted(numbers(5) + sent), "once each"
    assert delivered(sink)[:5] == numbers(5)


def test_mail_whose_rcpt_saw_the_outage_and_whose_end_did_not(node, sink):
    """Nothing else waits for the primary any more; it goes out all the same, without waiting for maintenance."""
    sink.stop()
    send(node, "first")
    wait_until(lambda: open_outages(node) == 1, "the outage is open")
    with node.smtp() as connection:
        connection.ehlo()
        connection.mail("joe@outside.test")
        assert connection.rcpt(CAROL)[0] == 250
        sink.start()
        wait_closed(node)
        wait_until(lambda: ask(node, "select count(*) from destination where due_at < 'infinity'") == "0", "all is at rest")
        assert connection.data(make_message("late", to=CAROL))[0] == 250
    wait_until(lambda: delivered(sink) == ["first", "late"], "both are at the primary", timeout=20)


def test_primary_that_goes_away_again_while_it_is_drained(node, sink):
    sink.stop()
    send(node, *numbers(60))
    wait_until(lambda: sorted(held(node)) == numbers(60), "all are readable")
    sink.start()
    wait_until(lambda: len(sink.messages) >= 10, "it is being drained")
    sink.stop()
    send(node, "late")
    wait_until(lambda: "late" in held(node), "mail is still held")
    assert all_outages(node) == 1, "the same outage"
    sink.start()
    wait_closed(node)
    assert sorted(set(delivered(sink))) == sorted(numbers(60) + ["late"])
    # The stop may fall between a final dot and its reply.
    assert len(delivered(sink)) <= 62
    assert all_outages(node) == 1


def test_deleting_the_copy_does_not_stop_delivery(node, sink):
    sink.stop()
    send(node, "hello")
    wait_until(lambda: held(node) == ["hello"], "the message is readable")
    with node.pop3(CAROL) as connection:
        connection.dele(1)
    assert held(node) == []
    sink.start()
    wait_closed(node)
    assert delivered(sink) == ["hello"]


def test_mail_for_others_flows_meanwhile(node, sink):
    sink.stop()
    send(node, "hello")
    wait_until(lambda: held(node) == ["hello"], "the message is readable")
    node.api.hosted_domain("hosted.test", "outage")
    node.api.account("ann@hosted.test", "outage")
    send(node, "local", to="ann@hosted.test")
    with node.pop3("ann@hosted.test") as connection:
        assert connection.stat()[0] == 1
    assert open_outages(node) == 1


def test_address_without_account_is_held_and_delivered(node, sink):
    """Nobody can read it here, but it is not lost."""
    sink.stop()
    send(node, "hello", to="nobody@relayed.test")
    wait_until(lambda: open_outages(node) == 1, "the outage opens")
    sink.start()
    wait_closed(node)
    assert delivered(sink) == ["hello"]


def test_domain_without_next_hop_is_held(node, sink):
    node.query("delete from next_hop")
    send(node, "hello")
    wait_until(lambda: held(node) == ["hello"], "the message is readable")
    node.api.patch("/v1/domains/relayed.test", {"next_hops": [{"host": "127.0.0.1", "port": sink.port, "priority": 10}]})
    wait_closed(node)
    assert delivered(sink) == ["hello"]


def expired(node):
    return sorted(recipient for (recipient,) in node.query("select recipient from event where kind = 'bounced' and detail = 'delivery time expired'"))


def test_what_is_readable_outlives_its_lifetime(new_posthouse, sink):
    """Its reader has it: it must not come back to its sender.  What nobody can read does."""
    node = set_up(new_posthouse(settings={"delivery.probe_interval": "300ms", "smtp.queue_lifetime": "3s"}), sink)
    sink.stop()
    send(node, "readable")
    send(node, "unread", to="nobody@relayed.test")
    wait_until(lambda: expired(node), "the other one is over", timeout=30)
    assert expired(node) == ["nobody@relayed.test"]
    assert held(node) == ["readable"]
    assert ask(node, "select bool_and(expires_at > now() + interval '1 hour') from queue_entry") == "t"
    sink.start()
    wait_closed(node)
    assert delivered(sink) == ["readable"]


def test_a_planned_absence_outlives_a_lifetime(new_posthouse, sink):
    """A maintenance window may last 30 days, a lifetime is 5: nothing is returned before it is over, whoever can read it."""
    node = set_up(new_posthouse(settings={"delivery.probe_interval": "300ms", "smtp.queue_lifetime": "3s"}), sink)
    node.api.relay_domain("dead.test", "outage", 1)
    node.api.put("/v1/domains/relayed.test/health", {"force": "down", "reason": "it is moved"})
    wait_until(lambda: open_outages(node), "the outage is open")
    send(node, "readable")
    send(node, "unread", to="nobody@relayed.test")
    send(node, "unread", to="nobody@dead.test")
    wait_until(lambda: expired(node), "what nobody has planned is over", timeout=30)
    node.api.put("/v1/domains/relayed.test/health", {"force": "none"})
    wait_until(lambda: len(sink.messages) == 2, "all of it is delivered", timeout=30)
    assert expired(node) == ["nobody@dead.test"]


def test_refused_recipient_while_draining_bounces(node, sink):
    sink.stop()
    send(node, *numbers(3))
    send(node, "bad", to="bad@relayed.test")
    send(node, *numbers(3, 3))
    wait_until(lambda: sorted(held(node)) == numbers(6), "all are readable")
    sink.behave = Behaviour(recipient_replies={"bad@relayed.test": "550 5.1.1 no such user"})
    sink.start()
    wait_closed(node)
    assert delivered(sink) == numbers(6)
    assert ask(node, "select count(*) from event where kind = 'bounced' and recipient = 'bad@relayed.test'") == "1"


@pytest.mark.slow
def test_outage_outlives_the_workers_that_ran_it(node, sink):
    """kill -9 of all workers in an outage: their successors show, probe, drain and close."""
    sink.stop()
    send(node, *numbers(5))
    wait_until(lambda: sorted(held(node)) == numbers(5), "all are readable")
    workers = {int(pid) for (pid,) in node.query("select pid from worker where delivers")}
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in workers), "the workers end")
    wait_until(lambda: (send(node, "late"), True)[1], "a new worker accepts mail")
    wait_until(lambda: "late" in held(node), "it is readable", timeout=60)
    sink.start()
    wait_until(lambda: open_outages(node) == 0, "the outage closes", timeout=120)
    assert sorted(delivered(sink)) == sorted(numbers(5) + ["late"])


def test_what_a_dead_node_has_is_part_of_the_outage(node, sink):
    """It waits until the lease is over, and so do the end and its report."""
    sink.stop()
    send(node, *numbers(3))
    wait_until(lambda: held(node) == numbers(3), "all are readable")
    wait_until(lambda: ask(node, "select count(*) from queue_entry where worker is null") == "3", "all wait")
    node.query("update queue_entry set worker = 1000, lease_until = now() + interval '6 seconds' where id = (select max(id) from queue_entry)")
    sink.start()
    wait_until(lambda: delivered(sink) == numbers(2), "those that nobody has are delivered")
    wait_closed(node)
    assert delivered(sink) == numbers(3)
    ((over,),) = [[each] for each in node.api.get("/v1/outages")["items"]]
    wait_until(lambda: node.api.get(f"/v1/outages/{over['id']}")["counted_at"], "its report is there")
    over = node.api.get(f"/v1/outages/{over['id']}")
    assert [over[name] for name in ("held", "drained", "remaining", "lost")] == [3, 3, 0, 0]


def test_two_addresses_of_one_account_are_one_copy_to_read(node, sink):
    """Both when the outage was known at RCPT and when the mail waited before it began; the primary gets both recipients."""
    node.api.patch(f"/v1/accounts/{CAROL}", {"aliases": ["karo@relayed.test"]})
    both = [CAROL, "karo@relayed.test"]
    sink.stop()
    for subject in ("before", "during"):
        with node.smtp() as connection:
            connection.sendmail("joe@outside.test", both, make_message(subject, to=CAROL))
        wait_until(lambda subject=subject: subject in held(node), "it is readable")
    assert ask(node, "select count(*) from queue_entry where shown") == "4"
    assert sorted(held(node)) == ["before", "during"]
    sink.start()
    wait_closed(node)
    assert sorted(recipient for message in sink.messages for recipient in message.recipients) == sorted(both * 2)
