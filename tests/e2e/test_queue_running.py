"""A destination that customers share: they take turns, and when it is away it is asked once, not once for each of them."""
import collections
import time

import pytest

from harness.faults import FaultyPostgres
from harness.posthouse import make_message, subject_of
from harness.process import free_port, wait_equal, wait_until
from harness.sink import Behaviour

FAR = {"delivery.retry_first": "1h", "delivery.retry_max": "1h"}


@pytest.fixture(autouse=True)
def fresh(outside):
    yield
    outside.hold.set()
    outside.clear()
    outside.behave = Behaviour()
    outside.hold.clear()


def customers(node, count):
    """An account of each."""
    for number in range(count):
        node.api.customer(f"c{number}")
        node.api.hosted_domain(f"c{number}.test", f"c{number}")
        node.api.account(f"ann@c{number}.test", f"c{number}")
    return [f"ann@c{number}.test" for number in range(count)]


def submit(node, sender, subject):
    node.submit(sender, ["dan@outside.test"], make_message(subject, sender=sender))


def subjects(sink):
    return [subject_of(message.data) for message in sink.messages]


def rows(node):
    return node.query("select failures, due_at from destination where key = 'default' and due_at < 'infinity'")


def wait_put_off(node, failures):
    """Its rows say the same in all cells that have mail for it: one for each sender, but that two may meet in one."""
    cells = int(node.query("select count(distinct cell) from queue_entry")[0][0])
    wait_until(lambda: (found := rows(node)) and len(found) == cells and found == [found[0]] * cells
               and int(found[0][0]) == failures, f"{failures} failures are known in {cells} cells", timeout=60)


def make_due(node):
    node.query("update destination set due_at = now() where key = 'default'")


def test_the_next_hops_limits_are_kept(new_posthouse, outside):
    """RFC 9422: recipients and domains of a transaction, transactions of a session."""
    node = new_posthouse(settings={**FAR, "daemon.workers": 1}, default_route=outside.port)
    outside.behave = Behaviour(extensions=("PIPELINING", "LIMITS RCPTMAX=3 MAILMAX=2 RCPTDOMAINMAX=1"))
    node.start()
    (sender,) = customers(node, 1)
    recipients = [f"dan{number}@{domain}.test" for domain in ("outside", "elsewhere") for number in range(4)]
    for number in range(3):
        node.submit(sender, recipients, make_message(f"limits {number}", sender=sender))
    wait_equal(lambda: sorted((subject_of(message.data), recipient) for message in outside.messages for recipient in message.recipients),
               sorted((f"limits {number}", recipient) for number in range(3) for recipient in recipients), "all have come, once", timeout=60)
    for message in outside.messages:
        assert len(message.recipients) <= 3 and len({recipient.split("@")[1] for recipient in message.recipients}) == 1
    sessions = collections.Counter(id(message.session) for message in outside.messages)
    assert max(sessions.values()) == 2, "two in a session, and no more"
    wait_until(lambda: all(message.session.ended_well for message in outside.messages), "each session ends with QUIT")


def test_a_customer_with_little_mail_does_not_wait_for_one_with_much(new_posthouse, outside):
    node = new_posthouse(settings={**FAR, "delivery.per_destination_max": 1, "daemon.workers": 1}, default_route=outside.port)
    node.start()
    flood, calm, other = customers(node, 3)
    outside.behave.silent_at = "end"
    for number in range(30):
        submit(node, flood, f"flood {number}")
    wait_until(lambda: outside.messages, "the first is at its final dot")
    submit(node, calm, "calm 0")
    submit(node, other, "other 0")
    submit(node, calm, "calm 1")
    outside.behave.silent_at = ""
    outside.hold.set()
    wait_equal(lambda: len(outside.messages), 33, "all have come", timeout=60)
    order = subjects(outside)
    assert [subject for subject in order if subject.startswith("flood")] == [f"flood {number}" for number in range(30)]
    assert order.index("calm 0") <= 4 and order.index("other 0") <= 5 and order.index("calm 1") <= 8, order


def test_mail_that_was_claimed_takes_turns_too(new_posthouse, outside):
    """What waits in the database comes in portions; a customer with little is in the first."""
    node = new_posthouse(settings={**FAR, "delivery.per_destination_max": 1, "daemon.workers": 1}, default_route=outside.port)
    outside.behave.cut_at = "banner"
    node.start()
    flood, calm = customers(node, 2)
    for number in range(150):
        submit(node, flood, f"flood {number}")
    submit(node, calm, "calm")
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is null"), [["151"]], "all of it waits", timeout=60)
    outside.behave.cut_at = ""
    make_due(node)
    wait_equal(lambda: len(outside.messages), 151, "all have come", timeout=60)
    assert subjects(outside).index("calm") < 10


def test_a_shared_destination_is_tried_once_for_all(new_posthouse, outside):
    node = new_posthouse(settings={**FAR, "daemon.workers": 1}, default_route=outside.port)
    outside.behave.cut_at = "banner"
    node.start()
    senders, before = customers(node, 12), outside.connections
    submit(node, senders[0], "0 first")
    wait_put_off(node, 1)
    for number, sender in enumerate(senders):
        submit(node, sender, f"{number} second")
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is null"), [["13"]], "all of it waits", timeout=60)
    wait_put_off(node, 1)
    assert outside.connections == before + 1, "what was accepted while it was away has not tried"

    for failures in range(2, 5):
        make_due(node)
        wait_put_off(node, failures)
        assert outside.connections == before + failures, "one probe for all"

    outside.behave.cut_at = ""
    make_due(node)
    wait_equal(lambda: len(outside.messages), 13, "it is back for all, and not only for whose probe it was", timeout=60)
    wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "nothing waits")
    assert sorted(subjects(outside)) == sorted(["0 first"] + [f"{number} second" for number in range(12)])
    assert node.query("select count(*) from destination where failures > 0") == [["0"]]


def test_several_workers_do_not_try_it_together(new_posthouse, outside):
    """Each may find out once for itself that it is away; after that one of them tries for all."""
    node = new_posthouse(settings={**FAR, "daemon.workers": 3}, default_route=outside.port)
    outside.behave.cut_at = "banner"
    node.start()
    senders, first = customers(node, 12), outside.connections
    for number, sender in enumerate(senders):
        submit(node, sender, f"{number}")
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is null"), [["12"]], "all of it waits", timeout=60)
    assert outside.connections <= first + 3
    wait_until(lambda: len({tuple(row) for row in rows(node)}) == 1, "its rows say the same")
    failures = int(rows(node)[0][0])
    make_due(node)
    wait_put_off(node, failures + 1)
    outside.behave.cut_at = ""
    make_due(node)
    wait_equal(lambda: sorted(subjects(outside)), sorted(str(number) for number in range(len(senders))), "all have come once", timeout=60)


def test_an_answer_that_takes_nothing_is_one(new_posthouse, outside):
    """The probe's recipient is unknown there: the others need not wait for another probe."""
    node = new_posthouse(settings={**FAR, "daemon.workers": 1}, default_route=outside.port)
    outside.behave.cut_at = "banner"
    node.start()
    (sender,) = customers(node, 1)
    node.submit(sender, ["nobody@outside.test"], make_message("refused", sender=sender))
    wait_put_off(node, 1)
    submit(node, sender, "taken")
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is null"), [["2"]], "both wait", timeout=60)
    outside.behave.recipient_replies["nobody@outside.test"] = "550 5.1.1 no such user"
    outside.behave.cut_at = ""
    make_due(node)
    wait_equal(lambda: subjects(outside), ["taken"], "the other has come", timeout=60)
    wait_equal(lambda: node.query("select count(*) from queue_entry"), [["0"]], "nothing waits")


def test_nothing_is_remembered_of_a_destination_for_which_nothing_waits(new_posthouse, outside):
    """Mail for it was cancelled while it was away: the next tries at once."""
    node = new_posthouse(settings={**FAR, "daemon.workers": 1}, default_route=outside.port)
    outside.behave.cut_at = "banner"
    node.start()
    (sender,) = customers(node, 1)
    submit(node, sender, "cancelled")
    wait_put_off(node, 1)
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is null"), [["1"]], "it waits")
    (entry,) = node.api.get("/v1/queue")["items"]
    node.api.post(f"/v1/queue/{entry['id']}/cancel", {"bounce": False})
    make_due(node)
    wait_equal(lambda: node.query("select failures from destination where key = 'default' and due_at = 'infinity'"), [["0"]], "it is forgotten")
    outside.behave.cut_at = ""
    submit(node, sender, "new")
    wait_equal(lambda: subjects(outside), ["new"], "it has come")


def test_what_waits_is_not_walked_through(new_posthouse, sink):
    """Plans that were made while nothing waited find each entry by its id, however much waits in its cell later."""
    node = new_posthouse(settings={"daemon.workers": 1, "delivery.probe_interval": "1h"}).start()
    node.api.customer("many")
    node.api.relay_domain("live.test", "many", sink.port)
    node.api.relay_domain("dead.test", "many", free_port())
    for recipient in ("ann@live.test", "bob@dead.test"):
        node.send("joe@outside.test", recipient, make_message("first"))
    wait_equal(lambda: node.query("select recipient from queue_entry where worker is null"), [["bob@dead.test"]], "one has come, one waits")
    wait_equal(lambda: node.query("select count(*) from queue_entry"), [["1"]], "nothing else is there")
    node.query("create temporary table made as select n, q.cell, q.message_id, q.id - ((n + 1000)::bigint << 22) as made from queue_entry q,"
               " generate_series(1, 20000) n;"
               " insert into message (cell, id, customer_id, sender, size, received_at, protocol)"
               " select m.cell, made, m.customer_id, m.sender, 10, now(), 'ESMTP' from made join message m on m.id = made.message_id;"
               " insert into queue_entry (cell, id, message_id, recipient, destination, domain_id, due_at, expires_at, sender, customer_id)"
               " select q.cell, made, made, 'user' || n || '@dead.test', q.destination, q.domain_id, q.due_at, q.expires_at, q.sender,"
               " q.customer_id from made, queue_entry q")

    def read():
        """But for what the outage looks for, some at a time."""
        return int(node.query("select pg_stat_clear_snapshot(), sum(idx_tup_read) from pg_stat_user_indexes where relname = 'queue_entry'"
                              " and indexrelname not in ('queue_entry_domain', 'queue_entry_unshown')")[0][1])

    def gone():
        return int(node.query("select n_tup_del from pg_stat_user_tables where relname = 'queue_entry'")[0][0])
    before, deleted = read(), gone()
    for number in range(50):
        node.send("joe@outside.test", "ann@live.test", make_message(f"m{number}"))
    wait_until(lambda: gone() >= deleted + 50, "all are delivered, and that is known", timeout=60)
    assert read() - before < 20000, "not even once"


def test_a_probe_that_comes_to_nothing_for_our_sake_is_soon_repeated(new_posthouse, own_postgres, outside):
    """Our database does not tell where it goes: that says nothing about the destination."""
    faulty = FaultyPostgres(own_postgres)
    node = new_posthouse(postgres=faulty, settings={**FAR, "daemon.workers": 1, "database.cache_size": 0})
    try:
        node.start()
        (sender,) = customers(node, 1)
        node.api.post("/v1/routes", {"name": "away", "next_hops": [{"host": "127.0.0.1", "port": outside.port}]})
        node.api.post("/v1/route-rules", {"customer": "c0", "route": "away"})
        outside.stop()
        submit(node, sender, "later")
        due = "select 1 from destination where key like 'route:%' and failures > 0 and due_at < now() + interval '1 minute'"
        wait_equal(lambda: node.query("select failures from destination where key like 'route:%'"), [["1"]], "it is away")
        assert node.query(due) == []
        fault = faulty.arm("directory_route", "refused")
        node.query("update destination set due_at = now() where key like 'route:%'")
        wait_until(lambda: fault.struck, "the probe asks for the route")
        wait_equal(lambda: node.query(due + " and due_at > now()"), [["1"]], "the next probe is not far")
        outside.start()
        wait_until(lambda: subjects(outside) == ["later"], "it is there", timeout=60)
    finally:
        node.close()
        faulty.close()


def test_what_is_put_off_again_and_again_does_not_keep_the_rest_waiting(new_posthouse, sink):
    """More of it is due again at any time than the destination is tried with: what was never tried has its turn all the same."""
    node = new_posthouse(settings={"daemon.workers": 1, "delivery.retry_first": "1s", "delivery.retry_max": "1s", "delivery.per_destination_max": 1},
                         default_route=sink.port)

    class Slow(dict):
        def get(self, recipient, other):
            time.sleep(0.01)
            return "451 4.3.0 later" if recipient.startswith("old") else other
    sink.behave = Behaviour(recipient_replies=Slow())
    node.start()
    (sender,) = customers(node, 1)
    with node.submission(sender) as client:
        for n in range(400):
            client.sendmail(sender, [f"old{n}@outside.test"], make_message("old", sender=sender))
    wait_until(lambda: int(node.query("select count(*) from queue_entry where attempts > 1")[0][0]) > 100, "they are tried again and again", timeout=60)
    submit(node, sender, "new")
    wait_equal(lambda: subjects(sink), ["new"], "it has come", timeout=60)
