"""A random outage: read, flagged, filed, copied, deleted, collected, answered; then everything is at home, once, as the policy says.

The primary is Postfix delivering into Dovecot. The pattern is drawn from a seed, which a failure shows.
"""
import os
import random
import time

import pytest

from harness.posthouse import make_message, subject_of
from test_carry import ERIN, POLICY, make  # noqa: F401 (make is a fixture)

MESSAGES = int(os.environ.get("POSTHOUSE_TEST_MESSAGES", "200"))
PATIENCE = 400 + MESSAGES // 4  # seconds; a deadline, no measure
SEED = int(os.environ.get("POSTHOUSE_TEST_SEED", "0")) or random.randrange(1 << 32)
FLAGS = (r"\Seen", r"\Answered", r"\Flagged", "$Label1", "Later")
MAILBOXES = ("Work", "Work/Deep", "Trash", "B&APw-cher")


class Reader:
    """Does something to each message, and knows what is to be at home afterwards."""

    def __init__(self, home, seed, policy):
        self.home, self.policy = home, policy
        self.random = random.Random(seed)
        self.expected = {}   # mailbox: {subject: flags}
        self.deleted = []    # of these there is no copy left

    def place(self, mailbox, subject, flags=()):
        self.expected.setdefault(mailbox, {})[subject] = set(flags)

    def some_flags(self):
        return self.random.sample(FLAGS, self.random.choice((0, 0, 1, 2)))

    def act(self, connection, subject, uid):
        kind = self.random.choice(("nothing", "flag", "flag", "file", "file", "copy", "expunge", "pop3", "answer", "twice"))
        flags = self.some_flags() if kind not in ("nothing", "expunge", "pop3") else []
        if kind == "answer":
            flags = sorted({*flags, r"\Answered"})
        if flags:
            assert connection.uid("STORE", uid, "+FLAGS", f"({' '.join(flags)})")[0] == "OK"
        if kind in ("nothing", "flag"):
            self.place("INBOX", subject, flags)
        elif kind == "file":
            mailbox = self.random.choice(MAILBOXES)
            assert connection.uid("MOVE", uid, mailbox)[0] == "OK"
            self.place(mailbox, subject, flags)
        elif kind == "copy":
            mailbox = self.random.choice(MAILBOXES)
            assert connection.uid("COPY", uid, mailbox)[0] == "OK"
            self.place(mailbox, subject, flags)
            self.place("INBOX", subject, flags)
        elif kind == "twice":
            first, second = self.random.sample(MAILBOXES, 2)
            assert connection.uid("COPY", uid, first)[0] == "OK"
            assert connection.uid("MOVE", uid, second)[0] == "OK"
            self.place(first, subject, flags)
            self.place(second, subject, flags)
        elif kind == "expunge":
            assert connection.uid("STORE", uid, "+FLAGS", r"(\Deleted)")[0] == "OK"
            assert connection.uid("EXPUNGE", uid)[0] == "OK"
            self.deleted.append(subject)
        elif kind == "pop3":
            self.collected.add(subject)
            self.deleted.append(subject)
        else:
            self.place("INBOX", subject, flags)
            self.answer(connection, subject)

    def answer(self, connection, subject):
        """As a client does that files its own copy."""
        message = make_message(f"Re {subject}", sender=ERIN, to="joe@outside.test")
        self.home.node.submit(ERIN, "joe@outside.test", message)
        assert connection.append("Sent", r"(\Seen)", None, message)[0] == "OK"
        self.place("Sent", f"Re {subject}", [r"\Seen"])

    def read(self):
        self.collected = set()
        with self.home.node.imap(ERIN) as connection:
            for mailbox in MAILBOXES:
                connection.create(mailbox)
            connection.select("INBOX")
            lines = connection.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
            uids = {subject_of(line[1]): line[0].split()[2].decode() for line in lines if isinstance(line, tuple)}
            order = sorted(uids)
            self.random.shuffle(order)
            for subject in order:
                self.act(connection, subject, uids[subject])
        with self.home.node.pop3(ERIN) as connection:
            for number in range(1, connection.stat()[0] + 1):
                if subject_of(b"\r\n".join(connection.retr(number)[1])) in self.collected:
                    connection.dele(number)
        for flags in self.expected["INBOX"].values():
            flags.add(r"\Seen")  # collected, that is read

    def entries(self):
        found, cursor = [], {}
        while True:
            page = self.home.node.api.get("/v1/queue", limit=100, **cursor)
            found += page["items"]
            if not page.get("next_cursor"):
                return found
            cursor = {"cursor": page["next_cursor"]}


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["deliver", "unless-deleted", "ask"])
def test_random_outage(make, outside, policy):  # noqa: F811
    seed = f"{SEED}-{policy}"
    print(f"POSTHOUSE_TEST_SEED={SEED}")
    home = make(settings={"delivery.default_route": f"127.0.0.1:{outside.port}"})
    home.access()
    home.node.api.put(POLICY, {"deleted_mail": policy, "copy_keep_days": 0})
    reader = Reader(home, seed, policy)
    home.hold(*[f"message {number}" for number in range(MESSAGES)])
    reader.read()
    held = [entry for entry in reader.entries() if entry["state"] == "held"]
    assert len(held) == (len(reader.deleted) if policy == "ask" else 0)
    released = 0
    if policy == "ask":
        for entry in held:
            release = reader.random.random() < 0.5
            released += release
            home.node.api.post(f"/v1/queue/{entry['id']}/" + ("release" if release else "cancel"), {} if release else {"bounce": False})
    began = time.monotonic()
    home.postfix.start()
    home.settled(timeout=PATIENCE)
    drained = time.monotonic()
    home.carried(timeout=PATIENCE)
    print(f"{MESSAGES} messages, {drained - began:.1f} s from recovery until all is delivered, {time.monotonic() - drained:.1f} s until all is carried")
    found = home.at_home()
    back = {subject for subject in reader.deleted if subject in found["INBOX"]}
    assert len(back) == {"deliver": len(reader.deleted), "unless-deleted": 0, "ask": released}[policy]
    for subject in back:
        assert found["INBOX"].pop(subject) == set()
    assert found == reader.expected
