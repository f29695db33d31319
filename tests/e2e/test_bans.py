"""Failed logins are counted by address and by name, on all nodes together: bans that expire, tell nothing, and spare an owner who
comes from elsewhere."""
import pytest

from harness.posthouse import PASSWORD
from harness.process import wait_until
from harness.requests import problem
from harness.signing import PROTOCOLS, Signing

ANN, NOBODY = "ann@bans.test", "nobody@bans.test"
SETTINGS = {"auth.exempt": "127.0.0.99", "auth.address_failures": 6, "auth.account_failures": 3, "auth.attack_failures": 8,
            "auth.ban_time": "1h", "daemon.workers": 1}
CODE = {"smtp": "454 4.7.0 ", "imap": "NO [UNAVAILABLE] ", "pop3": "[SYS/TEMP] "}


@pytest.fixture
def node(new_posthouse, postgres):
    node = new_posthouse(settings=SETTINGS).start()
    node.api.customer("bans")
    node.api.hosted_domain("bans.test", "bans")
    node.api.account(ANN, "bans", PASSWORD)
    return node


def answer(node, login, password, source, protocol="smtp"):
    with Signing(node, protocol, tls=True, source=source) as client:
        return client.plain(login, password)


def fail(node, login, source, times, protocol="smtp"):
    for _ in range(times):
        kind, text = answer(node, login, "wrong", source, protocol)
        assert kind == "no" and not text.startswith(CODE[protocol]), text


def banned(node, login, source, protocol="smtp"):
    """With the right password."""
    kind, text = answer(node, login, PASSWORD, source, protocol)
    return kind == "no" and text.startswith(CODE[protocol])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_name_is_banned_where_it_failed(node, protocol):
    fail(node, ANN, "127.0.0.2", 3, protocol)
    assert all(banned(node, ANN.upper(), "127.0.0.2", each) for each in PROTOCOLS)
    assert answer(node, ANN, PASSWORD, "127.0.0.3")[0] == "yes"  # the owner, from elsewhere
    wait_until(lambda: node.api.get("/v1/bans")["items"], "the ban is shown")
    (ban,) = node.api.get("/v1/bans")["items"]
    assert (ban["kind"], ban["client"], ban["login"], ban["failures"]) == ("account", "127.0.0.2", ANN, 3)
    assert node.api.get(f"/v1/bans/{ban['id']}") == ban
    node.api.delete(f"/v1/bans/{ban['id']}")
    problem(node, 404, "GET", f"/v1/bans/{ban['id']}")
    problem(node, 404, "DELETE", f"/v1/bans/{ban['id']}")
    wait_until(lambda: answer(node, ANN, PASSWORD, "127.0.0.2")[0] == "yes", "it is lifted")


def test_a_name_of_nobody_is_banned_alike(node):
    seen = {}
    for login, source in ((ANN, "127.0.0.4"), (NOBODY, "127.0.0.5")):
        seen[login] = [answer(node, login, "wrong", source) for _ in range(4)]
    assert seen[ANN] == seen[NOBODY]
    assert seen[ANN][3][1].startswith(CODE["smtp"])


def test_an_address_is_banned_whatever_it_says(node):
    for number in range(6):
        fail(node, f"guess{number}@bans.test", "127.0.0.6", 1)
    assert banned(node, ANN, "127.0.0.6")
    with Signing(node, "imap", tls=True, source="127.0.0.6") as client:
        assert client.auth("SCRAM-SHA-256")[1].startswith(CODE["imap"])
        assert client.by_name(ANN, PASSWORD)[1].startswith(CODE["imap"])
    assert answer(node, ANN, PASSWORD, "127.0.0.7")[0] == "yes"
    fail(node, ANN, "127.0.0.99", 7)  # exempt
    assert answer(node, ANN, PASSWORD, "127.0.0.99")[0] == "yes"


def test_two_nodes_count_together(node, new_posthouse, postgres):
    other = new_posthouse(settings=SETTINGS)
    other.database, other.token = node.database, node.token
    other.write_config(database__conninfo=postgres.conninfo(node.database))
    other.start()
    fail(node, ANN, "127.0.0.8", 2)
    wait_until(lambda: node.query("select failures from auth_failure where kind = 'pair' and client = '127.0.0.8'") == [["2"]],
               "they are written")
    fail(other, ANN, "127.0.0.9", 1)  # what is written after them is read with them
    wait_until(lambda: node.query("select 1 from auth_failure where kind = 'pair' and client = '127.0.0.9'"), "it is written")
    fail(node, ANN, "127.0.0.8", 1)
    wait_until(lambda: banned(other, ANN, "127.0.0.8"), "the other node knows")
    assert answer(other, ANN, PASSWORD, "127.0.0.10")[0] == "yes"
    (ban,) = node.api.get("/v1/bans")["items"]
    other.api.delete(f"/v1/bans/{ban['id']}")
    for each in (node, other):
        wait_until(lambda each=each: answer(each, ANN, PASSWORD, "127.0.0.8")[0] == "yes", "it is lifted")


def test_a_ban_expires(node):
    fail(node, ANN, "127.0.0.11", 3)
    assert banned(node, ANN, "127.0.0.11")
    wait_until(lambda: node.query("select 1 from auth_failure where banned_until > now()"), "it is written")
    node.query("update auth_failure set banned_until = now(), changed_at = now()")
    wait_until(lambda: answer(node, ANN, PASSWORD, "127.0.0.11")[0] == "yes", "it is over")
    fail(node, ANN, "127.0.0.11", 1)  # counted from the start


def test_without_the_database_this_node_goes_on_counting(new_posthouse, own_postgres):
    node = new_posthouse(postgres=own_postgres, settings=SETTINGS).start()
    for number in range(6):
        fail(node, f"guess{number}@bans.test", "127.0.0.12", 1)
    own_postgres.stop()
    assert banned(node, ANN, "127.0.0.12")
    assert answer(node, ANN, PASSWORD, "127.0.0.13")[1].startswith(CODE["smtp"])  # nobody can say: not a wrong password
    own_postgres.start()
