"""What the directory answered is remembered: a RCPT costs no look-up, and a change counts, on this node and on others."""
import os
import time

from harness.dialogue import Dialogue
from harness.faults import FaultyPostgres
from harness.posthouse import PASSWORD
from harness.process import PATIENCE, hurry, wait_until

ANN, BOB = "ann@asked.test", "bob@asked.test"
EXPECTED = {ANN: "250", "ann+x@asked.test": "250", "alias@asked.test": "250", "group@asked.test": "250", "ann@second.test": "250",
            "any@caught.test": "250", "dora@listed.test": "250", "other@listed.test": "550", "any@relayed.asked.test": "250",
            "nobody@asked.test": "550"}


def rcpt(session, address):
    """The code for one recipient, in a transaction of its own."""
    session.mail("joe@outside.test")
    code = session.rcpt(address)[0]
    session.rset()
    return code


def signed_in(node, login):
    dialogue = Dialogue(node, "submissions")
    dialogue.hello()
    assert dialogue.plain(login, PASSWORD).startswith("235")
    return dialogue


def populate(api):
    """Each kind of recipient; bob and a network have grants, and strangers a policy."""
    api.customer("asked")
    api.hosted_domain("asked.test", "asked")
    api.relay_domain("relayed.asked.test", "asked", 9)
    for address in (ANN, BOB):
        api.account(address, "asked", PASSWORD)
    api.post("/v1/aliases", {"address": "alias@asked.test", "targets": [ANN, "x@elsewhere.test"]})
    api.post("/v1/groups", {"address": "group@asked.test", "members": [ANN, BOB], "senders": "anyone"})
    for name, more in (("second.test", {"kind": "alias", "target": "asked.test"}), ("caught.test", {"catch_all": ANN}),
                       ("listed.test", {"next_hops": [{"host": "127.0.0.1", "port": 9}], "recipients": "listed"})):
        api.post("/v1/domains", {"name": name, "customer": "asked", "kind": "hosted", **more})
    api.post("/v1/domains/listed.test/recipients", {"address": "dora@listed.test"})
    for who in ({"account": BOB}, {"network": "198.18.0.0/16"}):
        api.post("/v1/relay-grants", {"customer": "asked", **who, "senders": "any", "recipients": "any"})
    api.post("/v1/client-policies", {"domain": "asked.test", "refuse_at": 50})


def ready(session):
    session.ehlo("client.test")
    return session


def test_what_is_remembered_is_not_asked_for(new_posthouse, own_postgres):
    """Not by a look-up, nor by any statement: among what goes on in the background there is a round of RCPTs without one."""
    faulty = FaultyPostgres(own_postgres)
    node = new_posthouse(postgres=faulty, settings={"daemon.workers": 1, "delivery.default_route": "127.0.0.1:9", "smtp.xclient_networks": "127.0.0.1"})
    try:
        node.start()
        populate(node.api)
        stranger = Dialogue(node, "smtp")
        stranger.hello()
        client = Dialogue(node, "smtp")
        client.hello()
        client.ask("XCLIENT ADDR=198.18.0.1", "220")
        client.ask("EHLO client.test", "250")
        for dialogue, login, outside in ((stranger, None, "550"), (client, None, "250"), (signed_in(node, ANN), ANN, "250"),
                                         (signed_in(node, BOB), BOB, "250")):
            expected = {**EXPECTED, "x@elsewhere.test": outside}

            def round_of_all():
                before, codes = sum(faulty.seen.values()), {}
                for address in expected:
                    dialogue.ask(f"MAIL FROM:<{login or 'joe@outside.test'}>", "250")
                    codes[address] = dialogue.ask(f"RCPT TO:<{address}>")[:3]
                    dialogue.ask("RSET", "250")
                assert codes == expected
                return sum(faulty.seen.values()) - before

            first = round_of_all()
            assert dialogue is not stranger or first >= len(expected)  # the first time each must be asked for
            wait_until(lambda: round_of_all() == 0, "a round of RCPTs that asks nothing")
            dialogue.close()
    finally:
        node.stop()
        faulty.close()


def test_a_change_counts_for_the_next_command_of_its_node(posthouse):
    posthouse.api.customer("at once")
    posthouse.api.hosted_domain("atonce.test", "at once")
    with ready(posthouse.smtp()) as session:
        for i in range(10):
            address = f"user{i}@atonce.test"
            assert rcpt(session, address) == 550
            posthouse.api.account(address, "at once")
            assert rcpt(session, address) == 250
            posthouse.api.patch(f"/v1/accounts/{address}", {"state": "suspended"})
            assert rcpt(session, address) == 550


def test_a_change_counts_on_other_nodes(new_posthouse, postgres):
    one = new_posthouse().start()
    two = new_posthouse()
    two.database, two.token = one.database, one.token
    two.write_config(database__conninfo=postgres.conninfo(one.database))
    two.start()
    one.api.customer("both")
    one.api.hosted_domain("both.test", "both")
    with ready(two.smtp()) as session:
        for i in range(5):
            address = f"user{i}@both.test"
            wait_until(lambda: rcpt(session, address) == 550, "unknown, and remembered as such")
            one.api.account(address, "both")
            wait_until(lambda: rcpt(session, address) == 250, "another node knows of the account")
            one.api.patch("/v1/customers/both", {"state": "suspended"})
            wait_until(lambda: rcpt(session, address) == 550, "another node knows of the suspension")
            one.api.patch("/v1/customers/both", {"state": "active"})
            wait_until(lambda: rcpt(session, address) == 250, "and of its end")
            one.api.delete(f"/v1/accounts/{address}")
            wait_until(lambda: rcpt(session, address) == 550, "and of the deletion")


def test_what_is_remembered_is_dropped_within_a_second(new_posthouse, postgres):
    """Changes by the API of one node, seen by an open session of another: the middle one of many, as the machine may have other work."""
    one = new_posthouse().start()
    two = new_posthouse(settings={"daemon.workers": 1})
    two.database, two.token = one.database, one.token
    two.write_config(database__conninfo=postgres.conninfo(one.database))
    two.start()
    one.api.customer("soon")
    one.api.hosted_domain("soon.test", "soon")
    one.api.account("ann@soon.test", "soon")
    took = []
    with hurry(os.getpid(), *(pid for node in (one, two) for pid in node.family())), ready(two.smtp()) as session:
        for state, code in (("suspended", 550), ("active", 250)) * 5:
            one.api.patch("/v1/accounts/ann@soon.test", {"state": state})
            began = time.monotonic()
            wait_until(lambda code=code: rcpt(session, "ann@soon.test") == code, f"it is known to be {state}")
            took.append(time.monotonic() - began)
    assert sorted(took)[len(took) // 2] < 1 * PATIENCE, took


def test_memory_does_not_answer_for_a_database_that_is_gone(new_posthouse, own_postgres):
    node = new_posthouse(postgres=own_postgres).start()
    node.api.customer("away")
    node.api.hosted_domain("away.test", "away")
    node.api.account("ann@away.test", "away")
    with ready(node.smtp()) as session:
        assert rcpt(session, "ann@away.test") == 250
        own_postgres.stop()
        wait_until(lambda: rcpt(session, "ann@away.test") == 451, "what is remembered is not trusted any more")
        own_postgres.start()
        wait_until(lambda: rcpt(session, "ann@away.test") == 250, "the database is back")
