"""The circuit breaker: what an account sends is held when its sending leaves its own pattern, and its owner and the administrator hear of it."""
import collections
import re
import smtplib

import pytest

from harness.faults import Fault, FaultyPostgres
from harness.posthouse import PASSWORD, make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.receiver import Receiver
from harness.requests import problem
from harness.sink import Behaviour

ANN, BOB, DAN, ABUSE = "ann@burst.test", "bob@burst.test", "dan@outside.test", "abuse@burst.test"
TOLD = "What your account sends is being held"
LEAST = {"messages": 5, "recipients": 1000, "failures": 1000, "factor": 2}


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()
    assert not receiver.bad


def prepare(node):
    node.api.customer("burst")
    node.api.hosted_domain("burst.test", "burst")
    for address in (ANN, BOB, ABUSE):
        node.api.account(address, "burst")


@pytest.fixture
def node(new_posthouse, outside):
    outside.clear()
    outside.behave = Behaviour()
    node = new_posthouse(default_route=outside.port, settings={"webhooks.networks": "127.0.0.0/8"})
    node.start()
    prepare(node)
    return node


def policy(node, **members):
    made = node.api.post("/v1/breaker-policies", {**LEAST, **members})
    node.wait_known()
    return made


def breaker(node, account=ANN):
    return node.api.get(f"/v1/breakers/{account}")


def queue(node, **filter):
    return node.api.get("/v1/queue", limit="500", **filter)["items"]


def burst(node, account=ANN, to=DAN, start=0):
    """Sends, over one connection, until something is held.  Returns the subjects, in order."""
    sent = []
    with node.submission(account) as client:
        def more():
            subject = f"n{start + len(sent)}"
            client.mail(account)
            assert client.rcpt(to)[0] == 250
            code, text = client.data(make_message(subject, sender=account))
            assert code == 250 and b"held" not in text, "the client is not told"
            sent.append(subject)
            return len(queue(node, account=account, held_by="breaker")) > before
        before = len(queue(node, account=account, held_by="breaker"))
        client.ehlo()
        wait_until(more, "something is held", interval=0.01)
    return sent


def subjects(outside):
    return [subject_of(message.data) for message in outside.messages]


def decide(node, action, **members):
    made = node.api.post("/v1/queue-actions", {"action": action, "account": ANN, "held_by": "breaker", **members})
    node.api.post(f"/v1/queue-actions/{made['id']}/start", {"count": made["count"]})
    wait_equal(lambda: node.api.get(f"/v1/queue-actions/{made['id']}")["state"], "done", "it is carried out")
    return made["count"]


def test_a_burst_is_held_and_told(node, outside, receiver):
    hook = node.api.post("/v1/webhooks", {"url": receiver.url + "/hook", "events": ["breaker.opened", "breaker.closed"]})
    receiver.secrets["/hook"] = hook["secret"]
    made = policy(node, customer="burst", notify=ABUSE)
    for number in range(3):
        node.submit(ANN, DAN, make_message(f"usual{number}", sender=ANN))
    wait_equal(lambda: breaker(node)["last_hour"]["messages"], 3, "they are counted")
    assert (breaker(node)["state"], breaker(node)["limits"]["messages"], breaker(node)["policy"]) == ("closed", 5, made["id"])
    sent = burst(node)
    open_ = breaker(node)
    assert (open_["state"], open_["measure"], open_["limit"]) == ("open", "messages", 5) and open_["value"] > 5
    assert node.api.get("/v1/breakers")["items"][0]["account"] == open_["account"]
    held = queue(node, account=ANN, held_by="breaker")
    assert [e["hold"]["approval"] for e in held] == [True] * len(held) and held[0]["hold"]["reason"] == open_["reason"]
    events = node.api.get(f"/v1/messages/{held[0]['message']}/events")["items"]
    assert any(e["kind"] == "held" and open_["reason"] in e["detail"] for e in events)
    # nothing is dropped: what is not held has gone
    wait_equal(lambda: len(outside.messages) + len(queue(node, account=ANN, held_by="breaker")), 3 + len(sent), "all of it is somewhere")
    assert len(outside.messages) >= 5, "up to the limit it went"
    # the owner is told, once, and reads it; so is who the policy names, and the log
    wait_equal(lambda: node.subjects(ANN), [TOLD], "its owner is told")
    assert f"{open_['value']} messages in an hour".encode() in node.inbox(ANN)[0]
    wait_equal(lambda: node.subjects(ABUSE), ["An account's mail is being held"], "the administrator is told")
    assert re.search(f'what an account sends is held.*address={ANN} measure=messages', node.log())
    metrics = node.api.request("GET", "/metrics")[2]
    assert re.search(r"^posthouse_breakers_opened_total 1$", metrics, re.M)
    check = node.api.post("/v1/relay-checks", {"account": ANN, "sender": ANN, "recipient": DAN})
    assert (check["verdict"], check["why"], check["reply"]["code"]) == ("held", "breaker", 250)
    wait_until(lambda: receiver.told, "webhooks are told")
    (told,) = receiver.told
    assert told.type == "breaker.opened" and (told.data["account"], told.data["measure"], told.data["limit"]) == (ANN, "messages", 5)
    # others send as before, and closing lets what comes later go
    node.submit(BOB, DAN, make_message("of bob", sender=BOB))
    wait_until(lambda: "of bob" in subjects(outside), "another's goes")
    now = node.api.patch(f"/v1/breakers/{ANN}", {"state": "closed"})
    assert now["state"] == "closed" and now["last_hour"]["messages"] == 0 and not node.api.get("/v1/breakers")["items"]
    problem(node, 409, "PATCH", f"/v1/breakers/{ANN}", {"state": "closed"})
    wait_equal(lambda: [told.type for told in receiver.told], ["breaker.opened", "breaker.closed"], "webhooks are told")
    before = len(queue(node, held_by="breaker"))

    def goes():
        node.submit(ANN, DAN, make_message("after", sender=ANN))
        return "after" in subjects(outside)
    wait_until(goes, "what comes later goes", interval=0.5)
    assert before <= len(queue(node, held_by="breaker")) <= before + 2
    # what is held is decided about by itself, and is delivered once
    decide(node, "release")
    wait_equal(lambda: collections.Counter(s for s in subjects(outside) if s[0] == "n"), collections.Counter(sent), "released, once each")
    assert node.subjects(ANN) == [TOLD]
    audited = node.query("select method, path from audit_log where path like '/v1/breakers/%' and status = 200")
    assert audited == [["PATCH", f"/v1/breakers/{ANN}"]]


def test_what_comes_back(node, outside):
    """Failures open it, though nothing more is sent."""
    policy(node, customer="burst", messages=1000, failures=3)
    outside.behave.other_recipients = "550 5.1.1 nobody"
    with node.submission(ANN) as client:
        client.ehlo()
        client.mail(ANN)
        for number in range(6):
            assert client.rcpt(f"x{number}@outside.test")[0] == 250
        client.data(make_message("to nobody", sender=ANN))
    wait_equal(lambda: breaker(node)["state"], "open", "it is opened")
    assert (breaker(node)["measure"], breaker(node)["limit"]) == ("failures", 3)
    outside.behave.other_recipients = "250 2.1.5 Ok"
    burst(node)
    # what an administrator rejects is no failure of its mail
    node.api.patch(f"/v1/breakers/{ANN}", {"state": "closed"})
    decide(node, "reject")
    wait_equal(lambda: queue(node, account=ANN), [], "it is rejected")
    assert breaker(node)["state"] == "closed"


def test_recipients_and_what_waits(node, outside):
    policy(node, domain="burst.test", messages=1000, recipients=20)
    outside.stop()
    for number in range(2):
        node.submit(ANN, DAN, make_message(f"waits{number}", sender=ANN))
    node.submit(BOB, DAN, make_message("of bob", sender=BOB))
    wait_equal(lambda: [e["state"] for e in queue(node)], ["waiting"] * 3, "all wait")
    wait_equal(lambda: breaker(node)["last_hour"]["messages"], 2, "they are counted")
    with node.submission(ANN) as client:
        client.ehlo()
        client.mail(ANN)
        for number in range(30):
            assert client.rcpt(f"x{number}@outside.test")[0] == 250
        client.data(make_message("many", sender=ANN))
    wait_equal(lambda: breaker(node)["measure"], "recipients", "it is opened")
    wait_equal(lambda: {e["hold"] and e["hold"]["by"] for e in queue(node, account=ANN)}, {"breaker"}, "what it has waiting is held")
    assert [e["state"] for e in queue(node, account=BOB)] == ["waiting"], "another's waits"
    outside.start()
    wait_equal(lambda: subjects(outside), ["of bob"], "it goes")
    assert decide(node, "cancel", bounce=False) == 32
    wait_equal(lambda: queue(node), [], "purged")
    assert subjects(outside) == ["of bob"] and node.subjects(ANN) == [TOLD], "and nobody is told"


def test_one_letter_to_many(node, outside):
    """The first of all that it sends is already too much: nothing of it goes."""
    policy(node, customer="burst", recipients=20)
    with node.submission(ANN) as client:
        client.ehlo()
        client.mail(ANN)
        for number in range(30):
            assert client.rcpt(f"x{number}@outside.test")[0] == 250
        assert client.data(make_message("many", sender=ANN))[0] == 250
    assert (breaker(node)["state"], breaker(node)["measure"], breaker(node)["value"]) == ("open", "recipients", 30)
    assert {entry["hold"]["by"] for entry in queue(node, account=ANN)} == {"breaker"} and len(queue(node, account=ANN)) == 30
    assert not outside.messages


def test_many_are_open(node, outside):
    """However many were opened before: the next is looked after at once."""
    policy(node, customer="burst")
    outside.stop()
    node.query("create temporary table made as select row_number() over () as n, a.* from account a, generate_series(1, 250) where a.address = "
               f"'{ANN}'; update made set id = id - (3600000 + n << 22), address = 'x' || n || '@burst.test';"  # milliseconds: an hour ago
               " alter table made drop column n; insert into account select * from made;"
               " insert into held_account (account_id, held_by, reason, hold_seconds, hold_then) select id, 'breaker', 'many', 3600, 'reject' from made;"
               " insert into breaker_open (account_id, measure, value, most, notice_id, told_at, looked_at)"
               " select id, 'messages', 9, 5, id, now(), now() + interval '1 hour' from made returning 1")
    node.submit(BOB, DAN, make_message("waits", sender=BOB))
    wait_equal(lambda: breaker(node, BOB)["last_hour"]["messages"], 1, "it is counted")
    burst(node, BOB)
    wait_equal(lambda: node.subjects(BOB), [TOLD], "its owner is told")
    wait_equal(lambda: {entry["hold"] and entry["hold"]["by"] for entry in queue(node, account=BOB)}, {"breaker"}, "what it has waiting is held")


def test_its_own_pattern(node, outside):
    """Who usually sends much may, and who was stopped wrongly is not stopped again."""
    policy(node)  # for everybody
    node.submit(ANN, DAN, make_message("first", sender=ANN))
    wait_equal(lambda: breaker(node)["last_hour"]["messages"], 1, "it is counted")
    node.query(f"update breaker_account set version = version + 1, usual_messages = 10, days = 9"
               f" where account_id = (select id from account where address = '{ANN}') returning 1")
    assert breaker(node)["limits"]["messages"] == 20 and breaker(node)["usual_hour"]["messages"] == 10
    for number in range(15):
        node.submit(ANN, DAN, make_message(f"much{number}", sender=ANN))
    wait_equal(lambda: breaker(node)["last_hour"]["messages"], 16, "they are counted")
    assert breaker(node)["state"] == "closed" and breaker(node)["days"] == 9
    burst(node, BOB)  # opens before anything of his is counted
    had = breaker(node, BOB)["value"]
    now = node.api.patch(f"/v1/breakers/{BOB}", {"state": "closed", "learn": True})
    assert now["usual_hour"]["messages"] >= 5 and now["limits"]["messages"] >= 10, had
    # an account's own policy goes before everybody's
    policy(node, account=BOB, enabled=False)
    wait_equal(lambda: breaker(node, BOB)["limits"], None, "nothing is asked of it")


def test_all_of_what_opened_it_is_learnt(node):
    """Messages open it, in less time than counts are written in; recipients are shown, and usual from then on, too."""
    policy(node, recipients=20)
    with node.submission(ANN) as client:
        client.ehlo()
        for number in range(8):
            client.mail(ANN)
            for recipient in range(3):
                client.rcpt(f"r{recipient}@outside.test")
            assert client.data(make_message(f"n{number}", sender=ANN))[0] == 250
    now = breaker(node)
    assert (now["state"], now["measure"]) == ("open", "messages")
    counted = now["last_hour"]["messages"]
    assert counted >= now["value"] and now["last_hour"]["recipients"] == 3 * counted
    closed = node.api.patch(f"/v1/breakers/{ANN}", {"state": "closed", "learn": True})
    assert closed["usual_hour"] == now["last_hour"] and closed["limits"]["recipients"] == 2 * 3 * counted


def pattern(name, number):
    """What a bot makes of one pattern, and what the account's owner writes meanwhile."""
    return make_message(f"Parcel {number} for {name}", sender=ANN, body=f"Dear {name},\n\nyour parcel {number} could not be delivered, as the fee of"
                        f" EUR {number} was not paid.\nPlease pay at https://parcel.example/pay/{name}{number} within two days, or it goes back.\n")


def test_what_is_alike_is_decided_about_together(node, outside):
    policy(node, customer="burst", messages=1)
    outside.stop()
    node.submit(ANN, DAN, pattern("first", 1))  # waits, and is held with the others
    wait_equal(lambda: breaker(node)["last_hour"]["messages"], 1, "it is counted")
    own = make_message("Friday", sender=ANN, body="Are you free on Friday? We could try the new place by the river.\n")
    burst(node, to="seed@outside.test")
    for number in range(6):
        node.submit(ANN, [DAN, f"x{number}@outside.test"], pattern(f"name{number}", 100 + 7 * number))
    node.submit(ANN, BOB, own)

    def groups():
        return {group["subject"]: group for group in node.api.get(f"/v1/breakers/{ANN}/groups")["items"]}
    wait_until(lambda: all(entry["group"] for entry in queue(node, account=ANN)) and len(queue(node, account=ANN)) > 13, "all is held and in a group")
    found = groups()
    (parcel,) = [group for subject, group in found.items() if subject.startswith("Parcel")]
    assert (parcel["messages"], parcel["recipients"]) == (7, 13), found
    assert (found["Friday"]["messages"], found["Friday"]["recipients"]) == (1, 1)
    assert node.api.get(f"/v1/breakers/{ANN}/groups", limit="1")["next_cursor"]
    entries = queue(node, group=parcel["id"])
    assert len(entries) == 13 and {entry["group"] for entry in entries} == {parcel["id"]}
    assert node.api.request("GET", f"/v1/messages/{parcel['message']}")[0] == 200
    problem(node, 422, "GET", "/v1/queue?group=x", None, field="group")
    # one group is purged, and nobody is told; another is released, and delivered once
    made = node.api.post("/v1/queue-actions", {"action": "cancel", "bounce": False, "group": parcel["id"]})
    assert made["count"] == 13 and made["filter"]["group"] == parcel["id"]
    node.api.post(f"/v1/queue-actions/{made['id']}/start", {"count": 13})
    wait_equal(lambda: queue(node, group=parcel["id"]), [], "they are gone")
    decide(node, "release", group=found["Friday"]["id"])
    wait_equal(lambda: node.subjects(BOB), ["Friday"], "what she wrote is there")
    assert list(groups()) == [subject for subject in found if not subject.startswith("Parcel") and subject != "Friday"]
    assert node.query("select count(*) from audit_log where path like '/v1/queue-actions%'") == [["4"]]
    # what is released, and waits, is in no group: whoever decides about that later does not mean it
    (seed, *_) = groups().values()
    decide(node, "release", group=seed["id"])
    released = wait_until(lambda: [entry for entry in queue(node, account=ANN) if entry["state"] != "held"], "it waits for its server")
    assert {entry["group"] for entry in released} == {None} and not queue(node, group=seed["id"])
    outside.start()
    wait_until(lambda: len(outside.messages) == seed["messages"], "it is delivered", timeout=60)
    assert not any(b"parcel" in message.data for message in outside.messages) and node.subjects(ANN) == [TOLD]


def test_it_closes_by_itself(node, outside, receiver):
    hook = node.api.post("/v1/webhooks", {"url": receiver.url + "/hook", "events": ["breaker.closed"]})
    receiver.secrets["/hook"] = hook["secret"]
    policy(node, customer="burst", open_seconds=2, then="release", hold_seconds=86400)
    burst(node)
    wait_equal(lambda: breaker(node)["state"], "closed", "its time is over")
    wait_equal(lambda: [(told.type, told.data["by"]) for told in receiver.told], [("breaker.closed", "time")], "webhooks are told")
    assert queue(node, held_by="breaker"), "what is held stays"


def test_a_mark_goes_before_it(node):
    policy(node, customer="burst")
    burst(node)
    listed = node.api.get("/v1/held-accounts")["items"]
    assert [(held["address"], held["by"], held["until"]) for held in listed] == [(ANN, "breaker", None)]
    node.api.post("/v1/held-accounts", {"account": ANN, "reason": "it is stolen", "then": "discard"})
    assert breaker(node)["state"] == "closed" and node.api.get(f"/v1/held-accounts/{ANN}")["by"] == "administrator"
    node.api.delete(f"/v1/held-accounts/{ANN}")
    node.wait_known()
    burst(node, start=100)
    node.api.delete(f"/v1/held-accounts/{ANN}")
    assert breaker(node)["state"] == "closed" and breaker(node)["last_hour"]["messages"] == 0, "as if it was closed"


@pytest.fixture
def nodes(new_posthouse, postgres, outside):
    """Two, of one database."""
    outside.clear()
    outside.behave = Behaviour()
    nodes = [new_posthouse(default_route=outside.port, settings={"daemon.hostname": f"node{number}.test"}) for number in range(2)]
    nodes[1].database = nodes[0].database
    nodes[1].write_config(database__conninfo=postgres.conninfo(nodes[0].database))
    nodes[0].start()
    nodes[1].start()
    nodes[1].token = nodes[0].token
    prepare(nodes[0])
    return nodes


def test_two_nodes_and_a_restart(nodes, outside):
    policy(nodes[0], customer="burst", messages=12)
    nodes[1].wait_known()
    for number in range(8):
        nodes[number % 2].submit(ANN, DAN, make_message(f"both{number}", sender=ANN))
    wait_equal(lambda: breaker(nodes[0])["last_hour"]["messages"], 8, "both count into one")
    assert breaker(nodes[1])["state"] == "closed"
    burst(nodes[0], start=100)
    assert breaker(nodes[1])["measure"] == "messages"

    def held_there():
        nodes[1].submit(ANN, DAN, make_message("there", sender=ANN))
        return queue(nodes[1], account=ANN, newer_than="2") and not [s for s in subjects(outside) if s == "never"]
    wait_until(held_there, "the other node holds it, too")
    for node in nodes:
        node.stop()
    nodes[1].start()
    before = len(queue(nodes[1], held_by="breaker"))
    assert breaker(nodes[1])["state"] == "open"
    nodes[1].submit(ANN, DAN, make_message("later", sender=ANN))
    assert len(queue(nodes[1], held_by="breaker")) == before + 1, "from the first message on"
    wait_until(lambda: nodes[1].subjects(ANN) == [TOLD], "once, whatever number of nodes")


def test_a_node_is_killed_meanwhile(nodes):
    """kill -9 when it has opened, and when one group is purged and another is released: told once, each decided about once."""
    first, second = nodes
    policy(first, customer="burst", messages=1)
    burst(first, to=ABUSE)
    first.kill()
    wait_equal(lambda: second.subjects(ANN), [TOLD], "its owner is told", timeout=60)
    own = "Are you free on Friday? We could try the new place by the river, the one that Olga spoke of.\n"
    with second.submission(ANN) as client:
        client.ehlo()
        for number in range(80):
            client.mail(ANN)
            client.rcpt(BOB)
            assert client.data(pattern(f"name{number}", 7 * number) if number % 2 else make_message(f"Friday {number}", sender=ANN, body=own))[0] == 250
    wait_until(lambda: all(entry["group"] for entry in queue(second, account=ANN)), "all is in groups", timeout=60)
    groups = {group["subject"].split()[0]: group for group in second.api.get(f"/v1/breakers/{ANN}/groups")["items"]}
    assert (groups["Parcel"]["messages"], groups["Friday"]["messages"]) == (40, 40)
    first.start()
    made = [second.api.post("/v1/queue-actions", {"group": groups[word]["id"], **action}) for word, action in (
        ("Parcel", {"action": "cancel", "bounce": False}), ("Friday", {"action": "release"}))]
    for action in made:
        second.api.post(f"/v1/queue-actions/{action['id']}/start", {"count": 40})
    first.kill()
    wait_equal(lambda: [second.api.get(f"/v1/queue-actions/{action['id']}")["state"] for action in made], ["done"] * 2, "carried out", timeout=60)
    wait_equal(lambda: sorted(second.subjects(BOB)), sorted(f"Friday {number}" for number in range(0, 80, 2)), "released, once each", timeout=60)
    assert second.query("select count(*), count(distinct message_id) from event where kind = 'cancelled'") == [["40", "40"]]
    assert not [entry for entry in queue(second, account=ANN) if entry["recipient"] == BOB]
    assert second.subjects(ANN) == [TOLD], "and of what is purged nobody is told"


STRUCK = ("breaker_read", "breaker_write_new", "breaker_write", "breaker_open", "breaker_work", "breaker_notice_there", "breaker_told", "breaker_walk",
          "breaker_hold_waiting", "breaker_looked", "similar_ungrouped", "similar_lock", "similar_make", "similar_join")
STRUCK_BY_CLOSING = ("breaker_forget", "breaker_close")


class Several(FaultyPostgres):
    """Strikes each of several statements, once."""

    def __init__(self, postgres):
        self.armed = {}
        super().__init__(postgres)

    def arm(self, statement, mode):
        with self._lock:
            self.armed[statement] = Fault(statement, mode)
            return self.armed[statement]

    def meet(self, statement):
        with self._lock:
            fault = self.armed.pop(statement, None)
            if fault:
                fault.struck = True
            return fault


@pytest.mark.slow
@pytest.mark.faults
def test_faults(own_postgres, new_posthouse, outside):
    """Each statement fails, in each way, once: what the account sends is held all the same, once, and its owner is told once."""
    outside.clear()
    outside.stop()  # so that all of it stays, and something waits
    faulty = Several(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, default_route=outside.port, settings={"daemon.workers": 1, "database.statement_timeout": "500ms"})
        node.start()
        prepare(node)
        policy(node, customer="burst")
        for mode in ("refused", "cut", "lost"):  # silence ends as a cut
            account = f"{mode}@burst.test"
            node.api.account(account, "burst")
            faults, taken = [faulty.arm(statement, mode) for statement in STRUCK], []

            def send(account=account, taken=taken):
                code, _ = submit_once(node, account, "again")
                taken += [1] * (code == 250)
                return node.api.request("GET", f"/v1/breakers/{account}")[2].get("state") == "open" and len(taken) > 6
            wait_until(send, f"{mode}: it is opened, whatever counts were lost", timeout=60)
            wait_equal(lambda faults=faults: [fault.statement for fault in faults if not fault.struck], [], f"{mode}: all are met", timeout=60)

            def all_held(account=account, taken=taken):
                return sorted(e["state"] for e in queue(node, account=account)), len(taken)
            # "lost", "silent": the client was told to send again, and so has sent twice; never less than once
            wait_until(lambda: (lambda states, n: set(states) == {"held"} and len(states) >= n)(*all_held()), f"{mode}: all of it is held", timeout=90)
            wait_equal(lambda account=account: node.subjects(account), [TOLD], f"{mode}: told once", timeout=60)
            wait_equal(lambda account=account: len({e["group"] for e in queue(node, account=account)} - {None}), 1, f"{mode}: in one group", timeout=60)
            faults = [faulty.arm(statement, mode) for statement in STRUCK_BY_CLOSING]

            def closed(account=account):
                status = node.api.request("PATCH", f"/v1/breakers/{account}", {"state": "closed"})[0]
                assert status in (200, 409, 503)
                return status == 409  # it is closed
            wait_until(closed, f"{mode}: it is closed", timeout=60)
            assert all(fault.struck for fault in faults)
        node.close()
    finally:
        faulty.close()
        outside.start()


def submit_once(node, account, subject):
    with node.submission() as client:
        client.ehlo()
        try:
            client.login(account, PASSWORD)
            client.mail(account)
            client.rcpt(DAN)
            return client.data(make_message(subject, sender=account))
        except smtplib.SMTPException as error:
            return 451, str(error)
