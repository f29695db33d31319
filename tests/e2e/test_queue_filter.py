"""What waits, found by whose it is, where it goes, how old it is and what it waits for."""
import datetime

import pytest

from harness.posthouse import ROOT, make_message
from harness.process import wait_equal, wait_until
from harness.requests import problem

BOTH = [f"{name}@{domain}.test" for domain in ("one", "two") for name in ("ann", "bob")]


@pytest.fixture(scope="module")
def node(posthouse):
    """Two dead destinations of two customers, mail of three senders for each."""
    node = posthouse
    for name in ("one", "two"):
        node.api.customer(name)
        node.api.relay_domain(f"{name}.test", name, 9)
    node.send("Jim@Sender.test", BOTH, make_message("of jim"))
    node.send("", BOTH[:1], make_message("of nobody"))
    node.send("kim@sender.test", BOTH[2:], make_message("of kim"))
    node.api.relay_domain("xn--bcher-kva.test", "one", 9)
    node.send("jim@sender.test", ["ann@xn--bcher-kva.test"], make_message("in letters"))
    wait_until(lambda: all(entry["state"] == "waiting" for entry in node.api.get("/v1/queue")["items"]), "all wait")
    return node


def found(node, **query):
    """(sender, recipient) of all pages, one entry on each."""
    entries, cursor = [], None
    while True:
        page = node.api.get("/v1/queue", limit=1, **query, **({"cursor": cursor} if cursor else {}))
        entries += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            ids = [entry["id"] for entry in entries]
            assert ids == sorted(set(ids)), "in order, none twice"
            return [(entry["sender"].lower(), entry["recipient"]) for entry in entries]


JIM, KIM, NOBODY = "jim@sender.test", "kim@sender.test", ""
LETTERS = (JIM, "ann@xn--bcher-kva.test")
ALL = sorted([(JIM, to) for to in BOTH] + [(NOBODY, BOTH[0])] + [(KIM, to) for to in BOTH[2:]] + [LETTERS])


@pytest.mark.parametrize("query, expected", [
    ({}, ALL),
    ({"domain": "ONE.test"}, [pair for pair in ALL if "@one." in pair[1]]),
    ({"domain": "bücher.test"}, [LETTERS]),
    ({"domain": "nowhere.test"}, []),
    ({"sender": "JIM@sender.test"}, [pair for pair in ALL if pair[0] == JIM]),
    ({"sender": "<>"}, [(NOBODY, BOTH[0])]),
    ({"customer": "two"}, [pair for pair in ALL if "@two." in pair[1]]),
    ({"state": "waiting"}, ALL),
    ({"state": "held"}, []),
    ({"state": "active"}, []),
    ({"older_than": "0"}, ALL),
    ({"older_than": "3600"}, []),
    ({"newer_than": "3600"}, ALL),
    ({"newer_than": "2099-01-01T00:00:00Z"}, []),
    ({"older_than": "2099-01-01T00:00:00Z", "sender": KIM, "domain": "two.test"}, [(KIM, to) for to in BOTH[2:]]),
    ({"sender": KIM, "domain": "one.test"}, []),
])
def test_filters(node, query, expected):
    assert sorted(found(node, **query)) == expected


def test_destination_and_state(node):
    entries = node.api.get("/v1/queue", domain="two.test")["items"]
    key = entries[0]["destination"]
    assert key.startswith("domain:")
    assert sorted(found(node, destination=key)) == [pair for pair in ALL if "@two." in pair[1]]
    until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    node.api.post(f"/v1/queue/{entries[0]['id']}/hold", {"until": until, "then": "release", "reason": "a look at it"})
    pair = (entries[0]["sender"].lower(), entries[0]["recipient"])
    assert found(node, state="held") == [pair] == found(node, state="held", customer="two")
    assert found(node, state="held", customer="one") == []
    assert sorted(found(node, state="waiting") + [pair]) == ALL
    node.api.post(f"/v1/queue/{entries[0]['id']}/release", None)
    wait_equal(lambda: found(node, state="held"), [], "it is released")


def test_what_moves_meanwhile(node):
    """A page begins behind the last one's id: what is gone is not missed, and nothing comes twice."""
    first = node.api.get("/v1/queue", limit=3)
    rest = node.api.get("/v1/queue", cursor=first["next_cursor"], limit=1000)
    node.query(f"delete from queue_entry where id = (select max(id) from queue_entry where id <= {number(first['items'][2]['id'])}"
               " and sender = 'nobody@there.test')")
    again = node.api.get("/v1/queue", cursor=first["next_cursor"], limit=1000)
    assert [entry["id"] for entry in again["items"]] == [entry["id"] for entry in rest["items"]]
    assert rest["next_cursor"] is None and len(first["items"]) + len(rest["items"]) == len(ALL)


def number(text):
    return sum("0123456789abcdefghjkmnpqrstvwxyz".index(letter) << 5 * place for place, letter in enumerate(reversed(text)))


@pytest.mark.parametrize("query, field", [
    ("domain=not_a_domain", "domain"), ("sender=", "sender"), ("state=asleep", "state"), ("customer=nobody", "customer"),
    ("older_than=yesterday", "older_than"), ("older_than=-1", "older_than"), ("newer_than=", "newer_than"),
    ("newer_than=99999999999999999999", "newer_than"),
])
def test_refused(node, query, field):
    problem(node, 422, "GET", f"/v1/queue?{query}", field=field)


def test_rows_from_before(new_posthouse):
    """What was accepted before the migration is found like the rest: it is filled in from the messages."""
    node = new_posthouse(default_route=9)
    node.start()
    node.api.customer("old")
    node.api.relay_domain("old.test", "old", 9)
    node.send("Old@Sender.test", ["ann@old.test"], make_message("old"))
    wait_until(lambda: found(node, state="waiting"), "it waits")
    node.query("update queue_entry set sender = null, customer_id = null")
    assert found(node, sender="old@sender.test") == found(node, customer="old") == []
    text = (ROOT / "schema/0025_queue_filter.sql").read_text()
    node.query(text[text.index("update queue_entry"):text.index("create index")])
    assert found(node, sender="old@sender.test") == found(node, customer="old") == [("old@sender.test", "ann@old.test")]


def test_pages_do_not_walk_through_the_queue(new_posthouse):
    """What was planned while nothing waited, and was known to be nothing, reads a page of 20,000 as one of a hundred."""
    node = new_posthouse(settings={"daemon.workers": 1, "delivery.probe_interval": "1h"}).start()
    node.api.customer("many")
    node.api.relay_domain("dead.test", "many", 9)
    node.query("analyze queue_entry, message, destination")
    filters = [{}, {"sender": "joe@outside.test"}, {"domain": "dead.test"}, {"customer": "many"}, {"destination": "default"}, {"state": "active"},
               {"state": "held"}, {"held_by": "limit"}, {"message": "0000000000001"}, {"state": "suspended"}, {"older_than": "60"}]

    held, asked = "indexrelname = 'queue_entry_by_hold'", []

    def ask():
        for query in filters:
            node.api.get("/v1/queue", **query)
        asked.append(1)

    def read():
        return [int(number) for number in node.query(
            f"select pg_stat_clear_snapshot(), sum(idx_tup_read) filter (where not {held}), sum(idx_tup_read) filter (where {held}),"
            " sum(idx_scan) filter (where indexrelname = 'queue_entry_by_sender') from pg_stat_user_indexes where relname = 'queue_entry'")[0][1:]]

    def told():
        """All that went before is in the numbers: what comes behind it is."""
        scans = read()[2]
        wait_until(lambda: ask() or read()[2] > scans, "it is told")
        return read()
    ask()
    node.send("joe@outside.test", "ann@dead.test", make_message("waits"))
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is null"), [["1"]], "it waits")
    node.query("create temporary table made as select n, q.cell, q.message_id, q.id - ((n + 10000000)::bigint << 22) as made from queue_entry q,"
               " generate_series(1, 20000) n;"
               " insert into message (cell, id, customer_id, sender, size, received_at, protocol)"
               " select m.cell, made, m.customer_id, m.sender, 10, now(), 'ESMTP' from made join message m on m.id = made.message_id;"
               " insert into queue_entry (cell, id, message_id, recipient, destination, domain_id, due_at, expires_at, sender, customer_id,"
               " held_until, held_by, held_reason, held_then)"
               " select q.cell, made, made, 'user' || n || '@dead.test', q.destination, q.domain_id, q.due_at, q.expires_at, q.sender, q.customer_id,"
               " case when n % 2 = 0 then now() + interval '1 day' end, case when n % 2 = 0 then 'limit' end, case when n % 2 = 0 then 'x' end,"
               " case when n % 2 = 0 then 'release' end from made, queue_entry q")
    assert len(node.api.get("/v1/queue", sender="joe@outside.test", limit=1000)["items"]) == 1000
    asked.clear()
    before = told()
    for _ in range(60):
        ask()
    others, by_hold, _ = (now - then for now, then in zip(told(), before))
    assert others / len(asked) < 2100 * 5, "a page looks at 2,000"
    # What is held is walked through for its readers' folders meanwhile (daemon/held_folders.c), 2,000 in 0.7 seconds.
    assert by_hold / len(asked) < 2100 * 4, "so does one of what is held, and not at all 10,000"
