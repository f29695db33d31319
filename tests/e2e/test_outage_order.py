"""In an outage new mail is in its reader's INBOX with its 250, behind what waited for him, whatever waits for others.

What waits for others is kept from being shown by a transaction that has one of their entries.
"""
import contextlib

import pytest

from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour

DOMAIN = "relayed.test"
CAROL, DAVE, EVA = (f"{name}@{DOMAIN}" for name in ("carol", "dave", "eva"))
HEALTH = f"/v1/domains/{DOMAIN}/health"
EACH = 1000  # SHOW_OLDER_EACH in storage/show_older.h
PAGE = 500   # in storage/outage_show.c


@pytest.fixture
def node(new_posthouse, sink):
    return set_up(new_posthouse(settings={"delivery.probe_interval": "300ms", "database.statement_timeout": "1s"}), sink)


def set_up(posthouse, sink):
    posthouse.start()
    posthouse.api.customer("order")
    posthouse.api.relay_domain(DOMAIN, "order", sink.port)
    for address in (CAROL, DAVE, EVA):
        posthouse.api.account(address, "order")
    posthouse.query("update account set created_at = now() - interval '1 hour'")  # to a younger one mail is shown by the next tick
    return posthouse


def send(node, *messages):
    with node.smtp() as connection:
        for to, subject in messages:
            connection.sendmail("joe@outside.test", [to], make_message(subject, to=to))


def put_off(node, sink, *messages):
    """They wait, though the primary answers."""
    sink.behave = Behaviour(recipient_replies={to: "452 4.2.2 full" for to, _ in messages})
    send(node, *messages)
    wait_until(lambda: node.query("select 1 from queue_entry where worker is not null or attempts = 0 limit 1") == [],
               "all of it was tried", timeout=120)


@contextlib.contextmanager
def kept_from_tick(node, reader):
    """An outage begins, and the tick cannot show what waits: somebody else has this reader's oldest entry."""
    oldest = f"(select id from queue_entry where recipient = '{reader}' order by id limit 1)"
    with node.begun(f"select from queue_entry where id = {oldest} for update"):
        node.api.put(HEALTH, {"force": "down", "reason": "a test"})
        wait_until(lambda: node.query("select 1 from outage where ended_at is null"), "the outage is open")
        node.wait_known()
        yield
    wait_equal(lambda: node.query("select count(*) from queue_entry where not shown"), [["0"]], "then all of it is shown", timeout=60)


def test_new_mail_brings_what_waits_for_its_reader(node, sink):
    put_off(node, sink, (DAVE, "dave's"), (CAROL, "carol 0"), (CAROL, "carol 1"))
    with kept_from_tick(node, DAVE):
        assert node.subjects(CAROL) == [], "it is behind Dave's"
        send(node, (EVA, "eva's"))
        assert node.subjects(EVA) == ["eva's"]
        send(node, (CAROL, "carol 2"), (CAROL, "carol 3"))
        assert node.subjects(CAROL) == [f"carol {number}" for number in range(4)]
        assert node.subjects(DAVE) == []
    assert node.subjects(DAVE) == ["dave's"]
    assert node.subjects(CAROL) == [f"carol {number}" for number in range(4)], "once"


def test_one_message_for_both(node, sink):
    """Hers is shown although his cannot be: not with its 250, but when that is known."""
    put_off(node, sink, (DAVE, "dave's"), (CAROL, "carol 0"))
    with kept_from_tick(node, DAVE):
        with node.smtp() as connection:
            connection.sendmail("joe@outside.test", [CAROL, EVA], make_message("both", to=CAROL))
        assert node.subjects(CAROL) == ["carol 0", "both"] and node.subjects(EVA) == ["both"]


def test_very_much_waits_for_its_reader(node, sink):
    """More than is brought along: the new message goes before the rest, which is shown oldest first all the same."""
    waiting = [f"waits {number:04d}" for number in range(EACH + 20)]
    put_off(node, sink, (DAVE, "dave's"), *((CAROL, subject) for subject in waiting))
    with kept_from_tick(node, DAVE):
        send(node, (CAROL, "new"))
        assert node.subjects(CAROL) == waiting[:EACH] + ["new"]
    assert node.subjects(CAROL) == waiting[:EACH] + ["new"] + waiting[EACH:]


def test_mail_for_a_new_account_does_not_wait_for_all_others(node, sink):
    """It is the tick's to show, which comes to a page that it cannot show, again and again."""
    put_off(node, sink, (CAROL, "carol 0"), *((DAVE, f"waits {number:04d}") for number in range(PAGE + 20)))
    node.query(f"update account set created_at = now() where address = '{CAROL}'")
    with kept_from_tick(node, DAVE):
        send(node, (CAROL, "carol 1"))
        wait_equal(lambda: node.subjects(CAROL), ["carol 0", "carol 1"], "both are shown", timeout=30)
        assert node.subjects(DAVE) == []
