"""SMTPUTF8 (RFC 6531, 6532, 6533): addresses and headers that are not ASCII, from the first hop to the mailbox or the next."""
import base64
import email
import email.policy
import imaplib
import json
import os
import poplib
import quopri
import re
import smtplib
import subprocess
from urllib.parse import quote

import pytest

from harness.names import Names
from harness.posthouse import PASSWORD, PROGRAM
from harness.process import wait_until
from harness.sink import Behaviour

SENDER = "ann@hosted.test"
JURGEN = "j\u00fcrgen@b\u00fccher.test"           # an account, in a hosted domain
JURGEN_STORED = "j\u00fcrgen@xn--bcher-kva.test"  # the form in which the directory has it
DELTA = "\u03b4@relayed.test"
OPTIONS = ("SMTPUTF8", "BODY=8BITMIME")
UTF8 = Behaviour().extensions + ("SMTPUTF8", "DSN")


@pytest.fixture
def node(new_posthouse, sink):
    node = new_posthouse().start()
    node.api.customer("utf8")
    for domain in ("hosted.test", "b\u00fccher.test"):
        node.api.hosted_domain(domain, "utf8")
    for address in (SENDER, JURGEN):
        node.api.account(address, "utf8")
    node.api.relay_domain("relayed.test", "utf8", sink.port)
    node.api.relay_domain("\u043f\u0440\u0438\u043c\u0435\u0440.test", "utf8", sink.port)
    return node


def message(subject="hello", sender=SENDER, to=DELTA, body="Hello.\r\n"):
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Mon, 23 Nov 2026 20:25:14 +0000\r\n"
            f"Message-ID: <1@hosted.test>\r\n\r\n{body}").encode()


def dialogue(connection, sender, recipients, content, options=OPTIONS, rcpt=""):
    """As smtplib's sendmail(), but in UTF-8 wherever it stands.  The reply to the last command."""
    connection.ehlo_or_helo_if_needed()
    connection.command_encoding = "utf-8"
    reply = connection.docmd(f"MAIL FROM:<{sender}> {' '.join(options)}".rstrip())
    for recipient in recipients:
        if reply[0] == 250:
            reply = connection.docmd(f"RCPT TO:<{recipient}> {rcpt}".rstrip())
    return connection.data(content) if reply[0] == 250 else reply


def send(node, *recipients, sender=SENDER, content=None, **more):
    with node.smtp() as connection:
        code, text = dialogue(connection, sender, recipients, content or message(sender=sender), **more)
    assert code == 250, text


def ask(node, sql):
    ((value,),) = node.query(sql)
    return value


def wait_gone(node):
    wait_until(lambda: ask(node, "select count(*) from queue_entry") == "0", "the queue is empty")


def mailbox(node, login=SENDER):
    with node.pop3(SENDER) as connection:
        texts = [b"\r\n".join(connection.retr(number + 1)[1]) for number in range(connection.stat()[0])]
    return texts


def wait_report(node):
    wait_until(lambda: mailbox(node), "a report is in the sender's mailbox")
    (text,) = mailbox(node)
    text.decode("ascii")  # RFC 6533 4.5: it fits every next hop
    return parts_of(text)


def parts_of(report):
    """(type, content without its encoding) of each; Python takes the types of RFC 6533 for messages, and decodes nothing."""
    boundary = email.message_from_bytes(report).get_boundary().encode()
    for part in report.split(b"\r\n--" + boundary)[1:-1]:
        head, _, content = part[2:].partition(b"\r\n\r\n")
        fields = email.message_from_bytes(head)
        if fields["Content-Transfer-Encoding"] == "quoted-printable":
            content = quopri.decodestring(content)
        yield fields["Content-Type"], content.decode()


# ------------------------------------------------------------------ on to the next hop


def test_it_goes_on_as_it_came(node, sink):
    sink.behave = Behaviour(extensions=UTF8)
    send(node, DELTA, content=message("sch\u00f6n"), rcpt="ORCPT=utf-8;\\x{3B4}\\x{2B}@old.test")
    wait_gone(node)
    (got,) = sink.messages
    assert got.recipients == [DELTA] and got.recipient_parameters == ["ORCPT=utf-8;\u03b4\\x{2B}@old.test"]
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(got.mail_parameters.split())
    assert "Subject: sch\u00f6n\r\n".encode() in got.data
    assert b"with UTF8SMTP\r\n" in got.data and f"for <{DELTA}>".encode() in got.data


def test_u_labels_on_the_wire(node, sink):
    """The domain is stored in A-labels, and written in U-labels where SMTPUTF8 is said (RFC 6531 3.7)."""
    sink.behave = Behaviour(extensions=UTF8)
    send(node, "\u03b4@xn--e1afmkfd.test", sender="\u03b1@b\u00fccher.test")
    wait_gone(node)
    assert ask(node, "select sender from message where protocol <> 'LOCAL'") == "\u03b1@xn--bcher-kva.test"
    (got,) = sink.messages
    assert got.sender == "\u03b1@b\u00fccher.test"
    assert got.recipients == ["\u03b4@\u043f\u0440\u0438\u043c\u0435\u0440.test"]


def test_what_is_ascii_after_all_goes_without(node, sink):
    """A domain has a form in ASCII; the parameter was not needed for anything else (3.4)."""
    send(node, "dave@\u043f\u0440\u0438\u043c\u0435\u0440.test", content=message(to="dave"))
    wait_gone(node)
    (got,) = sink.messages
    assert got.recipients == ["dave@xn--e1afmkfd.test"] and "SMTPUTF8" not in got.mail_parameters
    got.data.decode("ascii")


def test_only_the_recipient_who_needs_it_comes_back(node, sink):
    send(node, DELTA, "dave@relayed.test", content=message(to="dave"))
    wait_gone(node)
    (got,) = sink.messages
    assert got.recipients == ["dave@relayed.test"]
    got.data.decode("ascii")  # no trace of the other
    people, programs, header = wait_report(node)
    assert people[0] == "text/plain; charset=utf-8" and DELTA in people[1]
    assert programs[0] == "message/global-delivery-status"
    assert f"Final-Recipient: utf-8; {DELTA}\r\n" in programs[1] and "Status: 5.6.7\r\n" in programs[1]
    assert header[0] == "text/rfc822-headers"


@pytest.mark.parametrize("ret, kind", [("RET=HDRS", "message/global-headers"), ("RET=FULL", "message/global")])
def test_a_header_that_needs_it_comes_back(node, sink, ret, kind):
    send(node, "dave@relayed.test", content=message("sch\u00f6n", to="dave"), options=OPTIONS + (ret,),
         rcpt="ORCPT=utf-8;\\x{3B4}@old.test")
    wait_gone(node)
    assert not sink.messages
    _, programs, original = wait_report(node)
    assert "Status: 5.6.9\r\n" in programs[1] and "Original-Recipient: utf-8; \u03b4@old.test\r\n" in programs[1]
    assert original[0] == kind
    assert "Subject: sch\u00f6n\r\n" in original[1]
    assert ("Hello." in original[1]) == (kind == "message/global")


def test_headers_of_parts_count(node, sink):
    part = ("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n"
            "Content-Description: %s\r\n\r\nsch\u00f6n\r\n--b--\r\n")
    for description in ("plain", "sch\u00f6n"):
        send(node, "dave@relayed.test", content=(f"From: <{SENDER}>\r\n" + part % description).encode())
    wait_gone(node)
    (got,) = sink.messages
    assert b"plain" in got.data
    assert any("5.6.9" in content for _, content in wait_report(node))


def test_not_declared_goes_as_it_came(node, sink):
    """Raw 8-bit headers are older than SMTPUTF8."""
    send(node, "dave@relayed.test", content=message("sch\u00f6n", to="dave"), options=())
    wait_gone(node)
    (got,) = sink.messages
    assert "Subject: sch\u00f6n\r\n".encode() in got.data and "SMTPUTF8" not in got.mail_parameters


def test_the_report_for_a_sender_who_needs_it(node, sink):
    sink.behave = Behaviour(extensions=UTF8, recipient_replies={DELTA: "550 5.1.1 nobody"})
    send(node, DELTA, sender="\u03b1@\u043f\u0440\u0438\u043c\u0435\u0440.test")
    wait_until(lambda: sink.messages, "the report arrives")
    (report,) = sink.messages
    assert report.sender == "" and report.recipients == ["\u03b1@\u043f\u0440\u0438\u043c\u0435\u0440.test"]
    assert "SMTPUTF8" in report.mail_parameters
    assert "To: <\u03b1@\u043f\u0440\u0438\u043c\u0435\u0440.test>\r\n".encode() in report.data


def test_postfix_takes_it(new_posthouse, postfix):
    """A message of Python's email package, by smtplib's own way, to a real server that offers SMTPUTF8."""
    postfix.start()
    node = new_posthouse().start()
    node.api.customer("utf8")
    node.api.relay_domain("relayed.test", "utf8", postfix.port)
    letter = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
    letter["From"], letter["To"], letter["Subject"] = "\u03b1@b\u00fccher.test", "dave@relayed.test", "sch\u00f6n"
    letter.set_content("Hello.\n")
    with node.smtp() as connection:
        assert connection.send_message(letter) == {}
    wait_until(lambda: any("sch\u00f6n" in text for text in map(raw, postfix.messages())), "Postfix has it")
    wait_gone(node)


def raw(text):
    return text.decode() if isinstance(text, bytes) else str(text)


# ------------------------------------------------------------------ here


def test_a_name_is_found_whichever_way_it_is_written(node):
    for address in (JURGEN, "J\u00dcRGEN@B\u00dcCHER.test", JURGEN_STORED, "ju\u0308rgen@bu\u0308cher.test"):
        send(node, address, content=message(to=address))
        assert node.api.get("/v1/accounts/" + quote(address))["address"] == JURGEN_STORED
    assert ask(node, "select count(*) from mailbox_message") == "4"
    for domain in ("b\u00fccher.test", "xn--bcher-kva.test", "B\u00dcCHER.TEST"):
        assert node.api.get("/v1/domains/" + quote(domain))["name"] == "xn--bcher-kva.test"
    status, _ = node.api.request("POST", "/v1/accounts", {"address": "J\u00dcRGEN@xn--bcher-kva.test", "customer": "utf8",
                                                          "password": PASSWORD})[:2]
    assert status == 409
    grant = node.api.post("/v1/relay-grants", {"customer": "utf8", "account": JURGEN, "senders": "domains", "recipients": "domains",
                                               "sender_domains": ["B\u00dcCHER.test"], "recipient_domains": ["\u03b4.test"]})
    assert (grant["sender_domains"], grant["recipient_domains"]) == (["xn--bcher-kva.test"], ["xn--pxa.test"])
    node.api.post("/v1/aliases", {"address": "\u03bb@b\u00fccher.test", "targets": [JURGEN, "\u03b4@\u03b4.test"]})
    assert node.api.get("/v1/aliases/" + quote("\u039b@B\u00fccher.test"))["targets"] == [JURGEN_STORED, "\u03b4@xn--pxa.test"]


def test_valid_recipients_and_subaddresses(node):
    """What else the directory knows of addresses: lists of relay domains, subaddresses, catch-alls, domain aliases."""
    node.api.patch("/v1/domains/relayed.test", {"recipients": "listed"})
    node.api.request("PUT", "/v1/domains/relayed.test/recipients", {"addresses": ["\u0394@relayed.test"]})
    node.api.patch("/v1/domains/" + quote("b\u00fccher.test"), {"subaddress_separator": "+"})
    with node.smtp() as connection:
        connection.ehlo()
        connection.command_encoding = "utf-8"
        connection.docmd(f"MAIL FROM:<{SENDER}> SMTPUTF8")
        assert connection.docmd(f"RCPT TO:<{DELTA}>")[0] == 250
        assert connection.docmd("RCPT TO:<\u03b5@relayed.test>")[0] == 550
        assert connection.docmd("RCPT TO:<J\u00fcrgen+\u043c@b\u00fccher.test>")[0] == 250
    assert node.api.request("DELETE", "/v1/domains/relayed.test/recipients/" + quote("\u0394@relayed.test"))[0] == 204


def submit(node, login, sender, content, options=OPTIONS):
    with smtplib.SMTP_SSL("127.0.0.1", node.ports["submissions"], context=node.certificate.context()) as connection:
        connection.ehlo()
        secret = base64.b64encode(f"\0{login}\0{PASSWORD}".encode()).decode()
        assert connection.docmd("AUTH", f"PLAIN {secret}")[0] == 235
        return dialogue(connection, sender, [SENDER], content, options=options)


def test_submission_in_one_s_own_name(node):
    assert submit(node, JURGEN, JURGEN, message(sender=JURGEN, to=SENDER))[0] == 250
    assert submit(node, JURGEN, JURGEN_STORED, message(sender="J\u00fcrgen@xn--bcher-kva.test", to=SENDER))[0] == 250
    code, text = submit(node, JURGEN, JURGEN, message(sender="h\u00e4ns@b\u00fccher.test", to=SENDER))
    assert (code, text[:5]) == (550, b"5.7.1") and b"h\\x{E4}ns@" in text
    text.decode("ascii")
    code, text = submit(node, JURGEN, SENDER, message(sender=SENDER, to=SENDER))
    assert (code, text[:5]) == (550, b"5.7.1")
    text.decode("ascii")  # the account's name stands in it
    assert b"with UTF8SMTPSA\r\n" in mailbox(node)[0]


def test_a_character_stays_in_one_line_of_a_reply(node):
    """A reply line has 512 octets at most; wherever its end comes, what stands for a character is not broken."""
    network = node.api.post("/v1/networks", {"cidr": "127.0.0.1", "customer": "utf8"})
    domain = ".".join(["d" * 60] * 4) + ".test"
    try:
        with node.smtp() as connection:
            connection.ehlo()
            for character in "\u03b4", "\U00010348":
                for ahead in range(10):
                    connection.send(f"MAIL FROM:<{character * 16}@outside.test> SMTPUTF8\r\n".encode())
                    assert connection.getreply()[0] == 250
                    code, text = connection.docmd(f"RCPT TO:<{'a' * (20 + ahead)}@{domain}>")
                    lines = text.decode("ascii").split("\n")
                    assert code == 550 and len(lines) == 2 and 470 < len(lines[0]) <= 500, lines
                    for line in lines:
                        assert re.fullmatch(r"5\.7\.1 (\\x\{[0-9A-F]+\}|[^\\{}])+", line), line
                    connection.rset()
    finally:
        node.api.delete(f"/v1/networks/{network['id']}")


def test_relay_checks_say_what_rcpt_says(node):
    for recipient in (JURGEN, "\u03b5@b\u00fccher.test", DELTA, "\u03b4@outside.test"):
        reply = node.api.post("/v1/relay-checks", {"sender": "\u03b1@outside.test", "recipient": recipient,
                                                   "client": "127.0.0.1"})["reply"]
        with node.smtp() as connection:
            connection.ehlo()
            connection.command_encoding = "utf-8"
            assert connection.docmd("MAIL FROM:<\u03b1@outside.test> SMTPUTF8")[0] == 250
            code, text = connection.docmd(f"RCPT TO:<{recipient}>")
        said = f"{reply['enhanced']} {reply['text']}"
        assert code == reply["code"]
        assert text.decode("ascii").partition(" (decision ")[0] == said


def test_command_line(node):
    def run(*arguments):
        environment = {"PATH": os.environ["PATH"], "HOME": str(node.folder), "POSTHOUSE_TOKEN": node.token, "LC_ALL": "C.UTF-8"}
        done = subprocess.run([PROGRAM.parent / "posthouse", "--url", f"http://127.0.0.1:{node.ports['admin']}", *arguments],
                              capture_output=True, text=True, timeout=60, env=environment, check=True)
        return done.stdout
    assert json.loads(run("accounts", "show", "J\u00dcRGEN@B\u00fccher.test", "--json"))["address"] == JURGEN_STORED
    assert JURGEN_STORED in run("accounts", "list")


def test_its_owner_signs_in(node):
    send(node, JURGEN, content=message(to=JURGEN))
    for login in (JURGEN, "J\u00dcRGEN@xn--bcher-kva.test"):
        with imaplib.IMAP4_SSL("127.0.0.1", node.ports["imaps"], ssl_context=node.certificate.context()) as imap:
            imap.authenticate("PLAIN", lambda _: f"\0{login}\0{PASSWORD}".encode())
            assert imap.select()[1] == [b"1"]
        pop3 = poplib.POP3_SSL("127.0.0.1", node.ports["pop3s"], context=node.certificate.context())
        pop3.user(login)
        pop3.pass_(PASSWORD)
        assert pop3.stat()[0] == 1
        pop3.close()


def test_it_is_looked_up_in_dns_by_its_a_label(new_posthouse):
    with Names() as names:
        names.records["xn--pxa.test", "A"] = ["192.0.2.1"]
        node = new_posthouse(settings={"dns.resolver": names.resolver}).start()
        node.api.customer("utf8")
        node.api.hosted_domain("b\u00fccher.test", "utf8")
        node.api.account(JURGEN, "utf8")
        reply = node.api.post("/v1/relay-checks", {"account": JURGEN, "sender": JURGEN, "recipient": "\u03b4@\u0394.test"})
        assert reply["route"]["destination"] == "mx:xn--pxa.test" and names.asked["xn--pxa.test"]


def test_imap_tells_it_in_ascii(node):
    send(node, SENDER, sender=JURGEN, content=message("sch\u00f6n", sender=JURGEN, to=SENDER))
    with imaplib.IMAP4("127.0.0.1", node.ports["imap"]) as imap:
        imap.starttls(node.certificate.context())
        imap.login(SENDER, PASSWORD)
        imap.select()
        _, answer = imap.fetch("1", "(ENVELOPE BODYSTRUCTURE)")
        assert b"internationalized-address.invalid" in answer[0] and b"=?iso-8859-1?b?c2No9m4=?=" in answer[0]
        answer[0].decode("ascii")
        _, answer = imap.fetch("1", "BODY[HEADER.FIELDS (SUBJECT)]")
        assert "Subject: sch\u00f6n\r\n".encode() in answer[0][1]  # the message as it is
