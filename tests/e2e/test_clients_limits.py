"""How much strangers may send: connections and rates by address and by network, and who is exempt. Clients are told by XCLIENT."""
import os
import re
import signal

import pytest

from harness.dialogue import Dialogue
from harness.posthouse import make_message
from harness.process import wait_until
from harness.requests import must, pages, problem

GENEROUS = {"clients.connections_per_minute": 0, "clients.network_connections_per_minute": 0, "daemon.sessions_per_client_max": 0,
            "smtp.xclient_networks": "127.0.0.1", "daemon.workers": 1, "clients.sessions_per_network_max": 0, "clients.messages_per_minute": 0, "clients.recipients_per_minute": 0,
            "clients.network_messages_per_minute": 0, "clients.network_recipients_per_minute": 0}


@pytest.fixture
def new_node(new_posthouse):
    def make(**settings):
        node = new_posthouse(settings={**GENEROUS, **settings}).start()
        node.api.customer("limits")
        node.api.hosted_domain("limits.test", "limits")
        node.api.account("ann@limits.test", "limits")
        return node
    return make


def connect(node, client):
    """As a client comes, and stays."""
    dialogue = Dialogue(node)
    dialogue.hello("proxy.test")
    dialogue.greeting = dialogue.ask(f"XCLIENT ADDR={'IPV6:' if ':' in client else ''}{client}")
    return dialogue


def greeting(node, client):
    with connect(node, client) as dialogue:
        return dialogue.greeting


def metric(node, name):
    _, text = must(node, 200, "GET", "/metrics", token="")
    found = re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)
    return int(found.group(1)) if found else None


def told(node, refused):
    """The decision that a refusal names."""
    path = "/v1/decisions/" + re.search(r"\(decision (\w+)\)", refused).group(1)
    wait_until(lambda: node.api.request("GET", path)[0] == 200, "the decision is written")
    return node.api.get(path)


def test_who_speaks_before_the_greeting(new_node):
    node = new_node(**{"smtp.greeting_delay": "20s"})
    with Dialogue(node) as dialogue:
        dialogue.send("E")
        refused = dialogue.reply()
    assert refused.startswith("554 5.5.1 ")
    decision = told(node, refused)
    assert (decision["command"], decision["why"], decision["client"], decision["reply"]["code"]) == \
        ("CONNECT", "early-talker", "127.0.0.1", 554)
    wait_until(lambda: metric(node, 'posthouse_smtp_refused_total{reason="early-talker"}') == 1, "it is counted")
    assert "reason=early-talker" in node.log()


def test_who_is_hung_up_on(new_node):
    """Too many bad commands, and too many recipients that are refused."""
    node = new_node(**{"smtp.errors_max": 3, "smtp.recipients_max": 100})
    for command, count, reason in (("BAD", 4, "errors"), ("RCPT TO:<nobody@limits.test>", 101, "refused-recipients")):
        with Dialogue(node) as dialogue:
            dialogue.hello()
            dialogue.ask("MAIL FROM:<joe@outside.test>", "250")
            dialogue.send(f"{command}\r\n" * count)
            replies = [dialogue.reply()[:9] for _ in range(count)]
            assert replies[-1] == "421 4.7.0" and "421 4.7.0" not in replies[:-1]
        wait_until(lambda: metric(node, f'posthouse_smtp_refused_total{{reason="{reason}"}}') == 1, "it is counted")
    assert "too many bad commands" in node.log() and "too many refused recipients" in node.log()


def test_new_connections_of_an_address(new_node):
    node = new_node(**{"clients.connections_per_minute": 3})
    for client in ("198.51.100.1", "2001:db8::%d"):
        for number in range(3):
            assert greeting(node, client % number if "%" in client else client).startswith("220 ")
        refused = greeting(node, client % 7 if "%" in client else client)
        assert refused.startswith("421 4.7.0 ") and "new connections from your address" in refused
        decision = "/v1/decisions/" + re.search(r"\(decision (\w+)\)", refused).group(1)
        wait_until(lambda: node.api.request("GET", decision)[0] == 200, "the decision is written")
        told = node.api.get(decision)
        assert (told["command"], told["why"], told["limit"]) == ("CONNECT", "client-connections", "connections_per_minute")
        assert (told["client"], told["recipient"], told["reply"]["code"]) == (client % 7 if "%" in client else client, None, 421)
    assert greeting(node, "198.51.100.2").startswith("220 ")
    assert greeting(node, "2001:db8:0:1::1").startswith("220 ")
    wait_until(lambda: metric(node, 'posthouse_connections_refused_total{reason="address-rate"}') == 2, "it is counted")
    assert "reason=\"too many new connections from the address\"" in node.log()
    for _ in range(10):  # loopback is exempt
        with Dialogue(node) as dialogue:
            assert dialogue.reply().startswith("220 ")


def test_new_connections_of_a_network(new_node):
    node = new_node(**{"clients.network_connections_per_minute": 3, "clients.network_ipv4": 28, "clients.network_ipv6": 56})
    for first, others, outside in (("198.51.100.1", "198.51.100.%d", "198.51.100.16"),
                                   ("2001:db8:0:1::1", "2001:db8:0:%d::1", "2001:db8:0:100::1")):
        for number in range(3):
            assert greeting(node, others % (number + 1)).startswith("220 ")
        assert "new connections from your network" in greeting(node, first)
        assert greeting(node, outside).startswith("220 ")
    wait_until(lambda: metric(node, 'posthouse_connections_refused_total{reason="network-rate"}') == 2, "it is counted")


def test_connections_at_once(new_node):
    node = new_node(**{"daemon.sessions_per_client_max": 2, "clients.sessions_per_network_max": 3})
    one, two = connect(node, "198.51.100.1"), connect(node, "198.51.100.1")
    assert "connections from your address" in greeting(node, "198.51.100.1")
    three = connect(node, "198.51.100.2")
    assert three.greeting.startswith("220 ")
    refused = greeting(node, "198.51.100.3")
    assert refused.startswith("421 4.7.0 ") and "connections from your network" in refused
    assert told(node, refused)["limit"] == "sessions_per_network_max"
    for reason in ("address-sessions", "network-sessions"):
        wait_until(lambda: metric(node, f'posthouse_connections_refused_total{{reason="{reason}"}}') == 1, "it is counted")
    for reason in ("too many connections from the address", "too many connections from the network"):
        assert f'reason="{reason}"' in node.log()
    assert greeting(node, "198.51.101.3").startswith("220 ")
    two.ask("QUIT", "221")
    wait_until(lambda: greeting(node, "198.51.100.3").startswith("220 "), "there is room again")
    one.close(), two.close(), three.close()


def test_workers_count_connections_at_once_together(new_node):
    """Three workers let in what the limit says, not three times as much; one that is killed takes its count with it."""
    node = new_node(**{"daemon.workers": 3, "daemon.sessions_per_client_max": 5})
    clients = [connect(node, "198.51.100.1") for _ in range(15)]
    inside = [client for client in clients if client.greeting.startswith("220 ")]
    assert len(inside) == 5 and all("connections from your address" in c.greeting for c in clients if c not in inside)
    inside[0].ask("QUIT", "221")
    wait_until(lambda: greeting(node, "198.51.100.1").startswith("220 "), "there is room for one")
    pids = node.family()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(pids) & set(node.family()), "all are replaced")
    wait_until(node.ready, "it serves again")
    again = [connect(node, "198.51.100.1") for _ in range(8)]
    assert [client.greeting[:3] for client in again].count("220") == 5
    for client in clients + again:
        client.close()


def test_workers_count_together(new_node):
    node = new_node(**{"daemon.workers": 3, "clients.connections_per_minute": 10})
    answers = [greeting(node, "198.51.100.1")[:3] for _ in range(40)]
    assert answers.count("220") in (10, 11, 12)  # one more every six seconds


def test_messages_and_recipients(new_node):
    node = new_node(**{"clients.messages_per_minute": 2, "clients.recipients_per_minute": 3})
    with connect(node, "198.51.100.1") as dialogue:
        dialogue.ask("EHLO client.test", "250")
        assert dialogue.message("joe@outside.test", "ann@limits.test", make_message("one")).startswith("250")
        dialogue.ask("MAIL FROM:<joe@outside.test>", "250")
        dialogue.ask("RCPT TO:<nobody@limits.test>", "550")  # guesses count, too
        dialogue.ask("RCPT TO:<ann@limits.test>", "250")
        refused = dialogue.ask("RCPT TO:<ann@limits.test>", "451 4.7.1 Too many recipients from 198.51.100.1 within a minute")
        dialogue.ask("RSET", "250")
        dialogue.ask("MAIL FROM:<joe@outside.test>", "451 4.7.1 Too many messages from 198.51.100.1 within a minute")
        dialogue.ask("RCPT TO:<ann@limits.test>", "503")
    decision = re.search(r"\(decision (\w+)\)", refused).group(1)
    wait_until(lambda: node.api.request("GET", f"/v1/decisions/{decision}")[0] == 200, "the decision is written")
    told = node.api.get(f"/v1/decisions/{decision}")
    assert (told["why"], told["limit"], told["client"], told["recipient"], told["reply"]["code"]) == \
        ("client-rate", "recipients_per_minute", "198.51.100.1", "ann@limits.test", 451)
    wait_until(lambda: metric(node, 'posthouse_smtp_refused_total{reason="client-rate"}') == 2, "it is counted")
    with node.submission("ann@limits.test") as submission:  # not port 25
        for number in range(4):
            submission.sendmail("ann@limits.test", ["ann@limits.test"], make_message(f"own {number}", sender="ann@limits.test"))


def test_messages_and_recipients_of_a_network(new_node):
    """Many addresses of one network may not send together what one of them could not."""
    node = new_node(**{"clients.network_messages_per_minute": 4, "clients.network_recipients_per_minute": 2})
    api, limits = node.api, []
    for number in (1, 2, 3):
        with connect(node, f"198.51.100.{number}") as dialogue:
            dialogue.ask("EHLO client.test", "250")
            dialogue.ask("MAIL FROM:<joe@outside.test>", "250")
            reply = dialogue.ask("RCPT TO:<ann@limits.test>", "250" if number < 3 else "451 4.7.1 Too many recipients from your network within")
    limits.append(told(node, reply)["limit"])
    with connect(node, "198.51.100.4") as dialogue:
        dialogue.ask("EHLO client.test", "250")
        dialogue.ask("MAIL FROM:<joe@outside.test>", "250")
        dialogue.ask("RSET", "250")
        limits.append(told(node, dialogue.ask("MAIL FROM:<joe@outside.test>", "451 4.7.1 Too many messages from your network"))["limit"])
    with connect(node, "198.51.101.1") as dialogue:
        dialogue.ask("EHLO client.test", "250")
        assert dialogue.message("joe@outside.test", "ann@limits.test", make_message("another network")).startswith("250")
    assert limits == ["network_recipients_per_minute", "network_messages_per_minute"]
    api.post("/v1/allowed-networks", {"network": "198.51.100.5"})

    def exempt():
        with connect(node, "198.51.100.5") as dialogue:
            dialogue.ask("EHLO client.test", "250")
            return dialogue.ask("MAIL FROM:<joe@outside.test>").startswith("250")
    wait_until(exempt, "the allow-list is exempt")
    wait_until(lambda: metric(node, 'posthouse_smtp_refused_total{reason="client-rate"}') >= 2, "they are counted")


def test_the_allow_list_is_exempt(new_node):
    node = new_node(**{"clients.connections_per_minute": 1, "clients.messages_per_minute": 1})
    api = node.api
    for client in ("198.51.100.1", "198.51.100.200", "2001:db8::1"):
        assert greeting(node, client).startswith("220 ")
        assert greeting(node, client).startswith("421 ")
    api.post("/v1/allowed-networks", {"network": "198.51.100.0/25", "customer": "limits"})
    api.post("/v1/allowed-networks", {"network": "198.51.100.0/24", "valid_until": "2000-01-01T00:00:00Z"})
    made = api.post("/v1/allowed-networks", {"network": "198.51.100.0/25", "label": "a partner"})
    six = api.post("/v1/allowed-networks", {"network": "2001:db8::/33"})
    api.post("/v1/allowed-networks", {"network": "198.51.100.0/31"})
    for client in ("198.51.100.1", "2001:db8::1"):
        wait_until(lambda: greeting(node, client).startswith("220 "), "a change of the list is known")
    assert greeting(node, "198.51.100.200").startswith("421 ")
    with connect(node, "198.51.100.1") as dialogue:
        dialogue.ask("EHLO client.test", "250")
        for number in range(3):
            assert dialogue.message("joe@outside.test", "ann@limits.test", make_message(str(number))).startswith("250")
    api.patch(f"/v1/allowed-networks/{six['id']}", {"valid_until": "2000-01-01T00:00:00Z"})
    wait_until(lambda: greeting(node, "2001:db8::1").startswith("421 "), "it is over")
    for each in pages(api, "/v1/allowed-networks"):
        api.delete(f"/v1/allowed-networks/{each['id']}")
    wait_until(lambda: greeting(node, "198.51.100.1").startswith("421 "), "nobody is exempt")
    problem(node, 404, "GET", f"/v1/allowed-networks/{made['id']}")


def test_the_allow_list_stays_while_the_database_is_away(new_posthouse, own_postgres):
    node = new_posthouse(postgres=own_postgres, settings={**GENEROUS, "clients.connections_per_minute": 1}).start()
    node.api.post("/v1/allowed-networks", {"network": "198.51.100.1"})
    wait_until(lambda: all(greeting(node, "198.51.100.1").startswith("220 ") for _ in range(2)), "the list is known")
    own_postgres.stop()
    try:
        wait_until(lambda: not node.ready(), "the database is away")
        for _ in range(3):
            assert greeting(node, "198.51.100.1").startswith("220 ")
    finally:
        own_postgres.start()


def test_the_resource(posthouse):
    api = posthouse.api
    api.customer("allowing")
    made = api.post("/v1/allowed-networks", {"network": "203.0.113.0/24", "customer": "allowing", "label": "partner",
                                             "valid_until": "2100-01-01T00:00:00Z"})
    assert made == {"id": made["id"], "network": "203.0.113.0/24", "customer": api.get("/v1/customers/allowing")["id"], "label": "partner",
                    "valid_until": "2100-01-01T00:00:00.000Z", "created_at": made["created_at"]}
    path = f"/v1/allowed-networks/{made['id']}"
    assert api.get(path) == made
    _, _, parsed = posthouse.api.request("POST", "/v1/allowed-networks", {"network": "203.0.113.0/24", "customer": "allowing"})
    assert parsed["existing_id"] == made["id"]
    everybodys = api.post("/v1/allowed-networks", {"network": "203.0.113.0/24", "customer": None})
    assert (everybodys["customer"], everybodys["label"], everybodys["valid_until"]) == (None, None, None)
    problem(posthouse, 409, "POST", "/v1/allowed-networks", {"network": "203.0.113.0/24"}, field="network")
    problem(posthouse, 422, "POST", "/v1/allowed-networks", {"network": "203.0.113.1/24"}, field="network")
    problem(posthouse, 422, "POST", "/v1/allowed-networks", {"network": "203.0.113.1", "customer": "nobody"}, field="customer")
    problem(posthouse, 422, "POST", "/v1/allowed-networks", {}, field="network")
    problem(posthouse, 422, "PATCH", path, {"network": "203.0.113.0/25"}, field="network")
    changed = api.patch(path, {"label": None, "valid_until": None})
    assert (changed["label"], changed["valid_until"], changed["network"]) == (None, None, "203.0.113.0/24")
    assert [each["id"] for each in pages(api, "/v1/allowed-networks", customer="allowing")] == [made["id"]]
    assert {each["id"] for each in pages(api, "/v1/allowed-networks", limit=1)} == {made["id"], everybodys["id"]}
    problem(posthouse, 409, "DELETE", "/v1/customers/allowing")
    api.delete(path), api.delete(f"/v1/allowed-networks/{everybodys['id']}")
    problem(posthouse, 404, "DELETE", path)
    problem(posthouse, 404, "PATCH", path, {"label": "x"})
    api.delete("/v1/customers/allowing")


def test_imap_and_pop3_have_the_limits_of_connections(new_posthouse):
    node = new_posthouse(settings={"clients.connections_per_minute": 1, "listen.proxy_networks": "127.0.0.1", "daemon.workers": 1})
    node.write_config(**{f"listen__{name}": f"proxy:127.0.0.1:{node.ports[name]}" for name in ("imap", "pop3")})
    node.start()
    for port, client, refusal in (("imap", "198.51.100.1", "* BYE "), ("pop3", "198.51.100.2", "-ERR [SYS/TEMP] ")):
        for expected in ("", refusal):
            with Dialogue(node, port) as dialogue:
                dialogue.send(f"PROXY TCP4 {client} 198.51.100.9 40000 25\r\n")
                line = dialogue.socket.recv(1000).decode()
                assert line.startswith(expected + ("Too many new" if expected else ""))
        decision = told(node, line)
        assert (decision["why"], decision["limit"], decision["client"]) == ("client-connections", "connections_per_minute", client)
