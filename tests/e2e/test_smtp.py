"""Accepting mail: port 25 and submission, with real clients (swaks, msmtp, curl, smtplib) and by hand."""
import re
import smtplib

import pytest

from harness.dialogue import Dialogue
from harness.posthouse import PASSWORD, make_message, subject_of
from harness.process import free_port, run, wait_until

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@relayed.test"


def furnish(node):
    node.api.customer("smtp")
    node.api.hosted_domain("example.test", "smtp")
    node.api.relay_domain("relayed.test", "smtp", free_port())
    node.api.post("/v1/accounts", {"address": ALICE, "customer": "smtp", "password": PASSWORD,
                                   "aliases": ["sales@example.test", "postmaster@example.test"]})
    node.api.account(BOB, "smtp")
    node.api.account(CAROL, "smtp")
    return node


@pytest.fixture(scope="module")
def node(posthouse):
    return furnish(posthouse)


def find(node, login, subject):
    """The message with this subject in the INBOX, when it is there."""
    return wait_until(lambda: next((m for m in node.inbox(login) if subject_of(m) == subject), None),
                      f"{login} has {subject}")


def find_outside(sink, subject):
    return wait_until(lambda: next((m for m in sink.messages if subject_of(m.data) == subject), None),
                      f"{subject} went outside")


# ------------------------------------------------------------------ port 25


def test_trace_of_a_local_message(node):
    with Dialogue(node) as client:
        client.hello()
        reply = client.message("joe@outside.test", BOB, make_message("trace"))
    queue_id = re.fullmatch(r"250 2\.0\.0 Ok: queued as ([0-9a-z]{13})", reply).group(1)
    text = find(node, BOB, "trace").decode()
    assert text.startswith("Return-Path: <joe@outside.test>\r\n"
                           "Received: from client.test ([127.0.0.1])\r\n"
                           "\tby mail.posthouse.test with ESMTP\r\n"
                           f"\tid {queue_id} for <{BOB}>;\r\n\t"), text
    assert text.count("\r\nReceived:") == 1


def test_chunks_are_stored_as_they_came(node):
    """BDAT: dots are content, edges leave no trace."""
    text = b"Subject: chunks\r\n\r\n.\r\n..two\r\n" + b"x" * 300000 + b"\r\n.\r\n"
    with Dialogue(node) as client:
        client.hello()
        client.ask("MAIL FROM:<joe@outside.test>", "250")
        client.ask(f"RCPT TO:<{BOB}>", "250")
        edges = [0, 18, 20, 21, 30, 200000, len(text)]
        for begin, end in zip(edges, edges[1:]):
            last = " LAST" if end == len(text) else ""
            client.send(f"BDAT {end - begin}{last}\r\n".encode() + text[begin:end])
        replies = [client.reply() for _ in edges[1:]]
    assert all(reply.startswith("250 2.0.0 ") for reply in replies), replies
    assert find(node, BOB, "chunks").endswith(b"+0000\r\n" + text)


def test_starttls_and_several_recipients(node):
    with node.smtp() as client:
        client.starttls(context=node.certificate.context())
        client.sendmail("joe@outside.test", [ALICE, BOB], make_message("over tls"))
    for login in (ALICE, BOB):
        text = find(node, login, "over tls").decode()
        assert re.search(r"\tby mail\.posthouse\.test with ESMTPS\r\n", text), text
        assert re.search(r"\ttls TLS_\w+ \(TLSv1\.[23]\);\r\n", text), text
        assert " for <" not in text.partition("\r\nFrom:")[0]


def test_helo_only_client(node):
    with Dialogue(node) as client:
        assert client.reply().startswith("220")
        client.ask("HELO [127.0.0.1]", "250")
        client.message("", BOB, make_message("helo"))
    text = find(node, BOB, "helo").decode()
    assert text.startswith("Return-Path: <>\r\nReceived: from [127.0.0.1] ([127.0.0.1])\r\n")
    assert "with SMTP\r\n" in text


def test_swaks(node):
    run(["swaks", "--server", "127.0.0.1", "--port", node.ports["smtp"], "--tls", "--helo", "client.test", "--from",
         "joe@outside.test", "--to", BOB, "--header", "Subject: swaks"])
    find(node, BOB, "swaks")


def test_alias_and_case_and_one_copy(node):
    node.send("joe@outside.test", ["SALES@Example.Test", ALICE, "postmaster@example.test", '"alice"@example.test'],
              make_message("one copy"))
    find(node, ALICE, "one copy")
    assert node.subjects(ALICE).count("one copy") == 1


def test_message_is_kept_as_it_came(node):
    """Long lines, 8-bit, dots, no header, an empty body: what comes out is what went in, after our two fields."""
    bodies = [b"Subject: odd 1\r\n\r\n" + b"x" * 5000 + b"\r\n", b"Subject: odd 2\r\n\r\n\xff\xfe\x80\r\n",
              b"Subject: odd 3\r\n\r\n.\r\n..\r\n.a\r\n", b"Subject: odd 4\r\n"]
    with Dialogue(node) as client:
        client.hello()
        for body in bodies:
            stuffed = re.sub(rb"(?m)^\.", b"..", body)
            assert client.message("joe@outside.test", BOB, stuffed).startswith("250")
    for place, body in enumerate(bodies, 1):
        assert find(node, BOB, f"odd {place}").endswith(b" +0000\r\n" + body)


def test_large_message(node):
    body = make_message("large", body="".join(f"{n:076d}\n" for n in range(250000)))
    assert len(body) > 19_000_000
    node.send("joe@outside.test", BOB, body)
    assert find(node, BOB, "large").endswith(body[-100000:])


def test_relay_denied_to_strangers(node, outside):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        node.send(ALICE, "someone@outside.test", make_message("denied"))
    code, text = refused.value.recipients["someone@outside.test"]
    assert code == 550 and text.startswith(b"5.7.1 <someone@outside.test>: relaying denied: 127.0.0.1 is not in")
    assert not [m for m in outside.messages if subject_of(m.data) == "denied"]


def test_suspended_account_refuses_mail(node):
    node.api.account("away@example.test", "smtp")
    node.api.patch("/v1/accounts/away@example.test", {"state": "suspended"})
    with Dialogue(node) as client:
        client.hello()
        client.ask("MAIL FROM:<joe@outside.test>", "250")
        client.ask("RCPT TO:<away@example.test>", "550 5.2.1")


# ------------------------------------------------------------------ networks


def test_network_grant(new_posthouse, sink):
    node = furnish(new_posthouse(default_route=sink.port).start())
    node.api.customer("other")
    node.api.hosted_domain("other.test", "other")
    node.api.post("/v1/networks", {"cidr": "127.0.0.0/24", "customer": "smtp"})
    node.send("anybody@example.test", "a@outside.test", make_message("granted"))
    assert find_outside(sink, "granted").sender == "anybody@example.test"
    node.send("", "a@outside.test", make_message("bounce of theirs"))
    assert find_outside(sink, "bounce of theirs").sender == ""
    with Dialogue(node) as client:
        client.hello()
        for sender in ("x@other.test", "x@outside.test"):
            client.ask(f"MAIL FROM:<{sender}>", "250")
            client.ask("RCPT TO:<a@outside.test>", "550 5.7.1 <a@outside.test>: relaying denied: the network of")
            client.ask(f"RCPT TO:<{BOB}>", "250")
            client.ask("RSET", "250")
    with Dialogue(node, source="127.0.1.1") as client:  # not in the block
        client.hello()
        client.ask("MAIL FROM:<anybody@example.test>", "250")
        client.ask("RCPT TO:<a@outside.test>", "550 5.7.1")
    node.api.patch("/v1/customers/smtp", {"state": "suspended"})
    with Dialogue(node) as client:
        client.hello()
        client.ask("MAIL FROM:<anybody@example.test>", "250")
        client.ask("RCPT TO:<a@outside.test>", "550 5.7.1")


# ------------------------------------------------------------------ submission


@pytest.mark.parametrize("port, tls, mechanisms", [
    ("submission", False, "SCRAM-SHA-256"),
    ("submission", True, "SCRAM-SHA-256 PLAIN LOGIN"),
    ("submissions", True, "SCRAM-SHA-256 PLAIN LOGIN"),
])
def test_authentication_matrix(node, port, tls, mechanisms):
    def connect():
        client = Dialogue(node, port)
        client.hello()
        if tls and port == "submission":
            client.ask("STARTTLS", "220")
            client.start_tls()
            client.ask("EHLO client.test", "250")
        return client

    with connect() as client:
        assert client.ask("EHLO client.test").split("\n")[-1] == "250 AUTH " + mechanisms
        assert client.scram(ALICE, PASSWORD).startswith("235 2.7.0")
        client.ask(f"MAIL FROM:<{ALICE}>", "250")
    with connect() as client:
        assert client.scram(ALICE, PASSWORD, initial=False).startswith("235 2.7.0")
    with connect() as client:
        assert client.scram(ALICE, "wrong").startswith("535 5.7.8")
        assert client.scram("nobody@example.test", PASSWORD).startswith("535 5.7.8")
        client.ask(f"MAIL FROM:<{ALICE}>", "530 5.7.0")
        if tls:
            assert client.plain(ALICE, PASSWORD).startswith("235 2.7.0")
        else:
            assert client.plain(ALICE, PASSWORD).startswith("504 5.5.4")


def test_no_authentication_on_port_25(node):
    with node.smtp() as client:
        client.starttls(context=node.certificate.context())
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH", "PLAIN =")[0] == 502


def test_authentication_ends_with_starttls(node):
    with Dialogue(node, "submission") as client:
        client.hello()
        assert client.scram(ALICE, PASSWORD).startswith("235")
        client.ask("STARTTLS", "220")
        client.start_tls()
        client.ask("EHLO client.test", "250")
        client.ask(f"MAIL FROM:<{ALICE}>", "530 5.7.0")


def test_sender_must_be_owned(node, outside):
    with Dialogue(node, "submissions") as client:
        client.hello()
        assert client.plain(ALICE, PASSWORD).startswith("235")
        for sender in (BOB, "ghost@example.test", "x@outside.test", CAROL):
            client.ask(f"MAIL FROM:<{sender}>", f"550 5.7.1 {ALICE} may not send as <{sender}>; ")
        assert client.message("Sales@example.test", "x@outside.test", make_message("as an alias", "Sales@example.test")).startswith("250")
        for value in (f"{BOB}, {ALICE}", f"G: {BOB};", f"{ALICE}\r\nSender: {BOB}", f"{ALICE}\r\nFrom: {BOB}"):
            message = f"From: {value}\r\nSubject: not mine\r\n\r\n".encode()
            assert client.message(ALICE, "x@outside.test", message).startswith(f"550 5.7.1 {ALICE} may not send in the name of <{BOB}> ")
        for between in ("; ", " and ", ")", ",@", "\\", ";;"):  # which one reader passes over, and another does not
            message = f"From: {ALICE}{between}{BOB}\r\nSubject: not mine\r\n\r\n".encode()
            assert client.message(ALICE, "x@outside.test", message).startswith("550 5.6.0 "), between
        for value in ('"alice"@example.test', 'Alice <"al\\ice"@EXAMPLE.test>'):  # two spellings of the same
            message = f"From: {value}\r\nSubject: spelt\r\n\r\n".encode()
            assert client.message(ALICE, "x@outside.test", message).startswith("250 "), value
        client.ask("MAIL FROM:<>", "250")
    assert find_outside(outside, "as an alias").sender == "Sales@example.test"


def test_submission_completes_the_header(node, outside):
    """RFC 6409 section 8, the same in the copies of two customers; a complete header stays as it is."""
    bare = b"Subject: completed\r\nBcc: secret@outside.test,\r\n hidden@outside.test\r\nTo: x@outside.test\r\n\r\nBcc: body\r\n"
    node.submit(ALICE, ["x@outside.test", BOB], bare)
    sent, kept = find_outside(outside, "completed").data.decode(), find(node, BOB, "completed").decode()
    fields = r"\+0000\r\nDate: .* \+0000\r\nMessage-ID: <([0-9a-z]{13})@mail\.posthouse\.test>\r\nSubject: completed\r\nTo: x@"
    assert re.search(fields, sent) and re.search(fields, kept), sent
    assert "secret" not in sent + kept and "hidden" not in sent + kept
    assert sent.endswith("\r\n\r\nBcc: body\r\n")
    complete = b"Message-ID: <1@example.test>\r\nDate: Mon, 23 Nov 2026 20:25:14 +0000\r\nSubject: complete\r\n\r\nHi.\r\n"
    node.submit(ALICE, BOB, complete)
    assert find(node, BOB, "complete").endswith(b" +0000\r\n" + complete)


def test_port_25_changes_no_header(node):
    plain = b"Bcc: x@outside.test\r\nSubject: untouched\r\n\r\nHi.\r\n"
    node.send("joe@outside.test", BOB, plain)
    assert find(node, BOB, "untouched").endswith(b" +0000\r\n" + plain)


@pytest.mark.parametrize("port", ["smtp", "submissions"])
def test_a_message_without_header_is_all_body(node, outside, port):
    """Its first lines become no part of ours: a blank would continue Received or Message-ID, text is skipped by readers."""
    for begin in (f"Printer of {port}: no paper\r\nTray: 2\r\n", f" To: {port}\r\nSubject: of mine\r\n\r\nText.\r\n"):
        with Dialogue(node, port) as client:
            client.hello()
            if port != "smtp":
                client.plain(ALICE, PASSWORD)
            assert client.message(ALICE, BOB, begin.encode()).startswith("250 2.0.0")
        stored = wait_until(lambda: next((m for m in node.inbox(BOB) if begin.encode() in m), None), "it is stored")
        header, _, body = stored.partition(b"\r\n\r\n")
        assert body == begin.encode() and b"\r\n\tby mail.posthouse.test with ESMTP" in header
        assert (b"\r\nMessage-ID: <" in header) == (port != "smtp")
        with node.imap(BOB) as imap:
            imap.select("INBOX", readonly=True)
            number = imap.search(None, "TEXT", '"of mine"' if begin[0] == " " else f'"Printer of {port}"')[1][0].split()[-1]
            assert imap.fetch(number.decode(), "(BODY.PEEK[TEXT])")[1][0][1] == begin.encode()


def test_account_of_a_relay_domain_submits(node, outside):
    node.submit(CAROL, ["x@outside.test", BOB], make_message("from carol", CAROL))
    text = find_outside(outside, "from carol").data.decode()
    assert "with ESMTPSA\r\n" in text and not text.startswith("Return-Path")
    find(node, BOB, "from carol")


def test_suspension_takes_effect_in_open_sessions(node):
    node.api.account("spammer@example.test", "smtp")
    with Dialogue(node, "submissions") as client:
        client.hello()
        assert client.plain("spammer@example.test", PASSWORD).startswith("235")
        node.api.patch("/v1/accounts/spammer@example.test", {"state": "suspended"})
        client.ask("MAIL FROM:<spammer@example.test>", "550 5.7.1 spammer@example.test may not send")
        client.ask("MAIL FROM:<>", "550 5.7.1")
    with Dialogue(node, "submissions") as client:
        client.hello()
        assert client.plain("spammer@example.test", PASSWORD).startswith("535")


def test_msmtp(node, outside, tmp_path):
    config = tmp_path / "msmtprc"
    config.write_text(f"account default\nhost localhost\nport {node.ports['submission']}\nauth on\nuser {ALICE}\n"
                      f"password {PASSWORD}\nfrom {ALICE}\ntls on\ntls_starttls on\n"
                      f"tls_trust_file {node.certificate.certificate}\n")
    config.chmod(0o600)
    run(["msmtp", "-C", config, "x@outside.test"], input=make_message("msmtp", ALICE).decode())
    find_outside(outside, "msmtp")


def test_curl(node, outside, tmp_path):
    mail = tmp_path / "mail"
    mail.write_bytes(make_message("curl", ALICE))
    run(["curl", "--silent", "--show-error", f"smtps://localhost:{node.ports['submissions']}", "--cacert",
         node.certificate.certificate, "--user", f"{ALICE}:{PASSWORD}", "--mail-from", ALICE, "--mail-rcpt",
         "x@outside.test", "--upload-file", mail])
    find_outside(outside, "curl")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_authenticates(node, outside, mechanism):
    run(["swaks", "--server", "127.0.0.1", "--port", node.ports["submission"], "--tls", "--auth", mechanism,
         "--auth-user", ALICE, "--auth-password", PASSWORD, "--from", ALICE, "--to", "x@outside.test", "--header",
         f"Subject: swaks {mechanism}"])
    find_outside(outside, f"swaks {mechanism}")


# ------------------------------------------------------------------ the database goes and comes


def test_database_away_is_451_and_recovers(new_posthouse, own_postgres):
    node = furnish(new_posthouse(own_postgres).start())
    with Dialogue(node) as client, Dialogue(node) as waiting, Dialogue(node, "submissions") as submitter:
        for one in (client, waiting, submitter):
            one.hello()
        waiting.ask("MAIL FROM:<joe@outside.test>", "250")
        waiting.ask(f"RCPT TO:<{BOB}>", "250")
        waiting.ask("DATA", "354")
        own_postgres.stop()
        client.ask("MAIL FROM:<joe@outside.test>", "250")
        client.ask(f"RCPT TO:<{BOB}>", "451 4.3.0")
        client.ask("RCPT TO:<nobody@example.test>", "451 4.3.0")
        waiting.ask("Subject: while away\r\n.", "451 4.3.0")
        assert submitter.plain(ALICE, PASSWORD).startswith("454 4.7.0")
        assert not node.ready()
        own_postgres.start()
        wait_until(node.ready, "posthoused has found its database again")

        def accepted():
            client.ask("RSET", "250")
            return client.message("joe@outside.test", BOB, b"Subject: after\r\n").startswith("250")
        wait_until(accepted, "mail is accepted again")
        assert submitter.plain(ALICE, PASSWORD).startswith("235")
    find(node, BOB, "after")
    assert "while away" not in node.subjects(BOB)


# ------------------------------------------------------------------ draining


def test_drain_says_421_at_the_next_boundary(new_posthouse):
    node = furnish(new_posthouse().start())
    with Dialogue(node) as idle, Dialogue(node) as sending:
        idle.hello()
        sending.hello()
        sending.ask("MAIL FROM:<joe@outside.test>", "250")
        sending.ask(f"RCPT TO:<{BOB}>", "250")
        sending.ask("DATA", "354")
        sending.send("Subject: half\r\n")
        process = node.process
        process.send_signal(15)
        assert idle.reply().startswith("421 4.3.2")
        assert idle.reply() == ""
        sending.send("\r\nrest\r\n.\r\n")
        assert sending.reply().startswith("250 2.0.0")  # what had begun is finished
        assert sending.reply().startswith("421 4.3.2")
    wait_until(lambda: not process.running(), "posthoused has ended")
    node.stop()
    node.start()
    find(node, BOB, "half")
