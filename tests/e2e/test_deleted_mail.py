"""Mail whose reader deletes his copy before the primary has it: delivered, not delivered, or somebody is asked; and what copies say."""
import datetime
import imaplib

import pytest

from harness.faults import FaultyPostgres
from harness.posthouse import make_message, subject_of
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour, Sink

ERIN = "erin@reader.test"
POLICY = "/v1/domains/reader.test/continuity-policy"


def set_up(node, sink, **policy):
    node.start()
    node.api.customer("reader")
    node.api.relay_domain("reader.test", "reader", sink.port)
    node.api.account(ERIN, "reader")
    node.api.post("/v1/aliases", {"address": "also@reader.test", "targets": [ERIN]})
    if policy:
        node.api.put(POLICY, policy)
    return node


@pytest.fixture
def make(new_posthouse, sink):
    return lambda **policy: set_up(new_posthouse(settings={"delivery.probe_interval": "300ms"}), sink, **policy)


def hold(node, sink, *subjects, to=ERIN):
    """They are in the INBOX, and the primary is away."""
    sink.stop()
    with node.smtp() as connection:
        for subject in subjects:
            connection.sendmail("joe@outside.test", [to] if isinstance(to, str) else to, make_message(subject, to=ERIN))
    wait_equal(lambda: sorted(node.subjects(ERIN)), sorted(subjects), "all are readable")


def delivered(sink):
    return sorted(subject_of(message.data) for message in sink.messages)


def settled(node):
    wait_equal(lambda: node.query("select count(*) from queue_entry where held_until is null"), [["0"]], "the queue is empty", timeout=60)
    wait_equal(lambda: node.query("select count(*) from outage where ended_at is null"), [["0"]], "the outage is over", timeout=60)


def number_of(connection, subject):
    return connection.search(None, "SUBJECT", f'"{subject}"')[1][0].decode()


def expunge(node, *subjects, mailbox="INBOX"):
    with node.imap(ERIN) as connection:
        assert connection.select(mailbox)[0] == "OK"
        for subject in subjects:
            connection.store(number_of(connection, subject), "+FLAGS", r"(\Deleted)")
        assert connection.expunge()[0] == "OK"


def keywords(node, mailbox="INBOX", login=ERIN):
    with node.imap(login) as connection:
        connection.select(mailbox, readonly=True)
        found = {}
        for line in connection.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
            if isinstance(line, tuple):
                flags = imaplib.ParseFlags(line[0])
                found[subject_of(line[1])] = {flag.decode() for flag in flags} & {"$Held", "$Delivered"}
        return found


def test_delivered_anyway_is_the_default(make, sink):
    node = make()
    hold(node, sink, "read", "deleted", "collected")
    expunge(node, "deleted")
    with node.pop3(ERIN) as connection:
        connection.dele(2)
    assert len(node.subjects(ERIN)) == 1
    sink.start()
    settled(node)
    assert delivered(sink) == ["collected", "deleted", "read"]


def test_not_delivered_if_it_was_deleted(make, sink):
    """By IMAP, by POP3, with the mailbox it was filed in; what is copied, moved to Trash or only marked is not deleted."""
    node = make(deleted_mail="unless-deleted")
    subjects = ["by imap", "by pop3", "in a mailbox", "from trash", "copied", "to trash", "marked", "read"]
    hold(node, sink, *subjects)
    with node.imap(ERIN) as connection:
        connection.create("Old")
        connection.create("Trash")
        connection.select("INBOX")
        for subject, mailbox in (("in a mailbox", "Old"), ("from trash", "Trash"), ("to trash", "Trash")):
            assert connection._simple_command("MOVE", number_of(connection, subject), mailbox)[0] == "OK"
        connection.copy(number_of(connection, "copied"), "Trash")
        connection.store(number_of(connection, "copied"), "+FLAGS", r"(\Deleted)")
        connection.store(number_of(connection, "by imap"), "+FLAGS", r"(\Deleted)")
        connection.expunge()
        connection.store(number_of(connection, "marked"), "+FLAGS", r"(\Deleted)")
    expunge(node, "from trash", mailbox="Trash")
    with node.imap(ERIN) as connection:
        assert connection.delete("Old")[0] == "OK"
    with node.pop3(ERIN) as connection:
        for number in range(1, connection.stat()[0] + 1):
            if subject_of(b"\r\n".join(connection.retr(number)[1])) == "by pop3":
                connection.dele(number)
    wait_equal(lambda: node.query("select count(*) from queue_entry"), [["4"]], "four are still to be delivered")
    assert node.query("select kind, detail, count(*) from event where detail like '%reader%' group by 1, 2") == [
        ["cancelled", "not delivered: deleted by its reader", "4"]]
    sink.start()
    settled(node)
    assert delivered(sink) == ["copied", "marked", "read", "to trash"]


MANY = 10_300  # more than one transaction looks at


@pytest.mark.parametrize("way", ("hers", "the other's"))
def test_of_an_alias_in_another_domain(make, sink, way):
    """What counts is what the domain wants whose primary the message is for, not that of its reader's own address."""
    policy = {"deleted_mail": "unless-deleted"}
    node = make(**(policy if way == "hers" else {}))
    with Sink() as other:
        node.api.relay_domain("other.test", "reader", other.port)
        node.api.patch(f"/v1/accounts/{ERIN}", {"aliases": ["erin@other.test"]})
        if way == "the other's":
            node.api.put("/v1/domains/other.test/continuity-policy", policy)
        other.stop()
        node.send("joe@outside.test", "erin@other.test", make_message("by the alias"))
        wait_equal(lambda: node.subjects(ERIN), ["by the alias"], "it is readable")
        sink.stop()
        node.send("joe@outside.test", ERIN, make_message("by the name"))
        wait_equal(lambda: node.subjects(ERIN), ["by the alias", "by the name"], "both are readable")
        expunge(node, "by the alias", "by the name")
        sink.start()
        other.start()
        settled(node)
        assert delivered(sink) == ([] if way == "hers" else ["by the name"])
        assert delivered(other) == (["by the alias"] if way == "hers" else [])


@pytest.mark.parametrize("way", ["expunged", "with its mailbox"])
def test_very_many_at_once(new_posthouse, sink, way):
    """They came in a moment, which the planner has not heard of: all are shown, oldest first, and the INBOX is not read for each. Then all are deleted."""
    node = set_up(new_posthouse(settings={"delivery.probe_interval": "300ms", "delivery.retry_first": "1h", "delivery.retry_max": "1h"}), sink,
                  deleted_mail="unless-deleted")
    sink.behave = Behaviour(recipient_replies={ERIN: "450 4.2.1 come back"})
    node.send("joe@outside.test", ERIN, make_message("newest"))
    wait_until(lambda: node.query("select attempts from queue_entry where attempts > 0"), "it is put off")
    node.query("create temporary table made as select n, q.cell, q.message_id, q.id - ((n + 1000)::bigint << 22) as made from queue_entry q,"
               f" generate_series(1, {MANY}) n;"
               " insert into message (cell, id, customer_id, sender, size, received_at, protocol)"
               " select m.cell, made, m.customer_id, m.sender, 10, now() - n * interval '1 s', 'ESMTP' from made join message m on m.id = made.message_id;"
               " insert into queue_entry (cell, id, message_id, recipient, destination, domain_id, due_at, expires_at, sender, customer_id, account_id)"
               " select q.cell, made, made, q.recipient, q.destination, q.domain_id, q.due_at, q.expires_at, q.sender, q.customer_id, q.account_id"
               " from made, queue_entry q")
    sink.stop()
    node.send("joe@outside.test", ERIN, make_message("opens it"))
    count = "select count(*) from mailbox_message"
    wait_equal(lambda: node.query(count), [[str(MANY + 2)]], "all are readable", timeout=120)
    assert node.query("select count(*) from (select internal_at, lag(internal_at) over (order by uid) as before from mailbox_message) i"
                      " where internal_at < before") == [["0"]]
    seen = wait_until(lambda: [row for row in node.query(
        "select n_tup_ins, (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'mailbox_message') from pg_stat_user_tables"
        " where relname = 'mailbox_message'") if int(row[0]) >= MANY], "that is counted", timeout=60)
    assert int(seen[0][1]) < 100 * MANY
    node.query("analyze mailbox_message, queue_entry, message")
    with node.imap(ERIN) as connection:
        if way == "expunged":
            connection.select("INBOX")
            assert connection.store("1:*", "+FLAGS.SILENT", r"(\Deleted)")[0] == "OK"
            assert connection.expunge()[0] == "OK"
        else:
            assert connection.rename("INBOX", "Old")[0] == "OK"
            assert connection.delete("Old")[0] == "OK"
    assert node.query(count) == [["0"]]
    assert node.query("select count(*) from queue_entry") == [["0"]]
    assert node.query("select count(*) from event where kind = 'cancelled'") == [[str(MANY + 2)]]


def test_two_addresses_of_one_reader(make, sink):
    """One copy: nothing is left to be delivered."""
    node = make(deleted_mail="unless-deleted")
    hold(node, sink, "both", to=[ERIN, "also@reader.test"])
    expunge(node, "both")
    assert node.query("select count(*) from queue_entry") == [["0"]]
    sink.start()
    wait_equal(lambda: node.query("select count(*) from outage where ended_at is null"), [["0"]], "the outage is over", timeout=60)
    assert delivered(sink) == []


def test_what_is_being_sent_is_delivered_and_an_event_says_so(make, sink):
    node = make(deleted_mail="unless-deleted")
    hold(node, sink, "on the wire")
    sink.hold.clear()  # which stop() has set
    sink.behave = Behaviour(silent_at="end")
    sink.start()
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is not null"), [["1"]], "it is being sent", timeout=60)
    expunge(node, "on the wire")
    assert node.query("select kind, detail from event where detail like '%by its reader%'") == [
        ["deleted", "by its reader, while it was being sent: delivered all the same"]]
    sink.behave = Behaviour()
    sink.hold.set()
    wait_until(lambda: "on the wire" in delivered(sink), "it is delivered", timeout=60)


@pytest.mark.parametrize("decision", ["release", "reject", "cancel", "nobody"])
def test_somebody_is_asked(make, sink, decision):
    node = make(deleted_mail="ask", deleted_hold_days=3, deleted_then="release")
    hold(node, sink, "doubtful", "kept")
    expunge(node, "doubtful")
    (entry,) = [entry for entry in node.api.get("/v1/queue")["items"] if entry["state"] == "held"]
    assert (entry["hold"]["by"], entry["hold"]["then"], entry["hold"]["reason"]) == ("reader", "release", "deleted by its reader")
    sink.start()
    settled(node)
    assert delivered(sink) == ["kept"]
    if decision == "nobody":
        node.query("update queue_entry set held_until = now()")
    else:
        node.api.post(f"/v1/queue/{entry['id']}/{decision}", {"bounce": False} if decision == "cancel" else {})
    wait_equal(lambda: node.query("select count(*) from queue_entry where recipient like 'erin%'"), [["0"]], "it is decided", timeout=60)
    expected = ["doubtful", "kept"] if decision in ("release", "nobody") else ["kept"]
    wait_equal(lambda: delivered(sink), expected, "as was decided")
    kinds = [row[0] for row in node.query("select kind from event where recipient like 'erin%'")]
    assert ("bounced" in kinds, "cancelled" in kinds) == (decision == "reject", decision == "cancel")


def test_what_another_holds_stays_his_decision(make, sink):
    node = make(deleted_mail="unless-deleted")
    hold(node, sink, "his")
    (entry,) = node.api.get("/v1/queue")["items"]
    node.api.post(f"/v1/queue/{entry['id']}/hold", {"until": (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30)).isoformat(), "then": "release", "reason": "let me look"})
    expunge(node, "his")
    (entry,) = node.api.get("/v1/queue")["items"]
    assert entry["hold"]["by"] == "administrator"


def test_keywords_tell_what_is_delivered(make, sink):
    """$Held until the primary has it, $Delivered then, seen by sessions that are open; the reader's own flags stay."""
    node = make()
    hold(node, sink, "one", "two", "cancelled")
    assert keywords(node) == {"one": {"$Held"}, "two": {"$Held"}, "cancelled": {"$Held"}}
    with node.imap(ERIN) as connection:
        connection.select("INBOX")
        connection.store(number_of(connection, "one"), "+FLAGS", r"(\Seen $Label1)")
        connection.create("Work")
        connection._simple_command("MOVE", number_of(connection, "two"), "Work")
    entry = node.api.get("/v1/queue")["items"][2]["id"]  # in the order of acceptance
    node.api.post(f"/v1/queue/{entry}/cancel", {"bounce": False})
    assert keywords(node)["cancelled"] == set()
    with node.imap(ERIN) as watching:
        watching.select("INBOX")
        sink.start()
        settled(node)

        def told():
            watching.noop()
            return any(b"$Delivered" in line for line in watching.response("FETCH")[1] if line)
        wait_until(told, "an open session hears of it")
    assert keywords(node)["one"] == {"$Delivered"}
    assert keywords(node)["cancelled"] == set()
    assert keywords(node, "Work") == {"two": {"$Delivered"}}
    flags = node.query("select flags, keywords from mailbox_message where '$Label1' = any(keywords)")
    assert flags == [["1", "{$Label1,$Delivered}"]]


def test_keywords_are_not_the_readers(make, sink):
    """Who sets all flags anew takes none of them away, nor can he say that something is delivered."""
    node = make()
    hold(node, sink, "one")
    with node.imap(ERIN) as connection:
        connection.select()
        assert connection.store("1", "FLAGS", r"(\Seen $Label1)")[0] == "OK"
        assert keywords(node) == {"one": {"$Held"}}
        assert connection.store("1", "+FLAGS", "($delivered)")[0] == "OK"
        assert connection.store("1", "-FLAGS", "($Held $Label1)")[0] == "OK"
        assert keywords(node) == {"one": {"$Held"}}
        assert connection.store("1", "FLAGS.SILENT", r"(\Seen \Flagged)")[0] == "OK"
        assert b"$Held" in connection.fetch("1", "(FLAGS)")[1][0]
    sink.start()
    settled(node)
    wait_equal(lambda: keywords(node), {"one": {"$Delivered"}}, "it is delivered")
    with node.imap(ERIN) as connection:
        connection.select()
        connection.store("1", "FLAGS", "($Held)")  # as it had read them before
    assert keywords(node) == {"one": {"$Delivered"}}
    assert node.query("select flags, keywords from mailbox_message where 'x' <> all(keywords)") == [["0", "{$Delivered}"]]


def test_a_session_knows_that_keywords_are_not_its_own(make, sink):
    """What it is answered, and told later, is what there is: also when nothing was changed, and with .SILENT."""
    node = make()
    hold(node, sink, "one", "two")
    with node.imap(ERIN) as connection:
        connection.select()

        def after(command, flags, which="1"):
            """(what the answer says of it, what FETCH says then)"""
            told = connection.store(which, command, flags)[1]
            return [{flag.decode() for flag in line.partition(b"FLAGS (")[2].rstrip(b")").split()}
                    for line in (told[-1] or b"", connection.fetch(which, "(FLAGS)")[1][0])]

        assert after("-FLAGS", "($Held)") == [{"$Held"}] * 2
        assert after("FLAGS", "()") == [{"$Held"}] * 2
        assert after("+FLAGS", r"(\Seen $Delivered)") == [{"$Held", r"\Seen"}] * 2
        assert after("-FLAGS.SILENT", r"($HELD \Seen)") == [{"$Held"}] * 2, "it would else take it away"
        assert after("FLAGS.SILENT", r"(\Seen)") == [{"$Held", r"\Seen"}] * 2
        assert after("+FLAGS.SILENT", r"($Held \Flagged)") == [set(), {"$Held", r"\Seen", r"\Flagged"}], "nothing to be told"
        connection.append("INBOX", r"($Held $delivered $Label1 \Draft)", None, make_message("made"))
        connection.noop()
        assert after("+FLAGS", "()", "3") == [{r"\Draft", "$Label1"}] * 2


def test_what_is_discarded_says_neither(make, sink):
    """Whose hold is over, and ends so, is not to be delivered any more."""
    node = make()
    hold(node, sink, "one", "two")
    assert keywords(node) == {"one": {"$Held"}, "two": {"$Held"}}
    entry = node.api.get("/v1/queue")["items"][0]["id"]
    with node.imap(ERIN) as watching:
        watching.select("INBOX")
        node.api.post(f"/v1/queue/{entry}/hold", {"approval": True, "then": "discard", "reason": "a look"})
        node.api.post(f"/v1/queue/{entry}/expire", None)

        def told():
            watching.noop()
            return any(line and b"$Held" not in line for line in watching.response("FETCH")[1])
        wait_until(told, "an open session hears of it")
    assert keywords(node) == {"one": set(), "two": {"$Held"}}


def test_bounced_mail_says_neither(make, sink):
    node = make()
    hold(node, sink, "refused")
    sink.behave = Behaviour(recipient_replies={ERIN: "550 5.1.1 no"})
    sink.start()
    settled(node)
    wait_equal(lambda: keywords(node), {"refused": set()}, "it is not to be delivered any more")
    assert node.query("select count(*) from carry") == [["0"]], "and stays"


def test_copies_go_when_their_time_is_over(make, sink):
    """After the delivery, wherever they are filed; not before, and not what its reader made himself."""
    node = make(copy_keep_days=0)
    hold(node, sink, "one", "two")
    with node.imap(ERIN) as connection:
        connection.select("INBOX")
        connection.create("Work")
        connection.copy(number_of(connection, "two"), "Work")
        connection.append("INBOX", "", None, make_message("mine"))
    wait_equal(lambda: sorted(node.subjects(ERIN)), ["mine", "one", "two"], "all are there")
    sink.start()
    settled(node)
    wait_equal(lambda: node.subjects(ERIN), ["mine"], "the copies are gone", timeout=60)
    assert node.query("select count(*) from mailbox_message") == [["1"]]
    wait_equal(lambda: node.query("select count(*) from carry"), [["0"]], "nothing is left to do")
    assert delivered(sink) == ["one", "two"]


def test_copies_stay_for_some_days(make, sink):
    node = make(copy_keep_days=3)
    hold(node, sink, "one")
    sink.start()
    settled(node)
    wait_equal(lambda: keywords(node), {"one": {"$Delivered"}}, "it is delivered")
    assert node.query("select kind, state, due_at - now() between interval '2 days 23 hours' and interval '3 days' from carry") == [
        ["delivered", "kept", "t"]]


def readable(node):
    try:
        return {"subjects": node.subjects(ERIN)}
    except imaplib.IMAP4.error:
        return None


STATEMENTS = ["deletion_domains", "deletion_some", "deletion_lock", "deletion_event", "deletion_cancel"]


@pytest.mark.parametrize("statement", STATEMENTS + ["deletion_hold"])
@pytest.mark.parametrize("mode", ["refused", "lost"])
def test_a_database_that_fails_in_between(new_posthouse, own_postgres, sink, statement, mode):
    """The copy and the entry go together, or neither does; the reader is told to try again."""
    faulty = FaultyPostgres(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, settings={"delivery.probe_interval": "300ms", "database.cache_size": 0, "daemon.workers": 1,
                                                        "database.statement_timeout": "500ms"})  # one that finds the database again
        set_up(node, sink, deleted_mail="ask" if statement == "deletion_hold" else "unless-deleted")
        hold(node, sink, "one")
        fault = faulty.arm(statement, mode)
        with node.imap(ERIN) as connection:
            connection.select("INBOX")
            connection.store("1", "+FLAGS", r"(\Deleted)")
            status = connection.expunge()[0]
        assert fault.struck
        left = wait_until(lambda: readable(node), "the database is back")["subjects"]
        waiting = node.query("select count(*) from queue_entry where held_until is null")
        assert (left == ["one"]) == (waiting == [["1"]]), (left, waiting)
        assert status == "NO" or not left
        if left:
            expunge(node, "one")
        assert node.query("select count(*) from queue_entry where held_until is null") == [["0"]]
        node.close()
    finally:
        faulty.close()
