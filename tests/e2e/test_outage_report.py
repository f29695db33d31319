"""What an outage came to is found out after it has ended: also after one that is too large for one statement."""
import pytest

from harness.faults import FaultyPostgres
from harness.posthouse import make_message
from harness.process import wait_equal, wait_until
from harness.requests import pages
from harness.sink import Sink

LARGE, SMALL = "large.test", "small.test"
EVENTS = 20_000

# As if so many messages had been held, and delivered but ten; and the mail of others in the same cell meanwhile.
MADE_UP = f"""
insert into event (cell, id, at, message_id, recipient, kind, detail)
select o.cell, b.id + n, o.started_at + interval '1 ms', n, 'u' || n % 100 || '@{LARGE}', 'held', 'readable in INBOX'
  from outage o, generate_series(1, {EVENTS}) n,
       lateral (select ((extract(epoch from o.started_at) * 1000)::bigint - 1704067200000) << 22 as id) b where o.domain = '{LARGE}';
insert into event (cell, id, at, message_id, recipient, kind)
select o.cell, b.id + n, o.started_at + interval '1 ms', n, 'u' || n % 100 || '@{LARGE}', 'delivered'
  from outage o, generate_series(11, {EVENTS}) n,
       lateral (select ((extract(epoch from o.started_at) * 1000)::bigint - 1704067199980) << 22 as id) b where o.domain = '{LARGE}';
"""
STRUCK = (("outage_count", "refused"), ("outage_count", "lost"), ("outage_report_sent", "refused"), ("outage_report_made", "lost"),
          ("outage_report_kept", "refused"), ("outage_report_mailboxes", "refused"), ("outage_report_list", "refused"))


@pytest.fixture
def other():
    with Sink() as sink:
        yield sink


@pytest.fixture
def node(new_posthouse, sink, other):
    node = new_posthouse(settings={"delivery.probe_interval": "300ms", "database.statement_timeout": "250ms"}).start()
    node.api.customer("one")
    for domain, primary in ((LARGE, sink), (SMALL, other)):
        node.api.relay_domain(domain, "one", primary.port)
        node.api.account(f"ann@{domain}", "one")
    return node


def hold(node, *domains):
    for domain in domains:
        node.send("joe@outside.test", f"ann@{domain}", make_message("hello"))
    wait_equal(lambda: node.query("select count(*) from queue_entry where shown"), [[str(len(domains))]], "all is readable")


def test_what_was_read_and_is_gone(node, sink, other):
    """Who collects by POP3 leaves nothing behind, and has read it all the same; so has who answers and deletes."""
    sink.stop()
    ann = f"ann@{LARGE}"
    for subject in ("collected", "dropped unread", "answered", "in a folder", "kept", "unread"):
        node.send("joe@outside.test", ann, make_message(subject, to=ann))
    wait_equal(lambda: len(node.subjects(ann)), 6, "all is readable")
    with node.imap(ann) as connection:
        connection.select()
        assert connection.create("Folder")[0] == "OK"
        connection.store("4", "+FLAGS", "(\\Seen)")
        assert connection._simple_command("MOVE", "4", "Folder")[0] == "OK"
        connection.store("3", "+FLAGS", "(\\Seen \\Answered \\Deleted)")
        connection.expunge()
        connection.store("3", "+FLAGS", "(\\Seen)")
        connection.select("Sent")
        assert connection.delete("Folder")[0] == "OK"
    with node.pop3(ann) as connection:
        connection.retr(1)
        connection.dele(1)
        connection.dele(2)
    (listed,) = node.api.get("/v1/outages")["items"]
    shown = node.api.get(f"/v1/outages/{listed['id']}")
    assert (shown["held"], shown["read"], shown["answered"]) == (6, 4, 1)
    sink.start()
    wait_until(lambda: node.api.get("/v1/outages")["items"][0]["counted_at"], "it has ended and is counted")
    (told,) = node.api.get("/v1/outages")["items"]
    assert (told["held"], told["drained"], told["read"], told["answered"], told["lost"]) == (6, 6, 4, 1, 0)


def test_a_large_outage(node, sink, other):
    """It ends at once, the next one does not wait for it, and its report comes when it is made."""
    sink.stop()
    other.stop()
    hold(node, LARGE, SMALL)
    node.query(MADE_UP)
    (outage,) = pages(node.api, "/v1/outages", domain=LARGE)
    assert outage["counted_at"] is None and outage["held"] is None
    sink.start()
    other.start()
    wait_until(lambda: not pages(node.api, "/v1/outages", state="open"), "both are over", timeout=60)
    path = f"/v1/outages/{outage['id']}"
    wait_until(lambda: node.api.get(path)["counted_at"], "its report is there", timeout=60)
    over = node.api.get(path)
    assert [over[name] for name in ("held", "drained", "remaining", "uncertain", "lost")] == [EVENTS + 1, EVENTS - 10 + 1, 0, 0, 10]
    ((small,),) = [[each] for each in pages(node.api, "/v1/outages", domain=SMALL)]
    assert [small[name] for name in ("held", "drained", "remaining", "lost")] == [1, 1, 0, 0]
    assert pages(node.api, f"/v1/domains/{LARGE}/health/events")[0]["type"] in ("outage.closed", "health.changed")
    assert node.query("select count(*) from health_event where type = 'outage.closed'") == [["2"]], "told once each"


LAST_SECOND = """
insert into event (cell, id, at, message_id, recipient, kind, detail)
select o.cell, (((extract(epoch from e.at) * 1000)::bigint - 1704067200000) << 22) + n, e.at, 7, 'ann@small.test', k.kind, k.detail
  from outage o, lateral (select o.ended_at - interval '300 ms' as at) e,
       (values (1, 'held', 'readable in INBOX'), (2, 'uncertain', null), (3, 'delivered', null)) k (n, kind, detail) where o.domain = 'small.test'
"""


def test_one_that_follows_at_once(node, other):
    """What was held in the last second of the one before is counted there, and once."""
    def force(how):
        node.api.put(f"/v1/domains/{SMALL}/health", {"force": how, "reason": "x"})

    force("down")
    wait_until(lambda: pages(node.api, "/v1/outages", domain=SMALL), "it is open")
    force("none")
    wait_until(lambda: not pages(node.api, "/v1/outages", domain=SMALL, state="open"), "it is over")
    node.query(LAST_SECOND)
    force("down")
    (second,) = wait_until(lambda: pages(node.api, "/v1/outages", domain=SMALL, state="open"), "the next one is open")
    node.query(f"update outage o set started_at = (select max(ended_at) + interval '1 ms' from outage) where ended_at is null and domain = '{SMALL}'")
    hold(node, SMALL)
    counts = ("held", "drained", "remaining", "uncertain", "lost")
    now = node.api.get(f"/v1/outages/{second['id']}")
    assert [now[name] for name in counts] == [1, 0, 1, 0, 0]
    force("none")
    wait_until(lambda: other.messages and not pages(node.api, "/v1/outages", domain=SMALL, state="open"), "that is over, too")
    wait_until(lambda: node.api.get(f"/v1/outages/{second['id']}")["counted_at"], "its report is there")
    assert [node.api.get(f"/v1/outages/{second['id']}")[name] for name in counts] == [1, 1, 0, 0, 0]


def test_what_is_delivered_while_it_ends(node, other):
    """The statement that ends it waited: what was delivered meanwhile is drained, as it does not remain."""
    other.stop()
    hold(node, SMALL)
    (outage,) = pages(node.api, "/v1/outages", domain=SMALL, state="open")
    node.query("update queue_entry set worker = 1000, lease_until = now() + interval '1 hour'")  # so that nobody touches it
    node.query("with gone as (delete from queue_entry returning cell, id, message_id, recipient)"
               " insert into event (cell, id, at, message_id, recipient, kind)"
               " select cell, (((extract(epoch from now()) * 1000)::bigint - 1704067200000) << 22) + (cell << 14), now(), message_id, recipient,"
               " 'delivered' from gone")
    ((ended,),) = node.query(f"select outage_end(1, cell, domain_id, 'late', now() - interval '1 second') from outage where domain = '{SMALL}'")
    assert ended == "1"
    wait_until(lambda: node.api.get(f"/v1/outages/{outage['id']}")["counted_at"], "its report is there")
    over = node.api.get(f"/v1/outages/{outage['id']}")
    assert [over[name] for name in ("held", "drained", "remaining", "lost")] == [1, 1, 0, 0]


def test_a_late_holder_ends_no_other_outage(node, sink):
    sink.stop()
    hold(node, LARGE)
    ((cell, domain, outage),) = node.query("select cell, domain_id, id from outage where ended_at is null")
    end = f"select outage_end(1, {cell}::smallint, {domain}, 'late', now(), %s)"
    assert node.query(end % 5) == [["0"]]
    assert node.query("select id from outage where ended_at is null") == [[outage]]
    assert node.query(end % outage) == [["1"]] and node.query(end % outage) == [["0"]]


def test_a_database_that_fails_in_between(new_posthouse, own_postgres, sink):
    """The report is made later, once."""
    faulty = FaultyPostgres(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, settings={"delivery.probe_interval": "300ms", "database.statement_timeout": "500ms"}).start()
        node.api.customer("one")
        node.api.relay_domain(SMALL, "one", sink.port)
        node.api.account(f"ann@{SMALL}", "one")
        for statement, mode in STRUCK:
            sink.stop()
            hold(node, SMALL)
            fault = faulty.arm(statement, mode)
            sink.start()
            wait_until(lambda: fault.struck, f"{statement} {mode} struck", timeout=60)
            wait_until(lambda: not node.query("select 1 from outage where counted_at is null"), "the report is there", timeout=60)
        assert node.query("select held, drained, lost from outage") == [["1", "1", "0"]] * len(STRUCK)
        assert node.query("select count(*) from health_event where type = 'outage.closed'") == [[str(len(STRUCK))]]
        node.close()
    finally:
        faulty.close()
