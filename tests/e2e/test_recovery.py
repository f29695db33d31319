"""A primary that has come back gets what was held as fast as it can take it, each recipient's in order."""
import collections
import email
import threading
import time

import pytest

from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour, Sink

READERS = [f"reader{number}@relayed.test" for number in range(8)]


class Primary(Sink):
    """Counts who is being served at the same moment; answers the final dot after `takes` seconds."""
    takes = 0.0

    def __init__(self):
        super().__init__()
        self.lock, self.serving, self.most = threading.Lock(), 0, 0
        self.behave = Behaviour(at_end=self.answer)

    def answer(self):
        with self.lock:
            self.serving += 1
            self.most = max(self.most, self.serving)
        time.sleep(self.takes)  # a slow server is what this is about
        with self.lock:
            self.serving -= 1


@pytest.fixture
def primary():
    with Primary() as server:
        yield server


@pytest.fixture
def node(new_posthouse, primary):
    node = new_posthouse(settings={"delivery.probe_interval": "300ms", "delivery.retry_first": "60s", "delivery.retry_max": "60s", "daemon.workers": 1}).start()
    node.api.customer("recovery")
    node.api.relay_domain("relayed.test", "recovery", primary.port)
    for reader in READERS:
        node.api.account(reader, "recovery")
    return node


def hold(node, primary, count):
    """So many messages, to the readers in turn, wait for the primary."""
    primary.stop()
    with node.smtp() as connection:
        for number in range(count):
            reader = READERS[number % len(READERS)]
            connection.sendmail("joe@outside.test", [reader], make_message(f"{number:04d}", to=reader))
    wait_until(lambda: node.query("select count(*) from queue_entry where worker is null") == [[str(count)]], "all of it waits")
    ((outage,),) = [[each["id"]] for each in node.api.get("/v1/outages?open=true")["items"]]
    return outage


def arrived(primary):
    """Subjects of each recipient, in the order in which they came."""
    by = collections.defaultdict(list)
    for message in primary.messages:
        by[message.recipients[0]].append(email.message_from_bytes(message.data)["Subject"])
    return by


def drained(node):
    wait_until(lambda: node.query("select 1 from queue_entry limit 1") == [], "all of it is delivered", timeout=120)
    wait_until(lambda: node.api.get("/v1/outages?open=true")["items"] == [], "the outage closes", timeout=60)


def test_in_order_for_each_recipient_over_several_connections(node, primary):
    hold(node, primary, 240)
    primary.takes = 0.02
    primary.start()
    drained(node)
    by = arrived(primary)
    assert sorted(subject for subjects in by.values() for subject in subjects) == [f"{number:04d}" for number in range(240)], "once each"
    assert all(subjects == sorted(subjects) for subjects in by.values())
    assert primary.most > 1, "one connection would have been slower"


def test_one_recipients_mail_goes_one_by_one(node, primary):
    primary.stop()
    with node.smtp() as connection:
        for number in range(60):
            connection.sendmail("joe@outside.test", [READERS[0]], make_message(f"{number:04d}", to=READERS[0]))
    primary.takes = 0.01
    primary.start()
    drained(node)
    assert arrived(primary)[READERS[0]] == [f"{number:04d}" for number in range(60)] and primary.most == 1


def test_a_primary_that_puts_much_off_is_not_crowded(node, primary):
    """Half of its readers are full: their mail waits, the rest goes over few connections."""
    hold(node, primary, 160)
    for reader in READERS[::2]:
        primary.behave.recipient_replies[reader] = "452 4.2.2 full"
    primary.takes = 0.02
    primary.start()
    wait_until(lambda: sum(len(arrived(primary)[reader]) for reader in READERS[1::2]) == 80, "the others have theirs", timeout=60)
    assert primary.most <= 2


class Busy(dict):
    """What RCPT is answered: of each reader's, the second of three is put off; a message is never put off twice, as it is asked for again next."""
    def __init__(self, always=()):
        super().__init__()
        self.asked, self.always = collections.Counter(), always

    def get(self, address, other):
        self.asked[address] += 1
        return "451 4.3.2 busy" if address in self.always or self.asked[address] % 3 == 2 else other


def test_what_is_put_off_keeps_its_place(node, primary):
    """Also if it is due again in a minute: the order of a reader's mail is that of acceptance."""
    hold(node, primary, 160)
    primary.behave.recipient_replies = Busy()
    primary.start()
    drained(node)
    by = arrived(primary)
    assert sum(len(subjects) for subjects in by.values()) == 160
    assert all(subjects == sorted(subjects) for subjects in by.values()), by
    put_off = node.query("select count(*) from event where kind = 'deferred' and detail = '451 4.3.2 busy'")
    assert put_off == [["80"]] and primary.behave.recipient_replies.asked == {reader: 30 for reader in READERS}, "each try is told"


def test_what_was_put_off_before_the_outage_goes_in_its_place(node, primary):
    """A primary that is in trouble says 4xx before it dies: what it has put off for long is not what comes last."""
    primary.behave.other_recipients = "451 4.3.2 busy"
    with node.smtp() as connection:
        for number, reader in enumerate(READERS):
            connection.sendmail("joe@outside.test", [reader], make_message(f"{number:04d}", to=reader), mail_options=[f"MT-PRIORITY={number % 3}"])
    wait_until(lambda: node.query("select count(*) from queue_entry where worker is null and due_at > now() + interval '30 s'") == [["8"]],
               "all of it is put off")
    primary.stop()
    with node.smtp() as connection:
        for number, reader in enumerate(READERS, len(READERS)):
            connection.sendmail("joe@outside.test", [reader], make_message(f"{number:04d}", to=reader))
    wait_until(lambda: node.query("select count(*) from queue_entry where worker is null") == [["16"]], "all of it waits")
    primary.behave.other_recipients = "250 2.1.5 Ok"
    primary.start()
    drained(node)
    assert sorted(map(tuple, arrived(primary).values())) == [(f"{number:04d}", f"{number + 8:04d}") for number in range(8)]


def test_who_is_put_off_for_ever_keeps_nobody_waiting(node, primary):
    """A reader's mail waits for a message of his that is put off, some seconds; then it goes before it."""
    hold(node, primary, 80)
    primary.behave.recipient_replies = busy = Busy(always=READERS[:1])
    primary.start()
    wait_until(lambda: sum(len(arrived(primary)[reader]) for reader in READERS[1:]) == 70, "the others have theirs")
    wait_until(lambda: node.query("select count(*) from queue_entry where worker is null and due_at > now() + interval '20 s'") == [["10"]],
               "his wait for their time")
    assert node.api.get("/v1/queue")["items"][0]["attempts"] == 4 and busy.asked[READERS[0]] == 13, "one was kept, the rest not"
    assert [entry["last_reply"] for entry in node.api.get("/v1/queue")["items"]] == ["451 4.3.2 busy"] * 10


class Alone(Behaviour):
    """Of a server that takes one connection at a time from whom it knows."""
    sink = None

    def __getattribute__(self, name):
        if name == "banner" and object.__getattribute__(self, "sink").open_connections > 1:
            return "421 4.7.0 too many connections from you"
        return object.__getattribute__(self, name)


@pytest.mark.parametrize("pace", ["measured", "fast"])
def test_a_primary_that_takes_one_connection(node, primary, pace):
    """That is no outage, and it is not asked again and again for one more."""
    outage = hold(node, primary, 160)
    node.api.patch(f"/v1/outages/{outage}/drain", {"pace": pace})
    primary.takes = 0.02
    primary.behave = Alone(at_end=primary.answer)
    primary.behave.sink = primary
    before = primary.connections
    primary.start()
    drained(node)
    assert all(subjects == sorted(subjects) for subjects in arrived(primary).values()) and len(primary.messages) == 160
    assert primary.connections - before < 30
    told = [event["detail"] for event in node.api.get("/v1/domains/relayed.test/health/events")["items"] if event["type"] == "health.changed"]
    assert not any(detail.startswith("recovering -> down") for detail in told), told


class Deadly(dict):
    """One reader's RCPT is what the primary dies of."""
    def get(self, address, other):
        if address == READERS[0]:
            raise ConnectionResetError
        return other


def test_what_a_primary_dies_of_lets_others_go_first(node, primary):
    """It stands in front of all others the first times only, however often the primary comes back."""
    hold(node, primary, 32)
    primary.behave.recipient_replies = Deadly()
    primary.start()
    wait_until(lambda: sum(len(arrived(primary)[reader]) for reader in READERS[1:]) == 28, "the others have theirs", timeout=60)
    primary.behave.recipient_replies = {}
    drained(node)
    assert len(arrived(primary)[READERS[0]]) == 4


def test_what_a_primary_dies_of_at_its_end(node, primary):
    """The same after the final dot, where it may be there."""
    hold(node, primary, 32)

    def answer():
        if primary.messages and primary.messages[-1].recipients == [READERS[0]]:
            raise ConnectionResetError
    primary.behave.at_end = answer
    primary.start()
    wait_until(lambda: sum(len(arrived(primary)[reader]) for reader in READERS[1:]) == 28, "the others have theirs", timeout=60)
    primary.behave.at_end = None
    drained(node)
    assert set(arrived(primary)[READERS[0]]) == {"0000", "0008", "0016", "0024"}


def test_what_may_be_there_keeps_its_place(node, primary):
    """The connection broke after the final dot: it is sent again, and may come twice, but not behind what came later."""
    primary.stop()
    with node.smtp() as connection:
        for number in range(8):
            connection.sendmail("joe@outside.test", [READERS[0]], make_message(f"{number:04d}", to=READERS[0]))
    wait_until(lambda: node.query("select count(*) from queue_entry where worker is null") == [["8"]], "all of it waits")
    primary.behave.cut_at, primary.behave.cut_times = "end", 1
    primary.start()
    drained(node)
    assert arrived(primary)[READERS[0]] == ["0000", "0000", *(f"{number:04d}" for number in range(1, 8))]


def test_the_estimate_and_what_came_of_it(node, primary):
    """A primary with one pair of hands: while it drains, the time that is left is told, and gets less; it is about what it was then."""
    path, count, hands = f"/v1/outages/{hold(node, primary, 150)}", 150, threading.Lock()
    waiting = node.api.get(path)
    assert (waiting["remaining"], waiting["drained_in_seconds"]) == (count, None), "nothing is known before"

    def answer():
        with hands:
            time.sleep(0.05)

    primary.behave.at_end = answer
    primary.start()
    told = []

    def look():
        now = node.api.get(path)
        if now["ended_at"] is None and now["drained"] >= count // 5:
            told.append((time.monotonic(), now["remaining"], now["drained_in_seconds"]))
        return now["ended_at"]

    wait_until(look, "it is over", timeout=120, interval=0.1)
    assert node.api.get(path)["drained_in_seconds"] is None
    waited = [each for each in told if each[1]]
    assert len(waited) >= 5 and all(left is not None for _, _, left in told)
    assert waited[0][2] > waited[-1][2] and all(left == 0 for _, remaining, left in told if not remaining)
    came = next(at for at, remaining, _ in told if not remaining) if not told[-1][1] else told[-1][0]
    for at, _, left in waited:
        assert (came - at) / 5 - 2 <= left <= (came - at) * 5 + 2, (came - at, left)


def test_newest_first_and_fast_by_request(node, primary):
    outage = hold(node, primary, 120)
    path = f"/v1/outages/{outage}/drain"
    assert node.api.get(path) == {"pace": "measured", "newest_first": False}
    assert node.api.patch(path, {"pace": "fast", "newest_first": True}) == {"pace": "fast", "newest_first": True}
    assert node.api.patch(path, {}) == node.api.get(path) == {"pace": "fast", "newest_first": True}
    for body, field in (({"pace": "slow"}, "pace"), ({"newest_first": 1}, "newest_first"), ({"order": "x"}, "order")):
        status, _, problem = node.api.request("PATCH", path, body)
        assert (status, problem["field"]) == (422, field)
    log = "outage drain is wanted"
    wait_until(lambda: log in node.log(), "the worker knows")
    primary.takes = 0.05
    primary.start()
    drained(node)
    first = email.message_from_bytes(primary.messages[0].data)["Subject"]
    # the probe was claimed before the wish, perhaps
    assert all(subjects[1:] == sorted(subjects[1:], reverse=True) for subjects in arrived(primary).values()), arrived(primary)
    assert int(first) >= 100 or first == "0000"
    assert primary.most >= 4
    assert node.api.request("GET", path)[0] == 404 and node.api.request("PATCH", path, {"pace": "fast"})[0] == 404


def test_the_newest_goes_first_whatever_its_priority(node, primary):
    primary.stop()
    with node.smtp() as connection:
        connection.ehlo()
        for number, priority in enumerate((4, 0, 2, -3, 0, 4)):
            connection.sendmail("joe@outside.test", [READERS[0]], make_message(f"{number:04d}"), mail_options=[f"MT-PRIORITY={priority}"])
    wait_until(lambda: node.query("select count(*) from queue_entry where worker is null") == [["6"]], "all of it waits")
    outage = node.api.get("/v1/outages?open=true")["items"][0]["id"]
    node.api.patch(f"/v1/outages/{outage}/drain", {"newest_first": True})
    wait_until(lambda: "outage drain is wanted" in node.log(), "the worker knows")
    primary.start()
    drained(node)
    assert arrived(primary)[READERS[0]] == [f"{number:04d}" for number in reversed(range(6))]


def test_the_estimate_after_a_relapse(node, primary):
    """What went before it says nothing of how fast the primary is now."""
    path, hands = f"/v1/outages/{hold(node, primary, 120)}", threading.Lock()

    def answer():
        with hands:
            time.sleep(primary.takes)  # one after the other, over however many connections

    primary.behave.at_end = answer
    primary.takes = 0.001
    primary.start()
    wait_until(lambda: len(primary.messages) >= 60, "half of it is there", timeout=60)
    primary.takes = 0.2
    primary.stop()
    gone = len(primary.messages)
    wait_until(lambda: node.api.get("/v1/domains/relayed.test/health")["state"] == "down", "it is away again", timeout=60)
    wait_until(lambda: node.api.get(path)["drained_in_seconds"] is None, "nobody knows how long that takes")
    primary.start()
    wait_until(lambda: len(primary.messages) >= gone + 5, "it drains again", timeout=60)

    def told():
        now = node.api.get(path)
        return now["drained_in_seconds"] is not None and (now["remaining"], now["drained_in_seconds"])

    remaining, seconds = wait_until(told, "there is an estimate", timeout=60)
    assert remaining > 10 and seconds >= remaining * 0.2 / 2, "as fast as now, not as before"
    node.api.put("/v1/domains/relayed.test/health", {"force": "down", "reason": "for the test"})
    now = node.api.get(path)
    assert now["ended_at"] is None and now["drained_in_seconds"] is None, "nothing goes while it is forced down"


def test_what_was_put_off_before_the_outage_goes_first(new_posthouse, sink):
    """A primary fails slowly: it puts off, each message for half an hour, then it is away. What it put off is not the last to come."""
    node = new_posthouse(settings={"delivery.probe_interval": "300ms", "delivery.retry_first": "30m", "delivery.retry_max": "1h"}).start()
    node.api.customer("slowly")
    node.api.relay_domain("relayed.test", "slowly", sink.port)
    names = [f"{name}@relayed.test" for name in ("ann", "bob")]
    for name in names:
        node.api.account(name, "slowly")
    sink.behave = Behaviour(recipient_replies={name: "452 4.2.2 the disk is full" for name in names})
    for number in range(6):
        node.send("joe@outside.test", names[number % 2], make_message(f"{number} put off", to=names[number % 2]))
    wait_until(lambda: node.query("select count(*) from queue_entry where attempts = 1 and worker is null") == [["6"]], "all are put off")
    sink.stop()
    for number in range(6, 12):
        node.send("joe@outside.test", names[number % 2], make_message(f"{number} held", to=names[number % 2]))
    wait_equal(lambda: [len(node.subjects(name)) for name in names], [6, 6], "all are readable")
    sink.behave = Behaviour()
    sink.start()
    wait_equal(lambda: len(sink.messages), 12, "all are there, soon", timeout=60)
    for name in names:
        numbers = [int(subject_of(message.data).split()[0]) for message in sink.messages if message.recipients == [name]]
        assert numbers == sorted(numbers), f"in order for {name}"
    wait_until(lambda: node.api.get("/v1/outages?state=closed")["items"], "it is over")
    (outage,) = node.api.get("/v1/outages?state=closed")["items"]
    report = wait_until(lambda: (found := node.api.get(f"/v1/outages/{outage['id']}"))["held"] is not None and found, "its report")
    assert (report["held"], report["drained"], report["remaining"]) == (12, 12, 0)


def test_a_database_that_is_away_while_it_drains(new_posthouse, own_postgres, primary):
    """For a moment, in which nothing can be read: what is next waits for it in its place, and the outage goes on until all is delivered."""
    node = new_posthouse(postgres=own_postgres, settings={"delivery.probe_interval": "300ms"}).start()
    node.api.customer("recovery")
    node.api.relay_domain("relayed.test", "recovery", primary.port)
    for reader in READERS[:2]:
        node.api.account(reader, "recovery")
    primary.stop()
    with node.smtp() as connection:
        for number in range(120):
            reader = READERS[number % 2]
            connection.sendmail("joe@outside.test", [reader], make_message(f"{number:04d}", to=reader))
    wait_until(lambda: node.query("select count(*) from queue_entry where worker is null") == [["120"]], "all of it waits")
    primary.takes = 0.01
    primary.start()
    wait_until(lambda: len(primary.messages) > 10, "it drains")
    own_postgres.stop()
    wait_until(lambda: not node.ready(), "it is missed")
    own_postgres.start()
    wait_until(node.ready, "it is back")
    drained(node)
    for reader in READERS[:2]:
        assert arrived(primary)[reader] == sorted(arrived(primary)[reader]) and len(arrived(primary)[reader]) == 60, f"{reader}, in order and once"
    (outage,) = node.api.get("/v1/outages")["items"]
    wait_until(lambda: node.api.get(f"/v1/outages/{outage['id']}")["counted_at"], "its report is there")
    report = node.api.get(f"/v1/outages/{outage['id']}")
    assert [report[name] for name in ("held", "drained", "remaining", "lost")] == [120, 120, 0, 0]
    node.close()


MANY = 3000  # more than a worker claims at once


def test_what_was_tried_when_the_primary_went_away_keeps_its_place(new_posthouse, sink):
    """More than is claimed at once. It had been put off, its time was over, and there was no primary: it is not to come behind what waited with it."""
    node = new_posthouse(settings={"delivery.probe_interval": "300ms", "delivery.retry_first": "5s", "delivery.retry_max": "5s"}).start()
    node.api.customer("tried")
    node.api.relay_domain("relayed.test", "tried", sink.port)
    node.api.account("ann@relayed.test", "tried")
    sink.behave = Behaviour(recipient_replies={"ann@relayed.test": "452 4.2.2 the disk is full"})
    with node.smtp() as connection:
        for number in range(MANY):
            connection.sendmail("joe@outside.test", ["ann@relayed.test"], make_message(f"{number}", to="ann@relayed.test"))
    wait_until(lambda: node.query("select 1 from queue_entry where attempts = 0 or worker is not null limit 1") == [], "all are put off")
    sink.stop()
    wait_until(lambda: node.api.get("/v1/outages?state=open")["items"], "it is found away by what is due again", timeout=60)
    sink.behave = Behaviour()
    sink.start()
    wait_equal(lambda: [int(subject_of(message.data)) for message in sink.messages], list(range(MANY)), "all are there, in order", timeout=60)
