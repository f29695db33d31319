"""IMAP with imaplib, curl and mbsync: what a mail program does all day, and what others do meanwhile."""
import hashlib
import imaplib
import re
import time

import pytest

from harness.posthouse import PASSWORD, make_message
from harness.process import run, wait_until

DOMAIN = "imap.test"
MIXED = (b"Return-Path: <a@b.test>\r\nFrom: =?utf-8?q?J=C3=B6rg?= <a@b.test>\r\nTo: x@y.test, friends: m@n.test, <p@q.test>;\r\n"
         b"Subject: t\"est\r\nDate: Mon, 23 Nov 2026 23:25:14 -0500\r\nMessage-ID: <1@b.test>\r\nMIME-Version: 1.0\r\n"
         b"Content-Type: multipart/mixed; boundary=\"b1\"\r\n\r\npreamble\r\n--b1\r\n"
         b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8gd8O2cmxk\r\n--b1\r\n"
         b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: i@j.test\r\n\r\ninner body\r\n\r\n--b1\r\n"
         b"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=x.pdf\r\n\r\nPDF\r\n--b1--\r\n")


@pytest.fixture(scope="module")
def node(posthouse):
    posthouse.api.customer("imap")
    posthouse.api.hosted_domain(DOMAIN, "imap")
    return posthouse


@pytest.fixture
def user(node, request):
    address = f"{hashlib.sha1(request.node.name.encode()).hexdigest()[:12]}@{DOMAIN}"
    node.api.account(address, "imap")
    return address


def log_in(node, user):
    connection = imaplib.IMAP4_SSL("localhost", node.ports["imaps"], ssl_context=node.certificate.context())
    connection.login(user, PASSWORD)
    return connection


def append(connection, message, mailbox="INBOX", flags=None):
    status, answer = connection.append(mailbox, flags, None, message)
    assert status == "OK", answer
    return int(re.search(rb"APPENDUID \d+ (\d+)", answer[0]).group(1))


def fetch(connection, what, number="1"):
    status, answer = connection.fetch(number, what)
    assert status == "OK", answer
    return b"".join(part if isinstance(part, bytes) else b"\r\n".join(part) for part in answer if part)


def content(connection, section, number="1"):
    _, answer = connection.fetch(number, f"BODY.PEEK[{section}]")
    return answer[0][1] if isinstance(answer[0], tuple) else None


def test_sections_are_the_octets_that_were_stored(node, user):
    box = log_in(node, user)
    append(box, MIXED)
    box.select("INBOX")
    assert content(box, "") == MIXED
    assert content(box, "HEADER") + content(box, "TEXT") == MIXED
    assert content(box, "1") == b"aGVsbG8gd8O2cmxk"
    assert content(box, "1.MIME") == b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    assert content(box, "2") == b"Subject: inner\r\nFrom: i@j.test\r\n\r\ninner body\r\n"
    assert content(box, "2.HEADER") == b"Subject: inner\r\nFrom: i@j.test\r\n\r\n"
    assert content(box, "2.TEXT") == content(box, "2.1") == b"inner body\r\n"
    assert content(box, "3") == b"PDF"
    assert content(box, "4") is None
    assert content(box, "HEADER.FIELDS (SUBJECT)") == b"Subject: t\"est\r\n\r\n"
    assert b"Subject" not in content(box, "HEADER.FIELDS.NOT (Subject)")
    assert b"BODY[]<5> {10}" in fetch(box, "BODY.PEEK[]<5.10>")
    assert b'RFC822.SIZE %d' % len(MIXED) in fetch(box, "RFC822.SIZE")
    box.logout()


def test_envelope_and_structure(node, user):
    box = log_in(node, user)
    append(box, MIXED)
    box.select("INBOX")
    envelope = fetch(box, "ENVELOPE")
    assert b'"Mon, 23 Nov 2026 23:25:14 -0500"' in envelope
    assert b'(NIL NIL "friends" NIL)(NIL NIL "m" "n.test")(NIL NIL "p" "q.test")(NIL NIL NIL NIL)' in envelope
    assert envelope.rstrip(b")").endswith(b'NIL NIL NIL "<1@b.test>"')
    structure = fetch(box, "BODYSTRUCTURE")
    assert b'("text" "plain" ("charset" "utf-8") NIL NIL "base64" 16 1 NIL NIL NIL NIL)' in structure
    assert b'"message" "rfc822" NIL NIL NIL "7bit" 46 (NIL "inner"' in structure
    assert b'("attachment" ("filename" "x.pdf"))' in structure
    assert b'"mixed" ("boundary" "b1") NIL NIL NIL' in structure
    box.logout()


def test_flags_and_expunge(node, user):
    box = log_in(node, user)
    for subject in ("one", "two", "three"):
        append(box, f"Subject: {subject}\r\n\r\ntext\r\n".encode())
    box.select("INBOX")
    assert b"FLAGS ()" in fetch(box, "FLAGS")
    fetch(box, "BODY[TEXT]")
    assert b"\\Seen" in fetch(box, "FLAGS")
    assert b"work" in box.store("2", "+FLAGS", r"(\Flagged work)")[1][0]
    assert box.search(None, "KEYWORD work")[1] == [b"2"]
    assert box.store("2", "-FLAGS", "(work)")[1] == [b"2 (FLAGS (\\Flagged))"]
    assert box.store("1,3", "+FLAGS.SILENT", r"(\Deleted)")[1] == [None]
    assert box.expunge()[1] == [b"1", b"2"]
    assert box.select("INBOX")[1] == [b"1"]
    assert b"UID 2" in fetch(box, "UID")
    box.logout()


@pytest.mark.parametrize("key, found", [
    ("ALL", "1 2"), ("SUBJECT EST", "1"), ("HEADER Message-ID 1@b", "1"), ("HEADER X-None \"\"", ""),
    ("BODY hello", "1"), ("BODY absent", ""), ("TEXT inner", "1"), ("SENTON 23-Nov-2026", "1"), ("SENTBEFORE 23-Nov-2026", ""),
    ("SINCE 1-Jan-2020", "1 2"), ("BEFORE 1-Jan-2020", ""), ("NOT 1", "2"), ("OR 1 2", "1 2"), ("UID 2:*", "2"),
    ("LARGER 300", "1"), ("SMALLER 300", "2"), ("FLAGGED", "2"), ("UNFLAGGED", "1"), ("NEW", ""), ("OLD", "1 2"),
    ("(UNSEEN (1:2 NOT 2))", "1"), ("*", "2"),
])
def test_search(node, key, found):
    user = f"searching@{DOMAIN}"
    if node.api.request("GET", f"/v1/accounts/{user}")[0] == 404:
        node.api.account(user, "imap")
        box = log_in(node, user)
        append(box, MIXED)
        append(box, b"Subject: short\r\n\r\nno\r\n", flags=r"(\Flagged)")
        box.logout()
    box = log_in(node, user)
    box.select("INBOX", readonly=True)
    assert box.search(None, key)[1] == [found.encode()]
    box.logout()


def test_mailboxes(node, user):
    box = log_in(node, user)
    assert box.create("a/b/c")[0] == "OK"
    assert box.create("a/b/c")[0] == "NO"
    assert box.create("Entw&APw-rfe")[0] == "OK"
    names = b"\n".join(box.list()[1])
    assert b'(\\HasChildren) "/" "a/b"' in names and b'"Entw&APw-rfe"' in names and b'\\Sent) "/" "Sent"' in names
    assert box.rename("a/b", "z")[0] == "OK"
    assert box.list('""', "z/%")[1] == [b'(\\HasNoChildren) "/" "z/c"']
    append(box, MIXED, "z/c")
    assert box.status("z/c", "(MESSAGES UNSEEN UIDNEXT)")[1] == [b'"z/c" (MESSAGES 1 UIDNEXT 2 UNSEEN 1)']
    box.select("z/c")
    status, answer = box.copy("1", "nowhere")
    assert status == "NO" and b"[TRYCREATE]" in answer[0]
    assert b"COPYUID" in box.copy("1", "INBOX")[1][0]
    assert box.uid("MOVE", "1", "Trash")[0] == "OK"
    assert box.select("z/c")[1] == [b"0"]
    assert box.select("Trash")[1] == [b"1"]
    assert box.delete("INBOX")[0] == "NO"
    assert box.delete("z/c")[0] == "OK"
    assert box.unsubscribe("Junk")[0] == "OK"
    assert b"Junk" not in b"\n".join(box.lsub('""', "*")[1])
    box.logout()


def test_another_session_sees_changes(node, user):
    one, two = log_in(node, user), log_in(node, user)
    append(one, MIXED)
    one.select("INBOX")
    two.select("INBOX")
    append(two, MIXED)
    assert one.noop()[0] == "OK" and one.response("EXISTS")[1][-1] == b"2"
    two.store("1", "+FLAGS", r"(\Deleted)")
    one.noop()
    assert b"\\Deleted" in one.response("FETCH")[1][0]
    two.expunge()
    assert one.fetch("1:2", "FLAGS")[0] == "OK"  # RFC 3501 7.4.1: no EXPUNGE during FETCH
    assert one.response("EXPUNGE")[1] == [None]
    one.noop()
    assert one.response("EXPUNGE")[1] == [b"1"]
    one.logout()
    two.logout()


def test_a_silent_store_tells_what_others_changed(node, user):
    """RFC 3501 6.4.6: .SILENT leaves out what the client can work out, not what another did."""
    box, other = log_in(node, user), log_in(node, user)
    for number in range(3):
        append(box, make_message(f"message {number}"))
    for connection in (box, other):
        connection.select("INBOX")
    other.store("1", "+FLAGS", "(\\Flagged Work)")
    other.store("3", "+FLAGS", "(\\Seen)")
    status, answer = box.store("1:3", "+FLAGS.SILENT", "(\\Seen)")
    assert status == "OK" and answer == [b"1 (FLAGS (\\Flagged \\Seen Work))"]
    status, answer = box.store("1:2", "-FLAGS.SILENT", "(\\Seen)")
    assert status == "OK" and answer == [None]
    assert re.findall(rb"FLAGS \(([^)]*)\)", fetch(box, "FLAGS", "1:3")) == [b"\\Flagged Work", b"", b"\\Seen"]
    for connection in (box, other):
        connection.logout()


def test_text_is_also_in_the_headers_of_parts(node, user):
    """RFC 3501 6.4.4: TEXT is header and body, and what is readable of it is found; an empty string is in all."""
    box = log_in(node, user)
    append(box, MIXED)
    append(box, b"Content-Type: multipart/report; boundary=r; report-type=delivery-status\r\n\r\n--r\r\n"
                b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.test\r\n--r--\r\n")
    append(box, b"Content-Type: image/png\r\n\r\nx\r\n")
    box.select("INBOX")
    for keys, found in (("TEXT x.pdf", b"1"), ("BODY x.pdf", b""), ("BODY reporting-mta", b"2"), ('BODY ""', b"1 2 3")):
        assert box.search(None, keys) == ("OK", [found]), keys
    box.logout()


def test_keys_that_read_messages_are_limited(node, user):
    """Each of them reads all of a message, and a command has room for thousands."""
    box = log_in(node, user)
    append(box, MIXED)
    box.select("INBOX")
    assert box.search(None, " ".join(["NOT BODY absent"] * 256)) == ("OK", [b"1"])
    assert box.search(None, " ".join(["1"] * 1000)) == ("OK", [b"1"])
    for keys in (["NOT BODY absent"] * 257, ["OR (SUBJECT a SUBJECT b) NOT (TO c)"] * 86):
        status, answer = box.search(None, " ".join(keys))
        assert (status, answer[0][:7]) == ("NO", b"[LIMIT]")
    box.logout()


def test_a_large_header_is_not_gone_through_for_each_section(node, user):
    box = log_in(node, user)
    append(box, b"Subject: large\r\n" + b"X-Filler: %s\r\n" % (b"x" * 900) * 3000 + b"\r\ntext\r\n")
    box.select("INBOX")
    names = " ".join(f"X-{number}" for number in range(1000))
    assert b"Subject: large" in fetch(box, f"BODY.PEEK[HEADER.FIELDS ({names} Subject)]")
    status, answer = box.fetch("1", f"({' '.join(['BODY.PEEK[HEADER.FIELDS (Subject)]'] * 20)})")
    assert (status, answer[0][:7]) == ("NO", b"[LIMIT]")
    box.logout()


def test_idle_tells_of_new_mail(node, user):
    box = log_in(node, user)
    box.select("INBOX")
    box.send(b"i1 IDLE\r\n")
    assert box.readline().startswith(b"+")
    node.send("someone@outside.test", user, make_message("now"))
    assert box.readline() == b"* 1 EXISTS\r\n"
    box.send(b"DONE\r\n")
    assert box.readline().startswith(b"i1 OK")
    box.send(b"i2 LOGOUT\r\n")


def test_a_large_message_goes_in_and_comes_out(node, user):
    body = b"".join(b"%07d %s\r\n" % (i, b"x" * 60) for i in range(30000))
    message = b"Subject: large\r\n\r\n" + body
    box = log_in(node, user)
    append(box, message)
    box.select("INBOX")
    assert content(box, "") == message
    assert b"BODY[TEXT]<1000000> {100}" in fetch(box, "BODY.PEEK[TEXT]<1000000.100>")
    box.logout()


def test_many_messages_to_a_client_that_reads_late(node, user):
    box = log_in(node, user)
    message = b"Subject: n\r\n\r\n" + b"y" * 20000 + b"\r\n"
    for _ in range(60):
        append(box, message)
    box.select("INBOX")
    _, answer = box.fetch("1:*", "(FLAGS BODY.PEEK[])")
    assert [part[1] for part in answer if isinstance(part, tuple)] == [message] * 60
    box.logout()


@pytest.mark.parametrize("line, answer", [
    (b"x FETCH 1 FLAGS", b"x BAD"), (b"x NONSENSE", b"x BAD"), (b"x", b"x BAD"), (b"", None), (b"* OK", b"* BAD"),
    (b"x LOGIN {99999}", b"x NO [TOOBIG]"), (b"x LOGIN a b", b"x NO [PRIVACYREQUIRED]"),
    (b"x AUTHENTICATE PLAIN", b"x NO"), (b"x STARTTLS now", b"x BAD"), (b"x CAPABILITY", b"* CAPABILITY"),
])
def test_what_makes_no_sense_gets_an_answer(node, line, answer):
    box = imaplib.IMAP4("localhost", node.ports["imap"])
    box.send(line + b"\r\n" + (b"" if answer else b"y NOOP\r\n"))
    assert box.readline().startswith(answer or b"y OK")
    box.shutdown()


def test_logindisabled_in_clear_and_no_command_survives_starttls(node):
    box = imaplib.IMAP4("localhost", node.ports["imap"])
    assert "LOGINDISABLED" in box.capabilities and "AUTH=PLAIN" not in box.capabilities
    box.starttls(node.certificate.context())
    assert "LOGINDISABLED" not in box.capabilities and "AUTH=PLAIN" in box.capabilities
    box.logout()


def test_the_database_away_is_a_clear_no(new_posthouse, own_postgres):
    node = new_posthouse(postgres=own_postgres)
    node.start()
    node.api.customer("away")
    node.api.hosted_domain("away.test", "away")
    node.api.account("ann@away.test", "away")
    box = log_in(node, "ann@away.test")
    box.select("INBOX")
    own_postgres.stop()
    status, answer = box.append("INBOX", None, None, MIXED)
    assert status == "NO" and b"[UNAVAILABLE]" in answer[0]
    own_postgres.start()
    wait_until(lambda: box.append("INBOX", None, None, MIXED)[0] == "OK", "the session goes on")
    box.logout()


def test_curl(node, user):
    box = log_in(node, user)
    append(box, MIXED)
    box.logout()
    out = run(["curl", "-sS", "--cacert", str(node.certificate.certificate), "-u", f"{user}:{PASSWORD}",
               f"imaps://localhost:{node.ports['imaps']}/INBOX/;MAILINDEX=1"])
    assert "inner body" in (out.stdout if hasattr(out, "stdout") else out)


def test_mbsync_both_ways(node, user, tmp_path):
    box = log_in(node, user)
    append(box, MIXED)
    (tmp_path / "mail").mkdir()
    config = tmp_path / "mbsyncrc"
    config.write_text(f"""
IMAPAccount p
Host localhost
Port {node.ports['imaps']}
User {user}
Pass {PASSWORD}
SSLType IMAPS
CertificateFile {node.certificate.certificate}

IMAPStore far
Account p

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX

Channel c
Far :far:
Near :near:
Patterns INBOX
Create Near
Expunge Both
SyncState *
""")

    def sync():
        run(["mbsync", "-c", str(config), "-a"])

    sync()
    folder = tmp_path / "mail" / "INBOX"
    files = list((folder / "new").iterdir()) + list((folder / "cur").iterdir())
    assert len(files) == 1 and b"inner body" in files[0].read_bytes()
    (folder / "new" / f"{int(time.time())}.local").write_bytes(b"Subject: from here\n\nhello\n")
    sync()
    box.select("INBOX")
    assert len(box.search(None, "ALL")[1][0].split()) == 2
    box.store("1", "+FLAGS", r"(\Deleted)")
    box.expunge()
    sync()
    assert len(list((folder / "new").iterdir()) + list((folder / "cur").iterdir())) == 1
    box.logout()


def raw(node, user):
    """A logged-in session for commands that imaplib would not send, with INBOX selected."""
    box = log_in(node, user)
    box.select("INBOX")

    def say(line):
        box.send(line + b"\r\n")
        lines = [box.readline()]
        while not lines[-1].startswith((line[:2], b"* BYE", b"+ ")):
            lines.append(box.readline())
        return lines
    return box, say


def test_a_set_of_thousands_of_ranges(node, user):
    box, say = raw(node, user)
    for number in range(4):
        append(box, make_message(f"m{number}", to=user))
    box.noop()
    ranges = b",".join(b"%d:%d" % (n, n + 1) for n in range(4000, 10, -4)) + b",3,2"
    assert say(b"a UID FETCH " + ranges + b" FLAGS")[-1].startswith(b"a OK")
    assert say(b"b SEARCH UID " + ranges)[0] == b"* SEARCH 2 3\r\n"
    assert say(b"c FETCH " + ranges + b" FLAGS")[-1].startswith(b"c BAD")
    box.logout()


def test_an_empty_mailbox_has_no_messages_but_takes_a_star(node, user):
    box, say = raw(node, user)
    assert say(b"a FETCH 1:* FLAGS")[-1].startswith(b"a OK")
    assert say(b"b FETCH 1 FLAGS")[-1].startswith(b"b BAD")
    assert say(b"c SEARCH 1:*")[0] == b"* SEARCH\r\n"
    box.logout()


def test_limits_of_a_command(node, user):
    box, say = raw(node, user)
    header = b"".join(b"X-%d: %s\r\n" % (n, b"v" * 900) for n in range(2000))
    append(box, header + b"Subject: large header\r\n\r\nbody\r\n")
    box.noop()
    section = b"BODY.PEEK[HEADER.FIELDS.NOT (A%d)]"
    assert say(b"a FETCH 1 (" + b" ".join(section % n for n in range(65)) + b")")[-1].startswith(b"a BAD")
    _, answer = box.fetch("1", (section % 1).decode())
    assert len(answer[0][1]) > len(header)
    box.send(b"b FETCH 1 (" + b" ".join(section % n for n in range(60)) + b")\r\n")
    lines = [box.readline()]
    while not lines[-1].startswith(b"b "):
        lines.append(box.readline())
    assert lines[-1].startswith(b"b NO [LIMIT]") and lines[-2] == b")\r\n"
    assert sum(b" BODY[HEADER" in line for line in lines) < 10, "a small command must not cost many times the message"
    assert say(b"c STORE 1 +FLAGS (" + b" ".join(b"k%d" % n for n in range(65)) + b")")[-1].startswith(b"c BAD")
    assert say(b"d NOOP")[-1].startswith(b"d OK")
    box.logout()


def test_append_takes_one_message(node, user):
    box, say = raw(node, user)
    assert say(b"a APPEND INBOX {5}")[-1].startswith(b"+ ")
    box.send(b"a: b\n {5}\r\n")
    assert box.readline().startswith(b"a BAD")
    assert say(b"b NOOP")[-1].startswith(b"b OK")
    box.send(b"c APPEND INBOX {5+}\r\na: b\n {99999999+}\r\n")
    assert box.readline().startswith(b"* BYE")
    box.shutdown()
