"""Valid recipients of a relay domain that are learned from its primary, and frozen while it is away."""
import threading
import time

import pytest

from harness.posthouse import make_message
from harness.process import free_port, wait_equal, wait_until
from harness.requests import problem
from harness.sink import Behaviour, Sink

DOMAIN = "learned.test"
ANN, BOB, NOBODY = (f"{name}@{DOMAIN}" for name in ("ann", "bob", "nobody"))
NO = "550 5.1.1 no such user"
LEARNED = f"/v1/domains/{DOMAIN}/learned-recipients"


def knows(*addresses, **more):
    """A primary that knows these."""
    return Behaviour(recipient_replies={address: "250 2.1.5 Ok" for address in addresses}, other_recipients=NO, **more)


@pytest.fixture(scope="module")
def module_node(postgres, certificate, outside):
    from conftest import _close, _node
    node = _node(postgres, certificate, default_route=outside.port, settings={
        "delivery.probe_interval": "300ms", "recipients.probe_timeout": "2s", "recipients.learned_max": 20})
    try:
        node.start()
        node.api.customer("learning")
        yield node
    finally:
        _close(node)


@pytest.fixture
def node(module_node, sink):
    """With learned.test, whose primary is `sink` and knows ann and bob."""
    sink.behave = knows(ANN, BOB)
    make_domain(module_node, sink.port)
    yield module_node
    module_node.query("delete from queue_entry")
    module_node.query("update outage set ended_at = now() where ended_at is null")
    for alias in module_node.api.get("/v1/aliases", domain=DOMAIN)["items"]:
        module_node.api.delete(f"/v1/aliases/{alias['id']}")
    for account in module_node.api.get("/v1/accounts", domain=DOMAIN)["items"]:
        module_node.api.delete(f"/v1/accounts/{account['id']}")
    module_node.api.delete(f"/v1/domains/{DOMAIN}")


def make_domain(node, *ports, **more):
    hops = [{"host": "127.0.0.1", "port": port, "priority": 10 * (place + 1)} for place, port in enumerate(ports)]
    return node.api.post("/v1/domains", {"name": DOMAIN, "customer": "learning", "kind": "relay", "recipients": "learned",
                                         "next_hops": hops, **more})


def rcpt(node, recipient):
    with node.smtp() as session:
        session.ehlo("client.test")
        session.mail("joe@outside.test")
        code, text = session.rcpt(recipient)
        return code, text.split()[0].decode()


def check(node, recipient):
    told = node.api.post("/v1/relay-checks", {"sender": "joe@outside.test", "recipient": recipient})
    return told["why"], told["reply"]["code"]


def learned(node, **query):
    return {item["address"]: item["valid"] for item in node.api.get(LEARNED, **query)["items"]}


def asked(sink):
    return [address for _, address in sink.asked if not address.startswith("no-such-user-")]


def teach(node, **addresses):
    """In the database: name -> valid, as learned eight days ago for seven."""
    for name, valid in addresses.items():
        node.query("insert into recipient_learned (cell, domain_id, address, valid, learned_at, until) select cell, id,"
                   f" '{name}@{DOMAIN}', {valid}, now() - interval '8 days', now() - interval '1 day' from domain"
                   f" where name = '{DOMAIN}' on conflict (cell, domain_id, address) do update"
                   " set valid = excluded.valid, learned_at = excluded.learned_at, until = excluded.until")


OK, UNKNOWN, LATER = (250, "2.1.5"), (550, "5.1.1"), (451, "4.4.1")


# ------------------------------------------------------------------ asking


def test_the_primary_is_asked_once(node, sink):
    assert rcpt(node, ANN) == OK and rcpt(node, NOBODY) == UNKNOWN
    wait_equal(lambda: learned(node), {ANN: True, NOBODY: False}, "it is learned")
    assert {sender for sender, _ in sink.asked} == {""} and not sink.messages
    for _ in range(3):
        assert rcpt(node, "Ann@Learned.test") == OK and rcpt(node, NOBODY) == UNKNOWN
    assert check(node, ANN) == ("relay-domain", 250) and check(node, NOBODY) == ("unknown-to-primary", 550)
    assert sorted(asked(sink)) == [ANN, NOBODY]
    assert learned(node, valid="true") == {ANN: True} and learned(node, valid="false") == {NOBODY: False}
    assert node.api.get(f"{LEARNED}/{ANN}")["until"] > node.api.get(f"{LEARNED}/{NOBODY}")["until"]
    assert node.api.get(f"/v1/domains/{DOMAIN}")["primary_accepts_all"] is False
    assert node.query("select count(*) from directory_change where number > 1000") == [["0"]]
    status, _, metrics = node.api.request("GET", "/metrics")
    assert "posthouse_recipient_probes_total" in metrics


def rcpt_utf8(node, recipient):
    with node.smtp() as session:
        session.ehlo("client.test")
        session.command_encoding = "utf-8"
        assert session.docmd("MAIL FROM:<joe@outside.test> SMTPUTF8")[0] == 250
        code, text = session.docmd(f"RCPT TO:<{recipient}>")
        return code, text.split()[0].decode()


def test_an_address_that_is_not_ascii(node, sink):
    """It is asked for with SMTPUTF8, and is known whichever way it is written; where that is not offered it cannot exist."""
    jose, decomposed = f"jos\u00e9@{DOMAIN}", f"Jose\u0301@{DOMAIN}"
    assert rcpt_utf8(node, jose) == UNKNOWN
    assert jose not in asked(sink), "it could not be asked"
    wait_equal(lambda: learned(node), {jose: False}, "it is learned")
    sink.stop()  # the connection that is kept knows what was offered
    sink.behave = knows(jose, extensions=Behaviour().extensions + ("SMTPUTF8",))
    sink.start()
    node.api.delete(LEARNED)
    wait_until(lambda: rcpt_utf8(node, jose) == OK, "the other worker has forgotten, too")
    count = len(asked(sink))
    wait_equal(lambda: learned(node), {jose: True}, "it is learned")
    assert rcpt_utf8(node, decomposed) == OK and len(asked(sink)) == count


def test_the_dry_run_asks_too(node, sink):
    assert check(node, BOB) == ("relay-domain", 250) and check(node, NOBODY) == ("unknown-to-primary", 550)
    assert sorted(asked(sink)) == [BOB, NOBODY]


def test_what_is_in_memory_costs_no_round_trip(node, sink):
    with node.smtp() as session:
        session.ehlo("client.test")
        session.mail("joe@outside.test")
        session.rcpt(ANN)
        wait_until(lambda: learned(node), "it is learned")
        wait_until(lambda: session.rcpt(ANN)[0] == 250 and in_memory(node, session), "it is in memory", timeout=30)


def in_memory(node, session):
    """A RCPT is answered and no look-up asked PostgreSQL."""
    def misses():
        _, _, text = node.api.request("GET", "/metrics")
        return next(line for line in text.splitlines() if line.startswith("posthouse_cache_misses_total"))
    time.sleep(0.6)  # counters are shown twice a second
    before = misses()
    assert session.rcpt(ANN)[0] == 250
    time.sleep(0.6)
    return misses() == before


def test_many_ask_the_same_over_few_connections(node, sink):
    results = []
    threads = [threading.Thread(target=lambda name=name: results.append(rcpt(node, name)))
               for name in [ANN] * 10 + [f"no{number}@{DOMAIN}" for number in range(10)]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [OK] * 10 + [UNKNOWN] * 10
    assert len([name for name in asked(sink) if name != ANN]) == 10
    assert sink.connections <= 2 * len([*node.family()])


def test_known_here_is_not_asked(node, sink):
    node.api.account(f"reader@{DOMAIN}", "learning")
    node.api.post(f"/v1/domains/{DOMAIN}/recipients", {"address": f"pinned@{DOMAIN}"})
    node.api.post("/v1/aliases", {"address": f"both@{DOMAIN}", "targets": [ANN, NOBODY]})
    for name in ("reader", "pinned", "both", "reader+x"):
        assert rcpt(node, f"{name}@{DOMAIN}") == OK
    assert sink.asked == []
    assert rcpt(node, f"ann+x@{DOMAIN}") == UNKNOWN  # whether it takes subaddresses is the primary's business


def test_who_may_not_send_does_not_make_us_ask(node, sink):
    node.api.patch("/v1/customers/learning", {"state": "suspended"})
    assert rcpt(node, ANN) == (550, "5.2.1")
    node.api.patch("/v1/customers/learning", {"state": "active"})
    assert sink.asked == []


# ------------------------------------------------------------------ what is no answer


@pytest.mark.parametrize("behave", [
    Behaviour(other_recipients="450 4.2.0 greylisted"), Behaviour(other_recipients="550 5.7.1 we do not like you"),
    Behaviour(other_recipients="554 no"), Behaviour(mail_reply="550 5.1.8 no null sender here"), Behaviour(cut_at="rcpt"),
    Behaviour(banner="554 5.3.2 no service"), Behaviour(other_recipients="421 4.3.2 shutting down"),
    Behaviour(mail_reply="450 4.7.0 later", extensions=())], ids=lambda b: "x")
def test_no_answer(node, sink, behave):
    teach(node, ann=True, old=False)
    sink.behave = behave
    assert rcpt(node, BOB) == LATER
    assert rcpt(node, ANN) == OK and check(node, ANN)[0] == "frozen"
    assert rcpt(node, f"old@{DOMAIN}") == UNKNOWN
    assert learned(node) == {ANN: True, f"old@{DOMAIN}": False}


def test_a_silent_primary_is_waited_for_a_while(node, sink):
    sink.behave.silent_at = "rcpt"
    began = time.monotonic()
    assert rcpt(node, ANN) == LATER
    assert time.monotonic() - began < 15
    sink.behave.silent_at = ""
    sink.hold.set()
    wait_until(lambda: rcpt(node, ANN) == OK, "the next try is answered", timeout=30)


def test_without_pipelining(node, sink):
    sink.behave = knows(ANN, extensions=("8BITMIME",))
    assert rcpt(node, ANN) == OK and rcpt(node, NOBODY) == UNKNOWN and rcpt(node, BOB) == UNKNOWN


def test_an_idle_connection_that_was_cut(node, sink):
    assert rcpt(node, ANN) == OK
    sink.stop()
    sink.start()
    assert rcpt(node, NOBODY) == UNKNOWN


# ------------------------------------------------------------------ an outage


def begin_outage(node, sink):
    sink.stop()
    node.api.account(f"reader@{DOMAIN}", "learning")
    node.send("joe@outside.test", f"reader@{DOMAIN}", make_message("begins an outage"))
    wait_until(lambda: node.api.get(f"/v1/domains/{DOMAIN}")["outage"], "there is an outage", timeout=30)


def test_an_outage_freezes_what_is_known(node, sink):
    sink.behave = knows(ANN, BOB, f"reader@{DOMAIN}")
    assert rcpt(node, ANN) == OK and rcpt(node, NOBODY) == UNKNOWN
    wait_until(lambda: len(learned(node)) == 2, "it is learned")
    begin_outage(node, sink)
    teach(node, ann=True, nobody=False)  # both past their time
    node.query("update domain set name = name")  # what is in memory is dropped
    wait_equal(lambda: (check(node, ANN), check(node, NOBODY), check(node, BOB)),
               (("frozen", 250), ("unknown-to-primary", 550), ("unverified", 451)), "frozen")
    assert rcpt(node, ANN) == OK and rcpt(node, NOBODY) == UNKNOWN and rcpt(node, BOB) == LATER
    node.send("joe@outside.test", ANN, make_message("waits for ann"))
    node.api.patch(f"/v1/domains/{DOMAIN}", {"unknown_while_away": "accept"})
    assert rcpt(node, BOB) == OK and check(node, BOB)[0] == "unverified"
    assert rcpt(node, NOBODY) == UNKNOWN
    sink.start()
    wait_until(lambda: [m.recipients for m in sink.messages] == [[f"reader@{DOMAIN}"], [ANN]], "what waited is delivered", timeout=60)
    wait_until(lambda: not node.api.get(f"/v1/domains/{DOMAIN}")["outage"], "the outage is over", timeout=60)
    wait_until(lambda: rcpt(node, BOB) == OK and BOB in learned(node), "asked again", timeout=30)


# ------------------------------------------------------------------ a primary that takes everything


def test_a_primary_that_takes_everything(node, sink):
    sink.behave = Behaviour()
    assert rcpt(node, ANN) == OK
    wait_equal(lambda: node.api.get(f"/v1/domains/{DOMAIN}")["primary_accepts_all"], True, "it is found out")
    assert learned(node) == {}
    wait_until(lambda: node.query("select 1 from recipient_probe"), "noted")
    count = len(sink.asked)
    for number in range(5):
        assert rcpt(node, f"any{number}@{DOMAIN}") == OK
    assert len(sink.asked) == count
    node.send("joe@outside.test", f"any@{DOMAIN}", make_message("taken"))
    wait_until(lambda: sink.messages, "it is delivered")

    sink.behave = knows(ANN)  # it has changed; the first refusal tells
    node.send("joe@outside.test", NOBODY, make_message("refused"))
    wait_equal(lambda: node.api.get(f"/v1/domains/{DOMAIN}")["primary_accepts_all"], False, "one refusal shows it", timeout=30)
    assert learned(node) == {NOBODY: False}
    wait_until(lambda: rcpt(node, BOB) == UNKNOWN, "it is asked again", timeout=30)


# ------------------------------------------------------------------ deliveries, age, bounds


def test_deliveries_teach(node, sink):
    node.api.post("/v1/aliases", {"address": f"both@{DOMAIN}", "targets": [ANN, NOBODY]})
    node.send("joe@outside.test", f"both@{DOMAIN}", make_message("to both"))
    wait_equal(lambda: learned(node), {ANN: True, NOBODY: False}, "both were told by delivering", timeout=30)
    assert [sender for sender, _ in sink.asked] == ["joe@outside.test"] * 2
    wait_until(lambda: [t["address"] for t in node.api.post("/v1/relay-checks", {
        "sender": "joe@outside.test", "recipient": f"both@{DOMAIN}"})["targets"]] == [ANN], "who is not there is left out")


def test_a_stand_in_teaches_nothing(node, sink):
    node.api.delete(f"/v1/domains/{DOMAIN}")
    with Sink() as stand_in:
        make_domain(node, free_port(), stand_in.port, unknown_while_away="accept")
        assert rcpt(node, ANN) == OK and check(node, ANN)[0] == "unverified"
        node.send("joe@outside.test", ANN, make_message("to the stand-in"))
        wait_until(lambda: stand_in.messages, "it is delivered")
        assert stand_in.asked == [("joe@outside.test", ANN)]
        time.sleep(1.5)  # longer than it takes to write what was learned
        assert learned(node) == {}


def test_asked_again_before_it_ends(node, sink):
    teach(node, ann=True)
    node.query("update recipient_learned set until = now() + interval '1 day'")
    node.query("update domain set name = name")
    before = node.api.get(f"{LEARNED}/{ANN}")["until"]
    assert rcpt(node, ANN) == OK
    wait_until(lambda: node.api.get(f"{LEARNED}/{ANN}")["until"] > before, "it is renewed")
    assert asked(sink) == [ANN]


def test_past_its_time_it_is_asked_for(node, sink):
    teach(node, ann=False, nobody=True)
    assert rcpt(node, ANN) == OK and rcpt(node, NOBODY) == UNKNOWN
    wait_equal(lambda: learned(node), {ANN: True, NOBODY: False}, "it is learned anew")


def test_bounds(node, sink):
    names = [f"user{number:02}@{DOMAIN}" for number in range(30)]
    sink.behave = knows(*names)
    for name in names:
        assert rcpt(node, name) == OK
    for number in range(5):
        assert rcpt(node, f"no{number}@{DOMAIN}") == UNKNOWN
    assert len(learned(node, valid="true")) == 20 and len(learned(node, valid="false")) == 2
    assert rcpt(node, names[-1]) == OK  # asked for each time


def test_forgetting(node, sink):
    assert rcpt(node, ANN) == OK and rcpt(node, BOB) == OK
    wait_until(lambda: len(learned(node)) == 2, "it is learned")
    page = node.api.get(LEARNED, limit=1)
    assert [item["address"] for item in page["items"]] == [ANN]
    assert list(learned(node, cursor=page["next_cursor"])) == [BOB]
    sink.behave = knows(BOB)
    assert rcpt(node, ANN) == OK
    node.api.delete(f"{LEARNED}/{ANN}")
    assert rcpt(node, ANN) == UNKNOWN
    wait_until(lambda: learned(node).get(ANN) is False, "it is learned, a moment after the reply")
    node.api.delete(LEARNED)
    assert learned(node) == {} and node.api.get(f"/v1/domains/{DOMAIN}")["primary_accepts_all"] is None
    assert rcpt(node, BOB) == OK
    problem(node, 404, "DELETE", f"{LEARNED}/x@{DOMAIN}")
    problem(node, 404, "GET", f"{LEARNED}/x@{DOMAIN}")
    problem(node, 422, "GET", f"{LEARNED}?valid=maybe", field="valid")
    problem(node, 422, "PATCH", f"/v1/domains/{DOMAIN}", {"unknown_while_away": "bounce"}, field="unknown_while_away")


def test_other_nodes_know(node, sink, new_posthouse, postgres):
    other = new_posthouse()
    other.database, other.token = node.database, node.token
    other.write_config(database__conninfo=postgres.conninfo(node.database))
    assert rcpt(node, ANN) == OK and rcpt(node, NOBODY) == UNKNOWN
    wait_until(lambda: len(learned(node)) == 2, "it is learned")
    other.start()
    assert rcpt(other, ANN) == OK and rcpt(other, NOBODY) == UNKNOWN
    assert sorted(asked(sink)) == [ANN, NOBODY]
    sink.behave = knows(NOBODY)
    other.api.delete(LEARNED)
    wait_until(lambda: rcpt(node, ANN) == UNKNOWN and rcpt(node, NOBODY) == OK, "what another node forgot is asked for", timeout=5)
    other.stop()


def test_a_split_domain_learns_the_rest(node, sink):
    domain = "split.learned.test"
    sink.behave = knows(f"rest@{domain}")
    node.api.post("/v1/domains", {"name": domain, "customer": "learning", "kind": "hosted", "recipients": "learned",
                                  "next_hops": [{"host": "127.0.0.1", "port": sink.port}]})
    node.api.account(f"ann@{domain}", "learning")
    node.api.post("/v1/domains", {"name": "second.learned.test", "customer": "learning", "kind": "alias", "target": domain})
    assert [check(node, f"{name}@{domain}")[0] for name in ("ann", "rest", "no")] == ["hosted", "elsewhere", "unknown-to-primary"]
    assert rcpt(node, "rest@second.learned.test") == OK and rcpt(node, "no@second.learned.test") == UNKNOWN
    assert sorted(asked(sink)) == [f"no@{domain}", f"rest@{domain}"]
    node.api.delete("/v1/domains/second.learned.test")
    node.api.delete(f"/v1/accounts/ann@{domain}")
    node.api.delete(f"/v1/domains/{domain}")
