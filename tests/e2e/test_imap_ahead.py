"""FETCH and SEARCH of many messages read the bodies of those that come next together: what is told is what each message has."""
import random
import re

import pytest

from harness.faults import FaultyPostgres
from harness.posthouse import Posthouse, make_message
from harness.process import wait_until

USER = "ann@ahead.test"
LONG = 300 * 1024  # more than a chunk (storage/body.h): not read ahead


@pytest.fixture(scope="module")
def faulty(postgres):
    proxy = FaultyPostgres(postgres)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def node(faulty, certificate):
    node = Posthouse(faulty, certificate)
    node.start()
    node.api.customer("ahead")
    node.api.hosted_domain("ahead.test", "ahead")
    node.api.account(USER, "ahead")
    yield node
    node.close()


def size_of(number):
    return LONG if number % 37 == 5 else 60000 if number % 11 == 3 else number * 7919 % 3000


@pytest.fixture(scope="module")
def messages(node):
    """What the INBOX has, by number; two of them are copies of others in the same mailbox."""
    with node.imap(USER) as connection:
        connection.select("INBOX")
        said = [make_message(f"number {number:03d} {'odd' if number % 2 else 'even'}", body="x" * size_of(number))
                for number in range(150)]
        for number, message in enumerate(said):
            assert connection.append("INBOX", r"(\Seen)" if number % 3 else None, None, message)[0] == "OK"
        assert connection.copy("2,100", "INBOX")[0] == "OK"
    return said + [said[1], said[99]]


def bodies(connection, numbers):
    status, parts = connection.fetch(numbers, "(BODY.PEEK[])")
    assert status == "OK", parts
    return {int(re.match(rb"\d+", part[0])[0]): part[1] for part in parts if isinstance(part, tuple)}


def same(there, said):
    """As stored, behind the fields that were put before it."""
    return there.endswith(said.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def test_each_has_its_own(node, messages):
    with node.imap(USER) as connection:
        connection.select("INBOX")
        found = bodies(connection, "1:*")
        assert sorted(found) == list(range(1, len(messages) + 1))
        assert all(same(found[number + 1], message) for number, message in enumerate(messages))
        for _ in range(10):
            some = sorted(random.sample(range(1, len(messages) + 1), random.choice((1, 3, 20, 100))))
            found = bodies(connection, ",".join(map(str, some)))
            assert sorted(found) == some and all(same(found[number], messages[number - 1]) for number in some)


def test_a_search_that_wants_some_of_them(node, messages):
    with node.imap(USER) as connection:
        connection.select("INBOX")
        subject = [number + 1 for number, message in enumerate(messages) if b" odd" in message]
        unseen = [number for number in subject if (number - 1 if number <= 150 else (1, 99)[number - 151]) % 3 == 0]
        for keys, wanted in (('SUBJECT " odd"', subject), ('UNSEEN SUBJECT " odd"', unseen),
                             ('OR SUBJECT "number 007" SUBJECT "number 120"', [8, 121])):
            assert connection.search(None, keys)[1][0].split() == [b"%d" % number for number in wanted], keys


def test_one_is_gone(node, messages):
    with node.imap(USER) as connection:
        connection.select("INBOX")
        (uid,) = node.query("select message_id from mailbox_message where uid = 50")[0]
        kept = node.query(f"select encode(data, 'hex') from message_body where message_id = {uid}")[0][0]
        node.query(f"delete from message_body where message_id = {uid}")
        status, parts = connection.fetch("1:*", "(UID BODY.PEEK[HEADER])")
        assert status == "NO" and b"EXPUNGEISSUED" in parts[-1]
        node.query(f"insert into message_body (cell, message_id, seq, data)"
                   f" select cell, id, 0, decode('{kept}', 'hex') from message where id = {uid}")
        assert len(bodies(connection, "1:*")) == len(messages)


@pytest.mark.parametrize("mode", ["refused", "cut"])
def test_the_database_fails_between(node, faulty, messages, mode):
    with node.imap(USER) as connection:
        connection.select("INBOX")
        for command in (lambda: connection.fetch("1:*", "(BODY.PEEK[HEADER])"), lambda: connection.search(None, 'BODY "x"')):
            fault = faulty.arm("body_read_first", mode)
            status, parts = command()
            assert fault.struck and status == "NO" and b"UNAVAILABLE" in parts[-1]
            wait_until(lambda: command()[0] == "OK", "it is answered again")  # "cut": another connection must be there
