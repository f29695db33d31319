"""What the directory answered is remembered: a RCPT costs no look-up, and a change counts, on this node and on others."""
import time

from harness.faults import FaultyPostgres
from harness.process import PATIENCE, wait_until

LOOK_UPS = ("directory_recipients", "directory_domain", "directory_network", "directory_grants_client",
            "directory_grants_account", "directory_grants_usage", "directory_account")


def rcpt(session, address):
    """The code for one recipient, in a transaction of its own."""
    session.mail("joe@outside.test")
    code = session.rcpt(address)[0]
    session.rset()
    return code


def ready(session):
    session.ehlo("client.test")
    return session


def test_what_is_remembered_is_not_asked_for(new_posthouse, own_postgres):
    faulty = FaultyPostgres(own_postgres)
    node = new_posthouse(postgres=faulty, settings={"daemon.workers": 1})
    try:
        node.start()
        node.api.customer("asked")
        node.api.hosted_domain("asked.test", "asked")
        node.api.relay_domain("relayed.asked.test", "asked", 9)
        node.api.account("ann@asked.test", "asked")
        expected = {"ann@asked.test": 250, "nobody@asked.test": 550, "any@relayed.asked.test": 250, "x@elsewhere.test": 550}

        def asked():
            return {name: faulty.seen.get(name, 0) for name in LOOK_UPS}

        with ready(node.smtp()) as session:
            def round_of_all():
                assert {address: rcpt(session, address) for address in expected} == expected

            def nothing_is_asked():
                before = asked()
                round_of_all()
                return asked() == before

            round_of_all()
            assert asked()["directory_recipients"] >= len(expected)  # the first time each must be
            wait_until(nothing_is_asked, "a round of RCPTs that asks nothing")
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
    with ready(two.smtp()) as session:
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
