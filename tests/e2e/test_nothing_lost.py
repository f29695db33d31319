"""Nothing that was answered with 250 is lost, and nothing is there twice, whatever is killed while it is on its way.

Four clients send without pause to a mailbox and to a relay domain. In rounds a worker, PostgreSQL and the master are killed
with SIGKILL, each after a number of messages was acknowledged, not after a time. At the end every message with a
250 is in the mailbox, once, or at the primary. There it may be twice only if the connection that brought the first copy broke
before the relay had the primary's reply, or the whole node was killed with it; no delivery is recorded twice.
"""
import collections
import itertools
import os
import signal
import smtplib
import threading

import pytest

from harness.posthouse import make_message, subject_of
from harness.sink import Behaviour
from harness.process import wait_equal, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.faults]

BETWEEN = 40  # messages acknowledged before each blow and after each recovery
MAILBOX = "kept@lost.test"
RELAYED = "kept@primary.lost.test"
LINE = "x" * 70 + "\n"
_numbers = itertools.count(1)


class Client(threading.Thread):
    """Sends to both recipients in turn; each message once, whatever the answer."""

    def __init__(self, node, acknowledged, stop):
        super().__init__(daemon=True)
        self.node, self.acknowledged, self.stop = node, acknowledged, stop

    def run(self):
        connection = None
        while not self.stop.is_set():
            number = next(_numbers)
            recipient = RELAYED if number % 2 else MAILBOX
            try:
                if connection is None:
                    connection = self.node.smtp(timeout=20)
                connection.sendmail("client@outside.test", [recipient],
                                    make_message(f"n{number}", to=recipient, body=LINE * (number * 13 % 90)))
                self.acknowledged[recipient].append(f"n{number}")
            except (OSError, smtplib.SMTPException):
                if connection is not None:
                    connection.close()
                connection = None
                self.stop.wait(0.05)
        if connection is not None:
            connection.close()


def test_nothing_is_lost(new_posthouse, own_postgres, sink):
    node = new_posthouse(postgres=own_postgres).start()
    node.api.customer("lost")
    node.api.hosted_domain("lost.test", "lost")
    node.api.relay_domain("primary.lost.test", "lost", sink.port)
    node.api.account(MAILBOX, "lost")
    node.api.account(RELAYED, "lost")

    acknowledged = {MAILBOX: [], RELAYED: []}
    stop = threading.Event()
    clients = [Client(node, acknowledged, stop) for _ in range(4)]

    def count():
        return sum(len(found) for found in acknowledged.values())

    def progress(what):
        target = count() + BETWEEN
        wait_until(lambda: count() >= target, what, timeout=90)

    for client in clients:
        client.start()
    try:
        for blow in ("worker", "postgres", "master", "worker", "master", "postgres", "worker and postgres"):
            progress(f"messages are taken before the blow to the {blow}")
            if "worker" in blow:
                os.kill(node.family()[-1], signal.SIGKILL)
            if "postgres" in blow:
                own_postgres.kill()
                own_postgres.start()
            if blow == "master":
                node.kill()
                node.start()
            progress(f"messages are taken after the blow to the {blow}")
    finally:
        stop.set()
        for client in clients:
            client.join()

    # A dead worker's queue entries are taken over when their lease has run out.
    wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "the queue is empty", timeout=180)
    in_mailbox = collections.Counter(node.subjects(MAILBOX))
    at_primary = collections.defaultdict(list)
    for message in sink.messages:
        at_primary[subject_of(message.data)].append(message)

    assert [name for name in acknowledged[MAILBOX] if not in_mailbox[name]] == [], "lost on the way to the mailbox"
    assert [name for name in acknowledged[RELAYED] if name not in at_primary] == [], "lost on the way to the primary"
    assert [name for name, times in in_mailbox.items() if times > 1] == [], "twice in the mailbox"
    unexcused = [name for name, copies in at_primary.items() if any(copy.session.ended_well for copy in copies[:-1])]
    assert unexcused == [], "twice at the primary although the connection that brought it ended well"
    recorded = node.query("select message_id, recipient, count(*) from event where kind = 'delivered' group by 1, 2"
                          " having count(*) > 1")
    assert recorded == [], "a delivery was recorded, and made again"
    assert count() > 10 * BETWEEN


def test_next_hop_breaks_after_the_final_dot(new_posthouse, sink):
    """It stored the message and died before its reply: it gets the message again, since losing it would be worse."""
    node = new_posthouse().start()
    node.api.customer("cut")
    node.api.relay_domain("cut.test", "cut", sink.port)
    node.api.account("lea@cut.test", "cut")
    sink.behave.cut_at = "end"
    node.send("client@outside.test", "lea@cut.test", make_message("cut"))
    wait_until(lambda: len(sink.messages) >= 1, "it is at the primary")
    sink.behave.cut_at = ""
    wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "the queue is empty", timeout=90)
    assert len(sink.messages) >= 2
    wait_until(lambda: sink.messages[-1].confirmed, "the relay goes on after the reply")
    assert {subject_of(message.data) for message in sink.messages} == {"cut"}


def test_killed_before_it_could_read_the_reply(new_posthouse, sink):
    """The primary has it and has not said so: it comes twice, and is told as uncertain for whom it was accepted, and for nobody else."""
    node = new_posthouse(settings={"daemon.workers": 1, "delivery.retry_first": "1h", "delivery.retry_max": "1h"}).start()
    node.api.customer("doubt")
    node.api.relay_domain("doubt.test", "doubt", sink.port)
    sink.behave = Behaviour(silent_at="end", recipient_replies={"full@doubt.test": "452 4.2.2 full"})
    node.send("client@outside.test", ["lea@doubt.test", "full@doubt.test", "max@doubt.test"], make_message("doubt"))
    wait_until(lambda: sink.messages, "the primary has it, and does not say so yet")
    worker, = (int(pid) for (pid,) in node.query("select pid from worker where delivers"))
    sink.behave = Behaviour(recipient_replies={"full@doubt.test": "452 4.2.2 full"})
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(sink.messages) >= 2, "it comes again", timeout=60)
    sink.hold.set()
    assert [sorted(message.recipients) for message in sink.messages] == [["lea@doubt.test", "max@doubt.test"]] * 2
    told = "select recipient, class from event where kind = 'uncertain' and detail like 'the worker ended%' order by 1"
    assert node.query(told) == [["lea@doubt.test", "connection"], ["max@doubt.test", "connection"]]
    wait_equal(lambda: [(e["recipient"], e["uncertain_at"]) for e in node.api.get("/v1/queue")["items"] if e["attempts"]],
               [("full@doubt.test", None)], "one waits")


def test_killed_before_it_could_record_a_delivery(new_posthouse, sink):
    """The primary has said 250 and the database is stuck: the successor of the killed worker knows it all the same."""
    node = new_posthouse().start()
    node.api.customer("heir")
    node.api.relay_domain("heir.test", "heir", sink.port)
    node.api.account("lea@heir.test", "heir")
    sink.behave.end_reply = "250 2.0.0 stored as 4711"
    sink.behave.silent_at = "end"
    names = [f"h{number}" for number in range(20)]
    for name in names:
        node.send("client@outside.test", "lea@heir.test", make_message(name))
    wait_until(lambda: sink.messages, "the primary has one, and does not say so yet")
    workers = [int(pid) for (pid,) in node.query("select pid from worker where delivers")]
    backends = node.query("select pid from pg_stat_activity where datname = current_database()"
                          " and pid <> pg_backend_pid()")
    with node.locked("queue_entry"):
        sink.hold.set()
        wait_until(lambda: node.log().count("msg=delivered") == len(names), "all are delivered")
        assert node.query("select count(*) from event where kind = 'delivered'") == [["0"]]
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        # what the dead sent with their last breath would still be carried out when the lock goes
        wait_until(lambda: not set(workers) & set(node.family()), "they are gone")
        node.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
                   f" and pid in ({','.join(pid for (pid,) in backends)}) and wait_event_type = 'Lock'")
    wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "the queue is empty")
    assert sorted(subject_of(message.data) for message in sink.messages) == sorted(names)
    assert node.query("select detail, count(*) from event where kind = 'delivered' group by 1") == [
        ["250 2.0.0 stored as 4711", str(len(names))]]
    assert "recorded what a dead worker had delivered" in node.log()
