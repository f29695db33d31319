"""The program posthouse, against a real API."""
import datetime
import json
import os
import re
import subprocess

import pytest

from harness.posthouse import PROGRAM, SANITIZERS, make_message
from harness.process import wait_until

CLIENT = PROGRAM.parent / "posthouse"


@pytest.fixture
def client(posthouse):
    def run(*arguments, status=0, stdin="", token=posthouse.token, url=None):
        environment = {"PATH": os.environ["PATH"], "HOME": str(posthouse.folder), **SANITIZERS}
        if token:
            environment["POSTHOUSE_TOKEN"] = token
        url = url or f"http://127.0.0.1:{posthouse.ports['admin']}"
        done = subprocess.run([CLIENT, "--url", url, *arguments], input=stdin, capture_output=True, text=True, timeout=60,
                              env=environment)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr
    return run


def test_the_queue(posthouse, client):
    posthouse.api.customer("cli queue")
    posthouse.api.relay_domain("queue.cli.test", "cli queue", 9)
    posthouse.send("joe@outside.test", "ann@queue.cli.test", make_message("by hand"))

    def waiting():
        lines = client("queue", "list", "--customer", "cli queue", "--sender", "joe@outside.test", "--state", "waiting", "--older-than",
                       "0", "--newer-than", "3600", "--domain", "queue.cli.test", "--json").splitlines()
        return json.loads(lines[0])["id"] if lines else None
    entry = wait_until(waiting, "it waits")
    assert json.loads(client("queue", "priority", entry, "--priority", "4", "--json"))["priority"] == 4
    there = json.loads(client("queue", "redirect", entry, "--next-hop", "127.0.0.1,9", "--json"))
    assert there["destination"] == "to:[127.0.0.1]:9"
    entry = wait_until(waiting, "it waits there")
    assert json.loads(client("queue", "redirect", entry, "--back", "--json"))["redirected_from"] is None
    entry = wait_until(waiting, "it waits again")
    client("queue", "retry", entry)
    wait_until(waiting, "it waits again")
    action = json.loads(client("queue-actions", "create", "cancel", "--no-bounce", "--domain", "queue.cli.test", "--json"))
    assert (action["action"], action["count"], action["state"]) == ("cancel", 1, "previewed")
    assert "count" in client("queue-actions", "start", action["id"], "--count", "7", status=1)
    client("queue-actions", "start", action["id"], "--count", "1")
    wait_until(lambda: json.loads(client("queue-actions", "show", action["id"], "--json"))["state"] == "done", "it is done")
    other = json.loads(client("queue-actions", "create", "retry", "--json"))
    client("queue-actions", "stop", other["id"])
    assert other["id"] in client("queue-actions", "list")
    assert "bounce" in client("queue", "cancel", entry, status=1)


def test_one_thing_is_shown_in_two_columns(client):
    client("customers", "create", "cli columns")
    lines = client("domains", "create", "columns.cli.test", "--customer", "cli columns").splitlines()
    assert len({len(re.match(r"\S+ +(?=\S)", line)[0]) for line in lines if not line.endswith(" ")}) == 1, lines


def test_suspensions(client):
    client("customers", "create", "cli suspended")
    made = json.loads(client("suspensions", "create", "cli suspended", "--kind", "customer", "--reason", "unpaid", "--expires-at",
                             "2099-01-01T00:00:00Z", "--json"))
    assert (made["kind"], made["reason"], made["expires_at"]) == ("customer", "unpaid", "2099-01-01T00:00:00.000Z")
    assert "unpaid" in client("suspensions", "list") and "unpaid" in client("suspensions", "show", made["id"])
    client("suspensions", "delete", made["id"])
    assert made["id"] not in client("suspensions", "list")


def test_delivery_policies(client):
    made = json.loads(client("delivery-policies", "create", "Slow.example", "--lifetime", "86400", "--retry-first", "600", "--label", "x", "--json"))
    assert (made["domain"], made["lifetime"], made["retry_first"], made["retry_max"]) == ("slow.example", 86400, 600, None)
    assert "86400" in client("delivery-policies", "list") and "86400" in client("delivery-policies", "show", "slow.example")
    changed = json.loads(client("delivery-policies", "change", "slow.example", "--tls", "verify", "--json"))
    assert changed["tls"] == "verify" and "verify" in client("delivery-policies", "list")
    changed = json.loads(client("delivery-policies", "change", "slow.example", "--lifetime", "", "--delay-notice", "0", "--json"))
    assert (changed["lifetime"], changed["delay_notice"], changed["retry_first"]) == (None, 0, 600)
    client("delivery-policies", "delete", "slow.example")
    assert "slow.example" not in client("delivery-policies", "list")


def test_invitations(client):
    client("customers", "create", "cli invitations")
    client("domains", "create", "invited.cli.test", "--customer", "cli invitations")
    client("accounts", "create", "ann@invited.cli.test", "--customer", "cli invitations", "--no-password")
    until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = json.loads(client("invitations", "create", until, "--account", "ann@invited.cli.test", "--json"))
    assert len(made["token"]) == 64 and made["id"] in client("invitations", "list", "--account", "ann@invited.cli.test")
    client("invitations", "delete", made["id"], "--account", "ann@invited.cli.test")
    many = json.loads(client("domain-invitations", "create", until, "--domain", "invited.cli.test", "--page-size", "10", "--json"))
    assert [item["address"] for item in many["items"]] == ["ann@invited.cli.test"]


def test_continuity_policies(client):
    client("customers", "create", "cli continuity")
    client("domains", "create", "away.cli.test", "--customer", "cli continuity", "--next-hop", "127.0.0.1,9")
    assert json.loads(client("continuity-policies", "show", "away.cli.test", "--json"))["down_after"] is None
    changed = json.loads(client("continuity-policies", "change", "away.cli.test", "--down-after", "5", "--deleted-mail", "ask",
                                "--copy-keep-days", "0", "--probe-address", "probe@away.cli.test", "--check-interval", "0", "--up-after", "1", "--slow-after", "0",
                                "--probe-interval", "30", "--json"))
    assert (changed["down_after"], changed["probe_address"], changed["check_interval"]) == (5, "probe@away.cli.test", 0)
    changed = json.loads(client("continuity-policies", "change", "away.cli.test", "--accounts", "known", "--accounts-max", "50",
                                "--check-password", "imap", "--check-host", "mail.cli.test", "--check-port", "9930", "--json"))
    assert [changed[name] for name in ("accounts", "accounts_max", "check_password", "check_host", "check_port", "down_after")] == [
        "known", 50, "imap", "mail.cli.test", 9930, 5]
    assert json.loads(client("continuity-policies", "change", "away.cli.test", "--down-after", "", "--json"))["down_after"] is None
    client("continuity-policies", "delete", "away.cli.test")
    client("credentials", "create", "cli-boxes", "--user", "master", stdin="secret\n")
    made = json.loads(client("imap-access", "change", "away.cli.test", "--host", "imap.cli.test", "--credential", "cli-boxes", "--tls", "implicit",
                             "--sign-in", "authorization", "--json"))
    assert (made["port"], made["credential"]) == (993, "cli-boxes")
    assert json.loads(client("imap-access", "show", "away.cli.test", "--json")) == made
    assert client("carrying", "list", "--domain", "away.cli.test") == ""
    client("imap-access", "delete", "away.cli.test")
    client("credentials", "delete", "cli-boxes")
    assert json.loads(client("continuity-policies", "show", "away.cli.test", "--json"))["probe_address"] is None
    client("domains", "delete", "away.cli.test")


def test_health(posthouse, client):
    client("customers", "create", "cli health")
    client("domains", "create", "health.cli.test", "--customer", "cli health", "--next-hop", "127.0.0.1,9")
    assert "up" in client("health", "show", "health.cli.test")
    forced = json.loads(client("health", "force", "health.cli.test", "--force", "up", "--reason", "x", "--until", "2099-01-01T00:00:00Z", "--json"))
    assert (forced["force"], forced["force_reason"]) == ("up", "x")
    client("health", "force", "health.cli.test", "--force", "none")
    assert "not forced any more" in client("health", "events", "health.cli.test")
    window = json.loads(client("maintenance-windows", "create", "new disks", "--domain", "health.cli.test", "--starts-at", "2099-01-01T00:00:00Z",
                               "--ends-at", "2099-01-01T01:00:00Z", "--json"))
    assert "new disks" in client("maintenance-windows", "list", "--domain", "health.cli.test")
    assert "new disks" in client("maintenance-windows", "show", window["id"], "--domain", "health.cli.test")
    client("maintenance-windows", "delete", window["id"], "--domain", "health.cli.test")
    drill = json.loads(client("drills", "create", "health.cli.test", "--seconds", "3600", "--json"))
    wait_until(lambda: "health.cli.test" in client("outages", "list", "--customer", "cli health", "--state", "open"), "an outage is open")
    shown = json.loads(client("drills", "show", drill["id"], "--json"))
    assert shown["state"] == "running" and json.loads(client("outages", "show", shown["outage"], "--json"))["detection"] == "drill"
    assert drill["id"] in client("drills", "list", "--domain", "health.cli.test")
    client("drills", "delete", drill["id"])
    posthouse.api.account("ann@health.cli.test", "cli health")
    one = json.loads(client("drills", "create", "ann@health.cli.test", "--starts-at", "2099-01-01T00:00:00Z", "--json"))
    assert one["account"] == "ann@health.cli.test"
    client("drills", "delete", one["id"])
    posthouse.api.delete("/v1/accounts/ann@health.cli.test")
    client("domains", "delete", "health.cli.test")


def test_webhooks(client):
    client("customers", "create", "cli hooks")
    made = json.loads(client("webhooks", "create", "https://127.0.0.1:9/", "--customer", "cli hooks", "--event", "webhook.test", "--label", "x",
                             "--json"))
    assert made["secret"].startswith("whsec_") and made["events"] == ["webhook.test"]
    changed = json.loads(client("webhooks", "change", made["id"], "--all-events", "--endpoint", "https://127.0.0.1:9/other", "--new-secret", "--json"))
    assert (changed["events"], changed["url"]) == (None, "https://127.0.0.1:9/other") and changed["secret"] != made["secret"]
    client("webhooks", "test", made["id"])
    assert "/other" in client("webhooks", "list", "--customer", "cli hooks")
    assert json.loads(client("webhooks", "change", made["id"], "--disable", "--json"))["enabled"] is False
    assert json.loads(client("webhooks", "change", made["id"], "--enable", "--json"))["enabled"] is True
    client("webhooks", "delete", made["id"])


def test_resources(posthouse, client):
    client("customers", "create", "cli & co")
    client("domains", "create", "cli.test", "--customer", "cli & co")
    relay = json.loads(client("domains", "create", "relay.cli.test", "--customer", "cli & co", "--next-hop", "2001:db8::1,26,5",
                              "--next-hop", "mx.test", "--json"))
    assert relay["kind"] == "relay"
    assert relay["next_hops"] == [{"host": "2001:db8::1", "port": 26, "priority": 5},
                                  {"host": "mx.test", "port": 25, "priority": 10}]
    split = json.loads(client("domains", "create", "split.cli.test", "--customer", "cli & co", "--kind", "hosted", "--next-hop",
                              "mx.test", "--subaddress-separator", "", "--json"))
    assert (split["kind"], split["subaddress_separator"], len(split["next_hops"])) == ("hosted", None, 1)
    second = json.loads(client("domains", "create", "second.cli.test", "--customer", "cli & co", "--alias-of", "cli.test", "--json"))
    assert (second["kind"], second["target"]) == ("alias", "cli.test")
    caught = json.loads(client("domains", "change", "cli.test", "--catch-all", "ann@cli.test", "--json"))
    assert caught["catch_all"] == "ann@cli.test"
    assert json.loads(client("domains", "change", "cli.test", "--catch-all", "", "--json"))["catch_all"] is None
    client("domains", "change", "split.cli.test", "--valid-recipients", "listed")
    client("recipients", "replace", "--domain", "split.cli.test", stdin="a@split.cli.test\nb@split.cli.test\n")
    client("recipients", "create", "c@split.cli.test", "--domain", "split.cli.test")
    client("recipients", "delete", "a@split.cli.test", "--domain", "split.cli.test")
    assert [json.loads(line)["address"] for line in client("recipients", "list", "--domain", "split.cli.test", "--json").split("\n")
            if line] == ["b@split.cli.test", "c@split.cli.test"]
    assert "--domain is missing" in client("recipients", "list", status=2)
    client("domains", "change", "split.cli.test", "--valid-recipients", "learned", "--unknown-while-away", "accept")
    posthouse.query("insert into recipient_learned (cell, domain_id, address, valid, learned_at, until) select cell, id, a, true,"
                    " now(), now() from domain, unnest(array['x@split.cli.test', 'y@split.cli.test']) as a"
                    " where domain.name = 'split.cli.test'")
    client("learned-recipients", "delete", "x@split.cli.test", "--domain", "split.cli.test")
    assert "y@split.cli.test" in client("learned-recipients", "list", "--domain", "split.cli.test")
    client("learned-recipients", "forget", "--domain", "split.cli.test")
    assert client("learned-recipients", "list", "--domain", "split.cli.test") == ""
    for name in ("second.cli.test", "split.cli.test"):
        client("domains", "delete", name)
    client("accounts", "create", "ann@cli.test", "--customer", "cli & co", "--alias", "a@cli.test", "--alias", "b@cli.test",
           stdin="posthouse-demo\n")
    client("accounts", "create", "silent@cli.test", "--customer", "cli & co", "--no-password")
    with posthouse.pop3("ann@cli.test"):
        pass
    client("aliases", "create", "both@cli.test", "--target", "ann@cli.test", "--target", "x@outside.test")
    assert "ann@cli.test, x@outside.test" in client("aliases", "list", "--domain", "cli.test")
    group = json.loads(client("groups", "create", "group@cli.test", "--member", "ann@cli.test", "--senders", "members", "--json"))
    assert (group["members"], group["senders"]) == (["ann@cli.test"], "members")
    client("aliases", "delete", "both@cli.test")
    client("groups", "delete", group["id"])
    client("networks", "create", "203.0.113.0/25", "--customer", "cli & co")
    allowed = json.loads(client("allowed-networks", "create", "203.0.113.0/26", "--customer", "cli & co", "--label", "a partner",
                                "--valid-until", "2100-01-01T00:00:00Z", "--json"))
    assert "a partner" in client("allowed-networks", "list", "--customer", "cli & co")
    assert "203.0.113.0/26" in client("allowed-networks", "show", allowed["id"])
    client("allowed-networks", "delete", allowed["id"])
    bl = json.loads(client("dns-lists", "create", "bl.example", "--score", "5", "--answer", "127.0.0.2", "--answer", "127.0.0.4/30",
                           "--label", "x", "--json"))
    assert (bl["score"], bl["answers"]) == (5, ["127.0.0.2/32", "127.0.0.4/30"])
    assert "bl.example" in client("dns-lists", "list")
    client("dns-lists", "delete", bl["id"])
    for whose in (("--customer", "cli & co"), ("--domain", "cli.test")):
        policy = json.loads(client("client-policies", "create", "ours", *whose, "--refuse-at", "5", "--reverse-name", "score",
                                   "--reverse-score", "2", "--greylist", "suspects", "--greylist-at", "-1", "--greylist-delay",
                                   "60", "--greylist-passes", "0", "--json"))
        assert (policy["label"], policy["refuse_at"], policy["greylist_at"]) == ("ours", 5, -1)
        assert "ours" in client("client-policies", "list", "--customer", "cli & co")
        client("client-policies", "delete", policy["id"])

    way = json.loads(client("routes", "create", "cli-way", "--customer", "cli & co", "--next-hop", "127.0.0.1,26,5,7,encrypt", "--next-hop",
                            "::1", "--json"))
    assert way["next_hops"] == [{"host": "127.0.0.1", "port": 26, "priority": 5, "weight": 7, "tls": "encrypt"},
                                {"host": "::1", "port": 25, "priority": 10, "weight": 1, "tls": None}]
    assert "next_hops[0].tls: " in client("routes", "change", "cli-way", "--next-hop", "::1,25,1,1,never", status=1)
    client("routes", "change", "cli-way", "--next-hop", "::1,25")
    assert "cli-way" in client("routes", "list", "--customer", "cli & co")
    made = json.loads(client("credentials", "create", "cli-login", "--user", "u", "--mechanism", "plain", "--json", stdin="secret\n"))
    assert (made["user"], made["mechanism"], made["tls"], "password" in made) == ("u", "plain", "verify", False)
    client("credentials", "change", "cli-login", "--tls", "encrypt", "--mechanism", "", "--password", stdin="another\n")
    assert "cli-login" in client("credentials", "list") and "encrypt" in client("credentials", "show", "cli-login")
    assert json.loads(client("credentials", "reseal", "--json"))["resealed"] == 0
    made = json.loads(client("credentials", "create", "cli-token", "--user", "u", "--token-url", "https://login.test/", "--client-id", "c",
                             "--client-secret", "--refresh-token", "--oauth-scope", "mail", "--json", stdin="secret\nrefresh\n"))
    assert (made["kind"], made["scope"], made["grant"]) == ("oauth", "mail", "refresh_token")
    client("credentials", "change", "cli-token", "--oauth-scope", "", "--client-secret", stdin="other\n")
    client("credentials", "delete", "cli-token")
    pair = "--certificate-file", str(posthouse.certificate.certificate), "--key-file", str(posthouse.certificate.key)
    made = json.loads(client("credentials", "create", "cli-card", *pair, "--json"))
    assert made["kind"] == "certificate" and made["certificate"] == posthouse.certificate.certificate.read_text()
    client("credentials", "change", "cli-card", *pair, "--tls", "encrypt")
    assert "private_key" in client("credentials", "change", "cli-card", *pair[:2], status=1)
    client("credentials", "delete", "cli-card")
    made = json.loads(client("credentials", "show", "cli-login", "--json"))
    hops = json.loads(client("routes", "change", "cli-way", "--next-hop", "::1,25,,,,cli-login", "--json"))["next_hops"]
    assert [(h["port"], h["priority"], h["tls"], h["credential"]) for h in hops] == [(25, 10, None, made["id"])]
    client("routes", "change", "cli-way", "--next-hop", "::1,25")
    client("credentials", "delete", "cli-login")
    assert json.loads(client("routes", "change", "cli-way", "--source-address", "127.0.0.2", "--source-address", "::1", "--json"))["source_addresses"] \
        == ["127.0.0.2", "::1"]
    assert json.loads(client("customers", "change", "cli & co", "--source-address", "127.0.0.3", "--json"))["source_addresses"] == ["127.0.0.3"]
    assert json.loads(client("customers", "change", "cli & co", "--source-address", "", "--json"))["source_addresses"] == []
    rule = json.loads(client("route-rules", "create", "cli-way", "--customer", "cli & co", "--from-domain", "Cli.Test", "--json"))
    assert (rule["route"], rule["sender_domain"]) == ("cli-way", "cli.test")
    client("route-rules", "change", rule["id"], "--route", way["id"])
    assert "cli.test" in client("route-rules", "list", "--customer", "cli & co")
    client("route-rules", "delete", rule["id"])
    assert json.loads(client("domains", "create", "routed.cli.test", "--customer", "cli & co", "--route", "cli-way", "--json"))["kind"] == "relay"
    client("domains", "delete", "routed.cli.test")
    client("routes", "delete", "cli-way")
    made = json.loads(client("relay-grants", "create", "for ann", "--customer", "cli & co", "--account", "ann@cli.test",
                             "--senders", "domains", "--sender-domain", "a.test", "--sender-domain", "b.test", "--size-max",
                             "1000", "--tls-required", "--valid-until", "2100-01-01T00:00:00Z", "--json"))
    assert (made["label"], made["sender_domains"], made["size_max"], made["tls_required"], made["valid_until"]) == \
        ("for ann", ["a.test", "b.test"], 1000, True, "2100-01-01T00:00:00.000Z")
    assert "for ann" in client("relay-grants", "list", "--customer", "cli & co")
    assert "size_max: " in client("relay-grants", "create", "x", "--customer", "cli & co", "--size-max", "big", status=1)
    client("relay-grants", "delete", made["id"])
    told = json.loads(client("relay-checks", "create", "x@outside.test", "--sender", "x@y.test", "--client", "203.0.113.1",
                             "--size", "5", "--at", "2026-11-23T20:25:14Z", "--json"))
    assert told["reply"]["code"] == 550 and told["why"] == "sender-not-granted"
    assert "posthouse: " in client("decision", "show", "0000000000000", status=1)

    assert "a@cli.test, b@cli.test" in client("accounts", "list", "--domain", "cli.test")
    assert "silent@cli.test" in client("accounts", "show", "silent@cli.test")
    assert [json.loads(line)["name"] for line in client("domains", "list", "--customer", "cli & co", "--json").splitlines()] \
        == ["cli.test", "relay.cli.test"]
    assert "203.0.113.0/25" in client("networks", "show", "203.0.113.0/25")

    assert "still has domains" in client("customers", "delete", "cli & co", status=1)
    for name in ("ann@cli.test", "silent@cli.test"):
        client("accounts", "delete", name)
    client("networks", "delete", "203.0.113.0/25")
    client("domains", "delete", "cli.test")
    client("domains", "delete", relay["id"])
    assert client("customers", "delete", "cli & co") == ""
    assert client("domains", "list", "--customer", "cli & co", status=1).startswith("posthouse: customer: ")


def test_a_held_message(posthouse, client, sink):
    sink.stop()
    posthouse.api.customer("cli held")
    posthouse.api.relay_domain("held.cli.test", "cli held", sink.port)
    posthouse.api.account("carol@held.cli.test", "cli held")
    posthouse.send("joe@outside.test", "carol@held.cli.test", make_message("held"))
    wait_until(lambda: "held.cli.test" in client("outages", "list", "--open"), "the outage is open")
    entry = json.loads(client("queue", "list", "--domain", "held.cli.test", "--json"))
    assert "carol@held.cli.test" in client("queue", "list", "--domain", "held.cli.test")
    assert "joe@outside.test" in client("message", "show", entry["message"])
    assert "accepted" in client("message", "events", entry["message"])


def test_long_lists_are_followed(posthouse, client):
    posthouse.query("insert into customer (id, cell, name) select n, 0, 'many ' || n from generate_series(1, 2500) n")
    assert len([line for line in client("customers", "list").splitlines() if "many " in line]) == 2500
    posthouse.query("delete from customer where name like 'many %'")


def test_nothing_steers_the_terminal(posthouse, client):
    posthouse.query("insert into customer (id, cell, name) values (1, 0, E'\\x1b[31mred\\x07')")
    shown = client("customers", "list")
    posthouse.query("delete from customer where id = 1")
    assert "?[31mred?" in shown and "\x1b" not in shown


def test_refusals(posthouse, client):
    assert "(401)" in client("customers", "list", status=1, token="wrong")
    assert "(404)" in client("customers", "show", "nobody", status=1)
    assert "(409)" in client("customers", "create", posthouse.api.customer("cli twice")["name"], status=1)
    assert "no token" in client("customers", "list", status=2, token=None)
    client("customers", "list", status=3, url="http://127.0.0.1:1")
    for words in (["--nonsense"], ["customers"], ["customers", "fly"], ["queue", "delete", "x"], ["customers", "show"],
                  ["customers", "list", "x"], ["customers", "create", "a", "b"], ["--url"], []):
        client(*words, status=2)
    client("domains", "create", "x.test", "--customer", "cli twice", "--next-hop", "a.test,x", status=2)
    folder = posthouse.folder / ".config" / "posthouse"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(posthouse.token + "\n")
    assert "cli twice" in client("customers", "list", token=None)
