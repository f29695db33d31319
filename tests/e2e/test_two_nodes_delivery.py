"""Two nodes deliver from one database: the mail of one that is killed is taken over by the other, and nobody takes a living one's."""
import collections
import os
import signal
import smtplib

import pytest

from harness.posthouse import make_message, subject_of
from harness.process import alive, wait_equal, wait_until

pytestmark = pytest.mark.slow

LEASE = 60  # QUEUE_LEASE_MS


def leases(node, numbers):
    """The leases of entries that these workers have: entry -> until."""
    listed = ",".join(map(str, numbers)) or "-1"
    return {row[0]: row[1] for row in node.query(f"select id, extract(epoch from lease_until) from queue_entry where worker in ({listed})")}


def numbers(node):
    return [int(number) for (number,) in node.query(f"select number from worker where node = '{node.hostname}' and lease_until > now()")]


def kill_all(node):
    """As when its power fails: nobody of it sees the end of the others."""
    pids = [node.process.pid, *node.family()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    node.process.wait()
    node.process = None
    wait_until(lambda: not any(alive(pid) for pid in pids), "all of it is gone")


def pair(new_posthouse, postgres, sink):
    """Two on one database, and a relay domain."""
    nodes = [new_posthouse(settings={"daemon.hostname": f"node{number}.test", "delivery.data_timeout": "5m"}) for number in range(2)]
    nodes[1].database = nodes[0].database
    nodes[1].write_config(database__conninfo=postgres.conninfo(nodes[0].database))
    nodes[0].start()
    nodes[1].start()
    for number, node in enumerate(nodes):
        node.hostname = f"node{number}.test"
    nodes[1].token = nodes[0].token
    nodes[1].api.customer("pair")
    nodes[1].api.relay_domain("pair.test", "pair", sink.port)
    return nodes


def subjects(sink):
    return [subject_of(message.data) for message in sink.messages]


def sends(node, name):
    try:
        node.send("client@outside.test", "ann@pair.test", make_message(name))
        return True
    except (OSError, smtplib.SMTPException):
        return False


def test_a_killed_nodes_mail_is_taken_over_and_a_living_ones_is_not(new_posthouse, postgres, sink):
    dead, living = nodes = pair(new_posthouse, postgres, sink)
    sink.behave.silent_at = "end"  # each has some behind the final dot, and more in memory
    names = {node: [f"{node.hostname} {count}" for count in range(30)] for node in nodes}
    for node in nodes:
        for name in names[node]:
            node.send("client@outside.test", "ann@pair.test", make_message(name))
    wait_equal(lambda: living.query("select count(*) from queue_entry where worker is null"), [["0"]], "all are in somebody's memory")
    wait_until(lambda: len(sink.messages) >= 2, "some are at the final dot")
    before = leases(living, numbers(living))
    of_the_dead = numbers(dead)
    assert len(before) == 30 and of_the_dead

    kill_all(dead)
    wait_until(lambda: min(float(leases(living, numbers(living))[entry]) - float(until) for entry, until in before.items()) > 1,
               "the living renews its leases", timeout=LEASE)
    assert set(leases(living, of_the_dead)), "the dead one's are not taken before they end"
    sink.hold.set()
    wait_until(lambda: set(names[living]) <= set(subjects(sink)), "the living delivers its own")
    wait_equal(lambda: living.query("select count(*) from queue_entry"), [["0"]], "the rest is taken over within the lease",
               timeout=LEASE + 30)
    copies = collections.Counter(subjects(sink))
    assert set(copies) == {name for each in names.values() for name in each}
    assert all(copies[name] == 1 for name in names[living]), "nobody took a living one's"
    assert all(copies[name] <= 2 for name in names[dead])


def test_a_node_that_was_stopped_sends_nothing_that_is_not_its_own_any_more(new_posthouse, postgres, sink):
    """Longer than its leases: the other has its mail by then. It goes on, and what it held is not sent twice."""
    stopped, living = pair(new_posthouse, postgres, sink)
    sink.behave.silent_at = "mail"  # nothing is behind the final dot
    names = {node: [f"{node.hostname} {count}" for count in range(20)] for node in (stopped, living)}
    for node in (stopped, living):
        for name in names[node]:
            node.send("client@outside.test", "ann@pair.test", make_message(name))
    wait_equal(lambda: living.query("select count(*) from queue_entry where worker is null"), [["0"]], "all are in somebody's memory")
    wait_until(lambda: sink.connections >= 2, "both have connections")

    pids = [stopped.process.pid, *stopped.family()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        sink.behave.silent_at = ""
        sink.hold.set()
        wait_equal(lambda: living.query("select count(*) from queue_entry"), [["0"]], "its mail is taken over", timeout=LEASE + 60)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: sends(stopped, "afterwards"), "it takes mail again", timeout=LEASE)
    wait_until(lambda: "afterwards" in subjects(sink), "and delivers it", timeout=LEASE)
    copies = collections.Counter(subjects(sink))
    assert set(copies) == {"afterwards", *names[stopped], *names[living]}
    assert max(copies.values()) == 1, copies
