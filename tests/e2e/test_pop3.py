"""POP3 with poplib, curl and fetchmail; what transcripts cannot show: sizes, endings, other sessions, faults."""
import hashlib
import poplib
import signal
import socket
import subprocess

import pytest

from harness.memory import bounded
from harness.posthouse import PASSWORD, make_message
from harness.process import PATIENCE, run, wait_until

DOMAIN = "pop3.test"
ITEMS = """mailbox_message mm join mailbox m on m.cell = mm.cell and m.id = mm.mailbox_id
    join account a on a.cell = m.cell and a.id = m.account_id"""


def prepare(node):
    node.api.customer("pop3")
    node.api.hosted_domain(DOMAIN, "pop3")
    return node


@pytest.fixture(scope="module")
def node(posthouse):
    return prepare(posthouse)


@pytest.fixture
def user(node, request):
    address = f"{hashlib.sha1(request.node.name.encode()).hexdigest()[:12]}@{DOMAIN}"
    node.api.account(address, "pop3")
    return address


def deliver(node, user, *subjects, **options):
    for subject in subjects:
        node.send("someone@outside.test", user, make_message(subject, to=user, **options))


def log_in(node, user, password=PASSWORD):
    """Over STLS; unlike node.pop3() it does not end with QUIT by itself."""
    connection = poplib.POP3("localhost", node.ports["pop3"], timeout=30 * PATIENCE)
    connection.stls(node.certificate.context())
    connection.user(user)
    connection.pass_(password)
    return connection


def retrieve(connection, number):
    _, lines, _ = connection.retr(number)
    return b"".join(line + b"\r\n" for line in lines)


def test_collect_and_delete(node, user):
    deliver(node, user, "one", "two", "three")
    with node.pop3(user) as connection:
        count, size = connection.stat()
        assert count == 3
        messages = [retrieve(connection, number) for number in (1, 2, 3)]
        assert sum(map(len, messages)) == size
        assert [int(line.split()[1]) for line in connection.list()[1]] == [len(m) for m in messages]
        assert b"\r\nSubject: two\r\n" in messages[1]
        connection.dele(2)
    with node.pop3(user) as connection:
        assert connection.stat()[0] == 2
        assert b"Subject: three" in retrieve(connection, 2)


def test_dots_come_back_as_they_were_sent(node, user):
    body = ".\n..\n...x\nmiddle . dot\n.end\n"
    deliver(node, user, "dots", body=body)
    with node.pop3(user) as connection:
        assert retrieve(connection, 1).partition(b"\r\n\r\n")[2] == body.replace("\n", "\r\n").encode()
        top = connection.top(1, 2)[1]
        assert top[-3:] == [b"", b".", b".."]


def test_unique_ids_last(node, user):
    deliver(node, user, "one", "two")
    with node.pop3(user) as connection:
        before = connection.uidl()[1]
        connection.dele(1)
    deliver(node, user, "three")
    with node.pop3(user) as connection:
        after = connection.uidl()[1]
    ids_before, ids_after = ([line.split()[1] for line in lines] for lines in (before, after))
    assert ids_after[0] == ids_before[1]
    assert ids_after[1] not in ids_before
    assert all(len(unique) <= 70 for unique in ids_after)


def test_nothing_is_deleted_without_quit(node, user):
    deliver(node, user, "keep me")
    connection = log_in(node, user)
    connection.dele(1)
    connection.close()
    with node.pop3(user) as connection:
        assert connection.stat()[0] == 1


def test_half_closed_client_gets_all_replies(node, user):
    with socket.create_connection(("127.0.0.1", node.ports["pop3"]), timeout=30 * PATIENCE) as client:
        client.sendall(b"CAPA\r\nNOOP\r\nQUIT\r\n")
        client.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.count(b"\r\n.\r\n") == 1
    assert received.splitlines()[-2].startswith(b"-ERR") and received.splitlines()[-1].startswith(b"+OK")


def test_retrieved_messages_become_seen(node, user):
    deliver(node, user, "read", "unread")
    with node.pop3(user) as connection:
        connection.retr(1)
        connection.top(2, 0)
    rows = node.query(f"select mm.flags from {ITEMS} where a.address = '{user}' order by mm.uid")
    assert rows == [["1"], ["0"]]  # MAILBOX_SEEN


def test_removed_by_another_session(node, user):
    """Sessions at once are allowed; each keeps its numbers and removes what it marked, nothing else."""
    deliver(node, user, "one", "two", "three")
    with node.pop3(user) as connection:
        with node.pop3(user) as other:
            other.dele(1)
        deliver(node, user, "four")
        assert connection.stat()[0] == 3
        assert b"Subject: two" in retrieve(connection, 2)
        connection.dele(1)
        connection.dele(2)
    with node.pop3(user) as connection:
        assert connection.stat()[0] == 2
        assert b"Subject: three" in retrieve(connection, 1)
        assert b"Subject: four" in retrieve(connection, 2)


def test_large_message_is_never_whole_in_memory(node, user):
    line = b"0123456789abcdef" * 4 + b"\r\n"
    size = 20 * 1024 * 1024
    body = b".dot first\r\n" + line * (size // len(line))
    node.send("someone@outside.test", user, make_message("large", to=user, body="") + body)
    connections = [log_in(node, user) for _ in range(8)]
    with bounded(node, 8 * 4):  # all ask, none reads
        for connection in connections:
            connection._putcmd("RETR 1")
        for connection in connections:
            assert connection._getresp().startswith(b"+OK")
    for connection in connections[1:]:
        connection.close()
    lines = []
    while (part := connections[0].file.readline()) != b".\r\n":
        lines.append(part[1:] if part.startswith(b"..") else part)
    assert b"".join(lines).endswith(body)
    connections[0].quit()


def test_many_messages_are_listed_in_helpings(node, user):
    """A client that asks for long lists again and again without reading must not fill our memory."""
    deliver(node, user, "only")
    node.query(f"""insert into mailbox_message (cell, mailbox_id, uid, message_id, internal_at, size, modseq)
        select mm.cell, mm.mailbox_id, mm.uid + n, mm.message_id, mm.internal_at, mm.size, mm.modseq
        from {ITEMS} cross join generate_series(1, 9999) n where a.address = '{user}'""")
    connection = log_in(node, user)
    assert connection.stat()[0] == 10000
    listing = connection.uidl()[1]
    assert len(listing) == 10000 and listing[-1].split()[0] == b"10000"
    connection.sock.settimeout(1)
    with bounded(node, 8), pytest.raises(TimeoutError):  # we have stopped reading, the kernel's buffers are full
        connection.sock.sendall(b"LIST\r\n" * 10000000)
    connection.close()


def curl(node, *arguments):
    return run(["curl", "--silent", "--show-error", "--cacert", node.certificate.certificate, *arguments],
               timeout=60 * PATIENCE).stdout


def test_curl(node, user):
    deliver(node, user, "from curl")
    login = ["--user", f"{user}:{PASSWORD}"]
    secure, clear = (f"{name}://localhost:{node.ports[name]}/" for name in ("pop3s", "pop3"))
    assert curl(node, *login, secure).startswith("1 ")
    assert "Subject: from curl" in curl(node, *login, secure + "1")
    assert "Subject: from curl" in curl(node, *login, "--ssl-reqd", clear + "1")
    for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
        if mechanism == "SCRAM-SHA-256" and "GSASL" not in run(["curl", "--version"]).stdout:
            continue
        assert "Subject: from curl" in curl(node, *login, "--login-options", f"AUTH={mechanism}", secure + "1")


def test_fetchmail(node, user, tmp_path):
    deliver(node, user, "first", "second")
    got = tmp_path / "got"
    script = tmp_path / "mda"
    script.write_text(f"#!/bin/sh\ncat >> '{got}'\n")
    script.chmod(0o755)
    settings = tmp_path / "fetchmailrc"
    settings.write_text(
        f'poll localhost protocol POP3 service {node.ports["pop3s"]}\n'
        f'  user "{user}" password "{PASSWORD}" is root here\n'
        f'  ssl sslcertck sslcertfile "{node.certificate.certificate}"\n'
        f'  nokeep mda "{script}"\n')
    settings.chmod(0o600)
    result = subprocess.run(["fetchmail", "-f", str(settings), "--nodetach", "--nosyslog", "-v"], timeout=60 * PATIENCE,
                            capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path),
                                                                 "FETCHMAILHOME": str(tmp_path), "LC_ALL": "C"})
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Subject: first" in got.read_text() and "Subject: second" in got.read_text()
    with node.pop3(user) as connection:
        assert connection.stat()[0] == 0


def test_database_away(new_posthouse, own_postgres):
    node = prepare(new_posthouse(own_postgres).start())
    user = f"away@{DOMAIN}"
    node.api.account(user, "pop3")
    deliver(node, user, "one", "two")
    connection = log_in(node, user)
    connection.dele(1)
    own_postgres.stop()
    with pytest.raises(poplib.error_proto, match=r"SYS/TEMP"):
        connection.retr(2)
    with pytest.raises(poplib.error_proto, match=r"SYS/TEMP"):
        log_in(node, user)
    assert connection.stat()[0] == 1  # what needs no database works
    with pytest.raises(poplib.error_proto, match=r"SYS/TEMP"):
        connection.quit()
    own_postgres.start()

    def recovered():
        try:
            again = log_in(node, user)
        except poplib.error_proto:
            return False
        count = again.stat()[0]
        again.quit()
        return count == 2

    wait_until(recovered, "POP3 works again by itself")


def test_orderly_stop_says_good_bye(new_posthouse):
    node = prepare(new_posthouse().start())
    user = f"drain@{DOMAIN}"
    node.api.account(user, "pop3")
    connection = log_in(node, user)
    node.process.send_signal(signal.SIGTERM)
    assert connection.file.readline().startswith(b"-ERR [SYS/TEMP]")
    assert connection.file.readline() == b""
    connection.close()
