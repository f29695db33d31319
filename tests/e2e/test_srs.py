"""Forwarded mail goes under a sender of the forwarding domain (SRS), and its bounces come back by our own MX port."""
import email
import email.policy
import re
import smtplib

import pytest

from harness.dialogue import Dialogue
from harness.faults import FaultyPostgres
from harness.posthouse import make_message
from harness.process import wait_until
from harness.sink import Behaviour

JOE = "joe@outside.test"
FORWARDED = r"SRS0=[A-Z2-7]{6}=[A-Z2-7]{2}=outside\.test=joe@alias\.test"
WITH_DSN = Behaviour().extensions + ("DSN",)


def set_up(node, start=True):
    if start:
        node.start()
    node.api.customer("srs")
    for domain in ("alias.test", "other.test"):
        node.api.hosted_domain(domain, "srs")
    for account in ("ann@alias.test", "joe@other.test"):
        node.api.account(account, "srs")
    node.api.post("/v1/domains", {"name": "second.test", "customer": "srs", "kind": "alias", "target": "alias.test"})
    node.api.post("/v1/aliases", {"address": "dan@alias.test", "targets": ["dan@away.test"]})
    node.api.post("/v1/aliases", {"address": "eve@other.test", "targets": ["eve@away.test"]})
    node.api.post("/v1/groups", {"address": "team@alias.test", "members": ["ann@alias.test", "x@away.test", "y@away.test"]})
    return node


@pytest.fixture(scope="module")
def node(posthouse):
    return set_up(posthouse, start=False)


def sent(outside, node, sender, recipient, **more):
    """What arrives outside of it."""
    before = len(outside.messages)
    node.send(sender, recipient, make_message("forwarded", sender=sender or "x@x.test", **more))
    wait_until(lambda: len(outside.messages) > before, "it is forwarded")
    return outside.messages[before]


def rcpt(node, recipient, sender="", role="smtp"):
    with Dialogue(node, role) as dialogue:
        dialogue.hello()
        dialogue.ask(f"MAIL FROM:<{sender}>", "250")
        return dialogue.ask(f"RCPT TO:<{recipient}>")


def check(node, recipient, sender="<>", **more):
    return node.api.post("/v1/relay-checks", {"sender": sender, "recipient": recipient, "client": "198.18.0.1", **more})


# ------------------------------------------------------------------ out


def test_an_alias_forwards_under_its_own_domain(node, outside):
    assert re.fullmatch(FORWARDED, sent(outside, node, JOE, "dan@alias.test").sender)
    assert check(node, "dan@alias.test", JOE)["targets"][0]["srs_domain"] == "alias.test"
    # The mailbox, the queue and the events have who sent it.
    ((sender,),) = node.query("select distinct sender from message where sender like '%joe@outside.test'")
    assert sender == JOE
    assert f'"{JOE}"' in node.log() or JOE in node.log()


def test_a_group_and_a_catch_all_forward_so_and_mailboxes_see_the_sender(node, outside):
    message = sent(outside, node, JOE, "team@alias.test")
    assert re.fullmatch(FORWARDED, message.sender) and sorted(message.recipients) == ["x@away.test", "y@away.test"]
    with node.pop3("ann@alias.test") as connection:
        assert any(line == b"Return-Path: <joe@outside.test>" for line in connection.retr(connection.stat()[0])[1])
    node.api.post("/v1/aliases", {"address": "all@other.test", "targets": ["z@away.test"]})
    node.api.patch("/v1/domains/other.test", {"catch_all": "all@other.test"})
    assert re.fullmatch(r"SRS0=.{6}=..=outside\.test=joe@other\.test", sent(outside, node, JOE, "whoever@other.test").sender)
    node.api.patch("/v1/domains/other.test", {"catch_all": None})


def test_the_domain_that_was_named_forwards(node, outside):
    assert sent(outside, node, JOE, "dan@second.test").sender.endswith("=joe@second.test")


def test_two_domains_forward_one_message_in_two_transactions(node, outside):
    before = len(outside.messages)
    node.send(JOE, ["dan@alias.test", "eve@other.test"], make_message("two"))
    wait_until(lambda: len(outside.messages) == before + 2, "both arrive")
    assert {(m.recipients[0], m.sender.partition("@")[2]) for m in outside.messages[before:]} == {
        ("dan@away.test", "alias.test"), ("eve@away.test", "other.test")}


def test_who_is_not_rewritten(node, outside):
    assert sent(outside, node, "", "dan@alias.test").sender == ""  # the null sender
    before = len(outside.messages)
    node.submit("ann@alias.test", "dan@alias.test", make_message("from here", sender="ann@alias.test"))  # signed in as one of us
    node.submit("ann@alias.test", "someone@away.test", make_message("from here", sender="ann@alias.test"))  # forwarded by nobody
    wait_until(lambda: len(outside.messages) == before + 2, "both arrive")
    assert {m.sender for m in outside.messages[before:]} == {"ann@alias.test"}
    # A stranger who says that he is one of us is not.
    assert sent(outside, node, "ann@alias.test", "dan@alias.test").sender.startswith("SRS0=")
    assert check(node, "dan@alias.test", "ann@alias.test")["targets"][0]["srs_domain"] == "alias.test"
    assert check(node, "dan@alias.test", "ann@alias.test", account="ann@alias.test")["targets"][0]["srs_domain"] is None
    assert check(node, "dan@alias.test")["targets"][0]["srs_domain"] is None


@pytest.mark.parametrize("sender", ['"joe public"@outside.test', "bounces+20251127-joe=alias.example@mail.newsletters.example"])
def test_what_cannot_be_carried_keeps_its_sender(node, outside, sender):
    assert sent(outside, node, sender, "dan@alias.test").sender == sender
    assert "sender not rewritten" in node.log()


def test_what_another_has_rewritten(node, outside):
    message = sent(outside, node, "SRS0=abcd=XY=a.test=joe@first.test", "dan@alias.test")
    assert re.fullmatch(r"SRS1=[A-Z2-7]{6}=first\.test==abcd=XY=a\.test=joe@alias\.test", message.sender)
    assert [t["address"] for t in check(node, message.sender)["targets"]] == ["SRS0=abcd=XY=a.test=joe@first.test"]
    assert sent(outside, node, "", message.sender).recipients == ["SRS0=abcd=XY=a.test=joe@first.test"]


def test_what_one_domain_here_forwards_to_another_is_found_through(node, outside):
    first = sent(outside, node, JOE, "dan@alias.test").sender
    second = sent(outside, node, first, "eve@other.test").sender
    assert second.startswith("SRS1=") and second.endswith("@other.test")
    assert [t["address"] for t in check(node, second)["targets"]] == [JOE]


# ------------------------------------------------------------------ back


def test_a_notice_comes_back_to_the_sender_outside(node, outside):
    address = sent(outside, node, JOE, "dan@alias.test").sender
    told = check(node, address)
    assert (told["verdict"], told["why"], [t["address"] for t in told["targets"]]) == ("expanded", "srs", [JOE])
    assert told["targets"][0]["srs_domain"] is None
    message = sent(outside, node, "", address.lower())
    assert (message.sender, message.recipients) == ("", [JOE])
    ((detail,),) = node.query("select e.detail from event e where e.kind = 'expanded' and e.recipient ilike 'srs0=%' order by e.id desc limit 1")
    assert detail == JOE


def test_a_notice_comes_back_to_a_mailbox_here(node, outside):
    address = sent(outside, node, "joe@other.test", "dan@alias.test").sender
    assert address.endswith("=other.test=joe@alias.test")
    before = len(node.subjects("joe@other.test"))
    node.send("", address, make_message("it bounced"))
    wait_until(lambda: len(node.subjects("joe@other.test")) > before, "the notice is in the mailbox")


def test_what_is_refused(node, outside):
    address = sent(outside, node, JOE, "dan@alias.test").sender
    local, _, domain = address.partition("@")
    for recipient, sender, code, why, words in (
            (address, JOE, "550 5.7.1", "srs-sender", "the null sender"),
            (f"{local}x@{domain}", "", "550 5.1.1", "srs-forged", "this server has not made it"),
            (f"{local}@other.test", "", "550 5.1.1", "srs-forged", "this server has not made it"),
            (local.replace("outside", "elsewhere") + f"@{domain}", "", "550 5.1.1", "srs-forged", "has not made it"),
            ("SRS0=AAAAAA=AA=outside.test=joe@alias.test", "", "550 5.1.1", "srs-forged", "has not made it"),
            ("SRS1=AAAAAA=a.test==b=c=outside.test=joe@alias.test", "", "550 5.1.1", "srs-forged", "has not made it")):
        reply = rcpt(node, recipient, sender)
        assert reply.startswith(code) and words in reply, (recipient, reply)
        told = check(node, recipient, sender or "<>")
        assert (told["why"], told["targets"]) == (why, [])
        assert f"{told['reply']['code']} {told['reply']['enhanced']}" == code
    # A catch-all does not have them.
    node.api.patch("/v1/domains/alias.test", {"catch_all": "ann@alias.test"})
    assert rcpt(node, "nobody@alias.test").startswith("250")
    assert rcpt(node, "SRS0=AAAAAA=AA=outside.test=joe@alias.test").startswith("550 5.1.1")
    assert rcpt(node, address).startswith("250")
    node.api.patch("/v1/domains/alias.test", {"catch_all": None})
    # An account of such a name has its mail.
    node.api.account("srs0@alias.test", "srs")
    assert rcpt(node, "srs0+list@alias.test", JOE).startswith("250")


def test_what_is_too_old(node, outside):
    address = sent(outside, node, JOE, "dan@alias.test").sender
    ((today,),) = node.query("select floor(extract(epoch from now()) / 86400)::int % 1024")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    assert address.split("=")[2] == letters[int(today) >> 5] + letters[int(today) & 31]
    ((key,),) = node.query("select encode(key, 'hex') from srs_key order by made_at limit 1")
    for age, code in ((21, "250"), (22, "550 5.7.1"), (500, "550 5.7.1"), (-1, "250")):
        reply = rcpt(node, as_written(bytes.fromhex(key), (int(today) - age) % 1024))
        assert reply.startswith(code), (age, reply)
    assert check(node, as_written(bytes.fromhex(key), (int(today) - 22) % 1024))["why"] == "srs-expired"


def as_written(key, day):
    """By somebody else's implementation of the same."""
    import base64
    import hashlib
    import hmac
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    rest = f"{letters[day >> 5]}{letters[day & 31]}=outside.test=joe"
    digest = hmac.new(key, f"0={rest}@alias.test".lower().encode(), hashlib.sha256).digest()
    return f"SRS0={base64.b32encode(digest)[:6].decode()}={rest}@alias.test"


def test_keys_change_and_old_ones_read_on(node, outside):
    old = sent(outside, node, JOE, "dan@alias.test").sender
    node.query("insert into srs_key (key, made_at) values (decode(repeat('ab', 32), 'hex'), now() - interval '1 hour') returning 1")
    wait_until(lambda: sent(outside, node, JOE, "dan@alias.test").sender != old, "the new key is written with")
    assert rcpt(node, old).startswith("250")
    node.query("insert into srs_key (key) values (decode(repeat('cd', 32), 'hex')) returning 1")  # made now: every node is to read it first
    ((today,),) = node.query("select floor(extract(epoch from now()) / 86400)::int % 1024")
    wait_until(lambda: rcpt(node, as_written(bytes.fromhex("cd" * 32), int(today))).startswith("250"), "the newest is read with")
    assert sent(outside, node, JOE, "dan@alias.test").sender == as_written(bytes.fromhex("ab" * 32), int(today))
    node.query("delete from srs_key where made_at > now() - interval '2 hours' and id > 1 returning 1")
    wait_until(lambda: rcpt(node, as_written(bytes.fromhex("ab" * 32), int(today))).startswith("550"), "a key that is gone reads nothing")


def test_a_new_key_comes_by_itself(new_posthouse):
    node = new_posthouse(settings={"daemon.workers": 1}).migrate()
    node.query("update srs_key set made_at = now() - interval '61 days' returning 1")
    node.query("insert into srs_key (key, made_at) select decode(repeat('ef', 32), 'hex'), now() - interval '431 days' returning 1")
    node.start()
    wait_until(lambda: node.query("select count(*) from srs_key where made_at > now() - interval '1 hour'") == [["1"]], "a key is made", timeout=60)
    wait_until(lambda: node.query("select count(*) from srs_key") == [["2"]], "the old one goes, the last one stays")


def test_a_database_that_fails_when_keys_change(new_posthouse, own_postgres, outside):
    """All of it or nothing, and senders are rewritten with what there is."""
    outside.behave = Behaviour()
    faulty = FaultyPostgres(own_postgres)
    try:
        node = new_posthouse(postgres=faulty, default_route=outside.port, settings={"daemon.workers": 1}).migrate()
        node.query("update srs_key set made_at = now() - interval '61 days' returning 1")
        node.query("insert into srs_key (key, made_at) select decode(repeat('ef', 32), 'hex'), now() - interval '431 days' returning 1")
        fault = faulty.arm("srs_key_forget", "refused")
        set_up(node)
        wait_until(lambda: fault.struck, "the fault struck", timeout=60)
        assert node.query("select count(*), count(*) filter (where made_at > now() - interval '1 hour') from srs_key") == [["2", "0"]]
        assert re.fullmatch(FORWARDED, sent(outside, node, JOE, "dan@alias.test").sender)
        node.close()
    finally:
        faulty.close()


def test_a_relay_domain_may_have_its_own(node, sink, outside):
    node.api.relay_domain("relayed.test", "srs", sink.port)
    node.api.post("/v1/aliases", {"address": "fay@relayed.test", "targets": ["fay@away.test"]})
    theirs = "SRS0=abcd=XY=x.test=joe@relayed.test"
    node.send("", theirs, make_message("for the primary"))
    wait_until(lambda: [m for m in sink.messages if m.recipients == [theirs]], "the primary has its own")
    ours = sent(outside, node, JOE, "fay@relayed.test").sender
    assert ours.endswith("@relayed.test")
    assert sent(outside, node, "", ours).recipients == [JOE]


# ------------------------------------------------------------------ settings


def test_one_domain_for_all(new_posthouse, outside):
    node = set_up(new_posthouse(default_route=outside.port, settings={"delivery.srs_domain": "Other.test", "delivery.srs_lifetime": "2d"}))
    address = sent(outside, node, JOE, "dan@alias.test").sender
    assert address.endswith("=joe@other.test")
    assert sent(outside, node, "", address).recipients == [JOE]
    ((key,),) = node.query("select encode(key, 'hex') from srs_key")
    ((today,),) = node.query("select floor(extract(epoch from now()) / 86400)::int % 1024")
    assert rcpt(node, as_written(bytes.fromhex(key), (int(today) - 3) % 1024)).startswith("550 5.7.1")
    node.write_config(**{"delivery.srs_domain": "nowhere.test"})  # no domain here: that of the alias
    node.reload()
    wait_until(lambda: sent(outside, node, JOE, "dan@alias.test").sender.endswith("@alias.test"), "the alias's own domain")


def test_turned_off_nothing_is_rewritten_and_what_was_comes_back(new_posthouse, outside):
    node = set_up(new_posthouse(default_route=outside.port))
    address = sent(outside, node, JOE, "dan@alias.test").sender
    node.write_config(**{"delivery.srs": "no"})
    node.reload()
    wait_until(lambda: sent(outside, node, JOE, "dan@alias.test").sender == JOE, "the sender stays")
    assert check(node, "dan@alias.test", JOE)["targets"][0]["srs_domain"] is None
    assert sent(outside, node, "", address).recipients == [JOE]
    assert "no such user" in rcpt(node, "SRS0=AAAAAA=AA=outside.test=joe@alias.test")


def test_a_domain_that_is_none_is_told(new_posthouse):
    node = new_posthouse(settings={"delivery.srs_domain": "no domain"})
    assert 'srs_domain: "no domain" is not a domain' in node.command("--check-config", check=False).stderr


# ------------------------------------------------------------------ what is told on the way


def test_our_own_notice_goes_to_the_sender_and_names_what_he_wrote_to(new_posthouse, outside):
    outside.behave = Behaviour(recipient_replies={"dan@away.test": "550 5.1.1 nobody here"})
    node = set_up(new_posthouse(default_route=outside.port))
    with node.smtp() as connection:
        connection.sendmail("joe@other.test", ["dan@alias.test"], make_message("lost"), ["ENVID=e1"], ["ORCPT=rfc822;dan@alias.test"])
    wait_until(lambda: node.subjects("joe@other.test"), "the sender is told")
    with node.pop3("joe@other.test") as connection:
        notice = email.message_from_bytes(b"\r\n".join(connection.retr(1)[1]), policy=email.policy.default)
    status = [dict(block.items()) for block in list(notice.iter_parts())[1].get_payload()]
    assert status[0]["Original-Envelope-Id"] == "e1"
    assert (status[1]["Original-Recipient"], status[1]["Final-Recipient"]) == ("rfc822; dan@alias.test", "rfc822; dan@away.test")
    assert outside.asked[-1][0].startswith("SRS0=")


def test_our_own_notice_to_an_address_of_ours_finds_back(new_posthouse, outside, sink):
    """Somebody outside has forwarded to us what we had forwarded to him."""
    sink.behave = Behaviour(other_recipients="550 5.1.1 nobody here")
    outside.behave = Behaviour()
    node = set_up(new_posthouse(default_route=outside.port))
    node.api.relay_domain("relayed.test", "srs", sink.port)
    address = sent(outside, node, JOE, "dan@alias.test").sender
    before = len(outside.messages)
    node.send(address, "x@relayed.test", make_message("again here"))
    wait_until(lambda: len(outside.messages) > before, "the notice goes out")
    assert (outside.messages[-1].sender, outside.messages[-1].recipients) == ("", [JOE])


def test_wishes_go_with_the_rewritten_sender(new_posthouse, outside):
    outside.behave = Behaviour(extensions=WITH_DSN)
    outside.clear()
    node = set_up(new_posthouse(default_route=outside.port))
    with node.smtp() as connection:
        connection.sendmail(JOE, ["dan@alias.test"], make_message("asked"), ["RET=HDRS", "ENVID=e2"],
                            ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;dan@alias.test"])
    wait_until(lambda: outside.messages, "it is forwarded")
    (message,) = outside.messages
    assert re.fullmatch(FORWARDED, message.sender)
    assert "RET=HDRS" in message.mail_parameters and "ENVID=e2" in message.mail_parameters
    assert message.recipient_parameters == ["NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;dan@alias.test"]


def test_nobody_outside_can_say_that_his_mail_is_forwarded(node):
    with Dialogue(node, "smtp") as dialogue:
        dialogue.hello()
        dialogue.ask("MAIL FROM:<joe@outside.test>", "250")
        assert dialogue.ask("RCPT TO:<dan@alias.test> FORWARDED-BY=other.test").startswith("555 5.5.4")


def test_postfix_bounces_and_the_bounce_comes_back(new_posthouse, postfix, sink):
    """Outside is Postfix, which takes the message, cannot deliver it, and sends its notice to our MX port."""
    node = new_posthouse(default_route=postfix.port)
    sink.behave = Behaviour(other_recipients="550 5.1.1 nobody there")
    with open(postfix.config / "main.cf", "a") as file:
        file.write(f"transport_maps = inline:{{ {{ alias.test = smtp:[127.0.0.1]:{node.ports['smtp']} }},"
                   f" {{ away.test = smtp:[127.0.0.1]:{sink.port} }} }}\n"
                   "smtp_dns_support_level = disabled\nsmtp_host_lookup = native\n")
    set_up(node)
    postfix.start()
    node.send("joe@other.test", "dan@alias.test", make_message("there and back", sender="joe@other.test"))
    wait_until(lambda: node.subjects("joe@other.test"), "Postfix's notice is in the first sender's mailbox", timeout=60)
    with node.pop3("joe@other.test") as connection:
        notice = email.message_from_bytes(b"\r\n".join(connection.retr(1)[1]), policy=email.policy.default)
    assert notice["Return-Path"] == "<>" and notice.get_param("report-type") == "delivery-status"
    assert "nobody there" in str(notice) and "there and back" in str(notice)
    assert notice["To"].startswith("SRS0=") and notice["To"].endswith("@alias.test")
