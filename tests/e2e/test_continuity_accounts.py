"""Who reads what is held in an outage: everybody whom the domain knows, all of it, in the order in which it was accepted."""
import itertools
import threading
import time

import pytest

from harness.posthouse import PASSWORD, make_message
from harness.process import wait_equal, wait_until
from harness.sink import Behaviour

DOMAIN = "known.test"
numbers = itertools.count(1)


@pytest.fixture
def node(new_posthouse, sink):
    node = new_posthouse(settings={"delivery.probe_interval": "300ms"}).start()
    node.api.customer("people")
    return node


@pytest.fixture
def domain(node, sink):
    """A relay domain whose list has ann, bob and cyd, and who wants accounts for them."""
    relay(node, DOMAIN, sink)
    listed(node, DOMAIN, "ann", "bob", "cyd")
    return DOMAIN


def relay(node, name, sink, valid="listed", accounts="known", **policy):
    node.api.relay_domain(name, "people", sink.port)
    node.api.patch(f"/v1/domains/{name}", {"recipients": valid})
    node.api.patch(f"/v1/domains/{name}/continuity-policy", {"accounts": accounts, **policy})


def listed(node, name, *users):
    for user in users:
        node.api.post(f"/v1/domains/{name}/recipients", {"address": f"{user}@{name}"})


def send(node, to, *subjects):
    with node.smtp() as connection:
        for subject in subjects:
            connection.sendmail("joe@outside.test", [to], make_message(subject, to=to))


def ask(node, sql):
    ((value,),) = node.query(sql)
    return value


def accounts(node, name=DOMAIN):
    """Address and state of each account of the domain."""
    return {address.split("@")[0]: state for address, state in node.query(
        f"select a.address, a.state from account a join domain d on d.id = a.domain_id where d.name = '{name}'")}


def in_order(node, address):
    """Subjects in the order of UIDs, without a login."""
    rows = node.query(
        "select encode(e.id::text::bytea, 'escape') from mailbox_message m join account a on a.inbox_id = m.mailbox_id"
        " join queue_entry e on e.cell = m.cell and e.message_id = m.message_id and e.account_id = a.id"
        f" where a.address = '{address}' order by m.uid")
    return [row[0] for row in rows]


def sign_in(node, address):
    node.api.patch(f"/v1/accounts/{address}", {"password": PASSWORD})


def open_outages(node):
    return int(ask(node, "select count(*) from outage where ended_at is null"))


def wait_closed(node):
    wait_until(lambda: int(ask(node, "select count(*) from outage")) and not open_outages(node), "the outage closes", timeout=40)


def texts(count, start=0):
    return [f"number {number:03d}" for number in range(start, start + count)]


# ------------------------------------------------------------------ accounts that nobody made


def test_known_recipients_get_an_account_and_all_their_mail_in_order(node, domain, sink):
    """Mail that waited, and mail that comes; a password by the API; then all goes to the primary, once."""
    ann = f"ann@{domain}"
    sink.behave = Behaviour(other_recipients="451 4.3.0 not now")
    send(node, ann, *texts(20))
    wait_until(lambda: int(ask(node, "select count(*) from queue_entry where attempts > 0")) == 20, "all is put off")
    sink.stop()
    sink.behave = Behaviour()
    wait_equal(lambda: accounts(node), dict.fromkeys(("ann", "bob", "cyd"), "continuity"), "all three have an account")
    send(node, ann, *texts(20, 20))
    wait_until(lambda: len(in_order(node, ann)) == 40, "all is in the INBOX")
    sign_in(node, ann)
    assert node.subjects(ann) == texts(40)
    with node.pop3(ann) as connection:
        assert connection.stat()[0] == 40
    shown = node.api.get(f"/v1/accounts/{ann}")
    assert (shown["state"], shown["login"]) == ("continuity", True)
    sink.start()
    wait_closed(node)
    wait_until(lambda: len(sink.messages) == 40, "the primary has it")
    send(node, ann, "after")
    wait_until(lambda: len(sink.messages) == 41, "and what comes then")
    assert node.subjects(ann) == texts(40), "it is not filed here outside an outage"


def test_new_mail_for_somebody_new_is_there_within_a_second(node, domain, sink):
    sink.stop()
    send(node, f"ann@{domain}", "first")
    wait_until(lambda: len(accounts(node)) == 3, "the outage is open, and accounts are made")
    listed(node, domain, "new")
    spans = []
    for address in ("new", "bob", "cyd", "ann"):
        send(node, f"{address}@{domain}", "hello")
        began = time.monotonic()
        wait_until(lambda address=address: len(in_order(node, f"{address}@{domain}")) >= 1, "it is in the INBOX", interval=0.01)
        spans.append(time.monotonic() - began)
    print("250 to INBOX, seconds:", [f"{span:.3f}" for span in spans])


def test_who_is_not_known_gets_none(node, domain, sink):
    """In a domain that takes every address, and by guessing."""
    relay(node, "any.test", sink, valid="any")
    relay(node, "without.test", sink, accounts="none")
    listed(node, "without.test", "ann")
    sink.stop()
    for address in ("guess@any.test", "ann@without.test", f"ann@{domain}"):
        send(node, address, "hello")
    wait_until(lambda: len(accounts(node)) == 3 and open_outages(node) == 3, "the outages are open")
    with pytest.raises(Exception, match="5.1.1"):
        send(node, f"guess@{domain}", "hello")
    wait_until(lambda: len(in_order(node, f"ann@{domain}")) == 1, "it is in the INBOX")
    assert accounts(node, "any.test") == accounts(node, "without.test") == {}
    assert ask(node, "select count(*) from queue_entry where account_id is null") == "2", "their mail is held all the same"
    sink.start()
    wait_until(lambda: len(sink.messages) == 3, "and delivered")


def test_who_was_learned_gets_one(node, sink):
    """By what the primary said before it went away; not by what one says that takes every address."""
    sink.behave = Behaviour(recipient_replies={"no@learned.test": "550 5.1.1 no"})
    relay(node, "learned.test", sink, valid="learned")
    domain_id, cell = node.query("select id, cell from domain where name = 'learned.test'")[0]
    node.query("insert into recipient_learned (cell, domain_id, address, valid, learned_at, until) select "
               f"{cell}, {domain_id}, v.name || '@learned.test', v.valid, now(), now() + interval '1 day'"
               " from (values ('yes', true), ('no', false), ('yes+news', true)) v (name, valid)")
    sink.stop()
    send(node, "yes@learned.test", "hello")
    wait_equal(lambda: set(accounts(node, "learned.test")), {"yes"}, "who is known to exist has an account")
    node.query(f"insert into recipient_probe values ({cell}, {domain_id}, true, now() + interval '1 day')")
    node.query(f"insert into recipient_learned values ({cell}, {domain_id}, 'any@learned.test', true, now(), now() + interval '1 day')")
    send(node, "any@learned.test", "hello")
    wait_until(lambda: len(in_order(node, "yes@learned.test")) == 1, "mail is shown")
    assert set(accounts(node, "learned.test")) == {"yes"}


def test_subaddresses_aliases_and_groups(node, domain, sink):
    """Mail for a subaddress is its owner's; what is an alias of somebody, or a group, is no account."""
    node.api.patch(f"/v1/domains/{domain}", {"subaddress_separator": "+"})
    node.api.account(f"dora@{domain}", "people")
    node.api.patch(f"/v1/accounts/dora@{domain}", {"aliases": [f"dee@{domain}"]})
    node.api.post("/v1/groups", {"address": f"all@{domain}",
                                 "members": [f"ann@{domain}"]})
    listed(node, domain, "dee", "all")
    sink.stop()
    send(node, f"ann+news@{domain}", "news")
    send(node, f"dee@{domain}", "alias")
    send(node, f"all@{domain}", "group")
    wait_equal(lambda: accounts(node), {"ann": "continuity", "bob": "continuity", "cyd": "continuity", "dora": "active"}, "accounts")
    wait_until(lambda: len(in_order(node, f"ann@{domain}")) == 2 and len(in_order(node, f"dora@{domain}")) == 1, "mail is theirs")


def test_limits(node, sink):
    relay(node, DOMAIN, sink, accounts_max=2)
    relay(node, "second.test", sink)
    listed(node, DOMAIN, "ann", "bob", "cyd", "dan")
    sink.stop()
    send(node, f"dan@{DOMAIN}", "hello")
    wait_until(lambda: len(accounts(node)) == 2, "two have an account")
    assert "dan" in accounts(node), "who has mail comes first"
    send(node, f"cyd@{DOMAIN}", "hello")
    listed(node, "second.test", "zed")
    send(node, "zed@second.test", "hello")
    wait_until(lambda: accounts(node, "second.test"), "accounts have been looked after since")
    assert len(accounts(node)) == 2
    node.api.patch(f"/v1/domains/{DOMAIN}/continuity-policy", {"accounts_max": 100})
    wait_until(lambda: len(accounts(node)) == 4, "the rest follows when there is room", timeout=60)
    wait_until(lambda: len(in_order(node, f"cyd@{DOMAIN}")) == 1, "with its mail")


def test_customers_limit(new_posthouse, sink):
    node = new_posthouse(settings={"recipients.continuity_accounts_max": 3, "delivery.probe_interval": "300ms"}).start()
    node.api.customer("people")
    for name in (DOMAIN, "second.test"):
        relay(node, name, sink)
        listed(node, name, "ann", "bob")
    sink.stop()
    for name in (DOMAIN, "second.test"):
        send(node, f"ann@{name}", "hello")
    wait_until(lambda: len(accounts(node)) + len(accounts(node, "second.test")) == 3, "three in all")


def test_state_does_not_make_an_address_valid(node, domain, sink):
    """Who is taken off the list is nobody again; and only an account of a relay domain can be in it."""
    sink.stop()
    send(node, f"ann@{domain}", "hello")
    wait_until(lambda: "ann" in accounts(node), "the account is made")
    node.api.delete(f"/v1/domains/{domain}/recipients/ann@{domain}")
    with pytest.raises(Exception, match="5.1.1"):
        send(node, f"ann@{domain}", "again")
    node.api.hosted_domain("hosted.test", "people")
    node.api.account("eve@hosted.test", "people")
    status, _, problem = node.api.request("PATCH", "/v1/accounts/eve@hosted.test", {"state": "continuity"})
    assert status == 422 and problem["errors"][0]["field"] == "state" if "errors" in problem else status == 422
    node.api.patch(f"/v1/accounts/ann@{domain}", {"state": "active"})
    send(node, f"ann@{domain}", "now an account like others")


def test_administrator_makes_the_account_in_the_outage(node, sink):
    """Mail that was accepted before there was an account is in its INBOX, before what came after."""
    relay(node, DOMAIN, sink, valid="any", accounts="none")
    sink.stop()
    send(node, f"ann@{DOMAIN}", *texts(5))
    wait_until(lambda: open_outages(node) == 1, "the outage is open")
    node.api.account(f"ann@{DOMAIN}", "people")
    wait_until(lambda: len(in_order(node, f"ann@{DOMAIN}")) == 5, "it is given what waits", timeout=60)
    send(node, f"ann@{DOMAIN}", *texts(5, 5))
    wait_until(lambda: len(in_order(node, f"ann@{DOMAIN}")) == 10, "and what comes")
    assert node.subjects(f"ann@{DOMAIN}") == texts(10)


# ------------------------------------------------------------------ order


def test_what_waits_for_an_alias_in_another_domain(node, domain, sink):
    """What waits for it is its owner's from the beginning, and nobody's when he is deleted."""
    node.api.relay_domain("second.test", "people", sink.port)
    sink.stop()
    send(node, "dee@second.test", "by the alias")
    wait_until(lambda: node.query("select 1 from outage o join domain d on d.id = o.domain_id where d.name = 'second.test' and ended_at is null"),
               "the outage is open")

    def make():
        node.api.post("/v1/accounts", {"address": f"dora@{domain}", "customer": "people", "password": PASSWORD, "aliases": ["dee@second.test"]})
        return node.query("select a.address from queue_entry q join account a on a.id = q.account_id where q.recipient = 'dee@second.test'")
    assert make() == [[f"dora@{domain}"]]
    wait_until(lambda: len(in_order(node, f"dora@{domain}")) == 1, "it is readable")
    node.api.delete(f"/v1/accounts/dora@{domain}")
    assert node.query("select account_id, shown from queue_entry where recipient = 'dee@second.test'") == [["", "f"]]
    assert make() == [[f"dora@{domain}"]]
    wait_until(lambda: len(in_order(node, f"dora@{domain}")) == 1, "it is readable again")


def test_what_waited_comes_before_what_comes(new_posthouse, sink):
    """Hundreds wait, each put off by itself, when the outage opens; mail comes on meanwhile. Oldest first, none left out."""
    node = new_posthouse(settings={"delivery.retry_first": "1h", "delivery.retry_max": "1h"}).start()
    node.api.customer("people")
    ann = f"ann@{DOMAIN}"
    relay(node, DOMAIN, sink, valid="any", accounts="none")
    node.api.account(ann, "people")
    sink.behave = Behaviour(recipient_replies={ann: "450 4.2.1 come back"})
    send(node, ann, *texts(300))
    wait_until(lambda: int(ask(node, "select count(*) from queue_entry where attempts > 0")) == 300, "all were put off", timeout=60)
    assert open_outages(node) == 0
    sent = texts(300)
    over = threading.Event()

    def keep_sending():
        with node.smtp() as connection:
            while not over.is_set():
                subject = f"later {next(numbers):05d}"
                connection.sendmail("joe@outside.test", [ann], make_message(subject, to=ann))
                sent.append(subject)

    stream = threading.Thread(target=keep_sending)
    stream.start()
    try:
        sink.stop()
        wait_until(lambda: open_outages(node) == 1, "the outage opens")
        wait_until(lambda: len(in_order(node, ann)) > 300, "what waited is shown")
        count = len(sent)
        wait_until(lambda: len(sent) > count + 50, "mail comes on")
    finally:
        over.set()
        stream.join()
    wait_until(lambda: len(in_order(node, ann)) == int(ask(node, "select count(*) from queue_entry")), "all is shown", timeout=60)
    subjects = node.subjects(ann)
    delivered = len(sent) - len(subjects)
    assert subjects == sent[delivered:], "in order, and all of it"
    assert not delivered or sent[:delivered] == sent[:len(sink.messages)]


@pytest.mark.slow
def test_ten_thousand_recipients(node, sink):
    relay(node, DOMAIN, sink)
    node.query("insert into recipient_listed (domain_id, address) select d.id, 'user' || n || '@' || d.name"
               f" from domain d, generate_series(1, 10000) n where d.name = '{DOMAIN}'")
    node.query(f"update domain set recipients = recipients where name = '{DOMAIN}'")
    sink.stop()
    began = time.monotonic()
    send(node, f"user7777@{DOMAIN}", "hello")
    wait_until(lambda: len(in_order(node, f"user7777@{DOMAIN}")) == 1, "the one who has mail has it")
    first = time.monotonic() - began
    wait_until(lambda: ask(node, "select count(*) from account") == "10000", "all have an account", timeout=300)
    print(f"first mail readable after {first:.2f} s, 10,000 accounts after {time.monotonic() - began:.2f} s")
    assert ask(node, "select count(*) from mailbox") == "50000"
