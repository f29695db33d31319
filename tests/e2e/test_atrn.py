"""On-demand mail relay (ATRN, RFC 2645): a customer's server without an address of its own collects its domain's mail."""
import smtplib

import pytest

from harness.posthouse import PASSWORD, make_message, subject_of
from harness.process import wait_equal, wait_until

BOSS, EVE = "boss@turn.test", "eve@turn.test"


class Collector:
    """Signs in, turns the connection round, and is then the server."""

    def __init__(self, node, login=BOSS, extensions=("PIPELINING", "SIZE 1000000")):
        self.client = smtplib.SMTP("127.0.0.1", node.ports["odmr"], timeout=60)
        self.client.ehlo()
        self.client.starttls(context=node.certificate.context())
        self.client.ehlo()
        self.extensions = extensions
        if login:
            self.client.login(login, PASSWORD)
        self.messages = []

    def atrn(self, *domains):
        code, text = self.client.docmd("ATRN", ",".join(domains)) if domains else self.client.docmd("ATRN")
        return code, text.decode()

    def say(self, text):
        self.client.sock.sendall(text.encode() + b"\r\n")

    def serve(self, most=None, refuse=(), end_reply="250 2.0.0 stored", cut_at_end=False, after_first=None):
        """Up to QUIT, or for so many messages, and then hangs up.  False: the other side hung up without QUIT."""
        lines = self.client.file
        self.say("220 collector.test")
        recipients = []
        while most is None or len(self.messages) < most:
            line = lines.readline().decode().strip()
            verb = line.upper()
            if verb.startswith("EHLO"):
                for extension in ("collector.test", *self.extensions):
                    self.say(f"250-{extension}")
                self.say("250 8BITMIME")
            elif verb.startswith("RCPT"):
                address = line.partition("<")[2].partition(">")[0]
                self.say("550 5.1.1 nobody" if address in refuse else "250 ok")
                recipients += [] if address in refuse else [address]
            elif verb == "DATA" and recipients:
                self.say("354 go on")
                data = b""
                while not data.endswith(b"\r\n.\r\n"):
                    data += lines.readline()
                if cut_at_end:
                    break
                self.messages.append((recipients, data))
                if after_first and len(self.messages) == 1:
                    after_first()
                recipients = []
                self.say(end_reply)
            elif verb == "DATA":
                self.say("503 no recipients")
            elif verb.startswith("QUIT"):
                self.say("221 bye")
                assert lines.read() == b""
                self.client.close()
                return True
            elif not line:
                self.client.close()
                return False
            else:
                self.say("250 ok")
        self.client.close()
        return True

    def subjects(self):
        return [subject_of(data) for _, data in self.messages]


@pytest.fixture
def node(new_posthouse):
    node = new_posthouse(settings={"delivery.retry_first": "1h", "delivery.retry_max": "1h"}).start()
    node.api.customer("turn")
    node.api.hosted_domain("turn.test", "turn")
    node.api.account(BOSS, "turn")
    node.api.account(EVE, "turn")
    for name in ("one.test", "two.test"):
        node.api.post("/v1/domains", {"name": name, "customer": "turn", "kind": "relay", "collector": BOSS})
    node.api.account("carol@one.test", "turn")
    return node


def waiting(node):
    return node.query("select count(*) from queue_entry")[0][0]


def send(node, recipient, *subjects):
    """Over one connection, and so by one worker: two may accept in the same millisecond, and then neither was first."""
    with node.smtp() as client:
        for subject in subjects:
            client.sendmail("joe@outside.test", [recipient], make_message(subject, to=recipient))
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is not null"), [["0"]], "all waits")


def test_mail_is_readable_until_it_is_collected(node):
    """Without next hops the domain's primary is always away: its mail is held, read here, and collected in order."""
    numbers = [f"m{n:03}" for n in range(120)]  # more than one claim
    send(node, "carol@one.test", *numbers)
    send(node, "joe@two.test", "other")
    wait_until(lambda: sorted(node.subjects("carol@one.test")) == numbers, "all are readable", timeout=60)
    collector = Collector(node)
    code, text = collector.atrn("ONE.test")
    assert code == 250, text
    assert collector.serve()
    assert collector.subjects() == numbers, "in the order of acceptance"
    wait_equal(lambda: waiting(node), "1", "what was collected is recorded")
    collector = Collector(node)
    assert collector.atrn("one.test") == (453, "4.0.0 You have no mail")
    assert node.query("select path, status, detail from audit_log where method = 'ATRN'") == [
        ["/v1/domains/one.test", "250", f"{BOSS} from 127.0.0.1"]]
    assert node.query("select recipient, detail, count(*) from event where kind = 'atrn' group by 1, 2") == [
        ["carol@one.test", f"{BOSS} from 127.0.0.1", "120"]]
    assert collector.atrn()[0] == 250, "all domains, the other among them"
    assert collector.serve() and collector.subjects() == ["other"]
    wait_equal(lambda: waiting(node), "0", "nothing is left")
    collector = Collector(node)
    assert collector.atrn()[0] == 453


def test_what_is_urgent_goes_first(node):
    """MT-PRIORITY holds here, too; also where one claim does not bring all."""
    with node.submission(BOSS) as client:
        for number, priority in enumerate([-1] * 102 + [0, 5, 9, -3]):
            subject = f"p{priority} {number:03}"
            client.sendmail(BOSS, ["carol@one.test"], make_message(subject, sender=BOSS), [f"MT-PRIORITY={priority}"])
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is not null"), [["0"]], "all waits")
    collector = Collector(node)
    assert collector.atrn("one.test")[0] == 250
    assert collector.serve()
    assert [s.split()[0] for s in collector.subjects()] == ["p9", "p5", "p0"] + ["p-1"] * 102 + ["p-3"]
    assert collector.subjects()[3:105] == sorted(collector.subjects()[3:105])


def test_what_is_urgent_overtakes_what_waits_when_it_comes(node):
    """It comes while others are under way, and goes in the same round, as does what is not urgent; each once."""
    numbers = [f"m{n:03}" for n in range(60)]
    send(node, "carol@one.test", *numbers)

    def come():
        with node.submission(BOSS) as client:
            for priority in (-3, 0, 7):
                client.sendmail(BOSS, ["carol@one.test"], make_message(f"p{priority}", sender=BOSS), [f"MT-PRIORITY={priority}"])
        wait_equal(lambda: node.query("select count(*) from queue_entry where worker is null and id >"
                                      " (select min(id) from queue_entry where priority <> 0)"), [["2"]], "they wait")

    collector = Collector(node)
    assert collector.atrn("one.test")[0] == 250
    assert collector.serve(after_first=come)
    subjects = collector.subjects()
    assert subjects.index("p7") == 20, "behind what was claimed with the first"
    assert subjects[-2:] == ["p0", "p-3"]
    assert [subject for subject in subjects if subject in numbers] == numbers and len(subjects) == 63
    wait_equal(lambda: waiting(node), "0", "nothing is left")


def test_who_may_collect(node):
    send(node, "joe@one.test", "secret")
    stranger = Collector(node, login=None)
    assert stranger.atrn("one.test")[0] == 530
    colleague = Collector(node, login=EVE)
    assert colleague.atrn("one.test")[0] == 450
    assert colleague.atrn()[0] == 450
    boss = Collector(node)
    for names in (("one.test", "nowhere.test"), ("turn.test",)):
        assert boss.atrn(*names)[0] == 450, "all or nothing"
    for bad in ("one.test,", ",", "one..test", "a b"):
        assert boss.atrn(bad)[0] == 501, bad
    assert boss.client.docmd("MAIL", "FROM:<boss@turn.test>")[0] == 502
    assert not boss.client.has_extn("size") and boss.client.has_extn("atrn")
    with node.submission(BOSS) as connection:
        assert connection.docmd("ATRN", "one.test")[0] == 502
    node.api.patch("/v1/domains/one.test", {"collector": EVE})
    assert boss.atrn("one.test")[0] == 450, "a right that was taken away is gone"
    assert colleague.atrn("one.test")[0] == 250
    assert colleague.serve() and colleague.subjects() == ["secret"]


def test_a_relay_domain_needs_a_way_out(node):
    status = node.api.request("POST", "/v1/domains", {"name": "none.test", "customer": "turn", "kind": "relay"})[0]
    assert status == 422
    assert node.api.request("PATCH", "/v1/domains/one.test", {"collector": None})[0] == 422
    assert node.api.request("PATCH", "/v1/domains/one.test", {"collector": "nobody@turn.test"})[0] == 422
    node.api.customer("other")
    node.api.hosted_domain("other.test", "other")
    node.api.account("foe@other.test", "other")
    assert node.api.request("PATCH", "/v1/domains/one.test", {"collector": "foe@other.test"})[0] == 422
    assert node.api.get("/v1/domains/one.test")["collector"] == BOSS


def test_what_the_collector_answers(node):
    """Refused: the sender is told. Put off: it waits for the next time. Cut: the rest waits, and nothing is lost."""
    node.api.hosted_domain("senders.test", "turn")
    node.api.account("sam@senders.test", "turn")
    node.send("sam@senders.test", "nobody@one.test", make_message("refused", to="nobody@one.test"))
    send(node, "joe@one.test", "put off", "again")
    collector = Collector(node)
    assert collector.atrn("one.test")[0] == 250
    assert collector.serve(refuse=("nobody@one.test",), end_reply="451 4.2.0 later")
    wait_until(lambda: len(node.inbox("sam@senders.test")) == 1, "the sender is told")
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is null"), [["2"]], "two wait")
    collector = Collector(node)
    assert collector.atrn("one.test")[0] == 250
    collector.serve(most=1)  # takes one and hangs up
    assert collector.subjects() == ["put off"]
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is null"), [["1"]], "one waits")
    collector = Collector(node)
    assert collector.atrn("one.test")[0] == 250
    collector.serve(cut_at_end=True)
    wait_equal(lambda: node.query("select count(*) from queue_entry where worker is null"), [["1"]], "it waits again")
    collector = Collector(node)
    assert collector.atrn("one.test")[0] == 250
    assert collector.serve() and collector.subjects() == ["again"]
    wait_equal(lambda: waiting(node), "0", "nothing is left")


def test_a_collector_that_does_not_serve(node):
    send(node, "joe@one.test", "patient")
    collector = Collector(node)
    assert collector.atrn()[0] == 250
    collector.say("554 go away")
    assert collector.client.file.readline().upper().startswith(b"QUIT")
    collector.client.close()
    collector = Collector(node)
    assert collector.atrn()[0] == 250
    collector.client.close()
    collector = Collector(node)
    assert collector.atrn()[0] == 250
    assert collector.serve() and collector.subjects() == ["patient"]


def test_a_stop_in_the_middle(node):
    """An orderly stop finishes the message, and gives back the rest."""
    numbers = [f"m{n}" for n in range(5)]
    send(node, "joe@one.test", *numbers)
    collector = Collector(node)
    assert collector.atrn()[0] == 250
    collector.serve(most=1)
    node.stop()
    node.start()
    collector = Collector(node)
    assert collector.atrn()[0] == 250
    assert collector.serve() and collector.subjects() == numbers[1:]


def test_the_database_is_away(new_posthouse, own_postgres):
    node = new_posthouse(postgres=own_postgres).start()
    node.api.customer("turn")
    node.api.hosted_domain("turn.test", "turn")
    node.api.account(BOSS, "turn")
    collector = Collector(node)
    own_postgres.stop()
    assert collector.atrn()[0] == 451
