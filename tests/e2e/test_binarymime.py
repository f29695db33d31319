"""BINARYMIME (RFC 3030): what comes binary is read by IMAP and POP3, and sent on, as lines, and nothing of it is lost."""
import email
import email.policy
import hashlib
import os
import random
import socket

import pytest

from harness.posthouse import PASSWORD
from harness.process import PATIENCE, wait_until
from harness.sink import Behaviour

DOMAIN = "binary.test"
SENDER = "someone@outside.test"

IMAGE = bytes(range(256)) * 3 + b"\r\n--outer\r\r\n\n--inner\r\n\0\r"
SOUND = b"\n\r\0" * 1000
INNER = (b"From: <a@outside.test>\r\nSubject: inner\r\nMIME-Version: 1.0\r\nContent-Type: application/x-inner\r\n"
         b"Content-Transfer-Encoding: binary\r\n\r\n")
TEXT = "Grüße\r\n.\r\n".encode()


@pytest.fixture(scope="module")
def node(posthouse):
    posthouse.api.customer("binary")
    posthouse.api.hosted_domain(DOMAIN, "binary")
    return posthouse


@pytest.fixture
def user(node, request):
    address = f"{hashlib.sha1(request.node.name.encode()).hexdigest()[:12]}@{DOMAIN}"
    node.api.account(address, "binary")
    return address


def make_binary(subject="binary"):
    """A text, a picture, a multipart in it with a sound, and a message that is binary itself."""
    return b"".join((
        b"From: <someone@outside.test>\r\nSubject: " + subject.encode() + b"\r\nMIME-Version: 1.0\r\n",
        b"Content-Type: multipart/mixed; boundary=outer\r\nContent-Transfer-Encoding: binary\r\n\r\npreamble\r\n",
        b"--outer\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", TEXT,
        b"\r\n--outer\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n", IMAGE,
        b"\r\n--outer\r\nContent-Type: multipart/mixed; boundary=inner\r\nContent-Transfer-Encoding: binary\r\n\r\n",
        b"--inner\r\nContent-Type: audio/basic\r\nContent-Transfer-Encoding: binary\r\n\r\n", SOUND, b"\r\n--inner--\r\n",
        b"\r\n--outer\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n", INNER, IMAGE,
        b"\r\n--outer--\r\nepilogue\r\n"))


class Client:
    """SMTP in bytes; smtplib knows no BDAT."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30 * PATIENCE)
        self.file = self.socket.makefile("rb")
        self.reply()
        self.offers = self.say(b"EHLO client.test").decode().split("\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def reply(self):
        text = b""
        while True:
            line = self.file.readline()
            assert line, "the server closed"
            text += line
            if line[3:4] == b" ":
                return text

    def say(self, line, expect=b"2"):
        self.socket.sendall(line + b"\r\n")
        answer = self.reply()
        assert answer.startswith(expect), (line[:100], answer)
        return answer

    def send(self, content, *recipients, expect=b"250", chunk=None):
        self.say(b"MAIL FROM:<%s> BODY=BINARYMIME" % SENDER.encode())
        for recipient in recipients:
            self.say(b"RCPT TO:<%s>" % recipient.encode())
        chunk = chunk or len(content)
        for at in range(0, len(content), chunk):
            piece = content[at:at + chunk]
            self.socket.sendall(b"BDAT %d\r\n" % len(piece) + piece)
            assert self.reply().startswith(b"250")
        return self.say(b"BDAT 0 LAST", expect)


def send(node, content, *recipients, **options):
    with Client(node.ports["smtp"]) as client:
        return client.send(content, *recipients, **options)


def check_lines(stored):
    assert b"\0" not in stored
    assert b"\r" not in stored.replace(b"\r\n", b"") and b"\n" not in stored.replace(b"\r\n", b"")
    assert b"binary\r\n" not in stored.partition(b"\r\n\r\n")[2], "no part says any more that it is binary"


def check_parts(stored):
    """Decoded by Python, everything is what was sent."""
    message = email.message_from_bytes(stored, policy=email.policy.SMTP)
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert message.preamble.strip() == "preamble" and message.epilogue.strip() == "epilogue"
    text, image, inner, enclosed = message.get_payload()
    assert text.get_payload(decode=True) == TEXT and text["Content-Transfer-Encoding"] == "8bit"
    assert image.get_payload(decode=True) == IMAGE and image["Content-Transfer-Encoding"] == "base64"
    assert inner["Content-Transfer-Encoding"] == "8bit"
    (sound,) = inner.get_payload()
    assert sound.get_payload(decode=True) == SOUND
    assert enclosed["Content-Transfer-Encoding"] == "8bit"
    (message,) = enclosed.get_payload()
    assert message["Subject"] == "inner" and message.get_payload(decode=True) == IMAGE


def pop(node, user):
    with node.pop3(user) as connection:
        assert connection.stat()[0] == 1
        return b"".join(line + b"\r\n" for line in connection.retr(1)[1])


def test_it_is_offered(node):
    with Client(node.ports["smtp"]) as client:
        assert any("BINARYMIME" in line for line in client.offers)


@pytest.mark.parametrize("chunk", [None, 1, 7, 1000])
def test_a_mailbox_reads_it_by_imap_and_pop3(node, user, chunk):
    send(node, make_binary(), user, chunk=chunk)
    stored = pop(node, user)
    check_lines(stored)
    check_parts(stored)
    with node.imap(user) as connection:
        connection.select("INBOX", readonly=True)
        structure = connection.fetch("1", "(BODYSTRUCTURE)")[1][0].decode()
        for part in ('("image" "png" NIL NIL NIL "base64"', '("audio" "basic" NIL NIL NIL "base64"', '("message" "rfc822" NIL NIL NIL "8bit"',
                     '("application" "x-inner" NIL NIL NIL "base64"', '("text" "plain" ("charset" "utf-8") NIL NIL "8bit"'):
            assert part in structure, structure
        fetched = connection.fetch("1", "(BODY.PEEK[])")[1][0][1]
        assert fetched == stored
        part = connection.fetch("1", "(BODY.PEEK[2])")[1][0][1]
        assert email.message_from_bytes(b"Content-Transfer-Encoding: base64\r\n\r\n" + part).get_payload(decode=True) == IMAGE


def test_what_is_not_binary_stays_as_it_is(node, user):
    content = b"Subject: lines\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\n.\r\n" + TEXT
    send(node, content, user)
    assert pop(node, user).endswith(content)


def test_submission(node, user):
    """Bcc goes, Date and Message-ID come, and the parts are what they were."""
    content = make_binary().replace(b"From: <someone@outside.test>\r\n", b"From: <%s>\r\nBcc: <x@outside.test>\r\n" % user.encode())
    with node.submission(user) as connection:
        connection.ehlo()
        assert "binarymime" in connection.esmtp_features
        assert connection.docmd(f"MAIL FROM:<{user}> BODY=BINARYMIME")[0] == 250
        assert connection.docmd(f"RCPT TO:<{user}>")[0] == 250
        connection.send(b"BDAT %d LAST\r\n" % len(content) + content)
        assert connection.getreply()[0] == 250
    stored = pop(node, user)
    assert b"Bcc:" not in stored and b"Message-ID:" in stored
    check_lines(stored)
    check_parts(stored)


def test_bare_newlines_are_content_where_lines_are_repaired(new_posthouse):
    node = new_posthouse(settings={"smtp.bare_newline": "normalize"})
    node.start()
    node.api.customer("binary")
    node.api.hosted_domain(DOMAIN, "binary")
    node.api.account(f"ann@{DOMAIN}", "binary")
    send(node, make_binary(), f"ann@{DOMAIN}")
    check_parts(pop(node, f"ann@{DOMAIN}"))


def test_large(node, user):
    """Longer than the spool's memory, in chunks of odd size; the result is longer by a third, which is no matter."""
    noise = random.Random(1).randbytes(3_000_000)
    content = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n" + noise
    send(node, content, user, chunk=99991)
    stored = pop(node, user)
    check_lines(stored)
    assert email.message_from_bytes(stored).get_payload(decode=True) == noise


@pytest.mark.parametrize("content, reply", [
    (b"Subject: \0\r\n\r\n", b"554 5.6.0"),
    (b"Subject: x\r\n\r\nbare\n", b"554 5.6.0"),
    (b"Content-Transfer-Encoding: 8bit\r\n\r\n\0", b"554 5.6.0"),
    (b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Transfer-Encoding: binary\r\n\r\nx\r\n--s--\r\n", b"554 5.6.2"),
    (b"X: " + b"x" * 300000 + b"\r\n\r\nx\r\n", b"552 5.3.4"),  # the message's own header
])
def test_what_cannot_be_converted_is_refused(node, user, content, reply):
    with Client(node.ports["smtp"]) as client:
        client.say(b"MAIL FROM:<%s> BODY=BINARYMIME" % SENDER.encode())
        client.say(b"RCPT TO:<%s>" % user.encode())
        client.socket.sendall(b"BDAT %d LAST\r\n" % len(content) + content)
        assert client.reply().startswith(reply)
        client.send(b"Subject: the session goes on\r\n\r\n", user)
    assert node.subjects(user) == ["the session goes on"]


def test_it_is_relayed_as_8bitmime(node, sink):
    node.api.relay_domain("relayed.test", "binary", sink.port)
    send(node, make_binary(), "carol@relayed.test")
    wait_until(lambda: sink.messages, "the next hop has it")
    assert "BODY=8BITMIME" in sink.messages[0].mail_parameters
    check_lines(sink.messages[0].data)
    check_parts(sink.messages[0].data)


def test_a_next_hop_of_seven_bits_gets_what_has_no_more(node, sink):
    node.api.relay_domain("seven.test", "binary", sink.port)
    sink.behave = Behaviour(extensions=("PIPELINING",))
    send(node, b"Content-Transfer-Encoding: binary\r\n\r\n" + IMAGE, "carol@seven.test")
    wait_until(lambda: sink.messages, "the next hop has it")
    assert email.message_from_bytes(sink.messages[0].data).get_payload(decode=True) == IMAGE


def test_held_mail_is_readable(node):
    """While the primary is away its users read the same."""
    node.api.relay_domain("away.test", "binary", 1)
    node.api.account("carol@away.test", "binary")
    send(node, make_binary(), "carol@away.test")
    wait_until(lambda: node.subjects("carol@away.test") == ["binary"], "the message is shown")
    check_parts(pop(node, "carol@away.test"))


def test_through_postfix(node, postfix, user):
    """Posthouse to Postfix, which delivers it into its Maildir."""
    postfix.serve("postfixed.test")
    postfix.start()
    node.api.relay_domain("postfixed.test", "binary", postfix.port)
    send(node, make_binary(), "carol@postfixed.test")
    wait_until(postfix.messages, "Postfix has delivered it", timeout=60)
    (stored,) = postfix.messages()
    check_parts(stored.replace(b"\n", b"\r\n"))
