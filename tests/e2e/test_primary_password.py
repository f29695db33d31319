"""Logins that are checked at the domain's primary, and the password that last worked there, for when it is away."""
import imaplib
import poplib
import smtplib
import threading
import time

import pytest

from harness import dovecot as dovecot_module
from harness.certificate import Certificate
from harness.faults import FaultyPostgres
from harness.posthouse import PASSWORD, Posthouse, make_message
from harness.process import make_folder, remove_folder, wait_until
from harness.sasl_server import Passwords
from harness.sink import Behaviour, Sink

ANN, BOB = "ann@checked.test", "bob@checked.test"
SECRET, OTHER = "primary's pass word", "the next one, changed"


@pytest.fixture
def trusting(certificate, monkeypatch):
    """Programs that are started trust the tests' certificate, as they do the system's authorities."""
    plain = Posthouse.environment
    monkeypatch.setattr(Posthouse, "environment", lambda self: dict(plain(self), SSL_CERT_FILE=str(certificate.certificate)))


@pytest.fixture
def server(certificate):
    """The primary's submission service: ann's password is SECRET."""
    with Sink() as sink:
        sink.passwords = Passwords(ANN, SECRET)
        sink.asked = 0
        behave(sink, certificate)
        yield sink


def behave(sink, certificate, offers="AUTH PLAIN LOGIN", auth=None, **members):
    def counted(session, mechanism, initial):
        sink.asked += 1
        (auth or sink.passwords)(session, mechanism, initial)
    sink.behave = Behaviour(tls=certificate.server_context() if members.pop("tls", True) else None, tls_extensions=(offers,),
                            auth=counted, **members)


@pytest.fixture
def node(new_posthouse, trusting, sink, server):
    return set_up(new_posthouse(settings={"delivery.probe_interval": "300ms"}), sink, server)


def set_up(node, sink, server, **policy):
    node.start()
    node.api.customer("checked")
    node.api.relay_domain("checked.test", "checked", sink.port)
    node.api.patch("/v1/domains/checked.test", {"recipients": "listed"})
    for address in (ANN, BOB):
        node.api.post("/v1/domains/checked.test/recipients", {"address": address})
    node.api.patch("/v1/domains/checked.test/continuity-policy", {
        "accounts": "known", "check_password": "smtp", "check_host": "127.0.0.1", "check_port": server.port, **policy})
    return node


def imap(node, login, password):
    """True: it may; False: it may not; the server's words: it cannot be told."""
    try:
        with node.imap(login, password):
            return True
    except imaplib.IMAP4.error as error:
        return str(error) if "UNAVAILABLE" in str(error) else False


def pop3(node, login, password):
    try:
        with node.pop3(login, password):
            return True
    except poplib.error_proto as error:
        assert "[AUTH]" in str(error)
        return False


def submission(node, login, password):
    with node.submission() as connection:
        try:
            connection.login(login, password)
            return True
        except smtplib.SMTPAuthenticationError:
            return False


def kept(node, address=ANN):
    rows = node.query(f"select password_hash like '$y$%', scram_sha256 is not null from account where address = '{address}'"
                      " and password_primary_at is not null")
    assert rows in ([], [["t", "t"]])
    return bool(rows)


def go_away(node, sink, server):
    sink.stop()
    server.stop()
    node.send("joe@outside.test", ANN, make_message("held", to=ANN))
    wait_until(lambda: node.query("select 1 from outage where ended_at is null"), "the outage is open")


# ------------------------------------------------------------------ yes and no


def test_checked_while_it_is_up_and_kept_for_the_outage(node, sink, server):
    """Who has no account gets one when he proves that he is known; each protocol, up and away."""
    assert node.query("select 1 from account") == []
    assert not imap(node, ANN, "a wrong one") and node.query("select 1 from account") == []
    assert imap(node, ANN, SECRET)
    assert node.query(f"select state from account where address = '{ANN}'") == [["continuity"]] and kept(node)
    assert node.api.get(f"/v1/accounts/{ANN}")["password_scheme"] == "yescrypt"
    for way in (imap, pop3, submission):
        assert way(node, ANN, SECRET) and not way(node, ANN, "a wrong one")
    assert kept(node), "a wrong password changes nothing"
    asked = server.asked
    go_away(node, sink, server)
    for way in (imap, pop3, submission):
        assert way(node, ANN, SECRET) and not way(node, ANN, "a wrong one")
    assert server.asked == asked
    wait_until(lambda: node.subjects(ANN, SECRET) == ["held"], "it is readable")
    assert not imap(node, BOB, SECRET) and not imap(node, "nobody@checked.test", SECRET)


def test_changed_at_the_primary(node, sink, server):
    """What it does not take any more is not kept."""
    assert imap(node, ANN, SECRET) and kept(node)
    server.passwords.password = OTHER
    assert not imap(node, ANN, SECRET)
    assert not kept(node)
    assert imap(node, ANN, OTHER) and kept(node)
    go_away(node, sink, server)
    assert imap(node, ANN, OTHER) and not imap(node, ANN, SECRET)


def test_own_passwords_come_first_and_stay(node, server):
    node.api.account(ANN, "checked")
    assert imap(node, ANN, PASSWORD) and server.asked == 0
    assert imap(node, ANN, SECRET), "the primary's will do as well"
    assert not kept(node) and imap(node, ANN, PASSWORD)
    node.api.patch(f"/v1/accounts/{ANN}", {"password": None})
    assert imap(node, ANN, SECRET) and kept(node)
    node.api.patch(f"/v1/accounts/{ANN}", {"password": PASSWORD})
    assert not kept(node) and imap(node, ANN, PASSWORD)


def test_who_may_not_sign_in_may_not(node, server):
    assert imap(node, ANN, SECRET)
    node.api.patch(f"/v1/accounts/{ANN}", {"state": "suspended"})
    assert not imap(node, ANN, SECRET) and kept(node)
    node.api.patch(f"/v1/accounts/{ANN}", {"state": "continuity"})
    node.api.patch("/v1/domains/checked.test/continuity-policy", {"check_password": "none"})
    wait_until(lambda: not imap(node, ANN, SECRET), "a domain that does not want it has none of it")


def test_no_account_is_made_where_none_is_wanted(node):
    node.api.patch("/v1/domains/checked.test/continuity-policy", {"accounts": "none"})
    assert not imap(node, ANN, SECRET) and node.query("select 1 from account") == []


def test_a_subaddress_gets_no_account_of_its_own(node, sink, server):
    """A primary may take ann+news for ann; her mail for that is hers."""
    server.behave.auth = lambda session, mechanism, initial: session.say("235 2.7.0 ok")
    assert not imap(node, "ann+news@checked.test", SECRET)
    assert node.query("select address from account") == []
    assert imap(node, ANN, SECRET) and node.query("select address from account") == [[ANN]]


def test_scram_only_in_an_outage(node, sink, server):
    """The primary cannot be asked for what we are not told."""
    assert imap(node, ANN, SECRET)
    offered = node.query(f"select scram_sha256 from account where address = '{ANN}'")[0][0]
    salt = offered.split(":")[1].split("$")[0]
    assert first_salt(node, ANN) != salt, "made-up keys"
    go_away(node, sink, server)
    wait_until(lambda: first_salt(node, ANN) == salt, "its own keys")


def first_salt(node, login):
    """Of SCRAM's first challenge."""
    import base64
    with node.submission() as connection:
        connection.ehlo()
        code, text = connection.docmd("AUTH", "SCRAM-SHA-256 " + base64.b64encode(f"n,,n={login},r=abcdefghijkl".encode()).decode())
        assert code == 334, text
        fields = dict(part.split("=", 1) for part in base64.b64decode(text).decode().split(","))
        connection.docmd("*")
        return fields["s"]


def test_guessing_ends_in_a_ban(new_posthouse, trusting, sink, server):
    """A no of the primary counts, and who is banned does not make us ask."""
    node = set_up(new_posthouse(settings={"daemon.workers": 1,  # which knows of its ban at once
                                          "auth.account_failures": 3, "auth.exempt": "127.0.0.99"}), sink, server)
    answers = [imap(node, ANN, f"guess {number}") for number in range(4)]
    asked = server.asked
    assert answers[:3] == [False] * 3 and isinstance(answers[3], str) and asked == 3
    assert all(isinstance(imap(node, ANN, password), str) for password in ("guess 5", SECRET)) and server.asked == asked


# ------------------------------------------------------------------ primaries that misbehave


HOSTILE = {
    "silent": {"silent_at": "banner"},
    "silent at AUTH": {"silent_at": "auth"},
    "cut": {"cut_at": "auth"},
    "garbage": {"cut_at": "auth", "cut_how": "garbage"},
    "a line without end": {"cut_at": "ehlo-tls", "cut_how": "flood"},
    "421": {"cut_at": "auth", "cut_how": "421"},
    "cannot tell": {"auth": lambda session, mechanism, initial: session.say("454 4.7.0 temporary failure")},
    "another fault": {"auth": lambda session, mechanism, initial: session.say("504 5.5.4 no such mechanism")},
    "late yes": {"auth": lambda session, mechanism, initial: (time.sleep(12), session.say("235 2.7.0 yes"))},
    "no AUTH": {"offers": "8BITMIME"},
    "no TLS": {"tls": False},
}


@pytest.mark.parametrize("way", HOSTILE)
def test_primary_that_says_nothing_of_the_password(node, server, certificate, way):
    """What is kept counts, in bounded time; who has nothing kept is told no, like anybody; nothing is learned from it."""
    assert imap(node, ANN, SECRET) and kept(node)
    behave(server, certificate, **dict(HOSTILE[way]))
    before, began = server.asked, time.monotonic()
    assert imap(node, ANN, SECRET) is True
    assert imap(node, BOB, "anything at all") is False
    assert time.monotonic() - began < 60
    if way in ("no TLS", "no AUTH"):
        assert server.asked == before, "the password is not shown"
    if way == "late yes":
        time.sleep(6)  # until it has come
    assert kept(node) and not kept(node, BOB) and not node.query(f"select 1 from account where address = '{BOB}'")


def test_certificate_of_somebody_else(node, server):
    """Nobody is told a password that has not shown who he is."""
    assert imap(node, ANN, SECRET)
    folder = make_folder("stranger")
    try:
        stranger = Certificate(folder)
        behave(server, stranger)
        before = server.asked
        assert imap(node, ANN, SECRET) is True, "as if it were away"
        assert imap(node, ANN, OTHER) is False and server.asked == before
    finally:
        remove_folder(folder)


def test_many_at_once(node, server, certificate):
    """A primary that stalls is asked by a few at a time; the others are told that it cannot be told."""
    behave(server, certificate, silent_at="auth")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(imap(node, BOB, "anything"))) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer is False or isinstance(answer, str) for answer in answers) and len(answers) == 24
    assert any(isinstance(answer, str) for answer in answers) and server.asked <= 8


def test_many_at_once_and_one_who_is_known(new_posthouse, trusting, sink, server, certificate):
    """Who has the password that was kept need not wait for the others."""
    node = set_up(new_posthouse(settings={"daemon.workers": 1}), sink, server)
    assert imap(node, ANN, SECRET) and kept(node)
    behave(server, certificate, silent_at="auth")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(imap(node, BOB, "anything"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: any(isinstance(answer, str) for answer in answers), "no more are asked")
    assert imap(node, ANN, SECRET) is True and imap(node, ANN, OTHER) is not True
    for thread in threads:
        thread.join()
    assert kept(node)


# ------------------------------------------------------------------ IMAP, by Dovecot


def test_by_imap_at_dovecot(new_posthouse, trusting, sink, server, dovecot):
    node = set_up(new_posthouse(settings={"delivery.probe_interval": "300ms"}), sink, server, check_password="imap",
                  check_port=dovecot.imaps_port)
    assert not imap(node, ANN, "a wrong one") and imap(node, ANN, dovecot_module.PASSWORD) and kept(node)
    assert not imap(node, ANN, SECRET) and kept(node)
    dovecot.stop()
    assert imap(node, ANN, dovecot_module.PASSWORD) and not imap(node, ANN, "a wrong one")
    sink.stop()
    node.send("joe@outside.test", ANN, make_message("held", to=ANN))
    wait_until(lambda: node.subjects(ANN, dovecot_module.PASSWORD) == ["held"], "it is readable")


def test_what_cannot_be_written_fails_no_login(new_posthouse, trusting, own_postgres, sink, server):
    faulty = FaultyPostgres(own_postgres)
    try:
        node = set_up(new_posthouse(postgres=faulty, settings={"daemon.workers": 1, "database.statement_timeout": "500ms"}), sink, server)
        for mode in ("refused", "cut", "lost"):
            fault = faulty.arm("primary_password_keep", mode)
            # a write that follows two lost connections fails before it is sent: ask until this one is met
            wait_until(lambda fault=fault: imap(node, ANN, SECRET) is True and fault.struck, "signed in")
        assert wait_until(lambda: imap(node, ANN, SECRET) is True and kept(node), "it is kept")
        server.passwords.password = OTHER
        for mode in ("refused", "cut"):
            fault = faulty.arm("primary_password_drop", mode)
            wait_until(lambda fault=fault: imap(node, ANN, SECRET) is False and fault.struck, "refused")
        wait_until(lambda: not imap(node, ANN, SECRET) and not kept(node), "it is dropped")
        node.close()
    finally:
        faulty.close()


def test_policy(node):
    path = "/v1/domains/checked.test/continuity-policy"
    for members, field in (({"check_host": None}, "check_host"), ({"check_host": "no host"}, "check_host"),
                           ({"check_port": 0}, "check_port"), ({"check_password": "pop3"}, "check_password")):
        status, _, problem = node.api.request("PATCH", path, members)
        assert (status, problem["field"]) == (422, field)
    assert node.api.patch(path, {"check_password": None, "check_host": "Mail.Checked.test", "check_port": None})["check_host"] == "mail.checked.test"
