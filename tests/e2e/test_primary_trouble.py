"""A drain into a real primary that dies, is slow, refuses with 421 and 4xx, or is cut off: everything arrives, once, in order, and paced.

The primary is Postfix delivering into Dovecot, one for all tests of the file; each test has readers of its own. What makes it
difficult is a policy service that Postfix asks, and a gate in front of it (harness/trouble.py).
"""
import collections
import contextlib
import itertools

import pytest

from harness.dovecot import MASTER, MASTER_PASSWORD, Dovecot
from harness.dovecot import unavailable as dovecot_unavailable
from harness.postfix import Postfix, unavailable
from harness.posthouse import Posthouse, make_message
from harness.process import wait_equal, wait_until
from harness.requests import pages
from harness.trouble import Gate, Policy

DOMAIN = "relayed.test"
HEALTH = f"/v1/domains/{DOMAIN}/health"
LINES = "x" * 78 + "\n"


class Primary:
    """A node, and Postfix before Dovecot as the primary of relayed.test."""

    def __init__(self, stack, postgres, certificate):
        self.dovecot = Dovecot(certificate)
        stack.callback(self.dovecot.close)
        self.policy = Policy().start()
        stack.callback(self.policy.close)
        self.postfix = Postfix(DOMAIN)
        stack.callback(self.postfix.close)
        self.postfix.deliver_to(self.dovecot.start())
        self.postfix.ask(self.policy.port)
        self.postfix.start()
        self.gate = Gate(lambda: self.postfix.port).start()
        stack.callback(self.gate.close)
        self.node = Posthouse(postgres, certificate, settings={"delivery.probe_interval": "300ms", "delivery.retry_max": "1s"})
        stack.callback(self.node.close)
        self.api = self.node.start().api
        self.api.customer("home")
        self.api.relay_domain(DOMAIN, "home", self.gate.port)
        self.api.post("/v1/credentials", {"name": "home", "user": MASTER, "password": MASTER_PASSWORD, "tls": "encrypt"})
        self.api.put(f"/v1/domains/{DOMAIN}/imap-access", {"host": "localhost", "port": self.dovecot.imap_port, "credential": "home"})

    def readers(self, name, count=3):
        found = [f"{name}{number}@{DOMAIN}" for number in range(count)]
        for reader in found:
            self.api.account(reader, "home")
        return found

    def hold(self, readers, count, lines=3):
        """So many messages, to the readers in turn, are readable here, as the primary is away. {reader: subjects}; the outage's id."""
        wait_equal(lambda: self.node.query("select count(*) from queue_entry"), [["0"]], "nothing of the test before is on its way", timeout=60)
        self.gate.shut()
        expected = collections.defaultdict(list)
        with self.node.smtp() as connection:
            for number in range(count):
                reader = readers[number % len(readers)]
                subject = f"{reader.split('@')[0]} {number:04d}"
                connection.sendmail("joe@outside.test", [reader], make_message(subject, to=reader, body=LINES * lines))
                expected[reader].append(subject)
        for reader in readers:
            wait_until(lambda reader=reader: sorted(self.node.subjects(reader)) == expected[reader], "all of it is readable", timeout=60)
        (outage,) = pages(self.api, "/v1/outages", domain=DOMAIN, state="open")
        return expected, outage["id"]

    def over(self, outage):
        """The report, when all is delivered."""
        wait_until(lambda: self.api.get(f"/v1/outages/{outage}")["ended_at"], "the outage is over", timeout=90)
        wait_equal(lambda: self.node.query("select count(*) from queue_entry"), [["0"]], "nothing waits", timeout=60)
        return self.api.get(f"/v1/outages/{outage}")

    def at_home(self, reader):
        """[(mailbox, subject, flags)] at the primary, once Postfix has given it to Dovecot."""
        return sorted((name, item.subject, tuple(sorted(item.flags))) for name, items in self.dovecot.store(reader).items() for item in items)

    def subjects_at_home(self, reader):
        return [subject for _, subject, _ in self.at_home(reader)]

    def arrives(self, expected):
        """Each message once."""
        for reader, subjects in expected.items():
            wait_equal(lambda reader=reader: sorted(self.subjects_at_home(reader)), subjects, f"{reader}'s mail is at home", timeout=60)

    def in_order(self, expected):
        """Each reader's, as Postfix took it; what it has put off at its end, and got again, it names twice in a row."""
        for reader, subjects in expected.items():
            names = {item.message_id.strip("<>"): item.subject for items in self.dovecot.store(reader).values() for item in items}
            came = itertools.groupby(names[name] for name in self.postfix.accepted() if name in names)
            assert [subject for subject, _ in came] == subjects, reader

    def changes(self):
        """Of its health, the latest first."""
        return [event["detail"].split(":")[0] for event in pages(self.api, f"{HEALTH}/events") if event["type"] == "health.changed"]

    def continuity(self, **members):
        self.api.put(f"/v1/domains/{DOMAIN}/continuity-policy", members)

    def state_is(self, state):
        wait_equal(lambda: self.api.get(HEALTH)["state"], state, f"it is {state}", timeout=60)


@pytest.fixture(scope="module")
def running(postgres, certificate):
    reason = unavailable() or dovecot_unavailable()
    if reason:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        yield Primary(stack, postgres, certificate)


@pytest.fixture
def primary(running):
    running.policy.let_be()
    running.gate.cut_times = 0
    if not running.gate.listener:
        running.gate.open()
    running.state_is("up")
    before = len(running.changes())
    running.changes_now = lambda: running.changes()[:len(running.changes()) - before]
    return running


def test_killed_while_it_drains(primary):
    """kill -9 of all of Postfix; what was read here is read there. What was on its way at that moment may be there twice, and is told of."""
    readers = primary.readers("killed")
    expected, outage = primary.hold(readers, 45)
    with primary.node.imap(readers[0]) as connection:
        connection.create("Work")
        connection.select("INBOX")
        connection.store("1:3", "+FLAGS", r"(\Seen \Flagged)")
        connection.copy("4", "Work")
        connection.store("4", "+FLAGS", r"(\Deleted)")
        connection.expunge()
    primary.policy.takes["END-OF-MESSAGE"] = 0.1
    primary.gate.open()
    wait_until(lambda: primary.api.get(f"/v1/outages/{outage}")["drained"] >= 6, "it drains")
    primary.postfix.kill_all()
    primary.state_is("down")
    assert primary.api.get(f"/v1/outages/{outage}")["remaining"] > 0 and "recovering -> down" in primary.changes_now()
    assert len(pages(primary.api, "/v1/outages", domain=DOMAIN, state="open")) == 1
    primary.policy.let_be()
    primary.postfix.start()
    report = primary.over(outage)
    assert (report["held"], report["drained"], report["remaining"], report["lost"]) == (45, 45, 0, 0)
    doubtful = primary.node.query("select message_id from event where kind = 'uncertain'")
    assert report["uncertain"] == len(doubtful)
    wait_equal(lambda: primary.node.query("select message_id, note from carry where state = 'waiting'"), [], "all is carried", timeout=60)
    more = 0
    for reader in readers:
        wait_until(lambda reader=reader: set(primary.subjects_at_home(reader)) == set(expected[reader]), "all of it is at home", timeout=60)
        more += len(primary.subjects_at_home(reader)) - len(expected[reader])
    assert more <= len(doubtful)
    found = set(primary.at_home(readers[0]))
    first = expected[readers[0]]
    assert {("INBOX", subject, (r"\Flagged", r"\Seen")) for subject in first[:3]} | {("Work", first[3], ())} <= found
    assert {subject for _, subject, flags in found if not flags} >= set(first[4:])


def test_slow_at_every_message(primary):
    """It has one pair of hands: more connections make each of them slower, so it gets few."""
    readers = primary.readers("slow", 8)
    expected, outage = primary.hold(readers, 80)
    primary.policy.takes["END-OF-MESSAGE"], primary.policy.alone = 0.05, True
    primary.gate.open()
    report = primary.over(outage)
    assert (report["drained"], report["uncertain"], report["lost"]) == (80, 0, 0)
    assert primary.policy.most <= 5, "per_destination_max is 20"
    primary.arrives(expected)
    primary.in_order(expected)


def test_slow_answers_are_noticed_by_deliveries(primary):
    """Nobody probes it while it is well; RCPT is what takes its time."""
    (reader,) = primary.readers("weak", 1)
    primary.continuity(slow_after=200, down_after=2, up_after=2)
    primary.policy.takes["RCPT"] = 0.4

    def send():
        primary.node.send("joe@outside.test", reader, make_message("slow", to=reader))
        return primary.api.get(HEALTH)["state"]

    wait_until(lambda: send() == "degraded", "it is degraded", interval=0.5)
    assert "ms to answer" in primary.api.get(HEALTH)["why"] and primary.changes_now() == ["up -> degraded"]
    primary.policy.let_be()
    wait_until(lambda: send() == "up", "it is up again", interval=0.5)
    assert not pages(primary.api, "/v1/outages", domain=DOMAIN, state="open")
    primary.continuity()


@pytest.mark.parametrize("place", ["MAIL", "RCPT", "END-OF-MESSAGE"])
def test_refuses_with_421(primary, place):
    """In the middle of the drain it closes each connection at that point for a while; what was told so is not taken."""
    readers = primary.readers(f"closed-{place.lower()}")
    expected, outage = primary.hold(readers, 24)
    counted = collections.Counter()

    def closes(asked):
        counted[place] += 1
        return "421 4.3.2 going down" if 8 < counted[place] <= 13 else None

    primary.policy.answers[place] = closes
    primary.gate.open()
    report = primary.over(outage)
    assert (report["held"], report["drained"], report["uncertain"], report["lost"]) == (24, 24, 0, 0)
    assert "recovering -> down" in primary.changes_now(), "a relapse stops the drain"
    primary.arrives(expected)
    if place == "MAIL":  # later in a transaction the second cut puts the message itself off, so that it does not stand in front of all others
        primary.in_order(expected)


def test_refuses_with_4xx(primary):
    """Half of the readers are full: theirs waits, the others' goes on over few connections; later it is theirs, once."""
    readers = primary.readers("full", 8)
    expected, outage = primary.hold(readers, 48)
    full = set(readers[::2])
    primary.policy.answers["RCPT"] = lambda asked: "452 4.2.2 full" if asked["recipient"] in full else None
    primary.policy.takes["END-OF-MESSAGE"] = 0.02
    primary.gate.open()
    primary.arrives({reader: expected[reader] for reader in readers[1::2]})
    assert primary.policy.most <= 2
    assert all(not primary.subjects_at_home(reader) for reader in full)
    assert primary.api.get(f"/v1/outages/{outage}")["drained"] == 24
    primary.policy.let_be()
    primary.arrives(expected)
    report = primary.over(outage)
    assert (report["uncertain"], report["lost"]) == (0, 0)


@pytest.mark.parametrize("place", ["RCPT", "END-OF-MESSAGE"])
def test_puts_off_what_comes(primary, place):
    """It says 4xx to each third message: what it has put off it gets again, before what is later for the same reader."""
    readers = primary.readers(f"busy-{place.lower()}", 4)
    expected, outage = primary.hold(readers, 40)
    asked_for = collections.Counter()

    def busy(asked):
        asked_for[asked["recipient"]] += 1
        return "451 4.3.2 busy" if asked_for[asked["recipient"]] % 3 == 2 else None

    primary.policy.answers[place] = busy
    primary.gate.open()
    report = primary.over(outage)
    assert (report["held"], report["drained"], report["uncertain"], report["lost"]) == (40, 40, 0, 0)
    primary.arrives(expected)
    primary.in_order(expected)
    assert sum(asked_for.values()) > 50, "it has put some off"


def test_cut_off_in_mid_message(primary):
    """Not taken, so not there; it is sent again, and there once."""
    readers = primary.readers("cut")
    primary.gate.cut, primary.gate.cut_times = "body", 2
    expected, outage = primary.hold(readers, 3, lines=110_000)  # more than buffers on the way hold
    primary.gate.open()
    report = primary.over(outage)
    assert (report["held"], report["drained"], report["uncertain"], report["lost"]) == (3, 3, 0, 0)
    assert primary.gate.cut_times == 0 and "recovering -> down" in primary.changes_now()
    primary.arrives(expected)


def test_cut_off_before_its_answer(primary):
    """It has the message, and we do not know: that is told, and this one alone is there twice."""
    readers = primary.readers("doubt")
    primary.gate.cut, primary.gate.cut_times = "reply", 1
    expected, outage = primary.hold(readers, 15)
    primary.gate.open()
    report = primary.over(outage)
    assert (report["drained"], report["uncertain"], report["lost"]) == (15, 1, 0)
    found = {reader: [] for reader in readers}

    def all_there():
        found.update({reader: sorted(primary.subjects_at_home(reader)) for reader in readers})
        return sum(map(len, found.values())) == 16

    wait_until(all_there, "one is there twice", timeout=60)
    assert {reader: sorted(set(subjects)) for reader, subjects in found.items()} == expected
